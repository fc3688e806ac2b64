"""Train variants of a recipe at one budget and compare them: `python -m evaluation.sweep NAME`.

On validation images, or on the test split of a text.

ablation: the CNN study's, by learning rate, batch size, filters and layers; cumulative, as it was done, each stage
          keeping the last one's winner, and one at a time from the baseline
tricks:   what each trick of `cifar10-fast-10min` gains: the recipe without it, seed by seed
depth:    the Row LSTM with 1, 2, 4 and 8 layers, half as wide as the recipe's, beside the paper's depths
characters, words: whole recipes of language models, and what they score on test text
study:    the word study's four networks, and what it claims of the first without figures, at one budget

Each run is one of `training.train`, under runs/sweeps; a sweep that was stopped goes on where it was. The results go
to `evaluation/sweeps/NAME.json` and, as a picture, to `docs/sweep-NAME.png`; `evaluation.table` makes README's tables.
"""

import argparse
import json
import math
import shlex
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from matplotlib import pyplot as plt
from tqdm import tqdm

from evaluation import text_sweeps
from evaluation.accuracy import log_probabilities
from evaluation.metrics import t_interval, wilson_interval
from evaluation.runner import options_given
from evaluation.table import published
from hub_models import ConvClassifier, load
from hub_models.environment import prepare_console
from hub_models.files import read_json, write_json
from hub_models.run_folder import TRAIN_RESULTS
from training.dashboard import save_figure
from training.data import TEXTS, ImageData, load_split
from training.machine import hardware
from training.recipes import find
from training.train import DivergedError, train

ROOT = Path(__file__).parents[1]
FACTORS = {  # of the study's ablation, in its order
    "learning_rate": ("--learning_rate", (0.1, 0.01, 0.001)),
    "batch": ("--per_device_train_batch_size", (16, 32, 64)),
    "filters": ("--model.filters", (16, 32, 64)),
    "layers": ("--model.num_layers", (3, 5, 7)),
}
BASELINE = {"learning_rate": 0.001, "batch": 64, "filters": 32, "layers": 5}
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
DEPTHS = (1, 2, 4, 8)
NARROW = (  # of the depths, so that eight layers are soon trained, at a rate that fits a run of any length
    *("--model.hidden", "32", "--model.head", "96", "--lr_scheduler_type", "cosine", "--warmup_steps", "0.05"),
)
VIEWS = {2: "two views at test", 6: "six views at test"}  # arXiv 2404.00498

Run = Callable[[str, tuple[str, ...], int], dict]


def validation(runs: list[dict]) -> list[float]:
    """Validation accuracies of runs in %, each of the epoch that was best there; 0 of a run that diverged."""
    return [100 * found["best_validation"]["eval_accuracy"] for found in runs]


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


def share_right(model: ConvClassifier, data: ImageData, views: int) -> float:
    """Accuracy in % over so many views of each image."""
    return 100 * float((log_probabilities(model, data.images, 250, views).argmax(-1) == data.labels).double().mean())


SWEEPS = {
    "ablation": ("cnn5x32-cifar10-study", ablation),
    "tricks": ("cifar10-fast-10min", tricks),
    "depth": ("row-lstm-cifar10", depth),
    "characters": ("char-lstm-shakespeare", text_sweeps.characters),
    "words": ("word-lstm-plays", text_sweeps.words),
    "study": (text_sweeps.STUDY, text_sweeps.study),
}
UNCHANGED = ("characters", "words")  # of recipes as they are, whatever --epochs says


def draw(name: str, found: dict, path: Path) -> None:
    """The rows of a sweep as one picture."""
    rows = found["rows"]
    if name in text_sweeps.TITLES:
        figure = text_sweeps.draw(name, rows, found["budget"])
    elif name == "depth":
        figure, axis = plt.subplots(figsize=(7, 4.5), layout="constrained")
        for key, label in ("bits_per_dim", "ours, small and short"), ("published", "the paper's (h = 128)"):
            own = [row for row in rows if key in row]
            axis.plot([row["layers"] for row in own], [row[key] for row in own], "o-", label=label)
        axis.set(xlabel="layers", ylabel="bits a dimension", title=found["budget"])
        axis.grid(alpha=0.3)
        axis.legend()
    elif name == "tricks":
        rows = [row for row in rows if "gain" in row]
        figure, axis = plt.subplots(figsize=(10, 0.5 * len(rows) + 1.5), layout="constrained")
        errors = [
            [row["gain"] - row["interval"][0] for row in rows],
            [row["interval"][1] - row["gain"] for row in rows],
        ]
        axis.barh([row["trick"] for row in rows], [row["gain"] for row in rows], xerr=errors, capsize=4)
        axis.axvline(0, color="black", linewidth=0.8)
        axis.invert_yaxis()
        axis.set(xlabel="gain in validation accuracy (points), 95 % interval over seeds", title=found["budget"])
    else:
        figure, axes = plt.subplots(1, 2, figsize=(15, 6), layout="constrained", sharey=True)
        for axis, kind in zip(axes, ("cumulative", "one at a time"), strict=True):
            own = [row for row in rows if row["kind"] == kind]
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
    save_figure(figure, path)


