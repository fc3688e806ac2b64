"""Options of a training run: each is declared once, with its default, bounds, help and its words for the card."""

import argparse
import dataclasses
from collections.abc import Callable
from typing import Any

Words = str | Callable[[Any], str]


def option(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    below: float | None = None,
    row: str = "",
    card: Words = "{}",
) -> Any:
    """Declare a field of a dataclass as an option of the command line.

    Args:
        default: a bool, a number, or a tuple of whole numbers; it changes nothing.
        help: what it does, for `--help` and the documentation.
        low: the least value, or the least of each value of a tuple.
        high: the greatest value.
        below: a value that is too great by itself.
        row: the row of the card's training table; without one the card does not show it.
        card: what stands in the row: a format of the value, which is left out at the default, or a function of the
            value, which returns "" to leave it out.
    """
    metadata = {"help": help, "low": low, "high": high, "below": below, "row": row, "card": card}
    return dataclasses.field(default=default, metadata=metadata)


def options_of(kind: type | object) -> list[dataclasses.Field]:
    """The fields of a dataclass that are options."""
    return [field for field in dataclasses.fields(kind) if "help" in field.metadata]


def values_of(owner: object) -> dict[str, Any]:
    """The options of a dataclass by name, as `recipe.json` holds them: with lists for tuples."""
    found = {field.name: getattr(owner, field.name) for field in options_of(owner)}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}


def add_options(parser: argparse.ArgumentParser, owner: object) -> None:
    """Add the options of a dataclass to a parser, with the owner's values as defaults."""
    for field in options_of(owner):
        kind = {bool: flag, tuple: numbers}.get(type(field.default), type(field.default))
        extra = {"nargs": "?", "const": True} if kind is flag else {}
        value = getattr(owner, field.name)
        parser.add_argument(f"--{field.name}", type=kind, default=value, help=field.metadata["help"], **extra)


def check_bounds(owner: object) -> None:
    """Refuse an option that is out of its bounds.

    Raises:
        ValueError: with its name, its value and the bounds.
    """
    for field in options_of(owner):
        value, bounds = getattr(owner, field.name), field.metadata
        low, high, below = (bounds[name] for name in ("low", "high", "below"))
        for number in value if isinstance(value, tuple) else (value,):
            fits = (low is None or number >= low) and (high is None or number <= high)
            if not (fits and (below is None or number < below)):
                wanted = f"from {low} to {high}" if high is not None else f"of at least {low}"
                wanted += "" if below is None else f" and below {below}"
                raise ValueError(f"--{field.name} is {number}: give a number {wanted}")


def card_rows(owner: object) -> dict[str, str]:
    """The rows of a card's training table that options fill, by name; options of one row are joined."""
    rows: dict[str, list[str]] = {}
    for field in options_of(owner):
        value, words = getattr(owner, field.name), field.metadata["card"]
        if field.metadata["row"]:
            text = words(value) if callable(words) else "" if value == field.default else words.format(value)
            rows.setdefault(field.metadata["row"], []).extend(filter(None, [text]))
    return {row: ", ".join(texts) for row, texts in rows.items() if texts}


def flag(text: str) -> bool:
    """Read `true` or `false`."""
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return text.lower() == "true"


def numbers(text: str) -> tuple[int, ...]:
    """Read whole numbers with commas between them; an empty text has none."""
    parts = text.split(",") if text else []
    if not all(part.isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number, or numbers such as 20,24,32")
    return tuple(map(int, parts))
