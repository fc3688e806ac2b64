"""Tab Sample: a model makes images of its own, row by row."""

import contextlib
import time
from collections.abc import Iterator

import gradio as gr
import torch

from hub_models import public
from hub_models.hosted import on_gpu
from hub_models.live import Snapshot, live

from ._pixels import (
    MISSING,
    SEEDS,
    class_choice,
    class_names,
    class_of,
    costs,
    display,
    log_probs,
    model,
    models,
    sheet,
    unit,
)

TITLE = "Sample"
ABOUT = """A model draws images pixel by pixel, and of each pixel red, then green, then blue: every value is drawn from
the distribution that the model gives it after all that came before. The gated PixelCNN on CIFAR-10 can be told what to
draw. Models as small and as briefly trained as these find colours and textures, and hardly ever a whole thing; most
digits can be read."""
EACH = "class after class"
MAX_IMAGES = 16  # images a request
PAUSE = 0.03  # seconds a row: slow enough to watch where the model is fast


@on_gpu
def samples(name: str, n: int, label: torch.Tensor | None, temperature: float, seed: int) -> Iterator[Snapshot]:
    """The arguments of a model's `sample` -> the images uint8 (n, C, H, W) as they fill, a snapshot a row."""
    net = model(name)
    channels, _, width = net.shape
    generator = torch.Generator().manual_seed(seed)
    options = {"label": label, "temperature": temperature, "generator": generator, "every": channels * width}
    with contextlib.closing(live(net.sample, n, **options)) as snapshots:
        yield from snapshots


def sample(name: str, n: int, temperature: float, class_name: str, seed: int) -> Iterator[tuple]:
    """Yield the sheet of images so far, what is to come grey, and a line of text. All arguments are a visitor's."""
    net = model(name)
    n = public.integer(n, 1, MAX_IMAGES, "The number of images", gr.Error)
    temperature = public.number(temperature, 0, 2, "The temperature", gr.Error)
    seed = public.integer(seed, 0, SEEDS - 1, "The seed", gr.Error)
    chosen, label, named = class_of(class_name, EACH), None, [""] * n
    if net.classes:
        label = torch.arange(n) % net.classes if chosen is None else torch.full((n,), chosen)
        named = [f"{class_names()[i]} " for i in label.tolist()]
    channels, height, width = net.shape
    place = torch.arange(height * width).view(height, width)
    yield None, "Sampling ..."
    with contextlib.closing(samples(name, n, label, temperature, seed)) as snapshots:
        for images, done, total in snapshots:
            time.sleep(PAUSE)
            note = f"{done // (channels * width)} of {height} rows are drawn."
            if done == total:
                scores = costs(log_probs(name, images, label), net)
                told = [f"{who}{score}" for who, score in zip(named, scores, strict=True)]
                note += f" What each costs, row by row, in {unit(net)} (less is likelier): {', '.join(told)}."
            yield sheet(images.where(place < done // channels, MISSING)), note


def turn_sample(name: str) -> dict:
    """For another model: the choice of classes, where it knows any."""
    return gr.update(visible=bool(model(name).classes))


def build() -> None:
    """Make the widgets, inside a gr.Tab, and wire them."""
    gr.Markdown(ABOUT)
    with gr.Row():
        with gr.Column():
            name = models()
            label = class_choice(EACH)
            n = gr.Slider(1, MAX_IMAGES, 4, step=1, label="Number of images")
            temperature = gr.Slider(0, 2, 1, step=0.05, label="Temperature (at 0 the likeliest value, always)")
            seed = gr.Number(0, minimum=0, maximum=SEEDS - 1, precision=0, label="Seed (the same draws the same)")
            with gr.Row():
                start = gr.Button("Draw images", variant="primary")
                cancel = gr.Button("Cancel", variant="stop")
        with gr.Column():
            drawn = display("Samples")
            note = gr.Markdown()
    running = start.click(
        sample, [name, n, temperature, label, seed], [drawn, note], show_progress="hidden", api_name="sample"
    )
    cancel.click(None, cancels=running, api_name="cancel_sample")
    name.input(turn_sample, name, label, show_progress="hidden", api_name="turn_sample", api_visibility="private")
