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

from .masked import MaskedConv2d, bounds, groups


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
