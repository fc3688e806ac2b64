"""Tell ink from paper in pictures of digits, whatever the light, the table beneath and the lines on the paper."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter

EMPTY = "the picture is empty: draw or choose a digit that stands out from its paper"
WINDOW = 0.36  # of the longer side: wider than any stroke, so that paper is seen beside it
BORDER = 0.15  # of all votes on what is paper: the share that the border has
DARK = 0.45  # of the usual paper: what is darker at the border is a table, a bar or ink, but no shadow
TABLE = 0.85  # of a side: how much of it a table or a bar takes at least
FAINT = 0.012  # of the paper's light: the least that ink takes away
EVEN = 0.004, 3  # the most noise, of the paper's light, and the most levels between light and dark paper in a drawing
GRAIN = 0.1  # of the paper's light: more noise, as of a palette's dots, is smoothed
LONG, THIN = 0.7, 0.04  # of a side: the least length of a ruled line, and its greatest width
EDGE = 0.5  # of a side: how much of it a stroke touches at most
LEAST = 0.06  # of the longer side: the least size of a digit
CELLS = 192  # at most so many a side, in which shapes are followed


def find_ink(grey: np.ndarray) -> np.ndarray:
    """Measure how much ink is on each pixel of uint8 (H, W), as float (H, W) in 0..1.

    Ink is what differs from the paper around it, dark or light, and forms shapes within the picture. Ruled lines are
    no ink. What touches the border is ink where nothing else is, and where it is a short stroke of a drawing.

    Raises:
        ValueError: nothing stands out from the paper.
    """
    window = max(3, int(WINDOW * max(grey.shape)) | 1)
    is_light = _is_light(grey, window)
    value = 255 - grey if is_light else grey
    calm = np.asarray(Image.fromarray(value).filter(ImageFilter.MedianFilter(3)))
    local = _closed(calm, window).astype(np.float32)
    usual = np.quantile(local, 0.5, method="higher")
    dark = local < (0 if is_light and usual < 128 else DARK * usual)  # no table is so much lighter than light paper
    paper = np.where(dark, usual, local)
    ink, noise = _strength(value, local, is_light)
    if noise > GRAIN:
        value = np.asarray(Image.fromarray(calm).filter(ImageFilter.GaussianBlur(1)))
        ink, noise = _strength(value, local, is_light)
    floor = max(FAINT, 4 * noise)
    ink[_ruled(ink > floor)] = 0
    ink[_ruled((ink > floor).T).T] = 0
    ink = np.where(dark, _strength(value, paper, is_light)[0], ink)
    is_drawing = noise <= EVEN[0] and np.ptp(np.quantile(paper, (0.05, 0.95))) <= EVEN[1]
    if is_drawing and not (ink > floor).any():  # pale ink along the border
        ink, _ = _strength(value, np.full_like(paper, usual), is_light)
    clear = ink > floor
    if not clear.any():
        raise ValueError(EMPTY)
    inner = ink[clear & ~dark] if (clear & ~dark).any() else ink[clear]
    mask = ink >= max(floor, (0.25 if is_drawing else 0.5) * _full(inner))
    kept = _digit(mask, ink, dark, is_drawing)
    rows, columns = np.flatnonzero(kept.any(1)), np.flatnonzero(kept.any(0))
    edge = -(-max(rows[-1] - rows[0], columns[-1] - columns[0]) // 24)  # of a stroke, about a pixel of the 28
    return (ink / np.quantile(ink[kept], 0.75)).clip(0, 1) * _spread(kept, 2 * edge + 1, np.logical_or)


def _is_light(grey: np.ndarray, window: int) -> bool:
    """Return whether ink is lighter than paper: most pixels near ink are paper, and so is most of the border."""
    darkest, lightest = _spread(grey, window, np.minimum), _spread(grey, window, np.maximum)
    votes = 2.0 * grey - darkest - lightest
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    outside = np.sign(np.median(border) - (float(grey.min()) + grey.max()) / 2)
    return votes.sum() + BORDER * outside * np.abs(votes).sum() < 0


def _strength(value: np.ndarray, paper: np.ndarray, is_light: bool) -> tuple[np.ndarray, float]:
    """Return the share of the paper's light that each pixel lacks, about 0 on paper, and its noise."""
    light = 255 - paper if is_light else paper
    found = (paper - value) / (light + 25)  # a little more: a blackboard may be black
    low, quarter = np.quantile(found, (0.05, 0.25), method="lower")  # of paper: half of the picture may be ink
    return found - quarter - 0.7 * (quarter - low), quarter - low


def _digit(mask: np.ndarray, ink: np.ndarray, dark: np.ndarray, is_drawing: bool) -> np.ndarray:
    """Return the shapes of a mask that belong to the digit.

    Raises:
        ValueError: none can be.
    """
    table = any(side.mean() > TABLE for side in (dark[0], dark[-1], dark[:, 0], dark[:, -1]))
    apart = mask & ~dark if table else mask  # a digit may touch the table
    for shapes, inner, most in (mask, not is_drawing, EDGE), (apart, not is_drawing, EDGE), (apart, False, 1):
        kept = _chosen(shapes, ink, inner, most)
        if kept is not None:
            return kept
    if not is_drawing:
        raise ValueError(EMPTY)
    return mask


