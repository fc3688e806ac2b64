"""Train variants of a recipe at one budget and compare them: `python -m evaluation.sweep NAME`.

On validation images, or on the test split of a text.

ablation: the CNN study's, by learning rate, batch size, filters and layers; cumulative, as it was done, each stage
          keeping the last one's winner, and one at a time from the baseline
tricks:   what each trick of `cifar10-fast-10min` gains: the recipe without it, seed by seed
depth:    the Row LSTM with 1, 2, 4 and 8 layers, half as wide as the recipe's, beside the paper's depths
characters, words: whole recipes of language models, and what they score on test text
study:    the word study's four networks, and what it claims of the first without figures, at one budget

Each run is one of `training.train`, under runs/sweeps; a sweep that was stopped goes on where it was. The results go
to `evaluation/results/sweeps/NAME.json` and, as a picture, to `docs/sweep-NAME.png`, with the
curves of all runs in `docs/sweep-NAME-curves.webp`; `evaluation.table` makes tables.
"""

import argparse
import json
import math
import shlex
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from tqdm import tqdm

from evaluation.results import sweep_file
from evaluation.runner import options_given
from evaluation.sweeps import Run, ablation, depth, text, tricks
from hub_models.environment import prepare_console
from hub_models.files import read_json, write_json
from hub_models.run_folder import TRAIN_RESULTS
from training.data import TEXTS, ImageData, TextData, load_split
from training.figures.compare import draw_runs
from training.figures.dashboard import save_figure
from training.machine import hardware
from training.recipes import find
from training.train import DivergedError, train

ROOT = Path(__file__).parents[1]


class Sweep(NamedTuple):
    """One comparison of variants of a recipe."""

    recipe: str
    compare: Callable[[Run, int, ImageData | TextData], list[dict]]  # of `run`, seeds and validation data: the rows
    draw: Callable[[dict], Figure]  # of all that the results file holds


SWEEPS = {
    "ablation": Sweep("cnn5x32-cifar10-study", ablation.ablation, ablation.draw),
    "tricks": Sweep("cifar10-fast-10min", tricks.tricks, tricks.draw),
    "depth": Sweep("row-lstm-cifar10", depth.depth, depth.draw),
    "characters": Sweep("char-lstm-shakespeare", text.characters, partial(text.draw, "characters")),
    "words": Sweep("word-lstm-plays", text.words, partial(text.draw, "words")),
    "study": Sweep(text.STUDY, text.study, partial(text.draw, "study")),
}
UNCHANGED = ("characters", "words")  # of recipes as they are, whatever --epochs says


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
    recipe, compare, draw = SWEEPS[args.name]
    budget = ["--num_train_epochs", str(epochs), *(["--limit", str(args.limit)] if args.limit else [])]
    said = options_given(parser, args, ("epochs", "limit", "seeds", "data"))  # not where runs and results lie
    own_data = ["--data", args.data] if args.data else []
    how = "--overwrite" if args.overwrite else "--resume"
    source, task, folders = find(recipe).data, find(recipe).task, {}
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
        folders[f"{variant}, seed {seed}"] = folder
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
    table = args.results / sweep_file(args.name).relative_to(ROOT)
    picture = args.results / "docs" / f"sweep-{args.name}.png"
    for path in table, picture:
        path.parent.mkdir(parents=True, exist_ok=True)
    write_json(table, found)
    save_figure(draw(found), picture)
    draw_runs(folders, task.metrics, task.unit, picture.with_name(f"sweep-{args.name}-curves.webp"))
    return found


if __name__ == "__main__":
    prepare_console()
    try:
        print(json.dumps(main(sys.argv[1:])))
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("stopped: go on by the same command, without --overwrite")
