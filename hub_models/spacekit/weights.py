"""The weights of an app, and what a visitor should know about them; a GPU by the minute where one is lent."""

import functools
import html
import importlib
import logging
import os
import re
from collections.abc import Callable
from pathlib import Path

import torch
from huggingface_hub import metadata_load

from ..base import HubModel
from ..checkpoints import fetch, locate, open_checkpoint
from ..files import fingerprint, read_json
from ..hub.card import read_results, widest
from ..registry import MODELS, load
from ..run_folder import CONFIG, TRAIN_RESULTS, WEIGHTS

logger = logging.getLogger(__name__)


def load_hosted(name: str, header: Path) -> HubModel:
    """Load a shipped checkpoint for an app, on the GPU where there is one.

    On a hosted Space it comes from the repository that the Space's header names, so that publishing a model again is
    enough. Where the Hub cannot be reached, and anywhere else, the copy that lies with the code serves.

    Args:
        name: of the checkpoint.
        header: the Space's README, whose `models` list `owner/name`.

    Raises:
        FileNotFoundError: nothing there. ValueError: a damaged checkpoint.
    """
    size = read_json(Path(locate(name), TRAIN_RESULTS))["parameters"]
    print(f"loading {name}, {size:,} parameters ...", flush=True)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if os.environ.get("SYSTEM") == "spaces":
        try:
            return load(repository(name, header), map_location=device)
        except (FileNotFoundError, ValueError) as error:
            logger.warning("%s: the copy of %s that came with this Space serves instead", error, name)
    return load(name, map_location=device)


def repository(name: str, header: Path) -> str:
    """Return the Hub repository of a checkpoint, `owner/name`, which the Space's header names."""
    return next(model for model in metadata_load(header)["models"] if model.endswith(f"/{name}"))


def headline(figure: dict) -> str:
    """Return an entry of `eval_results.json` in plain words."""
    value, name = f"{figure['value']:#.3g}", figure["metric"].replace("_", " ")
    words = {
        "accuracy": f"{value} % accuracy",
        "bits_per_dim": f"{value} bits per dimension",
        "perplexity": f"perplexity {value} per token",
    }
    told = words.get(figure["metric"], f"{name} {value} {figure['unit']}")
    given = " (given the class)" if figure["unit"].endswith("given the label") else ""
    return f"{told} on {figure['n']:,} {figure['split']} {figure.get('of', 'images')}{given}"


@functools.cache  # several tabs have chips of one model, and the Hub is asked each time
def has_newer_weights(name: str, header: Path) -> bool:
    """Return whether a hosted Space runs other weights than those that came with it, by its header."""
    if os.environ.get("SYSTEM") != "spaces":
        return False
    try:
        stored = open_checkpoint(repository(name, header))  # at the commit that `load` takes, too
        hosted = fetch(stored.source, WEIGHTS, **stored.hub)
    except (FileNotFoundError, ValueError):  # then `load_hosted` takes the copy, too
        return False
    return fingerprint(hosted) != fingerprint(Path(locate(name), WEIGHTS))


def chip(name: str, header: Path) -> str:
    """Return a line of HTML about a checkpoint: parameters, its first test figure, links to card, paper and source."""
    folder = Path(locate(name))
    figure = next(result for result in widest(read_results(folder)) if result["split"] == "test")
    address = f"https://huggingface.co/{repository(name, header)}"
    links = {"card": address}
    found = re.search(r"eprint=\{([\d.]+)\}|url=\{([^}]+)\}", MODELS[read_json(folder / CONFIG)["model_type"]].citation)
    if found:
        links["paper"] = f"https://arxiv.org/abs/{found[1]}" if found[1] else found[2]
    links["source"] = f"{address}/tree/main"
    parts = [f"{read_json(folder / TRAIN_RESULTS)['parameters']:,} parameters", html.escape(headline(figure))]
    if has_newer_weights(name, header):
        parts.append("newer weights run here: these figures are of the copy that came with this app")
    parts += [f'<a href="{html.escape(url)}" target="_blank" rel="noopener">{text}</a>' for text, url in links.items()]
    return f'<div class="chip">{"".join(f"<span>{part}</span>" for part in parts)}</div>'


def on_gpu(function: Callable) -> Callable:
    """Decorate what needs a model: on ZeroGPU it runs in a process that has the GPU; elsewhere it is left as it is."""
    try:
        package = importlib.import_module("spaces")  # PyPI's; in a clone, at most, our own folder of that name
    except ImportError:
        return function
    return getattr(package, "GPU", lambda same: same)(function)
