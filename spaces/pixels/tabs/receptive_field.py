"""Tab Receptive field: which pixels a model uses to predict one."""

import time

import gradio as gr
import torch

from hub_models.images import to_field, to_picture
from hub_models.spacekit import checks
from hub_models.spacekit.api import endpoint
from hub_models.spacekit.pictures import SIDE, kept
from hub_models.spacekit.runs import QUIET
from hub_models.spacekit.start import load_start
from hub_models.spacekit.weights import on_gpu
from hub_models.spacekit.widgets import about

from ._pixels import NAMES, model, models, title_of

TITLE = "Receptive field"
ABOUT = """Click on a pixel to see which pixels before it the model uses to predict it. **Red** is the pixel, **white**
is used, **grey** comes before it and is not used, **black** comes after it."""
MORE = """A model predicts each pixel from the pixels before it: those in the rows above, and those to its left. Not
every model uses all of them: some are too far away for so few layers, others lie in a blind spot of the convolutions.
What a pixel depends on is measured on the model itself, by gradient."""
STARTS_FROM = ("gated-pixelcnn-cifar10",)
LINE = 96  # the grey of the grid
Y, X = 20, 12  # the pixel to start with


@on_gpu
def seen_by(name: str, y: int, x: int) -> torch.Tensor:
    """Return what the pixel (y, x) depends on, bool (H, W)."""
    return model(name).receptive_field(y, x)


def grid(image: torch.Tensor) -> str:
    """Draw a uint8 (3, H, W) image with lines between its pixels; return the picture's path."""
    scale = scale_for(image.shape[2])
    large = image.repeat_interleave(scale, 1).repeat_interleave(scale, 2)
    large[:, ::scale] = large[:, :, ::scale] = LINE
    return kept(to_picture(large))


def scale_for(width: int) -> int:
    """Return how many screen pixels a side a pixel is drawn with."""
    return 2 * SIDE // width


def in_words(name: str, seen: torch.Tensor, y: int, x: int) -> str:
    """Say how many pixels the pixel (y, x) depends on, and where the others are.

    Args:
        name: of the model.
        seen: what it depends on, bool (H, W).
    """
    height, width = seen.shape
    before = torch.arange(height * width).view(height, width) < y * width + x
    total, unseen = int(before.sum()), before & ~seen
    where = f"{title_of(name)}, row {y}, column {x}: "
    if not total:
        return f"{where}no pixel comes before this one."
    if not unseen.any():
        return f"{where}the model uses **every pixel** before it ({total})."
    parts = {
        "in the rows above to its right": unseen[:y, x + 1 :],
        "in the rows above to its left": unseen[:y, :x],
        "straight above it": unseen[:y, x],
        "in its own row": unseen[y],
    }
    counts = [f"{int(part.sum())} {place}" for place, part in parts.items() if part.any()]
    words = f"{where}the model uses **{total - int(unseen.sum())} of the {total} pixels** before it. "
    return f"{words}Not used: {', '.join(counts)}."


def show_field(name: str, y: int, x: int) -> tuple[str, str]:
    """Return the picture of what a pixel depends on, and that in words."""
    _, height, width = model(name).shape
    y = checks.integer(y, 0, height - 1, "The row")
    x = checks.integer(x, 0, width - 1, "The column")
    seen = seen_by(name, y, x)
    return grid(to_field(seen, y, x)), in_words(name, seen, y, x)


def click_field(name: str, event: gr.EventData) -> tuple[int, int, int]:
    """Return row and column of the pixel that was clicked, and when it was."""
    _, height, width = model(name).shape
    match event._data:  # whatever was sent
        case {"index": [int(across), int(down)]}:
            y, x = down // scale_for(width), across // scale_for(width)
            if 0 <= y < height and 0 <= x < width:
                return y, x, time.monotonic_ns()
    raise gr.Error("There is no pixel: click on one of the picture's squares.")


def turn_field(name: str, y: int, x: int) -> tuple[int, int, int]:
    """Return the row and the column, or the nearest that another model has, and when it was chosen."""
    _, height, width = model(name).shape
    wanted = ((y, Y, height), (x, X, width))
    y, x = (min(max(v if isinstance(v, int) else start, 0), side - 1) for v, start, side in wanted)
    return y, x, time.monotonic_ns()


def receptive_field(name: str = NAMES[0], row: int = Y, column: int = X) -> tuple[str, str]:
    """Show which pixels a model uses to predict one.

    Args:
        name: the model.
        row: of the pixel, from 0 at the top to 31 (27 for digits).
        column: of the pixel, from 0 at the left to 31 (27 for digits).

    Returns:
        A PNG in which the pixel is red, what the model uses white, what it does not use grey; and that in words.
    """
    return show_field(name, row, column)


def start() -> tuple[str, str]:
    """Compute what the tab shows before the first click."""
    return show_field(NAMES[0], Y, X)


def build() -> None:
    """Make the widgets, inside a gr.Tab, and wire them."""
    about(ABOUT, MORE)
    first, words = load_start(__file__)
    with gr.Row():
        with gr.Column():
            name = models()
            row = gr.Number(Y, minimum=0, precision=0, label="Row (0: top)")
            column = gr.Number(X, minimum=0, precision=0, label="Column (0: left)")
            show = gr.Button("Show what the pixel depends on", variant="primary")
            note = gr.Markdown(words)
        with gr.Column():
            title = "Click on a pixel"
            looks = {"show_label": False, "buttons": [], "interactive": False, "elem_classes": "smooth"}
            picture = gr.Image(first, label=title, type="filepath", alt_text=title, **looks)
    latest = {"trigger_mode": "always_last", "show_progress": "minimal", "api_visibility": "private"}
    asked = gr.State(0)  # when a pixel or a model was last chosen
    # one listener writes the results, so that the last asked for stay; of a click, only it would keep the first's event
    gr.on([show.click, asked.change], show_field, [name, row, column], [picture, note], **latest)
    picture.select(click_field, name, [row, column, asked], trigger_mode="multiple", **QUIET)
    name.input(turn_field, [name, row, column], [row, column, asked], trigger_mode="always_last", **QUIET)
    endpoint(
        receptive_field,
        [
            gr.Dropdown(list(NAMES), value=NAMES[0], label="Model", render=False),
            gr.Number(Y, precision=0, minimum=0, label="Row", render=False),
            gr.Number(X, precision=0, minimum=0, label="Column", render=False),
        ],
        [
            gr.Image(label="Receptive field", format="png", render=False),
            gr.Textbox(label="In words", render=False),
        ],
    )
