"""Where a tab's digit comes from: an example, an uploaded picture or a drawing. What is wrong ends in a gr.Error."""

import math
from pathlib import Path

import gradio as gr
import torch
from fastapi import HTTPException
from gradio.processing_utils import save_file_to_cache
from gradio.utils import get_upload_folder
from PIL import Image

from hub_models import public
from hub_models.images import to_digit
from hub_models.public import KEPT

HEADER = Path(__file__).parents[1] / "README.md"  # of the Space: it names the models' repositories
EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.png"))
SIDE = 280  # of a canvas, in pixels


def from_example(index: int) -> torch.Tensor:
    """The example of that class, 0 to 9 -> uint8 (1, 1, 28, 28)."""
    return from_file(public.pick(EXAMPLES, index, gr.Error))


def from_file(path: str | None) -> torch.Tensor:
    """An uploaded picture -> uint8 (1, 1, 28, 28)."""
    return public.read_picture(path, to_digit, gr.Error)


def kept(picture: Image.Image, seconds: float = KEPT) -> str:
    """Path of the picture as a PNG in Gradio's cache, where it stays at least so long."""
    return public.kept(picture, lambda path: save_file_to_cache(path, get_upload_folder()), seconds)


def is_touched(editor: dict | None) -> bool:
    """Whether a sketchpad's value has strokes: Gradio reports an untouched one, too, when it appears or is cleared."""
    return bool(editor and editor["composite"])


def from_drawing(editor: dict | None) -> torch.Tensor:
    """The value of a sketchpad -> uint8 (1, 1, 28, 28)."""
    if not is_touched(editor):
        raise gr.Error("Nothing is drawn: draw a digit.")
    with public.worded(gr.Error):
        return to_digit(editor["composite"])


def paper() -> dict:
    """The value of a sketchpad that is ready to draw on; one without a background first asks for a tool."""
    # for ever: it is in the page itself
    return {"background": kept(Image.new("L", (SIDE, SIDE), 255), math.inf), "layers": [], "composite": None}


def pictures() -> tuple[gr.Dataset, gr.UploadButton]:
    """The widgets for `from_example` and `from_file`."""
    examples = gr.Dataset(
        label="Examples from MNIST, none of them trained on",
        components=[gr.Image(visible=False)],
        samples=[[str(path)] for path in EXAMPLES],
        type="index",
    )
    return examples, gr.UploadButton("Upload a picture", file_types=["image"])


def canvas(value: dict, **options) -> gr.ImageEditor:
    """An ImageEditor without uploads, which refuses in words what only a program sends: damaged or large drawings."""
    tools = {"sources": (), "layers": False, "transforms": (), "canvas_size": (SIDE, SIDE)}
    editor = gr.ImageEditor(value, type="pil", **tools, **options)
    public.seal(editor, gr.Error, HTTPException, 4 * SIDE)
    return editor


def sketchpad() -> gr.ImageEditor:
    """The widget for `from_drawing`; its waste-paper basket gives fresh paper."""
    brush = gr.Brush(default_size=12, colors=["#000000"], color_mode="fixed")
    pad = canvas(paper(), label="Draw a digit", brush=brush)
    pad.clear(paper, None, pad, show_progress="hidden", api_name="paper", api_visibility="private")
    return pad


def display(caption: str) -> gr.Image:
    """A picture under its caption; Gradio's own label would lie on the digit's top."""
    with gr.Column(min_width=120):
        gr.Markdown(caption)
        return gr.Image(label=caption, show_label=False, buttons=[], interactive=False)
