"""Tab Look inside: the feature maps of each layer, and where the net sees a class."""

import gradio as gr
import torch
from PIL import Image

from hub_models.images import to_sheet
from hub_models.spacekit import checks
from hub_models.spacekit.pictures import kept
from hub_models.spacekit.weights import on_gpu
from hub_models.spacekit.widgets import display

from ._photo import VIEWS, best, enlarged, from_example, from_file, heated, sources

TITLE = "Look inside"
ABOUT = """What the layers of the net make of a picture, from early ones, which find edges and colours, to deep ones,
which find parts of things; and Grad-CAM: which places speak for a class, the brighter the more."""
LIKELIEST = "likeliest"
MAX_MAPS, COLUMNS, CELL = 64, 8, 66  # feature maps shown; in a row; screen pixels a map and its border


@on_gpu
def inside(image: torch.Tensor, layer: str, label: int | None) -> tuple[torch.Tensor, torch.Tensor, int, float]:
    """uint8 (1, 3, 32, 32) -> a layer's maps (channels, h, w), a class's heat (32, 32), the class, its probability."""
    net = best()
    probabilities = net.predict(image, VIEWS)[0]
    label = int(probabilities.argmax()) if label is None else label
    maps, heat = net.feature_maps(image, layer)[0], net.grad_cam(image, label, views=VIEWS)[0]
    return maps.cpu(), heat.cpu(), label, float(probabilities[label])


def tiled(maps: torch.Tensor) -> Image.Image:
    """Maps (N, h, w) -> a sheet of them, each from its own least, black, to its own most, white."""
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    greys = 255 * (maps - low) / (high - low).clamp(min=torch.finfo(maps.dtype).tiny)
    return to_sheet(greys.round().to(torch.uint8)[:, None], COLUMNS, CELL // (maps.shape[2] + 1))


def look(image: torch.Tensor | None, layer: str, name: str) -> tuple:
    """uint8 (1, 3, 32, 32), a layer, a class or LIKELIEST -> what is shown: the picture, the heat, the maps, words.

    Without a picture yet, nothing.
    """
    if image is None:
        return (gr.skip(),) * 4
    names = best().config.names
    if name != LIKELIEST and name not in names:
        raise gr.Error(f"There is no such class: choose {LIKELIEST}, {', '.join(names)}.")
    with checks.worded():
        maps, heat, label, p = inside(image, layer, None if name == LIKELIEST else names.index(name))
    count, height, width = maps.shape
    note = f"**{names[label]}**, {100 * p:.1f} %" + ("" if heat.any() else ": no place speaks for it") + ". "
    note += f"Layer {layer}: {min(count, MAX_MAPS)} of {count} maps, {width}x{height} pixels each, "
    note += "every one drawn from its own least (black) to its own most (white)."
    return enlarged(image), heated(image, heat), kept(tiled(maps[:MAX_MAPS])), note


def inside_example(index: int, layer: str, name: str) -> tuple:
    """Look at the example of that class, and take away the visitor's own picture."""
    image = from_example(index)
    return None, *look(image, layer, name), image


def inside_file(path: str | None, layer: str, name: str) -> tuple:
    """Look at an uploaded picture or one from the camera."""
    image = from_file(path)
    return *look(image, layer, name), image


def build() -> None:
    """Make the widgets, inside a gr.Tab, and wire them."""
    layers = best().layers
    gr.Markdown(ABOUT)
    with gr.Row():
        with gr.Column():
            examples, picture = sources()
            layer = gr.Dropdown(layers, value=layers[0], label="Layer, from early to deep")
            name = gr.Dropdown([LIKELIEST, *best().config.names], value=LIKELIEST, label="Class to look for")
        with gr.Column():
            with gr.Row():
                seen = display("What it sees")
                heat = display("Where it sees the class")
            note = gr.Markdown()
            sheet = display("Feature maps")
    image = gr.State()
    options, shown = [layer, name], [seen, heat, sheet, note]
    for event, inputs, handler, outputs, api_name in (
        (examples.click, [examples, *options], inside_example, [picture, *shown, image], "inside_example"),
        (picture.upload, [picture, *options], inside_file, [*shown, image], "inside_file"),
        (layer.input, [image, *options], look, shown, "look_at_layer"),
        (name.input, [image, *options], look, shown, "look_for_class"),
    ):
        event(handler, inputs, outputs, show_progress="hidden", trigger_mode="always_last", api_name=api_name)
