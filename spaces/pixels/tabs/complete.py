"""Tab Complete: hide part of an image and watch a model fill it in."""

import contextlib
import math
import time
from collections.abc import Iterator

import gradio as gr
import numpy as np
import torch
from PIL import Image

from hub_models.causal_conv import CausalConvModel
from hub_models.spacekit import checks
from hub_models.spacekit.api import endpoint, picture_file, seed_number, temperature_number
from hub_models.spacekit.live import Snapshot, live
from hub_models.spacekit.pictures import KEPT, brushed, canvas, enlarged, kept, read_mask, sheet
from hub_models.spacekit.runs import QUIET, RunButton, cancel_when, seed_input
from hub_models.spacekit.start import load_start
from hub_models.spacekit.weights import on_gpu
from hub_models.spacekit.widgets import about, display, results, temperature_slider, unfinished, upload_button

from ._pixels import (
    LIKELIEST,
    MISSING,
    NAMES,
    captions,
    class_choice,
    class_names,
    class_of,
    example_choice,
    examples_of,
    is_digit,
    log_probs,
    model,
    models,
    offered,
    read,
    scale_of,
    title_of,
    total_nats,
    under_classes,
)

TITLE = "Complete"
ABOUT = """Hide any part of an image with the brush, and a model fills it in, row by row. All pixels that you leave stay
exactly as they are."""
MORE = """A model sees only what comes before a pixel: the rows above, and the pixels to its left. So the pixels above
and to the left of the hidden part guide it, and those below do not.

The captions say how surprising the model finds each whole image, the hidden part and the rest. A completion can be less
surprising than the truth and still look worse."""
STARTS_FROM = ("gated-pixelcnn-cifar10",)
MAX_COMPLETIONS = 8  # completions a request
FIRST = 8  # the example to start with
ORANGE = "#f97316"  # the brush
PAUSE = 0.03  # seconds a row: slow enough to watch where the model is fast


@on_gpu
def completions(
    name: str,
    given: torch.Tensor,
    known: torch.Tensor,
    n: int,
    label: torch.Tensor | None,
    temperature: float,
    seed: int,
) -> Iterator[Snapshot]:
    """Yield n completions of one image by the model of that name, uint8 (1, n, C, H, W), once per row."""
    net = model(name)
    channels, _, width = net.shape
    generator = torch.Generator().manual_seed(seed)
    options = {"label": label, "temperature": temperature, "generator": generator, "every": channels * width}
    with contextlib.closing(live(net.complete, given, known, n, **options)) as snapshots:
        yield from snapshots


def take(path: str | None, name: str, seconds: float = KEPT) -> dict:
    """Return the value of the editor for a picture file: the image as the model sees it, enlarged, nothing hidden."""
    return {"background": enlarged(read(path, model(name))[0], seconds), "layers": [], "composite": None}


def take_example(index: int, name: str) -> tuple[dict, str, None]:
    """Put an example into the editor, with its class; no picture is the visitor's own."""
    path = checks.pick(examples_of(model(name)), index)
    named = path.stem.partition("-")[2]
    photo = take(path, name, math.inf)  # for ever: one is in the page itself
    return photo, named if named in class_names() else LIKELIEST, None


def take_file(path: str | None, name: str) -> tuple[dict, str, str | None]:
    """Put an uploaded picture into the editor; the model chooses its class. Last its path, for another model."""
    return take(path, name), LIKELIEST, path


def cleared() -> tuple:
    """Return what empties the results."""
    return None, None, gr.update(value=None, visible=False), gr.update(value=None, visible=True), ""


def use_example(index: int, name: str) -> tuple:
    """Put an example into the editor, and empty the results."""
    return *take_example(index, name), *cleared()


def use_file(path: str | None, name: str) -> tuple:
    """Put an uploaded picture into the editor, and empty the results."""
    return *take_file(path, name), *cleared()


def turn_complete(name: str, photo: dict | None, path: str | None) -> tuple:
    """For another model: the choice of classes, empty results, and pictures that it can fill.

    Where the editor holds an image of another size, it gets the visitor's own picture as this model sees it, or an
    example where that cannot be read.
    """
    net = model(name)
    if photo and photo["background"] and photo["background"].size == size_of(net):
        return gr.skip(), gr.skip(), gr.update(visible=bool(net.classes)), *cleared()
    try:
        value, named, _ = take_file(path, name)
    except gr.Error:  # there is none, or it is no longer kept
        value, named, _ = take_example(FIRST, name)
    return gr.update(**offered(name)), value, gr.update(visible=bool(net.classes), value=named), *cleared()


