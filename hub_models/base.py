"""What every Scanline model shares: a checked config, and loading and saving that are strict and exact."""

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import torch
from huggingface_hub import PyTorchModelHubMixin
from safetensors.torch import save
from torch import nn
from torch.overrides import TorchFunctionMode

from .checkpoints import Stored, fetch, open_checkpoint
from .config import ModelConfig
from .files import read_weights, write_bytes, write_text
from .run_folder import CONFIG, WEIGHTS
from .shared import forbid_tf32, set_all, shared


def at_least_float32(tensor: torch.Tensor) -> torch.Tensor:
    """In float32 what is narrower, else as it is: for probabilities and sums of them."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


class Bounded(TorchFunctionMode):
    """A context that makes no more than `most` tensor elements: a few bytes of config can ask for all of the memory.

    To make the model without memory, on the device "meta", would be shorter and takes seconds: it imports a compiler.

    Raises:
        ValueError: what was `told`, before the tensor that is too many is made.
    """

    MAKERS = torch.empty, torch.zeros, torch.ones, torch.full, torch.arange, torch.rand, torch.randn

    def __init__(self, most: int, told: str):
        super().__init__()
        self.left, self.told = most, told

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function in self.MAKERS:
            self.left -= function(*args, **kwargs | {"device": "meta"}).numel()
            if self.left < 0:
                raise ValueError(self.told)
        return function(*args, **kwargs)


class HubModel(
    nn.Module,
    PyTorchModelHubMixin,
    library_name="scanline",
    license="apache-2.0",
    tags=["scanline"],
):
    """A model that lives on the Hub: a dataclass config in `config.json`, weights in `model.safetensors`.

    A subclass sets `config_class`, takes `config` as its only argument, and states its card in class attributes:
    `title`, `about` (what it is and does), `limits`, `citation` (BibTeX) and `usage` (lines of Python after `model`).
    """

    config_class: type[ModelConfig]
    title: str
    about: str
    limits: str
    citation: str
    usage: str
    muon: ClassVar[bool] = False  # whether the optimizer Muon suits the class (`--muon` of training.train)
    _keys_to_ignore_on_save = None  # transformers.Trainer asks for it when it loads the best checkpoint

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        missing = [n for n in ("config_class", "title", "about", "limits", "citation", "usage") if not hasattr(cls, n)]
        if "abstract" not in cls.__dict__ and missing:
            raise TypeError(f"{cls.__name__} lacks {', '.join(missing)}")

    def __init__(self, config: ModelConfig):
        super().__init__()
        wanted = type(self).config_class
        if not isinstance(config, wanted):
            raise ValueError(f"config is a {type(config).__name__}: give a {wanted.__name__}")
        self.config = config

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @contextlib.contextmanager
    def exact(self) -> Iterator[None]:
        """A context in which nothing is computed in less than the weights' own precision: no autocast, no TF32."""
        with shared("tf32", forbid_tf32, set_all), torch.autocast(self.device.type, enabled=False):
            yield

    def check_precision(self) -> None:
        """Refuse weights in less than float32: the likelihoods that they compute are wrong in the third digit.

        Raises:
            ValueError: with their dtype.
        """
        dtype = next(self.parameters()).dtype
        if dtype.itemsize < 4:
            raise ValueError(f"the weights are {dtype}, too coarse for a likelihood: call model.float() first")

    def parameter_groups(self, learning_rate: float, weight_decay: float, muon: bool = False) -> list[dict] | None:
        """Return the optimizer's parameter groups, for a model that brings its own; None: the trainer's own optimizer.

        Groups are for SGD, or with `muon` for `training.muon.UnitMuon`; each has all the options of its parameters.
        """
        return None

    def evaluating(self) -> contextlib.AbstractContextManager[None]:
        """A context in `eval()` mode; each part's mode comes back when the last thread is out."""

        def begin() -> list[tuple[nn.Module, str, bool]]:
            before = [(module, "training", module.training) for module in self.modules()]
            self.eval()
            return before

        return shared(self, begin, set_all)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **kwargs) -> "HubModel":
        """Load a shipped name, a folder or a Hub repository, strictly, in `eval()` mode.

        Args:
            pretrained_model_name_or_path: see `locate`.
            **kwargs: `revision`, `token`, `cache_dir`, `force_download`, `local_files_only`, `map_location`.

        Raises:
            FileNotFoundError: nothing there. ValueError: another class's, a damaged or a foreign checkpoint.
        """
        if not hasattr(cls, "config_class"):
            raise ValueError(
                f"{cls.__name__} is a family of models: open one with hub_models.load, which picks the class"
            )
        stored, own = open_checkpoint(pretrained_model_name_or_path, **kwargs), cls.config_class.model_type
        found = stored.config["model_type"]
        if found != own:
            raise ValueError(
                f"{stored.source} holds a {found!r}, not a {own!r}: open it with hub_models.load, which picks the class"
            )
        return cls.from_stored(stored)

    @classmethod
    @torch.inference_mode(False)  # or weights loaded in it could never be differentiated by
    def from_stored(cls, stored: Stored) -> "HubModel":
        """The model of an opened checkpoint of this class; always strict, and never from a pickle."""
        source, config, hub, device = stored
        fields = {field.name for field in dataclasses.fields(cls.config_class)}
        unknown, missing = sorted(set(config) - fields), sorted(fields - {*config, *cls.config_class.optional})
        if unknown:
            raise ValueError(f"{source}: config.json has fields unknown to {cls.__name__}: {', '.join(unknown)}")
        if missing:
            raise ValueError(f"{source}: config.json lacks fields of {cls.__name__}: {', '.join(missing)}")
        checked = cls.config_class(**config)
        weights = read_weights(fetch(source, WEIGHTS, **hub))
        held = sum(tensor.numel() for tensor in weights.values())
        told = (
            f"{source}: {WEIGHTS} does not fit its config.json: it holds {held:,} numbers, and that asks for far more"
        )
        with Bounded(4 * held + 2**20, told):  # with room for masks and what only the initialisation needs
            model = cls(checked)
        own = model.state_dict()
        common = sorted(set(own) & set(weights))
        faults = {
            "lacks": sorted(set(own) - set(weights)),
            "has unknown": sorted(set(weights) - set(own)),
            "has another shape for": [k for k in common if own[k].shape != weights[k].shape],
            "has another kind of number for": [
                k for k in common if own[k].is_floating_point() != weights[k].is_floating_point()
            ],
            "holds NaN or infinity in": [k for k in common if not weights[k].double().isfinite().all()],
        }
        told = [f"{what} {', '.join(keys[:3])}{' ...' if keys[3:] else ''}" for what, keys in faults.items() if keys]
        if told:
            raise ValueError(f"{source}: {WEIGHTS} does not fit its config.json: it {' and '.join(told)}")
        if any(tensor.dtype == torch.float64 for tensor in weights.values()):
            model.double()  # or what was saved would come back rounded; less than float32 becomes that exactly
        model.load_state_dict(weights, strict=True)
        return model.to(device).eval()

    def save_pretrained(self, save_directory: str | Path, **kwargs) -> None:
        """Write `model.safetensors` and `config.json`; `hub.card.write_card` makes the card from a folder's files.

        Args:
            save_directory: made where there is none.
            **kwargs: what `push_to_hub` of the mixin passes on, of which nothing is needed.

        Raises:
            OSError: no room or no right; the files that were there are whole. ValueError: another argument.
        """
        unknown = sorted(key for key in set(kwargs) - {"config", "model_card_kwargs"} if kwargs[key] is not False)
        told = "to push, call push_to_hub(repo_id), or `python -m training.publish`, which brings the card, too"
        if unknown:
            raise ValueError(f"save_pretrained writes a folder and takes no {', '.join(unknown)}: {told}")
        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        write_bytes(folder / WEIGHTS, save({name: tensor.contiguous() for name, tensor in self.state_dict().items()}))
        write_text(folder / CONFIG, self.config.to_json_string())


def check_images(images: torch.Tensor, shape: tuple[int, int, int], name: str = "images") -> torch.Tensor:
    """Refuse anything but a non-empty uint8 tensor (B, C, H, W) of the model's own shape (C, H, W).

    Returns:
        A copy with the strides of a new tensor: kernels are chosen by the strides, and round differently.

    Raises:
        ValueError: with what was given and what is wanted.
    """
    wanted = f"a uint8 tensor (B, {shape[0]}, {shape[1]}, {shape[2]}) of values 0 to 255"
    if not isinstance(images, torch.Tensor):
        raise ValueError(f"{name} is a {type(images).__name__}: give {wanted}")
    if images.dtype != torch.uint8:
        raise ValueError(f"{name} has dtype {images.dtype}: give {wanted}")
    if not (images.dim() == 4 and tuple(images.shape[1:]) == shape):
        raise ValueError(f"{name} is {tuple(images.shape)}: give {wanted}")
    if not len(images):
        raise ValueError(f"{name} is an empty batch: give at least one image")
    return images.clone(memory_format=torch.contiguous_format)  # `contiguous` keeps the strides of dimensions of size 1
