"""A run folder on disk: claim it, resume what is there, put an old run aside, move finished files into place."""

import logging
import os
import shutil
from pathlib import Path
from typing import Any

from hub_models.files import read_recipe, write_json
from hub_models.run_folder import ASIDE, LOCK, RECIPE, RUN_PICTURES, WEIGHTS
from training.arguments import RunArguments
from training.recipe import Recipe, standards
from training.recipes import find
from training.record import DECISIVE
from training.trainer import best_of, checkpoints, is_complete, newest_checkpoint

logger = logging.getLogger(__name__)


def claim(folder: Path, run: RunArguments, wanted: dict) -> Path | None:
    """Claim a run folder: refuse, put aside or resume what is there, and record the recipe.

    Returns:
        the checkpoint to resume from, or None.

    Raises:
        ValueError: the folder holds something else, another recipe or a damaged one.
    """
    recorded = folder / RECIPE
    there = [path for path in folder.iterdir() if path.name != LOCK]
    if run.resume and there:  # else it was killed before it could write its recipe
        if not recorded.is_file():
            raise ValueError(f"{folder} holds no run to resume: leave out --resume")
        (folder / ASIDE).unlink(missing_ok=True)  # of one that was killed as it put this aside
        try:
            before = read_recipe(recorded)
            complete = all(isinstance(before[key], dict) for key in ("data", "machine", "training"))
        except (ValueError, KeyError):
            complete = False
        if not complete:
            raise ValueError(f"{recorded} is damaged: begin anew with --overwrite")
        recipe = find(wanted["recipe"])
        options, config = (standards(type(part)) for part in (recipe.task, recipe.model))
        before = standards(Recipe) | options | before | {"model": config | before["model"]}
        before["training"] = {k: v for k, v in before["training"].items() if k in DECISIVE}  # older runs recorded all
        decisive = [key for key in wanted if key not in ("about", "command", "machine", "settings")]
        changed = [line for k in decisive for line in differences(k, before.get(k), wanted[k])]
        told = f"the recipe has changed since {folder} began: {'; '.join(changed)}"
        if changed:
            raise ValueError(f"{told}: undo that, or begin anew with --overwrite")
        for line in differences("machine", before.get("machine"), wanted["machine"]):
            logger.warning("resumed elsewhere, so not bit for bit as unbroken: %s", line)
        write_json(recorded, wanted | {"machine": before["machine"]})
        newest = newest_checkpoint(folder, wanted["processes"])
        if not newest and checkpoints(folder):
            logger.warning("no checkpoint in %s is whole: training begins anew", folder)
        needed = {newest, best_of(newest)} if newest else set()
        others = [path for path in checkpoints(folder) if path not in needed]
        limit = wanted["training"].get("save_total_limit")
        spare = [path for path in others if is_complete(path, wanted["processes"])]
        for path in set(others) - set(spare[: limit and max(limit - len(needed), 0)]):
            shutil.rmtree(path)  # half written, half deleted, or not yet deleted
        return newest
    if there:
        ours = recorded.is_file()
        if not ours:
            raise ValueError(f"{folder} exists and holds no run of ours: give another --output_dir")
        if not run.overwrite:
            raise ValueError(f"{folder} exists: go on with --resume, or delete it and begin anew with --overwrite")
        if is_aside(folder) and not (folder / WEIGHTS).exists():  # what it was to replace is what is kept
            empty(folder, (LOCK, recorded.name))  # that makes the folder ours, so another takes its place at once
        else:
            put_aside(folder)
            os.link(replaced(folder) / LOCK, folder / LOCK)  # so that it is still locked, by the same file
            (replaced(folder) / LOCK).unlink()
    write_json(recorded, wanted)
    return None


def replaced(folder: Path) -> Path:
    """Return the folder in which --overwrite keeps the old run until the new one is done."""
    return Path(os.path.realpath(folder) + ASIDE)


def is_aside(folder: Path) -> bool:
    """Say whether a run that was in a folder has been put aside."""
    return (replaced(folder) / ASIDE).is_file()


def discard(folder: Path) -> None:
    """Delete the run that was put aside from a folder, if there is one; its mark goes last."""
    if is_aside(folder):
        empty(replaced(folder), (ASIDE,))
        shutil.rmtree(replaced(folder))


def empty(folder: Path, kept: tuple[str, ...]) -> None:
    """Delete everything in a folder except the files of these names."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name not in kept:
            path.unlink()


def put_aside(folder: Path) -> None:
    """Move a run out of its folder, and make an empty folder in its place.

    Raises:
        ValueError: it cannot be moved; it lies where it was.
    """
    discard(folder)
    there = Path(os.path.realpath(folder)) if folder.is_symlink() else folder  # "." is not to be moved
    told = f"{there} cannot be put aside as {replaced(folder)}"
    taken = replaced(folder).exists() and any(replaced(folder).iterdir())
    if taken:
        raise ValueError(f"{told}, which holds no run of ours: move that away")
    (there / ASIDE).touch()
    try:
        there.rename(replaced(folder))
    except OSError as error:
        (there / ASIDE).unlink()
        raise ValueError(f"{told} ({error.strerror}): delete it yourself, or give another --output_dir") from error
    there.mkdir()


def differences(key: str, then: Any, now: Any) -> list[str]:
    """Say of two recorded values in what they differ: a line for each entry of a dictionary."""
    if isinstance(then, dict) and isinstance(now, dict):
        keys = sorted(set(then) | set(now))
        return [line for k in keys for line in differences(f"{key}.{k}", then.get(k), now.get(k))]
    return [] if then == now else [f"{key} was {then!r} and is {now!r}"]


def move_into_place(aside: Path, folder: Path) -> None:
    """Move finished files to the run folder, the weights last: without them it is no checkpoint."""
    for path in sorted(aside.iterdir(), key=lambda p: p.name == WEIGHTS):
        os.replace(path, folder / path.name)
    aside.rmdir()
    for name in RUN_PICTURES:  # before pictures were WebP
        (folder / name).with_suffix(".png").unlink(missing_ok=True)
