"""The Row LSTM with 1, 2, 4 and 8 layers, half as wide as the recipe's, beside the paper's depths."""

import math

from matplotlib import pyplot as plt

from evaluation.metrics.scores import t_interval
from evaluation.results import published
from evaluation.sweeps import Run
from training.data import ImageData

DEPTHS = (1, 2, 4, 8)
NARROW = (  # of the depths, so that eight layers are soon trained, at a rate that fits a run of any length
    *("--model.hidden", "32", "--model.head", "96", "--lr_scheduler_type", "cosine", "--warmup_steps", "0.05"),
)


def depth(run: Run, seeds: int, data: ImageData) -> list[dict]:
    """A row a depth of the Row LSTM: bits a dimension of the validation images, over seeds; then the paper's rows."""
    rows = []
    for layers in DEPTHS:
        runs = [run(f"layers{layers}", (*NARROW, "--model.layers", str(layers)), seed) for seed in range(seeds)]
        bits = [found["best_validation"]["eval_loss"] / math.log(2) for found in runs]
        if not all(map(math.isfinite, bits)):
            rows.append({"layers": layers, "diverged": True})
            continue
        mean, low, high = t_interval(bits)
        ends = {"interval": [low, high]} if seeds > 1 else {}
        told = {"layers": layers, "parameters": runs[0]["parameters"], "bits_per_dim": mean, "seeds": bits}
        rows.append(told | ends | {"minutes": sum(found["minutes"] for found in runs)})
    theirs = published()["depth"]["rows"]
    return rows + [{"layers": int(layers), "published": value} for layers, value in theirs.items()]


def draw(found: dict) -> plt.Figure:
    """Draw bits a dimension by depth: a line of ours, a line of the paper's."""
    figure, axis = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for key, label in ("bits_per_dim", "ours, small and short"), ("published", "the paper's (h = 128)"):
        own = [row for row in found["rows"] if key in row]
        axis.plot([row["layers"] for row in own], [row[key] for row in own], "o-", label=label)
    axis.set(xlabel="layers", ylabel="bits a dimension", title=found["budget"])
    axis.grid(alpha=0.3)
    axis.legend()
    return figure
