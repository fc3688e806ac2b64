"""Tab How likely: how surprising each sub-pixel of an image is, in bits, and which class explains the image best."""

import math
import time

import gradio as gr
import torch
from PIL import Image, ImageDraw, ImageFont

from hub_models.causal_conv import CausalConvModel
from hub_models.images import to_glow, to_picture
from hub_models.spacekit import checks
from hub_models.spacekit.api import endpoint, picture_file
from hub_models.spacekit.pictures import SIDE, enlarged, kept
from hub_models.spacekit.runs import QUIET
from hub_models.spacekit.start import load_start
from hub_models.spacekit.widgets import about, answer, display, picture_input

from ._pixels import (
    LIKELIEST,
    NAMES,
    class_choice,
    class_names,
    class_of,
    example_choice,
    examples_of,
    is_digit,
    model,
    models,
    offered,
    read,
    title_of,
    total_nats,
    under_classes,
)

TITLE = "How likely"
ABOUT = """See which pixels of a picture surprise a model: few bits where the pixels above and to the left gave the
value away, many where they did not."""
MORE = """A model gives each value of each pixel a probability, given all pixels before it. The surprise of a value is
-log2 of its probability, in bits. The probability of the whole image is the product over all values. The mean surprise
is called bits per dimension (bits/dim); such models are compared by it.

The class that explains a picture best is the one that gives it the highest probability, all classes being equally
frequent. The model was not trained to tell classes apart: it is often sure of a wrong one."""
CLASSES = "Class that explains this picture best (not a classifier)"
MAPS = ("Mean of the three colours", "Red", "Green, given red", "Blue, given red and green")
FIRST = 8  # the example to start with
STARTS_FROM = ("gated-pixelcnn-cifar10",)
GAP, LINE = 12, 32  # of the chart, in pixels: between maps, and the height of a line of text
PAPER, INK = "#18181b", "#fafafa"


