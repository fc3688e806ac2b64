"""Metrics as pure functions; the unit stands in each name or docstring."""

import math
from collections.abc import Sequence

import torch

Z95 = 1.959963984540054  # the normal distribution's 97.5 % point


def bits_per_dim(nats: float, dims: int) -> float:
    """Negative log-likelihood of an image in nats, and its number of sub-pixels -> bits a sub-pixel."""
    return nats / (dims * math.log(2))


def perplexity(nats: float) -> float:
    """Mean negative log-likelihood of a token in nats -> perplexity, tokens."""
    return math.exp(nats)


def exact_match(predictions: Sequence, references: Sequence) -> float:
    """Share of predictions that equal their reference, 0..1.

    Raises:
        ValueError: different or zero lengths.
    """
    if len(predictions) != len(references) or not len(references):
        raise ValueError(f"{len(predictions)} predictions for {len(references)} references: give as many, at least one")
    return sum(p == r for p, r in zip(predictions, references, strict=True)) / len(references)


def wilson_interval(right: int, count: int) -> tuple[float, float]:
    """95 % interval of a share from `right` successes in `count` trials (Wilson 1927), 0..1."""
    share, z = right / count, Z95
    centre = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * math.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return centre - half, centre + half


def mean_interval(values: torch.Tensor) -> tuple[float, float, float]:
    """Values (N,) of independent draws -> mean and its normal 95 % interval, in the values' unit."""
    values = values.double()
    mean = values.mean().item()
    half = Z95 * values.std().item() / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return mean, mean - half, mean + half
