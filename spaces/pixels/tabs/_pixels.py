"""What the tabs share: the models, pictures as these take them, and how images are shown."""

import functools
import math
from pathlib import Path

import gradio as gr
import torch
from gradio.processing_utils import save_file_to_cache
from gradio.utils import get_upload_folder
from PIL import Image

from hub_models import public
from hub_models.causal_conv import CausalConvModel
from hub_models.hosted import load_hosted, on_gpu
from hub_models.images import to_digit, to_photo, to_picture, to_sheet

HEADER = Path(__file__).parents[1] / "README.md"  # of the Space: it names the models' repositories
FOLDER = Path(__file__).parents[1] / "examples"
NAMES = (
    "gated-pixelcnn-cifar10",
    "row-lstm-cifar10",
    "pixelcnn-mnist",
    "gated-pixelcnn-mnist",
    "row-lstm-mnist",
    "diagonal-bilstm-mnist",
)
SIDE = 256  # screen pixels of an image, at most
SEEDS = 2**31
MISSING = 128  # grey: what is not filled
LIKELIEST = "likeliest"


@functools.cache
def loaded(name: str) -> CausalConvModel:
    """A checkpoint, which all tabs and visitors share."""
    return load_hosted(name, HEADER)


def model(name: str) -> CausalConvModel:
    """The checkpoint of that name, which is a visitor's."""
    if name not in NAMES:
        raise gr.Error(f"There is no such model: choose {', '.join(NAMES)}.")
    return loaded(name)


def models() -> gr.Dropdown:
    """The widget for `model`."""
    nets = {name: model(name) for name in NAMES}  # now, not when the first visitor waits
    choices = [(f"{net.title} on {'MNIST' if is_digit(net) else 'CIFAR-10'}", name) for name, net in nets.items()]
    return gr.Dropdown(choices, value=NAMES[0], label="Model")


def is_digit(net: CausalConvModel) -> bool:
    """Whether the model knows digits, not photographs."""
    return net.shape[0] == 1


def examples_of(net: CausalConvModel) -> list[Path]:
    """The pictures to begin with, one of each class."""
    return sorted(FOLDER.glob("digit-*.png" if is_digit(net) else "[0-9]-*.png"))


def class_names() -> tuple[str, ...]:
    """Names of the conditional model's classes, in the order of its labels."""
    return model(NAMES[0]).class_names


def class_choice(first: str) -> gr.Dropdown:
    """A widget for the class of a conditional model, or, before all classes, `first`."""
    return gr.Dropdown([first, *class_names()], value=first, visible=bool(model(NAMES[0]).classes), label="Class")


def class_of(name: str, first: str) -> int | None:
    """The number of the class of that name, which is a visitor's; None of `first`."""
    if name != first and name not in class_names():
        raise gr.Error(f"There is no such class: choose {first}, {', '.join(class_names())}.")
    return None if name == first else class_names().index(name)


def read(path: str | Path | None, net: CausalConvModel) -> torch.Tensor:
    """Any picture -> uint8 (1, C, H, W), as the model sees it."""

    def prepare(picture: Image.Image) -> torch.Tensor:
        return to_digit(picture) if is_digit(net) else to_photo(picture, *net.shape[1:])

    return net.to_bytes(net.quantise(public.read_picture(path, prepare, gr.Error)))


def kept(picture: Image.Image, seconds: float = public.KEPT) -> str:
    """Path of the picture as a PNG in Gradio's cache, where it stays at least so long."""
    return public.kept(picture, lambda path: save_file_to_cache(path, get_upload_folder()), seconds)


def scale_of(net: CausalConvModel) -> int:
    """Screen pixels a pixel of the model's images."""
    return SIDE // net.shape[2]


def enlarged(image: torch.Tensor, seconds: float = public.KEPT) -> str:
    """uint8 (C, H, W) -> path of a picture of it that shows each pixel."""
    return kept(to_picture(image, SIDE // image.shape[2]), seconds)


def sheet(images: torch.Tensor) -> str:
    """uint8 (N, C, H, W) -> path of a picture of them, row by row."""
    few = len(images) <= 4
    scale = max(1, SIDE // images.shape[3] // (1 if few else 2))
    return kept(to_sheet(images, columns=min(len(images), 2 if few else 4), scale=scale))


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


def examples() -> gr.Dataset:
    """The widget for an index into `examples_of` the first model; gr.update(**offered(name)) is for another."""
    return gr.Dataset(components=[gr.Image(visible=False)], type="index", **offered(NAMES[0]))


def display(caption: str) -> gr.Image:
    """A picture under its caption; Gradio's own label would lie on the picture's top."""
    with gr.Column(min_width=120):
        gr.Markdown(caption)
        return gr.Image(label=caption, show_label=False, buttons=[], interactive=False)
