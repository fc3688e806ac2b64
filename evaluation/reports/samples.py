"""The report on an image generator: its sections and pictures; `evaluation.generation` says what it holds."""

import torch
from matplotlib import pyplot as plt

from evaluation.bits_per_dim import COLOURS
from evaluation.reports import section
from hub_models.run_folder import picture_name
from training.figures.dashboard import figure_bytes

CHANNELS = {1: ("grey",), 3: COLOURS}
GUARD = (
    "A likelihood is no guard against images of other kinds. Samples that cost more bits than true images are those of "
    "a model that is still far from its data: each odd value leads to odder ones."
)


def sections(report: dict, split: str) -> list[dict]:
    """Make the sections of a report on a split from its numbers; see `evaluation.generation.report`."""

    def row(kind: str, found: dict, form: str) -> list[str]:
        low, high = (format(end, form) for end in found["interval"])
        return [kind, format(found["value"], form), f"{low} to {high}", f"{found['n']:,}"]

    own = ["its own kind", f"{report['bits_per_dim']:.3f}", "", f"{report['n']:,}"]
    mirrored = ", mirrored or not" if report["mirrored"] else ""
    return [
        section(
            "Bits by position and of other images",
            "Where its bits go, by position, and the bits of images of other kinds.",
            picture=picture_name("report", split),
        ),
        section(
            "Images of other kinds",
            GUARD,
            ("images of", "bits a dimension, on average", "95 %", "images"),
            [own, *(row(other["kind"], other, ".3f") for other in report["others"])],
        ),
        section(
            "Samples and their nearest training images",
            "Samples and, beneath each row of them, the training images nearest to them: a copy would show.",
            picture=picture_name("neighbours", split),
        ),
        section(
            "Distance from training images",
            f"How much an image differs from the training image nearest to it{mirrored}: the root mean square over "
            "sub-pixels, of 255.",
            ("of", "difference, on average", "95 %", "images"),
            [row("samples", report["samples"], ".1f"), row(f"{split} images", report["held_out"], ".1f")],
        ),
    ]


def draw_bits(places: torch.Tensor, others: list[dict]) -> bytes:
    """A WebP: bits by position, (C, H, W), a panel a channel; and the bits a dimension of other images."""
    channels = len(places)
    figure, axes = plt.subplots(1, channels + 1, figsize=(4 * channels + 5, 4), layout="constrained")
    top = places.max().item()
    for axis, name, bits in zip(axes, CHANNELS.get(channels, range(channels)), places, strict=False):
        drawn = axis.imshow(bits.numpy(), cmap="magma", vmin=0, vmax=top, interpolation="nearest")
        axis.set(title=f"bits, {name}: {bits.mean():.3f} a pixel", xticks=[], yticks=[])
    figure.colorbar(drawn, ax=list(axes[:-1]), label="bits a sub-pixel")
    values = [places.mean().item(), *(other["value"] for other in others)]
    labels = ["its own kind", *(other["kind"] for other in others)]
    axes[-1].barh(labels, values, color=["tab:orange"] + ["tab:grey"] * len(others))
    axes[-1].bar_label(axes[-1].containers[0], fmt="%.2f", padding=3)
    axes[-1].set(title="bits a dimension, on average, of", xlim=(0, 1.15 * max(values)))
    axes[-1].invert_yaxis()
    return figure_bytes(figure)
