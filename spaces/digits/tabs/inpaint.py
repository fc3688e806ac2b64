"""Tab In-paint: hide part of a digit and watch the next-pixel model fill it in."""

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
from hub_models.images import to_picture
from hub_models.spacekit import checks
from hub_models.spacekit.api import endpoint, picture_file, seed_number, temperature_number
from hub_models.spacekit.live import Snapshot, live
from hub_models.spacekit.pictures import KEPT, brushed, canvas, enlarged, kept, read_mask, sheet
from hub_models.spacekit.runs import QUIET, RunButton, cancel_when, seed_input
from hub_models.spacekit.start import load_start
from hub_models.spacekit.weights import chip, load_hosted, on_gpu
from hub_models.spacekit.widgets import about, display, results, temperature_slider, unfinished

from ._digit import HEADER, from_drawing, from_example, from_file, paper, sketchpad, sources

TITLE = "In-paint"
ABOUT = """Hide any part of a digit with the brush, and a network fills it in, pixel by pixel. All pixels that you leave
stay exactly as they are."""
MORE = """The network is a GRU that predicts the next pixel. It goes row by row and sees only what comes before a pixel:
the rows above, and the pixels to its left. So the pixels above and to the left of the hidden part guide it, and those
below do not. Hide everything, and it writes digits of its own.

The captions give the total surprise of each whole image, −log p in nats. The lower it is, the more probable the network
finds the image."""
NAME = "gru128-mnist-predict"
STARTS_FROM = (NAME,)
FIRST = 3  # the example to start with
SIDE, SCALE = 28, 10  # pixels; screen pixels per pixel in the picture under the brush
PLACE = torch.arange(SIDE * SIDE).view(1, 1, SIDE, SIDE)  # of each pixel, in the order in which they are filled
BOTTOM = 300  # pixels, the last in that order
FILLED = {1: "the first pixel", 10: "the first 10", 28: "the first 28", SIDE * SIDE: "all"}  # of the hidden pixels
MAX_COMPLETIONS = 8  # samples a request
MISSING = 128  # grey: neither on nor off
ORANGE = "#f97316"  # the brush
PAUSE = 0.05  # seconds a row: slow enough to watch


@functools.cache
def model() -> hub_models.PixelPredictor:
    """Return the checkpoint that all visitors share."""
    return load_hosted(NAME, HEADER)


@on_gpu
def completions(given: torch.Tensor, known: torch.Tensor, n: int, temperature: float, seed: int) -> Iterator[Snapshot]:
    """Yield n completions of one image, uint8 (1, n, 1, 28, 28), as they fill, a snapshot per row."""
    generator = torch.Generator().manual_seed(seed)
    options = {"temperature": temperature, "generator": generator, "every": SIDE}
    with contextlib.closing(live(model().complete, given, known, n, **options)) as snapshots:
        for images, done, total in snapshots:
            yield images.cpu(), done, total


@on_gpu
def nats(images: torch.Tensor) -> list[float]:
    """Return -log p of each image of uint8 (B, 1, 28, 28)."""
    return (-model().log_prob(images)).tolist()


def as_seen(image: torch.Tensor) -> torch.Tensor:
    """Return a uint8 image as the model sees it, each pixel 0 or 255."""
    net = model()
    return net.to_bytes(net.quantise(image))


def take(image: torch.Tensor, seconds: float = KEPT) -> dict:
    """Return the value of the editor for a digit uint8 (1, 1, 28, 28): as the model sees it, nothing hidden."""
    picture = to_picture(as_seen(image)[0], SCALE)
    return {"background": kept(picture, seconds), "layers": [], "composite": None}


def cleared() -> tuple:
    """Return what empties the results."""
    return None, gr.update(value=None, visible=False), gr.update(value=None, visible=True), ""


def take_example(index: int) -> tuple:
    """Put the example of that class into the editor, and empty the results."""
    return take(from_example(index).image), *cleared()


def take_file(path: str | None) -> tuple:
    """Put an uploaded picture into the editor, and empty the results."""
    return take(from_file(path).image), *cleared()


