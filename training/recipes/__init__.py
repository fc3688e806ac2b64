"""All recipes, a file a family."""

from pathlib import Path

from hub_models.checkpoints import PRETRAINED
from hub_models.config import nearest
from hub_models.files import read_json, read_recipe
from hub_models.hub.card import changed_options, format_value, read_results, widest
from hub_models.run_folder import RECIPE, TRAIN_RESULTS
from training.recipe import Recipe

from . import cifar10_cnn, cifar10_pixelrnn, mnist_pixelrnn, mnist_recurrent, shakespeare

RECIPES: dict[str, Recipe] = {
    **cifar10_cnn.RECIPES,
    **mnist_pixelrnn.RECIPES,
    **cifar10_pixelrnn.RECIPES,
    **mnist_recurrent.RECIPES,
    **shakespeare.RECIPES,
}
# Folders as in hub_models/pretrained, without weights and pictures; in a clone only.
UNSHIPPED = Path(__file__).parents[2] / "evaluation" / "results" / "unshipped"
HEADLINES = ("accuracy", "bits_per_dim", "nats_per_image", "perplexity")


def find(name: str) -> Recipe:
    """Return the recipe of a name.

    Raises:
        ValueError: there is none; the message offers the nearest.
    """
    if name not in RECIPES:
        raise ValueError(f"no recipe is called {name!r}: {nearest(name, sorted(RECIPES))}")
    return RECIPES[name]


def expected(name: str) -> str:
    """Return what a recipe gave when it was run and evaluated: test figures, minutes, hardware, changed options.

    It reads the results files of the recipe's folder in `hub_models/pretrained` or `evaluation/results/unshipped`, and
    returns "" if there is no such folder.

    Raises:
        FileNotFoundError: a file is missing. ValueError: one is damaged.
    """
    folder = next((home / name for home in (PRETRAINED, UNSHIPPED) if (home / name).is_dir()), None)
    if not folder:
        return ""
    found = {result["metric"]: result["value"] for result in widest(read_results(folder)) if result["split"] == "test"}
    figures = ", ".join(f"{metric} {format_value(found[metric])}" for metric in HEADLINES if metric in found)
    recipe, minutes = read_recipe(folder / RECIPE), read_json(folder / TRAIN_RESULTS)["minutes"]
    changed = changed_options(recipe["command"])
    return (
        f"{figures} (test) after {minutes:.3g} minutes on {recipe['machine']['hardware']}"
        f"{', with ' if changed else ''}{changed}"
    )
