"""A run's history as a table and as one picture."""

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import matplotlib
from PIL import Image

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402 (the backend is chosen first)

RUN = ("learning_rate", "gradient_norm", "minutes", "peak_memory_mib")  # columns of every history
PARTS = {"training": "train", "validation": "validation"}
COLUMNS, ROWS = 3, 3  # of panels


class Measured(Protocol):
    """What a plot needs of a training task: what it measures, and the units of its loss."""

    metrics: tuple[str, ...]
    unit: str
    bits: str


def write_history(log: list[dict], metrics: Sequence[str], path: Path) -> list[dict]:
    """Write one row per validation of Trainer's log as CSV, and return the rows.

    `train_*` are means over the training batches since the row before, so they lag a validation at the row's end.
    `minutes` is wall time since the row before, validation included.

    Args:
        log: the state's `log_history`.
        metrics: what training and validation measure, the loss first.
        path: of the CSV.
    """
    rows, logged, last = [], [], {}
    for entry in log:
        if "loss" in entry:
            logged.append(entry)
            last = entry
        if "eval_loss" in entry:
            row = {"epoch": entry["epoch"], "step": entry["step"]}
            for metric in metrics:
                values = [found[metric] for found in logged if metric in found]  # older logs have the loss alone
                row[f"train_{metric}"] = sum(values) / len(values) if values else None
                row[f"validation_{metric}"] = entry[f"eval_{metric}"]
            row |= {"learning_rate": last.get("learning_rate"), "gradient_norm": last.get("grad_norm")}
            rows.append(row | {name: entry[name] for name in ("minutes", "peak_memory_mib")})
            logged = []
    measured = [f"{part}_{metric}" for metric in metrics for part in PARTS.values()]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["epoch", "step", *measured, *RUN], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return rows


def read_history(path: Path) -> list[dict]:
    """Read the rows that `write_history` wrote, as numbers; None where a cell is empty."""
    with path.open(encoding="utf-8", newline="") as file:
        return [{k: float(v) if v else None for k, v in row.items()} for row in csv.DictReader(file)]


def scale(metric: str) -> tuple[float, str]:
    """The factor and the unit with which plots show a metric other than the loss."""
    return (100, "%") if metric == "accuracy" else (1, "")


def draw_dashboard(history: list[dict], task: Measured, path: Path) -> None:
    """Draw the curves of a run: what it measures in training and validation, how that changes, and what it took.

    Args:
        history: what `write_history` returned.
        task: names the metrics and their units.
        path: of the picture.
    """
    figure, axes = plt.subplots(ROWS, COLUMNS, figsize=(14, 10), layout="constrained")
    panels = iter(axes.flat)
    column = {name: [row[name] for row in history] for name in history[0]}
    train, validation = column["train_loss"], column["validation_loss"]
    steps = [*zip(validation, validation[1:], strict=False)]
    marker = "o" if len(history) < 40 else None

    def panel(title: str, unit: str, lines: dict[str, list], **style) -> plt.Axes:
        axis = next(panels)
        for label, values in lines.items():
            points = [(x, y) for x, y in zip(column["epoch"], values, strict=True) if y is not None]
            if points:
                axis.plot(*zip(*points, strict=True), marker=marker, markersize=3, label=label, **style)
        axis.set(title=title, xlabel="epoch", ylabel=unit)
        axis.grid(alpha=0.3)
        if len(axis.get_lines()) > 1:
            axis.legend()
        return axis

    for title in ("loss", "loss, logarithmic"):
        axis = panel(title, task.unit, {"training": train, "validation": validation})
        if title != "loss" and any(value and value > 0 for value in validation):
            axis.set_yscale("log")
        if task.bits:
            second = axis.secondary_yaxis("right", functions=(lambda x: x / math.log(2), lambda x: x * math.log(2)))
            second.set_ylabel(task.bits)
    for metric in task.metrics[1:2]:  # there is room for one
        factor, unit = scale(metric)
        found = {part: column[f"{name}_{metric}"] for part, name in PARTS.items()}
        panel(metric, unit, {k: [None if v is None else factor * v for v in vs] for k, vs in found.items()})
    if not task.metrics[1:]:
        panel("gradient norm before clipping", "", {"": column["gradient_norm"]}, color="tab:green")
    better = [None] + [100 * (a - b) / a if a else None for a, b in steps]
    change = [None] + [b - a for a, b in steps]
    gap = [None if t is None else v - t for t, v in zip(train, validation, strict=True)]
    for title, unit, values in (
        ("improvement of validation loss", "%", better),
        ("change of validation loss", task.unit, change),
        ("validation loss - training loss", task.unit, gap),
    ):
        panel(title, unit, {"": values}, color="tab:red").axhline(0, color="grey", linewidth=0.8)
    panel("learning rate", "", {"": column["learning_rate"]}, color="tab:purple")
    for title, unit, name in ("time between validations", "minutes", "minutes"), ("peak memory", "MiB", RUN[-1]):
        panel(title, unit, {"": column[name]}, color="tab:brown").set_ylim(0, 1.1 * max(column[name]))
    save_figure(figure, path)


def save_figure(figure: plt.Figure, path: Path) -> None:
    """Write `figure_bytes` to a file that ends in .webp or .png."""
    path.write_bytes(figure_bytes(figure, path.suffix))


def figure_bytes(figure: plt.Figure, suffix: str = ".webp") -> bytes:
    """Draw a figure as `picture_bytes` in 128 colours, a third of the size of all its colours; close the figure."""
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=80)
    plt.close(figure)
    return picture_bytes(Image.open(drawn).convert("RGB").quantize(128), suffix)


def picture_bytes(picture: Image.Image, suffix: str = ".webp") -> bytes:
    """Encode a picture without loss, as a ".webp" or ".png" file."""
    webp = {"format": "WEBP", "lossless": True, "exact": True}  # of transparent pixels, too
    options = {".webp": webp, ".png": {"format": "PNG", "optimize": True}}[suffix]
    file = io.BytesIO()
    picture.save(file, **options)
    return file.getvalue()
