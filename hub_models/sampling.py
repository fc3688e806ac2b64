"""What all sampling shares: checks of its arguments, noise, and drawing one level or token from logits."""

import math
import numbers
import sys
from collections.abc import Callable

import torch

from .config import is_integer

Progress = Callable[[torch.Tensor, int, int], None]  # progress(images so far, done, total)
MAX_IMAGES = 1_000_000  # images at once
OVERFLOWN = "the model's outputs are not finite: its weights are broken, or too large for their dtype"


def check_count(n: int, what: str) -> None:
    """Refuse an n that is not a whole number of at least 1, or that is more than any memory holds.

    Raises:
        ValueError: with what was given.
    """
    if not (is_integer(n) and 1 <= n <= MAX_IMAGES):
        raise ValueError(f"n is {n!r}: ask for at least one {what}, and at most {MAX_IMAGES:,}")


def check_temperature(temperature: float) -> None:
    """Refuse a temperature that is not a finite number of at least 0.

    Raises:
        ValueError: with what was given.
    """
    number = isinstance(temperature, numbers.Real) and not isinstance(temperature, bool)
    number = number and 0 <= temperature < math.inf and int(temperature) <= sys.float_info.max
    if not number:
        raise ValueError(f"temperature is {temperature!r}: give a number of at least 0 (0 is greedy)")


def check_generator(generator: torch.Generator | None) -> None:
    """Refuse a source of noise that is not on the CPU.

    Raises:
        ValueError: with what was given.
    """
    on_cpu = generator is None or (isinstance(generator, torch.Generator) and generator.device.type == "cpu")
    if not on_cpu:
        raise ValueError(
            f"generator is {generator!r}: give a torch.Generator on the CPU; every device then draws alike"
        )


def uniform(count: int, generator: torch.Generator | None) -> torch.Tensor:
    """Return the noise that `draw` takes: float64 (count,) in [0, 1), on the CPU."""
    return torch.rand(count, generator=generator, dtype=torch.float64)


def draw(logits: torch.Tensor, temperature: float, noise: torch.Tensor) -> torch.Tensor:
    """Invert the cumulative distribution: logits (B, levels) and uniform noise (B,) in [0, 1) -> levels int64 (B,).

    One number per row decides, so that two ways of computing the same logits can be held to the same draws.

    Raises:
        ValueError: logits with a NaN or infinity among them; -inf is a level that is not drawn.
    """
    logits = logits.double()
    peak = logits.amax(-1, keepdim=True)  # of a row with a NaN this is one
    if not math.isfinite(peak.sum()):
        raise ValueError(OVERFLOWN)
    if temperature == 0:
        return logits.argmax(-1)
    logits = (logits - peak).div_(temperature)  # the maximum first: a tiny one is no NaN
    edges = logits.exp_().cumsum(-1)  # not normalised: the noise is stretched instead
    return (noise[:, None] * edges[:, -1:] >= edges[:, :-1]).sum(-1)


def narrowed(logits: torch.Tensor, temperature: float, top_k: int = 0, top_p: float = 1.0) -> torch.Tensor:
    """Divide logits (levels,) by the temperature and set those that are not to be drawn to -inf.

    The most probable is always kept; of equal ones at the border of `top_k`, all are.
    """
    if temperature == 0:
        return logits
    logits = (logits - logits.max()) / temperature  # first the maximum: a tiny temperature is no NaN
    if 0 < top_k < len(logits):
        logits = logits.where(logits >= logits.topk(top_k).values[-1], -math.inf)
    if top_p < 1:
        ordered, order = logits.sort(descending=True, stable=True)
        p = ordered.softmax(-1)
        needed = p.cumsum(-1) - p < top_p  # what comes before it is not yet enough
        needed[0] = True
        keep = torch.zeros_like(needed).scatter(0, order, needed)
        logits = logits.where(keep, -math.inf)
    return logits