def size_of(net: CausalConvModel) -> tuple[int, int]:
    """Return (width, height) of the pictures in the editor."""
    _, height, width = net.shape
    return width * scale_of(net), height * scale_of(net)


def hide_half(photo: dict | None, name: str) -> dict:
    """Return the value of the editor with the lower half of its picture under the brush."""
    net = model(name)
    width, height = size_of(net)
    layer = Image.new("RGBA", (width, height))
    layer.paste(ORANGE, (0, height // 2, width, height))
    return {"background": enlarged(truth_of(photo, net)[0]), "layers": [kept(layer)], "composite": None}


def truth_of(photo: dict | None, net: CausalConvModel) -> torch.Tensor:
    """Return the image in the editor as the model sees it, uint8 (1, C, H, W)."""
    background = photo and photo["background"]
    if background is None:
        raise gr.Error("There is no picture: choose an example or upload one first.")
    if background.size != size_of(net):
        wanted = "x".join(map(str, size_of(net)))
        raise gr.Error(f"The picture must be the {wanted} one that choosing it puts here: choose it again.")
    small = background.convert("L" if is_digit(net) else "RGB").resize(net.shape[:0:-1], Image.Resampling.NEAREST)
    pixels = torch.from_numpy(np.array(small)).view(*net.shape[1:], -1).permute(2, 0, 1)[None]
    return net.to_bytes(net.quantise(pixels.contiguous()))


def fill(photo: dict | None, name: str, n: int, temperature: float, class_name: str, seed: int) -> Iterator[tuple]:
    """Yield what `filling` does of the picture in the editor and the part that is under the brush."""
    net = model(name)
    truth = truth_of(photo, net)
    hidden = brushed(photo, *net.shape[1:])
    if not hidden.any():
        raise gr.Error("Nothing is hidden: go over a part of the picture with the brush.")
    yield from filling(truth, hidden, name, n, temperature, class_name, seed)


def filling(
    truth: torch.Tensor, hidden: torch.Tensor, name: str, n: int, temperature: float, class_name: str, seed: int
) -> Iterator[tuple]:
    """Fill the hidden part of an image; all but the image and the hidden part is a visitor's.

    Args:
        truth: uint8 (1, C, H, W).
        hidden: bool (1, 1, H, W).

    Yields:
        The truth, what the model is given, the sheet of completions so far, the completions with captions, and words.
    """
    net = model(name)
    n = checks.integer(n, 1, MAX_COMPLETIONS, "The number of completions")
    temperature = checks.temperature(temperature)
    seed = checks.seed(seed)
    chosen, label, named = class_of(class_name, LIKELIEST), None, ""
    given = truth.masked_fill(hidden, MISSING)
    shown = enlarged(truth[0]), enlarged(given[0])
    if net.classes:
        why = ""
        if chosen is None:
            chosen, why = int(under_classes(name, truth).sum((1, 2, 3)).argmax()), f" ({LIKELIEST})"
        label, named = torch.tensor([chosen]), f", class {class_names()[chosen]}{why}"
    made = f"{title_of(name)}{named}, seed {seed}, temperature {temperature:g}"
    yield *shown, gr.update(value=None, visible=True), gr.update(value=None, visible=False), f"Completing ... {made}."
    with contextlib.closing(completions(name, given, ~hidden, n, label, temperature, seed)) as snapshots:
        for images, done, total in snapshots:
            time.sleep(PAUSE)
            note = f"{done} of {total} values are filled. {made}."
            if done < total:
                yield *shown, sheet(images[0]), gr.skip(), note
    labels = label if label is None else label.expand(1 + n)
    log_p = log_probs(name, torch.cat([truth, images[0]]), labels)
    of_truth, *said = captions(log_p, net)
    total = "" if is_digit(net) else f", total surprise {total_nats(log_p)[0]:,.0f} nats"
    pictures = [(enlarged(image), caption) for image, caption in zip(images[0], said, strict=True)]
    note = f"**{made}.** The truth: {of_truth}{total}."
    yield *shown, gr.update(visible=False), gr.update(value=pictures, visible=True), note


def complete(
    picture: str | None,
    mask: str | None,
    name: str = NAMES[0],
    n: int = 4,
    temperature: float = 1,
    class_name: str = LIKELIEST,
    seed: int = 0,
) -> tuple[list, str]:
    """Fill the missing part of a picture with a model, in several ways.

    Args:
        picture: a picture file; the model sees it as 32x32 photograph or 28x28 digit.
        mask: a picture file, white where pixels are missing. One of a photograph's size is cut to its middle as that
            is; any other is scaled to the model's size.
        name: the model.
        n: the number of completions, 1 to 8.
        temperature: 0 to 2; 0 takes the most probable value each time.
        class_name: a class of CIFAR-10, for the gated PixelCNN on it, or "most probable class".
        seed: the same seed gives the same completions.

    Returns:
        The completions, with the surprise of each as its caption, and how they were made.
    """
    net = model(name)
    truth, missing = read(picture, net), read_mask(mask, *net.shape[1:], None if is_digit(net) else picture)
    *_, (_, _, _, pictures, note) = filling(truth, missing, name, n, temperature, class_name, seed)
    return pictures["value"], note


def start() -> tuple:
    """Compute what the tab shows before the first click: an example whose lower half is hidden, completed."""
    net = model(NAMES[0])
    path = examples_of(net)[FIRST]
    truth = read(path, net)
    hidden = torch.zeros_like(truth[:, :1], dtype=torch.bool)
    hidden[:, :, net.shape[1] // 2 :] = True
    *_, (given, whole, _, pictures, note) = filling(truth, hidden, NAMES[0], 4, 1, path.stem.partition("-")[2], 0)
    return given, whole, pictures["value"], note


def build() -> None:
    """Make the widgets, inside a gr.Tab, and wire them."""
    about(ABOUT, MORE)
    of_truth, of_given, pictures, words = load_start(__file__)
    first, named, _ = take_example(FIRST, NAMES[0])
    with gr.Row():
        with gr.Column():
            name = models()
            chosen = example_choice()
            upload = upload_button()
            brush = gr.Brush(default_size=30, colors=[ORANGE], color_mode="fixed")
            eraser = gr.Eraser(default_size=30)
            editor = canvas(first, label="Hide a part with the brush", brush=brush, eraser=eraser)
            half = gr.Button("Hide the lower half")
            label = class_choice(LIKELIEST)
            label.value = named
            with gr.Accordion("Settings", open=False):
                n = gr.Slider(1, MAX_COMPLETIONS, 4, step=1, label="Number of completions")
                temperature = temperature_slider()
                seed = seed_input()
            run = RunButton("Complete the picture", "Completing ...")
        with gr.Column():
            with gr.Row():
                truth = display("The truth", of_truth)
                given = display("What is given", of_given)
            growing = unfinished("Completions so far")
            filled = results("Completions", value=pictures, columns=2)
            note = gr.Markdown(words)
    path = gr.State()
    shown = [truth, given, growing, filled, note]
    work = run.on_click(fill, [editor, name, n, temperature, label, seed.number], shown, seed)
    cancel_when([chosen.click, upload.upload, editor.clear, name.input], work)
    latest = QUIET | {"trigger_mode": "always_last"}
    chosen.click(use_example, [chosen, name], [editor, label, path, *shown], **latest)
    upload.upload(use_file, [upload, name], [editor, label, path, *shown], **latest)
    half.click(hide_half, [editor, name], editor, **QUIET)
    editor.clear(cleared, None, shown, **latest)
    name.input(turn_complete, [name, editor, path], [chosen, editor, label, *shown], **latest)
    endpoint(
        complete,
        [
            picture_file("Picture"),
            picture_file("Mask, white where pixels are missing"),
            gr.Dropdown(list(NAMES), value=NAMES[0], label="Model", render=False),
            gr.Number(4, precision=0, minimum=1, maximum=MAX_COMPLETIONS, label="Number of completions", render=False),
            temperature_number(),
            gr.Dropdown([LIKELIEST, *class_names()], value=LIKELIEST, label="Class", render=False),
            seed_number(),
        ],
        [
            gr.Gallery(label="Completions", format="png", render=False),
            gr.Textbox(label="How they were made", render=False),
        ],
    )
