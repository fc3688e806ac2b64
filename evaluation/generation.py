"""What a likelihood alone does not say of a generator: `python -m evaluation.generation NAME --split test`.

Where its bits go, by channel and by position; how near its samples are to training images, beside how near held-out
images are, so that a copy would show; and what it makes of images of other kinds, to which a likelihood is no guard.
Beside the checkpoint it leaves, of each split, `report-SPLIT.json` with the bits by position, `report-SPLIT.png`, the
same as a picture, and `neighbours-SPLIT.png`, samples above the training images that are nearest to them.
"""

import argparse
import logging
import math

import torch
from matplotlib import pyplot as plt

from evaluation.metrics import mean_interval
from evaluation.runner import GIVEN, Measures, command, read_source, spread
from hub_models import AutoregressiveImageModel, HubModel, locate
from hub_models.base import require
from training.dashboard import figure_bytes
from training.data import ImageData, load_split
from training.pictures import sheet_bytes

logger = logging.getLogger(__name__)
SAMPLES = 16  # whose neighbours are sought
OTHERS = 200  # images of each other kind, and held-out ones whose neighbours are sought
CHANNELS = {1: ("grey",), 3: ("red", "green", "blue")}


def bits(model: AutoregressiveImageModel, data: ImageData, batch_size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Bits of each channel of each image, (N, C), and of each sub-pixel over all images, (C, H, W), float64."""
    labels = data.conditions(model)

    def score(chosen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        nats = -model.sub_pixel_log_prob(data.images[chosen], labels if labels is None else labels[chosen]).double()
        return nats.sum((2, 3)).cpu(), nats.sum(0).cpu()

    found = spread(torch.arange(len(data)).split(batch_size), score, "bits")
    images, places = zip(*found, strict=True)
    return torch.cat(images) / math.log(2), torch.stack(places).sum(0) / len(data) / math.log(2)


def other_images(data: ImageData, name: str, seed: int) -> dict[str, torch.Tensor]:
    """Images of other kinds in the shape of the data's own, uint8 (N, C, H, W) each, N at most OTHERS, by name.

    Noise, flat colour and the digits of MNIST; or, of a model of such digits, the photographs of CIFAR-10 in grey.
    """
    noise, shape = torch.Generator().manual_seed(seed), data.images[:OTHERS].shape
    found = {
        "noise": torch.randint(256, shape, dtype=torch.uint8, generator=noise),
        "flat": torch.randint(256, (*shape[:2], 1, 1), dtype=torch.uint8, generator=noise).expand(shape).contiguous(),
    }
    other = "cifar10" if name.startswith("mnist") else "mnist"
    try:
        found[other] = in_grey(load_split(other, "validation").images[: shape[0]], shape[1:])
    except FileNotFoundError as error:
        logger.warning("the likelihood of %s is left out: %s", other, error)
    return found


def in_grey(images: torch.Tensor, shape: tuple[int, int, int]) -> torch.Tensor:
    """uint8 (N, C, H, W) -> the same in grey, uint8 (N, *shape): framed in black, or the middle cut out."""
    grey = images.float().mean(1, keepdim=True).round().to(torch.uint8)
    edges = [edge for have, want in zip(grey.shape[:1:-1], shape[:0:-1], strict=True) for edge in halves(want - have)]
    return torch.nn.functional.pad(grey, edges).expand(-1, *shape).contiguous()


def halves(count: int) -> tuple[int, int]:
    """Two whole numbers, as equal as can be, whose sum is `count`."""
    return count // 2, count - count // 2


def neighbours(images: torch.Tensor, training: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Of each image (N, C, H, W) the root mean square difference to the nearest training image, and its place, (N,)."""
    ours = images.flatten(1).float()
    distances = torch.cat([torch.cdist(ours, part.flatten(1).float()) for part in training.split(5_000)], 1)
    nearest = distances.min(1)
    return nearest.values / ours.shape[1] ** 0.5, nearest.indices


def draw(model: AutoregressiveImageModel, seed: int) -> torch.Tensor:
    """The samples whose neighbours are sought, uint8 (SAMPLES, C, H, W); of a conditional model class after class."""
    label = torch.arange(SAMPLES) % model.classes if model.classes else None
    return model.sample(SAMPLES, label=label, generator=torch.Generator().manual_seed(seed))


def as_seen(model: AutoregressiveImageModel, images: torch.Tensor) -> torch.Tensor:
    """The images as the model tells them apart: of two levels black and white."""
    return model.to_bytes(model.quantise(images))


def training_images(model: AutoregressiveImageModel, name: str) -> torch.Tensor:
    """The images that a model of this data was trained on, as it sees them."""
    return as_seen(model, load_split(read_source(locate(name))["name"], "train").images)


def measure(model: HubModel, data: ImageData, args: argparse.Namespace) -> Measures:
    """Bits a dimension by channel and of other images; distances to training images; with 95 % intervals over images.

    Raises:
        ValueError: the model is no generator, or the split is the one it was trained on.
    """
    require(isinstance(model, AutoregressiveImageModel), f"{args.name} generates no images: give a model that does")
    require(args.split != "train", "of training images the nearest is each itself: give --split validation or test")
    channels, height, width = model.shape
    given = GIVEN if model.classes else ""

    def entry(metric: str, unit: str, values: torch.Tensor) -> dict:
        value, low, high = mean_interval(values)
        return {"metric": metric, "value": value, "unit": unit, "n": len(values), "interval": [low, high]}

    entries = []
    if channels > 1:  # else it is evaluation.bits_per_dim's
        by_channel = bits(model, data, args.batch_size)[0] / (height * width)  # (N, C)
        for name, values in zip(CHANNELS.get(channels, range(channels)), by_channel.t(), strict=True):
            entries.append(entry(f"bits_per_dim_{name}", "bits/dim" + given, values))
    for kind, images in other_images(data, read_source(locate(args.name))["name"], args.seed).items():
        scored = bits(model, ImageData(images, data.labels[: len(images)]), args.batch_size)[0]
        entries.append(entry(f"bits_per_dim_of_{kind}", "bits/dim" + given, scored.sum(1) / math.prod(model.shape)))
    training = training_images(model, args.name)
    held_out = as_seen(model, data.images[:OTHERS])
    for whose, images in ("samples", draw(model, args.seed)), ("held_out", held_out):
        entries.append(entry(f"nearest_training_image_{whose}", "of 255, RMS", neighbours(images, training)[0]))
    return entries


def report(
    model: HubModel, data: ImageData, args: argparse.Namespace, results: Measures
) -> tuple[dict, dict[str, bytes]]:
    """The bits by position, (C, H, W) as lists, and the two pictures as files hold them."""
    places = bits(model, data, args.batch_size)[1]
    samples, training = draw(model, args.seed), training_images(model, args.name)
    nearest = training[neighbours(samples, training)[1]]
    rows = torch.stack([samples.view(2, -1, *model.shape), nearest.view(2, -1, *model.shape)], 1).flatten(0, 2)
    found = {"n": len(data), "bits_by_position": [[[round(b, 4) for b in row] for row in c] for c in places.tolist()]}
    return found, {"report.png": draw_bits(places, results), "neighbours.png": sheet_bytes(rows, SAMPLES // 2)}


def draw_bits(places: torch.Tensor, results: Measures) -> bytes:
    """A PNG: bits by position, (C, H, W), a panel a channel; and the bits a dimension of other images."""
    channels = len(places)
    figure, axes = plt.subplots(1, channels + 1, figsize=(4 * channels + 5, 4), layout="constrained")
    top = places.max().item()
    for axis, name, bits_ in zip(axes, CHANNELS.get(channels, range(channels)), places, strict=False):
        drawn = axis.imshow(bits_.numpy(), cmap="magma", vmin=0, vmax=top, interpolation="nearest")
        axis.set(title=f"bits, {name}: {bits_.mean():.3f} a pixel", xticks=[], yticks=[])
    figure.colorbar(drawn, ax=list(axes[:-1]), label="bits a sub-pixel")
    of_others = [entry for entry in results if entry["metric"].startswith("bits_per_dim_of_")]
    labels = ["its own kind", *(entry["metric"].removeprefix("bits_per_dim_of_") for entry in of_others)]
    values = [places.mean().item(), *(entry["value"] for entry in of_others)]
    axes[-1].barh(labels, values, color=["tab:orange"] + ["tab:grey"] * len(of_others))
    axes[-1].bar_label(axes[-1].containers[0], fmt="%.2f", padding=3)
    axes[-1].set(title="bits a dimension of images of", xlim=(0, 1.15 * max(values)))
    axes[-1].invert_yaxis()
    return figure_bytes(figure)


if __name__ == "__main__":
    command(measure, __doc__, report)
