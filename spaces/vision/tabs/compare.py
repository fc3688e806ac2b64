"""Tab Compare: both nets on the same picture."""

import gradio as gr
import torch

from hub_models.spacekit.pictures import keep
from hub_models.spacekit.weights import chip, on_gpu
from hub_models.spacekit.widgets import about, answer, display

from ._photo import (
    BARS,
    FIRST,
    HEADER,
    NETS,
    VIEWS,
    enlarged,
    from_example,
    from_file,
    heat_display,
    heated,
    net,
    picture_choice,
    prediction,
)

TITLE = "Compare"
ABOUT = """Two nets classify the same picture: a plain stack of five convolutions, trained as in a study of 2025, and
ours. Each heat map shows which places are evidence for the prediction above it."""
MORE = """Each net averages over six views of the picture: shifted by a pixel, and mirrored. Ours was trained on
smoothed labels, which teach a net to give lower probabilities: it is more often right than they say. The heat maps come
from HiResCAM, a form of Grad-CAM. Each is scaled so that its strongest place is yellow."""


@on_gpu
def answers(image: torch.Tensor) -> list[tuple[dict[str, float], torch.Tensor]]:
    """Compute each net's probabilities for an image uint8 (1, 3, 32, 32), and the best class's heat (32, 32)."""
    given = []
    for model in map(net, NETS):
        probabilities = model.predict(image, VIEWS)[0]
        heat = model.grad_cam(image, int(probabilities.argmax()), views=VIEWS)[0].cpu()
        given.append((dict(zip(model.config.names, probabilities.tolist(), strict=True)), heat))
    return given


def compare(picture: str) -> tuple:
    """Return what the page shows of a picture: what the nets see; of each the prediction, probabilities and heat."""
    image = from_file(picture)
    shown = [enlarged(image)]
    for name, (p, heat) in zip(NETS, answers(image), strict=True):
        shown += prediction(p, name), p, heated(image, heat)
    return tuple(shown)


def build() -> None:
    """Make the widgets, inside a gr.Tab, and wire them."""
    image, *values = keep(compare(from_example(FIRST)))
    about(ABOUT, MORE)
    with gr.Row():
        with gr.Column():
            picture = picture_choice()
            shown = [display("What the nets see", image)]
        with gr.Column(scale=2), gr.Row():
            for i, (name, title) in enumerate(NETS.items()):
                with gr.Column(min_width=240):  # two stand side by side where the page is not a phone's
                    words, given, heat = values[3 * i : 3 * i + 3]
                    gr.HTML(f"<h2>{title}</h2>{chip(name, HEADER)}")
                    shown += [gr.Markdown(words), gr.Label(given, show_heading=False, **BARS), heat_display(heat)]
    answer([picture.change], compare, [picture], shown)
