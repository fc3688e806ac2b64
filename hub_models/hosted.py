"""What an app needs to be at home on a hosted Space: the newest weights, and a GPU by the minute where that is lent."""

import importlib
import logging
import os
from collections.abc import Callable
from pathlib import Path

import torch
from huggingface_hub import metadata_load

from .base import HubModel
from .registry import load

logger = logging.getLogger(__name__)


def load_hosted(name: str, header: Path) -> HubModel:
    """A shipped checkpoint for an app, on the GPU where there is one.

    On a hosted Space it is that of the repository which the Space's header names, so that publishing a model again is
    enough; where the Hub cannot be reached, and anywhere else, the copy that lies with the code.

    Args:
        name: of the checkpoint.
        header: the Space's README, whose `models` list `owner/name`.

    Raises:
        FileNotFoundError: nothing there. ValueError: a damaged checkpoint.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if os.environ.get("SYSTEM") == "spaces":
        repository = next(model for model in metadata_load(header)["models"] if model.endswith(f"/{name}"))
        try:
            return load(repository, map_location=device)
        except (FileNotFoundError, ValueError) as error:
            logger.warning("%s: the copy of %s that came with this Space serves instead", error, name)
    return load(name, map_location=device)


def on_gpu(function: Callable) -> Callable:
    """Decorate what needs a model: on ZeroGPU it runs where the GPU is lent, in a process of its own; else as it is."""
    try:
        package = importlib.import_module("spaces")  # PyPI's; in a clone, at most, our own folder of that name
    except ImportError:
        return function
    return getattr(package, "GPU", lambda same: same)(function)
