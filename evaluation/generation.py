"""What a likelihood alone does not say of a generator: `python -m evaluation.generation NAME --split test`.

How near held-out images are to training images; and beside the checkpoint, of each split, `report-SPLIT.json`: how near
the model's own samples are to training images, so that a copy would show, mirrored ones too if it was trained on such;
where its bits go, by position; and what it makes of images of other kinds, to which a likelihood is no guard. Of the
split that the card shows (test before validation) there are `report-SPLIT.webp`, the bits as a picture, and
`neighbours-SPLIT.webp`, samples above their nearest training images.
"""

import argparse
import logging
import math

import torch

from evaluation.metrics.scores import mean_interval, t_interval
from evaluation.reports.samples import draw_bits, sections
from evaluation.runner import Measures, advice, command, read_source, spread
from hub_models import AutoregressiveImageModel, HubModel, locate
from hub_models.checkpoints import fetch
from hub_models.files import read_recipe
from hub_models.images import to_sheet
from hub_models.run_folder import RECIPE
from training.data import ImageData, load_split
from training.figures.dashboard import picture_bytes

logger = logging.getLogger(__name__)
SAMPLES = 16  # whose neighbours are sought
OTHERS = 200  # images of each other kind
CHUNK = 5_000  # training images at a time


def bits_by_position(model: AutoregressiveImageModel, data: ImageData, batch_size: int) -> torch.Tensor:
    """Bits of each sub-pixel, the mean over images, float64 (C, H, W)."""
    labels = data.conditions(model)

    def score(chosen: torch.Tensor) -> torch.Tensor:
        log_p = model.sub_pixel_log_prob(data.images[chosen], labels if labels is None else labels[chosen])
        return -log_p.double().sum(0).cpu()

    sums = spread(torch.arange(len(data)).split(batch_size), score, "bits")
    return torch.stack(sums).sum(0) / len(data) / math.log(2)


def other_images(data: ImageData, name: str, seed: int) -> dict[str, torch.Tensor]:
    """Images of other kinds in the shape of the data's own, uint8 (N, C, H, W) each, N at most OTHERS, by name.

    Noise, flat colour and the digits of MNIST; or, of a model of such digits, the photographs of CIFAR-10 in grey.
    """
    noise, shape = torch.Generator().manual_seed(seed), data.images[:OTHERS].shape
    found = {
        "noise": torch.randint(256, shape, dtype=torch.uint8, generator=noise),
        "flat colour": torch.randint(256, (*shape[:2], 1, 1), dtype=torch.uint8, generator=noise).expand(shape),
    }
    other, told = ("cifar10", "CIFAR-10 in grey") if name.startswith("mnist") else ("mnist", "MNIST in grey")
    try:
        found[told] = in_grey(load_split(other, "validation").images[: shape[0]], shape[1:])
    except FileNotFoundError as error:
        logger.warning("the likelihood of %s is left out: %s", told, error)
    return {kind: images.contiguous() for kind, images in found.items()}


def in_grey(images: torch.Tensor, shape: tuple[int, int, int]) -> torch.Tensor:
    """uint8 (N, C, H, W) -> the same in grey, uint8 (N, *shape): framed in black, or the middle cut out."""
    grey = images.float().mean(1, keepdim=True).round().to(torch.uint8)
    edges = [edge for have, want in zip(grey.shape[:1:-1], shape[:0:-1], strict=True) for edge in halves(want - have)]
    return torch.nn.functional.pad(grey, edges).expand(-1, *shape)


def halves(count: int) -> tuple[int, int]:
    """Two whole numbers, as equal as can be, whose sum is `count`."""
    return count // 2, count - count // 2


