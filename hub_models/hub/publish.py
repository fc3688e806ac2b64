"""Prepare and publish what `python -m training.publish` names: a model's repository, the Spaces, the Collection."""

import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path

from ..checkpoints import PRETRAINED
from ..files import fingerprint, read_recipe, read_text, write_text
from ..registry import load
from ..run_folder import CARD, FINISHED, PUBLISHED, RECIPE, SPLITS, WEIGHTS, report_name
from .card import read_report, read_results, unshown_pictures, write_card
from .privacy import check_public
from .upload import check_card, connect, retried

ROOT = Path(__file__).parents[2]  # the clone
CODE = ("pyproject.toml", "README.md", "LICENSE", "hub_models", "training", "evaluation")  # what the wheel is built of
BUILD = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"
COLLECTION = "Scanline"
ABOUT = "The classic small sequence and image models, done right: each number with the command that gave it."


@functools.cache
def build_wheel() -> tuple[str, bytes]:
    """Build a wheel of this clone's code without the checkpoints; return its name and bytes, equal for equal code only.

    Raises:
        FileNotFoundError: this is no clone. OSError: it could not be built.
    """
    for name in CODE:
        if not (ROOT / name).exists():
            raise FileNotFoundError(f"{ROOT} has no {name}: publish from a clone of Scanline, whose code goes along")
    with tempfile.TemporaryDirectory() as folder:
        copy, built = Path(folder, "code"), Path(folder, "built")
        copy.mkdir(), built.mkdir()
        for name in CODE:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns(PRETRAINED.name, "__pycache__"))
            else:
                shutil.copy(ROOT / name, copy / name)
        digest = hashlib.sha256()
        for path in sorted(path for path in copy.rglob("*") if path.is_file()):
            digest.update(f"{path.relative_to(copy)}\0".encode() + path.read_bytes())
        project = copy / "pyproject.toml"  # a version of its own, or pip would take another's code for this
        number = int.from_bytes(digest.digest()[:4])
        write_text(project, re.sub(r'(?m)^(version = "[^"]+)"', rf'\1.post{number}"', read_text(project), count=1))
        done = subprocess.run(
            [sys.executable, "-c", BUILD, built],
            env={**os.environ, "SOURCE_DATE_EPOCH": "315532800", "PYTHONUTF8": "1"},  # the oldest time a zip can hold
            cwd=copy,
            capture_output=True,
            encoding="utf-8",
        )
        if done.returncode:
            raise OSError(f"the wheel of Scanline's code cannot be built: {done.stderr.strip().splitlines()[-1]}")
        (wheel,) = built.glob("*.whl")
        return wheel.name, wheel.read_bytes()


def copy_own(folder: Path, name: str | Path, stage: Path) -> None:
    """Copy a file of a folder; not through a link that leads out of it, since a folder may come from anybody.

    Raises:
        ValueError: it does.
    """
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"{path} links to a file elsewhere: put the file itself there")
    (stage / name).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(path, stage / name)


def stage_model(folder: Path, stage: Path, repo_id: str, sources: Collection[str]) -> None:
    """Copy what is published of a run or shipped folder, with the code and the repository's own card.

    Args:
        folder: the run or shipped folder.
        stage: an empty folder; what is put there is uploaded.
        repo_id: `namespace/name`.
        sources: ids of the data sets on the Hub that a card may name.

    Raises:
        FileNotFoundError, ValueError: the folder is no whole checkpoint, its results are of other weights, or a file
            holds a secret or a path of a machine.
    """
    missing = [name for name in FINISHED if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(f"{folder} has no {missing[0]}: it is no finished run; finish it with --resume")
    other = {report_name(split) for split in SPLITS if read_report(folder, split) is None}  # of other weights
    other |= {*unshown_pictures(folder)}
    for name in PUBLISHED:
        if name not in other and (folder / name).is_file():
            copy_own(folder, name, stage)
    load(stage)  # strict: what does not load is not published
    weights = fingerprint(stage / WEIGHTS)
    stale = [entry for entry in read_results(stage) if entry["weights"] != weights]
    if stale:
        raise ValueError(f"{folder} has results of other weights: evaluate it again, which drops them")
    name, wheel = build_wheel()
    (stage / name).write_bytes(wheel)
    write_card(stage, repo_id)
    data = read_recipe(stage / RECIPE)["data"]
    check_card(read_text(stage / CARD), "model", None if "url" in data else sources)
    check_public(stage, folder)


def publish_spaces(namespace: str, options: list[str]) -> list[tuple[str, str]]:
    """Deploy every theme's Space, by its own command, since nothing here may import the apps.

    Raises:
        FileNotFoundError: this is no clone. OSError: a deployment failed.
    """
    spaces = ROOT / "spaces"
    if not (spaces / "deploy.py").is_file():
        raise FileNotFoundError(f"{spaces} has no deploy.py: publish all from a clone of Scanline")
    published = []
    for app in sorted(spaces.glob("*/app.py")):
        theme = app.parent.name
        done = subprocess.run([sys.executable, spaces / "deploy.py", theme, namespace, *options])
        if done.returncode:
            raise OSError(f"the Space {theme} was not deployed: mend what stands above, then run the command again")
        published.append(("space", f"{namespace}/{theme}"))
    return published


def collect(namespace: str, items: list[tuple[str, str]], sources: Collection[str], private: bool) -> None:
    """Make the Collection of (kind, id) pairs, or add to it what it lacks, and print its address.

    A data set of `sources` that the Hub does not have is left out with a message.

    Raises:
        PermissionError, OSError: see `retried`. ValueError: it is public and was to be private.
    """
    api = connect()
    options = {"namespace": namespace, "description": ABOUT, "private": private, "exists_ok": True}
    collection = retried("making the Collection", api.create_collection, COLLECTION, **options)
    if not collection.private and private:
        raise ValueError(
            f"the Collection {collection.slug} is public already: make it private there, or leave out --private"
        )
    there = {(item.item_type, item.item_id) for item in collection.items}
    for kind, item in items:
        if (kind, item) not in there:
            options = {"item_id": item, "item_type": kind, "exists_ok": True}
            try:
                retried(f"adding {item} to the Collection", api.add_collection_item, collection.slug, **options)
            except OSError as error:
                if item not in sources:  # those are others', who may take them away
                    raise
                print(f"{item} is not linked, for the Hub does not have it: {error}", file=sys.stderr)
    print(collection.url)
