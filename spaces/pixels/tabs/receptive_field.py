"""Tab Receptive field: which pixels a model looks at for one."""

import gradio as gr
import torch

from hub_models.images import to_field, to_picture
from hub_models.spacekit import checks
from hub_models.spacekit.pictures import SIDE, kept
from hub_models.spacekit.weights import on_gpu

from ._pixels import NAMES, model, models

TITLE = "Receptive field"
ABOUT = """A model gives each pixel its distribution after the pixels before it: those above, and those to its left.
Does it look at all of them? Click on a pixel, or give its row and column: what it depends on is measured on the model
itself, by gradient. **Red** is the pixel, **white** what it sees, **grey** what comes before it and is not seen, as too
far away for so few layers or in a blind spot, **black** what is to come."""
LINE = 96  # the grey of the grid
Y, X = 20, 12  # the pixel to start with


@on_gpu
def seen_by(name: str, y: int, x: int) -> torch.Tensor:
    """What the pixel (y, x) depends on, bool (H, W)."""
    return model(name).receptive_field(y, x)


def grid(image: torch.Tensor) -> str:
    """uint8 (3, H, W) -> path of a picture of it that shows each pixel, with lines between."""
    scale = scale_for(image.shape[2])
    large = image.repeat_interleave(scale, 1).repeat_interleave(scale, 2)
    large[:, ::scale] = large[:, :, ::scale] = LINE
    return kept(to_picture(large))


def scale_for(width: int) -> int:
    """Screen pixels a pixel."""
    return 2 * SIDE // width


def in_words(seen: torch.Tensor, y: int, x: int) -> str:
    """What a pixel depends on, bool (H, W) -> how much that is, and where the rest lies."""
    height, width = seen.shape
    before = torch.arange(height * width).view(height, width) < y * width + x
    total, unseen = int(before.sum()), before & ~seen
    where = f"Row {y}, column {x}: "
    if not total:
        return f"{where}no pixel comes before this one."
    if not unseen.any():
        return f"{where}it sees **every pixel** before it ({total})."
    parts = {
        "in the rows above to its right": unseen[:y, x + 1 :],
        "in the rows above to its left": unseen[:y, :x],
        "straight above it": unseen[:y, x],
        "in its own row": unseen[y],
    }
    told = [f"{int(part.sum())} {place}" for place, part in parts.items() if part.any()]
    said = f"{where}it sees **{total - int(unseen.sum())} of the {total} pixels** before it. "
    return f"{said}Not seen: {', '.join(told)}."


def show_field(name: str, y: int, x: int) -> tuple[str, str]:
    """The picture of what a pixel depends on, and that in words. All arguments are a visitor's."""
    _, height, width = model(name).shape
    y = checks.integer(y, 0, height - 1, "The row")
    x = checks.integer(x, 0, width - 1, "The column")
    seen = seen_by(name, y, x)
    return grid(to_field(seen, y, x)), in_words(seen, y, x)


def click_field(name: str, event: gr.EventData) -> tuple:
    """Row and column of the pixel that was clicked, and what `show_field` shows of it."""
    _, height, width = model(name).shape
    match event._data:  # whatever was sent
        case {"index": [int(across), int(down)]}:
            y, x = down // scale_for(width), across // scale_for(width)
            if 0 <= y < height and 0 <= x < width:
                return y, x, *show_field(name, y, x)
    raise gr.Error("There is no pixel: click on one of the picture's squares.")


def turn_field(name: str, y: int, x: int) -> tuple:
    """For another model: the row and the column, or the nearest that it has, and what `show_field` shows of them."""
    _, height, width = model(name).shape
    wanted = ((y, Y, height), (x, X, width))
    y, x = (min(max(v if isinstance(v, int) else start, 0), side - 1) for v, start, side in wanted)
    return y, x, *show_field(name, y, x)


def build() -> None:
    """Make the widgets, inside a gr.Tab, and wire them."""
    gr.Markdown(ABOUT)
    _, height, width = model(NAMES[0]).shape
    y, x = min(Y, height - 1), min(X, width - 1)
    first, words = show_field(NAMES[0], y, x)
    with gr.Row():
        with gr.Column():
            name = models()
            row = gr.Number(y, minimum=0, precision=0, label="Row, from 0")
            column = gr.Number(x, minimum=0, precision=0, label="Column, from 0")
            show = gr.Button("Show what it depends on", variant="primary")
            note = gr.Markdown(words)
        with gr.Column():
            picture = gr.Image(
                first, label="Click on a pixel", show_label=False, buttons=[], interactive=False, type="filepath"
            )
    quietly = {"show_progress": "hidden", "trigger_mode": "always_last"}
    show.click(show_field, [name, row, column], [picture, note], api_name="show_field", **quietly)
    pixel = [row, column, picture, note]
    picture.select(click_field, name, pixel, api_name="click_field", api_visibility="private", **quietly)
    name.input(turn_field, [name, row, column], pixel, api_name="turn_field", api_visibility="private", **quietly)
