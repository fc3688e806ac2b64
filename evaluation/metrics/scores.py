"""Metrics as pure functions; the unit stands in each name or docstring."""

import math
from collections.abc import Callable, Sequence

import torch
from scipy.stats import t

Z95 = 1.959963984540054  # the normal distribution's 97.5 % point


def bits_per_dim(nats: float, dims: int) -> float:
    """Negative log-likelihood of an image in nats, and its number of sub-pixels -> bits a sub-pixel."""
    return nats / (dims * math.log(2))


def perplexity(nats: float) -> float:
    """Mean negative log-likelihood of a token in nats -> perplexity, tokens; infinity where no float holds it."""
    return math.exp(nats) if nats < 709 else math.inf


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
    # at 0 and 1 an end is the share itself, which rounding would leave outside
    return min(share, max(0.0, centre - half)), max(share, min(1.0, centre + half))


def mean_interval(values: torch.Tensor) -> tuple[float, float, float]:
    """Values (N,) of independent draws, one an image -> mean and its normal 95 % interval, in the values' unit.

    Raises:
        ValueError: fewer than two.
    """
    if len(values) < 2:
        raise ValueError("one image tells no interval: give at least 2")
    values = values.double()
    mean = values.mean().item()
    half = Z95 * values.std().item() / math.sqrt(len(values))
    return mean, mean - half, mean + half


def t_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Few independent values -> mean and Student's 95 % interval; with one value the interval is unbounded."""
    values = torch.tensor(values, dtype=torch.float64)
    mean, n = values.mean().item(), len(values)
    half = t.ppf(0.975, n - 1) * values.std().item() / math.sqrt(n) if n > 1 else math.inf
    return mean, mean - half, mean + half


def bootstrap_intervals(
    statistics: Callable[[torch.Tensor], Sequence[float]], count: int, seed: int
) -> list[tuple[float, float]]:
    """95 % intervals of statistics over `count` things: the middle of their values on 500 resamples with replacement.

    For statistics that are as often too high as too low; `calibration` is not, see `calibration_interval`.

    Args:
        statistics: of a resample, given as int64 places (count,).
        count: number of things.
        seed: of the resamples.
    """
    noise = torch.Generator().manual_seed(seed)
    values = [statistics(torch.randint(count, (count,), generator=noise)) for _ in range(500)]
    ends = torch.tensor([0.025, 0.975], dtype=torch.float64)
    return [tuple(ends) for ends in torch.tensor(values, dtype=torch.float64).quantile(ends, 0).T.tolist()]


def confusion_matrix(labels: torch.Tensor, predicted: torch.Tensor, classes: int) -> torch.Tensor:
    """int64 (N,) twice -> int64 (classes, classes): row, the true class; column, the predicted one."""
    return torch.bincount(labels * classes + predicted, minlength=classes**2).view(classes, classes)


def calibration(confidence: torch.Tensor, right: torch.Tensor, bins: int = 15) -> tuple[float, list[dict]]:
    """Expected calibration error, 0..1 (Guo et al., arXiv 1706.04599), and the bins that it sums.

    Args:
        confidence: (N,) probabilities of the predicted classes.
        right: bool (N,).
        bins: of equal width over 0..1; each holds its upper end.

    Returns:
        The mean of |accuracy - confidence| over bins, weighted by count, and the bins that hold anything: their `low`
        and `high`, `count`, mean `confidence` and `accuracy`.
    """
    confidence = confidence.double()
    place = (confidence * bins).ceil().long().clamp(1, bins) - 1
    filled = []
    for i in range(bins):
        inside = place == i
        if count := int(inside.sum()):
            means = {"confidence": confidence[inside].mean().item(), "accuracy": right[inside].double().mean().item()}
            filled.append({"low": i / bins, "high": (i + 1) / bins, "count": count} | means)
    error = sum(b["count"] * abs(b["accuracy"] - b["confidence"]) for b in filled) / len(confidence)
    return error, filled


def calibration_interval(confidence: torch.Tensor, right: torch.Tensor, seed: int) -> tuple[float, float]:
    """95 % interval of the expected calibration error, 0..1, which itself is biased upwards.

    Resampling adds the bias once more, so the resamples' distances from the error are taken to its other side (the
    "basic" bootstrap of Davison and Hinkley 1997). The interval reaches down to 0 where a net that is as sure as it is
    right would show such an error in more than one of 40 draws (Broecker and Smith 2007).

    Args:
        confidence: (N,) probabilities of the predicted classes.
        right: bool (N,).
        seed: of the resamples.
    """
    error = calibration(confidence, right)[0]
    ((low, high),) = bootstrap_intervals(lambda at: [calibration(confidence[at], right[at])[0]], len(right), seed)
    noise = torch.Generator().manual_seed(seed)
    draws = (torch.rand(len(right), generator=noise) < confidence for _ in range(200))
    chance = torch.tensor([calibration(confidence, drawn)[0] for drawn in draws]).quantile(0.975).item()
    return 0.0 if error <= chance else max(0.0, min(error, 2 * error - high)), max(error, 2 * error - low)
