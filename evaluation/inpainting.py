"""In-painting after a cut, as "Recurrent models for MNIST" (2017) scores it: `python -m evaluation.inpainting NAME`.

The last 300 pixels of each image are taken away and the first 1, 10, 28 or all 300 of them filled by sampling. Printed
is the mean cross-entropy of a missing pixel, in nats, of three things: the true pixels given the true history; the
sampled pixels given their own history; and the true pixels given the SAMPLED history, which the study's "truth" column
at 300 seems to be. Below that, its search for the most probable filling of one pixel and of a 2x2 patch.
"""

import argparse

import torch

from evaluation.metrics.scores import mean_interval
from evaluation.runner import GIVEN, Measures, advice, command, spread
from hub_models import AutoregressiveImageModel, HubModel
from training.data import ImageData

BLANKED = 300  # the study masks the last 300 pixels
FILLED = (1, 10, 28, 300)
SAMPLES = 10  # fillings an image
PATCHES = {"1x1": 1, "2x2": 2}


def pixel_nats(
    model: AutoregressiveImageModel, history: torch.Tensor, scored: torch.Tensor, label: torch.Tensor | None
) -> torch.Tensor:
    """-log p in nats, (B, C*H*W), of the sub-pixels of `scored` given those of `history` before them; both uint8.

    `label` (1,) is the class of all of them, for a conditional model.
    """
    with torch.no_grad(), model.exact():
        label = label if label is None else label.expand(len(history))
        log_p = model.logits(history, label).log_softmax(-1)  # (B, C, H, W, levels)
    return -log_p.gather(-1, model.quantise(scored).to(log_p.device)[..., None]).flatten(1).cpu()


def score(
    model: AutoregressiveImageModel, image: torch.Tensor, label: torch.Tensor | None, noise: torch.Generator
) -> dict[str, float]:
    """Nats a missing pixel of one image (1, 1, H, W), and the gains of the most probable fillings in nats."""
    _, height, width = model.shape
    true, start = pixel_nats(model, image, image, label), height * width - BLANKED
    scores = {}
    for count in FILLED:
        hole = slice(start, start + count)
        known = torch.ones(height * width, dtype=torch.bool)
        known[hole] = False
        known = known.view(1, 1, height, width)
        filled = model.complete(image, known, SAMPLES, label=label, generator=noise)[0]
        truths = image.expand(SAMPLES, -1, -1, -1)
        scores[f"inpainting_truth_{count}"] = true[:, hole].mean().item()
        scores[f"inpainting_sampled_{count}"] = pixel_nats(model, filled, filled, label)[:, hole].mean().item()
        after = pixel_nats(model, filled, truths, label)[:, hole].mean().item()
        scores[f"inpainting_truth_after_sampled_{count}"] = after
    for name, side in PATCHES.items():
        y = int(torch.randint(height // 4, 3 * height // 4, (), generator=noise))
        x = int(torch.randint(width // 4, 3 * width // 4, (), generator=noise))
        known = torch.ones(1, 1, height, width, dtype=torch.bool)
        known[..., y : y + side, x : x + side] = False
        _, best, _ = model.most_probable(image, known, label)
        scores[f"most_probable_gain_{name}"] = best - float(model.log_prob(image, label))
    return scores


def measure(model: HubModel, data: ImageData, args: argparse.Namespace) -> Measures:
    """Nats a missing pixel for each number of filled pixels, and the gain of the most probable filling in nats."""
    fits = isinstance(model, AutoregressiveImageModel) and model.config.channels == 1
    if not fits:
        raise ValueError(f"{args.name} is no model of grey images: {advice(model)}")
    levels, (_, height, width) = model.config.levels, model.shape
    if levels > 16:
        raise ValueError(
            f"{args.name} has {levels} levels of grey: the fillings of 2x2 pixels can be searched for 16 at most"
        )
    if not (height * width > BLANKED and min(height, width) >= 2):
        raise ValueError(
            f"{args.name} makes images of {height}x{width}: the study blanks {BLANKED} pixels, and patches of 2x2"
        )

    labels = data.conditions(model)

    def one(index: int) -> dict[str, float]:
        noise = torch.Generator().manual_seed((args.seed << 32) + index)  # an image's own, in whichever process
        return score(model, data.images[index, None], labels if labels is None else labels[index, None], noise)

    scores = spread(range(len(data)), one, "inpainting")
    entries = []
    for metric in scores[0]:
        value, low, high = mean_interval(torch.tensor([of_image[metric] for of_image in scores]))
        unit = "nats/image" if metric.startswith("most_probable") else "nats/missing pixel"
        unit += GIVEN if labels is not None else ""
        entries.append({"metric": metric, "value": value, "unit": unit, "n": len(data), "interval": [low, high]})
    return entries


if __name__ == "__main__":
    command(measure, __doc__)
