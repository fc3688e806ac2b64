"""Where a tab's digit comes from: an example, an uploaded picture or a drawing. What is wrong ends in a gr.Error."""

import math
from pathlib import Path

import gradio as gr
import torch
from PIL import Image

from hub_models.images import to_digit
from hub_models.spacekit import checks
from hub_models.spacekit.pictures import canvas, examples, kept, read_picture
from hub_models.spacekit.widgets import gallery_of_examples

HEADER = Path(__file__).parents[1] / "README.md"  # of the Space: it names the models' repositories
EXAMPLES = examples(Path(__file__).parents[1], "mnist")
SIDE = 280  # of a canvas, in pixels


def from_example(index: int) -> torch.Tensor:
    """The example of that class, 0 to 9 -> uint8 (1, 1, 28, 28)."""
    return from_file(checks.pick(EXAMPLES, index))


def from_file(path: str | None) -> torch.Tensor:
    """An uploaded picture -> uint8 (1, 1, 28, 28)."""
    return read_picture(path, to_digit)


def is_touched(editor: dict | None) -> bool:
    """Whether a sketchpad's value has strokes: Gradio reports an untouched one, too, when it appears or is cleared."""
    return bool(editor and editor["composite"])


def from_drawing(editor: dict | None) -> torch.Tensor:
    """The value of a sketchpad -> uint8 (1, 1, 28, 28)."""
    if not is_touched(editor):
        raise gr.Error("Nothing is drawn: draw a digit.")
    with checks.worded():
        return to_digit(editor["composite"])


def paper() -> dict:
    """The value of a sketchpad that is ready to draw on; one without a background first asks for a tool."""
    # for ever: it is in the page itself
    return {"background": kept(Image.new("L", (SIDE, SIDE), 255), math.inf), "layers": [], "composite": None}


def sources() -> tuple[gr.Dataset, gr.UploadButton]:
    """Make the widgets for `from_example` and `from_file`."""
    chosen = gallery_of_examples(EXAMPLES, "Examples from MNIST, none of them trained on")
    return chosen, gr.UploadButton("Upload a picture", file_types=["image"])


def sketchpad() -> gr.ImageEditor:
    """The widget for `from_drawing`; its waste-paper basket gives fresh paper."""
    brush = gr.Brush(default_size=12, colors=["#000000"], color_mode="fixed")
    pad = canvas(paper(), SIDE, label="Draw a digit", brush=brush)
    pad.clear(paper, None, pad, show_progress="hidden", api_name="paper", api_visibility="private")
    return pad
