"""Photographs of handwritten digits, drawn from MNIST digits: paper, ink, light and camera of stated ranges."""

import io
import math
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageFilter

KINDS = {  # in words
    "plain": "pen on paper",
    "gradient": "light that falls",
    "shadow": "a shadow's edge",
    "table": "a slanted table's edge",
    "bar": "a dark bar at a side",
    "lines": "ruled paper",
    "pencil": "pencil",
    "chalk": "chalk on a blackboard, light that falls",
}
TURNS = {1: None, 3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}  # EXIF's
Range = tuple[float, float]


class Ranges(NamedTuple):
    """Between what a photograph's parameters are drawn, evenly. Lengths are shares of the shorter side."""

    side: Range  # height of the photograph, in pixels; evenly in its logarithm
    digit: Range  # side of MNIST's 28x28 on the sheet
    paper: Range  # reflectance
    ink: Range  # reflectance of a pen
    pencil: Range  # reflectance
    board: Range  # reflectance of a blackboard
    chalk: Range  # reflectance
    fall: Range  # light at the dark end of a gradient
    shadow: Range  # light in a shadow
    soft: Range  # width of a shadow's edge
    table: Range  # reflectance of a table or a bar
    rim: Range  # width of the strip of table or bar
    line: Range  # reflectance of ruled lines
    rule: Range  # distance between ruled lines
    turn: Range  # degrees
    tilt: Range  # how much a corner moves in perspective
    blur: Range  # radius
    noise: Range  # standard deviation, of 255
    quality: Range  # of the JPEG


TUNED = Ranges(
    side=(100, 1200),
    digit=(0.45, 0.9),
    paper=(0.8, 1),
    ink=(0.05, 0.3),
    pencil=(0.4, 0.55),
    board=(0.08, 0.2),
    chalk=(0.7, 0.95),
    fall=(0.6, 0.85),
    shadow=(0.6, 0.8),
    soft=(0, 0.05),
    table=(0.1, 0.4),
    rim=(0.02, 0.08),
    line=(0.6, 0.8),
    rule=(0.12, 0.2),
    turn=(-4, 4),
    tilt=(0, 0.03),
    blur=(0, 0.004),
    noise=(1, 5),
    quality=(60, 95),
)
OTHER = Ranges(
    side=(56, 1300),
    digit=(0.3, 0.85),
    paper=(0.6, 0.9),
    ink=(0.1, 0.35),
    pencil=(0.35, 0.5),
    board=(0.12, 0.28),
    chalk=(0.65, 0.85),
    fall=(0.4, 0.65),
    shadow=(0.5, 0.7),
    soft=(0, 0.15),
    table=(0.05, 0.3),
    rim=(0.04, 0.12),
    line=(0.5, 0.75),
    rule=(0.09, 0.15),
    turn=(-7, 7),
    tilt=(0.01, 0.05),
    blur=(0.002, 0.007),
    noise=(3, 9),
    quality=(35, 75),
)


def photograph(digit: np.ndarray, kind: str, ranges: Ranges, draw: np.random.Generator) -> Image.Image:
    """Return a photograph of a digit as a camera leaves it: a JPEG, not upright where its EXIF data say so.

    Args:
        digit: uint8 (28, 28), white on black.
        kind: one of KINDS, the disturbance; turn, perspective, blur, noise and JPEG come to each.
        ranges: of the parameters.
        draw: of all that is drawn.
    """
    height = round(math.exp(draw.uniform(*np.log(ranges.side))))
    width = max(28, round(height * draw.uniform(0.75, 1.33)))
    sheet = _turned(_written(digit, kind, ranges, draw, height, width), ranges, draw)
    return _taken(_lit(sheet, kind, ranges, draw), ranges, draw)


