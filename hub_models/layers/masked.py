"""Masked convolutions: what keeps a convolutional net from seeing the sub-pixels that it is to predict.

Van den Oord et al. 2016, arXiv 1601.06759, section 3.4. The features of a layer belong to the channels of a pixel in
contiguous groups, of which the first are R's, then G's, then B's. Within a pixel a feature of a group sees the groups
before it (mask A, the first layer, which reads the pixels) and its own too (mask B, all later layers).
"""

import torch
from torch import nn
from torch.nn import functional as F


def bounds(width: int, channels: int) -> list[int]:
    """Where the groups of `width` features begin, and the end: channels + 1 numbers; group c is bounds[c]..bounds[c+1].

    Where `channels` does not divide `width`, their sizes differ by one; the first is one of the larger.
    """
    return [-(-width * c // channels) for c in range(channels + 1)]


def groups(width: int, channels: int, chunks: int = 1) -> torch.Tensor:
    """int64 (width,): the group of each feature; `chunks` equal parts, as the gates of an LSTM, are each grouped."""
    return (torch.arange(width // chunks) * channels // (width // chunks)).repeat(chunks)


def channel_mask(kind: str, before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """Which groups `after` (outputs,) may see of those `before` (inputs,) in one pixel: bool (outputs, inputs)."""
    return after[:, None] > before if kind == "A" else after[:, None] >= before


class MaskedConv2d(nn.Conv2d):
    """A convolution, padded to keep the size, that sees rows above, pixels to the left, and of its pixel what it may.

    The weights are masked as they are used and never changed, so that no optimiser or checkpoint can undo it.

    Args:
        kind: "A" or "B".
        kernel: (height, width), both odd.
        channels: of the image, so many groups.
        chunks_in, chunks_out: parts of the inputs and outputs that are grouped each by itself.
        gain: the standard deviation of an output at the start, for inputs of variance 1 and a wide image.
    """

    def __init__(
        self,
        kind: str,
        inputs: int,
        outputs: int,
        kernel: tuple[int, int],
        channels: int,
        *,
        chunks_in: int = 1,
        chunks_out: int = 1,
        gain: float = 1.0,
    ):
        height, width = kernel
        super().__init__(inputs, outputs, kernel, padding=(height // 2, width // 2))
        mask = torch.zeros(outputs, inputs, height, width, dtype=torch.bool)
        mask[:, :, : height // 2] = True
        mask[:, :, height // 2, : width // 2] = True
        before, after = groups(inputs, channels, chunks_in), groups(outputs, channels, chunks_out)
        mask[:, :, height // 2, width // 2] = channel_mask(kind, before, after)
        self.register_buffer("mask", mask, persistent=False)
        fan = mask.sum((1, 2, 3), keepdim=True).clamp(min=1)  # each output has its own number of live taps
        with torch.no_grad():
            self.weight.copy_(torch.randn_like(self.weight) * mask * gain / fan.sqrt())
            self.bias.zero_()

    def masked(self) -> torch.Tensor:
        """The weights as they act, (outputs, inputs, height, width): zero where masked."""
        return self.weight * self.mask

    def kernel(self) -> torch.Tensor:
        """Of `masked` the rows down to the middle and, of a single row, the columns up to it: no other acts at all."""
        high, wide = self.padding
        return self.masked()[:, :, : high + 1, : None if high else wide + 1]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, inputs, H, W) -> (B, outputs, H, W)."""
        out = F.conv2d(x, self.kernel(), self.bias, padding=self.padding)
        return out[:, :, : x.shape[2], : x.shape[3]]  # there are rows below the image, too, or columns right of it

    def linear(self, x: torch.Tensor) -> torch.Tensor:
        """(..., inputs) -> (..., outputs), of a kernel of one tap, for features that lie innermost."""
        return F.linear(x, self.masked()[:, :, 0, 0], self.bias)
