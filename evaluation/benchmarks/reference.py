"""The plain, slow way of each fast thing: the oracle of the tests and the yardstick of `evaluation.speed`."""

import contextlib
import functools
import random
from collections.abc import Iterator

import numpy as np
import torch
from PIL import Image, ImageOps
from torch.utils.data import DataLoader, Dataset

from hub_models import AutoregressiveImageModel, DiagonalBiLSTM, RowLSTM, TextModel
from hub_models.causal_conv import CausalConvModel
from hub_models.layers.masked import MaskedConv2d
from hub_models.layers.spatial import DiagonalLayer, RowLayer, lstm_cell
from training.data import ImageData


@contextlib.contextmanager
def plain_sampling(model: AutoregressiveImageModel) -> Iterator[None]:
    """A context in which `sample` and `complete` evaluate the whole model anew, the usual way, for every sub-pixel."""
    masked = isinstance(model, CausalConvModel)
    logits = functools.partial(plain_logits, model) if masked else model.logits

    def stream(levels: torch.Tensor, start: int, label: torch.Tensor | None) -> Iterator[torch.Tensor]:
        channels, height, width = model.shape
        place = torch.arange(levels[0].numel()).view(height, width, channels).movedim(2, 0).to(levels.device)
        i = start
        while True:
            c, y, x = (place == i).nonzero()[0].tolist()
            drawn = yield logits(model.to_bytes(levels), label)[:, c, y, x]
            for level in drawn.unbind(1):
                levels = torch.where(place == i, level.view(-1, 1, 1, 1), levels)
                i += 1

    model._stream = stream  # shadows the class's own
    try:
        yield
    finally:
        del model._stream


@contextlib.contextmanager
def plain_generation(model: TextModel) -> Iterator[None]:
    """A context in which `generate` reads the prompt and all it has written anew for every token."""
    read, so_far = model._read, []

    def all_of_it(tokens: torch.Tensor, state: object) -> tuple[torch.Tensor, object]:
        if state is None:
            so_far.clear()
        so_far.append(tokens)
        return read(torch.cat(so_far), None)

    model._read = all_of_it  # shadows the class's own
    try:
        yield
    finally:
        del model._read


class ShuffledWindows(Dataset):
    """Every window of a text, from each of its tokens on, one by one: input and target, as most tutorials do it."""

    def __init__(self, tokens: torch.Tensor, window: int):
        self.tokens, self.window = tokens.tolist(), window

    def __len__(self) -> int:
        return len(self.tokens) - self.window

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        own = self.tokens[index : index + self.window + 1]
        return torch.tensor(own[:-1]), torch.tensor(own[1:])


def shuffled_loss(model: TextModel, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Mean nats of a batch of windows (B, T), each from an empty state, by PyTorch's own layers and loss."""
    x = model.embedding(inputs)
    for layer in model.rnn.layers:
        x = layer(x.transpose(0, 1))[0].transpose(0, 1)
    logits = model.logits_of(model.head(x))
    return torch.nn.functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), targets.reshape(-1))


class PillowImages(Dataset):
    """Images cropped, mirrored and normalised one by one in Pillow and NumPy, as most tutorials do it."""

    def __init__(self, data: ImageData, shift: int, mean: tuple, std: tuple):
        self.images = [Image.fromarray(image) for image in data.images.permute(0, 2, 3, 1).numpy()]
        self.labels, self.shift = data.labels.tolist(), shift
        self.mean, self.std = np.array(mean, np.float32), np.array(std, np.float32)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        image = self.images[index]
        left, top = (random.randint(0, 2 * self.shift) for _ in range(2))
        padded = ImageOps.expand(image, self.shift)
        image = padded.crop((left, top, left + image.width, top + image.height))
        if random.random() < 0.5:
            image = ImageOps.mirror(image)
        pixels = (np.asarray(image, np.float32) / 255 - self.mean) / self.std
        return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))), self.labels[index]


def pillow_batches(data: ImageData, shift: int, mean: tuple, std: tuple, batch: int) -> DataLoader:
    """Shuffled batches of float32 images (B, 3, H, W) and labels, prepared one image at a time."""
    return DataLoader(PillowImages(data, shift, mean, std), batch, shuffle=True)


def skew(x: torch.Tensor) -> torch.Tensor:
    """(..., H, W) -> (..., H, W+H-1): row y moved y to the right, so that a diagonal is a column; zeros around."""
    height, width = x.shape[-2:]
    # H zeros after each row: read W+H-1 at a time, each row starts one later
    padded = torch.nn.functional.pad(x, (0, height)).flatten(-2)
    return padded[..., :-height].unflatten(-1, (height, width + height - 1))


