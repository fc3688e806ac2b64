"""A recipe: everything that decides a training run, as a typed value."""

from dataclasses import dataclass, fields
from typing import Any

from hub_models.config import ModelConfig


@dataclass(frozen=True)
class Recipe:
    """One named training run.

    Attributes:
        about: one sentence for the card: whose settings these are and what differs.
        model: the model's config.
        data: a key of `training.data.DATASETS`.
        training: fields of `transformers.TrainingArguments` that differ from its defaults.
        patience: validations without improvement before training stops; 0 never stops.
        float32_from: with bf16, the fraction of the steps after which training goes on in float32, so that the weights
            settle for the arithmetic that they are evaluated in; with --torch_compile Trainer allows a GPU TF32 in it.
            1 is never.
        flip: training images are mirrored left to right, every second time each is seen.
        shift: training images are shifted at random by up to so many pixels.
        cutout: side of a square of each training image that is made grey, the mean colour, in the batches that `cutmix`
            leaves; 0 for none.
        cutmix: the share of batches in which a rectangle of each image, and as much of its label, is another's instead.
        image_sizes: of classifiers, the sides of training images in pixels, for stages of equal length, small images
            first, the last their own; none for their own all along.
        ema: decay of the exponential average of the weights over steps that is evaluated and kept; 0 keeps the last.
        window: of texts, the tokens of a training window; several for stages of equal length, short windows first, each
            a divisor of the last.
        carry_state: of texts, the windows of a batch go on where the last batch's ended and take over the state; else
            they are shuffled, and each starts from nothing.
        clip_value: each component of the gradient is cut off at this; 0 never.
        muon: the kernels of convolutions step by Muon, all else by AdamW, or as the model has it.
        store_fp16: store the weights in float16, the last step before evaluation.
    """

    about: str
    model: ModelConfig
    data: str
    training: dict[str, Any]
    patience: int = 0
    float32_from: float = 1.0
    flip: bool = False
    shift: int = 0
    cutout: int = 0
    cutmix: float = 0.0
    image_sizes: tuple[int, ...] = ()
    ema: float = 0.0
    window: tuple[int, ...] = ()
    carry_state: bool = False
    clip_value: float = 0.0
    muon: bool = False
    store_fp16: bool = False


def standards(kind: type) -> dict[str, Any]:
    """What a run older than a field of this dataclass, a Recipe or a config, had of it, as JSON tells it."""
    return {f.name: list(f.default) if isinstance(f.default, tuple) else f.default for f in fields(kind)}
