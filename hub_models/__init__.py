"""Scanline's models: all that is needed to load and use one."""

from pathlib import Path

from .autoregressive import AutoregressiveImageModel
from .base import HubModel, locate, open_checkpoint, shipped
from .char_lstm import CharLSTM, CharLSTMConfig
from .cnn import CNN, CNNConfig
from .config import nearest
from .conv_classifier import ConvClassifier
from .fast_cnn import FastCNN, FastCNNConfig
from .gated_pixel_cnn import GatedPixelCNN, GatedPixelCNNConfig
from .pixel_classifier import PixelClassifier, PixelClassifierConfig
from .pixel_predictor import PixelPredictor, PixelPredictorConfig
from .pixel_rnn import DiagonalBiLSTM, DiagonalBiLSTMConfig, PixelCNN, PixelCNNConfig, RowLSTM, RowLSTMConfig
from .text import TextModel
from .word_lstm import WordLSTM, WordLSTMConfig

MODELS: dict[str, type[HubModel]] = {
    model.config_class.model_type: model
    for model in (
        *(CNN, FastCNN, PixelClassifier, PixelPredictor, PixelCNN, RowLSTM, DiagonalBiLSTM, GatedPixelCNN),
        *(CharLSTM, WordLSTM),
    )
}

__all__ = [
    "CNN",
    "MODELS",
    "AutoregressiveImageModel",
    "CNNConfig",
    "CharLSTM",
    "CharLSTMConfig",
    "DiagonalBiLSTM",
    "DiagonalBiLSTMConfig",
    "FastCNN",
    "FastCNNConfig",
    "GatedPixelCNN",
    "GatedPixelCNNConfig",
    "HubModel",
    "ConvClassifier",
    "PixelCNN",
    "PixelCNNConfig",
    "PixelClassifier",
    "PixelClassifierConfig",
    "PixelPredictor",
    "PixelPredictorConfig",
    "RowLSTM",
    "RowLSTMConfig",
    "TextModel",
    "WordLSTM",
    "WordLSTMConfig",
    "load",
    "locate",
    "shipped",
]


def load(name: str | Path, **kwargs) -> HubModel:
    """Load any Scanline checkpoint: a folder, a shipped name, or a Hub repository `owner/name`.

    Args:
        name: an existing folder first; without a slash a shipped name; else the Hub.
        **kwargs: `revision`, `token`, `cache_dir`, `force_download`, `local_files_only`, `map_location`.

    Raises:
        FileNotFoundError: nothing there. ValueError: a damaged or foreign checkpoint.
    """
    stored = open_checkpoint(name, **kwargs)
    model_type = stored.config["model_type"]
    if model_type not in MODELS:
        raise ValueError(f"{stored.source}: unknown model_type {model_type!r}: {nearest(model_type, sorted(MODELS))}")
    return MODELS[model_type].from_stored(stored)
