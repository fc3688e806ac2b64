"""What every evaluation command shares: its arguments, its data, and where its results go.

A command is `python -m evaluation.X NAME --split test`. Its results go to `eval_results.json` beside the checkpoint,
the card is rendered again, and the last line printed is the results as JSON.
"""

import argparse
import hashlib
import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from hub_models import HubModel, load, locate
from hub_models.base import WEIGHTS, fetch, require, write_json
from hub_models.card import read_results, write_card
from training.data import ImageData, load_split
from training.machine import hardware

Measures = list[dict]  # each: metric, value, unit, n, interval


def run(measure: Callable[[HubModel, ImageData, argparse.Namespace], Measures], doc: str, argv: list[str]) -> Measures:
    """Measure a checkpoint on a split of the data it was trained on; write, print and return the results.

    Raises:
        ValueError, FileNotFoundError: with one sentence on what is wrong.
    """
    program = Path(sys.modules[measure.__module__].__file__).stem
    parser = argparse.ArgumentParser(f"python -m evaluation.{program}", description=doc.splitlines()[0])
    parser.add_argument("name", help="a shipped name, a run folder or owner/name on the Hub")
    parser.add_argument("--split", choices=("train", "validation", "test"), default="validation")
    parser.add_argument("--limit", type=int, help="only the first N images")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch_size", type=int, default=250)
    args = parser.parse_args(argv)
    require(args.limit is None or args.limit > 0, f"--limit is {args.limit}: give at least 1 image")
    require(args.batch_size > 0, f"--batch_size is {args.batch_size}: give at least 1 image")
    try:
        torch.empty(0, device=args.device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"--device is {args.device!r}, which is not to be had here: give cpu or leave it out"
        ) from error
    source = locate(args.name)
    recipe = json.loads(fetch(source, "recipe.json").read_text())
    model = load(args.name, map_location=args.device)
    data = load_split(recipe["data"]["name"], args.split).first(args.limit)
    torch.manual_seed(args.seed)
    shared = {
        "dataset": recipe["data"]["repo_id"],
        "split": args.split,
        "seed": args.seed,
        "revision": data.revision,
        "weights": hashlib.sha256(fetch(source, WEIGHTS).read_bytes()).hexdigest(),
        "hardware": hardware(torch.device(args.device)),
        "command": f"python -m evaluation.{program} {shlex.join(argv)}",
    }
    results = [entry | shared for entry in measure(model, data, args)]
    if Path(source).is_dir():
        record(Path(source), results)
    else:
        print(f"{source} is on the Hub: the results are printed, not written", file=sys.stderr)
    print(json.dumps(results))
    return results


def record(folder: Path, results: Measures) -> None:
    """Put results into a folder's `eval_results.json` in place of those they repeat, and render its card again.

    Results of other weights than those that lie there are dropped: a card never shows a figure that is not its file's.
    """

    def key(entry: dict) -> tuple:
        return tuple(entry[name] for name in ("metric", "dataset", "split", "n", "seed"))

    weights, new = results[0]["weights"], {key(entry) for entry in results}
    kept = [old for old in read_results(folder) if old["weights"] == weights and key(old) not in new]
    write_json(folder / "eval_results.json", kept + results)
    write_card(folder)


def command(measure: Callable, doc: str) -> None:
    """The main of an evaluation module: one sentence and a non-zero exit code on what the user can mend."""
    try:
        run(measure, doc, sys.argv[1:])
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