def take_drawing(editor: dict | None) -> tuple:
    """Put what is drawn into the editor, and empty the results."""
    return take(from_drawing(editor).image), *cleared()


def hide_bottom(editor: dict | None) -> dict:
    """Return the value of the editor with the bottom pixels of its digit under the brush."""
    value = take(truth_of(editor))
    layer = Image.new("RGBA", (SIDE * SCALE, SIDE * SCALE), ORANGE)
    layer.putalpha(to_picture((PLACE[0] >= SIDE * SIDE - BOTTOM).to(torch.uint8) * 255, SCALE))
    return value | {"layers": [kept(layer)]}


def truth_of(editor: dict | None) -> torch.Tensor:
    """Return the digit in the editor, uint8 (1, 1, 28, 28) of 0 and 255."""
    background = editor and editor["background"]
    if background is None:
        raise gr.Error("There is no digit: choose an example, upload a picture or draw one first.")
    if background.size != (SIDE * SCALE, SIDE * SCALE):
        raise gr.Error(f"The digit must be the {SIDE * SCALE}x{SIDE * SCALE} picture that choosing one puts here.")
    pixels = np.array(background.convert("L").resize((SIDE, SIDE), Image.Resampling.NEAREST))
    return as_seen(torch.from_numpy(pixels)[None, None])


def filling(truth: torch.Tensor, hidden: torch.Tensor, first: int, n, temperature, seed) -> Iterator[tuple]:
    """Fill the hidden part of a digit, in several ways.

    Args:
        truth: uint8 (1, 1, 28, 28) of 0 and 255.
        hidden: bool (1, 1, 28, 28), True somewhere.
        first: how many of the hidden pixels to fill; the others stay grey. A visitor's, as all that follow.
        n: the number of completions.
        temperature: of the distributions that pixels are drawn from.
        seed: of the random numbers.

    Yields:
        What the model is given, the sheet of completions so far, the truth and completions with captions, and words.
    """
    if first not in tuple(FILLED):  # a tuple, so that unhashable values can be compared
        raise gr.Error(f"The number of hidden pixels to fill must be one of {', '.join(map(str, FILLED))}.")
    n = checks.integer(n, 1, MAX_COMPLETIONS, "The number of completions")
    temperature = checks.temperature(temperature)
    seed = checks.seed(seed)
    empty = hidden & (hidden.flatten().cumsum(0).view_as(hidden) <= first)
    given = truth.masked_fill(hidden, MISSING)
    shown, made = enlarged(given[0]), f"{NAME}, seed {seed}, temperature {temperature:g}"
    yield shown, gr.update(value=None, visible=True), gr.update(value=None, visible=False), f"Completing ... {made}."
    with contextlib.closing(completions(given, ~empty, n, temperature, seed)) as snapshots:
        for images, done, total in snapshots:
            time.sleep(PAUSE)
            if done < total:
                yield shown, sheet(images[0]), gr.skip(), f"{done} of {total} pixels are filled. {made}."
    images = torch.cat([truth, images[0]])
    captions = ["The truth", *(f"Completion {i + 1}" for i in range(n))]
    if torch.equal(hidden, empty):  # a half-blank image has no probability
        captions = [
            f"{name}, total surprise: {cost:.1f} nats" for name, cost in zip(captions, nats(images), strict=True)
        ]
    pictures = [(enlarged(image), caption) for image, caption in zip(images, captions, strict=True)]
    note = f"**{made}.** {int(empty.sum())} of {int(hidden.sum())} hidden pixels are filled."
    yield shown, gr.update(visible=False), gr.update(value=pictures, visible=True), note


def fill(editor: dict | None, first: int, n: int, temperature: float, seed: int) -> Iterator[tuple]:
    """Yield what `filling` does of the digit in the editor and the part that is under the brush."""
    truth = truth_of(editor)
    hidden = brushed(editor, SIDE, SIDE)
    if not hidden.any():
        raise gr.Error(
            f"Nothing is hidden: go over a part of the digit with the brush, or hide the bottom {BOTTOM} pixels."
        )
    yield from filling(truth, hidden, first, n, temperature, seed)


