"""Where a tab's picture comes from: an example, an uploaded picture or the camera; and how what a net sees is shown."""

import functools
from collections.abc import Callable
from pathlib import Path

import gradio as gr
import torch
from gradio.processing_utils import save_file_to_cache
from gradio.utils import get_upload_folder
from PIL import Image

import hub_models
from hub_models import public
from hub_models.hosted import load_hosted
from hub_models.images import to_glow, to_photo, to_picture

HEADER = Path(__file__).parents[1] / "README.md"  # of the Space: it names the models' repositories
EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.png"))
SIDE, SCALE = 32, 8  # of the models' pictures, in pixels; screen pixels a pixel
VIEWS = 6  # of each picture, over which a net's answers are averaged
TOP = 5  # classes in a list of the likeliest


@functools.cache
def best() -> hub_models.ConvClassifier:
    """The best net, which all tabs and visitors share."""
    return load_hosted("cifar10-fast", HEADER)


def from_example(index: int) -> torch.Tensor:
    """The example of that class, 0 to 9 -> uint8 (1, 3, 32, 32)."""
    return from_file(public.pick(EXAMPLES, index, gr.Error))


def from_file(path: str | None) -> torch.Tensor:
    """A picture of any size and mode -> its middle as the models take it, uint8 (1, 3, 32, 32)."""
    return public.read_picture(path, lambda picture: to_photo(picture, SIDE, SIDE), gr.Error)


def kept(picture: Image.Image, seconds: float = public.KEPT) -> str:
    """Path of the picture as a PNG in Gradio's cache, where it stays at least so long."""
    return public.kept(picture, lambda path: save_file_to_cache(path, get_upload_folder()), seconds)


def enlarged(image: torch.Tensor) -> str:
    """uint8 (1, 3, 32, 32) -> path of a picture of it that shows each pixel."""
    return kept(to_picture(image[0], SCALE))


def heated(image: torch.Tensor, heat: torch.Tensor) -> str:
    """uint8 (1, 3, 32, 32), dimmed, under heat (32, 32) of 0..1, from black over red to yellow -> path."""
    return enlarged(((image + to_glow(heat).float()) / 2).to(torch.uint8))


def pictures() -> tuple[gr.Dataset, gr.Image]:
    """The widgets for `from_example` and `from_file`."""
    examples = gr.Dataset(
        label="Examples from CIFAR-10, none of them trained on",
        components=[gr.Image(visible=False)],
        samples=[[str(path)] for path in EXAMPLES],
        type="index",
    )
    picture = gr.Image(label="A picture of your own", sources=["upload", "webcam"], type="filepath", buttons=[])
    # Gradio would open the file with any of Pillow's readers, and tell nothing of a damaged one
    picture.preprocess = lambda file: file and file.path
    return examples, picture


def answer(
    examples: gr.Dataset, picture: gr.Image, on_example: Callable, on_file: Callable, shown: list[gr.blocks.Block]
) -> None:
    """Wire the widgets of `pictures` to a handler each; the one of an example also takes away the visitor's picture."""
    for event, source, handler, outputs in (
        (examples.click, examples, on_example, [picture, *shown]),
        (picture.upload, picture, on_file, shown),
    ):
        event(
            handler, source, outputs, show_progress="hidden", trigger_mode="always_last", api_name=handler.__name__
        )  # fmt: skip


def display(caption: str) -> gr.Image:
    """A picture under its caption; Gradio's own label would lie on the picture's top."""
    with gr.Column(min_width=120):
        gr.Markdown(caption)
        return gr.Image(label=caption, show_label=False, buttons=[], interactive=False)
