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
LIKELIEST = "likeliest"


@functools.cache
def loaded(name: str) -> CausalConvModel:
    """A checkpoint, which all tabs and visitors share."""
    return load_hosted(name, HEADER)


def model(name: str) -> CausalConvModel:
    """The checkpoint of that name, which is a visitor's."""
    return loaded(checks.choice(name, NAMES, "model"))


def title_of(name: str) -> str:
    """Return what a model is called on the page."""
    net = model(name)
    return f"{net.title} on {'MNIST' if is_digit(net) else 'CIFAR-10'}"


def models() -> gr.Dropdown:
    """Make the widget for `model`; all models are loaded now, not when the first visitor waits."""
    return model_choice([(title_of(name), name) for name in NAMES], NAMES[0], HEADER)


def is_digit(net: CausalConvModel) -> bool:
    """Whether the model knows digits, not photographs."""
    return net.shape[0] == 1


def examples_of(net: CausalConvModel) -> list[Path]:
    """The pictures to begin with, one of each class."""
    return EXAMPLES["mnist" if is_digit(net) else "cifar10"]


def class_names() -> tuple[str, ...]:
    """Names of the conditional model's classes, in the order of its labels."""
    return model(NAMES[0]).class_names


def class_choice(first: str) -> gr.Dropdown:
    """A widget for the class of a conditional model, or, before all classes, `first`."""
    return gr.Dropdown([first, *class_names()], value=first, visible=bool(model(NAMES[0]).classes), label="Class")


def class_of(name: str, first: str) -> int | None:
    """The number of the class of that name, which is a visitor's; None of `first`."""
    checks.choice(name, (first, *class_names()), "class")
    return None if name == first else class_names().index(name)


def read(path: str | Path | None, net: CausalConvModel) -> torch.Tensor:
    """Any picture -> uint8 (1, C, H, W), as the model sees it."""

    def prepare(picture: Image.Image) -> torch.Tensor:
        return to_digit(picture) if is_digit(net) else to_photo(picture, *net.shape[1:])

    return net.to_bytes(net.quantise(read_picture(path, prepare)))


def scale_of(net: CausalConvModel) -> int:
    """Screen pixels a pixel of the model's images."""
    return SIDE // net.shape[2]


@on_gpu
def log_probs(name: str, images: torch.Tensor, label: torch.Tensor | None) -> torch.Tensor:
    """uint8 (B, C, H, W), int64 (B,) of a conditional model -> log p of each sub-pixel in nats, of that shape."""
    return model(name).sub_pixel_log_prob(images, label).cpu()


def under_classes(name: str, image: torch.Tensor) -> torch.Tensor:
    """uint8 (1, C, H, W) -> its sub-pixels' log p given each class, (classes, C, H, W); (1, C, H, W) without any."""
    return _under_classes(name, image.numpy().tobytes())


@functools.lru_cache(8)  # ten times the work of one class, and asked for anew whenever a visitor changes anything else
def _under_classes(name: str, pixels: bytes) -> torch.Tensor:
    net = model(name)
    image = torch.frombuffer(bytearray(pixels), dtype=torch.uint8).view(1, *net.shape)
    if not net.classes:
        return log_probs(name, image, None)
    return log_probs(name, image.expand(net.classes, -1, -1, -1), torch.arange(net.classes))


def costs(log_p: torch.Tensor, net: CausalConvModel) -> list[str]:
    """Log p of sub-pixels, (B, C, H, W) -> what each image costs, in the unit of `unit`."""
    nats = -log_p.double().sum((1, 2, 3))
    if net.config.levels == 2:
        return [f"{cost:.1f}" for cost in nats.tolist()]
    return [f"{cost:.2f}" for cost in (nats / math.log(2) / log_p[0].numel()).tolist()]


def unit(net: CausalConvModel) -> str:
    """What `costs` are."""
    return "nats of the whole image" if net.config.levels == 2 else "bits a sub-pixel"


def offered(name: str) -> dict:
    """What the widget for an index into `examples_of` a model shows."""
    net = model(name)
    label = f"Examples from {'MNIST' if is_digit(net) else 'CIFAR-10'}, none of them trained on"
    # from Gradio's cache: in an event it takes no files of a folder that it is not started in
    return {"label": label, "samples": [[kept(Image.open(path), math.inf)] for path in examples_of(net)]}


def example_choice() -> gr.Dataset:
    """The widget for an index into `examples_of` the first model; gr.update(**offered(name)) is for another."""
    return gr.Dataset(components=[gr.Image(visible=False)], type="index", **offered(NAMES[0]))
