"""Tab Look inside: the feature maps of each layer, and where a net sees a class."""

import gradio as gr
import torch
from PIL import Image

from hub_models.images import to_sheet
from hub_models.spacekit import checks
from hub_models.spacekit.api import endpoint, picture_file
from hub_models.spacekit.pictures import keep, kept
from hub_models.spacekit.runs import QUIET
from hub_models.spacekit.weights import on_gpu
from hub_models.spacekit.widgets import about, answer, clear_when, display

from ._photo import (
    BEST,
    FIRST,
    NETS,
    PROBABLE,
    VIEWS,
    class_names,
    class_of,
    enlarged,
    from_example,
    from_file,
    heat_display,
    heated,
    net,
    net_choice,
    percent,
    picture_choice,
)

TITLE = "Look inside"
ABOUT = """See which places of a picture are evidence for a class, and what each layer of the net makes of the
picture."""
MORE = """The heat map comes from HiResCAM, a form of Grad-CAM. At each place it multiplies the feature maps of a layer
by how much they raise the score of the class, and adds up the products. The layer is the last one whose maps have at
least 8x8 pixels. The heat is the average over six views of the picture, scaled so that its strongest place is yellow.
Below it are the feature maps of the layer you choose. Early layers find edges and colours; deep layers find parts of
things."""
MAX_MAPS, COLUMNS, CELL = 64, 8, 66  # feature maps shown; in a row; screen pixels a map and its border


@on_gpu
def inside(
    image: torch.Tensor, name: str, label: int | None, layer: str
) -> tuple[torch.Tensor, torch.Tensor, int, float]:
    """Compute a layer's maps (channels, h, w) of an image, and a class's heat (32, 32), label and probability."""
    model = net(name)
    probabilities = model.predict(image, VIEWS)[0]
    label = int(probabilities.argmax()) if label is None else label
    maps, heat = model.feature_maps(image, layer)[0], model.grad_cam(image, label, views=VIEWS)[0]
    return maps.cpu(), heat.cpu(), label, float(probabilities[label])


def tiled(maps: torch.Tensor) -> Image.Image:
    """Draw a sheet of maps (N, h, w), each scaled from its smallest value, black, to its largest, white."""
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    greys = 255 * (maps - low) / (high - low).clamp(min=torch.finfo(maps.dtype).tiny)
    return to_sheet(greys.round().to(torch.uint8)[:, None], COLUMNS, CELL // (maps.shape[2] + 1))


def look(picture: str | None, name: str, class_name: str, layer: str) -> tuple:
    """Return what the page shows of a picture: the class, what the net sees, the heat, the layer, its maps."""
    layers, label = net(name).layers, class_of(class_name)
    checks.choice(layer, layers, "layer")
    image = from_file(picture)
    maps, heat, label, p = inside(image, name, label, layer)
    kind = "Most probable class" if class_name == PROBABLE else "Class"
    words = f"### {kind}: {class_names()[label]} ({percent(p)}), {NETS[name]}"
    if not heat.any():
        words += "\nNo place in the picture is evidence for it: the heat map is dark."
    count, height, width = maps.shape
    told = f"**Layer {layer}**, number {layers.index(layer) + 1} of {len(layers)}: {min(count, MAX_MAPS)} of its "
    told += (
        f"{count} feature maps, {width}x{height} pixels each. Each is scaled from its smallest value (black) to its "
    )
    told += "largest (white)."
    return words, enlarged(image), heated(image, heat), told, kept(tiled(maps[:MAX_MAPS]))


def turn_layers(name: str) -> dict:
    """Offer the layers of another net."""
    layers = net(name).layers
    return gr.update(choices=layers, value=layers[0])


def explain(picture: str | None, name: str = BEST, class_name: str = PROBABLE) -> tuple[str, str]:
    """Show where a net sees a class in a picture, by HiResCAM, a form of Grad-CAM.

    Args:
        picture: a PNG, JPEG, WebP, GIF, BMP or TIFF file; the net sees its middle, shrunk to 32x32 pixels.
        name: the model.
        class_name: one of the ten classes of CIFAR-10, or "most probable".

    Returns:
        The heat map over the picture, from black (no evidence) over red to yellow (strongest evidence); the class and
        its probability.
    """
    words, _, heat, *_ = look(picture, name, class_name, net(name).layers[0])
    return heat, words.removeprefix("### ")


def build() -> None:
    """Make the widgets, inside a gr.Tab, and wire them."""
    layers, classes = net(BEST).layers, [PROBABLE, *class_names()]
    first = keep(look(from_example(FIRST), BEST, PROBABLE, layers[0]))
    about(ABOUT, MORE)
    with gr.Row():
        with gr.Column():
            name = net_choice()
            picture = picture_choice()
            class_name = gr.Dropdown(classes, value=PROBABLE, label="Class to look for")
            layer = gr.Dropdown(layers, value=layers[0], label="Layer, from early to deep")
        with gr.Column():
            words = gr.Markdown(first[0])
            with gr.Row():
                seen = display("What the net sees", first[1])
                heat = heat_display(first[2])
            told = gr.Markdown(first[3])
            sheet = display("Feature maps", first[4])
    shown = [words, seen, heat, told, sheet]
    clear_when([name.input], shown)
    name.input(turn_layers, name, layer, **QUIET)  # of no name that both nets have: each turn is a change of the layer
    answer([picture.change, class_name.input, layer.change], look, [picture, name, class_name, layer], shown)
    endpoint(
        explain,
        [
            picture_file("Picture"),
            gr.Dropdown(list(NETS), value=BEST, label="Model", render=False),
            gr.Dropdown(classes, value=PROBABLE, label="Class", render=False),
        ],
        [
            gr.Image(label="Heat map", format="png", render=False),
            gr.Textbox(label="Class and its probability", render=False),
        ],
    )
