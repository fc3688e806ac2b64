"""What every Scanline model shares: a checked config, strict loading, and, for image models, one sampler."""

import contextlib
import dataclasses
import difflib
import json
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from huggingface_hub import PyTorchModelHubMixin, hf_hub_download
from huggingface_hub.errors import LocalEntryNotFoundError, RemoteEntryNotFoundError
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

PRETRAINED = Path(__file__).parent / "pretrained"
WEIGHTS = "model.safetensors"
HUB_ARGUMENTS = ("revision", "token", "cache_dir", "force_download", "local_files_only")
Progress = Callable[[torch.Tensor, int, int], None]


def require(condition: bool, message: str) -> None:
    """Raise ValueError(message) unless the condition holds."""
    if not condition:
        raise ValueError(message)


@dataclasses.dataclass
class ModelConfig:
    """Architecture and preprocessing of a model, and nothing else: what `config.json` holds."""

    model_type: str = ""  # the key of the registry; each subclass sets its own and accepts no other

    def __post_init__(self):
        own = type(self).model_type
        require(self.model_type == own, f"model_type is {self.model_type!r}: this config is for {own!r}")

    def to_json_string(self) -> str:
        """The fields as JSON; transformers' TensorBoard callback asks for it by this name."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    def check_int(self, name: str, low: int, high: int) -> None:
        """Refuse a field that is no whole number in low..high."""
        value = getattr(self, name)
        whole = isinstance(value, int) and not isinstance(value, bool)
        require(whole and low <= value <= high, f"{name} is {value!r}: give a whole number from {low} to {high}")

    def check_choice(self, name: str, choices: tuple[str, ...]) -> None:
        """Refuse a field that is none of the choices."""
        value = getattr(self, name)
        require(value in choices, f"{name} is {value!r}: give one of {', '.join(choices)}")


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file aside, then rename it: a reader never sees half, and a full disk loses nothing that was there."""
    aside = path.with_name(f"{path.name}.{os.getpid()}.writing")
    try:
        aside.write_bytes(data)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """`write_bytes` of a text in UTF-8."""
    write_bytes(path, text.encode())


def wide(tensor: torch.Tensor) -> torch.Tensor:
    """In float32 what is narrower, else as it is: for probabilities and sums of them."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def shipped() -> list[str]:
    """Names of the checkpoints that come with the package."""
    return sorted(path.parent.name for path in PRETRAINED.glob("*/config.json"))


def nearest(name: str, known: list[str]) -> str:
    """The tail of an error message on an unknown name: the closest known one, or all of them."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known are: {', '.join(known) or 'none'}"


def locate(name: str | Path) -> str:
    """Turn a shipped name, a folder or a Hub repository id into a folder path or a repository id.

    An existing folder comes first; a name without a slash is a shipped one; `owner/name` is on the Hub.
    What is written as a path (`runs/x`, `./x`, `/x`, `x/y/z`) never goes to the Hub.

    Raises:
        FileNotFoundError: no such folder or shipped name.
    """
    text = str(name)
    if os.path.isdir(text):
        return text
    if "/" not in text:
        if text in shipped():
            return str(PRETRAINED / text)
        raise FileNotFoundError(f"no folder and no shipped checkpoint is called {text!r}: {nearest(text, shipped())}")
    if isinstance(name, Path) or text.startswith(("/", "./", "../", "~", "runs/")) or text.count("/") != 1:
        raise FileNotFoundError(f"there is no folder {text!r}: give a run folder, a shipped name or owner/name")
    return text


def fetch(source: str, filename: str, **hub) -> Path:
    """Path of one file of a located folder or repository; `hub` goes to `hf_hub_download`.

    Raises:
        FileNotFoundError: the folder, the repository, the revision or the file is not there or not reachable.
    """
    if os.path.isdir(source):
        path = Path(source, filename)
        if not path.is_file():
            pickles = [p.name for pattern in ("*.bin", "*.pt", "*.pth", "*.pkl") for p in Path(source).glob(pattern)]
            hint = (
                f"; it holds {pickles[0]}, a pickle, and Scanline reads safetensors only"
                if pickles
                else "; if a training run made it, finish that with --resume"
            )
            raise FileNotFoundError(f"{source} has no {filename}{hint}")
        return path
    try:
        return Path(hf_hub_download(source, filename, **hub))
    except RemoteEntryNotFoundError as error:
        raise FileNotFoundError(f"{source} has no {filename}: check the id and the revision") from error
    except LocalEntryNotFoundError as error:
        why = "is not in the local cache and the Hub cannot be reached"
        raise FileNotFoundError(f"{source} {why}: check the id, the revision and the network") from error
    except Exception as error:  # no valid id, refused, cut off: the client and its HTTP library have a dozen types
        reason = str(error).strip().partition("\n")[0]
        raise FileNotFoundError(f"{source} cannot be read from the Hub: {reason}") from error


