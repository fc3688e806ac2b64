"""What lies in git stays small: design section 10, in MiB."""

import json
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from hub_models import MODELS, ConvClassifier, PixelClassifier, PixelPredictor, TextModel, shipped
from hub_models.causal_conv import CausalConvModel
from hub_models.checkpoints import PRETRAINED
from hub_models.hub.card import shown_split
from hub_models.run_folder import RUN_PICTURES, WEIGHTS, picture_names
from training.recipes import UNSHIPPED

ROOT = Path(__file__).parents[1]
MIB = 2**20
PICTURES = {".png", ".jpg", ".jpeg", ".gif", ".bmp", ".svg", ".webp"}


class Family(NamedTuple):
    """Models that share a limit: their classes, the data sets that they are trained on, MiB of weights together."""

    kinds: tuple[type, ...]
    data: set[str]
    most: float


MNIST, CIFAR10 = "ylecun/mnist", "uoft-cs/cifar10"
PLAYS = {"karpathy/tiny_shakespeare", "kingburrito666/shakespeare-plays"}
FAMILIES = {  # still to come: arithmetic 2.5, faces 5, completion 8.25
    "MNIST recurrent": Family((PixelClassifier, PixelPredictor), {MNIST}, 1),
    "CIFAR-10 classifiers": Family((ConvClassifier,), {CIFAR10}, 2.5),
    "PixelRNN": Family((CausalConvModel,), {MNIST, CIFAR10}, 9.75),
    "text": Family((TextModel,), PLAYS, 6),
}


def family_of(folder: Path) -> str:
    kind = MODELS[json.loads((folder / "config.json").read_text())["model_type"]]
    data = json.loads((folder / "recipe.json").read_text())["data"]["repo_id"]
    (name,) = [n for n, f in FAMILIES.items() if issubclass(kind, f.kinds) and data in f.data] or [None]
    return name


def tracked() -> list[Path]:
    """All files in git; of a copy without git all files, but for those of tools and runs."""
    try:
        done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        made = {"__pycache__", "runs", "build"}
        parts = ((path, path.relative_to(ROOT).parts) for path in ROOT.rglob("*"))
        return [p for p, names in parts if p.is_file() and not made & {*names} and not names[0].startswith(".")]
    return [path for name in done.stdout.split("\0") if (path := ROOT / name).is_file()]


def mib(files: list[Path]) -> float:
    return sum(path.stat().st_size for path in files) / MIB


def test_a_clone_is_small():
    files = tracked()
    assert ROOT / "pyproject.toml" in files and PRETRAINED / "cifar10-fast" / WEIGHTS in files
    assert mib(files) < 50
    assert max(path.stat().st_size for path in files) <= 10 * MIB


def test_all_that_ships_is_small_together():
    assert mib([path for path in PRETRAINED.rglob("*") if path.is_file()]) < 42


def test_every_shipped_checkpoint_is_of_a_family():
    families = {name: family_of(PRETRAINED / name) for name in shipped()}
    assert None not in families.values(), families
    assert {*families.values()} == {*FAMILIES}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_weights_of_a_family_are_small_together(family):
    files = [PRETRAINED / name / WEIGHTS for name in shipped() if family_of(PRETRAINED / name) == family]
    assert files and mib(files) <= FAMILIES[family].most


@pytest.mark.parametrize("name", shipped())
def test_a_cards_pictures_are_webp_and_of_one_split(name):
    folder = PRETRAINED / name
    split = shown_split(folder)
    known = {*RUN_PICTURES, *picture_names(split)}
    found = {path.name for path in folder.rglob("*") if path.suffix.lower() in PICTURES}
    assert "curves.webp" in found and found <= known
    assert all((folder / picture).read_bytes()[8:12] == b"WEBP" for picture in found)


def test_what_is_not_shipped_has_no_weights_and_no_pictures():
    files = [path for path in UNSHIPPED.rglob("*") if path.is_file()]
    assert files and not [path for path in files if path.suffix.lower() in {*PICTURES, ".safetensors"}]
