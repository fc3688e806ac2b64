"""Tab Classify: what the best net takes a picture for."""

import gradio as gr
import torch

from hub_models.spacekit.weights import on_gpu
from hub_models.spacekit.widgets import display

from ._photo import TOP, VIEWS, answer, best, enlarged, from_example, from_file, sources

TITLE = "Classify"
ABOUT = """A convolutional net says which of ten things a picture shows: an airplane, an automobile, a bird, a cat, a
deer, a dog, a frog, a horse, a ship or a truck. It knows nothing else, and of anything else still gives an answer. What
it sees is the picture's middle, shrunk to 32x32 pixels. The examples are the first of each class among the 5,000 images
that were kept apart for validation: no net here was trained on them."""


@on_gpu
def probabilities(image: torch.Tensor) -> dict[str, float]:
    """uint8 (1, 3, 32, 32) -> each class's probability."""
    net = best()
    return dict(zip(net.config.names, net.predict(image, VIEWS)[0].tolist(), strict=True))


def classify(image: torch.Tensor) -> tuple:
    """uint8 (1, 3, 32, 32) -> what is shown: the picture as the net sees it, and what it takes it for."""
    return enlarged(image), probabilities(image)


def classify_example(index: int) -> tuple:
    """Classify the example of that class, and take away the visitor's own picture."""
    return None, *classify(from_example(index))


def classify_file(path: str | None) -> tuple:
    """Classify an uploaded picture or one from the camera."""
    return classify(from_file(path))


def build() -> None:
    """Make the widgets, inside a gr.Tab, and wire them."""
    best()  # now, not when the first visitor waits
    gr.Markdown(ABOUT)
    with gr.Row():
        with gr.Column():
            examples, picture = sources()
        with gr.Column(), gr.Row():
            seen = display("What it sees")
            label = gr.Label(label="What it takes it for", num_top_classes=TOP, min_width=120)
    answer(examples, picture, classify_example, classify_file, [seen, label])
