"""An LSTM over the pixels of an image, many pixels a step: forward and backward of the Row and the Diagonal LSTM.

What depends on no state is computed for the whole image outside; a step is one product for each neighbour that a state
sees and the gates' non-linearities. The backward pass is written out: one product a step and neighbour, into buffers
made once, and no graph of thousands of small nodes. Pixels lie in the order of the steps, the images innermost, so that
what a step reads and writes are contiguous columns, and nothing outside the image is computed.
"""

from typing import NamedTuple

import torch
from torch.autograd.function import once_differentiable

Columns = tuple[slice, slice]  # of a step's pixels and of their neighbours in the step before


class Step(NamedTuple):
    """One step: its pixels, and for each tap of the state those of them that have this neighbour, and the neighbours.

    `cell` are those of the neighbour whose cell is carried on.
    """

    here: slice
    taps: list[tuple[int, slice, slice]]
    cell: Columns | None


def rows(height: int, width: int, batch: int) -> list[Step]:
    """Row by row, in raster order: a state sees those of the three pixels above, a cell that of the one above."""
    steps = []
    for y in range(height):
        taps = []
        for tap, dx in enumerate((-1, 0, 1)):
            first, last = max(0, -dx), min(width, width - dx)
            if y and first < last:
                at = y * width
                taps.append((tap, slice(at + first, at + last), slice(at - width + first + dx, at - width + last + dx)))
        steps.append((slice(y * width, (y + 1) * width), taps, 1))
    return [_columns(*step, batch) for step in steps]


def diagonals(height: int, width: int, batch: int) -> list[Step]:
    """Diagonal by diagonal, from the top down on each: a state sees those above and to the left, a cell the latter."""
    steps, at, before = [], 0, None
    for diagonal in range(height + width - 1):
        top, bottom = max(0, diagonal - width + 1), min(height, diagonal + 1)
        taps = []
        for tap, dy in enumerate((1, 0)):
            if before:
                last_at, last_top, last_bottom = before
                first, last = max(top, last_top + dy), min(bottom, last_bottom + dy)
                if first < last:
                    to, of = at - top, last_at - last_top - dy
                    taps.append((tap, slice(to + first, to + last), slice(of + first, of + last)))
        steps.append((slice(at, at + bottom - top), taps, 1))
        before = (at, top, bottom)
        at += bottom - top
    return [_columns(*step, batch) for step in steps]


def _columns(here: slice, taps: list[tuple[int, slice, slice]], cell: int, batch: int) -> Step:
    """A step whose pixels become columns, one for each image; `cell` is the tap whose cell is carried on."""

    def wide(pixels: slice) -> slice:
        return slice(pixels.start * batch, pixels.stop * batch)

    taps = [(tap, wide(to), wide(of)) for tap, to, of in taps]
    return Step(wide(here), taps, next(((to, of) for tap, to, of in taps if tap == cell), None))


def diagonal_order(height: int, width: int) -> torch.Tensor:
    """int64 (H*W,): the raster places of the pixels, diagonal by diagonal, from the top down on each."""
    place = torch.arange(height * width)
    y, x = place // width, place % width
    return ((y + x) * height + y).argsort()


def columns(x: torch.Tensor) -> torch.Tensor:
    """(B, C, H, W) -> (C, H*W*B): a column a pixel and image, the images of a pixel beside each other."""
    return x.flatten(1).t().reshape(x.shape[1], -1)


