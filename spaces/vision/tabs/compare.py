"""Tab Compare: the study's net and ours before the same picture."""

import functools
from collections.abc import Callable

import gradio as gr
import torch

import hub_models
from hub_models.spacekit.weights import load_hosted, on_gpu
from hub_models.spacekit.widgets import display

from ._photo import HEADER, TOP, VIEWS, answer, best, enlarged, from_example, from_file, heated, sources

TITLE = "Compare"
ABOUT = """The same picture before two nets: a plain stack of five convolutions, trained as a study of 2025 did, and
ours. Both answer the same way, by the average over six views of the picture, and show where they see what they take it
for (Grad-CAM)."""


@functools.cache
def baseline() -> hub_models.ConvClassifier:
    """The study's net, which all visitors share."""
    return load_hosted("cnn5x32-cifar10-study", HEADER)


MODELS: dict[str, Callable[[], hub_models.ConvClassifier]] = {"The study's": baseline, "Ours": best}


@on_gpu
def answers(image: torch.Tensor) -> list[tuple[dict[str, float], torch.Tensor]]:
    """uint8 (1, 3, 32, 32) -> of each model the classes' probabilities and the likeliest one's heat (32, 32)."""
    given = []
    for model in MODELS.values():
        net = model()
        probabilities = net.predict(image, VIEWS)[0]
        heat = net.grad_cam(image, int(probabilities.argmax()), views=VIEWS)[0].cpu()
        given.append((dict(zip(net.config.names, probabilities.tolist(), strict=True)), heat))
    return given


def compare(image: torch.Tensor) -> tuple:
    """uint8 (1, 3, 32, 32) -> what is shown: the picture, and of each model what it takes it for and where."""
    return enlarged(image), *(shown for p, heat in answers(image) for shown in (p, heated(image, heat)))


def compare_example(index: int) -> tuple:
    """Compare on the example of that class, and take away the visitor's own picture."""
    return None, *compare(from_example(index))


def compare_file(path: str | None) -> tuple:
    """Compare on an uploaded picture or one from the camera."""
    return compare(from_file(path))


def build() -> None:
    """Make the widgets, inside a gr.Tab, and wire them."""
    gr.Markdown(ABOUT)
    with gr.Row():
        with gr.Column():
            examples, picture = sources()
            shown = [display("What they see")]
        for title, model in MODELS.items():
            with gr.Column():
                parameters = sum(p.numel() for p in model().parameters())
                gr.Markdown(f"### {title}\n{parameters:,} parameters")
                shown.append(gr.Label(label="What it takes it for", num_top_classes=TOP, min_width=120))
                shown.append(display("Where it sees it"))
    answer(examples, picture, compare_example, compare_file, shown)
