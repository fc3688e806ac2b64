"""Configs whose every field is checked, and the one sentence that refuses what is wrong."""

import dataclasses
import difflib
import json
import math
import numbers
from typing import ClassVar

# Old names of fields in config.json and recipe.json, so that run folders and checkpoints of any age can be read.
RENAMED = {
    "exact_from": "float32_from",
    "half": "store_fp16",
    "carry": "carry_state",
    "sides": "image_sizes",
    "turn": "muon_step",
}


def renamed(fields: dict) -> dict:
    """Replace the old names of fields by today's."""
    return {RENAMED.get(name, name): value for name, value in fields.items()}


def nearest(name: str, known: list[str]) -> str:
    """The tail of an error message on an unknown name: the closest known one, or all of them."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known are: {', '.join(known) or 'none'}"


def is_integer(value: object) -> bool:
    """Whether a value is a whole number, Python's or NumPy's, and no truth value."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


@dataclasses.dataclass
class ModelConfig:
    """What `config.json` holds: architecture and preprocessing, and what of its training belongs to a model itself.

    That is how it is initialised and regularised (dropout, smoothed labels); all else is the recipe's.
    """

    optional: ClassVar[tuple[str, ...]] = ()  # fields that older checkpoints may lack, for they change no arithmetic
    model_type: str = ""  # the key of the registry; each subclass sets its own and accepts no other

    def __post_init__(self):
        own = type(self).model_type
        if self.model_type != own:
            raise ValueError(f"model_type is {self.model_type!r}: this config is for {own!r}")

    def to_json_string(self) -> str:
        """The fields as JSON; transformers' TensorBoard callback asks for it by this name."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @staticmethod
    def check_number(name: str, value: object, kind: type, low: float, high: float) -> None:
        """Refuse a value that is no number, or no whole number where `kind` is int, in low..high."""
        fits = is_integer(value) if kind is int else isinstance(value, numbers.Real) and not isinstance(value, bool)
        wanted = "a whole number" if kind is int else "a number"
        if not (fits and low <= value <= high):
            raise ValueError(f"{name} is {value!r}: give {wanted} from {low} to {high}")

    def check_int(self, name: str, low: int, high: int) -> None:
        """Refuse a field that is no whole number in low..high."""
        self.check_number(name, getattr(self, name), int, low, high)
        setattr(self, name, int(getattr(self, name)))  # JSON has no NumPy numbers

    def check_float(self, name: str, low: float, high: float) -> None:
        """Refuse a field that is no number in low..high."""
        value = getattr(self, name)
        self.check_number(name, value, float, low, high)
        setattr(self, name, value if isinstance(value, int) else float(value))

    def check_bool(self, name: str) -> None:
        """Refuse a field that is neither True nor False."""
        value = getattr(self, name)
        if not isinstance(value, bool):
            raise ValueError(f"{name} is {value!r}: give true or false")

    def check_tuple(self, name: str, kind: type, least: int, most: int) -> None:
        """Refuse a field that is no sequence of so many values of a kind; of JSON's list, make a tuple."""
        value = getattr(self, name)
        wanted = f"from {least} to {most}" if least < most else str(least)
        sequence = isinstance(value, (list, tuple)) and least <= len(value) <= most
        kinds = (int, float) if kind is float else kind
        told = f"{name} is {value!r}: give {wanted} values of type {kind.__name__}"
        if not (sequence and all(isinstance(v, kinds) and not isinstance(v, bool) for v in value)):
            raise ValueError(told)
        if kind is float and not all(isinstance(v, int) or math.isfinite(v) for v in value):
            raise ValueError(told)
        setattr(self, name, tuple(value))

    def check_names(self, least: int, most: int) -> None:
        """Refuse a field `names` that does not give so many classes a name of their own each, fit for a table."""
        self.check_tuple("names", str, least, most)
        if len(set(self.names)) != len(self.names):
            raise ValueError(f"names is {self.names!r}: give each class its own")
        if not all(name.strip() and not set(name) & set("|\n\r") for name in self.names):
            raise ValueError(f"names is {self.names!r}: give words that fit a table, without | and line ends")

    def check_choice(self, name: str, choices: tuple[str, ...]) -> None:
        """Refuse a field that is none of the choices."""
        value = getattr(self, name)
        if value not in choices:
            raise ValueError(f"{name} is {value!r}: give one of {', '.join(choices)}")


class ImageShape:
    """A mixin for configs of image models, before `ModelConfig`: each declares the three as fields or as constants."""

    channels: int
    height: int
    width: int

    def __post_init__(self):
        super().__post_init__()
        self.check_int("channels", 1, 4)
        self.check_int("height", 1, 4096)
        self.check_int("width", 1, 4096)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the images."""
        return self.channels, self.height, self.width
