"""A training task: what one kind of training does with its data, its model, its batches and its samples."""

from collections.abc import Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
from transformers import TrainingArguments

from hub_models import HubModel
from hub_models.config import ModelConfig
from training.options import check_bounds


class Progress(NamedTuple):
    """How far a run is."""

    epoch: int  # from 0
    step: int  # steps that are done
    steps: int  # of the whole run

    def stage(self, stages: tuple[int, ...]) -> int:
        """The value of this step, of several that each hold for an equal share of the run."""
        return stages[min(self.step * len(stages) // max(1, self.steps), len(stages) - 1)]


@dataclass(frozen=True)
class Task:
    """One kind of training.

    A subclass declares its options as fields (see `training.options.option`) and the class attributes below. It says
    what differs from kind to kind; `HubTrainer` and `training.train` do the rest.
    """

    models: ClassVar[tuple[type[HubModel], ...]]  # the classes of models that it trains
    evaluations: ClassVar[tuple[str, ...]]  # the evaluation commands for such models
    metrics: ClassVar[tuple[str, ...]] = ("loss",)  # what training and validation measure, the loss in nats first
    examples: ClassVar[str]  # what a data set holds
    unit: ClassVar[str] = "nats"  # of the loss
    bits: ClassVar[str] = ""  # what the loss is in bits, for a second axis of its plots; none: it has none
    stage_suffix: ClassVar[str] = ""  # of the files that `watch` writes; none: it writes nothing

    def check(self, config: ModelConfig) -> None:
        """Refuse options that are out of bounds or do not suit a model.

        Raises:
            ValueError: with the option and what to give.
        """
        check_bounds(self)

    def prepare(
        self, config: ModelConfig, splits: dict[str, Any], args: TrainingArguments
    ) -> tuple[HubModel, dict[str, Sized]]:
        """Make the model of a config, fit for these data, and the data sets that training takes its batches from.

        Args:
            config: of the model.
            splits: the data, "train" and "validation".
            args: the batch sizes, above all.

        Raises:
            ValueError: model and data do not fit each other.
        """
        raise NotImplementedError

    def batch(self, model: HubModel, inputs: dict, indices: torch.Tensor, progress: Progress) -> dict:
        """Prepare a batch for training: augment it, cut it, mix it. Returns what the model's `forward` takes.

        Args:
            model: in training mode.
            inputs: of the data set, on the model's device.
            indices: int64 (B,), the places of the examples in the data set.
            progress: how far the run is.
        """
        return inputs

    def score(self, inputs: dict, outputs: dict) -> dict[str, tuple[torch.Tensor, int]]:
        """Measure a batch by every metric but the loss: its sum over the batch, and how many things that counts.

        Args:
            inputs: what `forward` took.
            outputs: what it returned.
        """
        return {}

    def check_resume(self, model: HubModel, checkpoint: Path) -> None:
        """Refuse to go on from a checkpoint of this run, where the model was made for other data.

        Raises:
            ValueError: with what differs and what to do.
        """

    def watch(self, model: HubModel, file: Path) -> None:
        """Write what a model, with the weights that are evaluated, draws at a step of its run."""

    def samples(self, model: HubModel, data: Sized, folder: Path) -> dict[str, Any]:
        """Draw what the card shows of a finished model; returns what `train_results.json` says of it.

        Args:
            model: with the weights that are kept.
            data: the validation split.
            folder: where pictures go.
        """
        return {"samples": ""}

    def stages(self, model: HubModel, stages: list[tuple[str, Path]], folder: Path) -> dict[str, Any]:
        """Show the files of `watch` together, each with its name; returns what `train_results.json` says of them."""
        return {}


def accuracy(right: torch.Tensor) -> dict[str, tuple[torch.Tensor, int]]:
    """Score a batch by accuracy, from which of its predictions are right, bool (N,)."""
    return {"accuracy": (right.sum(), right.numel())}
