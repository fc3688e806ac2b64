"""The residual layers of the PixelRNN family: convolution, Row LSTM, Diagonal BiLSTM.

Van den Oord et al. 2016, arXiv 1601.06759, sections 3.1 to 3.5 and figure 5. Each takes and gives 2h features a pixel
and adds to them what it finds with h. In all of them only the way to the same pixel is masked by channel groups: a
state of an earlier pixel may be seen whole.
"""

import torch
from torch import nn
from torch.nn import functional as F

from .masked import MaskedConv2d

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


def lstm_cell(gates: torch.Tensor, cell: torch.Tensor, dim: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
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
        self.up = MaskedConv2d("B", hidden, 2 * hidden, (1, 1), channels, gain=RELU * depth**-0.5)
        remember(self.input.bias)

    def scan(self, x: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """(B, 2h, H, W) -> hidden states and cells, (B, h, W) for each of the H rows."""
        gates = self.input(x)  # (B, 4h, H, W)
        hidden = cell = x.new_zeros(len(x), self.hidden, x.shape[3])
        hiddens, cells = [], []
        for row in gates.unbind(2):
            hidden, cell = lstm_cell(row + self.state(hidden), cell)
            hiddens.append(hidden)
            cells.append(cell)
        return hiddens, cells

    def outer(self, x: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        """The features and the hidden states (B, h, H, W) -> (B, 2h, H, W)."""
        return x + self.up(hidden)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 2h, H, W) -> (B, 2h, H, W)."""
        return self.outer(x, torch.stack(self.scan(x)[0], 2))


def skew(x: torch.Tensor) -> torch.Tensor:
    """(..., H, W) -> (..., H, W+H-1): row y moved y to the right, so that a diagonal is a column; zeros around."""
    height, width = x.shape[-2:]
    padded = F.pad(x, (0, height)).flatten(
        -2
    )  # H zeros after each row: read W+H-1 at a time, each row starts one later
    return padded[..., :-height].unflatten(-1, (height, width + height - 1))


def unskew(x: torch.Tensor) -> torch.Tensor:
    """(..., H, W+H-1) -> (..., H, W): what `skew` made, back."""
    height, width = x.shape[-2], x.shape[-1] - x.shape[-2] + 1
    return F.pad(x.flatten(-2), (0, height)).unflatten(-1, (height, width + height))[..., :width]


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
        self.up = MaskedConv2d("B", hidden, 2 * hidden, (1, 1), channels, gain=RELU * depth**-0.5)
        remember(self.input.bias.view(2, -1))

    def scan(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, 2h, H, W) -> hidden states and cells, (B, 2, h, H, W) each: from the left and, mirrored, the right."""
        batch, _, height, width = x.shape
        left, right = self.input(x).chunk(2, 1)  # (B, 4h, H, W)
        gates = skew(torch.stack([left, right.flip(-1)], 1))  # (B, 2, 4h, H, W+H-1)
        # A cell outside the image gets zero gates and states of other such cells, so that its own state is zero.
        hidden = cell = x.new_zeros(batch, 2, self.hidden, height)
        hiddens, cells = [], []
        for diagonal in gates.unbind(-1):
            above = F.pad(hidden.flatten(1, 2), (1, 0))  # (B, 2h, H+1)
            hidden, cell = lstm_cell(diagonal + self.state(above).unflatten(1, (2, -1)), cell, 2)
            hiddens.append(hidden)
            cells.append(cell)
        return unskew(torch.stack(hiddens, -1)), unskew(torch.stack(cells, -1))

    def outer(self, x: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        """The features and the hidden states (B, 2, h, H, W), those from the right mirrored -> (B, 2h, H, W)."""
        left, right = hidden.unbind(1)  # (B, h, H, W)
        below = F.pad(right.flip(-1), (0, 0, 1, 0))[..., :-1, :]
        return x + self.up(left + below)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 2h, H, W) -> (B, 2h, H, W)."""
        return self.outer(x, self.scan(x)[0])
