"""What the tabs share: the nets, the visitor's picture, and how what a net sees is shown."""

import functools
from pathlib import Path

import gradio as gr
import torch
from gradio.processing_utils import save_file_to_cache
from gradio.utils import get_upload_folder

import hub_models
from hub_models.images import to_glow, to_photo
from hub_models.spacekit import checks, pictures
from hub_models.spacekit.runs import QUIET
from hub_models.spacekit.weights import load_hosted
from hub_models.spacekit.widgets import display, gallery_of_examples, model_choice, picture_input

HEADER = Path(__file__).parents[1] / "README.md"  # of the Space: it names the models' repositories
EXAMPLES = pictures.examples(HEADER.parent, "cifar10")
FIRST = 6  # the example that the tabs open with
NETS = {"cifar10-fast": "Fast CNN (ours)", "cnn5x32-cifar10-study": "Plain CNN (2025 study)"}
BEST = "cifar10-fast"
PROBABLE = "most probable"  # in place of a class
SIDE, SCALE = 32, 8  # of the models' pictures, in pixels; screen pixels a pixel
VIEWS = 6  # of each picture, over which a net's answers are averaged
TOP = 5  # classes in a list of the most probable
BARS = {"label": f"The {TOP} most probable classes (all ten sum to 100 %)", "num_top_classes": TOP}
LEGEND = """<div style="font-size: var(--text-sm)">
<div style="height: .75rem; background: linear-gradient(to right, black, red, yellow)"></div>
<div style="display: flex; justify-content: space-between; gap: 1rem">
<span>no evidence</span><span style="text-align: right">strongest evidence for the class</span></div></div>"""
# the colours are those of `to_glow`


@functools.cache
def _loaded(name: str) -> hub_models.ConvClassifier:
    return load_hosted(name, HEADER)


def net(name: str) -> hub_models.ConvClassifier:
    """Return the net of that name, which all tabs and visitors share."""
    return _loaded(checks.choice(name, tuple(NETS), "model"))


def class_names() -> tuple[str, ...]:
    """Return the names of the ten classes, in the order of the labels."""
    return net(BEST).config.names


def class_of(name: str) -> int | None:
    """Return the label of a class of that name; None of the most probable one."""
    return checks.label(name, class_names(), PROBABLE)


def from_file(path: str | None) -> torch.Tensor:
    """Read the middle of a picture of any size and mode as the models take it, uint8 (1, 3, 32, 32)."""
    return pictures.read_picture(path, lambda picture: to_photo(picture, SIDE, SIDE))


def from_example(index: int) -> str:
    """Return the path of the example of that class, 0 to 9, in Gradio's cache."""
    return save_file_to_cache(checks.pick(EXAMPLES, index), get_upload_folder())


def enlarged(image: torch.Tensor) -> str:
    """Enlarge an image uint8 (1, 3, 32, 32) so that each pixel is seen; return the picture's path."""
    return pictures.enlarged(image[0])


def heated(image: torch.Tensor, heat: torch.Tensor) -> str:
    """Lay heat (32, 32) of 0..1 over an image uint8 (1, 3, 32, 32), dimmed; return the picture's path."""
    return enlarged(((image + to_glow(heat).float()) / 2).to(torch.uint8))


def percent(probability: float) -> str:
    """Return a probability in words."""
    return f"probability {100 * probability:.1f} %"


def prediction(probabilities: dict[str, float], name: str) -> str:
    """Return the most probable class, its probability and the net of that name, as a heading in Markdown."""
    best = max(probabilities, key=probabilities.get)
    return f"### Prediction: {best} ({percent(probabilities[best])}), {NETS[name]}"


def picture_choice() -> gr.Image:
    """Make the widget for the visitor's picture: an example, an upload or one from the camera; its value is a path."""
    picture = picture_input("Picture", from_example(FIRST))
    examples = gallery_of_examples(EXAMPLES, "Examples from CIFAR-10, not used in training")
    examples.click(from_example, examples, picture, **QUIET)
    return picture


def net_choice() -> gr.Dropdown:
    """Make the widget to choose one of the nets."""
    return model_choice([(title, name) for name, title in NETS.items()], BEST, HEADER)


def heat_display(value: str) -> gr.Image:
    """Make a heat map above its legend."""
    with gr.Column(min_width=120):
        heat = display("Where the net sees the class", value)
        gr.HTML(LEGEND)
    return heat