def main(argv: list[str]) -> dict:
    """Run a sweep, write its results and its picture, and return them.

    Raises:
        ValueError, FileNotFoundError: with one sentence on what is wrong.
    """
    parser = argparse.ArgumentParser("python -m evaluation.sweep", description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=SWEEPS)
    parser.add_argument("--epochs", type=int, help="[2]")
    parser.add_argument("--limit", type=int, help="train and validate on the first N images, or lines of text")
    parser.add_argument("--seeds", type=int, help="[1]")
    parser.add_argument("--overwrite", action="store_true", help="train anew the runs that are there")
    parser.add_argument("--data", help="a CSV of the plays, instead of Kaggle's")
    parser.add_argument("--runs", type=Path, help="where the runs lie [runs/sweeps]")
    parser.add_argument("--results", type=Path, default=ROOT, help="has evaluation/ and docs/ [this clone]")
    args = parser.parse_args(argv)
    for option in ("epochs", "seeds", "limit"):
        value = getattr(args, option)
        if value is not None and value <= 0:
            raise ValueError(f"--{option} is {value}: give at least 1")
    budgeted = [option for option in ("epochs", "seeds", "limit", "runs") if getattr(args, option) is not None]
    if budgeted and args.name in UNCHANGED:
        raise ValueError(f"{args.name} trains recipes as they are, under runs: leave out --{', --'.join(budgeted)}")
    if args.name == "study" and args.seeds:
        raise ValueError("study trains each network once, seed 0: leave out --seeds")
    epochs, seeds, runs = args.epochs or 2, args.seeds or 1, args.runs or Path("runs", "sweeps")
    recipe, compare = SWEEPS[args.name]
    budget = ["--num_train_epochs", str(epochs), *(["--limit", str(args.limit)] if args.limit else [])]
    said = options_given(parser, args, ("epochs", "limit", "seeds", "data"))  # not where runs and results lie
    own_data = ["--data", args.data] if args.data else []
    how = "--overwrite" if args.overwrite else "--resume"
    source = find(recipe).data
    bar = tqdm(desc=args.name, unit="run")

    def run(variant: str, changes: tuple[str, ...] = (), seed: int = 0) -> dict:
        folder = runs / args.name / f"{variant.replace(' ', '-').replace(',', '')}-seed{seed}"
        options = [*budget, *changes, "--seed", str(seed), "--output_dir", str(folder), "--report_to", "none"]
        command = [recipe, *options, "--disable_tqdm", "True"]
        if args.name in UNCHANGED:  # a recipe's own run, as `training.train` alone makes it
            folder, command = Path("runs", variant), [variant, "--disable_tqdm", "True"]
        bar.update()
        try:
            train([*command, *own_data, *([how] if folder.exists() else [])])
        except DivergedError:
            if source in TEXTS:  # whose tables have no place for it
                raise
            tqdm.write(f"{variant}, seed {seed}, diverged: it counts as 0 %, or as infinitely many bits")
            worst = {"eval_accuracy": 0.0, "eval_loss": math.inf}
            return {"best_validation": worst, "parameters": None, "minutes": 0.0}
        told = read_json(folder / TRAIN_RESULTS)
        return told | {"folder": str(folder), "data": own_data}

    train_data, data = (load_split(source, split, args.data).first(args.limit) for split in ("train", "validation"))
    rows = compare(run, seeds, data)
    things = "characters" if source in TEXTS else "images"
    told = f"{epochs} epoch{'s' if epochs > 1 else ''} of {len(train_data):,} training {things}"
    told += f", {seeds} seed{'s' if seeds > 1 else ''}"
    told += "" if source in TEXTS else f", {len(data):,} validation images"
    found = {
        "recipe": recipe,
        "budget": "each recipe as it is" if args.name in UNCHANGED else told,
        "hardware": hardware(torch.device("cuda" if torch.cuda.is_available() else "cpu")),
        "command": shlex.join(["python", "-m", "evaluation.sweep", args.name, *said]),
        "rows": rows,
    }
    table = args.results / "evaluation" / "sweeps" / f"{args.name}.json"
    picture = args.results / "docs" / f"sweep-{args.name}.png"
    for path in table, picture:
        path.parent.mkdir(parents=True, exist_ok=True)
    write_json(table, found)
    draw(args.name, found, picture)
    return found


if __name__ == "__main__":
    prepare_console()
    try:
        print(json.dumps(main(sys.argv[1:])))
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("stopped: go on by the same command, without --overwrite")
