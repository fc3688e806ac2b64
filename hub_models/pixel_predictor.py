"""PixelPredictor: a GRU that gives the next pixel's probability, and so the probability of a whole digit.

The second part of "Recurrent models for MNIST" (2017): a many-to-many GRU over the 784 pixels of a binarised digit in
raster order, each output a Bernoulli for the pixel that follows. That study scores 783 pixels, for its first one is
never predicted; here the initial state is learned and predicts it, so that `log_prob` is that of the whole image.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from .autoregressive import AutoregressiveImageModel
from .base import check_images
from .chunks import in_chunks
from .config import ImageShape, ModelConfig
from .layers.recurrent import recurrent


@dataclass
class PixelPredictorConfig(ImageShape, ModelConfig):
    """Architecture and preprocessing of a PixelPredictor."""

    model_type: str = "pixel_predictor"
    hidden_size: int = 128
    num_layers: int = 1
    height: int = 28
    width: int = 28
    threshold: int = 127  # a pixel is on where its byte is above this
    timescale: int = 0  # longest memory in steps at initialisation; 0: PyTorch's own initialisation

    channels = 1
    levels = 2

    def __post_init__(self):
        super().__post_init__()
        self.check_int("hidden_size", 1, 8192)
        self.check_int("num_layers", 1, 64)
        self.check_int("threshold", 0, 254)
        self.check_int("timescale", 0, 1_000_000)


class PixelPredictor(AutoregressiveImageModel, tags=["rnn", "autoregressive", "inpainting", "mnist"]):
    """Likelihood, samples and completions of binarised images by a recurrent net over pixels."""

    config_class = PixelPredictorConfig
    title = "recurrent next-pixel model"
    about = (
        "A GRU reads a binarised 28x28 digit one pixel at a time in raster order and gives the probability that the "
        "next pixel is on. The product of these is the exact probability of the image; drawing the pixels one after "
        "another samples a digit, and drawing only the missing ones completes a damaged one."
    )
    limits = (
        "A completion sees only what comes before a missing pixel in raster order: what is known below or to the right "
        "of the hole does not guide it. It has seen handwritten digits only, binarised at a threshold; likelihoods are "
        "not comparable with figures on stochastically binarised MNIST."
    )
    citation = """@inproceedings{cho2014gru,
  title={Learning Phrase Representations using {RNN} Encoder-Decoder for Statistical Machine Translation},
  author={Cho, Kyunghyun and others}, booktitle={EMNLP}, year={2014},
  eprint={1406.1078}, archivePrefix={arXiv}}"""
    usage = """images = model.sample(4, generator=torch.Generator().manual_seed(0))  # uint8 (4, 1, 28, 28)
nats = model.log_prob(images)  # (4,)
known = torch.arange(784).view(1, 1, 28, 28) < 484  # the last 300 pixels are missing
completions = model.complete(images, known, n=5)  # (4, 5, 1, 28, 28)"""

    def __init__(self, config: PixelPredictorConfig):
        super().__init__(config)
        self.rnn = recurrent("gru", 1, config.hidden_size, config.num_layers, config.timescale)
        self.start = nn.Parameter(torch.zeros(config.num_layers, 1, config.hidden_size))
        self.head = nn.Linear(config.hidden_size, 1)

    @property
    def activation_size(self) -> int:
        """Elements of the recurrent outputs, for one image."""
        return self.config.height * self.config.width * self.config.hidden_size

    def quantise(self, images: torch.Tensor) -> torch.Tensor:
        """uint8 (B, 1, H, W) -> 0 or 1, int64."""
        return (images > self.config.threshold).long()

    def _read(self, levels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Levels (B, T) -> the state before each pixel and after the last, (T+1, B, hidden), and the carried state."""
        state = self.start.expand(-1, len(levels), -1).contiguous()
        if levels.shape[1] == 0:
            return state[-1:], state
        pixels = levels.t()[..., None].to(self.start.dtype)  # (T, B, 1)
        outputs, carried = self.rnn(pixels, state)
        return torch.cat([state[-1:].to(outputs.dtype), outputs]), carried

    def _logits(self, states: torch.Tensor) -> torch.Tensor:
        """Top states (..., hidden) -> (..., 2): the logits of off, which is 0, and on."""
        on = self.head(states)  # (..., 1)
        return torch.cat([torch.zeros_like(on), on], -1)

    def logits(self, images: torch.Tensor, label: torch.Tensor | None = None) -> torch.Tensor:
        """uint8 (B, 1, H, W) -> (B, 1, H, W, 2): each pixel's logits given those before it."""
        images = check_images(images, self.shape)
        self._check_label(label, len(images))
        states, _ = self._read(self.quantise(images.to(self.device)).flatten(1)[:, :-1])
        return self._logits(states).transpose(0, 1).reshape(*images.shape, 2)

    def _stream(self, levels: torch.Tensor, start: int, label: torch.Tensor | None) -> Iterator[torch.Tensor]:
        """One cell a pixel from the carried state, after one parallel pass over the pixels before `start`."""

        def read(levels: torch.Tensor) -> torch.Tensor:
            return self._read(levels)[1].transpose(0, 1)

        carried = in_chunks(self, read, levels.flatten(1)[:, :start])  # (B, layers, hidden)
        state = list(carried.unbind(1))  # (B, hidden) a layer
        while True:
            drawn = yield self._logits(state[-1])
            for pixel in drawn.unbind(1):
                signal = pixel[:, None].to(self.start.dtype)
                for layer in range(len(state)):
                    signal = state[layer] = torch.gru_cell(signal, state[layer], *self.rnn.all_weights[layer])
