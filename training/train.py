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
import sys
import threading
from functools import partial
from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import EarlyStoppingCallback, TrainerState, TrainingArguments, set_seed
from transformers.trainer import TRAINER_STATE_NAME

from hub_models import HubModel
from hub_models.environment import prepare_console
from hub_models.files import read_weights, write_json
from hub_models.hub.card import write_card
from hub_models.run_folder import (
    CURVES,
    HISTORY,
    STAGES_FOLDER,
    TENSORBOARD,
    TRAIN_RESULTS,
    WEIGHTS,
    WRITING,
    checkpoint_name,
)
from training.arguments import parse
from training.data import ImageData, TextData, load_split
from training.figures.dashboard import draw_dashboard, write_history
from training.machine import end_processes, keep_memory, locked
from training.record import description
from training.run import claim, discard, is_aside, move_into_place, replaced
from training.tasks import Task
from training.trainer import HubTrainer, newest_checkpoint

logger = logging.getLogger(__name__)


class DivergedError(ValueError):
    """No validation of a run gave a finite figure."""


def watch(task: Task, folder: Path, model: HubModel, step: int) -> None:
    """Keep what a model draws at a step of its run."""
    if task.stage_suffix:
        (folder / STAGES_FOLDER).mkdir(exist_ok=True)
        task.watch(model, stage_file(task, folder, step))


def stage_file(task: Task, folder: Path, step: int) -> Path:
    """Where a run keeps what its model draws at a step."""
    return folder / STAGES_FOLDER / f"{step}{task.stage_suffix}"


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
    best = folder / checkpoint_name(state.best_global_step) / WEIGHTS
    model.load_state_dict(read_weights(best))  # Trainer's own best path is of where the run lay when it was written
    model = model.cpu().eval()
    if store_fp16:  # the samples, as all figures after, are those of the rounded weights
        model.load_state_dict({k: v.half() if v.is_floating_point() else v for k, v in model.state_dict().items()})
    aside = folder / WRITING
    aside.mkdir()
    history = write_history(state.log_history, task.metrics, aside / HISTORY)
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
    write_json(aside / TRAIN_RESULTS, results)
    draw_dashboard(history, task, aside / CURVES)
    (model.half() if store_fp16 else model).save_pretrained(aside)
    move_into_place(aside, folder)
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
        os.environ["TENSORBOARD_LOGGING_DIR"] = str(folder / TENSORBOARD)
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
    del trainer  # it refers to the process group
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
