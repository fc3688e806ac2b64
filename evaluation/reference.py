"""The plain, slow way of each fast thing: the oracle of the tests and the yardstick of `evaluation.speed`."""

import contextlib
from collections.abc import Iterator

import torch

from hub_models import AutoregressiveImageModel


@contextlib.contextmanager
def plain_sampling(model: AutoregressiveImageModel) -> Iterator[None]:
    """A context in which `sample` and `complete` evaluate the whole model anew for every sub-pixel."""

    def stream(levels: torch.Tensor, start: int, label: torch.Tensor | None) -> Iterator[torch.Tensor]:
        channels, _, width = model.shape
        for i in range(start, levels[0].numel()):
            y, x, c = i // (width * channels), i // channels % width, i % channels
            levels[:, c, y, x] = yield model.logits(model.to_bytes(levels), label)[:, c, y, x]

    model._stream = stream  # shadows the class's own
    try:
        yield
    finally:
        del model._stream
