"""What the tabs share: the models, pictures as these take them, and how images are shown."""

import functools
import math
from pathlib import Path

import gradio as gr
import torch
from PIL import Image

from hub_models.causal_conv import CausalConvModel
from hub_models.images import to_digit, to_photo
from hub_models.spacekit import checks
from hub_models.spacekit.pictures import SIDE, examples, kept, read_picture
from hub_models.spacekit.weights import load_hosted, on_gpu
from hub_models.spacekit.widgets import model_choice

HEADER = Path(__file__).parents[1] / "README.md"  # of the Space: it names the models' repositories
EXAMPLES = {name: examples(HEADER.parent, name) for name in ("mnist", "cifar10")}
NAMES = (
    "gated-pixelcnn-cifar10",
    "row-lstm-cifar10",
    "pixelcnn-mnist",
    "gated-pixelcnn-mnist",
    "row-lstm-mnist",
    "diagonal-bilstm-mnist",
)
MISSING = 128  # grey: what is not filled
LIKELIEST = "most probable class"
EACH = "one of each class"


@functools.cache
def loaded(name: str) -> CausalConvModel:
    """Load a checkpoint, which all tabs and visitors share."""
    return load_hosted(name, HEADER)


def model(name: str) -> CausalConvModel:
    """Return the checkpoint of a name that a visitor gave."""
    return loaded(checks.choice(name, NAMES, "model"))


def title_of(name: str) -> str:
    """Return what a model is called on the page."""
    net = model(name)
    return f"{net.title[0].upper()}{net.title[1:]} on {'MNIST' if is_digit(net) else 'CIFAR-10'}"


def models() -> gr.Dropdown:
    """Make the widget for `model`; all models are loaded now, not when the first visitor waits."""
    return model_choice([(title_of(name), name) for name in NAMES], NAMES[0], HEADER)


def is_digit(net: CausalConvModel) -> bool:
    """Return whether the model knows digits, not photographs."""
    return net.shape[0] == 1


def examples_of(net: CausalConvModel) -> list[Path]:
    """Return the example pictures for a model, one of each class."""
    return EXAMPLES["mnist" if is_digit(net) else "cifar10"]


def class_names() -> tuple[str, ...]:
    """Return the names of the conditional model's classes, in the order of its labels."""
    return model(NAMES[0]).class_names


def class_choice(first: str) -> gr.Dropdown:
    """Make the widget for the class of a conditional model; `first` stands before all classes."""
    return gr.Dropdown([first, *class_names()], value=first, visible=bool(model(NAMES[0]).classes), label="Class")


def class_of(name: str, first: str) -> int | None:
    """Return the number of the class of a name that a visitor gave; None for `first`."""
    return checks.label(name, class_names(), first)


def read(path: str | Path | None, net: CausalConvModel) -> torch.Tensor:
    """Read a picture file as the model sees it, uint8 (1, C, H, W)."""

    def prepare(picture: Image.Image) -> torch.Tensor:
        return to_digit(picture) if is_digit(net) else to_photo(picture, *net.shape[1:])

    return net.to_bytes(net.quantise(read_picture(path, prepare)))


def scale_of(net: CausalConvModel) -> int:
    """Return how many screen pixels a side a pixel of the model's images is shown with."""
    return SIDE // net.shape[2]


@on_gpu
def log_probs(name: str, images: torch.Tensor, label: torch.Tensor | None) -> torch.Tensor:
    """Compute log p of each sub-pixel in nats, (B, C, H, W), of uint8 images of that shape.

    Args:
        name: of the model.
        images: uint8 (B, C, H, W).
        label: int64 (B,) for a conditional model, else None.
    """
    return model(name).sub_pixel_log_prob(images, label).cpu()


def under_classes(name: str, image: torch.Tensor) -> torch.Tensor:
    """Compute log p of an image's sub-pixels given each class, (classes, C, H, W); without classes (1, C, H, W).

    Args:
        name: of the model.
        image: uint8 (1, C, H, W).
    """
    return _under_classes(name, image.numpy().tobytes())


@functools.lru_cache(8)  # ten times the work of one class, and asked for again when a visitor changes anything else
def _under_classes(name: str, pixels: bytes) -> torch.Tensor:
    net = model(name)
    image = torch.frombuffer(bytearray(pixels), dtype=torch.uint8).view(1, *net.shape)
    if not net.classes:
        return log_probs(name, image, None)
    return log_probs(name, image.expand(net.classes, -1, -1, -1), torch.arange(net.classes))


def total_nats(log_p: torch.Tensor) -> list[float]:
    """Return the total surprise of each image in nats, from log p of its sub-pixels, (B, C, H, W)."""
    return (-log_p.double().sum((1, 2, 3))).tolist()


def captions(log_p: torch.Tensor, net: CausalConvModel) -> list[str]:
    """Say how surprising each image is, from log p of its sub-pixels, (B, C, H, W)."""
    if is_digit(net):
        return [f"total surprise {nats:.1f} nats" for nats in total_nats(log_p)]
    return [f"{nats / math.log(2) / log_p[0].numel():.2f} bits/dim" for nats in total_nats(log_p)]


def offered(name: str) -> dict:
    """Return what the widget for an index into `examples_of` a model shows."""
    net = model(name)
    label = f"Examples from {'MNIST' if is_digit(net) else 'CIFAR-10'}, not used in training"
    # from Gradio's cache: in an event it takes no files of a folder that it is not started in
    return {"label": label, "samples": [[kept(Image.open(path), math.inf)] for path in examples_of(net)]}


def example_choice() -> gr.Dataset:
    """Make the widget for an index into `examples_of` the first model; gr.update(**offered(name)) is for another."""
    return gr.Dataset(components=[gr.Image(visible=False)], type="index", **offered(NAMES[0]))
