"""The PixelRNN family on binarised MNIST: one size for all; at a threshold, or drawn once; the paper's settings, too.

The paper (arXiv 1601.06759, section 5.3) has 7 layers with h = 16 for the Diagonal BiLSTM, RMSProp and batches of 16,
and gives neither the sizes of the other models nor the rates.
"""

from hub_models import DiagonalBiLSTMConfig, GatedPixelCNNConfig, PixelCNNConfig, RowLSTMConfig
from training.recipe import Recipe
from training.tasks import Pixels

COMMON = {
    "weight_decay": 0.0,  # so few weights do not overfit
    "per_device_eval_batch_size": 250,
    "metric_for_best_model": "loss",
    "eval_strategy": "epoch",
    "save_strategy": "epoch",
    "logging_steps": 50,
    "bf16": True,  # 1.5 times as fast on a CPU that has it
}
OURS = COMMON | {
    "learning_rate": 1e-2,  # of 0.3, 1 and 3 times it the best after 400 steps of the PixelCNN; of 1 and 3, by Muon too
    "adam_beta2": 0.99,  # short runs: a memory of 100 steps for the gradient's scale
    "lr_scheduler_type": "cosine",
    "warmup_steps": 0.1,  # a tenth of the run
    "max_grad_norm": 1.0,
    "per_device_train_batch_size": 64,
}
PAPER = COMMON | {
    "optim": "rmsprop",
    "learning_rate": 1e-3,  # the paper's is by hand, and not given
    "lr_scheduler_type": "constant",
    "max_grad_norm": 0.0,  # the paper does not clip
    "per_device_train_batch_size": 16,
    "num_train_epochs": 100,
}
DATA = {
    "": ("mnist", "digits binarised at a threshold"),
    "-drawn": (
        "mnist-drawn",
        "digits binarised by one stochastic draw, as in the paper (though not the same draw; at a threshold they are "
        "other, smoother images)",
    ),
}
MODELS = {  # config; epochs at a threshold and drawn: about an hour of a CPU's thread
    "pixelcnn": (PixelCNNConfig(), 6, 14),
    "gated-pixelcnn": (GatedPixelCNNConfig(), 8, 8),
    "row-lstm": (RowLSTMConfig(), 6, 6),
    "diagonal-bilstm": (DiagonalBiLSTMConfig(), 4, 4),
}
# Whose checkpoints are AdamW's alone as yet; the others' kernels step by Muon, ahead by 1.5 nats after 400 steps.
ADAMW = ("pixelcnn-mnist", "gated-pixelcnn-mnist", "row-lstm-mnist")

RECIPES = {
    name: Recipe(
        about=(
            f"Ours, on {digits}: 7 layers, h = 16, {'' if name in ADAMW else 'Muon and '}AdamW at a rate that warms up "
            "and falls to zero, batches of 64."
        ),
        model=config,
        data=data,
        training=OURS | {"num_train_epochs": epochs},
        task=Pixels(),
        float32_from=0.9,
        muon=name not in ADAMW,
        store_fp16=True,
    )
    for kind, (config, *both) in MODELS.items()
    for epochs, (suffix, (data, digits)) in zip(both, DATA.items(), strict=True)
    for name in [f"{kind}-mnist{suffix}"]
} | {
    f"{name}-mnist-paper": Recipe(
        about=(
            f"The paper's settings, on {DATA['-drawn'][1]}: RMSProp, batches of 16; its rate is not given, and of its "
            "sizes only those of the Diagonal BiLSTM, which all three have here. In bf16, the last tenth in float32."
        ),
        model=config,
        data="mnist-drawn",
        training=PAPER,
        task=Pixels(),
        patience=5,
        float32_from=0.9,
        store_fp16=True,
    )
    for name, (config, *_) in MODELS.items()
    if name != "gated-pixelcnn"  # of another paper, which has no MNIST
}
