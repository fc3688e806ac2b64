"""Locate a checkpoint, fetch its files from a folder or the Hub, and read its config."""

import json
import os
import re
from pathlib import Path
from typing import NamedTuple

import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

from .config import nearest, renamed
from .environment import client_fault
from .files import read_text
from .run_folder import CONFIG

PRETRAINED = Path(__file__).parent / "pretrained"
HUB_ARGUMENTS = ("revision", "token", "cache_dir", "force_download", "local_files_only")


def shipped() -> list[str]:
    """Name the checkpoints that come with the package."""
    return sorted(path.parent.name for path in PRETRAINED.glob(f"*/{CONFIG}"))


def locate(name: str | Path) -> str:
    """Turn a shipped name, a folder or a Hub repository id into a folder path or a repository id.

    An existing folder comes first; a name without a slash is a shipped one; `owner/name` is on the Hub.
    What is written as a path (`runs/x`, `./x`, `/x`, `x/y/z`) never goes to the Hub.

    Raises:
        FileNotFoundError: no such folder or shipped name.
    """
    text = str(name)
    if os.path.isdir(text):
        return text
    if "/" not in text:
        if text in shipped():
            return str(PRETRAINED / text)
        raise FileNotFoundError(f"no folder and no shipped checkpoint is called {text!r}: {nearest(text, shipped())}")
    if isinstance(name, Path) or text.startswith(("/", "./", "../", "~", "runs/")) or text.count("/") != 1:
        raise FileNotFoundError(f"there is no folder {text!r}: give a run folder, a shipped name or owner/name")
    return text


def fetch(source: str, filename: str, **hub) -> Path:
    """Return the path of one file of a located folder or repository; `hub` goes to `hf_hub_download`.

    Raises:
        FileNotFoundError: the folder, the repository, the revision or the file is not there or not reachable.
    """
    if os.path.isdir(source):
        path = Path(source, filename)
        if not path.is_file():
            pickles = [p.name for pattern in ("*.bin", "*.pt", "*.pth", "*.pkl") for p in Path(source).glob(pattern)]
            hint = (
                f"; it holds {pickles[0]}, a pickle, and Scanline reads safetensors only"
                if pickles
                else "; if a training run made it, finish that with --resume"
            )
            raise FileNotFoundError(f"{source} has no {filename}{hint}")
        return path
    try:
        return Path(hf_hub_download(source, filename, **hub))
    except LocalEntryNotFoundError as error:
        why = "is not in the local cache and the Hub cannot be reached"
        raise FileNotFoundError(f"{source} {why}: check the id, the revision and the network") from error
    except EntryNotFoundError as error:
        raise FileNotFoundError(f"{source} has no {filename}: check the id and the revision") from error
    except Exception as error:  # no valid id, refused, cut off: the client and its HTTP library have a dozen types
        reason = client_fault() or str(error).strip().partition("\n")[0]
        raise FileNotFoundError(f"{source} cannot be read from the Hub: {reason}") from error


class Stored(NamedTuple):
    """A located checkpoint: its config has been read, its weights have not."""

    source: str  # folder or repository id
    config: dict  # parsed config.json, with a model_type
    hub: dict  # arguments for `fetch` with which its other files are of the same commit
    device: str | torch.device  # where the weights go


def open_checkpoint(name: str | Path, **kwargs) -> Stored:
    """Locate a checkpoint and read its `config.json`; the arguments are those of `HubModel.from_pretrained`.

    Raises:
        FileNotFoundError: there is none. ValueError: it is not a JSON object with a `model_type`.
    """
    unknown = sorted(set(kwargs) - {*HUB_ARGUMENTS, "map_location", "strict"})
    if unknown:
        raise TypeError(f"there is no argument {unknown[0]!r}: {nearest(unknown[0], [*HUB_ARGUMENTS, 'map_location'])}")
    if kwargs.get("strict", True) is not True:
        raise ValueError("strict=False would leave random weights: Scanline always loads strictly")
    source = locate(name)
    if kwargs.get("revision") and os.path.isdir(source):
        raise ValueError(f"{source} is a folder, which has no revisions: leave revision out, or give owner/name")
    hub = {key: kwargs[key] for key in HUB_ARGUMENTS if key in kwargs}
    path = fetch(source, CONFIG, **hub)
    try:
        config = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{source}: {CONFIG} is not valid JSON ({error}): download or save it again") from error
    valid = isinstance(config, dict) and isinstance(config.get("model_type"), str)
    if not valid:
        raise ValueError(f"{source}: {CONFIG} names no model_type, so this is no Scanline checkpoint")
    commit = path.parent.name  # of the Hub's cache; a publish between two requests must not mix two checkpoints
    if not os.path.isdir(source) and re.fullmatch("[0-9a-f]{40}", commit):
        hub["revision"] = commit
    device = kwargs.get("map_location", "cpu")
    check_device(device, "map_location")
    return Stored(source, renamed(config), hub, device)


def check_device(device: str | torch.device, name: str) -> None:
    """Refuse a device that holds no numbers here; `name` is the argument's.

    Raises:
        ValueError: with what was given.
    """
    try:
        torch.zeros(1, device=device).item()  # "meta" has tensors, but no numbers
    except (RuntimeError, AssertionError, TypeError) as error:
        raise ValueError(f"{name} is {device!r}, which is not to be had here: give cpu or leave it out") from error
