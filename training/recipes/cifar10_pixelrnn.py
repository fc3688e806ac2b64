"""The PixelRNN family on CIFAR-10: ours, small enough for a CPU's thread."""

from hub_models import GatedPixelCNNConfig, RowLSTMConfig
from training.recipe import Recipe

SHAPE = {"channels": 3, "height": 32, "width": 32, "levels": 256}
COMMON = {
    "weight_decay": 0.0,  # a million weights do not overfit three billion sub-pixels
    "per_device_train_batch_size": 16,  # the paper's
    "per_device_eval_batch_size": 50,  # 150 MiB of logits
    "metric_for_best_model": "loss",
    "eval_strategy": "epoch",
    "save_strategy": "epoch",
    "logging_steps": 50,
    "bf16": True,  # twice as fast on a CPU that has it, more where it has AMX
}
OURS = COMMON | {
    "learning_rate": 4e-3,  # of 2e-3 and 6e-3 the larger was far better after 150 steps of the gated net
    "adam_beta2": 0.99,  # short runs: a memory of 100 steps for the gradient's scale
    "lr_scheduler_type": "cosine",
    "warmup_steps": 0.05,
    "max_grad_norm": 1.0,
}

RECIPES = {
    "gated-pixelcnn-cifar10": Recipe(
        about=(
            "Ours: 8 layers, p = 64, given the class; AdamW at a rate that warms up and falls to zero, the paper's "
            "batches of 16, mirrored images, the weights' average."
        ),
        model=GatedPixelCNNConfig(layers=8, hidden=64, head=192, classes=10, **SHAPE),
        data="cifar10",
        training=OURS | {"num_train_epochs": 3},
        flip=True,
        ema=0.999,
        half=True,
    ),
    "row-lstm-cifar10": Recipe(
        about=(
            "Ours: 4 layers, h = 64; AdamW at a rate that warms up and falls to zero, the paper's batches of 16, "
            "mirrored images, the weights' average."
        ),
        model=RowLSTMConfig(layers=4, hidden=64, head=192, **SHAPE),
        data="cifar10",
        training=OURS | {"num_train_epochs": 3},
        flip=True,
        ema=0.999,
        half=True,
    ),
}
