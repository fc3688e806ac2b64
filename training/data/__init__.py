"""Data sets as uint8 tensors: decoded once from the Hub, cached, split the same way for everyone."""

from .images import DATASETS, ImageData, describe, load_split

__all__ = ["DATASETS", "ImageData", "describe", "load_split"]
