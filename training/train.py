"""Train a recipe: `python -m training.train RECIPE [--max_steps 100 --model.hidden_size 64 --learning_rate 3e-4 ...]`.

    runs/NAME/  config.json  model.safetensors  recipe.json  train_results.json  history.csv
                curves.webp  samples.webp  stages.webp  README.md    what is published
                checkpoint-N/  stages/  tensorboard/                 what resuming and watching need

Any field of the model's config (as `--model.FIELD`) and of transformers.TrainingArguments can be overridden. A run is
never overwritten without --overwrite; --resume goes on after a crash and gives the weights of the unbroken run.
"""

import contextlib
import dataclasses
import logging
import math
import os
import shutil
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import EarlyStoppingCallback, TrainerState, TrainingArguments, set_seed
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from hub_models import HubModel
from hub_models.base import WEIGHTS, read_recipe, read_weights, write_json
from hub_models.card import RUN_PICTURES, write_card
from hub_models.environment import prepare_console
from training.arguments import RunArguments, parse
from training.data import ImageData, TextData, load_split
from training.figures.dashboard import draw_dashboard, write_history
from training.machine import LOCK, end_processes, keep_memory, locked
from training.recipe import Recipe, standards
from training.recipes import find
from training.record import DECISIVE, description
from training.tasks import Task
from training.trainer import HubTrainer, best_of, checkpoints, is_complete, newest_checkpoint

logger = logging.getLogger(__name__)

WRITTEN = 200  # tokens of a text model's sample at each validation
ASIDE = ".replaced"  # in a run that --overwrite has put aside: another folder that is called so is not ours to delete


class DivergedError(ValueError):
    """No validation of a run gave a finite figure."""


def claim(folder: Path, run: RunArguments, wanted: dict) -> Path | None:
    """Make the run folder ours: refuse, clear or resume what is there; return the checkpoint to go on from."""
    recorded = folder / "recipe.json"
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
        changed = [line for k in decisive for line in _differences(k, before.get(k), wanted[k])]
        told = f"the recipe has changed since {folder} began: {'; '.join(changed)}"
        if changed:
            raise ValueError(f"{told}: undo that, or begin anew with --overwrite")
        for line in _differences("machine", before.get("machine"), wanted["machine"]):
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
    """Where a run lies that --overwrite puts another in place of, until that one is done."""
    return Path(f"{os.path.realpath(folder)}.replaced")


def is_aside(folder: Path) -> bool:
    """Whether a run that was in a folder lies aside."""
    return (replaced(folder) / ASIDE).is_file()


def discard(folder: Path) -> None:
    """Delete the run that lies aside of a folder, if any; what tells that it does goes last."""
    if is_aside(folder):
        empty(replaced(folder), (ASIDE,))
        shutil.rmtree(replaced(folder))


def empty(folder: Path, kept: tuple[str, ...]) -> None:
    """Delete all that is in a folder but the files of these names."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name not in kept:
            path.unlink()


def put_aside(folder: Path) -> None:
    """Move a run out of its folder, which is made anew and empty.

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


def _differences(key: str, then: Any, now: Any) -> list[str]:
    if isinstance(then, dict) and isinstance(now, dict):
        keys = sorted(set(then) | set(now))
        return [line for k in keys for line in _differences(f"{key}.{k}", then.get(k), now.get(k))]
    return [] if then == now else [f"{key} was {then!r} and is {now!r}"]


def watch(task: Task, folder: Path, model: HubModel, step: int) -> None:
    """Keep what a model draws at a step of its run."""
    if task.stage_suffix:
        (folder / "stages").mkdir(exist_ok=True)
        task.watch(model, stage_file(task, folder, step))


def stage_file(task: Task, folder: Path, step: int) -> Path:
    """Where a run keeps what its model draws at a step."""
    return folder / "stages" / f"{step}{task.stage_suffix}"


def finish(folder: Path, model: HubModel, trainer: HubTrainer, data: ImageData | TextData, store_fp16: bool) -> None:
    """Write what is published. All is made aside and then moved, the weights last: without them it is no checkpoint."""
    state, task = trainer.state, trainer.task
    told = "no validation gave a finite figure: the run diverged; lower --learning_rate and begin anew with --overwrite"
    if not state.best_global_step:
        raise DivergedError(told)
    validations = [entry for entry in state.log_history if "eval_loss" in entry]
    chosen = next(entry for entry in validations if entry["step"] == state.best_global_step)
    if not math.isfinite(chosen["eval_loss"]):  # NaN has an accuracy, too
        raise DivergedError(told)
    best = folder / f"{PREFIX_CHECKPOINT_DIR}-{state.best_global_step}" / WEIGHTS
    model.load_state_dict(read_weights(best))  # Trainer's own best path is of where the run lay when it was written
    model = model.cpu().eval()
    if store_fp16:  # the samples, as all figures after, are those of the rounded weights
        model.load_state_dict({k: v.half() if v.is_floating_point() else v for k, v in model.state_dict().items()})
    aside = folder / ".writing"
    aside.mkdir()
    history = write_history(state.log_history, task.metrics, aside / "history.csv")
    kept = ("epoch", "step", *(f"eval_{metric}" for metric in task.metrics))
    results = {
        "parameters": sum(p.numel() for p in model.parameters()),
        "steps": state.global_step,
        "epochs": round(state.epoch, 3),
        "stopped_early": state.global_step < state.max_steps,
        "best_validation": {key: chosen[key] for key in kept if key in chosen},
        "minutes": round(sum(v["minutes"] for v in validations), 2),
        "peak_memory_mib": round(max(v["peak_memory_mib"] for v in validations)),
    }
    seen = [("untrained", 0), *((f"after epoch {v['epoch']:.3g}", v["step"]) for v in validations)]
    stages = [(name, stage_file(task, folder, step)) for name, step in seen]
    stages = [(name, file) for name, file in stages if file.is_file()]  # those that nobody has thrown away
    results |= task.samples(model, data, aside) | task.stages(model, stages, aside)
    write_json(aside / "train_results.json", results)
    draw_dashboard(history, task, aside / "curves.webp")
    (model.half() if store_fp16 else model).save_pretrained(aside)
    for path in sorted(aside.iterdir(), key=lambda p: p.name == "model.safetensors"):
        os.replace(path, folder / path.name)
    aside.rmdir()
    for name in RUN_PICTURES:  # before pictures were WebP
        (folder / name).with_suffix(".png").unlink(missing_ok=True)
    write_card(folder)


