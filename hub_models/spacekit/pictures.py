"""Pictures that visitors send, and pictures that they are shown."""

import contextlib
import functools
import io
import math
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import gradio as gr
import numpy as np
import torch
from fastapi import HTTPException
from gradio.processing_utils import save_file_to_cache
from gradio.utils import get_upload_folder
from PIL import Image

from ..images import MAX_SIDE, middle, to_grey, to_picture, to_sheet, upright
from .checks import worded
from .guard import seal

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")  # Pillow has more readers: none of a visitor's business
DRAWINGS, LAYERS, MAX_LAYER = 128, 4, 2**18  # of what pages send ahead: drawings, layers of one, bytes of one
KEPT = 3600  # seconds that a shown picture can still be fetched
SIDE = 256  # screen pixels of an image, at most
_until: dict[str, float] = {}  # path of a kept picture -> when it may go
_keeping = threading.Lock()
_decoding = threading.Lock()  # one upload at a time: the largest takes half a second and a gigabyte


@contextlib.contextmanager
def opened(source: str | Path | io.BytesIO, most: int = MAX_SIDE, what: str = "picture") -> Iterator[Image.Image]:
    """Open a picture file of at most `most` pixels a side, for as long as it is read; refusals name it by `what`."""
    try:
        with Image.open(source, formats=FORMATS) as picture:
            if max(picture.size) > most:
                raise Image.DecompressionBombError
            yield picture
    except gr.Error:  # it is a ValueError
        raise
    except Image.DecompressionBombError as fault:
        raise gr.Error(f"The {what} is too large: give one of at most {most} pixels a side.") from fault
    except FileNotFoundError as fault:  # Gradio keeps uploads for an hour
        raise gr.Error(f"The {what} is no longer kept: upload it again.") from fault
    except (OSError, SyntaxError, ValueError) as fault:  # what Pillow raises on damaged files
        raise gr.Error(
            f"The {what} is damaged or of an unknown kind: give a PNG, JPEG, WebP, GIF, BMP or TIFF."
        ) from fault


def as_path(widget: gr.Image | gr.UploadButton) -> None:
    """Let a widget for a visitor's file give its path: `read_picture` opens it, with fewer readers and in our words."""

    def give_path(widget: gr.Image | gr.UploadButton) -> None:
        widget.preprocess = lambda file: file and file.path

    seal(widget, give_path)


def read_picture(path: str | Path | None, prepare: Callable[[Image.Image], torch.Tensor]) -> torch.Tensor:
    """Return what `prepare` makes of an uploaded picture."""
    if path is None:
        raise gr.Error("There is no picture: upload one.")
    with _decoding, opened(path) as picture, worded():
        return prepare(picture)


def read_mask(path: str | Path | None, height: int, width: int, photo: str | Path | None = None) -> torch.Tensor:
    """Return the pixels that are missing by a mask file, as bool (1, 1, height, width).

    The mask may have any size: it is scaled by nearest neighbour. True are its white pixels; transparent ones are not
    white. If it is as large as the picture at `photo`, only its middle counts, which `to_photo` cuts out of that.
    """
    if path is None:
        raise gr.Error("There is no mask: give a picture file, white where pixels are missing.")
    size = None
    if photo is not None:
        with _decoding, opened(photo) as picture, worded():
            size = upright(picture).size
    with _decoding, opened(path, what="mask") as picture, worded():
        if "A" in picture.getbands() or "transparency" in picture.info:
            layer = picture.convert("RGBA")
            picture = Image.alpha_composite(Image.new("RGBA", layer.size, "black"), layer)
        whole = Image.fromarray(to_grey(picture))
        box = middle(whole, height, width) if whole.size == size else None
        small = whole.resize((width, height), Image.Resampling.NEAREST, box)
    missing = torch.from_numpy(np.array(small) > 0.5)[None, None]
    if not missing.any():
        raise gr.Error("The mask has no white pixels: make white what is missing.")
    return missing


