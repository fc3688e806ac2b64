"""What the masked image models share: levels of a pixel, the head over the last features, likelihood."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from .autoregressive import AutoregressiveImageModel, in_order
from .base import check_images
from .config import ImageShape, ModelConfig, is_integer
from .layers.masked import MaskedConv2d
from .layers.spatial import RELU
from .layers.walk import Walk, ones_first, pointwise, slices

PROBES = 16  # images by which a receptive field is measured: so many that no ReLU is off for all


@dataclass
class CausalConvConfig(ImageShape, ModelConfig):
    """Architecture and preprocessing of a masked image model; the defaults are the paper's for binarised MNIST."""

    channels: int = 1
    height: int = 28
    width: int = 28
    levels: int = 2  # of a sub-pixel: 256 are all its bytes
    threshold: int = 127  # with 2 levels a sub-pixel is on where its byte is above this; else not read
    layers: int = 7
    hidden: int = 16  # h: the layers have 2h features between them
    head: int = 32  # features of the two 1x1 convolutions before the logits; CIFAR-10: 1,024

    def __post_init__(self):
        super().__post_init__()
        self.check_int("levels", 2, 256)
        self.check_int("threshold", 0, 254)
        self.check_int("layers", 1, 256)
        for name in ("hidden", "head"):
            self.check_int(name, self.channels, 65_536)  # each channel has a feature at least


class HeadStep(NamedTuple):
    """Matrices of the head for the logits of one channel, and views of the buffers between them."""

    first: torch.Tensor
    first_out: torch.Tensor  # which `second_in` reads too
    second: torch.Tensor
    second_in: torch.Tensor
    second_out: torch.Tensor  # which `last_in` reads too
    last: torch.Tensor
    last_in: torch.Tensor


