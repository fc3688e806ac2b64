"""The registry: every model class by its `model_type`, and `load`, which opens any checkpoint with it."""

from pathlib import Path

from .base import HubModel
from .char_lstm import CharLSTM
from .checkpoints import open_checkpoint
from .cnn import CNN
from .config import nearest
from .fast_cnn import FastCNN
from .gated_pixel_cnn import GatedPixelCNN
from .pixel_classifier import PixelClassifier
from .pixel_predictor import PixelPredictor
from .pixel_rnn import DiagonalBiLSTM, PixelCNN, RowLSTM
from .word_lstm import WordLSTM

MODELS: dict[str, type[HubModel]] = {
    model.config_class.model_type: model
    for model in (
        *(CNN, FastCNN, PixelClassifier, PixelPredictor, PixelCNN, RowLSTM, DiagonalBiLSTM, GatedPixelCNN),
        *(CharLSTM, WordLSTM),
    )
}


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
