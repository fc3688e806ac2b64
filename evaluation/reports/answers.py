"""The report on a classifier's answers: its sections and pictures; `evaluation.accuracy` says what it holds."""

import io

import numpy as np
import torch
from matplotlib import pyplot as plt
from PIL import Image

from evaluation.reports import section
from hub_models.images import to_picture, to_sheet
from hub_models.run_folder import picture_name
from training.figures.dashboard import figure_bytes

CELL = 8  # images kept of each cell of the confusion matrix
TILE_COLUMNS = 20  # of the picture that holds them
SHOWN = 32  # mistakes on a card


def sections(report: dict, split: str) -> list[dict]:
    """Make the sections of a report on a split from its numbers; see `evaluation.accuracy.report`."""
    names = report["names"]
    classes = [
        [row["name"], *(f"{row[score]:.2f} %" for score in ("precision", "recall", "f1")), str(row["support"])]
        for row in report["per_class"]
    ]
    counts = [[f"**{name}**", *map(str, row)] for name, row in zip(names, report["confusion"], strict=True)]
    return [
        section("Confusion matrix, classes, reliability, robustness", picture=picture_name("report", split)),
        section("Each class", f"Of {report['n']:,} images.", ("class", "precision", "recall", "F1", "images"), classes),
        section("Confusion matrix", "", ("true class, taken for", *names), counts),
        section("The most confident mistakes", picture=picture_name("mistakes", split)),
    ]


def most_confident(labels: torch.Tensor, predicted: torch.Tensor, confidence: torch.Tensor) -> torch.Tensor:
    """Places of up to CELL images of each pair of true and predicted class, the most confident first; all (N,)."""
    order, counts, chosen = confidence.argsort(descending=True, stable=True), {}, []
    for i in order.tolist():
        cell = int(labels[i]), int(predicted[i])
        counts[cell] = counts.get(cell, 0) + 1
        if counts[cell] <= CELL:
            chosen.append(i)
    return torch.tensor(chosen)


def draw_tiles(images: torch.Tensor) -> bytes:
    """uint8 (N, C, H, W) -> a WebP of them side by side without gaps, TILE_COLUMNS in a row."""
    file = io.BytesIO()
    to_sheet(images, TILE_COLUMNS, scale=1, gap=0).convert("RGB").save(file, "WEBP", quality=75, method=6)
    return file.getvalue()


def draw_mistakes(images: torch.Tensor, tiles: list[dict], names: list[str]) -> bytes:
    """Mistakes, uint8 (N, C, H, W), and of each what a report's tile says -> a WebP of them with what they are."""
    figure, axes = plt.subplots(max(1, -(-len(tiles) // 8)), 8, figsize=(13, 8), layout="constrained", squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, image, tile in zip(axes.flat, images, tiles, strict=False):
        label, predicted = (names[tile[key]] for key in ("label", "predicted"))
        axis.imshow(np.asarray(to_picture(image).convert("RGB")))
        axis.set_title(f"{label}\nas {predicted}, {100 * tile['confidence']:.1f} %", fontsize=10)
    drawn, file = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, dpi=70)
    plt.close(figure)
    Image.open(drawn).convert("RGB").save(file, "WEBP", quality=70, method=6)
    return file.getvalue()


def draw_report(report: dict, part: str) -> bytes:
    """A WebP of four panels: the confusion matrix, precision and recall of each class, reliability, robustness.

    Args:
        report: see `evaluation.accuracy.report`.
        part: which of the split's images it is of, in words, or "".
    """
    figure, axes = plt.subplots(2, 2, figsize=(15, 12), layout="constrained")
    figure.suptitle(f"{report['n']:,} images" + (f", the {part}" if part else ""))
    _draw_confusion(axes[0, 0], report)
    _draw_classes(axes[0, 1], report)
    _draw_reliability(axes[1, 0], report)
    _draw_corruptions(axes[1, 1], report)
    return figure_bytes(figure)


def _draw_confusion(axis: plt.Axes, report: dict) -> None:
    counts, names = np.array(report["confusion"]), report["names"]
    shares = counts / counts.sum(1, keepdims=True).clip(1)
    axis.imshow(np.sqrt(shares), cmap="Blues", vmin=0, vmax=1)  # the root: few mistakes, yet to be seen
    for (row, column), count in np.ndenumerate(counts):
        if count:
            shade = "white" if shares[row, column] > 0.4 else "black"
            axis.text(column, row, count, ha="center", va="center", color=shade, fontsize=9)
    axis.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axis.set_yticks(range(len(names)), names)
    axis.set(title="confusion matrix", xlabel="taken for", ylabel="true class")


def _draw_classes(axis: plt.Axes, report: dict) -> None:
    places = np.arange(len(report["names"]))
    for mark, score, label in ("^", "precision", "precision"), ("v", "recall", "recall"), ("o", "f1", "F1"):
        axis.plot(places, [row[score] for row in report["per_class"]], mark, label=label)
    axis.set_xticks(places, report["names"], rotation=45, ha="right")
    axis.set(title="each class", ylabel="%")
    axis.legend(loc="upper center", ncols=3, bbox_to_anchor=(0.5, -0.2))
    axis.grid(axis="y", alpha=0.3)


def _draw_reliability(axis: plt.Axes, report: dict) -> None:
    bins = report["bins"]
    axis.bar(
        [b["low"] for b in bins],
        [b["accuracy"] for b in bins],
        [b["high"] - b["low"] for b in bins],
        align="edge",
        alpha=0.6,
        edgecolor="white",
    )
    axis.plot([b["confidence"] for b in bins], [b["accuracy"] for b in bins], "o", color="tab:orange")
    for b in bins:
        axis.text((b["low"] + b["high"]) / 2, 0.01, b["count"], ha="center", fontsize=8)
    axis.plot([0, 1], [0, 1], "--", color="grey")
    axis.set(title="reliability (images in each bin below)", xlabel="confidence", ylabel="accuracy")
    axis.set(xlim=(0, 1), ylim=(0, 1))


def _draw_corruptions(axis: plt.Axes, report: dict) -> None:
    rows = report["corruptions"]
    axis.set_title("accuracy under corruptions (%)")
    if not rows:
        axis.text(0.5, 0.5, "colour images only", ha="center")
        axis.axis("off")
        return
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    labels = [f"{row['kind']} {row['severity']}" for row in rows]
    colours = [f"C{kinds.index(row['kind'])}" for row in rows]
    errors = [[row["value"] - row["interval"][0] for row in rows], [row["interval"][1] - row["value"] for row in rows]]
    axis.barh(labels, [row["value"] for row in rows], xerr=errors, color=colours, alpha=0.8)
    counts = np.array(report["confusion"])
    axis.axvline(100 * np.trace(counts) / counts.sum(), color="black", linestyle="--", label="as they are")
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.05))  # off the bars
    axis.invert_yaxis()
    axis.set_xlim(0, 100)
