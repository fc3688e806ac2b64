"""The command line of `training.train`: a recipe's name, then any field of its run, its model and its training."""

import argparse
import dataclasses
import json
from pathlib import Path

import torch
from transformers import HfArgumentParser, TrainingArguments

from hub_models import MODELS, AutoregressiveImageModel, DiagonalBiLSTM, FastCNN, ImageClassifier, RowLSTM, TextModel
from hub_models.config import ModelConfig, nearest, require
from hub_models.masked_image import MaskedImageModel
from training.machine import has_bf16
from training.recipe import Recipe, find, recipes

# What a recipe need not say: how a HubModel is trained at all.
COMMON = {
    "load_best_model_at_end": True,  # the best on validation is what is kept
    "save_total_limit": 2,  # the best and the last
    "restore_callback_states_from_checkpoint": True,  # patience already used up is remembered
    "remove_unused_columns": False,  # batches arrive whole, as one look-up
    "dataloader_pin_memory": torch.cuda.is_available(),
    "use_cpu": not torch.accelerator.is_available(),  # else bf16 is refused where there is no GPU
    "logging_nan_inf_filter": False,  # a loss that is not finite is told; and a GPU is not waited for at each step
    "ddp_find_unused_parameters": False,  # there are none: a promise of all models
    "report_to": "tensorboard",
}


@dataclasses.dataclass
class RunArguments:
    """What the command line adds to a recipe."""

    resume: bool = dataclasses.field(default=False, metadata={"help": "go on from the last whole checkpoint"})
    overwrite: bool = dataclasses.field(default=False, metadata={"help": "delete the run that is there"})
    limit: int | None = dataclasses.field(
        default=None, metadata={"help": "use the first N images, or lines of text, of each split"}
    )
    data: str | None = dataclasses.field(default=None, metadata={"help": "a CSV of the plays, instead of Kaggle's"})
    patience: int = dataclasses.field(default=0, metadata={"help": "validations without improvement; 0: never stop"})
    exact_from: float = dataclasses.field(default=1.0, metadata={"help": "fraction of steps after which bf16 ends"})
    flip: bool = dataclasses.field(default=False, metadata={"help": "mirror training images every other time"})
    shift: int = dataclasses.field(default=0, metadata={"help": "shift training images by up to so many pixels"})
    cutout: int = dataclasses.field(default=0, metadata={"help": "make a square of training images grey: its side"})
    cutmix: float = dataclasses.field(default=0.0, metadata={"help": "share of batches with rectangles of others"})
    sides: str = dataclasses.field(default="", metadata={"help": "of training images: stages 20,24,32; empty: whole"})
    ema: float = dataclasses.field(default=0.0, metadata={"help": "decay of the weights' running average; 0: none"})
    window: str = dataclasses.field(default="", metadata={"help": "tokens of a text's windows: 64, or stages 8,64"})
    carry: bool = dataclasses.field(default=False, metadata={"help": "carry a text's state from batch to batch"})
    clip_value: float = dataclasses.field(default=0.0, metadata={"help": "cut the gradient's components off; 0: never"})
    muon: bool = dataclasses.field(
        default=False, metadata={"help": "step convolutions by Muon, in FastCNN at its own rate"}
    )
    half: bool = dataclasses.field(default=False, metadata={"help": "store the weights in float16"})

    @property
    def windows(self) -> tuple[int, ...]:
        """`window` as numbers; none where it is empty."""
        return _stages("window", self.window, "64, or stages 8,64")

    @property
    def stages(self) -> tuple[int, ...]:
        """`sides` as numbers; none where it is empty."""
        return _stages("sides", self.sides, "stages 20,24,32")


def _stages(name: str, text: str, example: str) -> tuple[int, ...]:
    parts = text.split(",") if text else []
    require(all(part.isdecimal() for part in parts), f"--{name} is {text!r}: give {example}")
    return tuple(map(int, parts))