def _window(values: np.ndarray, width: int, choose: Callable, axis: int) -> np.ndarray:
    """Return the greatest or least of each `width` successive values along an axis."""
    values, size = np.moveaxis(values, axis, 0), 1
    while 2 * size <= width:
        values, size = choose(values[:-size], values[size:]), 2 * size
    if size < width:
        values = choose(values[: size - width], values[width - size :])
    return np.moveaxis(values, 0, axis)


def _spread(values: np.ndarray, width: int, choose: Callable) -> np.ndarray:
    """Return the greatest or least value in the square around each pixel; `width` is odd."""
    values = np.pad(values, width // 2, mode="edge")
    return _window(_window(values, width, choose, 0), width, choose, 1)


def _closed(values: np.ndarray, width: int) -> np.ndarray:
    """Remove what is dark and narrower than `width`; slopes, steps and what crosses the border stay."""
    values = np.pad(values, width - 1, mode="edge")
    for choose in (np.maximum, np.minimum):
        values = _window(_window(values, width, choose, 0), width, choose, 1)
    return values


def _full(values: np.ndarray) -> float:
    """Return the upper quartile of the upper of two classes, whose boundary is halfway between their means."""
    found = least, most = values.min(), values.max()
    for _ in range(10):
        middle = np.clip(np.mean(found), least, most)
        found = values[values <= middle].mean(), values[values >= middle].mean()
    return np.quantile(values[values >= middle], 0.75)


def _cells(mask: np.ndarray) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """Return a coarse mask of at most CELLS a side, true where any pixel is, and a function that refines it again."""
    height, width = mask.shape
    size = -(-max(height, width) // CELLS)
    padded = np.pad(mask, ((0, -height % size), (0, -width % size)))
    coarse = padded.reshape(len(padded) // size, size, -1, size).any((1, 3))
    return coarse, lambda cells: cells.repeat(size, 0).repeat(size, 1)[:height, :width]


def _ruled(mask: np.ndarray) -> np.ndarray:
    """Return which pixels belong to long thin lines from left to right, without what crosses them."""
    coarse, fine = _cells(mask)
    joined = _window(np.pad(coarse, ((0, 0), (1, 1))), 3, np.logical_or, 1)  # over gaps
    ahead = _paths(joined)
    back = _paths(joined[:, ::-1])[:, ::-1]
    ruled = fine(ahead + back > LONG * joined.shape[1]) & mask
    if ruled.any():
        across = _runs(mask)
        width = 1.25 * np.quantile(across[ruled], 0.6) + 1
        ruled &= (across <= width) & (width <= max(2.5, THIN * max(mask.shape)))
    return ruled


def _paths(mask: np.ndarray) -> np.ndarray:
    """Return the columns of the longest path of true pixels to each; a step goes right, at most one row up or down."""
    lengths = np.zeros((mask.shape[1] + 1, len(mask) + 2), dtype=np.int32)
    for x, column in enumerate(mask.T):
        before = lengths[x]
        lengths[x + 1, 1:-1] = column * (1 + np.maximum(np.maximum(before[:-2], before[2:]), before[1:-1]))
    return lengths[1:, 1:-1].T


def _runs(mask: np.ndarray) -> np.ndarray:
    """Return how many equal pixels follow one another in the column of each pixel."""
    first = np.ones_like(mask)
    first[1:] = mask[1:] != mask[:-1]
    runs = np.cumsum(first.T).reshape(first.T.shape)  # column by column
    return np.bincount(runs.ravel())[runs].T


def _shapes(mask: np.ndarray) -> np.ndarray:
    """Number the connected shapes of a mask, corners included; 0 is where the mask is false."""
    mask = np.pad(mask, 1)
    shapes = np.arange(mask.size, dtype=np.int32).reshape(mask.shape) * mask
    while True:
        grown = _spread(shapes, 3, np.maximum) * mask
        grown = np.maximum(grown, grown.ravel()[grown])  # and what the pixel has found whose number it is
        if np.array_equal(grown, shapes):
            return shapes[1:-1, 1:-1]
        shapes = grown


def _chosen(mask: np.ndarray, ink: np.ndarray, inner: bool, most: float) -> np.ndarray | None:
    """Return the shapes of a mask without specks, or None if all are specks.

    Args:
        mask: bool (H, W).
        ink: its amount on each pixel.
        inner: whether shapes at the border are left out if there are others.
        most: of a side; shapes that touch more of one are left out.
    """
    coarse, fine = _cells(mask)
    shapes = _shapes(coarse)
    count = shapes.max() + 1
    sides = shapes[0], shapes[-1], shapes[:, 0], shapes[:, -1]
    touched = np.max([np.bincount(side, minlength=count) / len(side) for side in sides], 0)
    shapes = fine(shapes)
    amount = np.bincount(shapes[mask], ink[mask], minlength=count) * (touched <= most)
    within = amount * (touched == 0)
    if inner and within.max() > 0.3 * amount.max():
        amount = within
    largest = shapes == amount.argmax()
    spans = [np.ptp(np.flatnonzero(largest.any(axis))) for axis in (0, 1)]
    if not amount.any() or max(spans) < LEAST * max(mask.shape):
        return None
    return (amount >= 0.05 * amount.max())[shapes] & mask