def complete_digit(
    picture: str | None, mask: str | None, n: int = 5, temperature: float = 1, seed: int = 0
) -> tuple[list, str]:
    """Fill the missing part of a handwritten digit, in several ways.

    Args:
        picture: a picture file with one digit, dark on light or light on dark; the network sees 28x28 pixels.
        mask: a picture file, white where pixels are missing; it may have any size and is scaled to 28x28.
        n: the number of completions, 1 to 8.
        temperature: 0 to 2; 0 takes the most probable value each time.
        seed: the same seed gives the same completions.

    Returns:
        The completions, with the total surprise of each as its caption, and how they were made.
    """
    truth, missing = as_seen(from_file(picture).image), read_mask(mask, SIDE, SIDE)
    *_, (_, _, pictures, note) = filling(truth, missing, SIDE * SIDE, n, temperature, seed)
    return pictures["value"][1:], note


def start() -> tuple:
    """Compute what the tab shows before the first click: an example whose bottom is hidden, completed."""
    truth = as_seen(from_example(FIRST).image)
    *_, (given, _, pictures, note) = filling(truth, PLACE >= SIDE * SIDE - BOTTOM, SIDE * SIDE, 5, 1, 0)
    return given, pictures["value"], note


def build() -> None:
    """Make the widgets, inside a gr.Tab, and wire them."""
    of_given, pictures, words = load_start(__file__)
    first = take(from_example(FIRST).image, math.inf)
    about(ABOUT, MORE)
    gr.HTML(chip(NAME, HEADER))
    with gr.Row():
        with gr.Column():
            examples, upload = sources()
            with gr.Accordion("Draw a digit of your own", open=False):
                pad = sketchpad()
                drawn = gr.Button("Use the drawing")
            brush = gr.Brush(default_size=30, colors=[ORANGE], color_mode="fixed")
            eraser = gr.Eraser(default_size=30)
            editor = canvas(first, SIDE * SCALE, label="Hide a part with the brush", brush=brush, eraser=eraser)
            bottom = gr.Button(f"Hide the bottom {BOTTOM} pixels")
            with gr.Accordion("Settings", open=False):
                choices = [(name, count) for count, name in FILLED.items()]
                count = gr.Radio(choices, value=SIDE * SIDE, label="Hidden pixels to fill, row by row")
                n = gr.Slider(1, MAX_COMPLETIONS, 5, step=1, label="Number of completions")
                temperature = temperature_slider()
                seed = seed_input()
            run = RunButton("Complete the digit", "Completing ...")
        with gr.Column():
            given = display("What the network is given", of_given)
            growing = unfinished("Completions so far")
            finished = results("The truth and the completions", value=pictures, columns=3)
            note = gr.Markdown(words)
    shown = [given, growing, finished, note]
    work = run.on_click(fill, [editor, count, n, temperature, seed.number], shown, seed)
    cancel_when([examples.click, upload.upload, drawn.click, editor.clear], work)
    latest = QUIET | {"trigger_mode": "always_last"}
    for event, source, handler in (
        (examples.click, examples, take_example),
        (upload.upload, upload, take_file),
        (drawn.click, pad, take_drawing),
    ):
        event(handler, source, [editor, *shown], **latest)
    editor.clear(cleared, None, shown, **latest)
    pad.clear(paper, None, pad, **QUIET)
    bottom.click(hide_bottom, editor, editor, **QUIET)
    endpoint(
        complete_digit,
        [
            picture_file("Picture of one digit"),
            picture_file("Mask, white where pixels are missing"),
            gr.Number(5, precision=0, minimum=1, maximum=MAX_COMPLETIONS, label="Number of completions", render=False),
            temperature_number(),
            seed_number(),
        ],
        [
            gr.Gallery(label="Completions", format="png", render=False),
            gr.Textbox(label="How they were made", render=False),
        ],
    )
