"""The tables of results, a module a family; each module's PAGE is `docs/results/MODULE.md`, made by `evaluation.table`.

A table is a function of the folder of the page that it stands on, from which its links lead.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from hub_models import shipped
from hub_models.checkpoints import PRETRAINED
from hub_models.files import read_json
from hub_models.hub.card import read_results
from hub_models.run_folder import CARD, TRAIN_RESULTS
from training.recipes import UNSHIPPED

ROOT = Path(__file__).parents[2]


class Table(NamedTuple):
    """One table, which stands in README.md, too, between the marks of its name."""

    name: str
    title: str
    text: str  # one or two sentences on what it shows
    make: Callable[[Path], str]


class Page(NamedTuple):
    """One page of `docs/results`."""

    title: str
    text: str  # one or two sentences on what it shows
    tables: tuple[Table, ...]
    commands: tuple[str, ...]  # that measure what the tables show


def folder(name: str) -> Path:
    """Return the folder of a shipped checkpoint, or of one that is not shipped and has all but its weights."""
    return PRETRAINED / name if name in shipped() else UNSHIPPED / name


def linked(place: Path, name: str) -> str:
    """Return a name, with a link to its card where it has one, for a page in `place`."""
    card = folder(name) / CARD
    return f"[{name}]({Path(os.path.relpath(card, place)).as_posix()})" if card.is_file() else name


def ranged(row: dict, key: str, form: str = ".2f") -> str:
    """Return a figure of a row with its 95 % interval."""
    low, high = row["interval"]
    return f"{row[key]:{form}} ({low:{form}} to {high:{form}})"


def find(name: str, metric: str, split: str = "test") -> dict:
    """Return the figure of a metric and split that is over most of it."""
    entries = [r for r in read_results(folder(name)) if r["metric"] == metric and r["split"] == split]
    return max(entries, key=lambda entry: entry["n"])


def trained(name: str) -> dict:
    """Return what training left of a checkpoint."""
    return read_json(folder(name) / TRAIN_RESULTS)


def epochs(name: str) -> str:
    """Return the epochs that a checkpoint was trained for."""
    return f"{trained(name)['epochs']:g}"
