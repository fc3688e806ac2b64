"""Likelihood of an image model, in bits and nats: `python -m evaluation.bits_per_dim NAME --split test`."""

import argparse

import torch

from evaluation.metrics.scores import bits_per_dim, mean_interval
from evaluation.runner import GIVEN, Measures, advice, command, spread
from hub_models import AutoregressiveImageModel, HubModel
from training.data import ImageData

COLOURS = ("red", "green", "blue")


def measure(model: HubModel, data: ImageData, args: argparse.Namespace) -> Measures:
    """Mean negative log-likelihood over images, in three units, and of colours by channel, in bits a dimension.

    Each with its 95 % interval over images.
    """
    fits = isinstance(model, AutoregressiveImageModel)
    if not fits:
        raise ValueError(f"{args.name} gives no likelihood of images: {advice(model)}")
    labels = data.conditions(model)

    def score(chosen: torch.Tensor) -> torch.Tensor:
        log_p = model.sub_pixel_log_prob(data.images[chosen], labels if labels is None else labels[chosen])
        return -log_p.sum((2, 3)).cpu()

    by_channel = torch.cat(spread(torch.arange(len(data)).split(args.batch_size), score, "bits_per_dim"))  # (N, C)
    channels, height, width = model.shape

    def entry(metric: str, unit: str, nats: torch.Tensor, convert) -> dict:
        value, low, high = map(convert, mean_interval(nats))
        given = GIVEN if labels is not None else ""
        return {"metric": metric, "value": value, "unit": unit + given, "n": len(data), "interval": [low, high]}

    nats = by_channel.sum(1)
    entries = [
        entry("bits_per_dim", "bits/dim", nats, lambda nats: bits_per_dim(nats, channels * height * width)),
        entry("nats_per_image", "nats/image", nats, lambda nats: nats),
        entry("nats_per_pixel", "nats/pixel", nats, lambda nats: nats / (height * width)),
    ]
    for name, own in zip(COLOURS if channels == 3 else (), by_channel.t(), strict=False):
        entries.append(entry(f"bits_per_dim_{name}", "bits/dim", own, lambda nats: bits_per_dim(nats, height * width)))
    return entries


if __name__ == "__main__":
    command(measure, __doc__)
