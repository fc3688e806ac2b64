"""Likelihood of an image model, in bits and nats: `python -m evaluation.bits_per_dim NAME --split test`."""

import argparse

import torch

from evaluation.metrics import bits_per_dim, mean_interval
from evaluation.runner import GIVEN, Measures, command, spread
from hub_models import AutoregressiveImageModel, HubModel
from hub_models.base import require
from training.data import ImageData


def measure(model: HubModel, data: ImageData, args: argparse.Namespace) -> Measures:
    """Mean negative log-likelihood over images, in three units, each with its 95 % interval over images."""
    fits = isinstance(model, AutoregressiveImageModel)
    require(fits, f"{args.name} gives no likelihood of images: measure it with evaluation.accuracy")
    labels = data.conditions(model)

    def score(chosen: torch.Tensor) -> torch.Tensor:
        return -model.log_prob(data.images[chosen], labels if labels is None else labels[chosen]).cpu()

    nats = torch.cat(spread(torch.arange(len(data)).split(args.batch_size), score, "bits_per_dim"))
    figures = mean_interval(nats)  # mean, low, high in nats an image
    channels, height, width = model.shape

    def entry(metric: str, unit: str, convert) -> dict:
        value, low, high = map(convert, figures)
        given = GIVEN if labels is not None else ""
        return {"metric": metric, "value": value, "unit": unit + given, "n": len(data), "interval": [low, high]}

    return [
        entry("bits_per_dim", "bits/dim", lambda nats: bits_per_dim(nats, channels * height * width)),
        entry("nats_per_image", "nats/image", lambda nats: nats),
        entry("nats_per_pixel", "nats/pixel", lambda nats: nats / (height * width)),
    ]


if __name__ == "__main__":
    command(measure, __doc__)
