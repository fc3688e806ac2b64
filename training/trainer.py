"""transformers.Trainer, held to what a Hub folder and an exact resume need."""

import contextlib
import inspect
import json
import logging
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import torch
from accelerate.utils import TorchDynamoPlugin, gather_object
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader, Sampler, SequentialSampler
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR, EvalLoopOutput, TrainOutput

from hub_models import HubModel
from hub_models.files import read_text, read_weights, write_bytes
from hub_models.run_folder import CONFIG, WEIGHTS
from training.machine import interleave, peak_memory_mib
from training.muon import Muon, UnitMuon
from training.tasks import Progress, Task

logger = logging.getLogger(__name__)
CARRIED = "carried-{}.safetensors"  # in a checkpoint of a text model: the state that each process carries on
RAW = "raw.safetensors"  # in a checkpoint of averaged weights: those that training goes on from


class OwnNoise(TrainerCallback):
    """Of several processes each draws noise of its own in forward, once their weights, which are equal, are made."""

    def on_train_begin(self, args: TrainingArguments, state, control, **kwargs) -> None:
        if args.world_size > 1:
            torch.manual_seed(args.seed + args.process_index)


class ClippedValues(TrainerCallback):
    """Cuts each component of the gradient off at a value, after the norm is clipped."""

    def __init__(self, value: float):
        self.value = value

    def on_pre_optimizer_step(self, args: TrainingArguments, state, control, *, model, **kwargs) -> None:
        torch.nn.utils.clip_grad_value_(model.parameters(), self.value)


class WeightAverage(TrainerCallback):
    """The exponential average over steps of all that a model's `state_dict` holds, batch norm's statistics too."""

    def __init__(self, model: torch.nn.Module, decay: float):
        self.model, self.decay, self.average = model, decay, None

    def on_train_begin(self, args: TrainingArguments, state, control, **kwargs) -> None:
        if self.average is None:  # else a checkpoint has filled it
            self.average = {key: value.clone() for key, value in self.model.state_dict().items()}

    def on_step_end(self, args: TrainingArguments, state, control, **kwargs) -> None:
        decay = min(self.decay, (1 + state.global_step) / (10 + state.global_step))  # the start is soon forgotten
        values = self.model.state_dict()
        floating = [key for key, value in values.items() if value.is_floating_point()]
        torch._foreach_lerp_([self.average[key] for key in floating], [values[key] for key in floating], 1 - decay)
        for key in values.keys() - floating:
            self.average[key].copy_(values[key])

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """A context in which the model has the averaged weights."""
        raw = {key: value.clone() for key, value in self.model.state_dict().items()}
        self.model.load_state_dict(self.average)
        try:
            yield
        finally:
            self.model.load_state_dict(raw)


