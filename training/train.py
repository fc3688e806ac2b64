"""Train a recipe: `python -m training.train RECIPE [--max_steps 100 --model.hidden_size 64 --learning_rate 3e-4 ...]`.

    runs/NAME/  config.json  model.safetensors  recipe.json  train_results.json  history.csv
                curves.png  samples.png  README.md                   what is published
                checkpoint-N/  tensorboard/                          what resuming and watching need

Any field of the model's config (as `--model.FIELD`) and of transformers.TrainingArguments can be overridden. A run is
never overwritten without --overwrite; --resume goes on after a crash and gives the weights of the unbroken run.
"""

import dataclasses
import inspect
import json
import logging
import os
import platform
import shutil
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from transformers import EarlyStoppingCallback, HfArgumentParser, TrainingArguments, set_seed

from hub_models import MODELS, HubModel
from hub_models.base import require
from hub_models.card import write_card
from training.data import DATASETS, ImageData, describe, load_split
from training.dashboard import draw_dashboard, write_history
from training.pictures import draw_samples
from training.recipe import Recipe, find, recipes
from training.trainer import HubTrainer, newest_checkpoint, peak_memory_mib

logger = logging.getLogger(__name__)

# What a recipe need not say: how a HubModel is trained at all.
COMMON = {
    "load_best_model_at_end": True,  # the best on validation is what is kept
    "save_total_limit": 2,  # the best and the last
    "restore_callback_states_from_checkpoint": True,  # patience already used up is remembered
    "remove_unused_columns": False,  # batches arrive whole, as one look-up
    "dataloader_pin_memory": torch.cuda.is_available(),
    "use_cpu": not torch.accelerator.is_available(),  # else bf16 is refused where there is no GPU
    "report_to": "tensorboard",
}
# Where and how loudly a run runs: no part of what it computes, so these may change when it is resumed.
INCIDENTAL = {"output_dir", "report_to", "disable_tqdm", "log_level", "run_name", "dataloader_pin_memory", "use_cpu"}


@dataclasses.dataclass
class RunArguments:
    """What the command line adds to a recipe."""

    resume: bool = dataclasses.field(default=False, metadata={"help": "go on from the last whole checkpoint"})
    overwrite: bool = dataclasses.field(default=False, metadata={"help": "delete the run that is there"})
    limit: int | None = dataclasses.field(default=None, metadata={"help": "use the first N images of each split"})
    patience: int = dataclasses.field(default=0, metadata={"help": "validations without improvement; 0: never stop"})
    exact_from: float = dataclasses.field(default=1.0, metadata={"help": "fraction of steps after which bf16 ends"})


def parse(argv: list[str]) -> tuple[str, Recipe, RunArguments, TrainingArguments, Any]:
    """Command line -> recipe name, recipe, run arguments, training arguments and model config."""
    known = "recipes:\n  " + "\n  ".join(sorted(recipes()))
    if not argv or argv[0] in ("-h", "--help"):
        print(f"{__doc__}\n{known}")
        raise SystemExit(0 if argv else 2)
    name, *rest = argv
    recipe = find(name)
    parser = HfArgumentParser(
        (RunArguments, TrainingArguments), prog=f"python -m training.train {name}", allow_abbrev=False
    )
    for field in dataclasses.fields(recipe.model):
        if field.name != "model_type":
            kind = _flag if field.type is bool else field.type
            parser.add_argument(f"--model.{field.name}", type=kind, default=getattr(recipe.model, field.name))
    parser.set_defaults(output_dir=str(Path("runs", name)), patience=recipe.patience, exact_from=recipe.exact_from)
    parser.set_defaults(**COMMON | recipe.training)
    given = vars(parser.parse_args(rest))
    model = {key.removeprefix("model."): value for key, value in given.items() if key.startswith("model.")}
    config = dataclasses.replace(recipe.model, **model)
    run = RunArguments(**{field.name: given[field.name] for field in dataclasses.fields(RunArguments)})
    require(not given["fp16"], "fp16 training is not offered: use --bf16 True, which needs no loss scaling")
    require(run.limit is None or run.limit > 0, f"--limit is {run.limit}: give at least 1 image")
    require(not (run.resume and run.overwrite), "--resume and --overwrite exclude each other: give one")
    args = TrainingArguments(**{f.name: given[f.name] for f in dataclasses.fields(TrainingArguments) if f.init})
    return name, recipe, run, args, config


def _flag(text: str) -> bool:
    require(text.lower() in ("true", "false"), f"{text!r} is neither true nor false")
    return text.lower() == "true"


def description(name: str, recipe: Recipe, run: RunArguments, args: TrainingArguments, config, data: ImageData) -> dict:
    """All that decides the run's weights, as recipe.json holds it."""
    standard = TrainingArguments(output_dir=args.output_dir, use_cpu=args.use_cpu).to_dict()
    chosen = {k: v for k, v in args.to_dict().items() if v != standard[k] and k not in INCIDENTAL}
    return {
        "recipe": name,
        "about": recipe.about,
        "model": dataclasses.asdict(config),
        "data": describe(recipe.data) | {"revision": data.revision, "limit": run.limit},
        "training": chosen | {"seed": args.seed},
        "patience": run.patience,
        "exact_from": run.exact_from,
        "machine": {
            "device": torch.cuda.get_device_name() if args.device.type == "cuda" else _cpu(),
            "threads": torch.get_num_threads(),
            "python": platform.python_version(),
            **{package: version(package) for package in ("torch", "transformers")},
        },
    }