def read_config(source: str, **hub) -> dict:
    """The parsed `config.json` of a located folder or repository.

    Raises:
        FileNotFoundError: there is none. ValueError: it is not a JSON object with a `model_type`.
    """
    path = fetch(source, "config.json", **hub)
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{source}: config.json is not valid JSON ({error}): download or save it again") from error
    valid = isinstance(config, dict) and isinstance(config.get("model_type"), str)
    require(valid, f"{source}: config.json names no model_type, so this is no Scanline checkpoint")
    return config


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """All tensors of a safetensors file, as wide as they are stored.

    Raises:
        ValueError: the file is truncated, a pickle, or something else.
    """
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        with path.open("rb") as file:
            head = file.read(2)
        pickled = head == b"PK" or head[:1] == b"\x80"  # what torch.save and pickle write
        why = "is a pickle, and Scanline reads safetensors only" if pickled else f"is damaged or cut short ({error})"
        raise ValueError(f"{path} {why}: download or save it again") from error


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
    _keys_to_ignore_on_save = None  # transformers.Trainer asks for it when it loads the best checkpoint

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        missing = [n for n in ("config_class", "title", "about", "limits", "citation", "usage") if not hasattr(cls, n)]
        if "abstract" not in cls.__dict__ and missing:
            raise TypeError(f"{cls.__name__} lacks {', '.join(missing)}")

    def __init__(self, config: ModelConfig):
        super().__init__()
        wanted = type(self).config_class
        require(isinstance(config, wanted), f"config is a {type(config).__name__}: give a {wanted.__name__}")
        self.config = config

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def exact(self) -> torch.autocast:
        """A context in which nothing is computed in less than the weights' own precision."""
        return torch.autocast(self.device.type, enabled=False)

    @contextlib.contextmanager
    def evaluating(self) -> Iterator[None]:
        """A context in `eval()` mode, which leaves each part's mode as it was."""
        modes = [(module, module.training) for module in self.modules()]
        self.eval()
        try:
            yield
        finally:
            for module, training in modes:
                module.training = training

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **kwargs) -> "HubModel":
        """Load a shipped name, a folder or a Hub repository, strictly, in `eval()` mode.

        Args:
            pretrained_model_name_or_path: see `locate`.
            **kwargs: `revision`, `token`, `cache_dir`, `force_download`, `local_files_only`, `map_location`.

        Raises:
            FileNotFoundError: nothing there. ValueError: another class's, a damaged or a foreign checkpoint.
        """
        unknown = sorted(set(kwargs) - {*HUB_ARGUMENTS, "map_location", "strict"})
        if unknown:
            raise TypeError(f"{cls.__name__}.from_pretrained takes no argument {unknown[0]!r}")
        source = locate(pretrained_model_name_or_path)
        hub = {k: kwargs[k] for k in HUB_ARGUMENTS if k in kwargs}
        stored, own = read_config(source, **hub), cls.config_class
        if stored["model_type"] != own.model_type:
            raise ValueError(
                f"{source} holds a {stored['model_type']!r}, not a {own.model_type!r}: "
                "open it with hub_models.load, which picks the class"
            )
        unknown = sorted(set(stored) - {field.name for field in dataclasses.fields(own)})
        require(not unknown, f"{source}: config.json has fields unknown to {cls.__name__}: {', '.join(unknown)}")
        return super().from_pretrained(source, config=own(**stored), **kwargs)

    @classmethod
    def _from_pretrained(cls, *, model_id, map_location="cpu", strict=True, config, **hub) -> "HubModel":
        """Called by the mixin. Always strict, and never falls back to a pickle."""
        require(strict is True, "strict=False would leave random weights: Scanline always loads strictly")
        model = cls(config)
        weights = read_weights(fetch(model_id, WEIGHTS, **hub))
        own = model.state_dict()
        common = sorted(set(own) & set(weights))
        faults = {
            "lacks": sorted(set(own) - set(weights)),
            "has unknown": sorted(set(weights) - set(own)),
            "has another shape for": [k for k in common if own[k].shape != weights[k].shape],
            "has another kind of number for": [
                k for k in common if own[k].is_floating_point() != weights[k].is_floating_point()
            ],
            "holds NaN or infinity in": [k for k in common if not weights[k].isfinite().all()],
        }
        told = [f"{what} {', '.join(keys[:3])}{' ...' if keys[3:] else ''}" for what, keys in faults.items() if keys]
        require(not told, f"{model_id}: {WEIGHTS} does not fit its config.json: it {' and '.join(told)}")
        model.load_state_dict(weights, strict=True)
        return model.to(map_location).eval()

    def save_pretrained(self, save_directory: str | Path, **kwargs) -> None:
        """Write `model.safetensors` and `config.json`; `card.write_card` makes the card from a folder's files.

        Raises:
            OSError: no room or no right; the files that were there are whole.
        """
        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        write_bytes(folder / WEIGHTS, save({name: tensor.contiguous() for name, tensor in self.state_dict().items()}))
        write_text(folder / "config.json", self.config.to_json_string())


