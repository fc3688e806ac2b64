"""The sweeps of `evaluation.sweep`: which variants each trains, what it makes of them, and its picture."""

from collections.abc import Callable

Run = Callable[..., dict]  # name of a variant, its options and a seed -> what training left of it


def validation(runs: list[dict]) -> list[float]:
    """Validation accuracies of runs in %, each of the epoch that was best there; 0 of a run that diverged."""
    return [100 * found["best_validation"]["eval_accuracy"] for found in runs]