class Head(nn.Module):
    """ReLU and 1x1, mask B, three times: features -> `head` -> `head` -> the logits of each channel in turn."""

    def __init__(self, inputs: int, chunks: int, config: CausalConvConfig):
        super().__init__()
        outputs = 1 if config.levels == 2 else config.levels  # a Bernoulli has one logit
        channels = self.channels = config.channels
        self.first = MaskedConv2d("B", inputs, config.head, (1, 1), channels, chunks_in=chunks, gain=RELU)
        self.second = MaskedConv2d("B", config.head, config.head, (1, 1), channels, gain=RELU)
        self.last = MaskedConv2d("B", config.head, channels * outputs, (1, 1), channels, gain=0.1)  # near uniform

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, inputs, H, W) -> (B, channels * outputs, H, W)."""
        for conv in (self.first, self.second, self.last):
            x = conv(x.relu())
        return x

    def steps(self, read: torch.Tensor) -> Callable[[int], torch.Tensor]:
        """A function of c that gives the logits of channel c, (outputs, B), channel after channel of one pixel.

        `read` is that of a `Walk`, (chunks, 1 + features, B).
        """
        convs, channels = (self.first, self.second, self.last), self.channels
        weights = [pointwise(self.first, channels, len(read)), *(pointwise(conv, channels) for conv in convs[1:])]
        seen = [rows for _, rows in slices(read.shape[1] - 1, channels, 1)]
        first, second = ones_first(2, self.first.out_channels, read.shape[2], like=read)
        steps = [
            HeadStep(
                first=a,
                first_out=first[rows],
                second=b,
                second_in=first[until],
                second_out=second[rows],
                last=last,
                last_in=second[until],
            )
            for a, b, last, (rows, until) in zip(*weights, slices(self.first.out_channels, channels, 1), strict=True)
        ]

        def logits(c: int) -> torch.Tensor:
            step = steps[c]
            torch.mm(step.first, read[:, seen[c]].flatten(0, 1), out=step.first_out).relu_()
            torch.mm(step.second, step.second_in, out=step.second_out).relu_()
            return step.last @ step.last_in

        return logits


class CausalConvModel(AutoregressiveImageModel):
    """A stack of masked layers, R before G before B in each, and a head: a subclass gives `features` and `head`."""

    abstract = True
    muon = True
    checkpointing = False

    def activation_checkpointing_enable(
        self, activation_checkpointing_kwargs: dict | None = None, every_n_layers: int = 1, offload: bool = False
    ) -> None:
        """Compute each layer's activations anew in the backward pass, not keep them: less memory, a third more work.

        transformers.Trainer calls it for `--activation_checkpointing True`.

        Raises:
            ValueError: any of its options.
        """
        plain = not activation_checkpointing_kwargs and every_n_layers == 1 and not offload
        if not plain:
            raise ValueError(
                "activation checkpointing has no options here: leave out --activation_checkpointing_kwargs"
            )
        self.checkpointing = True

    def through(self, layer: nn.Module, *inputs: torch.Tensor | None) -> torch.Tensor | tuple[torch.Tensor, ...]:
        """What a layer makes of its inputs; in training its activations are not kept if there is checkpointing."""
        if self.checkpointing and self.training:
            return checkpoint(layer, *inputs, use_reentrant=False, preserve_rng_state=False)  # no layer draws
        return layer(*inputs)

    def features(self, pixels: torch.Tensor, label: torch.Tensor | None) -> torch.Tensor:
        """Scaled pixels (B, C, H, W) -> what the head reads, (B, features, H, W)."""
        raise NotImplementedError

    @property
    def activation_size(self) -> int:
        """Elements of the widest layer or of the logits, for one image."""
        widths = [max(conv.in_channels, conv.out_channels) for conv in self.modules() if isinstance(conv, nn.Conv2d)]
        return max(*widths, self.config.channels * self.config.levels) * self.config.height * self.config.width

    def quantise(self, images: torch.Tensor) -> torch.Tensor:
        """uint8 (B, C, H, W) -> int64 levels of the same shape."""
        if self.config.levels == 2:
            return (images > self.config.threshold).long()
        return images.long() * self.config.levels // 256

    def scale(self, levels: torch.Tensor) -> torch.Tensor:
        """Levels -> floating point from -1 to 1, of the same shape."""
        return levels.to(self.head.last.weight.dtype) * (2 / (self.config.levels - 1)) - 1

    def full(self, logits: torch.Tensor) -> torch.Tensor:
        """Of one sub-pixel or many, (..., outputs of the head) -> (..., levels): the logit of off is 0."""
        return torch.cat([torch.zeros_like(logits), logits], -1) if self.config.levels == 2 else logits

    def logits(self, images: torch.Tensor, label: torch.Tensor | None = None) -> torch.Tensor:
        """uint8 (B, C, H, W) -> (B, C, H, W, levels): each sub-pixel's logits given those before it."""
        images = check_images(images, self.shape)
        self._check_label(label, len(images))
        pixels = self.scale(self.quantise(images.to(self.device)))
        innermost = {"memory_format": torch.channels_last}  # in which convolutions in bf16, and the loss, are fastest
        features = self.features(pixels.contiguous(**innermost), label)
        out = self.head(features.contiguous(**innermost))  # (B, C * outputs, H, W)
        return self.full(out.unflatten(1, (self.config.channels, -1)).movedim(2, -1))

    @torch.inference_mode(False)
    def receptive_field(self, y: int, x: int) -> torch.Tensor:
        """Which pixels the logits of pixel (y, x) depend on, in any of their channels: bool (H, W), by gradient.

        Raises:
            ValueError: there is no such pixel.
        """
        _, height, width = self.shape
        if not (is_integer(y) and is_integer(x) and (0 <= y < height) and (0 <= x < width)):
            raise ValueError(f"the pixel is ({y!r}, {x!r}): give whole numbers, (0, 0) to ({height - 1}, {width - 1})")
        noise = torch.Generator().manual_seed(0)
        levels = torch.randint(self.config.levels, (PROBES, *self.shape), generator=noise)
        pixels = self.scale(levels[:, :, : y + 1].to(self.device)).requires_grad_()  # what is below cannot matter
        label = torch.arange(PROBES) % self.classes if self.classes else None
        with self.exact(), self.evaluating(), torch.enable_grad():
            features = self.features(pixels, label)[:, :, y : y + 1, x : x + 1]
            logits = self.head(features)[:, :, 0, 0]  # (PROBES, C * outputs)
        weights = torch.randn(logits.shape, generator=noise).to(logits)  # random, so that nothing cancels
        (gradient,) = torch.autograd.grad((logits * weights).sum(), pixels)
        seen = torch.zeros(height, width, dtype=torch.bool)
        seen[: y + 1] = (gradient != 0).any(0).any(0)
        return seen

    def walk(self, pixels: torch.Tensor, y: int, x: int, label: torch.Tensor | None) -> Walk:
        """From pixel (y, x) on, given the scaled pixels (B, C, H, W) before it."""
        raise NotImplementedError

    def _stream(self, levels: torch.Tensor, start: int, label: torch.Tensor | None) -> Iterator[torch.Tensor]:
        """Each sub-pixel computes what it can change, and of pixels that are known nothing but what others see of them.

        See `layers.walk`. The head is left out where no logits of a pixel are asked for.
        """
        channels, height, width = self.shape
        raster = in_order(levels)  # (H*W*C, B)
        rows = raster.unbind()  # views, all at once: to index one by one takes longer than much that is computed
        y, x = divmod(start // channels, width)
        walk = self.walk(self.scale(levels), y, x, label)
        head = self.head.steps(walk.read)
        scaled = self.scale(torch.arange(self.config.levels, device=levels.device))
        wanted = start  # the next whose logits are asked for: all before it are known
        for pixel in range(start // channels, height * width):
            y, x = divmod(pixel, width)
            if x == 0 or pixel == start // channels:
                walk.begin_row(y)
            walk.begin_pixel(x)
            for c in range(channels):
                i = pixel * channels + c
                walk.group(c)
                if wanted < (pixel + 1) * channels:
                    logits = head(c)  # (outputs, B)
                if i == wanted:
                    drawn = yield self.full(logits.t())
                    wanted = i + drawn.shape[1]
                    raster[i:wanted] = drawn.t()
                walk.pixels.put(x, c, scaled.take(rows[i]))
            walk.end_pixel()
            if x == width - 1:
                walk.end_row()
