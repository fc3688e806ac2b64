"""Accuracy on photographs of digits: `python -m evaluation.photographs NAME --split test`.

400 digits of the split, chosen by the seed, become photographs of paper or a blackboard: 25 of each kind that
`evaluation.metrics.photographs` knows in either half. `hub_models.images.to_digit` prepares them. It was tuned on
photographs with the parameters of the first 200, TUNED. The other 200 have OTHER, most of them worse. Beside their
accuracy stands that on the same digits as they are. A photograph that is refused counts as wrong.
"""

import argparse

import numpy as np
import torch

from evaluation.metrics.photographs import KINDS, OTHER, TUNED, photograph
from evaluation.metrics.scores import wilson_interval
from evaluation.runner import Measures, advice, command, spread
from hub_models import Classifier, HubModel
from hub_models.images import to_digit
from training.data import ImageData

HALF = 200  # photographs that the preparation is tuned on, and as many others


def measure(model: HubModel, data: ImageData, args: argparse.Namespace) -> Measures:
    """Accuracies with Wilson intervals: on the other photographs, each kind of them, their digits, those tuned on."""
    if not (isinstance(model, Classifier) and model.shape == (1, 28, 28)):
        raise ValueError(f"{args.name} is no classifier of MNIST's digits: {advice(model)}")
    if len(data) < 2 * HALF:
        raise ValueError(f"{len(data)} images are too few for {2 * HALF} photographs: give a larger --limit, or none")
    data.check_labels(model.classes)
    chosen = torch.randperm(len(data), generator=torch.Generator().manual_seed(args.seed))[: 2 * HALF]
    kinds, digits, labels = list(KINDS), data.images[chosen], data.labels[chosen]

    def prepare(index: int) -> torch.Tensor | None:
        ranges, draw = (TUNED, OTHER)[index // HALF], np.random.default_rng([args.seed, index])  # an image's own
        taken = photograph(digits[index, 0].numpy(), kinds[index % len(kinds)], ranges, draw)
        try:
            return to_digit(taken)
        except ValueError:
            return None

    prepared = spread(range(2 * HALF), prepare, "photographs")
    refused = torch.tensor([digit is None for digit in prepared])
    blank = torch.zeros_like(digits[:1])
    seen = torch.cat([blank if digit is None else digit for digit in prepared])

    def correct(images: torch.Tensor) -> torch.Tensor:
        return torch.cat([model.predict(batch).argmax(-1).cpu() for batch in images.split(args.batch_size)]) == labels

    right, clean = correct(seen) & ~refused, correct(digits)

    def share(metric: str, right: torch.Tensor, of: str) -> dict:
        count, n = int(right.sum()), len(right)
        interval = [100 * end for end in wilson_interval(count, n)]
        return {"metric": metric, "value": 100 * count / n, "unit": "%", "n": n, "of": of, "interval": interval}

    return [
        share("accuracy_photographs", right[HALF:], "photographs"),
        share("accuracy_photographs_clean", clean[HALF:], "digits"),
        *(
            share(f"accuracy_photographs_{kind}", right[HALF + i :: len(kinds)], "photographs")
            for i, kind in enumerate(kinds)
        ),
        share("accuracy_photographs_tuned", right[:HALF], "photographs"),
    ]


if __name__ == "__main__":
    command(measure, __doc__)