class HubTrainer(Trainer):
    """A Trainer for HubModels: checkpoints with their config, evaluation in float32, bf16 where the recipe wants it."""

    def __init__(
        self,
        *args,
        task: Task,
        watch: Callable[[HubModel, int], None],
        float32_from: float = 1.0,
        ema: float = 0.0,
        clip_value: float = 0.0,
        muon: bool = False,
        **kwargs,
    ):
        """Make a trainer of a task; the other arguments are Trainer's, or options of `training.recipe.Recipe`.

        `watch` is called at each validation with the model, as it is evaluated, and the step.
        """
        self.task, self.watch, self.float32_from, self.muon, self.carried = task, watch, float32_from, muon, None
        self._clock, self._scores = time.perf_counter(), {}  # of training batches since the last log
        super().__init__(*args, data_collator=self._taken, **kwargs)
        self._names = {"indices", *inspect.signature(self.model.forward).parameters}
        self.add_callback(OwnNoise)
        if clip_value:
            self.add_callback(ClippedValues(clip_value))
        self.average = WeightAverage(self.model, ema) if ema else None
        if self.average:
            self.add_callback(self.average)

    def _taken(self, batch: dict) -> dict:
        """What of a batch the model's forward takes, and the images' places in their data set."""
        return {key: value for key, value in batch.items() if key in self._names}

    def averaged(self) -> contextlib.AbstractContextManager:
        """A context in which the model has the weights that are evaluated and kept."""
        return self.average.applied() if self.average and self.average.average else contextlib.nullcontext()

    def create_optimizer(self, model: torch.nn.Module | None = None) -> torch.optim.Optimizer:
        """Muon where the recipe has it; SGD for a model that brings its own parameter groups; else Trainer's."""
        groups = self.model.parameter_groups(self.args.learning_rate, self.args.weight_decay, self.muon)
        if self.optimizer is None and groups is not None:
            self.optimizer = UnitMuon(groups, bf16=self.args.bf16) if self.muon else torch.optim.SGD(groups)
        elif self.optimizer is None and self.muon:
            adamw = {"betas": (self.args.adam_beta1, self.args.adam_beta2), "eps": self.args.adam_epsilon}
            self.optimizer = Muon(self.model, self.args.learning_rate, self.args.weight_decay, **adamw)
        return super().create_optimizer(model)

    def create_scheduler(self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None) -> LRScheduler:
        """Trainer's, with a word where a run is shorter than its warm-up and decay, whose rate then breaks off."""
        decay = (self.args.lr_scheduler_kwargs or {}).get("num_decay_steps", 0)
        least = self.args.get_warmup_steps(num_training_steps) + decay
        if decay and least > num_training_steps:
            told = "the rate needs %d steps to warm up and decay, and the run has %d: give --lr_scheduler_type cosine"
            logger.warning(told, least, num_training_steps)
        return super().create_scheduler(num_training_steps, optimizer)

    def train(self, *args, **kwargs) -> TrainOutput:
        """Trainer's; with `--torch_compile`, of a deep model each layer by itself, so that alike ones are one job."""
        layers = getattr(self.model, "layers", None)
        parts = [*layers] if isinstance(layers, torch.nn.ModuleList) else [self.model]
        for part in parts if self.args.torch_compile else ():
            part.compile(backend=self.args.torch_compile_backend, mode=self.args.torch_compile_mode)
        try:
            return super().train(*args, **kwargs)
        finally:
            for part in parts:
                part._compiled_call_impl = None  # the way back, which PyTorch has not named
            if hasattr(self.model, "side"):
                self.model.side = 0  # whole images again, wherever training ended

    def _build_accelerator_args(self, **kwargs) -> dict:
        # accelerate would wrap forward in autocast for good; here the step and the mode decide (see below). It would
        # also compile a copy of the model.
        own = {"mixed_precision": "no", "dynamo_plugin": TorchDynamoPlugin(backend="no")}
        return super()._build_accelerator_args(**kwargs) | own

    def autocast_smart_context_manager(self, cache_enabled: bool | None = True) -> contextlib.AbstractContextManager:
        """bf16 in training up to `float32_from`; validation is always in float32, as every published figure is."""
        early = self.state.global_step < self.float32_from * self.state.max_steps
        if self.args.bf16 and early and self.model.training:
            return torch.autocast(self.args.device.type, torch.bfloat16, cache_enabled=cache_enabled)
        return contextlib.nullcontext()

    def _get_dataloader(self, dataset, description: str, batch_size: int, **kwargs) -> DataLoader:
        """Batches of all processes together, in each of them: accelerate's own shares differ in what the last holds."""
        train, processes = kwargs.get("is_training", False), self.args.world_size
        batch_size = getattr(dataset, "lanes", 0) or batch_size * (processes if train else 1)  # lanes: of all processes
        loader = super()._get_dataloader(dataset, description, batch_size, **kwargs)
        shards = loader.batch_sampler
        if not train:  # --dataloader_drop_last is of training, where Trainer drops validation images, too
            for sampler in shards, getattr(shards, "batch_sampler", shards):
                sampler.drop_last = False
        if processes > 1:
            shards.num_processes, shards.process_index, shards.even_batches = 1, 0, False
        return loader

    def _get_train_sampler(self, train_dataset=None) -> Sampler | None:
        """In order, where each batch goes on with what the last one ended with."""
        dataset = train_dataset if train_dataset is not None else self.train_dataset
        return SequentialSampler(dataset) if getattr(dataset, "lanes", 0) else super()._get_train_sampler(train_dataset)

    def compute_loss(self, model: torch.nn.Module, inputs: dict, *args, **kwargs) -> torch.Tensor:
        """Loss of this process's share of a batch, weighted so that the mean over processes is the whole batch's."""
        processes, whole = self.args.world_size, len(inputs["indices"])
        own = {name: value[self.args.process_index :: processes] for name, value in inputs.items()}
        count = len(own["indices"])
        if not count:  # a last batch of fewer than there are processes: each must take part in the exchange
            own = {name: value[:1] for name, value in inputs.items()}
        indices = own.pop("indices")
        progress = Progress(int(self.state.epoch), self.state.global_step, self.state.max_steps)
        own = self.task.batch(self.model, own, indices, progress)
        carry = getattr(self.train_dataset, "lanes", 0)
        if carry:
            own["state"] = self.carried if int(indices.min()) >= carry else None  # an epoch begins from nothing
        loss, out = super().compute_loss(model, own, True, *args[1:], **kwargs)
        for name, (value, n) in self.task.score(own, out).items() if count else ():
            before = self._scores.get(name, (0, 0))
            self._scores[name] = (before[0] + value.detach(), before[1] + n)
        if carry:
            self.carried = [tuple(part.detach() for part in layer) for layer in out["state"]]
        return loss * (count * processes / whole)

    def evaluation_loop(
        self, dataloader: DataLoader, description: str, *args, metric_key_prefix: str = "eval", **kwargs
    ) -> EvalLoopOutput:
        """Mean loss over the whole set; each process does whole batches, so that the figures are those of one process.

        Trainer's own would fill up the last batches with repeats, and count their loss.
        """
        self.callback_handler.eval_dataloader = dataloader  # its length is the progress bar's
        own, state = [], None
        plain = torch.compiler.set_stance("force_eager") if self.args.torch_compile else contextlib.nullcontext()
        carry = getattr(dataloader.dataset, "lanes", 0)  # then each process does all batches, for none can be left out
        with torch.no_grad(), plain, self.averaged(), self.model.exact(), self.model.evaluating():
            for index, batch in enumerate(dataloader):
                del batch["indices"]
                if carry or index % self.args.world_size == self.args.process_index:
                    if carry:
                        batch["state"] = state
                    out = self.model(**self._prepare_inputs(batch))
                    state, count = out.get("state"), len(next(iter(batch.values())))
                    sums = {name: (value.item(), n) for name, (value, n) in self.task.score(batch, out).items()}
                    own.append({"loss": (count * out["loss"].item(), count)} | sums)
                self.callback_handler.on_prediction_step(self.args, self.state, self.control)
            if self.is_world_process_zero():
                self.watch(self.model, self.state.global_step)
        if carry:
            own = own[self.args.process_index :: self.args.world_size]
        scores = interleave(own, len(dataloader))
        metrics = {name: mean(score[name] for score in scores) for name in self.task.metrics}
        total = sum(score["loss"][1] for score in scores)
        return EvalLoopOutput(None, None, {f"{metric_key_prefix}_{k}": v for k, v in metrics.items()}, total)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add training's own metrics to the log of its loss, and minutes and peak memory to a validation's."""
        if "loss" in logs and self._scores:
            own = [{name: (value.item(), n) for name, (value, n) in self._scores.items()}]
            found, self._scores = gather_object(own), {}
            logs |= {name: mean(score[name] for score in found if name in score) for name in self.task.metrics[1:]}
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

    def _save_rng_state(self, output_dir: str) -> None:
        if self.carried:
            parts = {f"{i}.{k}": part for i, layer in enumerate(self.carried) for k, part in enumerate(layer)}
            write_bytes(Path(output_dir, CARRIED.format(self.args.process_index)), save(parts))
        super()._save_rng_state(output_dir)
        self.accelerator.wait_for_everyone()  # so that what comes next, the state, is the last file of all processes

    def _save(self, output_dir: str | None = None, state_dict: dict | None = None) -> None:
        if self.args.should_save:  # Trainer calls it in every process
            folder, model = Path(output_dir or self.args.output_dir), self.accelerator.unwrap_model(self.model)
            with self.averaged():
                model.save_pretrained(folder)
            if self.average:
                write_bytes(folder / RAW, save(model.state_dict()))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: torch.nn.Module | None = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        if self.average:
            self.average.average = {key: value.clone() for key, value in self.model.state_dict().items()}
            self.model.load_state_dict(read_weights(Path(resume_from_checkpoint, RAW)))
        path = Path(resume_from_checkpoint, CARRIED.format(self.args.process_index))
        if getattr(self.train_dataset, "lanes", 0):
            if not path.exists():
                raise ValueError(f"{path} is missing, the state to go on with: begin anew with --overwrite")
            parts = read_weights(path)
            layers = range(1 + max(int(name.partition(".")[0]) for name in parts))
            names = [[name for name in sorted(parts) if name.startswith(f"{i}.")] for i in layers]
            self.carried = [tuple(parts[name].to(self.args.device) for name in own) for own in names]


def mean(sums: Iterable[tuple[float, int]]) -> float:
    """The mean over all things that were counted, from sums and counts."""
    values, counts = zip(*sums, strict=True)
    return sum(values) / sum(counts)


def checkpoints(run: Path) -> list[Path]:
    """Every `checkpoint-N` of a run folder, whole or not, the latest first."""
    found = [p for p in run.glob(f"{PREFIX_CHECKPOINT_DIR}-*") if p.name.rpartition("-")[2].isdigit()]
    return sorted(found, key=lambda p: int(p.name.rpartition("-")[2]), reverse=True)


def newest_checkpoint(run: Path, processes: int = 1) -> Path | None:
    """The latest whole `checkpoint-N` of a run folder; one that was cut short while being written is passed over."""
    return next((path for path in checkpoints(run) if is_complete(path, processes)), None)


def best_of(checkpoint: Path) -> Path:
    """The checkpoint that was the best on validation when a whole one was written."""
    state = json.loads(read_text(checkpoint / TRAINER_STATE_NAME))
    return checkpoint.with_name(f"{PREFIX_CHECKPOINT_DIR}-{state['best_global_step'] or state['global_step']}")


def is_complete(checkpoint: Path, processes: int = 1) -> bool:
    """Whether every file of a checkpoint, of all processes, is there to its end, and so is the best it goes back to."""
    ranks = [f"_{rank}" for rank in range(processes)] if processes > 1 else [""]
    pickles = ["optimizer.pt", "scheduler.pt", *(f"rng_state{rank}.pth" for rank in ranks)]
    try:
        for name in pickles:
            with zipfile.ZipFile(checkpoint / name) as file:
                if file.testzip():  # a part of it does not fit its checksum
                    return False
        for path in checkpoint, best_of(checkpoint):
            json.loads(read_text(path / CONFIG))
            for weights in path / WEIGHTS, path / RAW:
                if weights.name == WEIGHTS or weights.exists():  # only a run that averages has raw ones
                    with safe_open(weights, "pt"):
                        pass
    except (SafetensorError, zipfile.BadZipFile, zlib.error, OSError, EOFError, OverflowError, RuntimeError):
        return False
    except (ValueError, KeyError, TypeError):  # JSON of another shape
        return False
    return True
