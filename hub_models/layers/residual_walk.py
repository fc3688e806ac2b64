"""The walks of the PixelRNN family through an image: PixelCNN, Row LSTM and Diagonal BiLSTM; see `walk`."""

from typing import NamedTuple

import torch
from torch import nn

from ..chunks import chunk_slices
from .masked import MaskedConv2d, bounds, groups
from .spatial import lstm_cell
from .walk import Pixels, Walk, by_group, columns, ones_first, pointwise, slices, stacked


class ConvolutionStep(NamedTuple):
    """Matrices and views of buffers with which a layer of a PixelCNN computes one channel.

    The views are made once, since to slice again in each step would cost as much as the step. Each matrix is (outputs,
    inputs), what it reads (inputs, B), and what it writes (outputs, B).
    """

    rectified: torch.Tensor  # written: the channel's features after the ReLU, which `narrow_in` reads too
    narrow: torch.Tensor
    narrow_in: torch.Tensor
    narrow_out: torch.Tensor  # which `middle_in` reads too
    base: torch.Tensor  # what `middle` gets from the row above and from the left; its result replaces it
    middle: torch.Tensor
    middle_in: torch.Tensor
    middle_out: torch.Tensor  # which `wide_in` reads too
    wide: torch.Tensor
    wide_in: torch.Tensor


class LSTMStep(NamedTuple):
    """Matrices and views of buffers with which an LSTM layer computes one channel; see `ConvolutionStep`."""

    gates: torch.Tensor  # (4h', B) for h' hidden features of the channel: i, f, o and g, without what `input` adds
    input: torch.Tensor
    input_in: torch.Tensor
    old_cell: torch.Tensor  # read: the cell before this pixel
    cell: torch.Tensor  # written
    hidden: torch.Tensor  # written
    rows: slice  # the channel's rows among all hidden features
    state: torch.Tensor  # written: what goes up from the hidden state, which `up_in` reads too
    up: torch.Tensor
    up_in: torch.Tensor
    features: torch.Tensor  # read: the channel's features before the layer
    out: torch.Tensor  # written: those after it


class ResidualWalk(Walk):
    """Of a PixelRNN: the first convolution, and layers of its kind, from the pixel (y, x) on, given those before it."""

    def __init__(self, model: nn.Module, pixels: torch.Tensor, y: int, x: int):
        self.batch, self.channels, _, self.width = pixels.shape
        self.hidden, self.depth, self.layers = model.config.hidden, model.config.layers, model.layers
        first = model.first
        self.pixels = Pixels(pixels, first.masked()[:, :, :3], first)
        self.first = self.pixels.matrices(groups(2 * self.hidden, self.channels))
        self.first_bias = first.bias[:, None]
        self.chunks = 1 + self.depth if model.config.skip else 1
        self.kept = pixels.new_zeros(self.width + 2, self.depth, self.hidden, self.batch)
        self.over = torch.zeros_like(self.kept)
        self.prepare(pixels)
        if y or x:  # one parallel pass over the rows up to this one; what it finds from x on is not read
            for images in chunk_slices(model, self.batch):
                self.catch_up(first(pixels[images, :, : y + 1]), y, x, images)

    def begin_row(self, y: int) -> None:
        self.entered = columns(self.pixels.begin_row(y)) + self.first_bias  # (W, 2h, B)
        super().begin_row(y)

    def enter(self, c: int) -> torch.Tensor:
        """The features of channel c after the first convolution, (group, B)."""
        rows = slices(2 * self.hidden, self.channels)[c][0]
        return torch.addmm(self.entered[self.x, rows], self.first[c], self.pixels.seen(self.x, c))

    def prepare(self, pixels: torch.Tensor) -> None:
        """Weights and buffers."""
        raise NotImplementedError

    def catch_up(self, features: torch.Tensor, y: int, x: int, images: slice) -> None:
        """Keep what these images of the batch have, given their first features (b, 2h, y + 1, W)."""
        raise NotImplementedError


