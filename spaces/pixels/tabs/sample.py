"""Tab Sample: a model makes images of its own, row by row."""

import contextlib
import time
from collections.abc import Iterator

import gradio as gr
import torch

from hub_models.spacekit import checks
from hub_models.spacekit.api import endpoint, seed_number, temperature_number
from hub_models.spacekit.live import Snapshot, live
from hub_models.spacekit.pictures import enlarged, sheet
from hub_models.spacekit.runs import QUIET, RunButton, cancel_when, seed_input
from hub_models.spacekit.start import load_start
from hub_models.spacekit.weights import on_gpu
from hub_models.spacekit.widgets import about, results, temperature_slider, unfinished

from ._pixels import (
    EACH,
    MISSING,
    NAMES,
    captions,
    class_choice,
    class_names,
    class_of,
    log_probs,
    model,
    models,
    title_of,
)

TITLE = "Sample"
ABOUT = """A model draws images pixel by pixel, row by row. The gated PixelCNN on CIFAR-10 draws the class that you
choose."""
MORE = """Each pixel is drawn as red, then green, then blue. The model gives a probability to each of the 256 values,
given all values before it, and one is drawn. These models are small: their photographs have plausible colours and
textures, but rarely a whole object. Most digits can be read.

Bits/dim (bits per dimension) is the mean surprise of a value: 8 for a model that knows nothing, less is better. For
digits, the total surprise is that of the whole image, in nats (1 nat is 1.44 bits)."""
STARTS_FROM = ("gated-pixelcnn-cifar10",)
MAX_IMAGES = 16  # images a request
PAUSE = 0.03  # seconds a row: slow enough to watch where the model is fast


@on_gpu
def samples(name: str, n: int, label: torch.Tensor | None, temperature: float, seed: int) -> Iterator[Snapshot]:
    """Yield the images that a model draws, uint8 (n, C, H, W), once per row."""
    net = model(name)
    channels, _, width = net.shape
    generator = torch.Generator().manual_seed(seed)
    options = {"label": label, "temperature": temperature, "generator": generator, "every": channels * width}
    with contextlib.closing(live(net.sample, n, **options)) as snapshots:
        yield from snapshots


def draw(name: str, n: int, temperature: float, class_name: str, seed: int) -> Iterator[tuple]:
    """Yield the sheet of images so far, what is to come grey; the finished images with captions; and a line of text."""
    net = model(name)
    n = checks.integer(n, 1, MAX_IMAGES, "The number of images")
    temperature = checks.temperature(temperature)
    seed = checks.seed(seed)
    chosen, label, named = class_of(class_name, EACH), None, [""] * n
    if net.classes:
        label = torch.arange(n) % net.classes if chosen is None else torch.full((n,), chosen)
        named = [f"{class_names()[i]}, " for i in label.tolist()]
    channels, height, width = net.shape
    rows = torch.arange(height)[:, None]
    made = f"{title_of(name)}, seed {seed}, temperature {temperature:g}"
    yield gr.update(value=None, visible=True), gr.update(value=None, visible=False), f"Drawing ... {made}."
    with contextlib.closing(samples(name, n, label, temperature, seed)) as snapshots:
        for images, done, total in snapshots:
            time.sleep(PAUSE)
            row = done // (channels * width)
            note = f"{row} of {height} rows are drawn. {made}."
            if done < total:
                yield sheet(images.where(rows < row, MISSING)), gr.skip(), note
    said = captions(log_probs(name, images, label), net)
    pictures = [(enlarged(image), class_ + cost) for image, class_, cost in zip(images, named, said, strict=True)]
    note = f"**{made}.** The captions say how surprising the model finds each image."
    yield gr.update(visible=False), gr.update(value=pictures, visible=True), note


def sample(
    name: str = NAMES[0], n: int = 4, temperature: float = 1, class_name: str = EACH, seed: int = 0
) -> tuple[list, str]:
    """Draw images with a model, pixel by pixel.

    Args:
        name: the model.
        n: the number of images, 1 to 16.
        temperature: 0 to 2; 0 takes the most probable value each time.
        class_name: a class of CIFAR-10, for the gated PixelCNN on it, or "one of each class".
        seed: the same seed gives the same images.

    Returns:
        The images, with the surprise of each as its caption, and how they were made.
    """
    *_, (_, pictures, note) = draw(name, n, temperature, class_name, seed)
    return pictures["value"], note


def start() -> tuple[list, str]:
    """Compute what the tab shows before the first click."""
    return sample(n=10)


def turn_sample(name: str) -> tuple:
    """Show the choice of classes for a model that knows any, and no results of another model."""
    empty = gr.update(value=None, visible=False), gr.update(value=None, visible=True), ""
    return gr.update(visible=bool(model(name).classes)), *empty


def build() -> None:
    """Make the widgets, inside a gr.Tab, and wire them."""
    about(ABOUT, MORE)
    pictures, words = load_start(__file__)
    with gr.Row():
        with gr.Column():
            name = models()
            label = class_choice(EACH)
            n = gr.Slider(1, MAX_IMAGES, 4, step=1, label="Number of images")
            with gr.Accordion("Settings", open=False):
                temperature = temperature_slider()
                seed = seed_input()
            run = RunButton("Draw images", "Drawing ...")
        with gr.Column(scale=2):
            growing = unfinished("Images so far")
            finished = results("Samples", value=pictures)
            note = gr.Markdown(words)
    shown = [growing, finished, note]
    work = run.on_click(draw, [name, n, temperature, label, seed.number], shown, seed)
    cancel_when([name.input], work)
    name.input(turn_sample, name, [label, *shown], **QUIET)
    endpoint(
        sample,
        [
            gr.Dropdown(list(NAMES), value=NAMES[0], label="Model", render=False),
            gr.Number(4, precision=0, minimum=1, maximum=MAX_IMAGES, label="Number of images", render=False),
            temperature_number(),
            gr.Dropdown([EACH, *class_names()], value=EACH, label="Class", render=False),
            seed_number(),
        ],
        [gr.Gallery(label="Images", format="png", render=False), gr.Textbox(label="How they were made", render=False)],
    )
