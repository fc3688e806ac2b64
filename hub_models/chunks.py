"""Large batches in chunks, so that the memory of a call, beyond what it returns, does not grow with the batch.

A model says in `activation_size` how many elements its largest activation has for one item: an image, or a token of a
text. Small chunks are also faster on a CPU, whose cache then holds more of an activation.
"""

from collections.abc import Callable

import torch

from .base import HubModel

CHUNK = 3 * 2**20  # elements of the largest activation at a time: 12 MiB in float32, near the fastest for each model
GPU_CHUNK = 2**26  # a GPU has more memory, and small chunks would leave it waiting for the next kernel


def chunk_size(model: HubModel) -> int:
    """How many items a model evaluates at a time, at least 1."""
    return max(1, (CHUNK if model.device.type == "cpu" else GPU_CHUNK) // model.activation_size)


def chunk_slices(model: HubModel, count: int) -> list[slice]:
    """Slices of a batch of `count` items, each of at most `chunk_size` items."""
    size = chunk_size(model)
    return [slice(start, start + size) for start in range(0, count, size)]


def in_chunks(
    model: HubModel, function: Callable[..., torch.Tensor], items: torch.Tensor, *others: torch.Tensor | None
) -> torch.Tensor:
    """Call a function on a batch, chunk by chunk, and concatenate what it returns.

    Args:
        model: what the function asks, which sets the size of a chunk.
        function: takes a chunk of every batch, and returns a tensor whose first dimension is the chunk's.
        items: a batch of at least one item.
        others: batches of the same length, split likewise, as the labels; None stays None.
    """
    found = [
        function(items[part], *(other if other is None else other[part] for other in others))
        for part in chunk_slices(model, len(items))
    ]
    return found[0] if len(found) == 1 else torch.cat(found)
