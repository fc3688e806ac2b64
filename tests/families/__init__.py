"""What the contract tests need to know of each family of models: a new family adds a file here.

A file gives:

- `TINY`: a tiny config for each model type. No field has its default, so that a test notices when one gets lost.
- `batch(model, n)`: a batch of n items for `forward`, by name.
- `questions(model)`: the calls by which a trained model is used, name -> a function without arguments. Each answers
  from the same noise every time, with a tensor or with what `==` compares.
"""

import importlib
import pkgutil
from collections import Counter
from collections.abc import Iterable
from types import ModuleType

import pytest


def all_families() -> list[ModuleType]:
    """Import every file of this folder."""
    return [importlib.import_module(f"families.{found.name}") for found in pkgutil.iter_modules(__path__)]


def family_of(families: list[ModuleType], model_types: Iterable[str]) -> dict[str, ModuleType]:
    """Return the family of each model type.

    Raises:
        pytest.UsageError: the families' configs are not exactly one for each of the model types.
    """
    given = Counter(config.model_type for family in families for config in family.TINY)
    faults = {
        "no file in tests/families has a config of": set(model_types) - set(given),
        "hub_models.MODELS lacks": set(given) - set(model_types),
        "tests/families has more than one config of": {name for name, count in given.items() if count > 1},
    }
    found = [f"{fault} {', '.join(sorted(names))}" for fault, names in faults.items() if names]
    if found:
        raise pytest.UsageError("; ".join(found))
    own = {config.model_type: family for family in families for config in family.TINY}
    return {name: own[name] for name in model_types}
