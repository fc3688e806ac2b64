"""A recipe: everything that decides a training run, as a typed value."""

import dataclasses
from dataclasses import MISSING, dataclass, fields
from typing import Any

from hub_models import MODELS, HubModel
from hub_models.config import ModelConfig
from training.options import card_rows, check_bounds, option, options_of, values_of
from training.tasks import Task


@dataclass(frozen=True)
class Recipe:
    """One named training run.

    Attributes:
        about: one sentence for the card: whose settings these are and what differs.
        model: the model's config.
        data: a key of `training.data.DATASETS`.
        training: fields of `transformers.TrainingArguments` that differ from its defaults.
        task: the kind of training, with its options; the options below are those that every kind has.
    """

    about: str
    model: ModelConfig
    data: str
    training: dict[str, Any]
    task: Task
    patience: int = option(
        0,
        "validations without improvement before training stops; 0: never",
        low=0,
        row="patience",
        card="{} validations",
    )
    float32_from: float = option(
        1.0,
        "with bf16, the fraction of the steps after which training goes on in float32, so that the weights settle for "
        "the arithmetic that they are evaluated in; 1: never",
        low=0,
        high=1,
        row="float32 from",
        card="{:.0%} of the steps",
    )
    ema: float = option(
        0.0,
        "decay of the exponential average of the weights over steps that is evaluated and kept; 0 keeps the last",
        low=0,
        below=1,
        row="weights kept",
        card="their average over steps, decay {}",
    )
    clip_value: float = option(
        0.0, "cut each component of the gradient off at this; 0: never", low=0, row="clipped by value"
    )
    muon: bool = option(False, "step the kernels of convolutions by Muon, and all else as without it")
    store_fp16: bool = option(False, "store the weights in float16, before they are evaluated")

    def check(self) -> None:
        """Refuse options that are out of bounds, or that do not suit the model or each other.

        Raises:
            ValueError: with the option and what to give.
        """
        check_bounds(self)
        kind = MODELS[self.model.model_type]
        if not issubclass(kind, self.task.models):
            raise ValueError(
                f"a {self.model.model_type} is not trained by {type(self.task).__name__}: change the recipe"
            )
        if self.muon and not kind.muon:
            raise ValueError(f"--muon does not suit a {self.model.model_type}: leave it out")
        self.task.check(self.model)

    def options(self) -> dict[str, Any]:
        """All options, the task's too, as `recipe.json` holds them."""
        return values_of(self) | values_of(self.task)

    def settings(self) -> dict[str, str]:
        """The rows that the options fill in the training table of the card."""
        own_groups = MODELS[self.model.model_type].parameter_groups is not HubModel.parameter_groups
        rest = "Nesterov's SGD" if own_groups else "AdamW"
        muon = {"optimiser": f"Muon for kernels between features, {rest} for the rest"} if self.muon else {}
        return card_rows(self.task) | muon | card_rows(self)

    def with_options(self, given: dict[str, Any]) -> "Recipe":
        """The recipe with other values of some of its options and its task's."""
        task = {field.name: given[field.name] for field in options_of(self.task) if field.name in given}
        own = {field.name: given[field.name] for field in options_of(self) if field.name in given}
        return dataclasses.replace(self, **own, task=dataclasses.replace(self.task, **task))


def standards(kind: type) -> dict[str, Any]:
    """What a run older than a field of this dataclass had of it, as JSON holds it."""
    found = {field.name: field.default for field in fields(kind) if field.default is not MISSING}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}
