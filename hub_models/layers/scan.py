"""An LSTM over the pixels of an image, many pixels a step: forward and backward of the Row and the Diagonal LSTM.

What depends on no state is computed for the whole image outside; a step is one product for each neighbour that a state
sees and the gates' non-linearities. The backward pass is written out: two products a step and neighbour, into buffers
made once, and no graph of thousands of small nodes. Pixels lie in the order of the steps, the images of a pixel beside
each other and the features innermost: what a step reads and writes are contiguous rows, one a pixel and image, and
nothing outside the image is computed.
"""

from typing import NamedTuple

import torch
from torch.autograd.function import once_differentiable

Slices = tuple[slice, slice]  # of a step's pixels and of their neighbours in the step before


class Step(NamedTuple):
    """One step: its pixels, and for each tap of the state those of them that have this neighbour, and the neighbours.

    `cell` are those of the neighbour whose cell is carried on.
    """

    here: slice
    taps: list[tuple[int, slice, slice]]
    cell: Slices | None


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
    return [_widened(*step, batch) for step in steps]


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
    return [_widened(*step, batch) for step in steps]


def _widened(here: slice, taps: list[tuple[int, slice, slice]], cell: int, batch: int) -> Step:
    """A step whose pixels become rows, one for each image; `cell` is the tap whose cell is carried on."""

    def wide(pixels: slice) -> slice:
        return slice(pixels.start * batch, pixels.stop * batch)

    taps = [(tap, wide(to), wide(of)) for tap, to, of in taps]
    return Step(wide(here), taps, next(((to, of) for tap, to, of in taps if tap == cell), None))


def diagonal_order(height: int, width: int) -> torch.Tensor:
    """int64 (H*W,): the raster places of the pixels, diagonal by diagonal, from the top down on each."""
    place = torch.arange(height * width)
    y, x = place // width, place % width
    return ((y + x) * height + y).argsort()


def by_pixel(x: torch.Tensor) -> torch.Tensor:
    """(..., B, C, H, W) -> (..., H, W, B, C), a view: the order of the rows of a scan."""
    return x.movedim((-2, -1), (-4, -3))


def by_image(x: torch.Tensor) -> torch.Tensor:
    """(..., H, W, B, C) -> (..., B, C, H, W), a view."""
    return x.movedim((-4, -3), (-2, -1))


class Reordered(torch.autograd.Function):
    """A copy of pixels (G or 1, P, F), of each of G in its own order, int64 (G, P), a permutation."""

    @staticmethod
    def forward(ctx, pixels: torch.Tensor, orders: torch.Tensor) -> torch.Tensor:
        ctx.orders, ctx.shared = orders, len(pixels) < len(orders)
        out = pixels.new_empty(len(orders), *pixels.shape[1:])
        for one, order, to in zip(pixels.expand_as(out), orders, out, strict=True):
            torch.index_select(one, 0, order, out=to)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: torch.Tensor) -> tuple[torch.Tensor, None]:
        back = Reordered.apply(grad, ctx.orders.argsort())
        return back.sum(0, keepdim=True) if ctx.shared else back, None


class Scan(torch.autograd.Function):
    """The states of LSTMs, G side by side, that go through the pixels by the same steps.

    Arguments: gates i, f, o, g before their non-linearity and without what states add, (G, N, 4h), a row a pixel and
    image in the order of the steps; weights (taps, G, 4h, h); the steps. Returns hidden states and cells, (G, N, h)
    each; there is no gradient through the cells that are returned.
    """

    @staticmethod
    def forward(ctx, gates: torch.Tensor, weight: torch.Tensor, steps: list[Step]) -> tuple[torch.Tensor, torch.Tensor]:
        size = gates.shape[2] // 4
        weight = weight.contiguous()  # or products in bf16 are 30 times slower on a CPU
        turned = weight.transpose(2, 3).contiguous()
        gates = gates.clone()
        hidden, cell = torch.empty_like(gates[..., :size]), torch.empty_like(gates[..., :size])
        with torch.autocast(gates.device.type, enabled=False):
            for here, taps, kept in steps:
                for tap, to, of in taps:
                    gates[:, to].baddbmm_(hidden[:, of], turned[tap])
                gates[:, here, : 3 * size].sigmoid_()
                gates[:, here, 3 * size :].tanh_()
                i, _, o, g = gates[:, here].chunk(4, 2)
                new = torch.mul(i, g, out=cell[:, here])
                if kept:
                    to, of = kept
                    cell[:, to].addcmul_(gates[:, to, size : 2 * size], cell[:, of])
                torch.mul(o, new.tanh(), out=hidden[:, here])
        ctx.save_for_backward(gates, weight, hidden, cell)
        ctx.steps = steps
        ctx.mark_non_differentiable(cell)
        return hidden, cell

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: torch.Tensor, _) -> tuple[torch.Tensor, torch.Tensor, None]:
        gates, weight, hidden, cell = ctx.saved_tensors
        size = hidden.shape[2]
        grad_hidden, grad_cell = grad.clone(memory_format=torch.contiguous_format), torch.zeros_like(cell)
        grad_gates = torch.zeros_like(gates)
        grad_turned = weight.new_zeros(weight.transpose(2, 3).shape)  # (taps, G, h, 4h)
        sigmoid_back, tanh_back = torch.ops.aten.sigmoid_backward, torch.ops.aten.tanh_backward
        with torch.autocast(grad.device.type, enabled=False):
            for here, taps, kept in reversed(ctx.steps):
                i, _, o, g = gates[:, here].chunk(4, 2)
                grad_i, _, grad_o, grad_g = grad_gates[:, here].chunk(4, 2)
                squashed, from_above, carried = cell[:, here].tanh(), grad_hidden[:, here], grad_cell[:, here]
                torch.mul(from_above, squashed, out=grad_o)
                carried += tanh_back(from_above * o, squashed)
                torch.mul(carried, g, out=grad_i)
                torch.mul(carried, i, out=grad_g)
                if kept:
                    to, of = kept
                    torch.mul(grad_cell[:, to], cell[:, of], out=grad_gates[:, to, size : 2 * size])
                    torch.mul(grad_cell[:, to], gates[:, to, size : 2 * size], out=grad_cell[:, of])
                squashing = grad_gates[:, here, : 3 * size]
                sigmoid_back.grad_input(squashing, gates[:, here, : 3 * size], grad_input=squashing)
                tanh_back.grad_input(grad_g, g, grad_input=grad_g)
                for tap, to, of in taps:
                    grad_hidden[:, of].baddbmm_(grad_gates[:, to], weight[tap])
                    grad_turned[tap].baddbmm_(hidden[:, of].transpose(1, 2), grad_gates[:, to])
        return grad_gates, grad_turned.transpose(2, 3), None
