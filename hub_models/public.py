"""What a Space needs before strangers: nonsense is answered with a sentence, and the log left for its own faults.

By itself Gradio logs a traceback for each `gr.Error` and for each request that it cannot read, fetches any address that
stands where a file should, and takes requests of any length.
"""

import json
import logging
from collections.abc import Awaitable, Callable

REFUSAL = "The app cannot use what was sent: send what its page sends, or what its API description asks for."
ADDRESS = "The app fetches no addresses: upload the file itself."
TOO_LONG = "The request is too long: send one file of at most 10 MB at a time."
MOST = 12 * 2**20  # bytes of a request: a file of 10 MB and what surrounds it


def _has_address(value) -> bool:
    """Whether a visitor's values name a file by its address."""
    if isinstance(value, dict):
        path = value.get("path")
        return isinstance(path, str) and path.startswith(("http:", "https:")) or any(map(_has_address, value.values()))
    return isinstance(value, list) and any(map(_has_address, value))


def guard(demo, error: type[Exception]) -> None:
    """Let a Gradio app refuse with `error`, its gr.Error, whatever cannot be made into a handler's arguments.

    No refusal is logged; what a handler raises besides still is, in full.
    """
    preprocess, process = demo.preprocess_data, demo.process_api

    async def preprocess_data(block_fn, inputs, *args, **kwargs):
        try:
            if _has_address(inputs):
                raise error(ADDRESS)
            return await preprocess(block_fn, inputs, *args, **kwargs)
        except error:
            raise
        except Exception as fault:
            raise error(REFUSAL) from fault

    async def process_api(block_fn, *args, **kwargs):
        try:
            if block_fn.fn is None:  # a listener that only a page can run, as a button that cancels
                raise error(REFUSAL)
            return await process(block_fn, *args, **kwargs)
        except error as refusal:
            refusal.print_exception = False
            raise

    demo.preprocess_data, demo.process_api = preprocess_data, process_api


class _TooLongError(Exception):
    """Raised where the application reads a request that is longer than MOST."""


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
            if length > MOST:
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
            status, told = words.get(type(fault), (400, REFUSAL))
            where = f"{scope['method']} {scope['path']}"
            logging.getLogger(__name__).warning("refused %.200r: %.200r", where, fault)
            if not started:
                headers = [(b"content-type", b"application/json")]
                await send({"type": "http.response.start", "status": status, "headers": headers})
            body = b"" if started else json.dumps({"detail": told}).encode()
            await send({"type": "http.response.body", "body": body})