def chart(bits: torch.Tensor, levels: int) -> str:
    """Draw how surprising each sub-pixel is, with titles and a colour bar; return the picture's path.

    Args:
        bits: of the sub-pixels, (C, H, W).
        levels: the number of values of a sub-pixel.
    """
    most = math.log2(levels)
    maps = torch.cat([bits.mean(0, keepdim=True), bits]) if len(bits) == 3 else bits
    titles = MAPS if len(bits) == 3 else ("Each pixel",)
    columns = 2 if len(maps) > 1 else 1
    side = (SIDE if columns == 2 else 2 * SIDE) // bits.shape[2] * bits.shape[2]
    rows = len(maps) // columns
    width = columns * (side + GAP) + GAP
    bar = rows * (LINE + side + GAP)  # its top
    image = Image.new("RGB", (width, bar + 2 * LINE + 3 * GAP), PAPER)
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(20)
    for i, (heat, title) in enumerate(zip(to_glow(maps / most), titles, strict=True)):
        x, y = GAP + i % columns * (side + GAP), i // columns * (LINE + side + GAP)
        pen.text((x, y + LINE / 2), title, INK, font, anchor="lm")
        image.paste(to_picture(heat, side // bits.shape[2]), (x, y + LINE))
    length = width - 2 * GAP
    ramp = torch.linspace(0, 1.5, length).expand(LINE, length)
    image.paste(to_picture(to_glow(ramp)), (GAP, bar + GAP))
    pen.rectangle((GAP, bar + GAP, GAP + length - 1, bar + GAP + LINE - 1), outline=INK)
    for share, anchor in zip((0, 1, 2, 3), ("lm", "mm", "mm", "rm"), strict=True):
        words = f"{share / 2 * most:g}{' bits' if share == 0 else ' or more' if share == 3 else ''}"
        pen.text((GAP + share / 3 * length, bar + 2 * GAP + 1.5 * LINE), words, INK, font, anchor=anchor)
    return kept(image)


def in_words(log_p: torch.Tensor, net: CausalConvModel) -> str:
    """Say how surprising an image is, from log p of its sub-pixels, (1, C, H, W)."""
    bits = -log_p / math.log(2)
    nats, levels = total_nats(log_p)[0], net.config.levels
    total = f"total surprise {nats:,.1f} nats"
    mean = f"{float(bits.double().mean()):.2f} bits/dim"
    note = f"**{total}** ({mean})" if is_digit(net) else f"**{mean}** ({total})"
    what = "the most surprising pixel" if is_digit(net) else "the most surprising value of a pixel"
    note += f"; {what} has {float(bits.max()):.1f} bits. "
    either = "both" if levels == 2 else f"all {levels}"
    return f"{note}A model that finds {either} values equally likely has {math.log2(levels):g} bits each time."


def score(path: str | None, name: str, class_name: str) -> tuple:
    """Return the image as the model sees it, its chart, words, and the share of each class."""
    net = model(name)
    chosen = class_of(class_name, LIKELIEST)
    image = read(path, net)
    log_p = under_classes(name, image)  # (classes or 1, C, H, W)
    shares, named, row = None, "", 0
    if net.classes:
        share = log_p.double().sum((1, 2, 3)).softmax(0)  # all classes equally frequent
        shares = dict(zip(class_names(), share.tolist(), strict=True))
        row = int(share.argmax()) if chosen is None else chosen
        named = f", given the class {class_names()[row]}{f' ({LIKELIEST})' if chosen is None else ''}"
    log_p = log_p[row : row + 1]
    words = f"{title_of(name)}{named}: {in_words(log_p, net)}"
    return enlarged(image[0]), chart(-log_p[0] / math.log(2), net.config.levels), words, shares


def asked_for(path: str | None) -> tuple[str | None, int]:
    """Return the path of a picture that is to be scored, and when it was chosen: chosen again, it is scored again."""
    return path, time.monotonic_ns()


def use_example(index: int, name: str) -> tuple[None, tuple]:
    """Take an example instead of the visitor's own picture."""
    return None, asked_for(str(checks.pick(examples_of(model(name)), index)))


def score_asked(asked: tuple, name: str, class_name: str) -> tuple:
    """Score what `asked_for` returned."""
    return score(asked[0], name, class_name)


def turn_score(name: str) -> tuple:
    """Return the examples of another model, and the choice and the shares of classes, where it knows any."""
    knows = gr.update(visible=bool(model(name).classes))
    return gr.update(**offered(name)), knows, knows


def likelihood(
    picture: str | None, name: str = NAMES[0], class_name: str = LIKELIEST
) -> tuple[str, str, dict[str, float] | None]:
    """Measure how surprising each pixel of a picture is to a model.

    Args:
        picture: a picture file; the model sees it as 32x32 photograph or 28x28 digit.
        name: the model.
        class_name: a class of CIFAR-10, for the gated PixelCNN on it, or "most probable class".

    Returns:
        The maps of surprise in bits as a PNG, the figures in words, and the share of each class.
    """
    _, maps, words, shares = score(picture, name, class_name)
    return maps, words, shares


def start() -> tuple:
    """Compute what the tab shows before the first click: the score of an example."""
    return score(str(examples_of(model(NAMES[0]))[FIRST]), NAMES[0], LIKELIEST)


def build() -> None:
    """Make the widgets, inside a gr.Tab, and wire them."""
    about(ABOUT, MORE)
    of_picture, of_maps, words, shares = load_start(__file__)
    with gr.Row():
        with gr.Column():
            name = models()
            label = class_choice(LIKELIEST)
            chosen = example_choice()
            picture = picture_input()
        with gr.Column():
            note = gr.Markdown(words)
            with gr.Row():
                seen = display("What the model sees", of_picture)
                with gr.Column(min_width=200):
                    gr.Markdown(CLASSES)
                    classes = gr.Label(shares, label=CLASSES, show_label=False, num_top_classes=5)
            maps = display("How surprising each pixel is", of_maps, elem_classes="smooth")
    asked = gr.State(asked_for(str(examples_of(model(NAMES[0]))[FIRST])))
    latest = QUIET | {"trigger_mode": "always_last"}
    chosen.click(use_example, [chosen, name], [picture, asked], **latest)
    picture.upload(asked_for, picture, asked, **latest)
    picture.clear(lambda: None, None, asked, **QUIET)
    name.input(turn_score, name, [chosen, label, classes], **latest)
    shown = [seen, maps, note, classes]
    answer([asked.change, label.input, name.input], score_asked, [asked, name, label], shown)
    endpoint(
        likelihood,
        [
            picture_file("Picture"),
            gr.Dropdown(list(NAMES), value=NAMES[0], label="Model", render=False),
            gr.Dropdown([LIKELIEST, *class_names()], value=LIKELIEST, label="Class", render=False),
        ],
        [
            gr.Image(label="How surprising each pixel is", format="png", render=False),
            gr.Textbox(label="In words", render=False),
            gr.Label(label=CLASSES, render=False),
        ],
    )
