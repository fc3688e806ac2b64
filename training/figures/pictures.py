"""What a model makes of held-out images, as one picture for its card."""

from pathlib import Path

import numpy as np
import torch
from matplotlib import pyplot as plt
from PIL import Image

from hub_models import AutoregressiveImageModel, ConvClassifier, HubModel
from hub_models.files import write_bytes
from hub_models.images import to_sheet
from training.data import ImageData
from training.figures.dashboard import picture_bytes, save_figure

STAGE = 10  # samples of a stage
MAX_STAGES = 8  # rows at most


def _classes(model: AutoregressiveImageModel, count: int) -> torch.Tensor | None:
    """Labels for so many samples, class after class, of a conditional model; None for another."""
    return torch.arange(count) % model.classes if model.classes else None


def _of_classes(model: AutoregressiveImageModel) -> str:
    return ", of class after class" if model.classes else ""


def draw_stage(model: AutoregressiveImageModel, path: Path) -> None:
    """Write a row of samples of a model in training; the noise is the same at every stage."""
    samples = model.sample(STAGE, label=_classes(model, STAGE), generator=torch.Generator().manual_seed(0))
    write_bytes(path, picture_bytes(to_sheet(samples, STAGE), path.suffix))


def draw_stages(model: AutoregressiveImageModel, rows: list[tuple[str, Path]], path: Path) -> str:
    """Put the rows of `draw_stage`, each with what it is called, under one another and return the caption."""
    count = min(len(rows), MAX_STAGES)
    chosen = [rows[round(i * (len(rows) - 1) / max(count - 1, 1))] for i in range(count)]  # the first and the last too
    pictures = [np.asarray(Image.open(row)) for _, row in chosen]
    path.write_bytes(picture_bytes(Image.fromarray(np.concatenate(pictures))))
    named = ", ".join(name for name, _ in chosen)
    return f"Samples from the same noise{_of_classes(model)}, from the top: {named}."


def draw_generated(model: AutoregressiveImageModel, data: ImageData, path: Path) -> str:
    """Samples above, completions of the lower part of validation images below."""
    noise = torch.Generator().manual_seed(0)
    channels, height, width = model.shape
    known = (torch.arange(height) < height * 5 // 8).view(1, 1, height, 1).expand(1, 1, height, width)
    rows = min(6, len(data))
    originals = model.to_bytes(model.quantise(data.images[:rows]))  # as the model sees them
    samples = model.sample(4 * rows, label=_classes(model, 4 * rows), generator=noise)
    label = data.first(rows).conditions(model)
    filled = model.complete(originals, known, 5, label=label, generator=noise)  # (rows, 5, C, H, W)
    masked = torch.where(known, originals, torch.full_like(originals, 64))
    right = torch.cat([masked[:, None], filled, originals[:, None]], 1)  # (rows, 7, C, H, W)
    blank = torch.full((rows, 1, channels, height, width), 128, dtype=torch.uint8)
    left = samples.view(rows, 4, channels, height, width)
    sheet = torch.cat([left, blank, right], 1).flatten(0, 1)
    path.write_bytes(picture_bytes(to_sheet(sheet, columns=12)))
    return (
        f"Left: {4 * rows} samples at temperature 1{_of_classes(model)}. Right, a row an image of the validation part: "
        "the lower three eighths missing, five completions, the original."
    )


def draw_reading(model: HubModel, data: ImageData, path: Path) -> str:
    """Images and, beneath each, the probability of each class as the pixels arrive."""
    count = min(8, len(data))
    images, labels = data.images[:count], data.labels[:count]
    probabilities = model.predict_prefixes(images).cpu()  # (8, T, classes)
    figure, axes = plt.subplots(2, count, figsize=(2 * count, 4), layout="constrained", squeeze=False)
    for k in range(count):
        axes[0, k].imshow(images[k, 0].numpy(), cmap="gray")
        axes[0, k].set_title(f"{int(labels[k])}, read as {int(probabilities[k, -1].argmax())}")
        axes[0, k].axis("off")
        axes[1, k].imshow(probabilities[k].t().numpy(), aspect="auto", vmin=0, vmax=1, interpolation="nearest")
        axes[1, k].set_yticks(range(probabilities.shape[-1]) if k == 0 else [])
        axes[1, k].set_xlabel("pixels read")
    axes[1, 0].set_ylabel("class")
    save_figure(figure, path)
    return (
        "Validation images, and the probability of each class (bright is near 1) as the pixels arrive in raster order."
    )


def draw_guesses(model: ConvClassifier, data: ImageData, path: Path) -> str:
    """Images, where their class is seen, and the likeliest classes."""
    count = min(8, len(data))
    images, labels, names = data.images[:count], data.labels[:count], model.config.names
    probabilities, heat = model.predict(images).cpu(), model.grad_cam(images).cpu()
    best = probabilities.topk(min(3, len(names)))
    figure, axes = plt.subplots(3, count, figsize=(2 * count, 6), layout="constrained", squeeze=False)
    for k in range(count):
        pixels = images[k].permute(1, 2, 0).numpy()
        for axis in axes[:2, k]:
            axis.imshow(pixels)
            axis.axis("off")
        axes[1, k].imshow(heat[k].numpy(), cmap="jet", alpha=0.45, vmin=0, vmax=1, interpolation="bilinear")
        axes[0, k].set_title(names[labels[k]])
        shown = [names[i] for i in best.indices[k]]
        axes[2, k].barh(
            shown,
            best.values[k].numpy(),
            color=["tab:green" if i == labels[k] else "tab:grey" for i in best.indices[k]],
        )
        axes[2, k].set_xlim(0, 1)
        axes[2, k].invert_yaxis()
    save_figure(figure, path)
    return (
        "Validation images; where the likeliest class is seen (HiResCAM); the three likeliest, the true one in green."
    )
