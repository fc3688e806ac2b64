"""Checks of what a visitor sends: each returns the value, or raises a `gr.Error` that says what to send instead."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import TypeVar

import gradio as gr

Value = TypeVar("Value")
SEEDS = 2**31  # seeds are below


@contextlib.contextmanager
def worded() -> Iterator[None]:
    """Turn a `ValueError` of our models, always a sentence, into a visitor's error."""
    try:
        yield
    except gr.Error:  # it is a ValueError, too
        raise
    except ValueError as fault:
        raise gr.Error(f"{str(fault)[0].upper()}{str(fault)[1:]}.") from fault


def pick(examples: Sequence[Value], index: float) -> Value:
    """Return the example of an index."""
    if index not in range(len(examples)):
        raise gr.Error(f"There are {len(examples)} examples: choose one of 0 to {len(examples) - 1}.")
    return examples[int(index)]


def integer(value: float, low: int, high: int, what: str) -> int:
    """Return a whole number in low..high; `what` begins the sentence that refuses another."""
    if not (isinstance(value, (int, float)) and low <= value <= high and value == int(value)):
        raise gr.Error(f"{what} must be a whole number from {low} to {high}.")
    return int(value)


def number(value: float, low: float, high: float, what: str) -> float:
    """Return a number in low..high; `what` begins the sentence that refuses another."""
    if not (isinstance(value, (int, float)) and low <= value <= high):  # NaN is not either
        raise gr.Error(f"{what} must be a number from {low} to {high}.")
    return float(value)


def choice(value: str, offered: Sequence[str], what: str) -> str:
    """Return one of the names that are offered; `what` names the kind of thing, as in "There is no such model"."""
    if value not in tuple(offered):  # a tuple, so that unhashable values can be compared
        raise gr.Error(f"There is no such {what}: choose {', '.join(offered)}.")
    return value


def label(name: str, classes: Sequence[str], free: str) -> int | None:
    """Return the label of a class of that name, or None for `free`, the choice that names no class."""
    choice(name, (free, *classes), "class")
    return None if name == free else classes.index(name)


def seed(value: float) -> int:
    """Return a seed."""
    return integer(value, 0, SEEDS - 1, "The random seed")


def temperature(value: float, low: float = 0, high: float = 2) -> float:
    """Return a temperature."""
    return number(value, low, high, "The temperature")
