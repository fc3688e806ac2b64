"""The PixelRNN family and the gated PixelCNN."""

from asking import autoregressive_questions, image_batch

from hub_models import DiagonalBiLSTMConfig, GatedPixelCNNConfig, PixelCNNConfig, RowLSTMConfig

CAUSAL = {"channels": 2, "height": 3, "width": 4, "levels": 3, "threshold": 99, "layers": 2}
TINY = (  # widths that the channels do not divide
    PixelCNNConfig(hidden=7, head=8, skip=True, **CAUSAL),
    RowLSTMConfig(hidden=5, head=7, skip=True, **CAUSAL),
    DiagonalBiLSTMConfig(hidden=5, head=7, skip=True, **CAUSAL),
    GatedPixelCNNConfig(hidden=7, head=11, **CAUSAL),  # unconditional: the only default among them
)
batch, questions = image_batch, autoregressive_questions
