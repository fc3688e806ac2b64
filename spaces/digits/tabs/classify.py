"""Tab Classify: what the recurrent classifier thinks of a digit, pixel by pixel."""

import functools
import time
from collections.abc import Iterator
from typing import NamedTuple

import gradio as gr
import numpy as np
import pandas as pd
import torch

import hub_models
from hub_models.images import to_picture
from hub_models.spacekit.pictures import kept
from hub_models.spacekit.weights import load_hosted, on_gpu
from hub_models.spacekit.widgets import display

from ._digit import HEADER, from_drawing, from_example, from_file, is_touched, sketchpad, sources

TITLE = "Classify"
ABOUT = """A GRU reads the digit one pixel at a time, row by row, and says after each pixel what it takes the digit for.
It was trained on half-read digits too, so its early answers mean something. What it sees is the digit prepared as
MNIST's are: scaled into 20x20, centred by its mass in 28x28, each pixel on or off."""
ROW, PIXELS = 28, 784
LINES = 5  # in the plot: more do not fit the legend on a phone
PAUSE = 0.04  # seconds a row: slow enough to watch; the net itself is done before the first


class Reading(NamedTuple):
    """A digit and what the net thought of it; one visitor's, kept to look back."""

    digit: torch.Tensor  # bool (1, 28, 28), as the net sees it
    probabilities: torch.Tensor  # (784, 10), after each pixel


@functools.cache
def model() -> hub_models.PixelClassifier:
    """The checkpoint all visitors share."""
    return load_hosted("gru128-mnist-classify", HEADER)


@on_gpu
def read_prefixes(digit: torch.Tensor) -> torch.Tensor:
    """uint8 (1, 1, 28, 28) -> probabilities after each pixel, (784, 10)."""
    return model().predict_prefixes(digit)[0].cpu()


def frame(reading: Reading, pixels: int) -> tuple:
    """What is shown after so many pixels: the digit, the probabilities, the plot."""
    seen = torch.arange(PIXELS).view(1, ROW, ROW) < pixels
    shades = torch.where(seen, torch.where(reading.digit, 255, 0), torch.where(reading.digit, 120, 70))
    label = {str(i): p for i, p in enumerate(reading.probabilities[pixels - 1].tolist())}
    after = np.arange(ROW, pixels + 1, ROW)  # one point a row
    likeliest = reading.probabilities.amax(0).topk(LINES).indices.sort().values  # at any time: the others stay low
    lines = reading.probabilities[after - 1][:, likeliest].numpy()  # (rows, LINES)
    curves = pd.DataFrame(lines, after, likeliest.tolist()).rename_axis("pixels read")
    curves = curves.melt(var_name="digit", value_name="probability", ignore_index=False)
    return kept(to_picture(shades.to(torch.uint8), 10)), label, curves.reset_index().astype({"digit": str})


def read(digit: torch.Tensor) -> Iterator[tuple]:
    """uint8 (1, 1, 28, 28) -> a frame a row, with the slider's place and, last of all, the reading to look back at."""
    reading = Reading(digit[0] > model().config.threshold, read_prefixes(digit))
    for pixels in range(ROW, PIXELS + 1, ROW):
        yield *frame(reading, pixels), pixels, reading
        time.sleep(PAUSE)


def read_example(index: int) -> Iterator[tuple]:
    """Read the example of that class."""
    yield from read(from_example(index))


def read_file(path: str | None) -> Iterator[tuple]:
    """Read an uploaded picture."""
    yield from read(from_file(path))


def read_drawing(editor: dict | None) -> Iterator[tuple]:
    """Read what is drawn."""
    yield from read(from_drawing(editor))


def read_stroke(editor: dict | None) -> Iterator[tuple]:
    """Read what is drawn, if anything is."""
    if is_touched(editor):
        yield from read_drawing(editor)
    else:
        yield gr.skip()


def look_back(reading: Reading | None, pixels: int) -> tuple:
    """The frame after so many pixels of the digit read last."""
    if reading is None:
        raise gr.Error("Nothing is read yet: choose or draw a digit first.")
    if pixels not in range(1, PIXELS + 1):
        raise gr.Error(f"The number of pixels must be a whole number from 1 to {PIXELS}.")
    return frame(reading, int(pixels))


def build() -> None:
    """Make the widgets, inside a gr.Tab, and wire them."""
    model()  # now, not when the first visitor waits
    gr.Markdown(ABOUT)
    with gr.Row():
        with gr.Column():
            examples, upload = sources()
            pad = sketchpad()
            drawn = gr.Button("Read the drawing")
        with gr.Column():
            with gr.Row():
                with gr.Column(min_width=120):
                    picture = display("What it has read")
                    pixels = gr.Slider(1, PIXELS, PIXELS, step=1, label="Pixels read")
                label = gr.Label(label="What it takes it for", num_top_classes=10, min_width=120)
            plot = gr.LinePlot(
                x="pixels read",
                y="probability",
                color="digit",
                x_lim=[0, PIXELS],
                y_lim=[0, 1],
                label="When it makes up its mind (its five likeliest digits)",
            )
    reading = gr.State()
    shown = [picture, label, plot]
    for event, source, handler in (
        (examples.click, examples, read_example),
        (upload.upload, upload, read_file),
        (pad.input, pad, read_stroke),
        (drawn.click, pad, read_drawing),
    ):
        event(
            handler, source, [*shown, pixels, reading], show_progress="hidden", trigger_mode="always_last",
            api_name=handler.__name__,
        )  # fmt: skip
    pixels.input(
        look_back, [reading, pixels], shown, show_progress="hidden", trigger_mode="always_last", api_name="look_back"
    )
