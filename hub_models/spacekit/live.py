"""Watch a long model call from outside: its `progress` callback turned into an iterator that can be given up."""

import queue
import threading
from collections.abc import Callable, Iterator

import torch

Snapshot = tuple[torch.Tensor, int, int]


class _GivenUpError(Exception):
    """Raised inside the call when nobody looks at it any more."""


def live(call: Callable[..., torch.Tensor], *args, every: int = 1, **kwargs) -> Iterator[Snapshot]:
    """Run `call(*args, progress=..., **kwargs)` in a thread and yield its images as they come about.

    The call is never more than one snapshot ahead of its reader. Closing the iterator (`close()`, Gradio's cancel)
    makes the call's next report raise, so that it ends there. However the iterator ends, its thread has ended too.

    Args:
        call: reports by progress(images so far, done, total) after each step, as `sample` and `complete` do.
        every: steps from one snapshot to the next.

    Yields:
        (images, done, total): a copy of the images so far; last, always, what the call returned with done = total.

    Raises:
        Whatever the call raises.
    """
    snapshots: queue.SimpleQueue[Snapshot | BaseException | None] = queue.SimpleQueue()
    ahead = threading.Semaphore(1)  # snapshots that may still be taken before the reader has come for the last one
    given_up = threading.Event()
    total = 0

    def progress(images: torch.Tensor, done: int, out_of: int) -> None:
        nonlocal total
        total = out_of
        due = done % every == 0 and done < total
        if due:
            ahead.acquire()
        if given_up.is_set():
            raise _GivenUpError
        if due:
            snapshots.put((images.clone(), done, total))

    def work() -> None:
        try:
            snapshots.put((call(*args, progress=progress, **kwargs), total, total))
            snapshots.put(None)
        except _GivenUpError:  # put where nobody reads, it would keep the call's memory until the next collection
            pass
        except BaseException as error:  # whatever it is, the reader waits for it
            snapshots.put(error)

    thread = threading.Thread(target=work, name="live", daemon=True)
    thread.start()
    try:
        while (item := snapshots.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            ahead.release()
            yield item
    finally:
        given_up.set()
        ahead.release()
        thread.join()
