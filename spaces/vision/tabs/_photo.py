"""Where a tab's picture comes from: an example, an uploaded picture or the camera; and how what a net sees is shown."""

import functools
from collections.abc import Callable
from pathlib import Path

import gradio as gr
import torch

import hub_models
from hub_models.images import to_glow, to_photo
from hub_models.spacekit import checks, pictures
from hub_models.spacekit.weights import load_hosted
from hub_models.spacekit.widgets import gallery_of_examples, picture_input

HEADER = Path(__file__).parents[1] / "README.md"  # of the Space: it names the models' repositories
EXAMPLES = pictures.examples(HEADER.parent, "cifar10")
SIDE, SCALE = 32, 8  # of the models' pictures, in pixels; screen pixels a pixel
VIEWS = 6  # of each picture, over which a net's answers are averaged
TOP = 5  # classes in a list of the likeliest


@functools.cache
def best() -> hub_models.ConvClassifier:
    """The best net, which all tabs and visitors share."""
    return load_hosted("cifar10-fast", HEADER)


def from_example(index: int) -> torch.Tensor:
    """The example of that class, 0 to 9 -> uint8 (1, 3, 32, 32)."""
    return from_file(checks.pick(EXAMPLES, index))


def from_file(path: str | None) -> torch.Tensor:
    """A picture of any size and mode -> its middle as the models take it, uint8 (1, 3, 32, 32)."""
    return pictures.read_picture(path, lambda picture: to_photo(picture, SIDE, SIDE))


def enlarged(image: torch.Tensor) -> str:
    """uint8 (1, 3, 32, 32) -> path of a picture of it that shows each pixel."""
    return pictures.enlarged(image[0])


def heated(image: torch.Tensor, heat: torch.Tensor) -> str:
    """uint8 (1, 3, 32, 32), dimmed, under heat (32, 32) of 0..1, from black over red to yellow -> path."""
    return enlarged(((image + to_glow(heat).float()) / 2).to(torch.uint8))


def sources() -> tuple[gr.Dataset, gr.Image]:
    """Make the widgets for `from_example` and `from_file`."""
    return gallery_of_examples(EXAMPLES, "Examples from CIFAR-10, none of them trained on"), picture_input()


def answer(
    examples: gr.Dataset, picture: gr.Image, on_example: Callable, on_file: Callable, shown: list[gr.blocks.Block]
) -> None:
    """Wire the widgets of `sources` to a handler each; the one of an example also takes away the visitor's picture."""
    for event, source, handler, outputs in (
        (examples.click, examples, on_example, [picture, *shown]),
        (picture.upload, picture, on_file, shown),
    ):
        event(
            handler, source, outputs, show_progress="hidden", trigger_mode="always_last", api_name=handler.__name__
        )  # fmt: skip