def images(columns: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """(C, H*W*B) -> (B, C, H, W)."""
    return columns.reshape(len(columns) * height * width, -1).t().unflatten(1, (-1, height, width))


def reordered(columns: torch.Tensor, orders: torch.Tensor | None) -> torch.Tensor:
    """A copy of (G, C, N) with the pixels of each in its order, (G, P)."""
    if orders is None:
        return columns.clone()
    pixels = columns.unflatten(2, (orders.shape[1], -1))
    return torch.stack([one.index_select(1, order) for one, order in zip(pixels, orders, strict=True)]).flatten(2)


class Scan(torch.autograd.Function):
    """The states of LSTMs, G side by side, that go through the pixels by the same steps.

    Arguments: gates i, f, o, g before their non-linearity and without what states add, (G, 4h, N), a column a pixel and
    image; weights (taps, G, 4h, h); the steps; and, if the steps are not in raster order, the order of the pixels for
    each, int64 (G, P). Returns hidden states and cells, (G, h, N) each, pixels in raster order; there is no gradient
    through the cells that are returned.
    """

    @staticmethod
    def forward(
        ctx, gates: torch.Tensor, weight: torch.Tensor, steps: list[Step], orders: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        size = gates.shape[1] // 4
        weight = weight.contiguous()  # or products in bf16 are 30 times slower on a CPU
        gates = reordered(gates, orders)
        hidden, cell = torch.empty_like(gates[:, :size]), torch.empty_like(gates[:, :size])
        with torch.autocast(gates.device.type, enabled=False):
            for here, taps, kept in steps:
                for tap, to, of in taps:
                    gates[:, :, to].baddbmm_(weight[tap], hidden[:, :, of])
                gates[:, : 3 * size, here].sigmoid_()
                gates[:, 3 * size :, here].tanh_()
                i, _, o, g = gates[:, :, here].chunk(4, 1)
                new = torch.mul(i, g, out=cell[:, :, here])
                if kept:
                    to, of = kept
                    cell[:, :, to].addcmul_(gates[:, size : 2 * size, to], cell[:, :, of])
                torch.mul(o, new.tanh(), out=hidden[:, :, here])
        ctx.save_for_backward(gates, weight, hidden, cell)
        ctx.steps, ctx.orders, ctx.back = steps, orders, None if orders is None else orders.argsort()
        hidden, cell = reordered(hidden, ctx.back), reordered(cell, ctx.back)
        ctx.mark_non_differentiable(cell)
        return hidden, cell

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: torch.Tensor, _) -> tuple[torch.Tensor, torch.Tensor, None, None]:
        gates, weight, hidden, cell = ctx.saved_tensors
        size = hidden.shape[1]
        grad_hidden = reordered(grad, ctx.orders)
        grad_gates, grad_cell = torch.zeros_like(gates), torch.zeros_like(cell)
        grad_weight, back = torch.zeros_like(weight), weight.transpose(2, 3)
        sigmoid_back, tanh_back = torch.ops.aten.sigmoid_backward, torch.ops.aten.tanh_backward
        with torch.autocast(grad.device.type, enabled=False):
            for here, taps, kept in reversed(ctx.steps):
                i, _, o, g = gates[:, :, here].chunk(4, 1)
                grad_i, _, grad_o, grad_g = grad_gates[:, :, here].chunk(4, 1)
                squashed, from_above, carried = cell[:, :, here].tanh(), grad_hidden[:, :, here], grad_cell[:, :, here]
                torch.mul(from_above, squashed, out=grad_o)
                carried += tanh_back(from_above * o, squashed)
                torch.mul(carried, g, out=grad_i)
                torch.mul(carried, i, out=grad_g)
                if kept:
                    to, of = kept
                    torch.mul(grad_cell[:, :, to], cell[:, :, of], out=grad_gates[:, size : 2 * size, to])
                    torch.mul(grad_cell[:, :, to], gates[:, size : 2 * size, to], out=grad_cell[:, :, of])
                squashing = grad_gates[:, : 3 * size, here]
                sigmoid_back.grad_input(squashing, gates[:, : 3 * size, here], grad_input=squashing)
                tanh_back.grad_input(grad_g, g, grad_input=grad_g)
                for tap, to, of in taps:
                    grad_hidden[:, :, of].baddbmm_(back[tap], grad_gates[:, :, to])
                    grad_weight[tap].baddbmm_(grad_gates[:, :, to], hidden[:, :, of].transpose(1, 2))
        return reordered(grad_gates, ctx.back), grad_weight, None, None