def brushed(editor: dict, height: int, width: int) -> torch.Tensor:
    """Return the pixels that are brushed over in the value of a canvas, as bool (1, 1, height, width).

    True are the image's pixels of which at least half is under the brush.
    """
    columns, rows = editor["background"].size
    covered = np.zeros((rows, columns), dtype=bool)
    for layer in editor["layers"]:
        if layer.size != (columns, rows):
            raise gr.Error("The layer that is rubbed out must be as large as the picture.")
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


def _check(editor: gr.ImageEditor, most: int, drawings: _Latest) -> None:
    """Let a canvas refuse in words what only a program sends: drawings that are damaged, or larger than `most`."""
    convert, accept, preprocess = editor.convert_and_format_image, editor.accept_blobs, editor.preprocess

    def checked(file, **how):
        if file is None:
            return None
        with opened(io.BytesIO(file) if isinstance(file, bytes) else file.path, most):
            return convert(file, **how)

    def accepted(data) -> None:
        index, (_, part) = data.data.get("index", "null"), data.files[0]
        if index not in ("", "null", *map(str, range(LAYERS))) or len(part) > MAX_LAYER:
            raise HTTPException(413, f"The drawing is too large: {LAYERS} layers of {MAX_LAYER} bytes are the most.")
        accept(data)

    def counted(payload):  # before a layer of few bytes becomes one of megabytes
        if payload is not None and len(payload.layers) > LAYERS:
            raise gr.Error(f"A drawing has at most {LAYERS} layers: merge some.")
        return preprocess(payload)

    accepted._is_server_fn = True  # Gradio's mark on what a page may call
    # not a subclass: Gradio would write a .pyi beside its file
    editor.convert_and_format_image, editor.accept_blobs, editor.blob_storage = checked, accepted, drawings
    editor.preprocess = counted


def canvas(value: dict, side: int = SIDE, **options) -> gr.ImageEditor:
    """Make a widget to draw on, without uploads, of that many screen pixels a side."""
    tools = {"sources": (), "layers": False, "transforms": (), "canvas_size": (side, side)}
    editor = gr.ImageEditor(value, type="pil", **tools, **options)
    seal(editor, functools.partial(_check, most=4 * side, drawings=_Latest()))
    return editor


def examples(space: Path, dataset: str) -> list[Path]:
    """List the example pictures of a data set: they stand beside the Spaces, and in a deployed Space in its folder."""
    places = (root / "examples" / dataset for root in (space, space.parent))
    return sorted(next(filter(Path.is_dir, places)).glob("*.png"))


def kept(picture: Image.Image, seconds: float = KEPT) -> str:
    """Write a picture as a PNG into Gradio's cache, where it stays at least that long, and return its path.

    A picture that a handler returns as such is written again each time, though an equal one may be on its way to a
    browser, which then gets half a file; one that is returned as a path is not. Gradio deletes one that a handler
    returned after KEPT, but neither what a component began with nor what a session that has ended was shown.
    """
    with _keeping, tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "image.png")
        picture.save(path)
        shown, now = save_file_to_cache(path, get_upload_folder()), time.monotonic()
        _until[shown] = max(_until.get(shown, 0), now + seconds)
        for old in [old for old, until in _until.items() if until < now]:
            del _until[old]
            Path(old).unlink(missing_ok=True)
    return shown


def keep(values: Sequence) -> Sequence:
    """Keep the pictures among the first values of a tab's widgets while the app runs, and return the values."""
    with _keeping:
        _until.update({value: math.inf for value in values if isinstance(value, str) and value in _until})
    return values


def enlarged(image: torch.Tensor, seconds: float = KEPT) -> str:
    """Write a uint8 (C, H, W) image as a picture that shows each pixel, and return its path."""
    return kept(to_picture(image, SIDE // image.shape[2]), seconds)


def sheet(images: torch.Tensor) -> str:
    """Write uint8 (N, C, H, W) images as one picture, row by row, and return its path."""
    few = len(images) <= 4
    scale = max(1, SIDE // images.shape[3] // (1 if few else 2))
    return kept(to_sheet(images, columns=min(len(images), 2 if few else 4), scale=scale))