def parse(argv: list[str], about: str = "") -> tuple[Recipe, RunArguments, TrainingArguments, ModelConfig]:
    """Command line -> recipe, run arguments, training arguments and model config.

    Asked for help, or for nothing, it prints `about` and the recipes' names, and ends.

    Raises:
        ValueError: with one sentence on what is wrong.
    """
    known = "recipes:\n  " + "\n  ".join(sorted(recipes()))
    if not argv or argv[0] in ("-h", "--help"):
        print(f"{about}\n{known}")
        raise SystemExit(0 if argv else 2)
    name, *rest = argv
    recipe = find(name)
    command = f"python -m training.train {name}"
    usage = f"{command} [--resume | --overwrite] [--FIELD VALUE ...]"
    parser = HfArgumentParser((RunArguments, TrainingArguments), usage=usage, allow_abbrev=False, exit_on_error=False)
    for field in dataclasses.fields(recipe.model):
        if field.name != "model_type":
            kind = {bool: _flag, tuple: _list}.get(field.type, field.type)
            parser.add_argument(f"--model.{field.name}", type=kind, default=getattr(recipe.model, field.name))
    own = {
        field.name: getattr(recipe, field.name)
        for field in dataclasses.fields(RunArguments)
        if hasattr(recipe, field.name) and field.name != "data"  # the option is a file
    } | {name: ",".join(map(str, getattr(recipe, name))) for name in ("window", "sides")}
    parser.set_defaults(output_dir=str(Path("runs", name)), **own)
    parser.set_defaults(**COMMON | recipe.training)
    parser.set_defaults(bf16=recipe.training.get("bf16", False) and has_bf16())
    try:
        namespace, unknown = parser.parse_known_args(rest)
    except argparse.ArgumentError as error:
        raise ValueError(f"{error}: `{command} --help` lists all fields") from error
    options = [
        option for action in parser._actions for option in action.option_strings if "_" in option or "." in option
    ]
    require(not unknown, f"there is no option {unknown and unknown[0]!r}: {unknown and nearest(unknown[0], options)}")
    given = vars(namespace)
    schedule = recipe.training.get("lr_scheduler_type", TrainingArguments.lr_scheduler_type)
    own_kwargs = given["lr_scheduler_kwargs"] == recipe.training.get("lr_scheduler_kwargs")
    if given["lr_scheduler_type"] != schedule and own_kwargs:
        given["lr_scheduler_kwargs"] = None  # the recipe's are for its own schedule
    model = {key.removeprefix("model."): value for key, value in given.items() if key.startswith("model.")}
    config = dataclasses.replace(recipe.model, **model)
    run = RunArguments(**{field.name: given[field.name] for field in dataclasses.fields(RunArguments)})
    told = "--label_smoothing_factor is not offered: use --model.smoothing, which convolutional classifiers have"
    require(not given["label_smoothing_factor"], told)
    require(not given["neftune_noise_alpha"], "--neftune_noise_alpha is for transformers' own models: leave it out")
    metric = (given["metric_for_best_model"] or "loss").removeprefix("eval_")
    measured = ["loss"] if issubclass(MODELS[config.model_type], AutoregressiveImageModel) else ["loss", "accuracy"]
    told = f"--metric_for_best_model is {metric!r}: validations of a {config.model_type} give {' and '.join(measured)}"
    require(metric in measured, told)
    told = "--eval_delay would leave out validations, from which the best is kept: leave it out"
    require(not given["eval_delay"], told)
    told = "--save_only_model would leave nothing that --resume could go on from: leave it out"
    require(not given["save_only_model"], told)
    require(not given["fp16"], "fp16 training is not offered: use --bf16 True, which needs no loss scaling")
    require(run.limit is None or run.limit > 0, f"--limit is {run.limit}: give at least 1 image or line")
    require(run.patience >= 0, f"--patience is {run.patience}: give at least 0")
    require(0 <= run.exact_from <= 1, f"--exact_from is {run.exact_from}: give a fraction of the steps, 0 to 1")
    require(0 <= run.ema < 1, f"--ema is {run.ema}: give a decay of at least 0 and below 1")
    require(run.clip_value >= 0, f"--clip_value is {run.clip_value}: give at least 0")
    _check_kind(run, config)
    require(not (run.resume and run.overwrite), "--resume and --overwrite exclude each other: give one")
    told = (
        "every validation needs its checkpoint, from which the best is kept: give --eval_strategy and --save_strategy "
    )
    told += "the same epoch or steps, --eval_steps and --save_steps the same number"
    same = str(given["eval_strategy"]) == str(given["save_strategy"]) != "no" and given["load_best_model_at_end"]
    by_epoch = str(given["eval_strategy"]) == "epoch"
    require(same and (by_epoch or given["save_steps"] == (given["eval_steps"] or given["logging_steps"])), told)
    alone = not given["optim_args"] and given["optim"] == TrainingArguments.optim
    require(alone or not run.muon, "--muon brings its own optimiser: leave out --optim and --optim_args")
    for size in ("per_device_train_batch_size", "per_device_eval_batch_size", "gradient_accumulation_steps"):
        require(given[size] >= 1, f"--{size} is {given[size]}: give at least 1")
    none = given["max_steps"] == 0 or given["max_steps"] < 0 and given["num_train_epochs"] <= 0
    require(not none, "--max_steps or --num_train_epochs is 0 or less: there is nothing to train")
    for rate in ("learning_rate", "weight_decay"):
        require(given[rate] >= 0, f"--{rate} is {given[rate]}: give at least 0")
    args = TrainingArguments(**{f.name: given[f.name] for f in dataclasses.fields(TrainingArguments) if f.init})
    if args.lr_scheduler_type == "reduce_lr_on_plateau" and args.greater_is_better:
        args.lr_scheduler_kwargs = {"mode": "max"} | (args.lr_scheduler_kwargs or {})  # PyTorch's is for losses
    scanned = issubclass(MODELS[config.model_type], (RowLSTM, DiagonalBiLSTM))
    told = f"--torch_compile would unroll all the steps of {config.model_type}, for minutes and more: leave it out"
    require(not (scanned and args.torch_compile), told)  # its other options set it, too
    return recipe, run, args, config