def check_images(images: torch.Tensor, shape: tuple[int, int, int], name: str = "images") -> None:
    """Refuse anything but a non-empty uint8 tensor (B, C, H, W) of the model's own shape (C, H, W).

    Raises:
        ValueError: with what was given and what is wanted.
    """
    wanted = f"a uint8 tensor (B, {shape[0]}, {shape[1]}, {shape[2]}) of values 0 to 255"
    require(isinstance(images, torch.Tensor), f"{name} is a {type(images).__name__}: give {wanted}")
    require(images.dtype == torch.uint8, f"{name} has dtype {images.dtype}: give {wanted}")
    require(images.dim() == 4 and tuple(images.shape[1:]) == shape, f"{name} is {tuple(images.shape)}: give {wanted}")
    require(len(images) > 0, f"{name} is an empty batch: give at least one image")


def check_known(known: torch.Tensor, count: int, shape: tuple[int, int, int]) -> None:
    """Refuse anything but a bool tensor (count or 1, 1, H, W) for images of the shape (C, H, W).

    Raises:
        ValueError: with what was given and what is wanted.
    """
    _, height, width = shape
    wanted = f"a bool tensor ({f'{count} or ' if count > 1 else ''}1, 1, {height}, {width}), True = keep"
    require(isinstance(known, torch.Tensor), f"known is a {type(known).__name__}: give {wanted}")
    fits = known.dim() == 4 and tuple(known.shape[1:]) == (1, height, width) and len(known) in (1, count)
    require(known.dtype == torch.bool and fits, f"known is {known.dtype} {tuple(known.shape)}: give {wanted}")


def check_count(n: int, what: str) -> None:
    """Refuse an n that is no whole number of at least 1.

    Raises:
        ValueError: with what was given.
    """
    require(isinstance(n, int) and not isinstance(n, bool) and n >= 1, f"n is {n!r}: ask for at least one {what}")


