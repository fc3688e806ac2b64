"""Bring older run folders up to date: `python -m evaluation.migrate FOLDER ...`.

`recipe.json` gets the descriptions of its options for the card. A report from before reports had `sections` gets them,
made from its numbers by the functions of today's commands. The card is rendered again; no figure changes.
"""

import argparse
import json
import sys
from pathlib import Path

from evaluation.reports import answers, samples, texts
from hub_models.environment import prepare_console
from hub_models.files import read_json, read_recipe, write_bytes, write_json
from hub_models.hub.card import write_card
from hub_models.run_folder import RECIPE, SPLITS, report_name
from training.machine import locked
from training.record import recorded

KINDS = {"confusion": answers.sections, "bits_by_position": samples.sections, "prompts": texts.sections}


def migrate(folder: Path) -> list[str]:
    """Bring a folder's recipe and reports up to date, and render its card again.

    Returns:
        the names of the files that were old.

    Raises:
        FileNotFoundError, ValueError: the folder, or one of its files, is missing or damaged.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}: give a run folder")
    changed = []
    with locked(folder):
        recipe = read_recipe(folder / RECIPE)
        if "settings" not in recipe:
            write_json(folder / RECIPE, recipe | {"settings": recorded(recipe).settings()})
            changed.append(RECIPE)
        for path, split in ((folder / report_name(split), split) for split in SPLITS):
            report = read_json(path) if path.is_file() else {"sections": []}
            if "sections" in report:
                continue
            make = next((make for key, make in KINDS.items() if key in report), None)
            if make is None:
                raise ValueError(f"{path} is damaged: delete it, and evaluate again")
            if make is samples.sections:
                report["mirrored"] = bool(recipe.get("flip"))
            write_bytes(path, (json.dumps(report | {"sections": make(report, split)}) + "\n").encode())
            changed.append(path.name)
        write_card(folder)
    return changed


def main() -> None:
    """The command: one sentence and exit code 1 on what the user can mend."""
    prepare_console()
    parser = argparse.ArgumentParser("python -m evaluation.migrate", description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="a run folder")
    try:
        for folder in parser.parse_args().folders:
            print(f"{folder}: {', '.join(migrate(folder)) or 'nothing to do'}")
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
