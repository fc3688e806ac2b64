"""Recurrent nets over MNIST pixels: the eight classifiers and four predictors of "Recurrent models for MNIST" (2017),
with its settings, and ours.
"""

from hub_models import PixelClassifierConfig, PixelPredictorConfig
from training.recipe import Recipe
from training.tasks import Classification, Pixels

SIZES = {"32": (32, 1), "64": (64, 1), "128": (128, 1), "3x32": (32, 3)}

STUDY = {  # Adam 1e-3, batch 256, float32, and nothing else
    "learning_rate": 1e-3,
    "lr_scheduler_type": "constant",
    "per_device_train_batch_size": 256,
    "per_device_eval_batch_size": 250,
    "weight_decay": 0.0,
    "max_grad_norm": 0.0,  # the study does not clip
    "eval_strategy": "epoch",
    "save_strategy": "epoch",
    "logging_steps": 20,
}
OURS = {
    "learning_rate": 1e-2,  # with gates that remember from the start, 10 times the study's rate is stable
    "adam_beta2": 0.99,  # short runs: a memory of 100 steps for the gradient's scale
    "lr_scheduler_type": "cosine",
    "warmup_steps": 0.1,  # a tenth of the run: Adam's scale settles before the full rate
    "weight_decay": 0.0,
    "max_grad_norm": 1.0,  # 784 steps of backpropagation do explode now and then
    "per_device_train_batch_size": 128,
    "per_device_eval_batch_size": 250,
    "eval_strategy": "epoch",
    "save_strategy": "epoch",
    "logging_steps": 20,
    "bf16": True,  # 1.6 times as fast on a CPU that has it
}
BY_ACCURACY = {"metric_for_best_model": "accuracy"}
BY_LOSS = {"metric_for_best_model": "loss"}

RECIPES = {
    f"{cell}{size}-mnist-classify-study": Recipe(
        about=(
            f"The study's {cell.upper()} of {size} units with the study's settings; the checkpoint is chosen on "
            "validation images."
        ),
        model=PixelClassifierConfig(cell=cell, hidden_size=hidden, num_layers=layers),
        data="mnist",
        training=STUDY | BY_ACCURACY | {"num_train_epochs": 60 if (cell, size) == ("gru", "3x32") else 100},
        task=Classification(),
        store_fp16=True,
    )
    for cell in ("lstm", "gru")
    for size, (hidden, layers) in SIZES.items()
} | {
    f"gru{size}-mnist-predict-study": Recipe(
        about=(
            f"The study's next-pixel GRU of {size} units with the study's settings, and a learned start for the first "
            "pixel; the checkpoint is chosen on validation images."
        ),
        model=PixelPredictorConfig(hidden_size=hidden, num_layers=layers),
        data="mnist",
        training=STUDY | BY_LOSS | {"num_train_epochs": 50},
        task=Pixels(),
        store_fp16=True,
    )
    for size, (hidden, layers) in SIZES.items()
}

RECIPES["gru128-mnist-classify"] = Recipe(
    about=(
        "Ours: a GRU of 128 units whose gates start with memories of 1 to 200 steps, trained on prefixes too, at a "
        "higher rate that warms up and decays, the last fifth in float32. Half of the training loss is that of the "
        "prefixes, so it lies above the validation loss, which is that of whole images."
    ),
    model=PixelClassifierConfig(
        hidden_size=128,
        timescale=200,  # bf16 cannot hold a gate much closer to 1 than 1 - 1/256
        prefixes=7,  # the loss reaches every part of the image; without, training is several times slower
    ),
    data="mnist",
    training=OURS | BY_ACCURACY | {"num_train_epochs": 12},
    task=Classification(),
    float32_from=0.8,
    store_fp16=True,
)
RECIPES["gru128-mnist-predict"] = Recipe(
    about=(
        "Ours: a GRU of 128 units whose gates start with memories of 1 to 56 steps, two rows, at a higher rate that "
        "warms up and decays, the last fifth in float32."
    ),
    model=PixelPredictorConfig(hidden_size=128, timescale=56),
    data="mnist",
    training=OURS | BY_LOSS | {"num_train_epochs": 20},
    task=Pixels(),
    float32_from=0.8,
    store_fp16=True,
)
