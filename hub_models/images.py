"""Convert between pictures and the uint8 tensors that models take."""

import contextlib
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image, ImageOps

from .config import is_integer
from .ink import find_ink

MAX_SIDE = 8192  # pixels a side: what an app still answers in a moment
WORKING_SIDE = 400  # pixels a side: larger pictures of a digit are shrunk to this before they are looked at
BLACK = 25  # of 255: what the paper of an MNIST digit is darker than


def to_grey(image: Image.Image) -> np.ndarray:
    """Convert a picture of any mode to upright float32 greys (H, W) in 0..1; what is transparent becomes white.

    Raises:
        ValueError: no picture, an empty or a huge one, or values that are not finite.
    """
    image = upright(image)
    return _unscaled(image) if _is_deep(image) else np.asarray(_opaque(image, "L"), dtype=np.float32) / np.float32(255)


def to_photo(image: Image.Image, height: int, width: int) -> torch.Tensor:
    """Convert a picture to uint8 (1, 3, height, width): upright, its middle cut out, then shrunk or enlarged.

    What is transparent becomes white. An RGB picture of just that size comes through as it is, bit for bit.

    Raises:
        ValueError: an unreadable picture, see `to_grey`, or a size that none has.
    """
    for side, size in ("height", height), ("width", width):
        if not (is_integer(size) and 1 <= size <= MAX_SIDE):
            raise ValueError(f"{side} is {size!r}: give a whole number from 1 to {MAX_SIDE}")
    image = upright(image)
    if _is_deep(image):
        image = Image.fromarray(np.rint(_unscaled(image) * 255).astype(np.uint8))
    image = _opaque(image, "RGB")
    box = middle(image, height, width)
    # reduced roughly first: else a large picture takes seconds
    image = image.resize((width, height), Image.Resampling.LANCZOS, box, reducing_gap=3)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].contiguous()


def middle(image: Image.Image, height: int, width: int) -> tuple[float, float, float, float]:
    """Return the largest box in the middle of a picture that has the shape of height and width, for `Image.resize`."""
    scale = min(image.width / width, image.height / height)
    left, top = (image.width - scale * width) / 2, (image.height - scale * height) / 2
    right, bottom = min(left + scale * width, image.width), min(top + scale * height, image.height)
    return max(left, 0), max(top, 0), right, bottom  # fractions of pixels count as such; rounding never leads outside


def upright(image: Image.Image, shrink: bool = False) -> Image.Image:
    """Turn a picture as its camera says; refuse what is no picture, empty, huge or damaged.

    Args:
        image: the picture.
        shrink: shrink a photograph first, since a large one takes long to turn.
    """
    if not isinstance(image, Image.Image):
        raise ValueError(f"the image is a {type(image).__name__}: give a PIL image")
    width, height = image.size
    if not (width > 0 and height > 0):
        raise ValueError(f"the image is {width}x{height}: give at least one pixel")
    fits = max(width, height) <= MAX_SIDE
    if not fits:
        raise ValueError(f"the image is {width}x{height}: give one of at most {MAX_SIDE} pixels a side")
    try:
        image.load()
    except Exception as error:  # each file format's reader has its own types
        raise ValueError("the image file is damaged or cut short: save it again") from error
    if shrink and image.mode in ("L", "RGB") and "transparency" not in image.info:
        image = _shrunk(image)
    with contextlib.suppress(Exception):  # what the camera says may be damaged where the picture is not
        image = ImageOps.exif_transpose(image)
    return image


def _shrunk(image: Image.Image) -> Image.Image:
    """Shrink a picture to at most WORKING_SIDE pixels a side."""
    scale = WORKING_SIDE / max(image.size)
    if scale >= 1:
        return image
    size = [max(1, round(scale * side)) for side in image.size]
    rough = 2 if min(image.size) > WORKING_SIDE else None  # of a narrow one rounding twice would leave nothing
    return image.resize(size, Image.Resampling.BOX, reducing_gap=rough)


def _is_deep(image: Image.Image) -> bool:
    """Return whether the greys of a picture have more than 8 bits each."""
    return image.mode in ("I", "F") or image.mode.startswith("I;16")


def _unscaled(image: Image.Image) -> np.ndarray:
    """Convert a deep picture to float32 (H, W) in 0..1."""
    values = np.asarray(image, dtype=np.float32)
    if not np.isfinite(values).all():
        raise ValueError("the image has pixels that are not finite (NaN): mend it first")
    top = next((top for top in (1, 255) if values.max() <= top), 65535)  # the narrowest usual range that holds it
    return (values / np.float32(top)).clip(0, 1)


def _opaque(
    image: Image.Image, mode: str, paper: Callable[[Image.Image], int | str] = lambda _: "white"
) -> Image.Image:
    """Put a picture of 8 bits a channel on paper of a colour, in the mode "L" or "RGB"."""
    try:
        if "transparency" in image.info or image.mode in ("LA", "PA", "RGBA", "RGBa"):
            layer = image.convert("RGBA")
            image = Image.new(mode, layer.size, paper(layer))
            image.paste(layer.convert(mode), mask=layer.getchannel("A"))
        return image.convert(mode)
    except ValueError as error:
        raise ValueError(f"the image has the mode {image.mode}: give it as RGB") from error


