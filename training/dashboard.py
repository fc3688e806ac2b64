"""A run's history as a table and as one picture."""

import csv
import io
from pathlib import Path

import matplotlib
from PIL import Image

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402 (the backend is chosen first)

COLUMNS = ("epoch", "step", "train_loss", "validation_loss", "validation_accuracy", "learning_rate", "gradient_norm")
COLUMNS += ("minutes", "peak_memory_mib")


def write_history(log: list[dict], path: Path) -> list[dict]:
    """Trainer's log -> one row a validation, written as CSV and returned.

    `train_loss` is the mean of the training losses logged since the row before, so it lags a validation at the row's
    end; `minutes` is wall time since the row before, validation included.
    """
    rows, losses, last = [], [], {}
    for entry in log:
        if "loss" in entry:
            losses.append(entry["loss"])
            last = entry
        if "eval_loss" in entry:
            rows.append(
                {
                    "epoch": entry["epoch"],
                    "step": entry["step"],
                    "train_loss": sum(losses) / len(losses) if losses else None,
                    "validation_loss": entry["eval_loss"],
                    "validation_accuracy": entry.get("eval_accuracy"),
                    "learning_rate": last.get("learning_rate"),
                    "gradient_norm": last.get("grad_norm"),
                    "minutes": entry["minutes"],
                    "peak_memory_mib": entry["peak_memory_mib"],
                }
            )
            losses = []
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return rows


def draw_dashboard(history: list[dict], path: Path) -> None:
    """Eight panels: loss, its logarithm, its change, the gap, accuracy or rate, gradient norm, minutes, memory."""
    figure, axes = plt.subplots(2, 4, figsize=(17, 7.5), layout="constrained")
    names = ("loss", "log", "change", "gap", "accuracy", "rate", "minutes", "memory")
    panels = dict(zip(names, axes.flat, strict=True))
    column = {name: [row[name] for row in history] for name in COLUMNS}
    epochs, train, validation = column["epoch"], column["train_loss"], column["validation_loss"]
    marker = "o" if len(history) < 40 else None

    def line(panel: str, values: list, label: str | None = None, **style) -> None:
        points = [(x, y) for x, y in zip(epochs, values, strict=True) if y is not None]
        if points:
            panels[panel].plot(*zip(*points, strict=True), marker=marker, markersize=3, label=label, **style)

    for panel in ("loss", "log"):
        line(panel, train, "training")
        line(panel, validation, "validation")
        panels[panel].legend()
        panels[panel].set_ylabel("loss (nats)")
    if any(value and value > 0 for value in validation):
        panels["log"].set_yscale("log")
    change = [None] + [b - a for a, b in zip(validation, validation[1:], strict=False)]
    line("change", change, color="tab:orange")
    line("gap", [None if t is None else v - t for t, v in zip(train, validation, strict=True)], color="tab:red")
    for panel in ("change", "gap"):
        panels[panel].axhline(0, color="grey", linewidth=0.8)
    if any(value is not None for value in column["validation_accuracy"]):
        line("accuracy", [None if v is None else 100 * v for v in column["validation_accuracy"]], color="tab:green")
        panels["accuracy"].set(title="validation accuracy", ylabel="%")
    else:
        line("accuracy", column["gradient_norm"], color="tab:green")
        panels["accuracy"].set(title="gradient norm before clipping")
    line("rate", column["learning_rate"], color="tab:purple")
    line("minutes", column["minutes"], color="tab:brown")
    line("memory", column["peak_memory_mib"], color="tab:grey")
    for panel, name in ("minutes", "minutes"), ("memory", "peak_memory_mib"):
        panels[panel].set_ylim(0, 1.1 * max(column[name]))
    titles = {
        "loss": "loss",
        "log": "loss, logarithmic",
        "change": "change of validation loss",
        "gap": "validation loss - training loss",
        "rate": "learning rate",
        "minutes": "minutes between validations",
        "memory": "peak memory (MiB)",
    }
    for panel, axis in panels.items():
        axis.set_title(titles.get(panel, axis.get_title()))
        axis.set_xlabel("epoch")
        axis.grid(alpha=0.3)
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
