"""Publish a run or shipped folder on the Hub: `python -m training.publish NAME NAMESPACE [--private] [--dry-run]`.

NAME is a shipped checkpoint, a run folder, or the folder of a data set (README.md and parquet files). A model's
repository holds what its folder holds that is meant for others, a card with the repository's own links, and a wheel of
Scanline's code without checkpoints, so that the card's `pip install` needs nothing else. One commit replaces the one
before; where nothing differs there is none. What holds a token, a password or a path of this machine is refused, with
--dry-run too. `--all NAMESPACE` publishes all that ships, the Spaces, and a Collection that links them with their data
sets; NAMEs before it go along. All of it is safe to repeat.
"""

import argparse
import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow
import pyarrow.parquet

import hub_models
from hub_models import load, locate, shipped
from hub_models.base import PRETRAINED, WEIGHTS, fingerprint, read_recipe, read_text, write_text
from hub_models.card import PUBLISHED, README, REPORT, SPLITS, read_report, read_results, unshown_pictures, write_card
from hub_models.environment import prepare_console
from hub_models.privacy import check_public
from hub_models.upload import check_card, check_id, connect, listing, retried, upload
from training.data import DATASETS, describe

CODE = ("pyproject.toml", "README.md", "LICENSE", "hub_models", "training", "evaluation")
REQUIRED = (
    "config.json",
    WEIGHTS,
    "recipe.json",
    "train_results.json",
    "history.csv",
    "curves.webp",
)  # a finished run's
SOURCES = {told["repo_id"] for told in map(describe, DATASETS) if "url" not in told}  # on the Hub
BUILD = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"
COLLECTION = "Scanline"
ABOUT = "The classic small sequence and image models, done right: each number with the command that gave it."


@functools.cache
def build_wheel() -> tuple[str, bytes]:
    """Name and content of a wheel of this clone's code without the checkpoints; equal for equal code, and only then.

    Raises:
        FileNotFoundError: this is no clone. OSError: it could not be built.
    """
    root = Path(hub_models.__file__).parents[1]
    for name in CODE:
        if not (root / name).exists():
            raise FileNotFoundError(f"{root} has no {name}: publish from a clone of Scanline, whose code goes along")
    with tempfile.TemporaryDirectory() as folder:
        copy, built = Path(folder, "code"), Path(folder, "built")
        copy.mkdir(), built.mkdir()
        for name in CODE:
            if (root / name).is_dir():
                shutil.copytree(root / name, copy / name, ignore=shutil.ignore_patterns(PRETRAINED.name, "__pycache__"))
            else:
                shutil.copy(root / name, copy / name)
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


def tables(folder: Path) -> list[Path]:
    """The parquet files of a data set's folder, none of a hidden one."""
    found = sorted(folder.rglob("*.parquet"))
    return [path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts)]


