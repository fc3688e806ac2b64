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
from tokenizers import Tokenizer
from transformers import EarlyStoppingCallback, TrainerState, TrainingArguments, set_seed
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from hub_models import MODELS, AutoregressiveImageModel, HubModel, TextModel
from hub_models.base import WEIGHTS, read_recipe, read_text, read_weights, write_json, write_text
from hub_models.card import RUN_PICTURES, write_card
from hub_models.config import ModelConfig
from hub_models.environment import prepare_console
from hub_models.text import TOKENIZER
from training.arguments import RunArguments, parse
from training.dashboard import draw_dashboard, write_history
from training.data import ImageData, TextData, Windows, load_split
from training.machine import LOCK, end_processes, keep_memory, locked
from training.pictures import draw_samples, draw_stage, draw_stages
from training.recipe import Recipe, standards
from training.record import DECISIVE, description
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
        config = standards(MODELS[wanted["model"]["model_type"]].config_class)
        before = standards(Recipe) | before | {"model": config | before["model"]}
        before["training"] = {k: v for k, v in before["training"].items() if k in DECISIVE}  # older runs recorded all
        decisive = [key for key in wanted if key not in ("about", "command", "machine")]
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


def accuracy(prediction) -> dict[str, float]:
    """transformers.EvalPrediction of a classifier -> share of right answers."""
    return {"accuracy": float((prediction.predictions.argmax(-1) == prediction.label_ids).mean())}


def watch(folder: Path, model: HubModel, step: int) -> None:
    """Keep samples of a model as it is at a step of its run."""
    (folder / "stages").mkdir(exist_ok=True)
    if isinstance(model, TextModel):
        noise = torch.Generator().manual_seed(0)
        text = "".join(model.generate(max_tokens=WRITTEN, generator=noise))
        write_text(folder / "stages" / f"{step}.txt", text)
    else:
        draw_stage(model, folder / "stages" / f"{step}.png")


def finish(folder: Path, model: HubModel, trainer: HubTrainer, data: ImageData | TextData, store_fp16: bool) -> None:
    """Write what is published. All is made aside and then moved, the weights last: without them it is no checkpoint."""
    state = trainer.state
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
    history = write_history(state.log_history, aside / "history.csv")
    kept = ("epoch", "step", "eval_loss", "eval_accuracy")
    results = {
        "parameters": sum(p.numel() for p in model.parameters()),
        "steps": state.global_step,
        "epochs": round(state.epoch, 3),
        "stopped_early": state.global_step < state.max_steps,
        "best_validation": {key: chosen[key] for key in kept if key in chosen},
        "minutes": round(sum(v["minutes"] for v in validations), 2),
        "peak_memory_mib": round(max(v["peak_memory_mib"] for v in validations)),
        "samples": draw_samples(model, data, aside / "samples.webp"),
    }
    seen = [("untrained", 0), *((f"after epoch {v['epoch']:.3g}", v["step"]) for v in validations)]
    kind = "txt" if isinstance(model, TextModel) else "png"
    rows = [(name, folder / "stages" / f"{step}.{kind}") for name, step in seen]
    rows = [(name, path) for name, path in rows if path.exists()]  # those that nobody has thrown away
    if isinstance(model, AutoregressiveImageModel):
        results["stages"] = draw_stages(model, rows, aside / "stages.webp") if rows else ""
    elif isinstance(model, TextModel):
        rows = rows[:2] + rows[2:][-1:]
        results["written"] = [{"name": name, "text": read_text(path)} for name, path in rows]
    write_json(aside / "train_results.json", results)
    draw_dashboard(history, aside / "curves.webp")
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
    if model.parameter_groups(args.learning_rate, args.weight_decay) is None:
        return
    for field in dataclasses.fields(TrainingArguments):
        if field.name.startswith(("optim", "adam_")) and getattr(args, field.name) != field.default:
            raise ValueError(
                f"{type(model).__name__} brings its own optimiser, Nesterov's SGD: leave out --{field.name}"
            )


