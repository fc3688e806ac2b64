"""Publish a run or shipped folder on the Hub: `python -m training.publish NAME NAMESPACE [--private] [--dry-run]`.

NAME is a shipped checkpoint, a run folder, or the folder of a data set (README.md and parquet files). A model's
repository holds what its folder holds that is meant for others, a card with the repository's own links, and a wheel of
Scanline's code without checkpoints, so that the card's `pip install` needs nothing else. One commit replaces the one
before; where nothing differs there is none. What holds a token, a password or a path of this machine is refused, with
--dry-run too. `--all NAMESPACE` publishes all that ships, the Spaces, and a Collection that links them with their data
sets; NAMEs before it go along. All of it is safe to repeat.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from hub_models import locate, shipped
from hub_models.environment import prepare_console
from hub_models.hub.publish import COLLECTION, collect, publish_spaces, stage_model
from hub_models.hub.upload import check_id, connect, listing, upload
from hub_models.run_folder import CARD, CONFIG, PUBLISHED
from training.data import DATASETS, describe
from training.data.folder import stage_data, tables

SOURCES = {told["repo_id"] for told in map(describe, DATASETS) if "url" not in told}  # on the Hub


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
    kind = "dataset" if tables(folder) and not (folder / CONFIG).is_file() else "model"
    repo_id = check_id(namespace, folder.name)
    with tempfile.TemporaryDirectory() as stage:
        if kind == "model":
            stage_model(folder, Path(stage), repo_id, SOURCES)
            # and the pictures from before they were WebP; not the wheels, which the cards of earlier revisions name
            replaced = [*PUBLISHED, *(name.replace(".webp", ".png") for name in PUBLISHED)]
        else:
            stage_data(folder, Path(stage))
            replaced = [CARD, "*.parquet"]
        if dry_run:
            print(f"would publish {kind} {repo_id}:\n{listing(Path(stage))}")
        else:
            print(upload(Path(stage), repo_id, kind, replaced=replaced, private=private))
    return kind, repo_id


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
            collect(args.namespace, linked, SOURCES, args.private)


def main() -> None:
    """The command: one sentence and exit code 1 on what the user can mend."""
    prepare_console()
    try:
        run(sys.argv[1:])
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
