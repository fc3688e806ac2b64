"""Tab In-paint: rub out part of a digit and watch the next-pixel model fill it in."""

import contextlib
import functools
import math
import time
from collections.abc import Iterator

import gradio as gr
import numpy as np
import torch
from PIL import Image

import hub_models
from hub_models.images import to_picture, to_sheet
from hub_models.spacekit import checks
from hub_models.spacekit.live import Snapshot, live
from hub_models.spacekit.pictures import KEPT, brushed, canvas, kept
from hub_models.spacekit.runs import seed_input
from hub_models.spacekit.weights import load_hosted, on_gpu
from hub_models.spacekit.widgets import display, temperature_slider

from ._digit import HEADER, from_drawing, from_example, from_file, sketchpad, sources

TITLE = "In-paint"
ABOUT = """Rub out any part of a digit, and the next-pixel model fills it in. It goes row by row, pixel by pixel, and
sees only what comes before: known pixels above and to the left guide it, those below do not. All known pixels stay as
they are. Rub out everything, and it writes digits of its own."""
SIDE, SCALE = 28, 10  # pixels; screen pixels a pixel in the picture to rub out
LAST = 300  # pixels, in raster order
FIRST = (1, 10, 28, LAST)
MAX_COMPLETIONS = 8  # samples a request
MISSING = 128  # grey: neither on nor off
PAUSE = 0.05  # seconds a row: slow enough to watch


@functools.cache
def model() -> hub_models.PixelPredictor:
    """The checkpoint all visitors share."""
    return load_hosted("gru128-mnist-predict", HEADER)


@on_gpu
def completions(given: torch.Tensor, known: torch.Tensor, n: int, temperature: float, seed: int) -> Iterator[Snapshot]:
    """The arguments of `complete`, of one image -> the images (1, n, 1, 28, 28) as they fill, a snapshot a row."""
    generator = torch.Generator().manual_seed(seed)
    options = {"temperature": temperature, "generator": generator, "every": SIDE}
    with contextlib.closing(live(model().complete, given, known, n, **options)) as snapshots:
        for images, done, total in snapshots:
            yield images.cpu(), done, total


@on_gpu
def nats(images: torch.Tensor) -> list[float]:
    """uint8 (B, 1, 28, 28) -> -log p of each."""
    return (-model().log_prob(images)).tolist()


def take(digit: torch.Tensor, seconds: float = KEPT) -> dict:
    """uint8 (1, 1, 28, 28) -> the value of the editor: the digit as the model sees it, enlarged, nothing rubbed out."""
    net = model()
    picture = to_picture(net.to_bytes(net.quantise(digit))[0], SCALE)
    return {"background": kept(picture, seconds), "layers": [], "composite": None}


def take_example(index: int) -> dict:
    """Put the example of that class into the editor."""
    return take(from_example(index), math.inf)  # one of them is in the page itself


def take_file(path: str | None) -> dict:
    """Put an uploaded picture into the editor."""
    return take(from_file(path))


def take_drawing(editor: dict | None) -> dict:
    """Put what is drawn into the editor."""
    return take(from_drawing(editor))


def truth_of(editor: dict | None) -> torch.Tensor:
    """The editor's value -> its digit, uint8 (1, 1, 28, 28) of 0 and 255."""
    background = editor and editor["background"]
    if background is None:
        raise gr.Error("There is no digit: choose an example, upload a picture or draw one first.")
    if background.size != (SIDE * SCALE, SIDE * SCALE):
        raise gr.Error(f"The digit must be the {SIDE * SCALE}x{SIDE * SCALE} picture that choosing one puts here.")
    pixels = np.array(background.convert("L").resize((SIDE, SIDE), Image.Resampling.NEAREST))
    net = model()
    return net.to_bytes(net.quantise(torch.from_numpy(pixels)[None, None]))


def rubbed_out(editor: dict) -> torch.Tensor:
    """The editor's value -> bool (1, 1, 28, 28): pixels of which at least half is under the brush."""
    return brushed(editor, SIDE, SIDE)