class AutoregressiveImageModel(HubModel, pipeline_tag="unconditional-image-generation"):
    """p(image) as a product over sub-pixels in raster order, R before G before B within a pixel.

    A subclass has `config.channels`, `.height`, `.width`, `.levels` and gives `quantise`, `logits` and `_stream`;
    likelihood, sampling and completion are written once, here, and cost what the stream costs.
    """

    abstract = True

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the model's images."""
        return self.config.channels, self.config.height, self.config.width

    def quantise(self, images: torch.Tensor) -> torch.Tensor:
        """uint8 (B, C, H, W) -> the level of every sub-pixel, int64 (B, C, H, W) in 0..levels-1."""
        raise NotImplementedError

    def to_bytes(self, levels: torch.Tensor) -> torch.Tensor:
        """Levels -> uint8 of the same shape; 0 is black and the last level is white."""
        return (levels * 255 // (self.config.levels - 1)).to(torch.uint8)

    def logits(self, images: torch.Tensor, label: torch.Tensor | None = None) -> torch.Tensor:
        """uint8 (B, C, H, W) -> (B, C, H, W, levels): each sub-pixel's logits given those before it."""
        raise NotImplementedError

    def _stream(self, levels: torch.Tensor, start: int, label: torch.Tensor | None) -> Iterator[torch.Tensor]:
        """Coroutine behind `sample` and `complete`: incremental logits in order of generation.

        Yields the (B, levels) logits of sub-pixel `start`, then, for each level int64 (B,) sent in, those of the next.
        Only the part of `levels` int64 (B, C, H, W) before `start` is read.
        """
        raise NotImplementedError

    def _check_label(self, label: torch.Tensor | None, count: int) -> None:
        """Refuse a label on a model that takes none; conditional models override it."""
        require(label is None, f"{type(self).__name__} is unconditional: leave label out")

    def forward(self, images: torch.Tensor, return_loss: bool = True) -> dict:
        """uint8 (B, C, H, W) -> `loss`, nats a sub-pixel, and `logits` (B, C, H, W, levels).

        `return_loss` tells transformers.Trainer that there is a loss without labels; it changes nothing.
        """
        logits = self.logits(images)
        targets = self.quantise(images).flatten().to(logits.device)
        loss = nn.functional.cross_entropy(wide(logits).flatten(0, -2), targets)
        return {"loss": loss, "logits": logits}

    @torch.no_grad()
    def log_prob(self, images: torch.Tensor, label: torch.Tensor | None = None) -> torch.Tensor:
        """uint8 (B, C, H, W) -> log p of each whole image in nats, (B,), never in less than float32.

        Raises:
            ValueError: images of another type, shape or count.
        """
        check_images(images, self.shape)
        self._check_label(label, len(images))
        with self.exact(), self.evaluating():
            log_p = wide(self.logits(images, label)).log_softmax(-1)  # (B, C, H, W, levels)
        return log_p.gather(-1, self.quantise(images).to(log_p.device)[..., None]).sum((1, 2, 3, 4))

    def sample(
        self,
        n: int,
        *,
        label: torch.Tensor | None = None,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
        progress: Progress | None = None,
    ) -> torch.Tensor:
        """Draw n images, uint8 (n, C, H, W).

        Args:
            n: how many, at least 1.
            label: int64 (n,), for class-conditional models.
            temperature: 0 is greedy, 1 the model's own distribution.
            generator: source of the noise, on the CPU; the same state draws the same images.
            progress: called as progress(images so far, done, total) with images of the shape that is returned, to look
                at during the call and not to keep; raising inside it cancels.

        Raises:
            ValueError: n, label or temperature out of range.
        """
        check_count(n, "image")
        blank = torch.zeros(n, *self.shape, dtype=torch.uint8)
        known = torch.zeros(1, 1, *self.shape[1:], dtype=torch.bool)
        report = progress and (lambda images, done, total: progress(images.squeeze(1), done, total))
        arguments = {"label": label, "temperature": temperature, "generator": generator, "progress": report}
        return self.complete(blank, known, **arguments).squeeze(1)

    @torch.no_grad()
    def complete(
        self,
        images: torch.Tensor,
        known: torch.Tensor,
        n: int = 1,
        *,
        label: torch.Tensor | None = None,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
        progress: Progress | None = None,
    ) -> torch.Tensor:
        """Fill what is missing, n times an image, in raster order given what stands before: uint8 (B, n, C, H, W).

        Known pixels come back bit for bit, and time is spent only from the first missing pixel to the last.

        Args:
            images: uint8 (B, C, H, W); what stands in missing pixels is not looked at.
            known: bool (B or 1, 1, H, W), True = keep.
            n, label, temperature, generator, progress: as for `sample`.

        Raises:
            ValueError: any of them of another type, shape or range.
        """
        check_images(images, self.shape)
        channels, height, width = self.shape
        check_known(known, len(images), self.shape)
        check_count(n, "completion")
        number = isinstance(temperature, (int, float)) and not isinstance(temperature, bool)
        number = number and math.isfinite(temperature) and temperature >= 0
        require(number, f"temperature is {temperature!r}: give a number of at least 0 (0 is greedy)")
        on_cpu = generator is None or (isinstance(generator, torch.Generator) and generator.device.type == "cpu")
        require(on_cpu, f"generator is {generator!r}: give a torch.Generator on the CPU; every device then draws alike")
        self._check_label(label, len(images) * n)

        out = images.cpu().repeat_interleave(n, 0)  # (B*n, C, H, W)
        keep = known.cpu().expand(len(images), 1, height, width).repeat_interleave(n, 0)
        keep = keep.expand(-1, channels, -1, -1).permute(0, 2, 3, 1).flatten(1)  # (B*n, H*W*C) in order of generation
        missing = (~keep).any(0).nonzero().flatten().tolist()
        if not missing:
            return out.view(len(images), n, channels, height, width)
        levels = self.quantise(out)
        start, stop = missing[0], missing[-1] + 1
        with self.exact(), self.evaluating():
            stream = self._stream(levels.to(self.device, copy=True), start, label)
            logits = next(stream)
            for i in range(start, stop):
                y, x, c = i // (width * channels), i // channels % width, i % channels
                noise = torch.rand(len(out), generator=generator, dtype=torch.float64)
                kept = keep[:, i]
                drawn = torch.where(kept, levels[:, c, y, x], draw(logits.cpu(), temperature, noise))
                out[~kept, c, y, x] = self.to_bytes(drawn)[~kept]
                if progress is not None:
                    progress(out.view(len(images), n, channels, height, width), i + 1 - start, stop - start)
                if i + 1 < stop:
                    logits = stream.send(drawn.to(self.device))
        return out.view(len(images), n, channels, height, width)

    @torch.no_grad()
    def most_probable(
        self, image: torch.Tensor, known: torch.Tensor, label: torch.Tensor | None = None, limit: int = 65_536
    ) -> tuple[torch.Tensor, float, torch.Tensor]:
        """The most probable filling of one image, found by scoring every one of them.

        Args:
            image: uint8 (1, C, H, W).
            known: bool (1, 1, H, W), True = keep.
            limit: the largest number of fillings to score: 2 levels and 16 missing sub-pixels reach the default.

        Returns:
            The filled image uint8 (1, C, H, W), its log p in nats, and the posterior of each sub-pixel given all the
            known ones, those after the hole too: (C, H, W, levels), exactly 1 at the level of a known sub-pixel.

        Raises:
            ValueError: more than one image, wrong shapes, or a hole with more than `limit` fillings.
        """
        check_images(image, self.shape)
        require(len(image) == 1, f"image holds {len(image)} images: give one")
        check_known(known, 1, self.shape)
        image, known = image.cpu(), known.cpu()
        hole = (~known[0]).expand(self.shape).nonzero()  # (sub-pixels, 3)
        levels, count = self.config.levels, self.config.levels ** len(hole)
        require(count <= limit, f"a hole of {len(hole)} sub-pixels has {levels}^{len(hole)} fillings: at most {limit}")
        scores, fillings = [], []
        for chunk in torch.arange(count).split(256):
            values = chunk[:, None] // levels ** torch.arange(len(hole)) % levels  # (chunk, sub-pixels)
            tried = image.repeat(len(chunk), 1, 1, 1)
            tried[:, hole[:, 0], hole[:, 1], hole[:, 2]] = self.to_bytes(values)
            conditions = None if label is None else label.expand(len(chunk))
            scores.append(self.log_prob(tried, conditions).cpu())
            fillings.append(values)
        score, filling = torch.cat(scores), torch.cat(fillings)
        posterior = nn.functional.one_hot(self.quantise(image)[0], levels).to(score)
        weight = score.softmax(0)
        for k, (c, y, x) in enumerate(hole.tolist()):
            posterior[c, y, x] = torch.zeros(levels).to(score).index_add_(0, filling[:, k], weight)
        best, filled = int(score.argmax()), image.clone()
        filled[0, hole[:, 0], hole[:, 1], hole[:, 2]] = self.to_bytes(filling[best])
        return filled, float(score[best]), posterior


def draw(logits: torch.Tensor, temperature: float, noise: torch.Tensor) -> torch.Tensor:
    """Invert the cumulative distribution: logits (B, levels) and uniform noise (B,) in [0, 1) -> levels int64 (B,).

    One number a sub-pixel decides, so that two ways of computing the same logits can be held to the same draws.
    """
    if temperature == 0:
        return logits.argmax(-1)
    logits = logits.double()
    logits = (logits - logits.amax(-1, keepdim=True)) / temperature  # first the maximum: a tiny temperature is no NaN
    edges = logits.softmax(-1).cumsum(-1)  # the last edge is 1 up to rounding
    return (noise[:, None] >= edges[:, :-1]).sum(-1)
