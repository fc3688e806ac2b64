"""Cross-entropy over many sub-pixels, whose gradient is made with it: the logits are read once, while a cache has them.

PyTorch's own makes tensors of the size of the logits three times over, in float32; of 256 levels a sub-pixel these are
larger than all that a small net holds besides, and took a third of its training on a CPU. The parts suit its cache; a
GPU, which has none so large and is kept waiting by small parts, gets larger ones.
"""

import torch
from torch.autograd.function import once_differentiable

from ..base import at_least_float32

CHUNK = 2**18  # logits at a time: 1 MiB in float32
GPU_CHUNK = 2**28


class CrossEntropy(torch.autograd.Function):
    """Mean nats of `targets` int64 (N,) under `logits` (N, levels); computed in float32 at least, gradient and all."""

    @staticmethod
    def forward(ctx, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        count, levels = logits.shape
        gradient = torch.empty_like(logits) if ctx.needs_input_grad[0] else None
        total = at_least_float32(logits.new_zeros(()))
        rows = max(1, (CHUNK if logits.device.type == "cpu" else GPU_CHUNK) // levels)
        for begin in range(0, count, rows):
            part = slice(begin, begin + rows)
            target = targets[part, None]
            log_p = at_least_float32(logits[part]).log_softmax(-1)
            total -= log_p.gather(-1, target).sum()
            if gradient is not None:
                p = log_p.exp_()
                gradient[part] = p.scatter_add_(-1, target, p.new_full((), -1).expand(target.shape))
        ctx.save_for_backward(gradient)
        ctx.count = count
        return total / count

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: torch.Tensor) -> tuple[torch.Tensor, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * (grad / ctx.count), None
