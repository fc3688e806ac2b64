"""Texts to the probability of each of their tokens, given those before it."""

from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import TrainingArguments

from hub_models import MODELS, HubModel, TextModel
from hub_models.config import ModelConfig
from hub_models.files import read_text, write_text
from hub_models.run_folder import TOKENIZER
from training.data import TextData, Windows
from training.options import option
from training.tasks.base import Progress, Task

WRITTEN = 200  # tokens of the text that a model writes at each validation


def lengths(windows: tuple[int, ...]) -> str:
    """Describe the lengths of windows."""
    return f"{', then '.join(map(str, windows))} tokens" if windows else ""


@dataclass(frozen=True)
class Language(Task):
    """Texts to the probability of each of their tokens; the loss is in nats per token."""

    models = (TextModel,)
    evaluations = ("perplexity", "writing")
    metrics = ("loss", "accuracy")
    examples = "windows"
    stage_suffix = ".txt"
    unit = "nats per token"
    window: tuple[int, ...] = option(
        (),
        "tokens of a training window: 64, or stages 8,64 of equal length, each a divisor of the last",
        low=1,
        row="window",
        card=lengths,
    )
    carry_state: bool = option(
        False,
        "let the windows of a batch go on where the last batch's ended, with its state; else they are shuffled",
        row="window",
        card=lambda carried: "the state is carried" if carried else "shuffled",
    )

    def check(self, config: ModelConfig) -> None:
        super().check(config)
        if not (self.window and all(self.window[-1] % length == 0 for length in self.window)):
            given = ",".join(map(str, self.window))
            raise ValueError(f"--window is {given!r}: give one length, or several, each a divisor of the last")
        if len(self.window) > 1 and self.carry_state:
            raise ValueError("--carry_state goes with one --window: for stages of several give --carry_state False")

    def prepare(
        self, config: ModelConfig, splits: dict[str, TextData], args: TrainingArguments
    ) -> tuple[TextModel, dict[str, Windows]]:
        model = MODELS[config.model_type].fitted(config, splits["train"].texts)
        batches = {"train": args.train_batch_size * args.world_size, "validation": args.eval_batch_size}
        tokens = {split: [model.encode(text) for text in data.texts] for split, data in splits.items()}
        lanes = {split: batch if self.carry_state else 0 for split, batch in batches.items()}
        windows = {split: Windows(tokens[split], self.window[-1], lanes[split], f"{split} text") for split in splits}
        return model, windows

    def batch(self, model: HubModel, inputs: dict, indices: torch.Tensor, progress: Progress) -> dict:
        if not self.carry_state:
            inputs["tokens"] = cut(inputs["tokens"], progress.stage(self.window))
        return inputs

    def score(self, inputs: dict, outputs: dict) -> dict[str, tuple[torch.Tensor, int]]:
        return {"accuracy": (outputs["right"], inputs["tokens"][:, 1:].numel())}

    def check_resume(self, model: HubModel, checkpoint: Path) -> None:
        before = Tokenizer.from_str(read_text(checkpoint / TOKENIZER))
        if before.get_vocab() != model.tokenizer.get_vocab():
            raise ValueError(
                f"the vocabulary has changed since {checkpoint.parent} began: undo that, or begin anew with --overwrite"
            )

    def watch(self, model: HubModel, file: Path) -> None:
        noise = torch.Generator().manual_seed(0)
        write_text(file, "".join(model.generate(max_tokens=WRITTEN, generator=noise)))

    def stages(self, model: HubModel, stages: list[tuple[str, Path]], folder: Path) -> dict:
        chosen = stages[:2] + stages[2:][-1:]
        return {"written": [{"name": name, "text": read_text(path)} for name, path in chosen]}


def cut(tokens: torch.Tensor, window: int) -> torch.Tensor:
    """Cut windows int64 (B, T + 1) into shorter ones that say the same, (B * T / window, window + 1)."""
    return tokens.unfold(1, window + 1, window).flatten(0, 1)
