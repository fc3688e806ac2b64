"""Tab Classify: what the recurrent classifier thinks of a digit, pixel by pixel."""

import dataclasses
import functools
import math
import time
from collections.abc import Iterator

import gradio as gr
import numpy as np
import pandas as pd
import torch

import hub_models
from hub_models.images import to_picture
from hub_models.spacekit import checks, look
from hub_models.spacekit.api import endpoint, picture_file
from hub_models.spacekit.pictures import KEPT, kept
from hub_models.spacekit.runs import QUIET
from hub_models.spacekit.weights import chip, load_hosted, on_gpu
from hub_models.spacekit.widgets import about, display

from ._digit import HEADER, Digit, from_drawing, from_example, from_file, is_touched, paper, sketchpad, sources

TITLE = "Classify"
ABOUT = """Draw a digit, upload one or take an example. A small network reads it one pixel at a time, row by row, and
predicts after each pixel which digit it is."""
MORE = """The network is a GRU. It was trained on half-read digits too, so its early predictions mean something.

It sees the digit prepared as MNIST's are: scaled into 20x20 pixels, centred by its mass in 28x28, each pixel on or off.
Compare your picture with what the network sees: if the digit is not clear there, no network could read it."""
NAME = "gru128-mnist-classify"
FIRST = 8  # the example to start with: the prediction changes five times
ROW, PIXELS = 28, 784
PAUSE = 0.04  # seconds a row: slow enough to watch; the network itself is done before the first
WATCHED = 16  # readings that are shown at once: a page shows one when it opens, and waits most of the time
DIGITS = [str(digit) for digit in range(10)]
PALETTE = "#4e79a7 #f28e2b #e15759 #76b7b2 #59a14f #d4af0f #b07aa1 #ff9da7 #9c755f #8a8f98"
COLOURS = dict(zip(DIGITS, PALETTE.split(), strict=True))  # of the lines in the plot
LEGEND = "".join(f'<span><b style="color: {colour}">━</b> {digit}</span> ' for digit, colour in COLOURS.items())
LEGEND = f'<div style="display: flex; flex-wrap: wrap; gap: 0 1rem">{LEGEND}</div>'
NOTHING = pd.DataFrame({"pixels read": [], "digit": [], "probability": []})  # in the plot


@dataclasses.dataclass(eq=False)
class Reading:
    """A digit and what the network predicted; one visitor's, kept to look back."""

    digit: torch.Tensor  # bool (1, 28, 28), as the network sees it
    probabilities: torch.Tensor  # (784, 10), after each pixel
    playing: bool = True  # until another one, or a look back, takes its place on the page


@functools.cache
def model() -> hub_models.PixelClassifier:
    """Return the checkpoint that all visitors share."""
    return load_hosted(NAME, HEADER)


@on_gpu
def read_prefixes(digit: torch.Tensor) -> torch.Tensor:
    """Return the probabilities after each pixel of a digit uint8 (1, 1, 28, 28), as (784, 10)."""
    return model().predict_prefixes(digit)[0].cpu()


def read(image: torch.Tensor) -> Reading:
    """Read a digit, uint8 (1, 1, 28, 28)."""
    return Reading(image[0] > model().config.threshold, read_prefixes(image))


def frame(reading: Reading, pixels: int, seconds: float = KEPT) -> tuple:
    """Return what is shown after so many pixels: the digit, the prediction, all probabilities, the plot."""
    seen = torch.arange(PIXELS).view(1, ROW, ROW) < pixels
    shades = torch.where(seen, torch.where(reading.digit, 255, 0), torch.where(reading.digit, 120, 70))
    now = dict(zip(DIGITS, reading.probabilities[pixels - 1].tolist(), strict=True))
    best = max(now, key=now.get)
    sofar = "" if pixels == PIXELS else f" after {pixels} of {PIXELS} pixels"
    prediction = f"### Prediction: {best} ({100 * now[best]:.1f} %){sofar}"
    after = np.arange(ROW, pixels + 1, ROW)  # one point a row
    # of all digits each time: the plot keeps the legend that it begins with
    curves = pd.DataFrame(reading.probabilities[after - 1].numpy(), after, DIGITS).rename_axis("pixels read")
    curves = curves.melt(var_name="digit", value_name="probability", ignore_index=False).reset_index()
    return kept(to_picture(shades.to(torch.uint8), 10), seconds), prediction, now, curves


def play(reading: Reading | None) -> Iterator[tuple]:
    """Yield a frame per row and the slider's place; empty results where nothing is read."""
    if reading is None:
        yield None, "", None, NOTHING, PIXELS
        return
    for pixels in range(ROW, PIXELS + 1, ROW):
        shown = frame(reading, pixels)
        if not reading.playing:
            return
        yield *shown, pixels
        time.sleep(PAUSE)


