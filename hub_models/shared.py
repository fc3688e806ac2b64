"""Settings of a whole process, and contexts that all threads share: for such settings, or a model that several ask."""

import contextlib
import ctypes
import sys
import threading
from collections.abc import Callable, Hashable, Iterator
from typing import Any, TypeVar

import torch

T = TypeVar("T")

_lock = threading.Lock()
_open: dict[Hashable, dict] = {}  # of each shared context that is open: how often, and what was before the first


@contextlib.contextmanager
def shared(key: Hashable, begin: Callable[[], T], end: Callable[[T], None]) -> Iterator[None]:
    """A context that all threads share: `begin` before the first is in, `end` of what it gave when the last is out."""
    with _lock:
        if key not in _open:
            _open[key] = {"contexts": 0, "before": begin()}
        _open[key]["contexts"] += 1
    try:
        yield
    finally:
        with _lock:
            _open[key]["contexts"] -= 1
            if not _open[key]["contexts"]:
                end(_open.pop(key)["before"])


def set_all(settings: list[tuple[Any, str, Any]]) -> None:
    """Set each object's attribute."""
    for owner, name, value in settings:
        setattr(owner, name, value)


def forbid_tf32() -> list[tuple[Any, str, Any]]:
    """Forbid TF32, and bf16 in float32's place, in the whole process, and return what was set.

    In PyTorch's newer way, for the older one raises where others have used this.
    """
    before = []
    backends = torch.backends
    mkldnn = backends.mkldnn
    places = (backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn, mkldnn.matmul, mkldnn.conv, mkldnn.rnn)
    for place in (backends, *places):
        if place.fp32_precision != "ieee":  # what only follows the first is left to follow it
            before.append((place, "fp32_precision", place.fp32_precision))
            place.fp32_precision = "ieee"
    return before


def mallopt(option: int, value: int) -> None:
    """Set an option of glibc's allocator (`man mallopt`, the numbers of malloc.h); under another there is none."""
    if sys.platform == "linux" and hasattr(ctypes.CDLL(None), "mallopt"):
        ctypes.CDLL(None).mallopt(option, value)
