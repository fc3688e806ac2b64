"""What the tests share. A new model adds one line to TINY and is held to every promise that all models make."""

import os

from environment import data_environment, is_whole, past_proxies

os.environ |= (
    past_proxies()
    | data_environment()
    | {  # read when the libraries are imported, so before them
        "OMP_NUM_THREADS": "1",
        "GRADIO_ANALYTICS_ENABLED": "False",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "MPLBACKEND": "Agg",
    }
)

import dataclasses
import inspect
import io
from collections.abc import Iterator
from typing import NoReturn

import commands
import pytest
import torch
from PIL import Image

from hub_models import (
    MODELS,
    AutoregressiveImageModel,
    CharLSTMConfig,
    CNNConfig,
    DiagonalBiLSTMConfig,
    FastCNNConfig,
    GatedPixelCNNConfig,
    HubModel,
    PixelClassifierConfig,
    PixelCNNConfig,
    PixelPredictorConfig,
    RowLSTMConfig,
    TextModel,
    WordLSTMConfig,
)
from hub_models.config import ModelConfig
from training.data import ImageData, load_split

torch.set_num_threads(1)

PHOTOS = {
    **{"names": ("a", "b", "c"), "mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.4), "height": 12, "width": 10},
    **{"smoothing": 0.1},
}
CAUSAL = {"channels": 2, "height": 3, "width": 4, "levels": 3, "threshold": 99, "layers": 2}
RECURRENT = {
    **{"cell": "gru", "embedding": 5, "widths": (7, 6), "timescale": 9},  # the head joins widths 6 and 5
    **{"dropout": 0.1, "input_dropout": 0.2, "variational": True, "weight_drop": 0.3, "tied": True},
}
# A tiny config for each model_type, in which no field has its default, so that a field that gets lost is missed.
TINY: dict[str, ModelConfig] = {
    config.model_type: config
    for config in (
        CNNConfig(num_layers=3, filters=4, dropout=0.2, **PHOTOS),
        FastCNNConfig(
            widths=(4, 6, 8), residual=True, whitening=False, dirac=False, bias_rate=3.0, muon_step=0.5, **PHOTOS
        ),
        PixelClassifierConfig(
            **{"cell": "lstm", "hidden_size": 6, "num_layers": 2, "classes": 5, "height": 3, "width": 4},
            **{"threshold": 99, "timescale": 9, "prefixes": 2},
        ),
        PixelPredictorConfig(hidden_size=6, num_layers=2, height=3, width=4, threshold=99, timescale=9),
        # Widths that the channels do not divide.
        PixelCNNConfig(hidden=7, head=8, skip=True, **CAUSAL),
        RowLSTMConfig(hidden=5, head=7, skip=True, **CAUSAL),
        DiagonalBiLSTMConfig(hidden=5, head=7, skip=True, **CAUSAL),
        GatedPixelCNNConfig(hidden=7, head=11, **CAUSAL),  # unconditional: the only default among them
        CharLSTMConfig(vocab_size=20, **RECURRENT),
        WordLSTMConfig(vocab_size=15, dense=8, dense_dropout=0.1, cleaned=True, **RECURRENT),
    )
}
if set(TINY) != set(MODELS):
    raise pytest.UsageError(f"TINY in tests/conftest.py and hub_models.MODELS differ: {set(TINY) ^ set(MODELS)}")
IMAGE_MODELS = [name for name, model in MODELS.items() if issubclass(model, AutoregressiveImageModel)]
TEXT_MODELS = [name for name, model in MODELS.items() if issubclass(model, TextModel)]
LINES = [  # to which tokenizers are fitted; of more characters and words than the tiny vocabularies have room for
    "ROMEO:\nO, she doth teach the torches to burn bright!\n\n'Tis the east, and Juliet's the sun.\n",
    "[Enter the\nGhost] To be, or not to be:  that is the question.\nTo sleep, to dream; and the sun to rise.\n",
]


def pytest_configure(config: pytest.Config) -> None:
    """Let all workers share the servers of `commands`."""
    if not hasattr(config, "workerinput"):
        commands.open_servers()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with files that start processes: they take longest, and one worker should not be left with them alone."""
    items.sort(key=lambda item: not {"commands", "subprocess", "selenium"} & set(vars(item.module)))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a whole data set where only the samples in tests/data are at hand."""
    if item.get_closest_marker("whole_data") and not is_whole():
        absent("needs the whole data sets, in the caches of the Hub and of kagglehub")


def absent(reason: str) -> NoReturn:
    """Skip a test for want of something, or fail it where all is meant to be there (SCANLINE_NO_SKIP=1)."""
    if os.environ.get("SCANLINE_NO_SKIP") == "1":
        pytest.fail(f"{reason}, and SCANLINE_NO_SKIP=1", pytrace=False)
    pytest.skip(reason)


def build(model_type: str, **changes) -> HubModel:
    """The tiny model of a type, with these fields of its config changed, from a fixed seed, in train() mode."""
    return from_config(dataclasses.replace(TINY[model_type], **changes))


def from_config(config: ModelConfig, lines: list[str] = LINES) -> HubModel:
    """A model from a fixed seed; one of text has the tokenizer of these lines, and as many tokens as that."""
    torch.manual_seed(0)
    kind = MODELS[config.model_type]
    return kind.fitted(config, lines) if issubclass(kind, TextModel) else kind(config)


def enliven(model: HubModel) -> HubModel:
    """Move all weights far from their initialisation, those that start at zero too, and make them float64.

    Then the model is far from uniform, what should matter does, and rounding hides nothing.
    """
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.double().parameters():
            parameter += 0.7 * torch.randn_like(parameter)
    return model


def random_images(model: HubModel, n: int, seed: int = 0) -> torch.Tensor:
    """uint8 (n, C, H, W) of the model's shape, all values from 0 to 255."""
    return torch.randint(256, (n, *model.shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def random_tokens(model: TextModel, *shape: int, seed: int = 0) -> torch.Tensor:
    """int64 of a shape: any tokens of a text model but the symbol for what its vocabulary lacks."""
    known = torch.tensor([token for token in range(model.config.vocab_size) if token != model.unknown])
    return known[torch.randint(len(known), shape, generator=torch.Generator().manual_seed(seed))]


def random_text(model: TextModel, n: int = 30, seed: int = 0) -> str:
    """A text of so many of a text model's own tokens."""
    return model.decode(random_tokens(model, n, seed=seed))


def random_batch(model: HubModel, n: int = 4) -> dict[str, torch.Tensor]:
    """What the model's forward takes, by name."""
    if isinstance(model, TextModel):
        return {"tokens": random_tokens(model, n, 8)}
    makers = {
        "images": lambda: random_images(model, n),
        "labels": lambda: torch.arange(n) % model.config.classes,
    }
    if not getattr(model.config, "classes", 0):
        del makers["labels"]
    return {name: makers[name]() for name in inspect.signature(model.forward).parameters if name in makers}


@pytest.fixture(scope="session", autouse=True)
def blank_dashboards() -> Iterator[None]:
    """Leave out the curves of runs in this process: they take as long as a toy run. Forked commands draw them."""
    blank = io.BytesIO()
    Image.new("L", (1, 1)).save(blank, "WEBP")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.train.draw_dashboard", lambda *given: given[-1].write_bytes(blank.getvalue()))
        yield


@pytest.fixture(params=MODELS)
def model(request) -> HubModel:
    return build(request.param)


@pytest.fixture(params=IMAGE_MODELS)
def image_model(request) -> AutoregressiveImageModel:
    return build(request.param)


@pytest.fixture(scope="session")
def mnist() -> ImageData:
    return load_split("mnist", "validation")


@pytest.fixture(scope="session")
def cifar10() -> ImageData:
    return load_split("cifar10", "validation")
