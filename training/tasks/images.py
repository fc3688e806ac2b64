"""What tasks on images share: the model is made for the images, which are mirrored and shifted."""

from dataclasses import dataclass

import torch
from transformers import TrainingArguments

from hub_models import MODELS, HubModel
from hub_models.config import ModelConfig
from training.augment import alternately, mirrored_and_shifted
from training.data import ImageData
from training.options import option
from training.tasks.base import Progress, Task


@dataclass(frozen=True)
class ImageTask(Task):
    """A task on images."""

    examples = "images"
    flip: bool = option(
        False,
        "mirror each training image left to right every other time it is seen",
        row="augmentation",
        card="mirrored every other time",
    )
    shift: int = option(
        0,
        "shift training images at random by up to so many pixels",
        low=0,
        row="augmentation",
        card="shifted by up to {} pixels",
    )

    def check(self, config: ModelConfig) -> None:
        super().check(config)
        self.check_pixels("shift", config)

    def check_pixels(self, name: str, config: ModelConfig) -> None:
        """Refuse an option that is not a number of pixels below the side of the model's images."""
        side, value = min(config.height, config.width), getattr(self, name)
        if not 0 <= value < side:
            raise ValueError(f"--{name} is {value}: give 0 to {side - 1} pixels")

    def prepare(
        self, config: ModelConfig, splits: dict[str, ImageData], args: TrainingArguments
    ) -> tuple[HubModel, dict[str, ImageData]]:
        model = MODELS[config.model_type](config)
        found = tuple(splits["train"].images.shape[1:])
        if found != model.shape:
            raise ValueError(
                f"the images are {found} (C, H, W) and the model's {model.shape}: change --model.channels, height or "
                "width"
            )
        model.prepare(splits["train"].images)
        for data in splits.values():
            data.check_labels(getattr(config, "classes", 0) or None)  # 0: a generator that takes no label
        return model, splits

    def batch(self, model: HubModel, inputs: dict, indices: torch.Tensor, progress: Progress) -> dict:
        if self.flip or self.shift:
            mirrored = alternately(indices, progress.epoch) & self.flip
            inputs["images"] = mirrored_and_shifted(inputs["images"], self.shift, mirrored)
        return inputs