def neighbours(
    model: AutoregressiveImageModel, images: torch.Tensor, training: torch.Tensor, flip: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """The training images nearest to images, all as the model sees them.

    Args:
        images, training: uint8 (N, C, H, W) and (M, C, H, W).
        flip: whether mirrored training images count, too.

    Returns:
        The root mean square difference over sub-pixels, of 255, float64 (N,), and those nearest, uint8 (N, C, H, W).
    """
    images = as_seen(model, images)
    least, nearest = torch.full((len(images),), math.inf), torch.zeros_like(images)
    for part in training.split(CHUNK):
        part = as_seen(model, part)
        for seen in (part, part.flip(-1)) if flip else (part,):
            found = torch.cdist(images.flatten(1).float(), seen.flatten(1).float()).min(1)
            closer = found.values < least
            least = torch.where(closer, found.values, least)
            nearest[closer] = seen[found.indices[closer]]
    difference = images.double() - nearest.double()  # anew: cdist's comes from a product, and is not exact
    return difference.square().mean((1, 2, 3)).sqrt(), nearest


def as_seen(model: AutoregressiveImageModel, images: torch.Tensor) -> torch.Tensor:
    """The images as the model tells them apart: of two levels black and white."""
    return model.to_bytes(model.quantise(images))


def trained_on(name: str) -> tuple[str, torch.Tensor, bool]:
    """The name of the data that a checkpoint was trained on, its training images, and whether mirrored ones, too."""
    source = locate(name)
    data = read_source(source)["name"]
    recipe = read_recipe(fetch(source, RECIPE))
    images = load_split(data, "train").first(recipe["data"].get("limit")).images
    return data, images, bool(recipe.get("flip"))


def measure(model: HubModel, data: ImageData, args: argparse.Namespace) -> Measures:
    """How near the split's images are to training images, with its 95 % interval over images.

    Raises:
        ValueError: the model is no generator, or the split is the one it was trained on.
    """
    if not isinstance(model, AutoregressiveImageModel):
        raise ValueError(f"{args.name} generates no images: {advice(model)}")
    if args.split == "train":
        raise ValueError("of training images the nearest is each itself: give --split validation or test")
    _, training, flip = trained_on(args.name)
    value, low, high = mean_interval(neighbours(model, data.images, training, flip)[0])
    told = {"metric": "nearest_training_image", "unit": "of 255, RMS", "n": len(data)}
    return [told | {"value": value, "interval": [low, high]}]


def report(
    model: HubModel, data: ImageData, args: argparse.Namespace, results: Measures
) -> tuple[dict, dict[str, bytes]]:
    """Of the samples, of the bits and of other kinds of images; and the two pictures, as files hold them.

    The report, as JSON takes it: `bits_by_position` (C, H, W); of the `samples` their number and how near they are to
    training images, mirrored ones too where it is `mirrored`, with Student's 95 % interval; the bits a dimension of
    `others`, with 95 % intervals over images; and its `sections`, which are what a card shows of it.
    """
    name, training, flip = trained_on(args.name)
    label = torch.arange(SAMPLES) % model.classes if model.classes else None
    samples = model.sample(SAMPLES, label=label, generator=torch.Generator().manual_seed(args.seed))
    distances, nearest = neighbours(model, samples, training, flip)
    distance, low, high = t_interval(distances.tolist())
    places, others = bits_by_position(model, data, args.batch_size), []
    told = {"its own samples": samples} | other_images(data, name, args.seed)
    for kind, images in told.items():
        labels = label if images is samples else data.labels[: len(images)] if model.classes else None
        batches = torch.arange(len(images)).split(args.batch_size)
        log_p = [model.log_prob(images[at], labels if labels is None else labels[at]).cpu() for at in batches]
        value, *ends = mean_interval(-torch.cat(log_p) / math.log(2) / math.prod(model.shape))
        others.append({"kind": kind, "value": value, "interval": ends, "n": len(images)})
    found = {
        "n": len(data),
        "bits_by_position": [[[round(b, 4) for b in row] for row in channel] for channel in places.tolist()],
        "bits_per_dim": places.mean().item(),
        "samples": {"n": SAMPLES, "value": distance, "interval": [low, high]},
        "held_out": {key: results[0][key] for key in ("n", "value", "interval")},
        "mirrored": flip,
        "others": others,
    }
    found["sections"] = sections(found, args.split)
    half = SAMPLES // 2
    rows = torch.cat([samples[:half], nearest[:half], samples[half:], nearest[half:]])
    return found, {"report": draw_bits(places, others), "neighbours": picture_bytes(to_sheet(rows, half))}


if __name__ == "__main__":
    command(measure, __doc__, report)
