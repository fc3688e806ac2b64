"""Watch a long model call from outside: its `progress` callback turned into an iterator that can be given up."""

import queue
import threading
import time
from typing import Callable, Iterator

import torch

Snapshot = tuple[torch.Tensor, int, int]


class _GivenUp(Exception):
    """Raised inside the call when nobody looks at it any more."""


def live(call: Callable[..., torch.Tensor], *args, interval: float = 0.1, **kwargs) -> Iterator[Snapshot]:
    """Run `call(*args, progress=..., **kwargs)` in a thread and yield its images as they come about.

    Closing the iterator (`close()`, a `break`, Gradio's cancel) makes the call's next report raise, so that it ends
    there. However the iterator ends, its thread has ended too.

    Args:
        call: reports by progress(images so far, done, total), as `sample` and `complete` do.
        interval: least number of seconds between two snapshots.

    Yields:
        (images, done, total): a copy of the images so far; last, always, what the call returned with done = total.

    Raises:
        Whatever the call raises.
    """
    snapshots: queue.SimpleQueue[Snapshot | Exception | None] = queue.SimpleQueue()
    given_up = threading.Event()
    total, due = 0, time.monotonic() + interval

    def progress(images: torch.Tensor, done: int, out_of: int) -> None:
        nonlocal total, due
        if given_up.is_set():
            raise _GivenUp
        total = out_of
        if time.monotonic() >= due and snapshots.empty():  # a slow reader misses frames, but never lags behind
            snapshots.put((images.clone(), done, total))
            due = time.monotonic() + interval

    def work() -> None:
        try:
            result = call(*args, progress=progress, **kwargs)
            snapshots.put((result, total, total))
            snapshots.put(None)
        except Exception as error:
            snapshots.put(error)

    thread = threading.Thread(target=work, name="live", daemon=True)
    thread.start()
    try:
        while (item := snapshots.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item
    finally:
        given_up.set()
        thread.join()