class ConvolutionWalk(ResidualWalk):
    """Of a PixelCNN: of each pixel is kept, and seen from the right, what the 3x3 convolutions read."""

    def prepare(self, pixels: torch.Tensor) -> None:
        c, h, batch, layers = self.channels, self.hidden, self.batch, self.layers
        weights = stacked([layer.middle for layer in layers])  # (L, h, h, 3, 3)
        self.above = weights[:, :, :, 0].transpose(2, 3).flatten(2)  # (L, h, 3h)
        self.beside = weights[:, :, :, 1, 0].transpose(1, 2).contiguous()
        self.bias = stacked([layer.middle for layer in layers], "bias")[..., None]
        self.left, self.base = pixels.new_zeros(2, self.depth, h, batch)
        rectified = ones_first(self.depth + 1, 2 * h, batch, like=pixels)
        self.read, middle = rectified[-self.chunks :], ones_first(self.depth, h, batch, like=pixels)
        down = [pointwise(layer.narrow, c) for layer in layers]
        here = [pointwise(layer.middle, c, bias=False) for layer in layers]
        up = [pointwise(layer.wide, c) for layer in layers]
        outer, inner, shifted = slices(2 * h, c, 1), slices(h, c), slices(h, c, 1)
        self.steps = [
            [
                ConvolutionStep(
                    rectified=rectified[n, outer[g][0]],
                    narrow=down[n][g],
                    narrow_in=rectified[n, outer[g][1]],
                    narrow_out=self.left[n, inner[g][0]],
                    base=self.base[n, inner[g][0]],
                    middle=here[n][g],
                    middle_in=self.left[n, inner[g][1]],
                    middle_out=middle[n, shifted[g][0]],
                    wide=up[n][g],
                    wide_in=middle[n, shifted[g][1]],
                )
                for n in range(self.depth)
            ]
            for g in range(c)
        ]
        self.last = [rectified[-1, outer[g][0]] for g in range(c)]

    def catch_up(self, features: torch.Tensor, y: int, x: int, images: slice) -> None:
        for n, layer in enumerate(self.layers):
            inner = layer.inner(features)  # (b, h, y + 1, W)
            features = layer.outer(features, inner)
            if y:
                self.over[1:-1, n, :, images] = columns(inner[:, :, y - 1])
            self.kept[1:-1, n, :, images] = columns(inner[:, :, y])
        if x:
            self.left[..., images] = self.kept[x, ..., images]

    def group(self, c: int) -> None:
        x = self.enter(c)
        for step in self.steps[c]:
            torch.clamp_min(x, 0, out=step.rectified)
            torch.mm(step.narrow, step.narrow_in, out=step.narrow_out).relu_()
            torch.clamp_min(step.base.addmm_(step.middle, step.middle_in), 0, out=step.middle_out)
            x.addmm_(step.wide, step.wide_in)
        torch.clamp_min(x, 0, out=self.last[c])

    def end_pixel(self) -> None:
        self.kept[self.x + 1] = self.left


