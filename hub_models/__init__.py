"""Scanline's models: all that is needed to load and use one."""

from .autoregressive import AutoregressiveImageModel
from .base import HubModel
from .char_lstm import CharLSTM, CharLSTMConfig
from .checkpoints import locate, shipped
from .cnn import CNN, CNNConfig
from .conv_classifier import ConvClassifier
from .fast_cnn import FastCNN, FastCNNConfig
from .gated_pixel_cnn import GatedPixelCNN, GatedPixelCNNConfig
from .image_model import Classifier, ImageGenerator, ImageModel
from .pixel_classifier import PixelClassifier, PixelClassifierConfig
from .pixel_predictor import PixelPredictor, PixelPredictorConfig
from .pixel_rnn import DiagonalBiLSTM, DiagonalBiLSTMConfig, PixelCNN, PixelCNNConfig, RowLSTM, RowLSTMConfig
from .registry import MODELS, load
from .text import TextModel
from .word_lstm import WordLSTM, WordLSTMConfig

__all__ = [
    "CNN",
    "MODELS",
    "AutoregressiveImageModel",
    "CNNConfig",
    "CharLSTM",
    "CharLSTMConfig",
    "Classifier",
    "ConvClassifier",
    "DiagonalBiLSTM",
    "DiagonalBiLSTMConfig",
    "FastCNN",
    "FastCNNConfig",
    "GatedPixelCNN",
    "GatedPixelCNNConfig",
    "HubModel",
    "ImageGenerator",
    "ImageModel",
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
