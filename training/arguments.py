"""The command line of `training.train`: a recipe's name, then any field of its run, its model and its training."""

import argparse
import dataclasses
import json
import re
from pathlib import Path

import torch
from transformers import HfArgumentParser, TrainingArguments

from hub_models import MODELS, DiagonalBiLSTM, RowLSTM
from hub_models.config import RENAMED, nearest
from training.machine import has_bf16
from training.options import add_options, flag
from training.recipe import Recipe
from training.recipes import RECIPES, expected, find

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


def parse(argv: list[str], about: str = "") -> tuple[Recipe, RunArguments, TrainingArguments]:
    """Read a command line: the recipe with its changed options and model, the run's and Trainer's arguments.

    Asked for help, or for nothing, it prints `about` and the recipes with their results, and ends.

    Raises:
        ValueError: with one sentence on what is wrong.
    """
    if not argv or argv[0] in ("-h", "--help"):
        width = max(map(len, RECIPES))
        lines = [f"  {name:{width}}  {expected(name)}".rstrip() for name in sorted(RECIPES)]
        print(f"{about}\nrecipes, and what each gave where it was run and evaluated:", *lines, sep="\n")
        raise SystemExit(0 if argv else 2)
    name, *rest = argv
    recipe = find(name)
    command = f"python -m training.train {name}"
    usage = f"{command} [--resume | --overwrite] [--FIELD VALUE ...]"
    parser = HfArgumentParser((RunArguments, TrainingArguments), usage=usage, allow_abbrev=False, exit_on_error=False)
    for field in dataclasses.fields(recipe.model):
        if field.name != "model_type":
            kind = {bool: flag, tuple: _list}.get(field.type, field.type)
            parser.add_argument(f"--model.{field.name}", type=kind, default=getattr(recipe.model, field.name))
    add_options(parser, recipe)
    add_options(parser, recipe.task)
    parser.set_defaults(output_dir=str(Path("runs", name)))
    parser.set_defaults(**COMMON | recipe.training)
    parser.set_defaults(bf16=recipe.training.get("bf16", False) and has_bf16())
    try:
        namespace, unknown = parser.parse_known_args(rest)
    except argparse.ArgumentError as error:
        raise ValueError(f"{error}: `{command} --help` lists all fields") from error
    options = [name for action in parser._actions for name in action.option_strings if name.startswith("--")]
    if unknown:
        prefix, name = re.fullmatch(r"(--model\.|--|)(.*)", unknown[0], re.S).groups()
        advice = f"it is {prefix}{RENAMED[name]} now" if name in RENAMED else nearest(unknown[0], options)
        raise ValueError(f"there is no option {unknown[0]!r}: {advice}")
    given = vars(namespace)
    schedule = recipe.training.get("lr_scheduler_type", TrainingArguments.lr_scheduler_type)
    own_kwargs = given["lr_scheduler_kwargs"] == recipe.training.get("lr_scheduler_kwargs")
    if given["lr_scheduler_type"] != schedule and own_kwargs:
        given["lr_scheduler_kwargs"] = None  # the recipe's are for its own schedule
    model = {key.removeprefix("model."): value for key, value in given.items() if key.startswith("model.")}
    recipe = dataclasses.replace(recipe.with_options(given), model=dataclasses.replace(recipe.model, **model))
    run = RunArguments(**{field.name: given[field.name] for field in dataclasses.fields(RunArguments)})
    if given["label_smoothing_factor"]:
        raise ValueError(
            "--label_smoothing_factor is not offered: use --model.smoothing, which convolutional classifiers have"
        )
    if given["neftune_noise_alpha"]:
        raise ValueError("--neftune_noise_alpha is for transformers' own models: leave it out")
    metric = (given["metric_for_best_model"] or "loss").removeprefix("eval_")
    if metric not in recipe.task.metrics:
        raise ValueError(
            f"--metric_for_best_model is {metric!r}: validations of a {recipe.model.model_type} give "
            f"{' and '.join(recipe.task.metrics)}"
        )
    if given["eval_delay"]:
        raise ValueError("--eval_delay would leave out validations, from which the best is kept: leave it out")
    if given["save_only_model"]:
        raise ValueError("--save_only_model would leave nothing that --resume could go on from: leave it out")
    if given["push_to_hub"]:
        raise ValueError("--push_to_hub would upload files that nobody has checked: use training.publish after the run")
    if given["fp16"]:
        raise ValueError("fp16 training is not offered: use --bf16 True, which needs no loss scaling")
    if run.limit is not None and not run.limit > 0:
        raise ValueError(f"--limit is {run.limit}: give at least 1 image or line")
    recipe.check()
    if run.resume and run.overwrite:
        raise ValueError("--resume and --overwrite exclude each other: give one")
    told = (
        "every validation needs its checkpoint, from which the best is kept: give --eval_strategy and --save_strategy "
    )
    told += "the same epoch or steps, --eval_steps and --save_steps the same number"
    same = str(given["eval_strategy"]) == str(given["save_strategy"]) != "no" and given["load_best_model_at_end"]
    by_epoch = str(given["eval_strategy"]) == "epoch"
    if not (same and (by_epoch or given["save_steps"] == (given["eval_steps"] or given["logging_steps"]))):
        raise ValueError(told)
    alone = not given["optim_args"] and given["optim"] == TrainingArguments.optim
    if not alone and recipe.muon:
        raise ValueError("--muon brings its own optimiser: leave out --optim and --optim_args")
    for size in ("per_device_train_batch_size", "per_device_eval_batch_size", "gradient_accumulation_steps"):
        if not given[size] >= 1:
            raise ValueError(f"--{size} is {given[size]}: give at least 1")
    none = given["max_steps"] == 0 or given["max_steps"] < 0 and given["num_train_epochs"] <= 0
    if none:
        raise ValueError("--max_steps or --num_train_epochs is 0 or less: there is nothing to train")
    for rate in ("learning_rate", "weight_decay"):
        if not given[rate] >= 0:
            raise ValueError(f"--{rate} is {given[rate]}: give at least 0")
    args = TrainingArguments(**{f.name: given[f.name] for f in dataclasses.fields(TrainingArguments) if f.init})
    if args.lr_scheduler_type == "reduce_lr_on_plateau" and args.greater_is_better:
        args.lr_scheduler_kwargs = {"mode": "max"} | (args.lr_scheduler_kwargs or {})  # PyTorch's is for losses
    scanned = issubclass(MODELS[recipe.model.model_type], (RowLSTM, DiagonalBiLSTM))
    if scanned and args.torch_compile:
        raise ValueError(
            f"--torch_compile would unroll all the steps of {recipe.model.model_type}, for minutes and more: leave it "
            "out"
        )  # its other options set it, too
    return recipe, run, args


def _list(text: str) -> list:
    try:
        return json.loads(f"[{text}]")
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f'{text!r} are no values in JSON: give them as 1,2 or as \'"a","b"\''
        ) from error