class LSTMWalk(ResidualWalk):
    """Of the LSTMs: gates lie in groups, each with its i, f, o and g; states are computed in their group's step."""

    def prepare(self, pixels: torch.Tensor) -> None:
        c, h, batch, layers = self.channels, self.hidden, self.batch, self.layers
        self.order = by_group(4 * h, c, 4).to(pixels.device)
        self.weigh(pixels)
        self.base = pixels.new_zeros(self.depth, 4 * h, batch)
        self.features = pixels.new_zeros(self.depth + 1, 2 * h, batch)  # before each layer and after the last
        self.cell, self.new_cell, self.new_hidden = pixels.new_zeros(3, self.depth, h, batch)
        self.read = ones_first(self.chunks, 2 * h, batch, like=pixels)
        state = ones_first(self.depth, h, batch, like=pixels)
        up = [pointwise(layer.up, c) for layer in layers]
        outer, inner, shifted = slices(2 * h, c), slices(h, c), slices(h, c, 1)
        edges = [4 * edge for edge in bounds(h, c)]
        gates = [slice(a, b) for a, b in zip(edges, edges[1:], strict=False)]
        self.steps = [
            [
                LSTMStep(
                    gates=self.base[n, gates[g]],
                    input=self.here[n][g],
                    input_in=self.features[n, outer[g][1]],
                    old_cell=self.cell[n, inner[g][0]],
                    cell=self.new_cell[n, inner[g][0]],
                    hidden=self.new_hidden[n, inner[g][0]],
                    rows=inner[g][0],
                    state=state[n, shifted[g][0]],
                    up=up[n][g],
                    up_in=state[n, shifted[g][1]],
                    features=self.features[n, outer[g][0]],
                    out=self.features[n + 1, outer[g][0]],
                )
                for n in range(self.depth)
            ]
            for g in range(c)
        ]
        self.entry = [self.features[0, outer[g][0]] for g in range(c)]
        self.rectify = [
            (self.features[-self.chunks :, o[0]], self.read[:, slice(o[0].start + 1, o[0].stop + 1)]) for o in outer
        ]

    def group(self, c: int) -> None:
        self.entry[c].copy_(self.enter(c))
        for n, step in enumerate(self.steps[c]):
            step.gates.addmm_(step.input, step.input_in)
            size = len(step.cell)
            i, f, o = step.gates[: 3 * size].sigmoid_().split(size)
            torch.mul(f, step.old_cell, out=step.cell).addcmul_(i, step.gates[3 * size :].tanh_())
            torch.mul(o, step.cell.tanh(), out=step.hidden)
            self.hand_up(n, step)
            torch.addmm(step.features, step.up, step.up_in, out=step.out)
        features, read = self.rectify[c]
        torch.clamp_min(features, 0, out=read)

    def hand_up(self, n: int, step: LSTMStep) -> None:
        """Write what goes up from the hidden state of layer n."""
        step.state.copy_(step.hidden)


class RowWalk(LSTMWalk):
    """Of a Row LSTM: of the row above three hidden states are seen and one cell; of the left its features."""

    def weigh(self, pixels: torch.Tensor) -> None:
        """The weights, their gates in order of groups."""
        inputs = [layer.input for layer in self.layers]
        self.above = (
            stacked([layer.state for layer in self.layers])[:, self.order].transpose(2, 3).flatten(2)
        )  # (L, 4h, 3h)
        self.beside = stacked(inputs)[:, self.order, :, 0, 0].transpose(1, 2).contiguous()  # (L, 2h, 4h)
        self.bias = stacked(inputs, "bias")[:, self.order, None]
        self.here = [centre(conv, self.channels) for conv in inputs]
        self.left = pixels.new_zeros(self.depth, 2 * self.hidden, self.batch)
        self.cells, self.old_cells = pixels.new_zeros(2, self.width, self.depth, self.hidden, self.batch)

    def catch_up(self, features: torch.Tensor, y: int, x: int, images: slice) -> None:
        for n, layer in enumerate(self.layers):
            hidden, cell = layer.scan(features)
            if x:
                self.left[n, :, images] = features[:, :, y, x - 1].t()
            features = layer.outer(features, hidden)
            hidden, cell = by_row(hidden), by_row(cell)
            if y:
                self.over[1:-1, n, :, images], self.old_cells[:, n, :, images] = hidden[y - 1], cell[y - 1]
            self.kept[1:-1, n, :, images], self.cells[:, n, :, images] = hidden[y], cell[y]

    def begin_pixel(self, x: int) -> None:
        super().begin_pixel(x)
        self.cell.copy_(self.old_cells[x])

    def end_pixel(self) -> None:
        self.kept[self.x + 1], self.cells[self.x] = self.new_hidden, self.new_cell
        self.left.copy_(self.features[:-1])

    def end_row(self) -> None:
        super().end_row()
        self.cells, self.old_cells = self.old_cells, self.cells


