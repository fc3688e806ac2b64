"""Where a tab's digit comes from: an example, an uploaded picture or a drawing. What is wrong ends in a gr.Error."""

import contextlib
import functools
import math
from pathlib import Path
from typing import NamedTuple

import gradio as gr
import numpy as np
import torch
from PIL import Image, ImageOps

from hub_models.images import to_digit, to_grey
from hub_models.spacekit import checks
from hub_models.spacekit.pictures import KEPT, canvas, examples, kept, read_picture
from hub_models.spacekit.widgets import gallery_of_examples, upload_button

HEADER = Path(__file__).parents[1] / "README.md"  # of the Space: it names the models' repositories
EXAMPLES = examples(Path(__file__).parents[1], "mnist")
SIDE = 280  # of a canvas, in pixels


class Digit(NamedTuple):
    """A picture and the digit on it."""

    picture: str  # path of the picture, enlarged or shrunk to SIDE
    image: torch.Tensor  # uint8 (1, 1, 28, 28), prepared as MNIST's digits are


def prepare(picture: Image.Image, seconds: float = KEPT) -> Digit:
    """Prepare a picture for the networks, and keep it for the page at least that long."""
    image = to_digit(picture)
    picture.thumbnail((4 * SIDE, 4 * SIDE), Image.Resampling.NEAREST)  # roughly first: a large one takes a gigabyte
    with contextlib.suppress(Exception):  # what the camera says may be damaged where the picture is not
        picture = ImageOps.exif_transpose(picture)
    if picture.mode[0] in "IF":  # deep greys, which browsers cannot show
        shown = Image.fromarray(np.rint(to_grey(picture) * 255).astype(np.uint8))
    else:
        shown = picture.convert("RGBA")
    small = max(shown.size) < SIDE
    method = Image.Resampling.NEAREST if small else Image.Resampling.LANCZOS
    return Digit(kept(ImageOps.contain(shown, (SIDE, SIDE), method), seconds), image)


def from_example(index: int) -> Digit:
    """Take the example of that class, 0 to 9."""
    # for ever: one of them is in the page itself
    return read_picture(checks.pick(EXAMPLES, index), functools.partial(prepare, seconds=math.inf))


def from_file(path: str | None) -> Digit:
    """Take an uploaded picture."""
    return read_picture(path, prepare)


def is_touched(editor: dict | None) -> bool:
    """Return whether a sketchpad has strokes: Gradio reports an untouched one, too, when it appears or is cleared."""
    return bool(editor and editor["composite"])


def from_drawing(editor: dict | None) -> Digit:
    """Take the value of a sketchpad."""
    if not is_touched(editor):
        raise gr.Error("Nothing is drawn: draw a digit.")
    with checks.worded():
        return prepare(editor["composite"])


def paper() -> dict:
    """Return the value of a sketchpad that is ready to draw on; one without a background first asks for a tool."""
    # for ever: it is in the page itself
    return {"background": kept(Image.new("L", (SIDE, SIDE), 255), math.inf), "layers": [], "composite": None}


def sources() -> tuple[gr.Dataset, gr.UploadButton]:
    """Make the widgets for `from_example` and `from_file`."""
    return gallery_of_examples(EXAMPLES, "Examples from MNIST, not used in training"), upload_button()


def sketchpad() -> gr.ImageEditor:
    """Make the widget for `from_drawing`."""
    brush = gr.Brush(default_size=12, colors=["#000000"], color_mode="fixed")
    return canvas(paper(), SIDE, label="Draw a digit", brush=brush)
