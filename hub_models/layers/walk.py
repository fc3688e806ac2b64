"""Through an image sub-pixel by sub-pixel, computing only what can have changed: what cached sampling stands on.

Features are columns: a buffer is (features, B), so that a group is a block of rows and what it may see is all rows up
to its end. Four things make a step cheap, so that a weight is read once a pixel and little else is done:

1. In the step of a channel only the rows of its group are computed, in every layer.
2. What a row gets from the row above is one product a layer for all its pixels, before its first.
3. What a pixel gets from its left neighbour is one batched product of all layers.
4. Buffers are made once; a first row of ones takes the bias into the product.
"""

import torch
from torch import nn
from torch.nn import functional as F

from ..chunks import chunk_slices
from .masked import MaskedConv2d, bounds, groups
from .spatial import lstm_cell


def by_group(features: int, channels: int, chunks: int) -> torch.Tensor:
    """The order that makes the groups of chunked features contiguous: in each group the chunks follow one another."""
    return groups(features, channels, chunks).argsort(stable=True)


def pointwise(conv: MaskedConv2d, channels: int, chunks_in: int = 1, chunks_out: int = 1, bias: bool = True) -> list:
    """The tap of a convolution at its own pixel, one matrix a channel: (rows of its group, columns up to its end).

    With `bias` there is a first column, the bias, for a first row of ones in each chunk of the inputs.
    """
    weight = conv.masked()[:, :, conv.kernel_size[0] // 2, conv.kernel_size[1] // 2].unflatten(1, (chunks_in, -1))
    if bias:
        first = torch.zeros_like(weight[:, :, :1])
        first[:, 0, 0] = conv.bias
        weight = torch.cat([first, weight], 2)  # (outputs, chunks_in, 1 + inputs a chunk)
    ends = bounds(conv.in_channels // chunks_in, channels)[1:]
    rows = groups(conv.out_channels, channels, chunks_out).to(weight.device)
    return [weight[rows == c, :, : end + bias].flatten(1).contiguous() for c, end in enumerate(ends)]


def slices(features: int, channels: int, after: int = 0) -> list[tuple[slice, slice]]:
    """For each channel the rows of its group, and all up to its end, in a buffer with `after` rows before them."""
    edges = bounds(features, channels)
    return [(slice(a + after, b + after), slice(b + after)) for a, b in zip(edges, edges[1:], strict=False)]


def columns(row: torch.Tensor) -> torch.Tensor:
    """(B, features, W) of one row -> (W, features, B)."""
    return row.permute(2, 1, 0)


class Pixels:
    """The pixels so far, scaled, and what a mask-A first convolution has of them."""

    def __init__(self, pixels: torch.Tensor, above: torch.Tensor, beside: MaskedConv2d):
        """Pixels (B, C, H, W); weights (outputs, C, 3, 7) of the rows above; the convolution that has those beside."""
        self.channels = pixels.shape[1]
        self.padded = F.pad(pixels, (3, 3, 3, 0)).permute(2, 3, 1, 0).contiguous()  # (H + 3, W + 6, C, B)
        self.above = above
        weight = beside.masked()[:, :, beside.kernel_size[0] // 2, :4]  # (outputs, C, 4): three to the left, and here
        self.weight = weight.transpose(1, 2).flatten(1)  # (outputs, 4C), in order of generation

    def matrices(self, rows: torch.Tensor) -> list[torch.Tensor]:
        """For each channel the weights of its group, (outputs, 3C + channels before); `rows`: each output's group."""
        rows = rows.to(self.weight.device)
        return [self.weight[rows == c, : 3 * self.channels + c].contiguous() for c in range(self.channels)]

    def begin_row(self, y: int) -> torch.Tensor:
        """From the rows above, without bias: (B, outputs, W)."""
        self.row = self.padded[y + 3].flatten(0, 1)  # ((W + 6) C, B), a view
        return F.conv2d(self.padded[y : y + 3].permute(3, 2, 0, 1), self.above)[:, :, 0]

    def seen(self, x: int, c: int) -> torch.Tensor:
        """Three pixels to the left and the channels before c, (3C + c, B)."""
        return self.row[x * self.channels : (x + 3) * self.channels + c]

    def put(self, x: int, c: int, values: torch.Tensor) -> None:
        """Set a sub-pixel of this row, (B,)."""
        self.row[(x + 3) * self.channels + c] = values


def ones_first(*shape: int, like: torch.Tensor) -> torch.Tensor:
    """Zeros (..., 1 + features, B), but the first row of them is ones; `shape` has the features without it."""
    buffer = like.new_zeros(*shape[:-2], shape[-2] + 1, shape[-1])
    buffer[..., 0, :] = 1
    return buffer


def stacked(convs: list[nn.Module], name: str = "weight") -> torch.Tensor:
    """The weights of one convolution of each layer, masked where it has a mask: (L, *weight)."""
    return torch.stack(
        [c.masked() if isinstance(c, MaskedConv2d) and name == "weight" else getattr(c, name) for c in convs]
    )


class Walk:
    """Over the pixels of a stack in raster order: for each `begin_pixel`, `group` for each channel, `end_pixel`.

    After `group`, `read` (chunks, 1 + features, B) holds what the head reads, up to the end of the channel's group: a
    row of ones, then rectified features. Before the next `group` the pixel's level is put into `pixels`.

    Of a row all pixels keep what the next one sees of them: `kept` (W + 2, L, K, B), zeros at both ends; `over` is that
    of the row above. A subclass sets the weights `above` (L, O, taps * K), `beside` (L, F, O) and `bias` (L, O, 1), and
    `left` (L, F, B), what the next pixel sees of this one.
    """

    taps = 3  # pixels of the row above that are seen by each layer: 3 or 1

    def begin_row(self, y: int) -> None:
        """What all its pixels get from above: `gates` (W, L, O, B)."""
        over = self.over.unfold(0, self.taps, 1) if self.taps == 3 else self.over[1:-1, ..., None]  # (W, L, K, B, taps)
        seen = over.permute(1, 4, 2, 0, 3).reshape(len(self.above), -1, self.width * self.batch)  # (L, taps K, W B)
        gates = self.above @ seen + self.bias  # (L, O, W B)
        self.gates = gates.unflatten(2, (self.width, self.batch)).permute(2, 0, 1, 3).contiguous()

    def begin_pixel(self, x: int) -> None:
        """And from the left: `base` (L, O, B)."""
        self.x = x
        beside = self.left.transpose(1, 2) @ self.beside  # (L, B, O): this way round it is nine times as fast for B = 1
        torch.add(self.gates[x], beside.transpose(1, 2), out=self.base)

    def group(self, c: int) -> None:
        """The features of channel c, through all layers."""
        raise NotImplementedError

    def end_pixel(self) -> None:
        """Keep what is seen of it."""
        raise NotImplementedError

    def end_row(self) -> None:
        """The next row begins with nothing to its left."""
        self.over, self.kept = self.kept, torch.zeros_like(self.kept)
        self.left.zero_()


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
        self.steps = [  # for each channel and layer, where it reads and writes: to slice anew would cost as much again
            [
                (rectified[n, outer[g][0]], down[n][g], rectified[n, outer[g][1]])
                + (self.left[n, inner[g][0]], self.base[n, inner[g][0]], here[n][g], self.left[n, inner[g][1]])
                + (middle[n, shifted[g][0]], up[n][g], middle[n, shifted[g][1]])
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
        for rectified, down, seen, inner, base, here, inners, middle, up, middles in self.steps[c]:
            torch.clamp_min(x, 0, out=rectified)
            torch.mm(down, seen, out=inner).relu_()
            torch.clamp_min(base.addmm_(here, inners), 0, out=middle)
            x.addmm_(up, middles)
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
                (self.base[n, gates[g]], self.here[n][g], self.features[n, outer[g][1]])
                + (self.cell[n, inner[g][0]], self.new_cell[n, inner[g][0]], self.new_hidden[n, inner[g][0]])
                + (inner[g][0], state[n, shifted[g][0]], up[n][g], state[n, shifted[g][1]])
                + (self.features[n, outer[g][0]], self.features[n + 1, outer[g][0]])
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
        for n, (gates, here, seen, old, cell, hidden, rows, state, up, states, x, out) in enumerate(self.steps[c]):
            gates.addmm_(here, seen)
            size = len(cell)
            i, f, o = gates[: 3 * size].sigmoid_().split(size)
            torch.mul(f, old, out=cell).addcmul_(i, gates[3 * size :].tanh_())
            torch.mul(o, cell.tanh(), out=hidden)
            self.hand_up(n, rows, hidden, state)
            torch.addmm(x, up, states, out=out)
        features, read = self.rectify[c]
        torch.clamp_min(features, 0, out=read)

    def hand_up(self, n: int, rows: slice, hidden: torch.Tensor, state: torch.Tensor) -> None:
        """What of the hidden state goes up."""
        state.copy_(hidden)


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

    def hand_up(self, n: int, rows: slice, hidden: torch.Tensor, state: torch.Tensor) -> None:
        torch.add(hidden, self.below[self.x, n, rows], out=state)

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
