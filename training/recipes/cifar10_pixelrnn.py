"""The PixelRNN family on CIFAR-10: ours, the papers', and what two studies of 2025 tried.

Of the papers, arXiv 1601.06759 (PixelCNN, Row LSTM, Diagonal BiLSTM) gives RMSProp, batches of 16, sizes and a rate set
by hand; arXiv 1606.05328 (gated PixelCNN) gives neither sizes nor settings for CIFAR-10.
"""

from hub_models import DiagonalBiLSTMConfig, GatedPixelCNNConfig, PixelCNNConfig, RowLSTMConfig
from hub_models.conv_classifier import CIFAR10
from training.recipe import Recipe
from training.tasks import Pixels

SHAPE = {"channels": 3, "height": 32, "width": 32, "levels": 256}
NAMED = SHAPE | {"classes": len(CIFAR10), "names": CIFAR10}
PAPERS_SIZE = SHAPE | {"hidden": 128, "head": 1024}
COMMON = {
    "weight_decay": 0.0,  # so few weights do not overfit 138 million sub-pixels
    "per_device_train_batch_size": 16,  # the paper's
    "per_device_eval_batch_size": 50,  # 150 MiB of logits
    "metric_for_best_model": "loss",
    "eval_strategy": "epoch",
    "save_strategy": "epoch",
    "logging_steps": 50,
    "bf16": True,  # twice as fast on a CPU that has it, more where it has AMX
}
OURS = COMMON | {
    "learning_rate": 1.2e-2,  # half of it is worse after 250 steps of the Row LSTM, twice it no better
    "adam_beta2": 0.99,  # short runs: a memory of 100 steps for the gradient's scale
    "lr_scheduler_type": "warmup_stable_decay",  # up to the decay a run is that of more epochs
    "lr_scheduler_kwargs": {"num_decay_steps": 4_219, "decay_type": "1-sqrt"},  # an epoch and a half
    "warmup_steps": 300,
    "max_grad_norm": 1.0,
    "num_train_epochs": 4,
}
RMSPROP = COMMON | {
    "optim": "rmsprop",
    "learning_rate": 1e-3,  # the paper's is by hand, and not given
    "lr_scheduler_type": "constant",
    "max_grad_norm": 0.0,  # the paper does not clip
    "num_train_epochs": 60,
}
PLATEAU = {"lr_scheduler_type": "reduce_lr_on_plateau", "lr_scheduler_kwargs": {"factor": 0.5, "patience": 2}}
HOW = (
    "Muon for the kernels between features and AdamW for the rest, at a rate that warms up, stays, and falls to zero "
    "at the end, the paper's batches of 16, mirrored images, the weights' average."
)
STUDY_B = "a study of 2025 (PixelRNN experiments on CIFAR-10)"
STUDY_E = "a study of 2025 (a CNN, a character RNN and three PixelRNNs)"

SMALL = {  # what a CPU trains in hours: config, in words; of the gated net a GPU trains a larger one
    "pixelcnn-cifar10": (PixelCNNConfig(layers=8, hidden=64, head=192, **SHAPE), "8 blocks, h = 64"),
    "row-lstm-cifar10": (RowLSTMConfig(layers=4, hidden=64, head=192, **SHAPE), "4 layers, h = 64"),
    "diagonal-bilstm-cifar10": (DiagonalBiLSTMConfig(layers=4, hidden=64, head=192, **SHAPE), "4 layers, h = 64"),
    "gated-pixelcnn-cifar10-small": (
        GatedPixelCNNConfig(layers=8, hidden=64, head=192, **NAMED),
        "8 layers, p = 64, given the class",
    ),
}
SLOWER = {"gated-pixelcnn-cifar10-small": {"learning_rate": 6e-3}}  # twice as much costs 0.2 bits after an epoch
PAPERS_BITS = {  # a dimension, of the test split
    "pixelcnn": "3.14, by 15 blocks with h = 128",
    "row-lstm": "3.07, by 12 layers with h = 128",
    "diagonal-bilstm": "3.00, by 12 layers with h = 128",
    "gated-pixelcnn": "3.03 (unconditional), by a larger net",
}
LARGE = {  # the papers' for CIFAR-10
    "pixelcnn": (PixelCNNConfig(layers=15, **PAPERS_SIZE), "15 blocks, h = 128"),
    "row-lstm": (RowLSTMConfig(layers=12, **PAPERS_SIZE), "12 layers, h = 128"),
    "diagonal-bilstm": (DiagonalBiLSTMConfig(layers=12, **PAPERS_SIZE), "12 layers, h = 128"),
}

