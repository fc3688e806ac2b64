"""What a Space needs before strangers: nonsense is answered with a sentence, and the log left for its own faults.

By itself Gradio logs a traceback for each `gr.Error` and for each request that it cannot read, fetches any address that
stands where a file should, takes requests of any length, and keeps for good what it shows. `error` is always gr.Error:
this package does not import Gradio.
"""

import contextlib
import io
import json
import logging
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from .environment import prepare_console, without_proxies
from .images import MAX_SIDE
from .shared import mallopt

REFUSAL = "The app cannot use what was sent: send what its page sends, or what its API description asks for."
ADDRESS = "The app fetches no addresses: upload the file itself."
TOO_LONG = "The request is too long: send one file of at most 10 MB at a time."
MAX_REQUEST = 12 * 2**20  # bytes of a request: a file of 10 MB and what surrounds it
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")  # Pillow has more readers: none of a visitor's business
QUEUE = {"default_concurrency_limit": 4, "max_size": 64}  # requests of a kind at work; waiting, others refused
DRAWINGS, LAYERS, MAX_LAYER = 128, 4, 2**18  # of what pages send ahead: drawings, layers of one, bytes of one
VISITORS = 200  # whose last reading or picture is kept; Gradio holds a copy of the page for each, 0.6 MB of all tabs
KEPT = 3600  # seconds that a shown picture can still be fetched
_until: dict[str, float] = {}  # path of a kept picture -> when it may go
_keeping = threading.Lock()
_decoding = threading.Lock()  # one upload at a time: the largest takes half a second and a gigabyte
# By itself glibc gives threads heaps of their own, 8 a core, and of each keeps up to 64 MB that are free. At import,
# since the heaps of threads that have begun would stay.
mallopt(-8, 1)  # M_ARENA_MAX


@contextlib.contextmanager
def worded(error: type[Exception]) -> Iterator[None]:
    """A context in which our models' ValueErrors, sentences all, become a visitor's errors."""
    try:
        yield
    except ValueError as fault:
        raise error(f"{str(fault)[0].upper()}{str(fault)[1:]}.") from fault


@contextlib.contextmanager
def opened(source: str | io.BytesIO, error: type[Exception], most: int = MAX_SIDE) -> Iterator[Image.Image]:
    """A picture file, of at most so many pixels a side, for as long as it is being read."""
    try:
        with Image.open(source, formats=FORMATS) as picture:
            if max(picture.size) > most:
                raise Image.DecompressionBombError
            yield picture
    except error:  # gr.Error is a ValueError
        raise
    except Image.DecompressionBombError as fault:
        raise error(f"The picture is too large: give one of at most {most} pixels a side.") from fault
    except FileNotFoundError as fault:  # Gradio keeps uploads for an hour
        raise error("The picture is no longer kept: upload it again.") from fault
    except (OSError, SyntaxError, ValueError) as fault:  # what Pillow raises on damaged files
        raise error(
            "The picture is damaged or of an unknown kind: give a PNG, JPEG, WebP, GIF, BMP or TIFF."
        ) from fault


def read_picture(
    path: str | Path | None, prepare: Callable[[Image.Image], torch.Tensor], error: type[Exception]
) -> torch.Tensor:
    """What `prepare` makes of an uploaded picture."""
    if path is None:
        raise error("There is no picture: upload one.")
    with _decoding, opened(path, error) as picture, worded(error):
        return prepare(picture)


def pick(examples: Sequence, index: float, error: type[Exception]):
    """The example of that index, which is a visitor's."""
    if index not in range(len(examples)):
        raise error(f"There are {len(examples)} examples: choose one of 0 to {len(examples) - 1}.")
    return examples[int(index)]


def integer(value: float, low: int, high: int, what: str, error: type[Exception]) -> int:
    """A visitor's whole number in low..high; what it is of begins the sentence that refuses another."""
    if not (isinstance(value, (int, float)) and low <= value <= high and value == int(value)):
        raise error(f"{what} must be a whole number from {low} to {high}.")
    return int(value)


def number(value: float, low: float, high: float, what: str, error: type[Exception]) -> float:
    """A visitor's number in low..high."""
    if not (isinstance(value, (int, float)) and low <= value <= high):  # NaN is not either
        raise error(f"{what} must be a number from {low} to {high}.")
    return float(value)