def _contrasting(layer: Image.Image) -> int:
    """Return the grey to put a transparent picture on: black under light ink, its own paper around a photograph."""
    grey, alpha = (np.asarray(channel) for channel in _shrunk(layer).convert("LA").split())
    seen = grey[alpha > alpha.max() / 2]
    if not seen.size:
        return 255
    low, middle, high = np.quantile(seen, (0.05, 0.5, 0.95))
    if high - low > 64 and seen.size > alpha.size / 2:
        return int(middle)
    return 0 if middle > 127 else 255


def to_digit(image: Image.Image) -> torch.Tensor:
    """Convert a picture of a digit to uint8 (1, 1, 28, 28), prepared as MNIST's are.

    A 28x28 picture that is white on black already is only made grey. Otherwise the ink, dark or light, is separated
    from its paper (see `hub_models.ink`), scaled into 20x20 with its proportions kept, and put with its centre of mass
    at pixel (14, 14), where MNIST's is. What is transparent becomes white under dark ink, black under light.

    Raises:
        ValueError: an unreadable picture (see `to_grey`), or one in which nothing stands out.
    """
    image = upright(image, shrink=True)
    if _is_deep(image):
        image = Image.fromarray(np.rint(_unscaled(image) * 255).astype(np.uint8))
    levels = np.asarray(_shrunk(_opaque(image, "L", _contrasting)))
    if levels.shape == (28, 28) and np.median(levels) < BLACK < levels.max():
        return torch.from_numpy(levels.copy())[None, None]
    grey = find_ink(levels)
    rows, columns = (np.flatnonzero((grey > 0.2).any(axis)) for axis in (1, 0))
    ink = grey[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = 20 / max(ink.shape)
    size = (max(1, round(ink.shape[1] * scale)), max(1, round(ink.shape[0] * scale)))
    small = np.asarray(Image.fromarray(ink).resize(size, Image.Resampling.LANCZOS))
    strong = np.median(small[small > small.max() / 4])  # a thin line of a large picture is pale by now
    small = (small / strong).clip(0, 1) * 255
    weight = small.sum()
    centre_y = (small.sum(1) * np.arange(small.shape[0])).sum() / weight
    centre_x = (small.sum(0) * np.arange(small.shape[1])).sum() / weight
    top = int(np.clip(round(14 - centre_y), 0, 28 - small.shape[0]))
    left = int(np.clip(round(14 - centre_x), 0, 28 - small.shape[1]))
    digit = np.zeros((28, 28), dtype=np.uint8)
    digit[top : top + small.shape[0], left : left + small.shape[1]] = np.rint(small)
    return torch.from_numpy(digit)[None, None]


def reflected(places: torch.Tensor, size: int) -> torch.Tensor:
    """Map places up to a size beyond either end to places within, as a mirror on the last pixel does."""
    return size - 1 - (size - 1 - places.abs()).abs()


def to_picture(image: torch.Tensor, scale: int = 1) -> Image.Image:
    """Convert uint8 (C, H, W) of 1 or 3 channels to a PIL image, each pixel a square of side `scale`."""
    pixels = image.cpu().numpy()
    picture = Image.fromarray(pixels[0]) if len(pixels) == 1 else Image.fromarray(pixels.transpose(1, 2, 0))
    return picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)


def to_sheet(images: torch.Tensor, columns: int, scale: int = 2, gap: int = 1) -> Image.Image:
    """Arrange uint8 (N, C, H, W) images in one picture, row by row, with grey lines between.

    Raises:
        ValueError: no whole number of columns, at least 1.
    """
    if not (is_integer(columns) and columns >= 1):
        raise ValueError(f"columns is {columns!r}: give a whole number of at least 1")
    count, channels, height, width = images.shape
    rows = -(-count // columns)
    sheet = torch.full((channels, rows * (height + gap) + gap, columns * (width + gap) + gap), 128, dtype=torch.uint8)
    for i, image in enumerate(images.cpu()):
        y, x = i // columns * (height + gap) + gap, i % columns * (width + gap) + gap
        sheet[:, y : y + height, x : x + width] = image
    return to_picture(sheet, scale)


def to_glow(heat: torch.Tensor) -> torch.Tensor:
    """Colour values (..., H, W) as uint8 (..., 3, H, W): 0 is black, 1/2 red, 1 yellow, 3/2 and more white."""
    return (255 * (2 * heat[..., None, :, :] - torch.arange(3).view(3, 1, 1)).clamp(0, 1)).round().to(torch.uint8)


def to_field(seen: torch.Tensor, y: int, x: int) -> torch.Tensor:
    """Colour the pixels that pixel (y, x) sees, bool (H, W), as uint8 (3, H, W).

    White is seen, grey comes before it in raster order and is not, black is to come; the pixel itself is red.
    """
    before = torch.arange(seen.numel()).view(seen.shape) < y * seen.shape[1] + x
    image = (seen * 255 + (before & ~seen) * 110).to(torch.uint8).repeat(3, 1, 1)
    image[:, y, x] = torch.tensor([220, 30, 30], dtype=torch.uint8)
    return image
