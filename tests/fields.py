"""What each image model sees by its structure, found by handing sets of sub-pixels from layer to layer.

Nothing of the models is run: a set is a row of a bool array (groups, H, W, T), T sub-pixels in order of generation, and
the rules are those of the papers' figures.
"""

import numpy as np
import torch

ALL_BEFORE = ("pixel_predictor", "toy")  # models that see all that comes before; the toy is test_autoregressive's


def sub_pixels(channels: int, height: int, width: int) -> np.ndarray:
    """Each sub-pixel sees itself: (C, H, W, T)."""
    size = channels * height * width
    return np.eye(size, dtype=bool).reshape(height, width, channels, size).transpose(2, 0, 1, 3)


def convolved(seen: np.ndarray, kind: str, height: int, width: int) -> np.ndarray:
    """Through a masked convolution: all above and to the left, of its own pixel the earlier groups (B: its own too)."""
    groups, rows, columns, _ = seen.shape
    out = np.zeros_like(seen)
    for y in range(rows):
        for x in range(columns):
            for dy in range(-(height // 2), 1):
                for dx in range(-(width // 2), width // 2 + 1):
                    past = dy < 0 or dx < 0
                    if (past or dx == 0) and y + dy >= 0 and 0 <= x + dx < columns:
                        for g in range(groups):
                            there = seen[: groups if past else g + (kind == "B"), y + dy, x + dx]
                            out[g, y, x] |= there.any(0)
    return out


def recurrent(gates: np.ndarray, before: list[tuple[int, int]]) -> np.ndarray:
    """Through an LSTM in raster order, or mirrored, whose state sees all groups of the states at these (dy, dx)."""
    _, rows, columns, _ = gates.shape
    out = gates.copy()
    order = range(columns) if (0, 1) not in before else reversed(range(columns))
    order = list(order)
    for y in range(rows):
        for x in order:
            for dy, dx in before:
                if y + dy >= 0 and 0 <= x + dx < columns:
                    out[:, y, x] |= out[:, y + dy, x + dx].any(0)
    return out


def residual(name: str, seen: np.ndarray) -> np.ndarray:
    """Through one layer of a model of the PixelRNN family."""
    if name == "pixel_cnn":
        return seen | convolved(seen, "B", 3, 3)
    if name == "row_lstm":
        return seen | recurrent(convolved(seen, "B", 1, 3), [(-1, -1), (-1, 0), (-1, 1)])
    left = recurrent(convolved(seen, "B", 1, 1), [(0, -1), (-1, 0)])
    right = recurrent(convolved(seen, "B", 1, 1), [(0, 1), (-1, 0)])
    below = np.concatenate([np.zeros_like(right[:, :1]), right[:, :-1]], 1)
    return seen | convolved(left | below, "B", 1, 1)


def sees(model) -> torch.Tensor:
    """Bool (T, T): whether the logits of sub-pixel i depend on sub-pixel j."""
    name, (channels, height, width) = model.config.model_type, model.shape
    size = channels * height * width
    if name in ALL_BEFORE:
        return torch.ones(size, size, dtype=torch.bool).tril(-1)
    if name == "gated_pixel_cnn":
        seen = gated(sub_pixels(channels, height, width), model.config.layers)
    elif name in ("pixel_cnn", "row_lstm", "diagonal_bilstm"):
        seen = convolved(sub_pixels(channels, height, width), "A", 7, 7)
        for _ in range(model.config.layers):
            seen = residual(name, seen)
    else:
        raise LookupError(f"tests/fields.py does not know what a {name} sees: add it to ALL_BEFORE, or to `sees`")
    return torch.from_numpy(seen.transpose(1, 2, 0, 3).reshape(size, size))


def window(seen: np.ndarray, rows: range, aside: int) -> np.ndarray:
    """Union of all groups at these rows, counted from one's own, and so many columns aside: (1, H, W, T)."""
    _, height, width, _ = seen.shape
    out = np.zeros_like(seen[:1])
    for y, x in np.ndindex(height, width):
        for row in (y + dy for dy in rows if y + dy >= 0):
            out[0, y, x] |= seen[:, row, max(x - aside, 0) : x + aside + 1].any((0, 1))
    return out


def gated(pixels: np.ndarray, layers: int) -> np.ndarray:
    """The horizontal stack of the gated PixelCNN; the vertical one is of one group."""
    vertical = window(pixels, range(-3, 0), 3)
    horizontal = convolved(pixels, "A", 1, 7) | vertical
    for _ in range(layers - 1):
        vertical = window(vertical, range(-1, 1), 1)
        horizontal = horizontal | convolved(horizontal, "B", 1, 3) | vertical
    return horizontal
