"""Tab Complete: rub out part of an image and watch a model fill it in."""

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
from hub_models.spacekit.live import Snapshot, live
from hub_models.spacekit.pictures import KEPT, brushed, canvas, enlarged, sheet
from hub_models.spacekit.runs import seed_input
from hub_models.spacekit.weights import on_gpu
from hub_models.spacekit.widgets import display, temperature_slider

from ._pixels import (
    LIKELIEST,
    MISSING,
    NAMES,
    class_choice,
    class_names,
    class_of,
    costs,
    example_choice,
    examples_of,
    is_digit,
    log_probs,
    model,
    models,
    offered,
    read,
    scale_of,
    under_classes,
    unit,
)

TITLE = "Complete"
ABOUT = """Rub out any part of an image, and a model fills it in, row by row. It sees only what comes before: known
pixels above and to the left guide it, those below do not. All known pixels stay as they are, bit for bit."""
MAX_COMPLETIONS = 8  # completions a request
FIRST = 8  # the example to start with
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
    """A model's name and the arguments of `complete`, of one image -> the images (1, n, C, H, W) as they fill."""
    net = model(name)
    channels, _, width = net.shape
    generator = torch.Generator().manual_seed(seed)
    options = {"label": label, "temperature": temperature, "generator": generator, "every": channels * width}
    with contextlib.closing(live(net.complete, given, known, n, **options)) as snapshots:
        yield from snapshots


def take(path: str | None, name: str, seconds: float = KEPT) -> dict:
    """A picture's path -> the value of the editor: the image as the model sees it, enlarged, nothing rubbed out."""
    return {"background": enlarged(read(path, model(name))[0], seconds), "layers": [], "composite": None}


def rub_example(index: int, name: str) -> tuple[dict, str, None]:
    """Put an example into the editor, with its class; no picture is the visitor's own."""
    path = checks.pick(examples_of(model(name)), index)
    named = path.stem.partition("-")[2]
    photo = take(path, name, math.inf)  # for ever: one is in the page itself
    return photo, named if named in class_names() else LIKELIEST, None


def rub_file(path: str | None, name: str) -> tuple[dict, str, str | None]:
    """Put an uploaded picture into the editor; its class is for the model to tell. Last its path, to take it anew."""
    return take(path, name), LIKELIEST, path


def turn_complete(name: str, photo: dict | None, path: str | None) -> tuple:
    """For another model: the choice of classes and, where it cannot fill what is there, the examples and the editor.

    Into that comes the visitor's own picture as this model sees it, or an example where there is none to be read.
    """
    net = model(name)
    if photo and photo["background"] and photo["background"].size == size_of(net):
        return gr.skip(), gr.skip(), gr.update(visible=bool(net.classes))
    try:
        value, named, _ = rub_file(path, name)
    except gr.Error:  # there is none, or it is no longer kept
        value, named, _ = rub_example(FIRST, name)
    return gr.update(**offered(name)), value, gr.update(visible=bool(net.classes), value=named)


def size_of(net: CausalConvModel) -> tuple[int, int]:
    """(width, height) of the pictures to rub out."""
    _, height, width = net.shape
    return width * scale_of(net), height * scale_of(net)


def truth_of(photo: dict | None, net: CausalConvModel) -> torch.Tensor:
    """The editor's value -> its image, uint8 (1, C, H, W), as the model sees it."""
    background = photo and photo["background"]
    if background is None:
        raise gr.Error("There is no picture: choose an example or upload one first.")
    if background.size != size_of(net):
        wanted = "x".join(map(str, size_of(net)))
        raise gr.Error(f"The picture must be the {wanted} one that choosing it puts here: choose it anew.")
    small = background.convert("L" if is_digit(net) else "RGB").resize(net.shape[:0:-1], Image.Resampling.NEAREST)
    pixels = torch.from_numpy(np.array(small)).view(*net.shape[1:], -1).permute(2, 0, 1)[None]
    return net.to_bytes(net.quantise(pixels.contiguous()))


