"""The guard of an app: whatever strangers send is answered with a sentence, and the log is left for our own faults.

By itself Gradio logs a traceback for each `gr.Error` and for each request that it cannot read. It also fetches any
address that stands where a file should, and takes requests of any length.
"""

import contextlib
import errno
import json
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import gradio as gr
from gradio.utils import safe_aclose_iterator
from gradio_client.utils import is_file_obj_with_meta

from ..shared import mallopt

REFUSAL = "The app cannot use what was sent: send what its page sends, or what its API description asks for."
ADDRESS = "The app fetches no addresses: upload the file itself."
TOO_LONG = "The request is too long: send one file of at most 10 MB at a time."
MAX_FILE = "10mb"
MAX_REQUEST = 12 * 2**20  # bytes of a request: a file of 10 MB and what surrounds it
DEPTH = 100  # lists and objects inside each other; what a page sends has a few
MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.EROFS}  # its faults
QUEUE = {"default_concurrency_limit": 4, "max_size": 64}  # requests of a kind at work; waiting, others refused
# By itself glibc gives threads heaps of their own, 8 a core, and of each keeps up to 64 MB that are free. At import,
# since the heaps of threads that have begun would stay.
mallopt(-8, 1)  # M_ARENA_MAX


def _files(value, depth: int = DEPTH) -> Iterator[dict]:
    """Yield all objects in a visitor's values that name files."""
    if not depth:
        raise gr.Error(REFUSAL)
    if isinstance(value, dict):
        if isinstance(value.get("path"), str):
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from _files(part, depth - 1)


def seal(component: gr.components.Component, change: Callable[[gr.components.Component], None]) -> None:
    """Change the methods of a component, and of what Gradio puts in its place in a visitor's session on an update."""
    change(component)
    component.seals = (*getattr(component, "seals", ()), change)


class _Blocks(dict):
    """The parts of a page by number; one that takes another's place is sealed as that was."""

    def __setitem__(self, key, block):
        for change in getattr(self.get(key), "seals", ()):
            seal(block, change)
        super().__setitem__(key, block)


def _name_refusals(component: gr.components.Component) -> None:
    """Let what a component refuses begin with its label."""
    preprocess = component.preprocess

    def named(value: Any) -> Any:
        try:
            return preprocess(value)
        except gr.Error as refusal:
            raise gr.Error(f"{component.label}: {refusal.message}") from refusal

    component.preprocess = named


def guard(demo: gr.Blocks) -> None:
    """Let a Gradio app refuse with a `gr.Error` whatever cannot be made into a handler's arguments.

    What a component refuses begins with its label. No refusal is logged; all else that is raised is, in full.
    """
    preprocess, process, push = demo.preprocess_data, demo.process_api, demo._queue.push

    async def preprocess_data(block_fn, inputs, *args, **kwargs):
        try:
            files = list(_files(inputs))
            if any(file["path"].lower().startswith(("http:", "https:")) for file in files):
                raise gr.Error(ADDRESS)
            if not all(map(is_file_obj_with_meta, files)):  # Gradio would not check that such a path is an upload
                raise gr.Error(REFUSAL)
            return await preprocess(block_fn, inputs, *args, **kwargs)
        except gr.Error:
            raise
        except Exception as fault:
            cause = fault.__cause__ or fault  # Gradio wraps what a component raises
            if isinstance(cause, MemoryError) or (isinstance(cause, OSError) and cause.errno in MACHINE):
                raise
            raise gr.Error(REFUSAL) from fault

    async def process_api(block_fn, *args, event_data=None, **kwargs):
        try:
            if block_fn.fn is None:  # a listener that only a page can run, as a button that cancels
                raise gr.Error(REFUSAL)
            if event_data is not None and any(True for _ in _files(event_data._data)):  # no event of ours has a file
                raise gr.Error(REFUSAL)
            return await process(block_fn, *args, event_data=event_data, **kwargs)
        except gr.Error as refusal:
            refusal.print_exception = False
            raise

    async def reset_iterators(event_id):
        # Gradio's own would delete it after closing it, and fail where a second request to cancel deletes it meanwhile
        iterator = demo._queue.server_app.iterators.pop(event_id, None)
        if iterator is not None:
            with contextlib.suppress(Exception):  # as it fails, it ends
                await safe_aclose_iterator(iterator)

    async def pushed(body, *args, **kwargs):
        body.session_hash = body.session_hash or None  # of an empty one Gradio would lose the event and log a traceback
        return await push(body, *args, **kwargs)

    demo.preprocess_data, demo.process_api, demo._queue.push = preprocess_data, process_api, pushed
    demo._queue.reset_iterators = reset_iterators
    for block in demo.blocks.values():
        if isinstance(block, gr.components.Component) and getattr(block, "label", None):
            seal(block, _name_refusals)
    demo.default_config.blocks = _Blocks(demo.default_config.blocks)  # each session copies it


class _TooLongError(Exception):
    """Raised where the application reads a request that is longer than MAX_REQUEST."""


class _AddressError(Exception):
    """Raised on a request for a file under an address elsewhere."""


class Civil:
    """ASGI middleware: a request that is too long, or ends in an exception as on unknown names, is refused in words.

    The log keeps a line of it.
    """

    def __init__(self, app: Callable[..., Awaitable]):
        self.app = app

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        length, started = 0, False

        async def counted() -> dict:
            nonlocal length
            message = await receive()
            length += len(message.get("body", b""))
            if length > MAX_REQUEST:
                raise _TooLongError
            return message

        async def watched(message: dict) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            if "=http:" in scope["path"].lower() or "=https:" in scope["path"].lower():  # Gradio would fetch it
                raise _AddressError
            await self.app(scope, counted, watched)
        except (OSError, MemoryError):  # the machine's, not the visitor's
            raise
        except Exception as fault:
            words = {_TooLongError: (413, TOO_LONG), _AddressError: (400, ADDRESS)}
            status, answer = words.get(type(fault), (400, REFUSAL))
            where = f"{scope['method']} {scope['path']}"
            logging.getLogger(__name__).warning("refused %.200r: %.200r", where, fault)
            if not started:
                headers = [(b"content-type", b"application/json")]
                await send({"type": "http.response.start", "status": status, "headers": headers})
            body = b"" if started else json.dumps({"detail": answer}).encode()
            await send({"type": "http.response.body", "body": body})
