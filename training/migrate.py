"""Bring the `recipe.json` of an older run up to date: `python -m training.migrate FOLDER [FOLDER ...]`.

It gets today's names of all options, and their descriptions for the card, which is rendered again.
"""

import sys
from pathlib import Path

from hub_models import MODELS
from hub_models.base import read_recipe, write_json
from hub_models.card import write_card
from hub_models.environment import prepare_console
from training.machine import locked
from training.recipe import Recipe
from training.recipes import find


def recorded(recipe: dict) -> Recipe:
    """The recipe of a run with its options and model as `recipe.json` holds them.

    Raises:
        ValueError: there is no such recipe any longer, or the file is damaged.
    """
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in recipe.items()}
    config = MODELS[recipe["model"]["model_type"]].config_class(**recipe["model"])
    found = find(recipe["recipe"]).with_options(given)
    return Recipe(**{**vars(found), "model": config})


def migrate(folder: Path) -> None:
    """Rewrite a folder's `recipe.json` and render its card.

    Raises:
        FileNotFoundError, ValueError: a file is missing or damaged.
    """
    with locked(folder):
        recipe = read_recipe(folder / "recipe.json")
        write_json(folder / "recipe.json", recipe | {"settings": recorded(recipe).settings()})
        write_card(folder)


def main() -> None:
    """The command: one sentence and exit code 1 on what the user can mend."""
    prepare_console()
    if not sys.argv[1:] or sys.argv[1] in ("-h", "--help"):
        print(__doc__)
        raise SystemExit(0 if sys.argv[1:] else 2)
    try:
        for folder in map(Path, sys.argv[1:]):
            migrate(folder)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