def unskew(x: torch.Tensor) -> torch.Tensor:
    """(..., H, W+H-1) -> (..., H, W): what `skew` made, back."""
    height, width = x.shape[-2], x.shape[-1] - x.shape[-2] + 1
    padded = torch.nn.functional.pad(x.flatten(-2), (0, height))
    return padded.unflatten(-1, (height, width + height))[..., :width]


def plain_row_lstm(layer: RowLayer, x: torch.Tensor) -> torch.Tensor:
    """The hidden states of a Row LSTM (B, h, H, W) from features (B, 2h, H, W), row after row."""
    hidden = cell = x.new_zeros(len(x), layer.hidden, x.shape[3])
    hiddens = []
    for row in layer.input(x).unbind(2):  # (B, 4h, W)
        hidden, cell = lstm_cell(row + layer.state(hidden), cell, 1)
        hiddens.append(hidden)
    return torch.stack(hiddens, 2)


def plain_diagonal_lstm(layer: DiagonalLayer, x: torch.Tensor) -> torch.Tensor:
    """Of a Diagonal BiLSTM (2, B, h, H, W): from the left and, not yet moved down, from the right, on skewed maps."""
    left, right = layer.input(x).chunk(2, 1)  # (B, 4h, H, W)
    gates = skew(torch.stack([left, right.flip(-1)], 1))  # (B, 2, 4h, H, W+H-1)
    # A cell outside the image gets zero gates and states of other such cells, so that its own state is zero.
    hidden = cell = x.new_zeros(len(x), 2, layer.hidden, x.shape[2])
    hiddens = []
    for diagonal in gates.unbind(-1):
        above = torch.nn.functional.pad(hidden.flatten(1, 2), (1, 0))  # (B, 2h, H+1)
        hidden, cell = lstm_cell(diagonal + layer.state(above).unflatten(1, (2, -1)), cell, 2)
        hiddens.append(hidden)
    left, right = unskew(torch.stack(hiddens, -1)).unbind(1)
    return torch.stack([left, right.flip(-1)])


@contextlib.contextmanager
def plain_scans(model: RowLSTM | DiagonalBiLSTM) -> Iterator[None]:
    """A context in which its layers go through the image in operations of torch, differentiated by autograd."""
    plain = plain_row_lstm if isinstance(model, RowLSTM) else plain_diagonal_lstm

    def scan(layer: RowLayer | DiagonalLayer, x: torch.Tensor) -> tuple[torch.Tensor, None]:
        return plain(layer, x), None

    def outer(layer: RowLayer | DiagonalLayer, x: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        if isinstance(layer, DiagonalLayer):
            left, right = hidden
            hidden = left + torch.nn.functional.pad(right, (0, 0, 1, -1))
        return x + layer.up(hidden)

    for layer in model.layers:
        layer.scan, layer.outer = functools.partial(scan, layer), functools.partial(outer, layer)  # shadow the class's
    try:
        yield
    finally:
        for layer in model.layers:
            del layer.scan, layer.outer


def plain_logits(model: CausalConvModel, images: torch.Tensor, label: torch.Tensor | None = None) -> torch.Tensor:
    """`logits` as they are usually computed: channels first, whole kernels, LSTMs in operations of torch."""

    def whole(conv: MaskedConv2d, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.conv2d(x, conv.masked(), conv.bias, padding=conv.padding)

    convs = [module for module in model.modules() if isinstance(module, MaskedConv2d)]
    for conv in convs:
        conv.forward = functools.partial(whole, conv)  # shadows the class's own
    try:
        with plain_scans(model) if isinstance(model, (RowLSTM, DiagonalBiLSTM)) else contextlib.nullcontext():
            out = model.head(model.features(model.scale(model.quantise(images)), label))  # (B, C * outputs, H, W)
    finally:
        for conv in convs:
            del conv.forward
    return model.full(out.unflatten(1, (model.shape[0], -1)).movedim(2, -1))


def plain_loss(model: CausalConvModel, images: torch.Tensor) -> torch.Tensor:
    """The loss that `forward` gives, by `plain_logits` and torch's cross-entropy."""
    logits, levels = plain_logits(model, images), model.quantise(images)
    return torch.nn.functional.cross_entropy(logits.flatten(0, -2), levels.flatten())
