"""Tab Classify: what a net takes a picture for."""

import gradio as gr
import torch

from hub_models.spacekit.api import endpoint, picture_file
from hub_models.spacekit.pictures import keep
from hub_models.spacekit.weights import on_gpu
from hub_models.spacekit.widgets import about, answer, display

from ._photo import (
    BARS,
    BEST,
    FIRST,
    NETS,
    VIEWS,
    enlarged,
    from_example,
    from_file,
    net,
    net_choice,
    picture_choice,
    prediction,
)

TITLE = "Classify"
ABOUT = """A convolutional net says which of ten things a picture shows: an airplane, an automobile, a bird, a cat, a
deer, a dog, a frog, a horse, a ship or a truck. Choose an example, upload a picture, or use the camera."""
MORE = """The net sees the middle of the picture, shrunk to 32x32 pixels. It gives each of the ten classes a
probability, and all ten sum to 100 %. It knows no other class, so that it also gives an answer for a picture of
anything else. The probabilities come from the average over six views of the picture: shifted by a pixel, and mirrored.
The examples are the first image of each class among the 5,000 that were kept apart for validation."""


@on_gpu
def probabilities(image: torch.Tensor, name: str) -> dict[str, float]:
    """Compute each class's probability for an image uint8 (1, 3, 32, 32)."""
    model = net(name)
    return dict(zip(model.config.names, model.predict(image, VIEWS)[0].tolist(), strict=True))


def classify(picture: str | None, name: str = BEST) -> tuple[dict[str, float], str]:
    """Name what a picture shows, as one of the ten classes of CIFAR-10.

    Args:
        picture: a PNG, JPEG, WebP, GIF, BMP or TIFF file; the net sees its middle, shrunk to 32x32 pixels.
        name: the model.

    Returns:
        The probability of each class, and the picture as the net sees it.
    """
    image = from_file(picture)
    return probabilities(image, name), enlarged(image)


def show_classes(picture: str, name: str) -> tuple:
    """Return what the page shows of a picture: the prediction, what the net sees, the probabilities."""
    given, seen = classify(picture, name)
    return prediction(given, name), seen, given


def build() -> None:
    """Make the widgets, inside a gr.Tab, and wire them."""
    words, image, given = keep(show_classes(from_example(FIRST), BEST))
    about(ABOUT, MORE)
    with gr.Row():
        with gr.Column():
            name = net_choice()
            picture = picture_choice()
        with gr.Column():
            note = gr.Markdown(words)
            with gr.Row():
                seen = display("What the net sees", image)
                label = gr.Label(given, show_heading=False, min_width=200, **BARS)
    answer([picture.change, name.input], show_classes, [picture, name], [note, seen, label])
    endpoint(
        classify,
        [picture_file("Picture"), gr.Dropdown(list(NETS), value=BEST, label="Model", render=False)],
        [
            gr.Label(label="Probability of each class", render=False),
            gr.Image(label="What the net sees", format="png", render=False),
        ],
    )
