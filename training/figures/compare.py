"""Several runs in one figure, from their `history.csv`."""

from pathlib import Path

from matplotlib import pyplot as plt

from hub_models.run_folder import HISTORY
from training.figures.dashboard import PARTS, read_history, save_figure, scale


def draw_runs(runs: dict[str, Path], metrics: tuple[str, ...], unit: str, path: Path) -> None:
    """Draw the curves of several runs: one panel per metric, validation solid and training dotted.

    Args:
        runs: name of each run -> its folder, which holds a `history.csv`.
        metrics: what the runs measure, the loss first.
        unit: of the loss.
        path: of the picture.
    """
    figure, axes = plt.subplots(1, len(metrics), figsize=(7 * len(metrics), 5), layout="constrained", squeeze=False)
    for axis, metric in zip(axes[0], metrics, strict=True):
        factor, own_unit = (1, unit) if metric == "loss" else scale(metric)
        for number, (name, folder) in enumerate(runs.items()):
            history = read_history(folder / HISTORY)
            for label, part in PARTS.items():
                key = f"{part}_{metric}"
                points = [(row["epoch"], factor * row[key]) for row in history if row.get(key) is not None]
                if points:
                    style = {"linestyle": "-" if part == "validation" else ":", "color": f"C{number % 10}"}
                    axis.plot(*zip(*points, strict=True), label=f"{name}, {label}", **style)
        axis.set(title=metric, xlabel="epoch", ylabel=own_unit)
        axis.grid(alpha=0.3)
    lines = axes[0, 0].get_legend_handles_labels()  # of the loss, which every history has of both
    axes[0, -1].legend(*lines, loc="center left", bbox_to_anchor=(1, 0.5), fontsize="small")
    save_figure(figure, path)
