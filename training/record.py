"""What `recipe.json` holds of a run: all that decides its weights, and nothing of the machine or the user."""

import json
import os
import platform
import shlex
from collections.abc import Collection
from importlib.metadata import version

from transformers import TrainingArguments

from hub_models import MODELS
from hub_models.hub.privacy import find_in_json, without_place
from training.arguments import RunArguments
from training.data import ImageData, TextData, describe
from training.machine import hardware, launcher
from training.recipe import Recipe
from training.recipes import find

# Fields of TrainingArguments that decide the weights or which of them are kept. No other is recorded, since recipe.json
# is published: the others say where a run runs, what it prints, and under which account.
DECISIVE = {
    *("per_device_train_batch_size", "gradient_accumulation_steps", "num_train_epochs", "max_steps", "seed"),
    *("data_seed", "learning_rate", "lr_scheduler_type", "lr_scheduler_kwargs", "warmup_steps", "weight_decay"),
    *("max_grad_norm", "optim", "optim_args", "optim_target_modules", "adam_beta1", "adam_beta2", "adam_epsilon"),
    *("label_smoothing_factor", "neftune_noise_alpha", "bf16", "fp16", "bf16_full_eval", "fp16_full_eval", "tf32"),
    *("activation_checkpointing", "activation_checkpointing_kwargs", "gradient_checkpointing"),
    *("gradient_checkpointing_kwargs", "torch_compile", "torch_compile_backend", "torch_compile_mode"),
    *("use_liger_kernel", "liger_kernel_config", "auto_find_batch_size", "full_determinism"),
    *("average_tokens_across_devices", "accelerator_config", "parallelism_config", "fsdp", "fsdp_config", "deepspeed"),
    *("ddp_bucket_cap_mb", "ddp_broadcast_buffers", "ddp_static_graph"),
    *("dataloader_drop_last", "dataloader_num_workers", "dataloader_in_order", "remove_unused_columns", "label_names"),
    *("train_sampling_strategy", "length_column_name", "ignore_data_skip", "restore_callback_states_from_checkpoint"),
    *("logging_strategy", "logging_steps", "do_eval", "eval_strategy", "eval_steps", "eval_delay", "eval_on_start"),
    *("per_device_eval_batch_size", "eval_accumulation_steps", "prediction_loss_only", "batch_eval_metrics"),
    *("save_strategy", "save_steps", "save_only_model", "save_total_limit", "load_best_model_at_end"),
    *("metric_for_best_model", "greater_is_better"),
}


def recorded_options(words: list[str], options: Collection[str]) -> list[str]:
    """The options of a training command that decide the weights, as they were given; of a file its name alone.

    Args:
        words: the command line after the recipe's name, `--option value` or `--option=value`.
        options: names of the recipe's and its task's options.
    """
    known = DECISIVE | {*options, "limit", "data"}
    kept, keep = [], False
    for word in words:
        option, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
        if option:
            name = option.removeprefix("--").replace("-", "_")
            keep = name.startswith("model.") or name in known or name.removeprefix("no_") in known
        if keep:
            kept.append(option + equals + without_place(value))
    return kept


def recorded(recipe: dict) -> Recipe:
    """The recipe of a run with its options and model as `recipe.json` holds them.

    Raises:
        ValueError: there is no such recipe any longer, or the file is damaged.
    """
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in recipe.items()}
    config = MODELS[recipe["model"]["model_type"]].config_class(**recipe["model"])
    found = find(recipe["recipe"]).with_options(given)
    return Recipe(**{**vars(found), "model": config})


def description(
    argv: list[str],
    recipe: Recipe,
    run: RunArguments,
    args: TrainingArguments,
    validation: ImageData | TextData,
) -> dict:
    """All that decides the run's weights, as recipe.json holds it, and the command line that says it.

    Raises:
        ValueError: it, or the run folder's name, which becomes the card's title, holds a secret or a path.
    """
    standard = TrainingArguments(output_dir=args.output_dir, use_cpu=args.use_cpu).to_dict()
    chosen = {k: v for k, v in args.to_dict().items() if v != standard[k] and k in DECISIVE}
    chosen = {k: without_place(v) if isinstance(v, str) else v for k, v in chosen.items()}
    command = shlex.join([argv[0], *recorded_options(argv[1:], recipe.options())])
    described = {
        "recipe": argv[0],
        "command": f"{launcher(args.world_size)} training.train {command}",
        "about": recipe.about,
        "model": json.loads(recipe.model.to_json_string()),  # with JSON's lists
        "data": describe(recipe.data, validation)
        | ({"file": without_place(run.data)} if run.data else {})
        | {"revision": validation.revision, "limit": run.limit},
        "training": chosen | {"seed": args.seed},
        **recipe.options(),
        "settings": recipe.settings(),
        "processes": args.world_size,
        "machine": {
            "hardware": hardware(args.device, args.world_size),
            "python": platform.python_version(),
            **{package: version(package) for package in ("torch", "transformers")},
        },
    }
    if found := find_in_json([described, os.path.basename(os.path.abspath(args.output_dir))]):
        raise ValueError(
            f"recipe.json or the card, which are published, would hold {found}: leave it out of the command line and "
            "out of the run folder's name"
        )
    return described
