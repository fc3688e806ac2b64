"""Accuracy of a classifier with a 95 % interval: `python -m evaluation.accuracy NAME --split test`."""

import argparse

import torch

from evaluation.metrics import mean_interval, wilson_interval
from evaluation.runner import Measures, command, spread
from hub_models import HubModel
from hub_models.base import require
from training.data import ImageData


def measure(model: HubModel, data: ImageData, args: argparse.Namespace) -> Measures:
    """Accuracy in % (Wilson interval) and cross-entropy in nats an image."""
    require(hasattr(model, "predict"), f"{args.name} is no classifier: measure it with evaluation.bits_per_dim")
    batches = data.images.split(args.batch_size)
    with torch.no_grad(), model.exact(), model.evaluating():  # as predict, but logarithms of what underflows there
        logits = torch.cat(spread(batches, lambda images: model(images)["logits"].cpu(), "accuracy"))
    right = int((logits.argmax(-1) == data.labels).sum())
    low, high = wilson_interval(right, len(data))
    nats, nats_low, nats_high = mean_interval(-logits.log_softmax(-1).gather(1, data.labels[:, None])[:, 0])
    n = len(data)
    return [
        {"metric": "accuracy", "value": 100 * right / n, "unit": "%", "n": n, "interval": [100 * low, 100 * high]},
        {"metric": "cross_entropy", "value": nats, "unit": "nats/image", "n": n, "interval": [nats_low, nats_high]},
    ]


if __name__ == "__main__":
    command(measure, __doc__)