def rubbed_out(photo: dict, net: CausalConvModel) -> torch.Tensor:
    """The editor's value -> bool (1, 1, H, W): pixels of which at least half is under the brush."""
    return brushed(photo, *net.shape[1:])


def complete(photo: dict | None, name: str, n: int, temperature: float, class_name: str, seed: int) -> Iterator[tuple]:
    """Yield the truth, what the model is given, the completions so far and a line of text. All that is a visitor's."""
    net = model(name)
    n = checks.integer(n, 1, MAX_COMPLETIONS, "The number of completions")
    temperature = checks.temperature(temperature)
    seed = checks.seed(seed)
    chosen, label, told = class_of(class_name, LIKELIEST), None, ""
    truth = truth_of(photo, net)
    blank = rubbed_out(photo, net)
    if not blank.any():
        raise gr.Error("Nothing is rubbed out: go over a part of the picture with the brush.")
    given = truth.masked_fill(blank, MISSING)
    shown = enlarged(truth[0]), enlarged(given[0])
    yield *shown, None, "Filling ..."
    if net.classes:
        if chosen is None:
            chosen = int(under_classes(name, truth).sum((1, 2, 3)).argmax())
            told = ", the class that the whole picture is likeliest under"
        label, told = torch.tensor([chosen]), f" As **{class_names()[chosen]}**{told}."
    with contextlib.closing(completions(name, given, ~blank, n, label, temperature, seed)) as snapshots:
        for images, done, total in snapshots:
            time.sleep(PAUSE)
            note = f"{done} of {total} sub-pixels are filled.{told}"
            if done == total:
                labels = label if label is None else label.expand(1 + n)
                cost = costs(log_probs(name, torch.cat([truth, images[0]]), labels), net)
                note += f" What each costs, in {unit(net)} (less is likelier): the truth **{cost[0]}**, "
                note += f"the completions {', '.join(cost[1:])}."
            yield *shown, sheet(images[0]), note


def build() -> None:
    """Make the widgets, inside a gr.Tab, and wire them."""
    gr.Markdown(ABOUT)
    with gr.Row():
        with gr.Column():
            name = models()
            chosen = example_choice()
            upload = gr.UploadButton("Upload a picture", file_types=["image"])
            first, named, _ = rub_example(FIRST, NAMES[0])
            brush = gr.Brush(default_size=30, colors=["#f97316"], color_mode="fixed")
            eraser = gr.Eraser(default_size=30)
            editor = canvas(first, label="Rub out with the brush", brush=brush, eraser=eraser)
            fill = gr.Button("Fill what is rubbed out", variant="primary")
        with gr.Column():
            with gr.Row():
                truth = display("The truth")
                given = display("What is given")
            filled = display("Completions")
            note = gr.Markdown()
            cancel = gr.Button("Cancel", variant="stop")
            label = class_choice(LIKELIEST)
            label.value = named
            n = gr.Slider(1, MAX_COMPLETIONS, 4, step=1, label="Number of completions")
            temperature = temperature_slider()
            seed = seed_input().number
    quietly = {"show_progress": "hidden", "trigger_mode": "always_last"}
    path = gr.State()
    chosen.click(rub_example, [chosen, name], [editor, label, path], api_name="rub_example", **quietly)
    upload.upload(rub_file, [upload, name], [editor, label, path], api_name="rub_file", **quietly)
    name.input(
        turn_complete,
        [name, editor, path],
        [chosen, editor, label],
        api_name="turn_complete",
        api_visibility="private",
        **quietly,
    )
    running = fill.click(
        complete, [editor, name, n, temperature, label, seed], [truth, given, filled, note],
        show_progress="hidden", api_name="complete",
    )  # fmt: skip
    cancel.click(None, cancels=running, api_name="cancel_complete")