def fill(truth: torch.Tensor, blank: torch.Tensor, empty: torch.Tensor, n, temperature, seed) -> Iterator[tuple]:
    """Yield the truth, what the model is given, the completions so far and a line of text.

    Args:
        truth: uint8 (1, 1, 28, 28).
        blank: bool (1, 1, 28, 28), the pixels to blank.
        empty: bool (1, 1, 28, 28), those of them to fill; the others stay grey.
        n, temperature, seed: a visitor's, so not to be trusted.
    """
    n = checks.integer(n, 1, MAX_COMPLETIONS, "The number of completions")
    temperature = checks.temperature(temperature)
    seed = checks.seed(seed)
    given = truth.masked_fill(blank, MISSING)
    shown = kept(to_picture(truth[0], SCALE)), kept(to_picture(given[0], SCALE))
    yield *shown, None, "Filling ..."
    with contextlib.closing(completions(given, ~empty, n, temperature, seed)) as snapshots:
        for images, done, total in snapshots:
            time.sleep(PAUSE)
            note = f"{done} of {total} pixels are filled."
            if done == total and torch.equal(blank, empty):
                costs = [f"{cost:.1f}" for cost in nats(torch.cat([truth, images[0]]))]
                note += f" Nats of the whole image (−log p, less is likelier): the truth **{costs[0]}**, "
                note += f"the completions {', '.join(costs[1:])}."
            yield *shown, kept(to_sheet(images[0], columns=min(n, 2 if n <= 4 else 4), scale=8)), note


def fill_rubbed_out(editor: dict | None, n: int, temperature: float, seed: int) -> Iterator[tuple]:
    """Fill what is rubbed out."""
    truth = truth_of(editor)
    blank = rubbed_out(editor)
    if not blank.any():
        raise gr.Error("Nothing is rubbed out: go over a part of the digit with the brush.")
    yield from fill(truth, blank, blank, n, temperature, seed)


def fill_last(editor: dict | None, first: int, n: int, temperature: float, seed: int) -> Iterator[tuple]:
    """Blank the last 300 pixels and fill the first of them."""
    if first not in FIRST:
        raise gr.Error(f"The number of pixels to fill must be one of {', '.join(map(str, FIRST))}.")
    order = torch.arange(SIDE * SIDE).view(1, 1, SIDE, SIDE)
    start = SIDE * SIDE - LAST
    yield from fill(truth_of(editor), order >= start, (order >= start) & (order < start + first), n, temperature, seed)


def build() -> None:
    """Make the widgets, inside a gr.Tab, and wire them."""
    gr.Markdown(ABOUT)
    with gr.Row():
        with gr.Column():
            examples, upload = sources()
            with gr.Accordion("Draw a digit of your own", open=False):
                pad = sketchpad()
                drawn = gr.Button("Use the drawing")
            brush = gr.Brush(default_size=30, colors=["#f97316"], color_mode="fixed")
            eraser = gr.Eraser(default_size=30)
            editor = canvas(take_example(3), SIDE * SCALE, label="Rub out with the brush", brush=brush, eraser=eraser)
            rub = gr.Button("Fill what is rubbed out", variant="primary")
            with gr.Group():
                first = gr.Radio(
                    FIRST, value=LAST, label=f"Or blank the last {LAST} pixels, and fill the first of them:"
                )
                last = gr.Button(f"Blank the last {LAST} and fill")
        with gr.Column():
            with gr.Row():
                truth = display("The truth")
                given = display("What is given")
            sheet = display("Completions")
            note = gr.Markdown()
            cancel = gr.Button("Cancel", variant="stop")
            n = gr.Slider(1, MAX_COMPLETIONS, 4, step=1, label="Number of completions")
            temperature = temperature_slider()
            seed = seed_input().number
    for event, source, handler in (
        (examples.click, examples, take_example),
        (upload.upload, upload, take_file),
        (drawn.click, pad, take_drawing),
    ):
        event(handler, source, editor, show_progress="hidden", trigger_mode="always_last", api_name=handler.__name__)
    settings, shown = [n, temperature, seed], [truth, given, sheet, note]
    running = [
        rub.click(fill_rubbed_out, [editor, *settings], shown, show_progress="hidden", api_name="fill_rubbed_out"),
        last.click(fill_last, [editor, first, *settings], shown, show_progress="hidden", api_name="fill_last"),
    ]
    cancel.click(None, cancels=running, api_name="cancel")
