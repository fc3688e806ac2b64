"""What each trick of `cifar10-fast-10min` gains: the recipe with it and without it, seed by seed."""

import statistics

from matplotlib import pyplot as plt

from evaluation.accuracy import log_probabilities
from evaluation.metrics.scores import t_interval
from evaluation.sweeps import Run, validation
from hub_models import ConvClassifier, load
from training.data import ImageData

SGD = (  # what `cifar10-fast-large` has, for batches of 512
    *("--muon", "False", "--learning_rate", "0.6", "--warmup_steps", "0.2", "--weight_decay", "1.3e-3"),
)
TRICKS = {  # name -> (source, what takes it away)
    "kernels turned by Muon": ("Jordan et al. 2024, airbench94_muon", SGD),
    "small images first": ("arXiv 2104.00298", ("--image_sizes", "")),
    "whitening first layer": ("Page 2018", ("--model.whitening", "false")),
    "convolutions start as the identity": ("arXiv 2404.00498", ("--model.dirac", "false")),
    "biases 64 times as fast": ("Page 2018", ("--model.bias_rate", "1")),
    "third convolutions, which add": ("arXiv 2404.00498", ("--model.residual", "false")),
    "label smoothing 0.2": ("arXiv 1512.00567", ("--model.smoothing", "0")),
    "mirrored in turn": ("arXiv 2404.00498", ("--flip", "False")),
    "shifted by up to 2 pixels": ("arXiv 2404.00498", ("--shift", "0")),
}
ADDED = {  # name -> (source, what adds it): no part of the recipe; the last two are of `cifar10-fast`
    "average of weights, decay 0.99": ("Polyak and Juditsky 1992", ("--ema", "0.99")),
    "squares of 12 pixels made grey": ("arXiv 1708.04552", ("--cutout", "12")),
    "rectangles of other images in half of the batches": ("arXiv 1905.04899", ("--cutmix", "0.5")),
}
VIEWS = {2: "two views at test", 6: "six views at test"}  # arXiv 2404.00498


def tricks(run: Run, seeds: int, data: ImageData) -> list[dict]:
    """What each trick gains in points, the recipe with it less the recipe without, over the same seeds.

    `time` is how many times as long a run takes: the seeds' median minutes, validations too, with it over without.
    """
    if seeds < 2:
        raise ValueError(f"--seeds is {seeds}: give at least 2, for the intervals")
    full = [run("full", (), seed) for seed in range(seeds)]
    if not all("folder" in found for found in full):
        raise ValueError("the recipe itself diverged: nothing can be compared with it")

    def row(trick: str, source: str, gains: list[float]) -> dict:
        gain, low, high = t_interval(gains)
        return {"trick": trick, "source": source, "gain": gain, "interval": [low, high], "seeds": gains}

    rows = []
    for trick, (source, changes) in (TRICKS | ADDED).items():
        other = [run(trick, changes, seed) for seed in range(seeds)]
        given, left = (other, full) if trick in ADDED else (full, other)
        gains = [a - b for a, b in zip(validation(given), validation(left), strict=True)]
        minutes = [[found["minutes"] for found in runs] for runs in (given, left)]
        whole = all(map(all, minutes))  # one that diverges has taken none
        time = {"time": statistics.median(minutes[0]) / statistics.median(minutes[1])} if whole else {}
        rows.append(row(trick, source, gains) | time)
    models = [load(found["folder"]) for found in full]
    plain = [share_right(model, data, 1) for model in models]
    for views, trick in VIEWS.items():
        gains = [share_right(model, data, views) - base for model, base in zip(models, plain, strict=True)]
        rows.append(row(trick, "arXiv 2404.00498", gains))
    mean, low, high = t_interval(validation(full))
    whole = {"trick": "all", "source": "", "accuracy": mean, "interval": [low, high], "seeds": validation(full)}
    return [whole, *rows]


def share_right(model: ConvClassifier, data: ImageData, views: int) -> float:
    """Accuracy in % over so many views of each image."""
    return 100 * float((log_probabilities(model, data.images, 250, views).argmax(-1) == data.labels).double().mean())


def draw(found: dict) -> plt.Figure:
    """Draw bars of each trick's gain with its interval."""
    rows = [row for row in found["rows"] if "gain" in row]
    figure, axis = plt.subplots(figsize=(10, 0.5 * len(rows) + 1.5), layout="constrained")
    errors = [
        [row["gain"] - row["interval"][0] for row in rows],
        [row["interval"][1] - row["gain"] for row in rows],
    ]
    axis.barh([row["trick"] for row in rows], [row["gain"] for row in rows], xerr=errors, capsize=4)
    axis.axvline(0, color="black", linewidth=0.8)
    axis.invert_yaxis()
    axis.set(xlabel="gain in validation accuracy (points), 95 % interval over seeds", title=found["budget"])
    return figure