def brushed(editor: dict, height: int, width: int, error: type[Exception]) -> torch.Tensor:
    """The value of a gr.ImageEditor, its picture an enlarged image -> bool (1, 1, height, width).

    True are the image's pixels of which at least half is under the brush.
    """
    columns, rows = editor["background"].size
    covered = np.zeros((rows, columns), dtype=bool)
    for layer in editor["layers"]:
        if layer.size != (columns, rows):
            raise error("The layer that is rubbed out must be as large as the picture.")
        covered |= np.asarray(layer.getchannel("A")) > 0
    squares = covered.reshape(height, rows // height, width, columns // width)
    return torch.from_numpy(squares.mean((1, 3)) >= 0.5)[None, None]


class _Latest(dict):
    """The drawings that pages have sent ahead; Gradio itself would keep for ever those that no handler asks for."""

    def __setitem__(self, key, value):
        self.pop(key, None)  # or one sent again would stay where the first was, and be taken for old
        super().__setitem__(key, value)
        while len(self) > DRAWINGS:
            self.pop(next(iter(self)), None)


def seal(editor, error: type[Exception], http_error: type[Exception], most: int) -> None:
    """Let a gr.ImageEditor refuse in words what only a program sends: drawings that are damaged, or too large.

    Args:
        editor: the widget, without uploads of its own.
        error: gr.Error.
        http_error: fastapi.HTTPException.
        most: pixels a side.
    """
    convert, accept, preprocess = editor.convert_and_format_image, editor.accept_blobs, editor.preprocess

    def checked(file, **how):
        if file is None:
            return None
        with opened(io.BytesIO(file) if isinstance(file, bytes) else file.path, error, most):
            return convert(file, **how)

    def accepted(data) -> None:
        index, (_, part) = data.data.get("index", "null"), data.files[0]
        if index not in ("", "null", *map(str, range(LAYERS))) or len(part) > MAX_LAYER:
            raise http_error(413, f"The drawing is too large: {LAYERS} layers of {MAX_LAYER} bytes are the most.")
        accept(data)

    def counted(payload):  # before a layer of few bytes becomes one of megabytes
        if payload is not None and len(payload.layers) > LAYERS:
            raise error(f"A drawing has at most {LAYERS} layers: merge some.")
        return preprocess(payload)

    accepted._is_server_fn = True  # Gradio's mark on what a page may call
    # not a subclass: Gradio would write a .pyi beside its file
    editor.convert_and_format_image, editor.accept_blobs, editor.blob_storage = checked, accepted, _Latest()
    editor.preprocess = counted


def kept(picture: Image.Image, cache: Callable[[Path], str], seconds: float = KEPT) -> str:
    """Path of the picture as a PNG where Gradio's `cache` puts it, and where it stays at least so long.

    A picture that a handler returns as such is written anew each time, though an equal one may be on its way to a
    browser, which then gets half a file; one that is returned as a path is not, but Gradio does not delete it either.
    """
    with _keeping, tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "image.png")
        picture.save(path)
        shown, now = cache(path), time.monotonic()
        _until[shown] = max(_until.get(shown, 0), now + seconds)
        for old in [old for old, until in _until.items() if until < now]:
            del _until[old]
            Path(old).unlink(missing_ok=True)
    return shown


def _paths(value) -> Iterator[str]:
    """All that a visitor's values name as files."""
    if isinstance(value, dict):
        if isinstance(value.get("path"), str):
            yield value["path"]
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from _paths(part)


def launch(demo, middleware: Callable) -> None:
    """Launch a guarded Gradio app with the rest of its limits; `middleware` is starlette's class of that name."""
    prepare_console()
    with without_proxies():
        demo.launch(
            prevent_thread_lock=True,
            max_file_size="10mb",
            state_session_capacity=VISITORS,
            app_kwargs={"middleware": [middleware(Civil)]},
        )
    demo.block_thread()  # with the proxies again, for the Hub


def guard(demo, error: type[Exception]) -> None:
    """Let a Gradio app refuse with `error`, its gr.Error, whatever cannot be made into a handler's arguments.

    No refusal is logged; what a handler raises besides still is, in full.
    """
    preprocess, process, push = demo.preprocess_data, demo.process_api, demo._queue.push

    async def preprocess_data(block_fn, inputs, *args, **kwargs):
        try:
            if any(path.startswith(("http:", "https:")) for path in _paths(inputs)):
                raise error(ADDRESS)
            return await preprocess(block_fn, inputs, *args, **kwargs)
        except error:
            raise
        except Exception as fault:
            raise error(REFUSAL) from fault

    async def process_api(block_fn, *args, event_data=None, **kwargs):
        try:
            if block_fn.fn is None:  # a listener that only a page can run, as a button that cancels
                raise error(REFUSAL)
            if event_data is not None and any(True for _ in _paths(event_data._data)):  # no event of ours has a file
                raise error(REFUSAL)
            return await process(block_fn, *args, event_data=event_data, **kwargs)
        except error as refusal:
            refusal.print_exception = False
            raise

    async def pushed(body, *args, **kwargs):
        body.session_hash = body.session_hash or None  # of an empty one Gradio would lose the event and log a traceback
        return await push(body, *args, **kwargs)

    demo.preprocess_data, demo.process_api, demo._queue.push = preprocess_data, process_api, pushed


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
            status, told = words.get(type(fault), (400, REFUSAL))
            where = f"{scope['method']} {scope['path']}"
            logging.getLogger(__name__).warning("refused %.200r: %.200r", where, fault)
            if not started:
                headers = [(b"content-type", b"application/json")]
                await send({"type": "http.response.start", "status": status, "headers": headers})
            body = b"" if started else json.dumps({"detail": told}).encode()
            await send({"type": "http.response.body", "body": body})
