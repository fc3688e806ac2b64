"""Images to classes."""

import itertools
from dataclasses import dataclass
from pathlib import Path

import torch

from hub_models import MODELS, ConvClassifier, HubModel, PixelClassifier
from hub_models.config import ModelConfig
from hub_models.run_folder import SAMPLES
from training.augment import cut_mix, cut_out, resized
from training.data import ImageData
from training.figures.pictures import draw_guesses, draw_reading
from training.options import option
from training.tasks.base import Progress, accuracy
from training.tasks.images import ImageTask


def sizes(stages: tuple[int, ...]) -> str:
    """Describe stages of image sizes."""
    counted = [(side, len(list(same))) for side, same in itertools.groupby(stages)]
    shares = ", ".join(f"{side} pixels in {count}" for side, count in counted)
    return f"of {len(stages)} equal stages {shares}" if stages else ""


@dataclass(frozen=True)
class Classification(ImageTask):
    """Images to classes."""

    models = (ConvClassifier, PixelClassifier)
    evaluations = ("accuracy", "heat")
    metrics = ("loss", "accuracy")
    unit = "nats per image"
    cutmix: float = option(
        0.0,
        "share of the batches in which a rectangle of each image, and as much of its label, is another image's",
        low=0,
        high=1,
        row="augmentation",
        card=lambda share: f"CutMix in {100 * share:.3g} % of the batches" if share else "",
    )
    cutout: int = option(
        0,
        "side of a square of each training image that is made grey, in batches without CutMix",
        low=0,
        row="augmentation",
        card="a grey square of {} pixels (Cutout)",
    )
    image_sizes: tuple[int, ...] = option(
        (),
        "sides of training images, stages 20,24,32 of equal length; the last is that of whole images",
        row="image sizes",
        card=sizes,
    )

    def check(self, config: ModelConfig) -> None:
        super().check(config)
        for name in ("cutmix", "cutout", "image_sizes"):
            if getattr(self, name) and not issubclass(MODELS[config.model_type], ConvClassifier):
                raise ValueError(f"--{name} is for convolutional classifiers: leave it out")
        self.check_pixels("cutout", config)
        if self.cutmix == 1 and self.cutout:
            raise ValueError("--cutmix 1 leaves no batch for --cutout: give --cutout 0, or a smaller share")
        if self.image_sizes:
            least, side = config.least, min(config.height, config.width)
            own = self.image_sizes[-1] == config.height == config.width
            if not (own and least <= min(self.image_sizes) and max(self.image_sizes) <= side):
                raise ValueError(
                    f"--image_sizes is {','.join(map(str, self.image_sizes))!r}: give sides of {least} to {side}, the "
                    "last that of the square images"
                )

    def batch(self, model: HubModel, inputs: dict, indices: torch.Tensor, progress: Progress) -> dict:
        inputs = super().batch(model, inputs, indices, progress)
        if self.cutmix:  # shares of labels in all batches, so that they are compiled alike
            inputs["labels"] = torch.nn.functional.one_hot(inputs["labels"], model.config.classes).float()
        if self.cutmix and torch.rand(()) < self.cutmix:
            inputs["images"], inputs["labels"] = cut_mix(inputs["images"], inputs["labels"])
        elif self.cutout:
            grey = (model.mean.flatten() * 255).to(torch.uint8)  # the mean colour, rounded down
            inputs["images"] = cut_out(inputs["images"], self.cutout, grey)
        if self.image_sizes:
            model.side = progress.stage(self.image_sizes)
            inputs["images"] = resized(inputs["images"], model.side)
        return inputs

    def score(self, inputs: dict, outputs: dict) -> dict[str, tuple[torch.Tensor, int]]:
        labels = inputs["labels"].argmax(-1) if inputs["labels"].dim() > 1 else inputs["labels"]  # of CutMix the larger
        return accuracy(outputs["logits"].argmax(-1) == labels.to(outputs["logits"].device))

    def samples(self, model: HubModel, data: ImageData, folder: Path) -> dict:
        draw = draw_reading if isinstance(model, PixelClassifier) else draw_guesses
        return {"samples": draw(model, data, folder / SAMPLES)}
