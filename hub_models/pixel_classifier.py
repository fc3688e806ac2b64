"""PixelClassifier: an LSTM or GRU reads a binarised digit pixel by pixel and says what it is.

The first part of "Recurrent models for MNIST" (2017): 784 steps of one binary pixel each, in raster order; the last
output -> batch norm -> affine 100 -> ReLU -> batch norm -> affine 10. That study does not name its non-linearity:
ReLU is our reading. Two additions, both off by default: `timescale` (an initialisation that remembers, see
`layers/recurrent.py`) and `prefixes` (the loss also scores the outputs after some random numbers of pixels, which
makes the answers on a half-read digit meaningful and carries the gradient over shorter roads).
"""

from dataclasses import dataclass

import torch
from torch import nn

from .base import at_least_float32, check_images
from .chunks import in_chunks
from .config import ImageShape, ModelConfig
from .image_model import Classifier
from .layers.recurrent import CELLS, recurrent


@dataclass
class PixelClassifierConfig(ImageShape, ModelConfig):
    """Architecture and preprocessing of a PixelClassifier."""

    model_type: str = "pixel_classifier"
    cell: str = "gru"  # "gru" or "lstm"
    hidden_size: int = 128
    num_layers: int = 1
    classes: int = 10
    height: int = 28
    width: int = 28
    threshold: int = 127  # a pixel is on where its byte is above this
    timescale: int = 0  # longest memory in steps at initialisation; 0: PyTorch's own initialisation
    prefixes: int = 0  # random prefixes of each image that the training loss scores besides the whole

    channels = 1

    def __post_init__(self):
        super().__post_init__()
        self.check_choice("cell", tuple(CELLS))
        self.check_int("hidden_size", 1, 8192)
        self.check_int("num_layers", 1, 64)
        self.check_int("classes", 2, 10_000)
        self.check_int("threshold", 0, 254)
        self.check_int("timescale", 0, 1_000_000)
        self.check_int("prefixes", 0, 1000)


class PixelClassifier(Classifier, tags=["rnn", "image-classification", "mnist"]):
    """Classify a binarised image from its pixels in raster order."""

    config_class = PixelClassifierConfig
    title = "recurrent classifier over pixels"
    about = (
        "A recurrent net reads a binarised 28x28 digit one pixel at a time, 784 steps in raster order, and names the "
        "digit from its last output. It can also be asked after any number of pixels."
    )
    limits = (
        "It knows handwritten digits, prepared as MNIST prepares them (white on black, in a 20x20 box, centred by mass "
        "in 28x28): anything else still gets ten probabilities that sum to 1. Reading in raster order is a test of "
        "memory, not the best way to classify a digit; convolutional nets pass 99.7 %."
    )
    citation = """@misc{tallec2018chrono,
  title={Can recurrent neural networks warp time?}, author={Tallec, Corentin and Ollivier, Yann},
  year={2018}, eprint={1804.11188}, archivePrefix={arXiv}}"""
    usage = """images = torch.zeros(2, 1, 28, 28, dtype=torch.uint8)  # white on black, 0 to 255
probabilities = model.predict(images)  # (2, 10)
as_pixels_arrive = model.predict_prefixes(images)  # (2, 784, 10)"""

    def __init__(self, config: PixelClassifierConfig):
        super().__init__(config)
        self.rnn = recurrent(config.cell, 1, config.hidden_size, config.num_layers, config.timescale)
        self.head = nn.Sequential(  # batch norm decay 0.99, as in the study
            nn.BatchNorm1d(config.hidden_size, momentum=0.01),
            nn.Linear(config.hidden_size, 100),
            nn.ReLU(),
            nn.BatchNorm1d(100, momentum=0.01),
            nn.Linear(100, config.classes),
        )

    @property
    def activation_size(self) -> int:
        """Elements of the recurrent outputs, or of all that the head makes of them, for one image."""
        widths = [layer.out_features for layer in self.head if isinstance(layer, nn.Linear)]
        return self.config.height * self.config.width * max(self.config.hidden_size, *widths)

    def outputs(self, images: torch.Tensor) -> torch.Tensor:
        """uint8 (B, 1, H, W) -> the net's output after each pixel, (H*W, B, hidden_size)."""
        images = check_images(images, self.shape)
        pixels = (images.to(self.device) > self.config.threshold).to(self.head[1].weight.dtype)
        return self.rnn(pixels.flatten(1).t()[..., None])[0]

    def forward(self, images: torch.Tensor, labels: torch.Tensor | None = None) -> dict:
        """uint8 (B, 1, H, W) and int64 labels (B,) -> `loss` in nats (with labels) and `logits` (B, classes).

        In training with `prefixes` the loss is half that of the whole image, half the mean over random prefixes.
        """
        outputs = self.outputs(images)  # (T, B, hidden)
        steps, count = outputs.shape[:2]
        scored = outputs[-1:]
        if self.training and self.config.prefixes:
            ends = torch.randint(steps, (self.config.prefixes, count), device=outputs.device)
            scored = torch.cat([scored, outputs[ends, torch.arange(count, device=outputs.device)]])
        logits = at_least_float32(self.head(scored.flatten(0, 1))).view(
            len(scored), count, -1
        )  # (1 + prefixes, B, classes)
        if labels is None:
            return {"logits": logits[0]}
        labels = labels.to(logits.device).expand(len(scored), -1)
        losses = nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
        losses = losses.view_as(labels).mean(1)
        loss = losses[0] if len(losses) == 1 else (losses[0] + losses[1:].mean()) / 2
        return {"loss": loss, "logits": logits[0]}

    @torch.no_grad()
    def predict(self, images: torch.Tensor) -> torch.Tensor:
        """uint8 (B, 1, H, W) -> probabilities (B, classes). A large batch is evaluated in chunks.

        Raises:
            ValueError: images of another type, shape or count.
        """
        images = check_images(images, self.shape)
        with self.exact(), self.evaluating():
            return in_chunks(self, lambda images: self.forward(images)["logits"].softmax(-1), images)

    @torch.no_grad()
    def predict_prefixes(self, images: torch.Tensor) -> torch.Tensor:
        """uint8 (B, 1, H, W) -> probabilities after 1, 2, ... H*W pixels, (B, H*W, classes); the last are `predict`'s.

        A large batch is evaluated in chunks.

        Raises:
            ValueError: images of another type, shape or count.
        """
        images = check_images(images, self.shape)

        def answer(images: torch.Tensor) -> torch.Tensor:
            outputs = self.outputs(images)  # (T, B, hidden)
            logits = at_least_float32(self.head(outputs.flatten(0, 1))).view(*outputs.shape[:2], -1)
            return logits.softmax(-1).transpose(0, 1)

        with self.exact(), self.evaluating():
            return in_chunks(self, answer, images)
