"""The PixelRNN family on binarised MNIST: ours and the paper's settings, at a threshold and by one stochastic draw."""

from dataclasses import replace

from hub_models import DiagonalBiLSTMConfig, GatedPixelCNNConfig, PixelCNNConfig, RowLSTMConfig
from training.recipe import Recipe

OURS = {
    "learning_rate": 1e-2,
    "adam_beta2": 0.99,
    "lr_scheduler_type": "cosine",
    "warmup_steps": 0.1,
    "weight_decay": 0.0,
    "max_grad_norm": 1.0,
    "per_device_train_batch_size": 64,
    "per_device_eval_batch_size": 250,
    "eval_strategy": "epoch",
    "save_strategy": "epoch",
    "logging_steps": 50,
    "bf16": True,
    "metric_for_best_model": "loss",
}
MODELS = {"pixelcnn": PixelCNNConfig(), "gated-pixelcnn": GatedPixelCNNConfig(), "row-lstm": RowLSTMConfig(), "diagonal-bilstm": DiagonalBiLSTMConfig()}
RECIPES = {
    f"{name}-mnist{suffix}": Recipe(about="x", model=model, data=data, training=OURS | {"num_train_epochs": 10}, exact_from=0.9, half=True)
    for name, model in MODELS.items()
    for suffix, data in (("", "mnist"), ("-drawn", "mnist-drawn"))
}
