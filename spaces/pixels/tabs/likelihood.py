"""Tab How likely: what each sub-pixel of an image costs, in bits, and which class it is likeliest under."""

import math

import gradio as gr
import torch

from hub_models.images import to_glow
from hub_models.spacekit import checks
from hub_models.spacekit.pictures import enlarged, sheet
from hub_models.spacekit.widgets import display

from ._pixels import (
    LIKELIEST,
    class_choice,
    class_names,
    class_of,
    example_choice,
    examples_of,
    model,
    models,
    offered,
    read,
    under_classes,
)

TITLE = "How likely"
ABOUT = """What each pixel of an image costs a model, in bits: little where what came before, above and to the left,
gave it away, much where the model is surprised. Every value of every pixel has its probability, and their product is
the image's; the mean cost is the bits a sub-pixel (bits per dimension) by which such models are compared."""


def in_words(bits: torch.Tensor, levels: int) -> str:
    """Bits of the sub-pixels (C, H, W) of an image -> what is said of it."""
    most = math.log2(levels)
    mean, dearest = float(bits.double().mean()), float(bits.max())
    note = f"**{mean:.2f} bits a sub-pixel** on average, the dearest {dearest:.1f}; {most:g} would mean that "
    note += f"{'both' if levels == 2 else f'all {levels}'} values are equally likely. "
    if levels == 2:
        note += f"That makes {float(bits.double().sum()) * math.log(2):.1f} nats of the whole image. "
    if len(bits) == 3:
        note += "The map at the upper left is the mean of a pixel's three colours; then, row by row, come red, green "
        note += "given red, and blue given both. "
    note += f"Black is 0 bits, red {most / 2:g}, yellow {most:g}, white {1.5 * most:g} and more."
    return note


def likely(path: str | None, name: str, class_name: str) -> tuple:
    """A picture's path -> the image as the model sees it, its heat maps, words, and what class it is."""
    net = model(name)
    chosen = class_of(class_name, LIKELIEST)
    image = read(path, net)
    log_p = under_classes(name, image)  # (classes or 1, C, H, W)
    posterior, told, row = None, "", 0
    if net.classes:
        share = log_p.double().sum((1, 2, 3)).softmax(0)  # all classes equally frequent
        posterior = dict(zip(class_names(), share.tolist(), strict=True))
        row = int(share.argmax()) if chosen is None else chosen
        told = f" All this given the class **{class_names()[row]}**."
        told += " It is no classifier: it is often sure of a wrong class."
    bits = -log_p[row] / math.log(2)  # (C, H, W)
    maps = bits[None] if len(bits) == 1 else torch.cat([bits.mean(0, keepdim=True), bits])[:, None]
    glow = to_glow(maps[:, 0] / math.log2(net.config.levels))  # (maps, 3, H, W)
    return (
        enlarged(image[0]),
        sheet(glow) if len(glow) > 1 else enlarged(glow[0]),
        in_words(bits, net.config.levels) + told,
        posterior,
    )


def likely_example(index: int, name: str, class_name: str) -> tuple:
    """Score an example, and take away the visitor's own picture; last its path, to score it again."""
    path = str(checks.pick(examples_of(model(name)), index))
    return None, *likely(path, name, class_name), path


def likely_file(path: str | None, name: str, class_name: str) -> tuple:
    """Score an uploaded picture or one from the camera; last its path, to score it again."""
    return *likely(path, name, class_name), path


def likely_again(path: str | None, name: str, class_name: str) -> tuple:
    """Score the same picture, if there is one yet, given another class."""
    return likely(path, name, class_name) if path else (gr.skip(),) * 4


def turn_likely(path: str | None, name: str, class_name: str) -> tuple:
    """For another model: its examples, the choice of classes, where it knows any, and the same picture's score."""
    knows = bool(model(name).classes)
    try:
        *shown, posterior = likely_again(path, name, class_name)
    except gr.Error as error:  # this model cannot read it, or it is no longer kept: all else is turned all the same
        *shown, posterior = None, None, error.message, None
    posterior = gr.update(visible=knows) if path is None else gr.update(visible=knows, value=posterior)
    return gr.update(**offered(name)), gr.update(visible=knows), *shown, posterior


def build() -> None:
    """Make the widgets, inside a gr.Tab, and wire them."""
    gr.Markdown(ABOUT)
    with gr.Row():
        with gr.Column():
            name = models()
            label = class_choice(LIKELIEST)
            chosen = example_choice()
            picture = gr.Image(label="A picture of your own", sources=["upload", "webcam"], type="filepath", buttons=[])
            # Gradio would open the file with any of Pillow's readers, and tell nothing of a damaged one
            picture.preprocess = lambda file: file and file.path
        with gr.Column():
            with gr.Row():
                seen = display("What it sees")
                posterior = gr.Label(label="The class it is likeliest under", num_top_classes=5, min_width=200)
            maps = display("What each pixel costs")
            note = gr.Markdown()
    path = gr.State()
    shown = [seen, maps, note, posterior]
    quietly = {"show_progress": "hidden", "trigger_mode": "always_last"}
    chosen.click(likely_example, [chosen, name, label], [picture, *shown, path], api_name="likely_example", **quietly)
    picture.upload(likely_file, [picture, name, label], [*shown, path], api_name="likely_file", **quietly)
    label.input(
        likely_again, [path, name, label], shown, api_name="likely_again", **quietly
    )  # fmt: skip
    name.input(
        turn_likely, [path, name, label], [chosen, label, *shown], api_name="turn_likely", api_visibility="private",
        **quietly,
    )  # fmt: skip