class DiagonalWalk(LSTMWalk):
    """Of a Diagonal BiLSTM: from the left a state a pixel; from the right, all of a row when the row is complete.

    The row that is complete is the one above, and that is the one whose states from the right are seen: those of one
    row wait for nothing but the row's own features, in all layers at once.
    """

    taps = 1

    def weigh(self, pixels: torch.Tensor) -> None:
        """The weights, their gates in order of groups from the left, and as they are from the right."""
        inputs = [layer.input for layer in self.layers]
        weights, biases = (
            stacked(inputs)[..., 0, 0].chunk(2, 1),
            stacked(inputs, "bias").chunk(2, 1),
        )  # (L, 4h, ...) each
        states = stacked([layer.state for layer in self.layers]).chunk(2, 1)  # (L, 4h, h, 2): above, beside
        self.above, beside = states[0][:, self.order].permute(3, 0, 1, 2).contiguous()  # (L, 4h, h) each
        self.beside = beside.transpose(1, 2).contiguous()
        self.bias = biases[0][:, self.order, None]
        self.right_input, self.right_bias = weights[1].contiguous(), biases[1][..., None]
        self.right_above, self.right_beside = states[1].permute(3, 0, 1, 2).contiguous()
        self.here = [centre(conv, self.channels, 2) for conv in inputs]
        self.left = pixels.new_zeros(self.depth, self.hidden, self.batch)
        self.row = pixels.new_zeros(self.width, self.depth, 2 * self.hidden, self.batch)  # features of this row
        self.below = torch.zeros_like(self.kept[2:])  # (W, L, h, B), states from the right of the row above

    def catch_up(self, features: torch.Tensor, y: int, x: int, images: slice) -> None:
        for n, layer in enumerate(self.layers):
            hidden, cell = layer.scan(features)
            self.row[:, n, :, images] = columns(features[:, :, y])
            features = layer.outer(features, hidden)
            (left, right), cell = by_row(hidden), by_row(cell[0])
            if y:
                self.over[1:-1, n, :, images], self.below[:, n, :, images] = left[y - 1], right[y - 1]
            self.kept[1:-1, n, :, images] = left[y]
            if x:
                self.cell[n, :, images] = cell[y, x - 1]
        if x:
            self.left[..., images] = self.kept[x, ..., images]

    def hand_up(self, n: int, step: LSTMStep) -> None:
        torch.add(step.hidden, self.below[self.x, n, step.rows], out=step.state)

    def end_pixel(self) -> None:
        self.kept[self.x + 1], self.row[self.x] = self.new_hidden, self.features[:-1]
        self.left.copy_(self.new_hidden)
        self.cell.copy_(self.new_cell)

    def end_row(self) -> None:
        super().end_row()
        self.cell.zero_()
        across = self.row.permute(1, 2, 0, 3).flatten(2)  # (L, 2h, W B)
        above = self.below.permute(1, 2, 0, 3).flatten(2)  # (L, h, W B): of the row above this one
        gates = self.right_input @ across + self.right_above @ above + self.right_bias
        gates = gates.unflatten(2, (self.width, self.batch)).permute(2, 0, 1, 3)  # (W, L, 4h, B)
        hidden, cell = torch.zeros_like(self.left), torch.zeros_like(self.left)
        for x in reversed(range(self.width)):
            hidden, cell = lstm_cell(gates[x] + self.right_beside @ hidden, cell, 1)
            self.below[x] = hidden


def by_row(states: torch.Tensor) -> torch.Tensor:
    """What a layer's scan gives, (..., B, h, H, W) -> (..., H, W, h, B)."""
    return states.movedim((-2, -1, -3), (-4, -3, -2))


def centre(conv: MaskedConv2d, channels: int, directions: int = 1) -> list[torch.Tensor]:
    """`pointwise` of input-to-state, of the first of the directions: a channel's i, f, o and g, without bias."""
    return [m[: len(m) // directions] for m in pointwise(conv, channels, 1, 4 * directions, bias=False)]
