"""Time the training of a classifier from end to end, on whatever device there is."""

import copy
import tempfile

import torch

from evaluation.benchmarks.reference import pillow_batches
from evaluation.benchmarks.timing import ratio
from hub_models import ConvClassifier
from training.data import ImageData
from training.machine import has_bf16


def classifier_training(model: ConvClassifier, data: ImageData, shift: int, batch: int, rounds: int) -> dict:
    """An epoch of `training.train`'s own trainer (bf16 where the machine has it) against the usual loop.

    The usual: a DataLoader that prepares each image in Pillow, channels first, float32, and SGD.
    """
    from transformers import PrinterCallback, TrainingArguments  # 4 s to import

    from training.tasks import Classification
    from training.trainer import HubTrainer

    plain = copy.deepcopy(model)  # Trainer may move the other to a GPU
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    optimizer = torch.optim.SGD([p for p in plain.to(device).parameters() if p.requires_grad], 1e-3)

    def ours() -> None:
        quiet = {"report_to": "none", "save_strategy": "no", "logging_strategy": "no", "disable_tqdm": True}
        size = {"per_device_train_batch_size": batch, "num_train_epochs": 1, "max_grad_norm": 0.0}
        how = {"bf16": has_bf16(), "remove_unused_columns": False, "use_cpu": device.type == "cpu"}
        with tempfile.TemporaryDirectory() as folder:
            args = TrainingArguments(folder, **quiet, **size, **how)
            task = Classification(flip=True, shift=shift)
            trainer = HubTrainer(model, args, task=task, watch=lambda *_: None, train_dataset=data)
            trainer.remove_callback(PrinterCallback)
            trainer.train()

    def usual() -> None:
        for images, labels in pillow_batches(data, shift, plain.config.mean, plain.config.std, batch):
            logits = plain.head(plain.body(images.to(device)))
            torch.nn.functional.cross_entropy(logits, labels.to(device)).backward()
            optimizer.step()
            optimizer.zero_grad()

    return ratio(ours, usual, rounds) | {"images": len(data)}
