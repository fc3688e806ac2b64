"""The residual layers of the PixelRNN family: convolution, Row LSTM, Diagonal BiLSTM.

Van den Oord et al. 2016, arXiv 1601.06759, sections 3.1 to 3.5 and figure 5. Each takes and gives 2h features a pixel
and adds to them what it finds with h. In all of them only the way to the same pixel is masked by channel groups: a
state of an earlier pixel may be seen whole.
"""

import torch
from torch import nn
from torch.nn import functional as F

from .masked import MaskedConv2d
from .scan import Reordered, Scan, by_image, by_pixel, diagonal_order, diagonals, rows

RELU = 2**0.5  # gain for inputs that a ReLU has halved


class PixelBlock(nn.Module):
    """Residual block of the PixelCNN: ReLU, 1x1 (2h -> h), ReLU, 3x3 (h -> h), ReLU, 1x1 (h -> 2h), all mask B.

    Args:
        hidden: h. channels: of the image. depth: layers in all; the more there are, the less each adds at the start.
    """

    def __init__(self, hidden: int, channels: int, depth: int):
        super().__init__()
        self.narrow = MaskedConv2d("B", 2 * hidden, hidden, (1, 1), channels, gain=RELU)
        self.middle = MaskedConv2d("B", hidden, hidden, (3, 3), channels, gain=RELU)
        self.wide = MaskedConv2d("B", hidden, 2 * hidden, (1, 1), channels, gain=RELU * depth**-0.5)

    def inner(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 2h, H, W) -> (B, h, H, W): all that later pixels see of this block."""
        return self.narrow(x.relu()).relu()

    def outer(self, x: torch.Tensor, inner: torch.Tensor) -> torch.Tensor:
        """The features and what `inner` made of them -> (B, 2h, H, W)."""
        return x + self.wide(self.middle(inner).relu())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 2h, H, W) -> (B, 2h, H, W)."""
        return self.outer(x, self.inner(x))


def lstm_cell(gates: torch.Tensor, cell: torch.Tensor, dim: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Gates i, f, o, g, four parts along `dim` before their non-linearity, and the cell before -> hidden and cell."""
    i, f, o, g = gates.chunk(4, dim)
    cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
    return o.sigmoid() * cell.tanh(), cell


def remember(bias: torch.Tensor) -> None:
    """Open the forget gates of a bias (..., 4h) by 1, so that a state lasts from the start; the paper says nothing."""
    with torch.no_grad():
        bias.unflatten(-1, (4, -1))[..., 1, :] = 1


class RowLayer(nn.Module):
    """Row LSTM, section 3.1: from top to bottom, all pixels of a row at once; a state sees three of the row above.

    Input-to-state is a masked 1x3 convolution (2h -> 4h) of the whole image, state-to-state a 1x3 one (h -> 4h) of the
    row above, which is past and so not masked.
    """

    def __init__(self, hidden: int, channels: int, depth: int):
        super().__init__()
        self.hidden = hidden
        self.input = MaskedConv2d("B", 2 * hidden, 4 * hidden, (1, 3), channels, chunks_out=4)
        self.state = nn.Conv1d(hidden, 4 * hidden, 3, padding=1, bias=False)
        self.input.gates = self.state.gates = 4  # matrices, which Muon takes one by one
        self.up = MaskedConv2d("B", hidden, 2 * hidden, (1, 1), channels, gain=RELU * depth**-0.5)
        remember(self.input.bias)

    def scan(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, 2h, H, W) -> hidden states and cells, (B, h, H, W) each."""
        batch, _, height, width = x.shape
        padded = F.pad(by_pixel(x), (0, 0, 0, 0, 1, 0))  # (H, W + 1, B, 2h): convolved as if a row were an image
        kernel = self.input.kernel().transpose(2, 3)  # (4h, 2h, 2, 1): a row is upright there
        gates = F.conv2d(padded.movedim(3, 1), kernel, self.input.bias)  # (H, 4h, W, B)
        gates = gates.movedim(1, 3).reshape(1, height * width * batch, -1)
        weight = self.state.weight.to(gates.dtype).permute(2, 0, 1)[:, None]  # (3, 1, 4h, h)
        hidden, cell = Scan.apply(gates, weight, rows(height, width, batch))
        return tuple(by_image(state.view(height, width, batch, -1)) for state in (hidden, cell))

    def outer(self, x: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        """The features (B, 2h, H, W) and the hidden states of `scan` -> (B, 2h, H, W)."""
        return by_image(self.up.linear(by_pixel(hidden))) + x  # so it lies by pixel, for the next layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 2h, H, W) -> (B, 2h, H, W)."""
        return self.outer(x, self.scan(x)[0])


class DiagonalLayer(nn.Module):
    """Diagonal BiLSTM, section 3.2: two LSTMs along the diagonals, from the left and from the right.

    Each state sees that of the pixel beside it and that of the pixel above. Input-to-state is masked, 1x1 (2h -> 4h a
    direction); state-to-state, 2x1 on the skewed map (h -> 4h), sees the past only. What comes from the right is moved
    down by a row, for there a pixel beside is a pixel to come.
    """

    def __init__(self, hidden: int, channels: int, depth: int):
        super().__init__()
        self.hidden = hidden
        self.input = MaskedConv2d("B", 2 * hidden, 8 * hidden, (1, 1), channels, chunks_out=8)  # 4 gates from the left
        self.state = nn.Conv1d(2 * hidden, 8 * hidden, 2, groups=2, bias=False)  # taps: of the row above, of this row
        self.input.gates = self.state.gates = 8
        self.up = MaskedConv2d("B", hidden, 2 * hidden, (1, 1), channels, gain=RELU * depth**-0.5)
        remember(self.input.bias.view(2, -1))

    def scan(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, 2h, H, W) -> hidden states and cells from the left and from the right, (2, B, h, H, W) each."""
        batch, features, height, width = x.shape
        order = diagonal_order(height, width).to(x.device)
        orders = torch.stack([order, order + width - 1 - 2 * (order % width)])  # and of the pixels across
        pixels = Reordered.apply(by_pixel(x).reshape(1, height * width, -1), orders).view(2, -1, features)
        kernel = self.input.masked().view(2, -1, features).transpose(1, 2)  # (2, 2h, 4h)
        gates = torch.baddbmm(self.input.bias.view(2, 1, -1), pixels, kernel)  # (2, H W B, 4h)
        weight = self.state.weight.to(gates.dtype).unflatten(0, (2, -1)).permute(3, 0, 1, 2)  # (2, 2, 4h, h)
        states, back = Scan.apply(gates, weight, diagonals(height, width, batch)), orders.argsort()
        states = (Reordered.apply(state.view(2, height * width, -1), back) for state in states)
        return tuple(by_image(state.view(2, height, width, batch, -1)) for state in states)

    def outer(self, x: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        """The features (B, 2h, H, W) and the hidden states of `scan` -> (B, 2h, H, W)."""
        left, right = by_pixel(hidden)  # (H, W, B, h)
        below = F.pad(right, (0, 0, 0, 0, 0, 0, 1, -1))
        return by_image(self.up.linear(left + below)) + x

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 2h, H, W) -> (B, 2h, H, W)."""
        return self.outer(x, self.scan(x)[0])