def _cpu() -> str:
    """The processor's name as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def claim(folder: Path, run: RunArguments, wanted: dict) -> Path | None:
    """Make the run folder ours: refuse, clear or resume what is there; return the checkpoint to go on from."""
    recorded = folder / "recipe.json"
    if run.resume:
        require(recorded.is_file(), f"{folder} holds no run to resume: leave out --resume")
        before = json.loads(recorded.read_text())
        flat = [(k, wanted[k], before.get(k)) for k in wanted if k not in ("about", "machine")]
        changed = [line for key, now, then in flat for line in _differences(key, then, now)]
        require(not changed, f"the recipe has changed since {folder} began: {'; '.join(changed)}. Undo that, or begin anew with --overwrite")
        for line in _differences("machine", before.get("machine"), wanted["machine"]):
            logger.warning("resumed elsewhere, so not bit for bit as unbroken: %s", line)
        return newest_checkpoint(folder)
    if folder.exists() and any(folder.iterdir()):
        require(run.overwrite, f"{folder} exists: go on with --resume, begin anew with --overwrite, or give --output_dir")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(recorded, wanted)
    return None


def _differences(key: str, then: Any, now: Any) -> list[str]:
    if isinstance(then, dict) and isinstance(now, dict):
        keys = sorted(set(then) | set(now))
        return [line for k in keys for line in _differences(f"{key}.{k}", then.get(k), now.get(k))]
    return [] if then == now else [f"{key} was {then!r} and is {now!r}"]


def write_json(path: Path, value: Any) -> None:
    """Write aside, then rename: a reader never sees half a file."""
    aside = path.with_name(path.name + ".writing")
    aside.write_text(json.dumps(value, indent=2) + "\n")
    os.replace(aside, path)


def accuracy(prediction) -> dict[str, float]:
    """transformers.EvalPrediction of a classifier -> share of right answers."""
    return {"accuracy": float((prediction.predictions.argmax(-1) == prediction.label_ids).mean())}


def finish(folder: Path, model: HubModel, trainer: HubTrainer, data: ImageData, minutes: float) -> None:
    """Write what is published. All is made aside and then moved, the weights last: without them it is no checkpoint."""
    aside = folder / ".writing"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    state = trainer.state
    model = model.cpu().eval()
    history = write_history(state.log_history, aside / "history.csv")
    validations = [entry for entry in state.log_history if "eval_loss" in entry]
    best = next((v for v in validations if v["step"] == state.best_global_step), validations[-1] if validations else {})
    kept = ("epoch", "step", "eval_loss", "eval_accuracy")
    write_json(
        aside / "train_results.json",
        {
            "parameters": sum(p.numel() for p in model.parameters()),
            "steps": state.global_step,
            "epochs": round(state.epoch, 3),
            "stopped_early": state.global_step < state.max_steps,
            "best_validation": {key: best[key] for key in kept if key in best},
            "minutes": round(sum(v["minutes"] for v in validations) or minutes, 2),
            "peak_memory_mib": round(peak_memory_mib()),
            "samples": draw_samples(model, data, aside / "samples.png"),
        },
    )
    draw_dashboard(history, aside / "curves.png")
    model.save_pretrained(aside)
    for path in sorted(aside.iterdir(), key=lambda p: p.name == "model.safetensors"):
        os.replace(path, folder / path.name)
    aside.rmdir()
    write_card(folder)


def train(argv: list[str]) -> Path:
    """Train the recipe that a command line asks for, and return its run folder.

    Raises:
        ValueError, FileNotFoundError: with one sentence on what is wrong; nothing has been touched then.
    """
    name, recipe, run, args, config = parse(argv)
    splits = {split: load_split(recipe.data, split).first(run.limit) for split in ("train", "validation")}
    folder = Path(args.output_dir)
    checkpoint = claim(folder, run, description(name, recipe, run, args, config, splits["train"]))
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(folder / "tensorboard")
    set_seed(args.seed)
    model = MODELS[config.model_type](config)
    taken = inspect.signature(model.forward).parameters
    trainer = HubTrainer(
        model,
        args,
        exact_from=run.exact_from,
        train_dataset=splits["train"],
        eval_dataset=splits["validation"],
        data_collator=lambda batch: {key: value for key, value in batch.items() if key in taken},
        compute_metrics=accuracy if hasattr(model, "predict") else None,
        callbacks=[EarlyStoppingCallback(run.patience)] if run.patience else [],
    )
    begun = time.perf_counter()
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if trainer.is_world_process_zero():
        finish(folder, model, trainer, splits["validation"], (time.perf_counter() - begun) / 60)
    return folder


def main() -> None:
    """The command: one sentence and exit code 2 on what the user can mend."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        folder = train(sys.argv[1:])
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        sys.exit(f"error: {error}: make room or rights, then go on with --resume; whole checkpoints are kept")
    except KeyboardInterrupt:
        sys.exit("stopped: go on with --resume")
    print(f"done: {folder}")


if __name__ == "__main__":
    main()