def _check_kind(run: RunArguments, config: ModelConfig) -> None:
    """Refuse what is for images of a text model, and the other way round; Muon where there are no features."""
    fits = not run.muon or issubclass(MODELS[config.model_type], (MaskedImageModel, FastCNN))
    told = f"--muon is for the PixelRNN family and the net of the speed-runs, {config.model_type} is none: leave it out"
    require(fits, told)
    if not issubclass(MODELS[config.model_type], TextModel):
        side = min(config.height, config.width)
        require(0 <= run.shift < side, f"--shift is {run.shift}: give 0 to {side - 1} pixels")
        convolutional = issubclass(MODELS[config.model_type], ImageClassifier)
        require(convolutional or not run.cutout, "--cutout is for convolutional classifiers: leave it out")
        require(0 <= run.cutout < side, f"--cutout is {run.cutout}: give 0 to {side - 1} pixels")
        require(convolutional or not run.cutmix, "--cutmix is for convolutional classifiers: leave it out")
        require(0 <= run.cutmix <= 1, f"--cutmix is {run.cutmix}: give a share of the batches, 0 to 1")
        none = "--cutmix 1 leaves no batch for --cutout: give --cutout 0, or a smaller share"
        require(run.cutmix < 1 or not run.cutout, none)
        require(convolutional or not run.stages, "--sides is for convolutional classifiers: leave it out")
        if run.stages:
            least, own = config.least, run.stages[-1] == config.height == config.width
            told = f"--sides is {run.sides!r}: give sides of {least} to {side}, the last that of the square images"
            require(own and least <= min(run.stages) and max(run.stages) <= side, told)
        require(not (run.window or run.carry or run.data), "--window, --carry and --data are for texts")
        return
    told = "--flip, --shift, --cutout, --cutmix and --sides are for images: leave them out"
    require(not (run.flip or run.shift or run.cutout or run.cutmix or run.stages), told)
    wanted = "give one length, or several, each a divisor of the last"
    fits = run.windows and all(length >= 1 and run.windows[-1] % length == 0 for length in run.windows)
    require(bool(fits), f"--window is {run.window!r}: {wanted}")
    require(
        len(run.windows) == 1 or not run.carry,
        "--carry goes with one --window: for stages of several give --carry False",
    )


def _flag(text: str) -> bool:
    require(text.lower() in ("true", "false"), f"{text!r} is neither true nor false")
    return text.lower() == "true"


def _list(text: str) -> list:
    try:
        return json.loads(f"[{text}]")
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f'{text!r} are no values in JSON: give them as 1,2 or as \'"a","b"\''
        ) from error
