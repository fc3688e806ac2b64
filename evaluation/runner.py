"""What every evaluation command shares: its arguments, its data, its share of the work, and where its results go.

A command is `python -m evaluation.X NAME --split test`. Its results go to `eval_results.json` beside the checkpoint,
the card is rendered again, and the last line printed is the results as JSON. Under torchrun the processes share the
work; the figures are the same to the last bit, however many they are.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import torch
from accelerate import PartialState
from tqdm import tqdm

from hub_models import HubModel, ImageModel, TextModel, load, locate
from hub_models.checkpoints import check_device, fetch
from hub_models.environment import prepare_console
from hub_models.files import fingerprint, read_text, write_bytes, write_json
from hub_models.hub.card import (
    IDENTITY,
    address,
    extent,
    read_report,
    read_results,
    render_card,
    unshown_pictures,
    write_card,
)
from hub_models.hub.privacy import without_place
from hub_models.run_folder import EVAL_RESULTS, RECIPE, WEIGHTS, picture_name, report_name
from hub_models.run_folder import SPLITS as REPORTED
from training.data import DATASETS, SPLITS, ImageData, TextData, describe, load_split
from training.machine import end_processes, hardware, interleave, keep_memory, launcher, locked
from training.tasks import task_of

GIVEN = ", given the label"  # after the unit of what a conditional model scores: it is no p(image)
Measures = list[dict]  # each: metric, value, unit, n, interval
Data = ImageData | TextData
Report = Callable[[HubModel, Data, argparse.Namespace, Measures], tuple[dict, dict[str, bytes]]]
Item, Score = TypeVar("Item"), TypeVar("Score")


def spread(items: Sequence[Item], score: Callable[[Item], Score], what: str) -> list[Score]:
    """`score` of each item, in order; of several processes each does its share, and all get all of them."""
    state = PartialState()
    own = items[state.process_index :: state.num_processes]
    return interleave([score(item) for item in tqdm(own, what, disable=not state.is_main_process)], len(items))


def run(
    measure: Callable[[HubModel, Data, argparse.Namespace], Measures],
    doc: str,
    argv: list[str],
    report: Report | None = None,
) -> Measures:
    """Measure a checkpoint on a split of the data it was trained on; write, print and return the results.

    Where there is a `report` of more than single figures, it lies beside them, unless there is one over more images
    already. Its pictures do where the card shows this split.

    Raises:
        ValueError, FileNotFoundError: with one sentence on what is wrong.
    """
    program = Path(sys.modules[measure.__module__].__file__).stem
    parser = argparse.ArgumentParser(f"python -m evaluation.{program}", description=doc.splitlines()[0])
    parser.add_argument("name", help="a shipped name, a run folder or owner/name on the Hub")
    parser.add_argument("--split", choices=SPLITS, default="validation")
    parser.add_argument("--limit", type=int, help="only the first N images, or lines of text")
    parser.add_argument("--data", help="a CSV of the plays, instead of Kaggle's")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch_size", type=int, default=250)
    args = parser.parse_args(argv)
    if args.limit is not None and args.limit <= 0:
        raise ValueError(f"--limit is {args.limit}: give at least 1 image or line")
    if args.batch_size <= 0:
        raise ValueError(f"--batch_size is {args.batch_size}: give at least 1 image")
    if not 0 <= args.seed < 2**31:
        raise ValueError(f"--seed is {args.seed}: give a number of 0 to 2,147,483,647")
    check_device(args.device, "--device")
    state = PartialState(cpu=args.device == "cpu")  # of several GPUs it gives each process its own
    device = state.device if args.device == "cuda" else torch.device(args.device)
    source = locate(args.name)
    with state.main_process_first():  # one fetches and decodes, the others find it done
        source_data = read_source(source)
        own = source_data["file"]
        if own and not args.data:
            raise ValueError(
                f"{args.name} was trained on {own}, which is no data set of ours: give that file by --data"
            )
        model = load(args.name, map_location=device)
        if Path(source).is_dir():
            render_card(source)  # what else is missing or damaged is told before hours of work
        data = load_split(source_data["name"], args.split, args.data).first(args.limit)
        same = isinstance(model, TextModel) and isinstance(data, TextData)
        if isinstance(model, ImageModel) and isinstance(data, ImageData):
            same = tuple(data.images.shape[1:]) == model.shape
        told = f"{source}: recipe.json names {source_data['name']}, which {type(model).__name__} does not fit"
        if not same:
            raise ValueError(f"{told}: download it again, or train anew")
        if not isinstance(data, TextData) and len(data) <= 1:
            raise ValueError("one image tells no interval: give --limit 2, or more")
    torch.manual_seed(args.seed)
    shown = address(Path(source).resolve()) if Path(source).is_dir() else args.name
    options = ["--split", args.split, *options_given(parser, args, ("limit", "data", "seed", "device", "batch_size"))]
    foreign = bool(args.data) and (bool(own) or data.revision != source_data["revision"])  # no published data set
    shared = {
        "dataset": f"the file {without_place(args.data)}" if foreign else source_data["repo_id"],
        **{key: said for key, said in describe(source_data["name"]).items() if key in ("prepared", "url")},
        "split": args.split,
        **({"part": data.part} if data.part else {}),
        "seed": args.seed,
        "revision": data.revision,
        "weights": fingerprint(fetch(source, WEIGHTS)),
        "hardware": hardware(device, state.num_processes),
        "command": f"{launcher(state.num_processes)} evaluation.{program} {shlex.join([shown, *options])}",
    }
    results = [entry | shared for entry in measure(model, data, args)]
    apart = ""  # why the results are printed alone
    if not Path(source).is_dir():
        apart = f"{source} is on the Hub"
    elif args.data and data.revision != source_data["revision"]:
        apart = f"{args.data} is not the text that {args.name} was trained on"
    files = {}
    try:
        if report and not apart and args.split in REPORTED and not _has_better(source, shared | {"n": len(data)}):
            found, pictures = report(model, data, args, results)
            files = {report_name(args.split): (json.dumps(shared | found) + "\n").encode()}
            files |= {picture_name(kind, args.split): content for kind, content in pictures.items()}
        if apart and state.is_main_process:
            print(f"{apart}: the results are printed, not written", file=sys.stderr)
        elif state.is_main_process:
            record(Path(source), results, files)
    finally:  # what took an hour is at least shown where it cannot be written
        if state.is_main_process:
            print(json.dumps(results), flush=True)
    end_processes()
    return results


def options_given(parser: argparse.ArgumentParser, args: argparse.Namespace, names: Sequence[str]) -> list[str]:
    """The options of these names that a command line sets, as words for a results file; of a file its name alone."""
    given = {name: value for name in names if (value := getattr(args, name)) != parser.get_default(name)}
    return [word for name, value in given.items() for word in (f"--{name}", without_place(str(value)))]


def _has_better(source: str, new: dict) -> bool:
    """Whether a folder has a report of its weights over more of a split than a new one."""
    there = read_report(source, new["split"])
    return bool(there) and extent(there) > extent(new)


def read_source(source: str) -> dict:
    """`name`, `repo_id`, `revision` and `file` ("": none) of the data that a located checkpoint was trained on.

    And its `limit`: of the training split its first so many images or lines, None where all.

    Raises:
        FileNotFoundError: it has no recipe.json. ValueError: that names none.
    """
    try:
        data = json.loads(read_text(fetch(source, RECIPE)))["data"]
        found = {key: data[key] for key in ("name", "repo_id")}
        found |= {key: data.get(key, "") for key in ("revision", "file")}
        limit = data.get("limit")
    except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        raise ValueError(f"{source}: recipe.json names no data set: download it again, or train anew") from error
    if not (all(isinstance(v, str) for v in found.values()) and found["name"] in DATASETS):
        raise ValueError(f"{source}: recipe.json names no data set of ours: known are {', '.join(DATASETS)}")
    if limit is not None and not (type(limit) is int and limit > 0):
        raise ValueError(f"{source}: the limit in recipe.json is {limit!r}: download it again, or train anew")
    return found | {"limit": limit}


def training_text(args: argparse.Namespace) -> TextData | None:
    """What the text model that a command measures has read; of a run with --limit, no more than it read then.

    None if that was a file, and --data names another.
    """
    source = read_source(locate(args.name))
    found = load_split(source["name"], "train", args.data)
    if args.data and found.revision != source["revision"]:
        if source["file"]:
            return None
        found = load_split(source["name"], "train")
    return found.first(source["limit"])


def advice(model: HubModel) -> str:
    """Name the command that measures such a model, for the end of a refusal."""
    return f"measure it with evaluation.{task_of(model).evaluations[0]}"


def record(folder: Path, results: Measures, files: dict[str, bytes] | None = None) -> None:
    """Put results into a folder's `eval_results.json` in place of those they repeat, and render its card again.

    The files, by name, are written beside it: a report and then its pictures. Only pictures of the split that the card
    shows are kept. Results of other weights than those that lie there are dropped: a card never shows a figure that is
    not its file's. What is over more of a split stays in place of what is over less.
    """
    files = files or {}

    def key(entry: dict) -> tuple:
        return tuple(entry[name] for name in IDENTITY[1:])

    weights = results[0]["weights"]
    with locked(folder):  # of two evaluations at once neither loses its results
        now = fingerprint(folder / WEIGHTS)
        if now != weights:
            raise ValueError(f"{folder} was trained anew meanwhile: evaluate it again")
        kept = {key(old): old for old in read_results(folder) if old["weights"] == weights}
        for entry in results:
            if extent(entry) >= extent(kept.get(key(entry), entry)):
                kept.pop(key(entry), None)  # the newest stand last
                kept[key(entry)] = entry
        less = len(results) - sum(entry in results for entry in kept.values())
        if less:
            print(f"{less} results are printed, not written: {folder} has them over more of the split", file=sys.stderr)
        for name, content in files.items():  # the report first: it decides which split is shown
            if name not in unshown_pictures(folder):
                write_bytes(folder / name, content)
        write_json(folder / EVAL_RESULTS, list(kept.values()))
        write_card(folder)
        stale = unshown_pictures(folder) if files else []  # deleted last: the card before this one may show them
        for name in stale:
            (folder / name).unlink(missing_ok=True)
        for name in (*stale, *files):  # before pictures were WebP
            (folder / name).with_suffix(".png").unlink(missing_ok=True)


def command(measure: Callable, doc: str, report: Report | None = None) -> None:
    """The main of an evaluation module: one sentence and a non-zero exit code on what the user can mend."""
    prepare_console()
    keep_memory()
    try:
        run(measure, doc, sys.argv[1:], report)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("stopped")
