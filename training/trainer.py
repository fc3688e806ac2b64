"""transformers.Trainer, held to what a Hub folder and an exact resume need."""

import contextlib
import json
import time
import zipfile
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from transformers import Trainer
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from training.machine import peak_memory_mib

CHECKPOINT_FILES = ("config.json", "model.safetensors", "optimizer.pt", "scheduler.pt", "trainer_state.json")


class HubTrainer(Trainer):
    """A Trainer for HubModels: checkpoints with their config, evaluation in float32, bf16 where the recipe wants it."""

    def __init__(self, *args, exact_from: float = 1.0, **kwargs):
        self.exact_from = exact_from
        self._clock = time.perf_counter()
        super().__init__(*args, **kwargs)

    def _build_accelerator_args(self, **kwargs) -> dict:
        # accelerate would wrap forward in autocast for good; here the step and the mode decide (see below)
        return super()._build_accelerator_args(**kwargs) | {"mixed_precision": "no"}

    def autocast_smart_context_manager(self, cache_enabled: bool | None = True) -> contextlib.AbstractContextManager:
        """bf16 in training up to `exact_from`; validation is always in float32, as every published figure is."""
        early = self.state.global_step < self.exact_from * self.state.max_steps
        if self.args.bf16 and early and self.model.training:
            return torch.autocast(self.args.device.type, torch.bfloat16, cache_enabled=cache_enabled)
        return contextlib.nullcontext()

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add wall minutes since the last validation and the peak memory to each validation's log."""
        if "eval_loss" in logs:
            now = time.perf_counter()
            logs |= {"minutes": (now - self._clock) / 60, "peak_memory_mib": peak_memory_mib()}
            self._clock = now
        super().log(logs, start_time)

    def _save_checkpoint(self, model: torch.nn.Module, trial: object) -> None:
        try:
            super()._save_checkpoint(model, trial)
        except RuntimeError as error:  # all that torch.save says of a full disk
            raise OSError(f"a checkpoint could not be written ({error})") from error

    def _save(self, output_dir: str | None = None, state_dict: dict | None = None) -> None:
        if self.args.should_save:  # Trainer calls it in every process
            self.accelerator.unwrap_model(self.model).save_pretrained(output_dir or self.args.output_dir)


def newest_checkpoint(run: Path) -> Path | None:
    """The latest whole `checkpoint-N` of a run folder; one that was cut short while being written is passed over."""
    found = [p for p in run.glob(f"{PREFIX_CHECKPOINT_DIR}-*") if p.name.rpartition("-")[2].isdigit()]
    for path in sorted(found, key=lambda p: int(p.name.rpartition("-")[2]), reverse=True):
        if is_whole(path):
            return path
    return None


def is_whole(checkpoint: Path) -> bool:
    """Whether every file of a checkpoint is there to its end; the Trainer's state is written last."""
    if not all((checkpoint / name).is_file() for name in CHECKPOINT_FILES):
        return False
    saved = [*checkpoint.glob("rng_state*.pth"), checkpoint / "optimizer.pt", checkpoint / "scheduler.pt"]
    if len(saved) < 3 or not all(map(zipfile.is_zipfile, saved)):  # torch.save's format: its directory comes last
        return False
    try:
        with safe_open(checkpoint / "model.safetensors", "pt"):
            pass
        json.loads((checkpoint / "trainer_state.json").read_text())
    except (SafetensorError, OSError, ValueError):
        return False
    return True
