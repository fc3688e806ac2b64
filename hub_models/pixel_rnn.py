"""The PixelRNN family: PixelCNN, Row LSTM and Diagonal BiLSTM, one shell around three kinds of layer.

Van den Oord, Kalchbrenner and Kavukcuoglu 2016, "Pixel Recurrent Neural Networks", arXiv 1601.06759: a 7x7 mask-A
convolution to 2h features, residual layers on them, two 1x1 mask-B layers, and a softmax over the levels of each
sub-pixel, of which R is seen by G and both by B in every layer. What the paper leaves open or differs here:

- Level-to-level: bytes become `levels` equal ranges (256: the bytes themselves), scaled to -1..1.
- Masked weights start at random, scaled by the number of unmasked taps, and the last of each residual layer by the root
  of the depth besides: then activations keep their scale however deep the net is. State-to-state weights start as
  PyTorch's convolutions do, and the biases of forget gates at 1.
- Skip connections (`skip`), of which the paper gives no form: the head reads the features before and after each layer.
- The state from the right in the Diagonal BiLSTM is that of features which predict their pixel and so have not seen it
  (mask A). Moved down by a row, as the paper has it, the states leave one sub-pixel unseen where the 7x7 convolution
  does not reach: the last of the row above, from more than three pixels to its left.
"""

from dataclasses import dataclass

import torch
from torch import nn

from .causal_conv import CausalConvConfig, CausalConvModel, Head
from .layers.masked import MaskedConv2d
from .layers.residual_walk import ConvolutionWalk, DiagonalWalk, ResidualWalk, RowWalk
from .layers.spatial import DiagonalLayer, PixelBlock, RowLayer

CITATION = """@inproceedings{vandenoord2016pixelrnn,
  title={Pixel Recurrent Neural Networks},
  author={van den Oord, A{\\"a}ron and Kalchbrenner, Nal and Kavukcuoglu, Koray}, booktitle={ICML}, year={2016},
  eprint={1601.06759}, archivePrefix={arXiv}}"""
LIMITS = (
    "It knows only images of its own size, channels and training data. A completion sees only what comes before a "
    "missing pixel in raster order: what is known below or to the right of the hole does not guide it."
)
NEAR = (
    f"{LIMITS} Nor does what lies farther than the layers reach: the first sees three pixels up and to either side, "
    "each further one a pixel more."
)
USAGE = """images = model.sample(2, generator=torch.Generator().manual_seed(0))  # uint8 (2, C, H, W)
nats = model.log_prob(images)  # (2,)
_, height, width = model.shape
known = (torch.arange(height) < height // 2).view(1, 1, -1, 1).expand(1, 1, height, width)  # the lower half is missing
completions = model.complete(images, known, n=3)  # (2, 3, C, H, W)"""


@dataclass
class PixelRNNConfig(CausalConvConfig):
    """Architecture and preprocessing of a model of the PixelRNN family."""

    skip: bool = False  # the head reads every layer, not only the last

    def __post_init__(self):
        super().__post_init__()
        self.check_bool("skip")


class PixelRNN(CausalConvModel):
    """The shell: a subclass names its `layer`, made from (hidden, channels, depth), and its walk."""

    abstract = True
    layer: type[nn.Module]
    steps: type[ResidualWalk]
    limits, citation, usage = LIMITS, CITATION, USAGE

    def __init__(self, config: PixelRNNConfig):
        super().__init__(config)
        hidden, channels, depth = config.hidden, config.channels, config.layers
        self.first = MaskedConv2d("A", channels, 2 * hidden, (7, 7), channels)
        self.layers = nn.ModuleList(self.layer(hidden, channels, depth) for _ in range(depth))
        chunks = 1 + depth if config.skip else 1
        self.head = Head(2 * hidden * chunks, chunks, config)

    def features(self, pixels: torch.Tensor, label: torch.Tensor | None) -> torch.Tensor:
        """Scaled pixels (B, C, H, W) -> what the head reads, (B, features, H, W)."""
        between = [self.first(pixels)]  # each (B, 2h, H, W)
        for layer in self.layers:
            between.append(self.through(layer, between[-1]))
        return torch.cat(between, 1) if self.config.skip else between[-1]

    def walk(self, pixels: torch.Tensor, y: int, x: int, label: torch.Tensor | None) -> ResidualWalk:
        """From pixel (y, x) on, given the scaled pixels (B, C, H, W) before it."""
        return self.steps(self, pixels, y, x)


@dataclass
class PixelCNNConfig(PixelRNNConfig):
    """Architecture and preprocessing of a PixelCNN."""

    model_type: str = "pixel_cnn"


class PixelCNN(PixelRNN, tags=["pixelcnn", "autoregressive", "inpainting"]):
    """Residual masked convolutions, section 3.3: fast to train, with a blind spot to the right above."""

    config_class = PixelCNNConfig
    layer = PixelBlock
    steps = ConvolutionWalk
    title = "PixelCNN"
    about = (
        "Masked convolutions give the distribution of each colour of each pixel in turn, given all colours and pixels "
        "before it that they see. The product of these is the exact probability of the image. What stands far to the "
        "right in the rows above is never seen: the blind spot of stacked 3x3 masks."
    )
    limits = NEAR


@dataclass
class RowLSTMConfig(PixelRNNConfig):
    """Architecture and preprocessing of a RowLSTM."""

    model_type: str = "row_lstm"


class RowLSTM(PixelRNN, tags=["pixelrnn", "rnn", "autoregressive", "inpainting"]):
    """LSTMs from row to row, section 3.1: each pixel sees a triangle above it, as high as the image."""

    config_class = RowLSTMConfig
    layer = RowLayer
    steps = RowWalk
    title = "Row LSTM"
    about = (
        "LSTM layers that go through the image row by row, all pixels of a row at once, give the distribution of each "
        "colour of each pixel in turn. The product of these is the exact probability of the image. A pixel sees a "
        "triangle of the rows above, and of its own row what the convolutions reach."
    )


@dataclass
class DiagonalBiLSTMConfig(PixelRNNConfig):
    """Architecture and preprocessing of a DiagonalBiLSTM."""

    model_type: str = "diagonal_bilstm"


class DiagonalBiLSTM(PixelRNN, tags=["pixelrnn", "rnn", "autoregressive", "inpainting"]):
    """LSTMs along the diagonals from both sides, section 3.2: all that came before is seen, but a pixel."""

    config_class = DiagonalBiLSTMConfig
    layer = DiagonalLayer
    steps = DiagonalWalk
    title = "Diagonal BiLSTM"
    about = (
        "LSTM layers that go through the image along its diagonals, from the left and from the right, give the "
        "distribution of each colour of each pixel in turn. The product of these is the exact probability of the "
        "image. A pixel sees all that comes before it but one: the last of the row above, where that is more than "
        "three to its right, is hidden by the paper's shift of what comes from the right."
    )
