"""What the tests share. A model that a file in tests/families knows is held to every promise that all models make."""

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
import io
from collections.abc import Callable, Iterator
from typing import NoReturn

import commands
import families
import pytest
import torch
from PIL import Image

from hub_models import MODELS, AutoregressiveImageModel, HubModel, TextModel
from hub_models.config import ModelConfig
from training.data import ImageData, load_split

torch.set_num_threads(1)

FAMILIES = families.all_families()
FAMILY_OF = families.family_of(FAMILIES, MODELS)
TINY: dict[str, ModelConfig] = {config.model_type: config for family in FAMILIES for config in family.TINY}


def types_of(*bases: type[HubModel]) -> list[str]:
    """Types of the models that can do what one of these bases stands for."""
    return [name for name, model in MODELS.items() if issubclass(model, bases)]


AUTOREGRESSIVE, TEXT_MODELS = types_of(AutoregressiveImageModel), types_of(TextModel)
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


def random_batch(model: HubModel, n: int = 4) -> dict[str, torch.Tensor]:
    """What the model's forward takes, by name."""
    return FAMILY_OF[model.config.model_type].batch(model, n)


def questions(model: HubModel) -> dict[str, Callable]:
    """The calls by which a trained model is used: name -> what it answers, always from the same noise."""
    return FAMILY_OF[model.config.model_type].questions(model)


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


@pytest.fixture(params=AUTOREGRESSIVE)
def autoregressive(request) -> AutoregressiveImageModel:
    return build(request.param)


@pytest.fixture(scope="session")
def mnist() -> ImageData:
    return load_split("mnist", "validation")


@pytest.fixture(scope="session")
def cifar10() -> ImageData:
    return load_split("cifar10", "validation")
