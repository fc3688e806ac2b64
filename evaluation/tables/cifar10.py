"""Convolutional classifiers of CIFAR-10."""

from pathlib import Path

from evaluation.results import published, sweep_file
from evaluation.tables import Page, Table, epochs, find, linked, ranged, trained
from hub_models.files import read_json

LOOKED_INTO = ("cifar10-fast", "cnn5x32-cifar10-study")
WAYS = {  # to a heat, by the end of their metrics' names in `evaluation.heat`
    "": "`grad_cam` in 6 views: HiResCAM (arXiv 2011.08891) of the last layer of at least 8x8 maps",
    "_1_view": "the same in one view",
    "_grad_cam": "Grad-CAM (arXiv 1610.02391), the same layer, one view",
    "_grad_cam_plus_plus": "Grad-CAM++ (arXiv 1710.11063), the same layer, one view",
    "_layer_cam": "LayerCAM (Jiang et al., IEEE TIP 2021), the same layer, one view",
    "_grad_cam_last_layer": "as before: Grad-CAM, the last layer, one view",
    "_other_class": "`grad_cam` in 6 views, asked for the class around the quadrant",
    "_random_weights": "`grad_cam` in 6 views, all weights random",
    "_untrained": "`grad_cam` in 6 views, as training starts: of `cifar10-fast` whitening and identities",
    "_edges": "no net: squared differences of neighbouring pixels",
}


def cifar10_table(place: Path) -> str:
    """The convolutional classifiers, on the part of CIFAR-10's test split that was read, and on validation images."""
    lines = [
        "| model | parameters, epochs | validation | test | test, 6 views | published | where |",
        "| --- " * 7 + "|",
    ]
    for row in published()["cifar10"]:
        name = row["name"]
        figures = [_shown(name, "accuracy", "validation")]
        figures += [_shown(name, metric, "test") for metric in ("accuracy", "accuracy_6_views")]
        parameters = trained(name)["parameters"]
        lines.append(
            f"| {linked(place, name)} | {parameters:,}, {epochs(name)} "
            f"| {' | '.join(figures)} | {row['published']} | {row['where']} |"
        )
    return "\n".join(lines)


def _shown(name: str, metric: str, split: str) -> str:
    entry = find(name, metric, split)
    return f"{ranged(entry, 'value')}, {entry['n']:,} images"


def heat_table(place: Path) -> str:
    """The share of a class's heat that lies on it, and of images whose hottest pixel does, by `evaluation.heat`."""
    figures = [(name, measure) for name in LOOKED_INTO for measure in ("share", "peak")]
    found = find(LOOKED_INTO[0], "heat_share", "validation")
    heads = [f"{linked(place, name)}: {measure}" for name, measure in figures]
    lines = [f"{found['n']:,} validation images, {found['part']}, seed {found['seed']}; `{found['command']}`", ""]
    lines += [f"| heat | {' | '.join(heads)} |", "| --- " * 5 + "|"]
    for way, told in WAYS.items():
        cells = [ranged(find(name, f"heat_{measure}{way}", "validation"), "value", ".1f") for name, measure in figures]
        lines.append(f"| {told} | {' | '.join(cells)} |")
    return "\n".join(lines)


def ablation_table(place: Path) -> str:
    """The study's ablation by `evaluation.sweep`, the cumulative beside its figures, and one at a time."""
    found = read_json(sweep_file("ablation"))
    lines = [f"{found['budget']}; {found['hardware']}; `{found['command']}`", ""]
    lines += ["| stage | parameters | cumulative | | published | one at a time |", "| --- " * 6 + "|"]
    single = {row["stage"]: row for row in found["rows"] if row["kind"] == "one at a time"}
    for row in found["rows"]:
        if row["kind"] == "cumulative":
            kept = "kept" if row["kept"] else ""
            parameters = f"{row['parameters']:,}" if row["parameters"] else "diverged"
            lines.append(
                f"| {row['stage']} | {parameters} | {ranged(row, 'accuracy')} | {kept} "
                f"| {row.get('published', '')} | {ranged(single[row['stage']], 'accuracy')} |"
            )
    return "\n".join(lines)


def tricks_table(place: Path) -> str:
    """What each trick gains, by `evaluation.sweep`."""
    found = read_json(sweep_file("tricks"))
    lines = [f"{found['budget']}; {found['hardware']}; `{found['command']}`", ""]
    lines += ["| trick | source | gain in points (95 %) | time of a run, times |", "| --- " * 4 + "|"]
    whole, *rows = found["rows"]
    for row in rows:
        time = f"{row['time']:.2f}" if "time" in row else ""
        lines.append(f"| {row['trick']} | {row['source']} | {ranged(row, 'gain', '+.2f')} | {time} |")
    return "\n".join([*lines, f"| all of the recipe: accuracy | | {ranged(whole, 'accuracy')} | |"])


PAGE = Page(
    "Convolutional classifiers of CIFAR-10",
    "Accuracy in %, with 95 % intervals. The test figures are of the first 1,000 of the 10,000 test images.",
    (
        Table(
            "cifar10", "Accuracy", "Accuracy on validation and test images, beside published figures.", cifar10_table
        ),
        Table(
            "heat",
            "Where the nets look",
            "Each image is shrunk and pasted into a random quadrant of one of another class. Share: % of the heat of "
            "the pasted class in that quadrant. Peak: % of the images whose hottest pixel is there. Chance is 25 %; "
            "shrunk images have stronger edges, which alone draw more.",
            heat_table,
        ),
        Table(
            "ablation",
            "The study's ablation",
            "Validation accuracy at a small budget: cumulative, where each stage keeps the winner of the one before, "
            "and one change at a time.",
            ablation_table,
        ),
        Table(
            "tricks",
            "What each trick gains",
            "Points of validation accuracy of `cifar10-fast-10min` with a trick less those without it, and how many "
            "times as long a run takes.",
            tricks_table,
        ),
    ),
    (
        "python -m evaluation.accuracy cifar10-fast --split test",
        "python -m evaluation.heat cifar10-fast --limit 300",
        "python -m evaluation.heat cnn5x32-cifar10-study --limit 300",
        "python -m evaluation.sweep ablation --epochs 2 --limit 10000",
        "python -m evaluation.sweep tricks --epochs 3 --limit 10000 --seeds 3",
    ),
)
