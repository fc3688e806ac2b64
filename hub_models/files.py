"""Read and write the files of a checkpoint or run folder: text in UTF-8, JSON, safetensors."""

import hashlib
import json
import os
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from .config import renamed
from .run_folder import WRITING


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file aside, then rename it: a reader never sees half, and a full disk loses nothing that was there."""
    aside = path.with_name(f"{path.name}.{os.getpid()}{WRITING}")
    try:
        with aside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # else a power cut may leave the name with nothing behind it
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text in UTF-8, as `write_bytes` does."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: dict | list) -> None:
    """Write a value as indented JSON, as `write_text` does."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def read_text(path: Path) -> str:
    """Read a text file in UTF-8, whatever the locale's encoding is.

    Raises:
        ValueError: it is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 ({error.reason} at byte {error.start}): save it as UTF-8") from error


def read_json(path: Path) -> dict | list:
    """Read a JSON file.

    Raises:
        FileNotFoundError: there is no such file. ValueError: it is damaged.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: it comes with a finished run; train anew, or download it again")
    try:
        return json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not valid JSON: delete it, or download it again") from error


def read_recipe(path: Path) -> dict:
    """Read a `recipe.json` of any age, with today's names of all fields.

    Raises:
        FileNotFoundError: there is no such file. ValueError: it is damaged.
    """
    recipe = read_json(path)
    if not (isinstance(recipe, dict) and isinstance(recipe.get("model"), dict)):
        raise ValueError(f"{path} is damaged: download it again")
    return renamed(recipe) | {"model": renamed(recipe["model"])}


def fingerprint(path: Path) -> str:
    """Return the SHA-256 of a file in hex, by which results name their weights."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read all tensors of a safetensors file, in the dtypes in which they are stored.

    Raises:
        ValueError: the file is truncated, a pickle, or something else.
    """
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        with path.open("rb") as file:
            head = file.read(2)
        pickled = head == b"PK" or head[:1] == b"\x80"  # what torch.save and pickle write
        why = "is a pickle, and Scanline reads safetensors only" if pickled else f"is damaged or cut short ({error})"
        raise ValueError(f"{path} {why}: download or save it again") from error
