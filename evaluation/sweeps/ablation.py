"""The CNN study's ablation: learning rate, batch size, filters and layers, cumulative and one at a time."""

from matplotlib import pyplot as plt

from evaluation.metrics.scores import t_interval, wilson_interval
from evaluation.results import published
from evaluation.sweeps import Run, validation
from training.data import ImageData

FACTORS = {  # of the study's ablation, in its order
    "learning_rate": ("--learning_rate", (0.1, 0.01, 0.001)),
    "batch": ("--per_device_train_batch_size", (16, 32, 64)),
    "filters": ("--model.filters", (16, 32, 64)),
    "layers": ("--model.num_layers", (3, 5, 7)),
}
BASELINE = {"learning_rate": 0.001, "batch": 64, "filters": 32, "layers": 5}


def ablation(run: Run, seeds: int, data: ImageData) -> list[dict]:
    """The study's ablation both ways: a row a setting, and of the cumulative whether it was kept."""
    known, theirs = {}, published()["ablation"]["rows"]

    def row(kind: str, factor: str, settings: dict) -> dict:
        name = "-".join(f"{key}{value}" for key, value in settings.items()).replace("_", "")
        changes = [str(word) for key, value in settings.items() for word in (FACTORS[key][0], value)]
        if name not in known:
            known[name] = [run(name, tuple(changes), seed) for seed in range(seeds)]
        accuracies, stage = validation(known[name]), f"{factor} {settings[factor]}"
        accuracy, *ends = t_interval(accuracies)
        if seeds == 1:  # of the images alone
            ends = [100 * end for end in wilson_interval(round(accuracy / 100 * len(data)), len(data))]
        beside = {"published": theirs[stage]} if kind == "cumulative" and stage in theirs else {}
        return beside | {
            "kind": kind,
            "stage": stage,
            "settings": settings,
            "parameters": known[name][0]["parameters"],
            "accuracy": accuracy,
            "interval": ends,
            "seeds": accuracies,
            "minutes": sum(found["minutes"] for found in known[name]),
        }

    rows, best = [], BASELINE
    for factor, (_, values) in FACTORS.items():
        stage = [row("cumulative", factor, best | {factor: value}) for value in values]
        winner = max(stage, key=lambda candidate: candidate["accuracy"])
        best = winner["settings"]
        rows += [candidate | {"kept": candidate is winner} for candidate in stage]
    for factor, (_, values) in FACTORS.items():
        rows += [row("one at a time", factor, BASELINE | {factor: value}) for value in values]
    return rows


def draw(found: dict) -> plt.Figure:
    """Draw bars of accuracy, cumulative and one at a time, beside what was published."""
    figure, axes = plt.subplots(1, 2, figsize=(15, 6), layout="constrained", sharey=True)
    for axis, kind in zip(axes, ("cumulative", "one at a time"), strict=True):
        own = [row for row in found["rows"] if row["kind"] == kind]
        colours = ["tab:green" if row.get("kept") else "tab:blue" for row in own]
        axis.bar([row["stage"] for row in own], [row["accuracy"] for row in own], color=colours)
        marks = [(row["stage"], row["published"]) for row in own if "published" in row]
        if marks:
            axis.plot(*zip(*marks, strict=True), "k_", markersize=18, label="published, epochs not given")
            axis.legend()
        axis.tick_params(axis="x", rotation=60)
        axis.set_title(f"{kind}{' (green: kept)' if kind == 'cumulative' else ''}")
        axis.grid(axis="y", alpha=0.3)
    axes[0].set_ylabel("validation accuracy (%)")
    figure.suptitle(found["budget"])
    return figure