def stage_model(folder: Path, stage: Path, repo_id: str) -> None:
    """Copy what is published of a run or shipped folder, with the code and the repository's own card.

    Raises:
        FileNotFoundError, ValueError: the folder is no whole checkpoint, its results are of other weights, or a file
            holds a secret or a path of a machine.
    """
    missing = [name for name in REQUIRED if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(f"{folder} has no {missing[0]}: it is no finished run; finish it with --resume")
    other = {REPORT.format(split) for split in SPLITS if read_report(folder, split) is None}  # of other weights
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
    data = read_recipe(stage / "recipe.json")["data"]
    check_card(read_text(stage / README), "model", None if "url" in data else SOURCES)
    check_public(stage, folder)


def stage_data(folder: Path, stage: Path) -> None:
    """Copy a data set's card and parquet files.

    Raises:
        FileNotFoundError: it has no card. ValueError: the card's metadata or a file is damaged, or what describes the
            data holds a secret or a path of a machine.
    """
    if not (folder / README).is_file():
        raise FileNotFoundError(f"{folder} has parquet files but no README.md: write its card, with a licence")
    check_card(read_text(folder / README), "dataset")
    copy_own(folder, README, stage)
    for path in tables(folder):
        try:
            pyarrow.parquet.read_metadata(path)
        except (pyarrow.ArrowException, OSError) as error:
            raise ValueError(f"{path} is damaged or cut short ({error}): write it again") from error
        copy_own(folder, path.relative_to(folder), stage)
    check_public(stage, folder)


def publish(name: str, namespace: str, *, private: bool = False, dry_run: bool = False) -> tuple[str, str]:
    """Publish one model or data set; print its address.

    Returns:
        kind, "model" or "dataset", and repository id.

    Raises:
        FileNotFoundError, ValueError: with one sentence on what is wrong here. PermissionError, OSError: at the Hub.
    """
    source = locate(name)
    if not os.path.isdir(source):
        raise FileNotFoundError(f"{name} is no folder here: give a shipped name, a run folder or a data set's folder")
    folder = Path(os.path.abspath(source))  # not resolved: a link has a name of its own
    kind = "dataset" if tables(folder) and not (folder / "config.json").is_file() else "model"
    repo_id = check_id(namespace, folder.name)
    with tempfile.TemporaryDirectory() as stage:
        if kind == "model":
            stage_model(folder, Path(stage), repo_id)
            # and the pictures from before they were WebP; not the wheels, which the cards of earlier revisions name
            replaced = [*PUBLISHED, *(name.replace(".webp", ".png") for name in PUBLISHED)]
        else:
            stage_data(folder, Path(stage))
            replaced = [README, "*.parquet"]
        if dry_run:
            print(f"would publish {kind} {repo_id}:\n{listing(Path(stage))}")
        else:
            print(upload(Path(stage), repo_id, kind, replaced=replaced, private=private))
    return kind, repo_id


def publish_spaces(namespace: str, options: list[str]) -> list[tuple[str, str]]:
    """Deploy every theme's Space, by its own command, since nothing here may import the apps.

    Raises:
        FileNotFoundError: this is no clone. OSError: a deployment failed.
    """
    spaces = Path(hub_models.__file__).parents[1] / "spaces"
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


def collect(namespace: str, items: list[tuple[str, str]], private: bool) -> None:
    """Make the Collection of (kind, id) pairs, or add to it what it lacks, and print its address.

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
                if item not in SOURCES:  # those are others', who may take them away
                    raise
                print(f"{item} is not linked, for the Hub does not have it: {error}", file=sys.stderr)
    print(collection.url)


def run(argv: list[str]) -> None:
    """What the command line asks for.

    Raises:
        ValueError, OSError: with one sentence on what is wrong.
    """
    parser = argparse.ArgumentParser("python -m training.publish", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="a shipped name, a run folder or a data set's folder")
    parser.add_argument("namespace", metavar="NAMESPACE", help="your user name on the Hub, or an organisation's")
    parser.add_argument("--all", action="store_true", help="all that ships, the Spaces and a Collection too")
    parser.add_argument("--private", action="store_true", help="make the repositories private")
    parser.add_argument("--dry-run", action="store_true", help="say what would be published; ask no other host")
    args = parser.parse_args(argv)
    if not args.names and not args.all:
        raise ValueError(f"what goes to {args.namespace}? Give a NAME before it, or --all")
    check_id(args.namespace, "name")
    if not args.dry_run:
        connect()  # before any work: it refuses where there is no token
    names = [*args.names, *(shipped() if args.all else [])]
    options = {"private": args.private, "dry_run": args.dry_run}
    published = [publish(name, args.namespace, **options) for name in names]
    if args.all:
        flags = [f"--{key.replace('_', '-')}" for key, given in options.items() if given]
        published += publish_spaces(args.namespace, flags)
        linked = [*published, *(("dataset", source) for source in sorted(SOURCES))]
        if args.dry_run:
            print(f"would link in the Collection {COLLECTION}: {', '.join(item for _, item in linked)}")
        else:
            collect(args.namespace, linked, args.private)


def main() -> None:
    """The command: one sentence and exit code 1 on what the user can mend."""
    prepare_console()
    try:
        run(sys.argv[1:])
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
