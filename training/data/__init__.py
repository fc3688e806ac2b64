"""Data sets, split the same way for everyone: images as uint8 tensors, decoded once and cached, and texts."""

from .images import DATASETS as IMAGES
from .images import ImageData, describe_images, load_images
from .text import TEXTS, TextData, Windows, describe_text, load_text

DATASETS = IMAGES | TEXTS
SPLITS = ("train", "validation", "test", "held-out")

__all__ = ["DATASETS", "SPLITS", "TEXTS", "ImageData", "TextData", "Windows", "describe", "load_split"]


def describe(name: str, validation: ImageData | TextData | None = None) -> dict:
    """Describe a data set and its splits for a card; `validation` is the split that is there, else a whole one."""
    return describe_text(name) if name in TEXTS else describe_images(name, validation)


def load_split(name: str, split: str, file: str | None = None) -> ImageData | TextData:
    """One split of a data set.

    Args:
        name: a key of DATASETS.
        split: "train", "validation" (kept out of training) or "test"; of a text also "held-out", both of them together.
        file: of the plays, a CSV instead of Kaggle's.

    Raises:
        FileNotFoundError: the set is neither in a cache nor reachable. ValueError: there is no such set or split.
    """
    if name not in DATASETS:
        raise ValueError(f"no data set is called {name!r}: known are {', '.join(sorted(DATASETS))}")
    if split not in SPLITS or (split == "held-out" and name not in TEXTS):
        raise ValueError(f"split is {split!r}: give train, validation or test")
    if name in TEXTS:
        return load_text(name, split, file)
    if file:
        raise ValueError(f"--data is for the plays: leave it out, {name} comes from the Hub")
    return load_images(name, split)