def check_batches(model: HubModel, args: TrainingArguments, count: int, what: str = "images") -> None:
    """Refuse what no epoch can be made of, and what the model does not offer or its own optimiser would not heed.

    Raises:
        ValueError: with one sentence on what is wrong.
    """
    batch = args.train_batch_size * args.world_size
    if count < batch and args.dataloader_drop_last:
        raise ValueError(
            f"{count:,} training {what} do not fill one batch of {batch:,}: give a larger --limit or smaller batches"
        )
    least = batch if args.dataloader_drop_last else count % batch or batch
    normed = any(isinstance(part, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d) for part in model.modules())
    if normed and least < 2 * args.world_size:
        raise ValueError(
            "a batch leaves a process a single image, which is no batch to norm by: change the batch size or --limit"
        )
    if args.activation_checkpointing and not hasattr(model, "activation_checkpointing_enable"):
        raise ValueError(f"{type(model).__name__} offers no activation checkpointing: leave it out")
    if not model.parameter_groups(args.learning_rate, args.weight_decay, False):
        return
    for field in dataclasses.fields(TrainingArguments):
        if field.name.startswith(("optim", "adam_")) and getattr(args, field.name) != field.default:
            raise ValueError(
                f"{type(model).__name__} brings its own optimiser, Nesterov's SGD: leave out --{field.name}"
            )


def train(argv: list[str]) -> Path:
    """Train the recipe that a command line asks for, and return its run folder.

    Raises:
        ValueError, FileNotFoundError: with one sentence on what is wrong; no run that was there is lost.
    """
    recipe, run, args = parse(argv, __doc__)
    task = recipe.task
    args._n_gpu = min(args.n_gpu, 1)  # several GPUs: one process each, by torchrun; Trainer would take DataParallel
    splits = {split: load_split(recipe.data, split, run.data).first(run.limit) for split in ("train", "validation")}
    set_seed(args.seed)
    model, sets = task.prepare(recipe.model, splits, args)
    check_batches(model, args, len(sets["train"]), task.examples)
    recipe = dataclasses.replace(
        recipe, model=model.config
    )  # a text may have fewer tokens than the recipe has room for
    folder = Path(args.output_dir)
    begun = folder.exists() or is_aside(folder)
    if not begun and run.resume:
        raise ValueError(f"{folder} holds no run to resume: leave out --resume")
    wanted = description(argv, recipe, run, args, splits["validation"])
    with locked(folder, wait=0) if args.process_index == 0 else contextlib.nullcontext():
        with args.main_process_first(local=False):  # of several processes one claims the folder, then all look into it
            first = args.process_index == 0
            checkpoint = claim(folder, run, wanted) if first else newest_checkpoint(folder, args.world_size)
        if checkpoint:
            task.check_resume(model, checkpoint)
        os.environ["TENSORBOARD_LOGGING_DIR"] = str(folder / "tensorboard")
        trainer = HubTrainer(
            model,
            args,
            task=task,
            watch=partial(watch, task, folder),
            float32_from=recipe.float32_from,
            ema=recipe.ema,
            clip_value=recipe.clip_value,
            muon=recipe.muon,
            train_dataset=sets["train"],
            eval_dataset=sets["validation"],
            callbacks=[EarlyStoppingCallback(recipe.patience)] if recipe.patience else [],
        )
        before = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME)) if checkpoint else None
        if before and before.stateful_callbacks["TrainerControl"]["args"]["should_training_stop"]:
            trainer.state = before  # it was over: Trainer would take one step more
        else:
            if not checkpoint and trainer.is_world_process_zero():
                trainer.watch(model, 0)
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        if trainer.is_world_process_zero():
            finish(folder, model, trainer, splits["validation"], recipe.store_fp16)
            try:
                discard(folder)
            except OSError as error:  # the new run is done all the same
                logger.warning("%s could not be deleted: %s", replaced(folder), error)
    end_processes()
    return folder


def main() -> None:
    """The command: one sentence and exit code 1 on what the user can mend."""
    prepare_console()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    keep_memory()
    threading.excepthook = lambda failed: logger.warning("%s", failed.exc_value)  # TensorBoard's, told again below
    try:
        print(f"done: {train(sys.argv[1:])}", flush=True)
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f"error: {error}")
    except (OSError, SafetensorError) as error:
        sys.exit(f"error: {error}: make room or rights, then go on with --resume; whole checkpoints are kept")
    except KeyboardInterrupt:
        sys.exit("stopped: go on with --resume")


if __name__ == "__main__":
    main()