def _written(
    digit: np.ndarray, kind: str, ranges: Ranges, draw: np.random.Generator, height: int, width: int
) -> np.ndarray:
    """Draw the sheet with the digit, as reflectances (height, width, 3)."""
    least = min(height, width)
    side = max(20, round(draw.uniform(*ranges.digit) * least))
    y, x = (int(draw.integers(0, free - side + 1)) for free in (height, width))
    large = Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC)
    opaque = np.zeros((height, width))
    opaque[y : y + side, x : x + side] = ((np.asarray(large) / 255 - 0.5) * max(1, side / 56) + 0.5).clip(0, 1)
    back, front = {"chalk": ("board", "chalk"), "pencil": ("paper", "pencil")}.get(kind, ("paper", "ink"))
    if kind in ("chalk", "pencil"):  # they show the grain of what is beneath
        grain = Image.fromarray(draw.integers(0, 256, (height, width), dtype=np.uint8))
        opaque = opaque * (0.7 + 0.3 * (np.asarray(grain.filter(ImageFilter.GaussianBlur(1))) > 127))
    sheet = draw.uniform(*getattr(ranges, back)) * draw.uniform(0.9, 1, 3) * np.ones((height, width, 1))
    if kind == "lines":
        rule = draw.uniform(*ranges.rule) * least
        line = (np.arange(height) + draw.uniform(0, rule)) % rule < max(1.2, 0.006 * least)
        sheet[line] *= draw.uniform(*ranges.line) * np.array([0.9, 0.95, 1.05])
    ink = draw.uniform(*getattr(ranges, front)) * draw.uniform(0.7, 1.3, 3)
    return sheet + opaque[..., None] * (ink - sheet)


def _turned(sheet: np.ndarray, ranges: Ranges, draw: np.random.Generator) -> np.ndarray:
    """Turn the sheet and put it in perspective; its border goes on past the picture."""
    height, width = sheet.shape[:2]
    angle, tilt, margin = math.radians(draw.uniform(*ranges.turn)), draw.uniform(*ranges.tilt), min(height, width)
    centre = np.array([width, height]) / 2
    corners = np.array([[0, 0], [0, height], [width, height], [width, 0]]) - centre
    corners = corners @ np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    corners += centre + margin + draw.uniform(-tilt, tilt, (4, 2)) * min(height, width)
    padded = np.pad(sheet, ((margin, margin), (margin, margin), (0, 0)), mode="edge").astype(np.float32)
    how = (width, height), Image.Transform.QUAD, corners.ravel(), Image.Resampling.BILINEAR
    return np.stack([np.asarray(Image.fromarray(channel).transform(*how)) for channel in np.moveaxis(padded, 2, 0)], 2)


def _lit(sheet: np.ndarray, kind: str, ranges: Ranges, draw: np.random.Generator) -> np.ndarray:
    """Draw what a camera sees of a sheet, its table or bar, its light and shadow, as uint8 (H, W, 3)."""
    down, right = np.mgrid[: sheet.shape[0], : sheet.shape[1]] / min(sheet.shape[:2])
    if kind in ("table", "bar"):
        across, along = (right, down) if draw.random() < 0.5 else (down, right)
        if draw.random() < 0.5:
            across = across.max() - across
        slope = draw.uniform(-0.1, 0.1) if kind == "table" else 0
        rim = across + slope * (along - along.mean()) < draw.uniform(*ranges.rim)
        sheet = np.where(rim[..., None], draw.uniform(*ranges.table) * draw.uniform(0.8, 1.2, 3), sheet)
    way = draw.uniform(0, 2 * math.pi)
    ramp = math.cos(way) * right + math.sin(way) * down
    ramp = (ramp - ramp.min()) / np.ptp(ramp)
    fall = 1 - draw.uniform(*ranges.fall) if kind in ("gradient", "chalk") else draw.uniform(0, 0.1)
    if kind == "shadow":
        fall = 1 - draw.uniform(*ranges.shadow)
        ramp = ((ramp - draw.uniform(0.25, 0.75)) / max(1e-3, draw.uniform(*ranges.soft)) + 0.5).clip(0, 1)
    return (sheet * (1 - fall * ramp)[..., None] * 255).clip(0, 255).astype(np.uint8)


def _taken(seen: np.ndarray, ranges: Ranges, draw: np.random.Generator) -> Image.Image:
    """Return the photograph of what a camera sees, uint8 (H, W, 3), as an open JPEG."""
    blur = ImageFilter.GaussianBlur(draw.uniform(*ranges.blur) * min(seen.shape[:2]))
    noise = draw.normal(0, draw.uniform(*ranges.noise), seen.shape)
    values = np.asarray(Image.fromarray(seen).filter(blur)) + noise
    picture, orientation = Image.fromarray(values.round().clip(0, 255).astype(np.uint8)), int(draw.choice([*TURNS]))
    if orientation > 1:
        picture = picture.transpose(TURNS[orientation])
    file, exif = io.BytesIO(), Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    picture.save(file, "JPEG", quality=round(draw.uniform(*ranges.quality)), exif=exif)
    return Image.open(file)