OWN = {
    name: Recipe(
        about=(
            f"Ours, small: {size}; {HOW} A short run, and so behind the paper's bits a dimension, "
            f"{PAPERS_BITS[name.partition('-cifar10')[0]]} trained to convergence on GPUs."
        ),
        model=config,
        data="cifar10",
        training=OURS | SLOWER.get(name, {}),
        task=Pixels(flip=True),
        float32_from=0.95,  # bf16 rounds the pixels' 256 levels; at its optimum float32 still has a gradient
        ema=0.999,
        muon=True,
        store_fp16=True,
    )
    for name, (config, size) in SMALL.items()
} | {
    "gated-pixelcnn-cifar10": Recipe(
        about=(
            "Ours for minutes of a large GPU: 12 layers, p = 112, given the class; Muon for the kernels between "
            "features and AdamW for the rest, at a rate that warms up and falls to zero, batches of 128, mirrored "
            "images, the weights' average. A short run, and so behind the paper's bits a dimension, "
            f"{PAPERS_BITS['gated-pixelcnn']} trained to convergence."
        ),
        model=GatedPixelCNNConfig(layers=12, hidden=112, head=384, **NAMED),
        data="cifar10",
        training=OURS
        | {
            "per_device_train_batch_size": 128,
            "lr_scheduler_type": "linear",
            "lr_scheduler_kwargs": None,
            "warmup_steps": 0.02,
            "num_train_epochs": 23,
            "eval_strategy": "steps",
            "save_strategy": "steps",
            "eval_steps": 0.2,  # of all steps
            "save_steps": 0.2,
        },
        task=Pixels(flip=True),
        float32_from=0.97,
        ema=0.999,
        muon=True,
        store_fp16=True,
    ),
}
PAPERS = {
    f"{name}-cifar10-paper": Recipe(
        about=f"The paper's settings: {size}, RMSProp at a constant rate, which it does not give, batches of 16.",
        model=config,
        data="cifar10",
        training=RMSPROP,
        task=Pixels(),
        patience=5,
        store_fp16=True,
    )
    for name, (config, size) in LARGE.items()
} | {
    "gated-pixelcnn-cifar10-paper": Recipe(
        about=(
            "As large as the PixelCNN of arXiv 1601.06759, 15 layers, p = 128, trained our way, since the gated paper "
            f"gives neither sizes nor settings for CIFAR-10: {HOW}"
        ),
        model=GatedPixelCNNConfig(layers=15, **PAPERS_SIZE),
        data="cifar10",
        training=OURS
        | {
            "learning_rate": 3e-3,
            "num_train_epochs": 60,
            "lr_scheduler_kwargs": {"num_decay_steps": 33_756, "decay_type": "1-sqrt"},  # 12 epochs
        },
        task=Pixels(flip=True),
        ema=0.9995,
        muon=True,
        store_fp16=True,
    )
}
STUDIES = {
    "row-lstm-cifar10-6-layers": Recipe(
        about=f"A variant of {STUDY_B}: the paper's settings with 6 layers instead of 12.",
        model=RowLSTMConfig(layers=6, **PAPERS_SIZE),
        data="cifar10",
        training=RMSPROP,
        task=Pixels(),
        patience=5,
        store_fp16=True,
    ),
    "row-lstm-cifar10-15-layers": Recipe(
        about=(
            f"A variant of {STUDY_B}: 15 layers, RMSProp at 5e-4 (alpha 0.9, eps 1e-6, weight decay 1e-4), the rate "
            "halved where validation stays on a plateau."
        ),
        model=RowLSTMConfig(layers=15, **PAPERS_SIZE),
        data="cifar10",
        training=RMSPROP
        | PLATEAU
        | {
            "learning_rate": 5e-4,
            "optim_args": "alpha=0.9,eps=1e-6,weight_decay=1e-4",
            "weight_decay": 1e-4,  # RMSProp has it from the line above; this one is what the card shows
        },
        task=Pixels(),
        patience=5,
        store_fp16=True,
    ),
    "row-lstm-cifar10-256": Recipe(
        about=(
            f"A variant of {STUDY_B}: 12 layers, h = 256, AdamW, the rate halved on a plateau, clipping, mirrored "
            "images. Its rate and its other augmentations are not given."
        ),
        model=RowLSTMConfig(layers=12, **PAPERS_SIZE | {"hidden": 256}),
        data="cifar10",
        training=COMMON | PLATEAU | {"learning_rate": 1e-3, "max_grad_norm": 1.0, "num_train_epochs": 60},
        task=Pixels(flip=True),
        patience=5,
        store_fp16=True,
    ),
} | {
    f"{name}-cifar10-one-cycle": Recipe(
        about=(
            f"The settings of {STUDY_E}: RMSProp (alpha 0.95, eps 1e-8), one cycle up to 3e-3 and down again (here "
            "without a cycle of the momentum), clipping at 0.5, 5 epochs. It gives no sizes; these are ours."
        ),
        model=SMALL[f"{name}-cifar10"][0],
        data="cifar10",
        training=RMSPROP
        | {
            "optim_args": "alpha=0.95,eps=1e-8",
            "learning_rate": 3e-3,
            "lr_scheduler_type": "cosine",
            "warmup_steps": 0.3,  # where the one-cycle policy has its peak
            "max_grad_norm": 0.5,
            "num_train_epochs": 5,
        },
        task=Pixels(),
        store_fp16=True,
    )
    for name in ("pixelcnn", "row-lstm", "diagonal-bilstm")
}
RECIPES = OWN | PAPERS | STUDIES