def prepare_images(config: ModelConfig, splits: dict[str, ImageData], args: TrainingArguments) -> HubModel:
    """The model of a config, fit for these images.

    Raises:
        ValueError: they do not fit it.
    """
    model = MODELS[config.model_type](config)
    found = tuple(splits["train"].images.shape[1:])
    if found != model.shape:
        raise ValueError(
            f"the images are {found} (C, H, W) and the model's {model.shape}: change --model.channels, height or width"
        )
    if hasattr(model, "prepare"):  # what it takes from the training images before it is trained
        model.prepare(splits["train"].images)
    check_batches(model, args, len(splits["train"]))
    for data in splits.values():
        data.check_labels(getattr(config, "classes", 0) or None)  # 0: a generator that takes no label
    return model


def prepare_text(
    config: ModelConfig, splits: dict[str, TextData], run: RunArguments, args: TrainingArguments
) -> tuple[TextModel, dict[str, Windows]]:
    """The model of a config with a tokenizer of the training text, and both splits as windows.

    Raises:
        ValueError: the text is too short, or an option is not for this model.
    """
    model = MODELS[config.model_type].fitted(config, splits["train"].texts)
    batches = {"train": args.train_batch_size * args.world_size, "validation": args.eval_batch_size}
    tokens = {split: [model.encode(text) for text in data.texts] for split, data in splits.items()}
    lanes = {split: batch if run.carry_state else 0 for split, batch in batches.items()}
    windows = {split: Windows(tokens[split], run.windows[-1], lanes[split], f"{split} text") for split in splits}
    check_batches(model, args, len(windows["train"]), "windows")
    return model, windows


def train(argv: list[str]) -> Path:
    """Train the recipe that a command line asks for, and return its run folder.

    Raises:
        ValueError, FileNotFoundError: with one sentence on what is wrong; no run that was there is lost.
    """
    recipe, run, args, config = parse(argv, __doc__)
    args._n_gpu = min(args.n_gpu, 1)  # several GPUs: one process each, by torchrun; Trainer would take DataParallel
    splits = {split: load_split(recipe.data, split, run.data).first(run.limit) for split in ("train", "validation")}
    set_seed(args.seed)
    if issubclass(MODELS[config.model_type], TextModel):
        model, sets = prepare_text(config, splits, run, args)
        config = model.config
    else:
        model, sets = prepare_images(config, splits, args), splits
    folder = Path(args.output_dir)
    begun = folder.exists() or is_aside(folder)
    if not begun and run.resume:
        raise ValueError(f"{folder} holds no run to resume: leave out --resume")
    wanted = description(argv, recipe, run, args, config, splits["validation"])
    with locked(folder, wait=0) if args.process_index == 0 else contextlib.nullcontext():
        with args.main_process_first(local=False):  # of several processes one claims the folder, then all look into it
            first = args.process_index == 0
            checkpoint = claim(folder, run, wanted) if first else newest_checkpoint(folder, args.world_size)
        if checkpoint and isinstance(model, TextModel):
            before = Tokenizer.from_str(read_text(checkpoint / TOKENIZER))
            if before.get_vocab() != model.tokenizer.get_vocab():
                raise ValueError(
                    f"the vocabulary has changed since {folder} began: undo that, or begin anew with --overwrite"
                )
        os.environ["TENSORBOARD_LOGGING_DIR"] = str(folder / "tensorboard")
        trainer = HubTrainer(
            model,
            args,
            float32_from=run.float32_from,
            flip=run.flip,
            shift=run.shift,
            cutout=run.cutout,
            cutmix=run.cutmix,
            ema=run.ema,
            stages=run.windows or run.stages,
            clip_value=run.clip_value,
            muon=run.muon,
            watch=partial(watch, folder) if isinstance(model, AutoregressiveImageModel | TextModel) else None,
            train_dataset=sets["train"],
            eval_dataset=sets["validation"],
            compute_metrics=accuracy if hasattr(model, "predict") else None,
            callbacks=[EarlyStoppingCallback(run.patience)] if run.patience else [],
        )
        before = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME)) if checkpoint else None
        if before and before.stateful_callbacks["TrainerControl"]["args"]["should_training_stop"]:
            trainer.state = before  # it was over: Trainer would take one step more
        else:
            if not checkpoint and trainer.watch and trainer.is_world_process_zero():
                trainer.watch(model, 0)
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        if trainer.is_world_process_zero():
            finish(folder, model, trainer, splits["validation"], run.store_fp16)
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