def taken(digit: Digit, before: Reading | None) -> tuple[str, Reading]:
    """Return the visitor's picture and the reading of its digit, to be played instead of the one before."""
    reading = read(digit.image)
    if before is not None:
        before.playing = False
    return digit.picture, reading


def read_example(index: int, before: Reading | None = None) -> tuple[str, Reading]:
    """Read the example of that class."""
    return taken(from_example(index), before)


def read_file(path: str | None, before: Reading | None = None) -> tuple[str, Reading]:
    """Read an uploaded picture."""
    return taken(from_file(path), before)


def read_drawing(editor: dict | None, before: Reading | None = None) -> tuple[str, Reading]:
    """Read what is drawn."""
    return taken(from_drawing(editor), before)


def read_stroke(editor: dict | None, before: Reading | None = None) -> tuple[str, Reading] | dict:
    """Read what is drawn, if anything is."""
    return read_drawing(editor, before) if is_touched(editor) else gr.skip()


def emptied(before: Reading | None) -> tuple[None, None]:
    """Return no picture and no reading, so that nothing of the old one stays where the next is refused."""
    if before is not None:
        before.playing = False
    return None, None


def clear(before: Reading | None) -> tuple[dict, None, None]:
    """Return fresh paper, no picture and no reading."""
    return paper(), *emptied(before)


def look_back(reading: Reading | None, pixels: int) -> tuple:
    """Return the frame after so many pixels of the digit that was read last."""
    if reading is None:
        raise gr.Error("Nothing is read yet: choose or draw a digit first.")
    pixels = checks.integer(pixels, 1, PIXELS, "The number of pixels read")
    reading.playing = False
    return frame(reading, pixels)


def read_digit(picture: str | None) -> tuple[str, dict[str, float]]:
    """Read a handwritten digit, of a photograph, scan or drawing.

    Args:
        picture: a picture file with one digit, dark on light or light on dark.

    Returns:
        The 28x28 pixels that the network sees, enlarged ten times, and the probability of each digit.
    """
    seen, _, probabilities, _ = frame(read(from_file(picture).image), PIXELS)
    return seen, probabilities


def build() -> None:
    """Make the widgets, inside a gr.Tab, and wire them."""
    own, first = read_example(FIRST)
    seen, words, probabilities, curves = frame(first, PIXELS, math.inf)
    about(ABOUT, MORE)
    gr.HTML(chip(NAME, HEADER))
    with gr.Row(elem_classes=look.ANSWER_FIRST):
        with gr.Column():
            examples, upload = sources()
            pad = sketchpad()
            drawn = gr.Button("Read the drawing")
        with gr.Column():
            with gr.Column(elem_classes="answer"):
                prediction = gr.Markdown(words)
                with gr.Row():
                    picture = display("Your picture", own)
                    sight = display("What the network sees", seen)
                pixels = gr.Slider(1, PIXELS, PIXELS, step=1, label="Pixels read")
            plot = gr.LinePlot(
                curves,
                x="pixels read",
                y="probability",
                color="digit",
                color_map=COLOURS,
                colors_in_legend=[],  # Gradio's own legend is cut off on a phone
                x_lim=[0, PIXELS],
                y_lim=[0, 1],
                label="How the prediction changes while the pixels are read",
            )
            gr.HTML(LEGEND, padding=False)
            label = gr.Label(probabilities, label="Probability of each digit", num_top_classes=10, show_heading=False)
    reading = gr.State(first)
    shown = [sight, prediction, label, plot]
    latest = QUIET | {"trigger_mode": "always_last"}
    # when the page opens, and for each new reading
    gr.on(None, play, reading, [*shown, pixels], concurrency_limit=WATCHED, **latest)
    for event, source, handler in (
        (examples.click, examples, read_example),
        (upload.upload, upload, read_file),
        (drawn.click, pad, read_drawing),
    ):
        begun = event(emptied, reading, [picture, reading], **latest)
        begun.then(handler, [source, reading], [picture, reading], **latest)
    pad.input(read_stroke, [pad, reading], [picture, reading], **latest)
    pad.clear(clear, reading, [pad, picture, reading], **latest)
    pixels.input(look_back, [reading, pixels], shown, **latest)
    endpoint(
        read_digit,
        [picture_file("Picture of one digit")],
        [
            gr.Image(label="What the network sees", format="png", render=False),
            gr.Label(label="Probability of each digit", render=False),
        ],
    )
