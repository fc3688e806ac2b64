"""Gated PixelCNN: masked convolutions with gates, in two stacks and so without a blind spot; given a class, or not.

Van den Oord et al. 2016, "Conditional Image Generation with PixelCNN Decoders", arXiv 1606.05328, sections 2.1 to 2.3
and figure 2. The vertical stack sees the rows above, all channels of them; the horizontal one the pixels to the left
and, by mask, the earlier channels of its own; at each layer it also sees the vertical. What the paper leaves open:

- Here a vertical feature has seen the rows above its own only, by the shape of the first kernel (3x7); so no layer
  needs a shift, and the later kernels (2x3) take in the row of vertical features beside it.
- Kernels are 7 wide in the first layer and 3 in the others, as those of the PixelCNN.
- The class is added to the gates of both stacks in every layer, by its own vector, as in equation 4.
- The weights start scaled so that gates neither fade nor saturate over depth; the head is that of the PixelRNN family.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from .causal_conv import CausalConvConfig, CausalConvModel, Head
from .chunks import chunk_slices
from .layers.masked import MaskedConv2d, bounds, groups
from .layers.walk import Pixels, Walk, by_group, ones_first, pointwise, slices
from .pixel_rnn import NEAR

USAGE = """label = torch.arange(2) % model.config.classes if model.config.classes else None  # of a conditional model
images = model.sample(2, label=label, generator=torch.Generator().manual_seed(0))  # uint8 (2, C, H, W)
nats = model.log_prob(images, label)  # (2,)
_, height, width = model.shape
known = (torch.arange(height) < height // 2).view(1, 1, -1, 1).expand(1, 1, height, width)  # the lower half is missing
completions = model.complete(images, known, n=3, label=label)  # (2, 3, C, H, W)"""
GATE = 3.0  # gain that makes up for what tanh * sigmoid takes away: the features of a deep stack keep their scale


@dataclass
class GatedPixelCNNConfig(CausalConvConfig):
    """Architecture and preprocessing of a GatedPixelCNN; `hidden` is the paper's p, features of each stack."""

    optional = ("names",)
    model_type: str = "gated_pixel_cnn"
    classes: int = 0  # 0: unconditional
    names: tuple = ()  # of the classes, in the order of the labels; empty: not told

    def __post_init__(self):
        super().__post_init__()
        self.check_int("classes", 0, 100_000)
        self.check_names(0, 100_000)
        told = f"names tells {len(self.names)} classes, classes is {self.classes}"
        if len(self.names) not in (0, self.classes):
            raise ValueError(f'{told}: give as many names, or none ("")')


def gate(x: torch.Tensor) -> torch.Tensor:
    """(B, 2p, ...) -> (B, p, ...): tanh of the first half times the sigmoid of the second."""
    a, b = x.chunk(2, 1)
    return a.tanh() * b.sigmoid()


def scaled(conv: nn.Conv2d, gain: float) -> nn.Conv2d:
    """The convolution with weights of this gain, and no bias at the start."""
    with torch.no_grad():
        conv.weight.normal_(0, gain / conv.weight[0].numel() ** 0.5)
        conv.bias.zero_()
    return conv


class GatedLayer(nn.Module):
    """One layer of both stacks; the first reads the pixels in both, and has no residual connection."""

    def __init__(self, config: GatedPixelCNNConfig, first: bool):
        super().__init__()
        features, channels = config.hidden, config.channels
        inputs = channels if first else features
        rows, columns = (3, 7) if first else (2, 3)
        self.first = first
        self.above = (columns // 2, columns // 2, rows if first else rows - 1, 0)  # padding: left, right, top, bottom
        self.vertical = scaled(nn.Conv2d(inputs, 2 * features, (rows, columns)), GATE)
        self.across = scaled(nn.Conv2d(2 * features, 2 * features, 1), 0.5)
        kind, out = ("A", features) if first else ("B", features)
        self.horizontal = MaskedConv2d(kind, inputs, 2 * features, (1, columns), channels, chunks_out=2, gain=1.0)
        self.vertical.gates = self.across.gates = self.horizontal.gates = 2  # matrices, which Muon takes one by one
        self.out = MaskedConv2d("B", features, out, (1, 1), channels, gain=GATE if first else config.layers**-0.5)
        self.label = nn.Embedding(config.classes, 4 * features) if config.classes else None
        if self.label:
            nn.init.zeros_(self.label.weight)  # the scale at the start is that of an unconditional net

    def conditions(self, label: torch.Tensor | None) -> tuple[torch.Tensor | float, torch.Tensor | float]:
        """What the class adds to the gates of the vertical and the horizontal stack, (B, 2p, 1, 1) each."""
        if self.label is None:
            return 0.0, 0.0
        return self.label(label)[..., None, None].chunk(2, 1)

    def down(self, v: torch.Tensor, label: torch.Tensor | None) -> torch.Tensor:
        """The vertical gates (B, 2p, H, W), of rows above the row in the first layer, up to it in the others."""
        v = self.vertical(F.pad(v, self.above))  # (B, 2p, H + 1 in the first layer, W)
        v = v[:, :, :-1] if self.first else v
        return v + self.conditions(label)[0]

    def forward(
        self, v: torch.Tensor, h: torch.Tensor, label: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Vertical and horizontal features (B, p, H, W), or twice the pixels (B, C, H, W) -> both (B, p, H, W)."""
        gates = self.down(v, label)
        out = self.out(gate(self.horizontal(h) + self.across(gates) + self.conditions(label)[1]))
        return gate(gates), out if self.first else h + out


class GatedStep(NamedTuple):
    """Matrices and views of buffers with which a layer of the horizontal stack computes one channel.

    Each matrix is (outputs, inputs), what it reads (inputs, B), and what it writes (outputs, B).
    """

    gates: torch.Tensor  # without what `horizontal` adds
    horizontal: torch.Tensor
    horizontal_in: torch.Tensor  # not read in the first layer, which reads pixels
    gated: torch.Tensor  # written, and read by `out_in`
    out: torch.Tensor
    out_in: torch.Tensor
    before: torch.Tensor  # the channel's features before the layer; not read in the first layer
    after: torch.Tensor  # written: those after it


class GatedWalk(Walk):
    """Of a gated PixelCNN: the vertical stack row by row, the horizontal pixel by pixel; see `layers.walk`.

    `left` is what the horizontal convolutions read, zeros in the place of the first layer's, which reads pixels.
    """

    def __init__(self, model: "GatedPixelCNN", pixels: torch.Tensor, y: int, x: int, label: torch.Tensor | None):
        batch, c, _, self.width = pixels.shape
        p, depth, self.layers, self.label = model.config.hidden, model.config.layers, model.layers, label
        first = self.layers[0]
        self.pixels = Pixels(pixels, first.vertical.weight, first.horizontal)
        self.order = by_group(2 * p, c, 2).to(pixels.device)
        later = [layer.horizontal.masked()[:, :, 0, 0] for layer in self.layers[1:]]  # (2p, p) each
        self.beside = (
            torch.stack([pixels.new_zeros(2 * p, p), *later])[:, self.order].transpose(1, 2).contiguous()
        )  # (L, p, 2p)
        self.over = [
            pixels.new_zeros(batch, p, 1, self.width) for _ in self.layers
        ]  # vertical features of the row above
        self.base = pixels.new_zeros(depth, 2 * p, batch)
        features = pixels.new_zeros(depth + 1, p, batch)  # horizontal, before each layer and after the last
        self.left, self.last = features[:-1], features[-1]
        gated, self.read = ones_first(depth, p, batch, like=pixels), ones_first(1, p, batch, like=pixels)
        here = [pointwise(layer.horizontal, c, 1, 2, bias=False) for layer in self.layers]
        here[0] = self.pixels.matrices(groups(2 * p, c, 2))
        out = [pointwise(layer.out, c) for layer in self.layers]
        edges, rows, shifted = [2 * edge for edge in bounds(p, c)], slices(p, c), slices(p, c, 1)
        self.steps = [
            [
                GatedStep(
                    gates=self.base[n, edges[g] : edges[g + 1]],
                    horizontal=here[n][g],
                    horizontal_in=features[n, rows[g][1]],
                    gated=gated[n, shifted[g][0]],
                    out=out[n][g],
                    out_in=gated[n, shifted[g][1]],
                    before=features[n, rows[g][0]],
                    after=features[n + 1, rows[g][0]],
                )
                for n in range(depth)
            ]
            for g in range(c)
        ]
        self.rectify = [(self.last[rows[g][0]], self.read[0, shifted[g][0]]) for g in range(c)]
        if y or x:  # one parallel pass over the rows up to this one
            for images in chunk_slices(model, batch):
                v = h = pixels[images, :, : y + 1]
                for n, layer in enumerate(self.layers):
                    v, h = layer(v, h, label if label is None else label[images])
                    if y:
                        self.over[n][images] = v[:, :, y - 1 : y]
                    if x:
                        features[n + 1, :, images] = h[:, :, y, x - 1].t()

    def begin_row(self, y: int) -> None:
        """The vertical stack of this row, and what each pixel gets from it: `gates` (W, L, 2p, B)."""
        gates, above = [], None
        for n, layer in enumerate(self.layers):
            down, across = layer.conditions(self.label)
            if n == 0:
                found = self.pixels.begin_row(y)[:, :, None] + layer.vertical.bias[:, None, None]
            else:
                found = layer.vertical(F.pad(torch.cat([above, self.over[n - 1]], 2), (1, 1)))
            found = found + down  # (B, 2p, 1, W)
            gates.append((layer.across(found) + layer.horizontal.bias[:, None, None] + across)[:, self.order, 0])
            above, self.over[n] = self.over[n], gate(found)  # the next layer reads both rows
        self.gates = torch.stack(gates).permute(3, 0, 2, 1).contiguous()

    def group(self, c: int) -> None:
        for n, step in enumerate(self.steps[c]):
            step.gates.addmm_(step.horizontal, self.pixels.seen(self.x, c) if n == 0 else step.horizontal_in)
            a, b = step.gates.chunk(2)
            torch.mul(a.tanh_(), b.sigmoid_(), out=step.gated)
            if n == 0:
                torch.mm(step.out, step.out_in, out=step.after)
            else:
                torch.addmm(step.before, step.out, step.out_in, out=step.after)
        features, read = self.rectify[c]
        torch.clamp_min(features, 0, out=read)

    def end_pixel(self) -> None:
        """All is in `left` as it was computed."""

    def end_row(self) -> None:
        self.left.zero_()


class GatedPixelCNN(CausalConvModel, tags=["pixelcnn", "autoregressive", "inpainting"]):
    """Two stacks of gated masked convolutions, without a blind spot as far as they reach; unconditional or by class."""

    config_class = GatedPixelCNNConfig
    title = "gated PixelCNN"
    about = (
        "Gated masked convolutions, one stack for the rows above and one for the row itself, give the distribution of "
        "each colour of each pixel in turn. The product of these is the exact probability of the image. With a class "
        "label, where it was trained with labels, it is the probability given the class."
    )
    limits = NEAR
    citation = """@inproceedings{vandenoord2016conditional,
  title={Conditional Image Generation with {PixelCNN} Decoders},
  author={van den Oord, A{\\"a}ron and Kalchbrenner, Nal and others}, booktitle={NeurIPS}, year={2016},
  eprint={1606.05328}, archivePrefix={arXiv}}"""
    usage = USAGE

    def __init__(self, config: GatedPixelCNNConfig):
        super().__init__(config)
        self.layers = nn.ModuleList(GatedLayer(config, layer == 0) for layer in range(config.layers))
        self.head = Head(config.hidden, 1, config)

    def forward(self, images: torch.Tensor, labels: torch.Tensor | None = None, return_loss: bool = True) -> dict:
        """As the other image models' and, of a conditional model, given the classes int64 (B,), else not looked at."""
        return self._scored(images, labels if self.config.classes else None)

    def features(self, pixels: torch.Tensor, label: torch.Tensor | None) -> torch.Tensor:
        """Scaled pixels (B, C, H, W) -> what the head reads, (B, p, H, W)."""
        v = h = pixels
        for layer in self.layers:
            v, h = self.through(layer, v, h, label if label is None else label.to(self.device))
        return h

    def walk(self, pixels: torch.Tensor, y: int, x: int, label: torch.Tensor | None) -> GatedWalk:
        """From pixel (y, x) on, given the scaled pixels (B, C, H, W) before it."""
        return GatedWalk(self, pixels, y, x, label if label is None else label.to(self.device))
