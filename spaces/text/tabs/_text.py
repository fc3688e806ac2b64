"""What the tabs share: the models, texts as these take them, and how they are written."""

import functools
import itertools
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import gradio as gr
import torch

from hub_models import TextModel
from hub_models.spacekit import checks
from hub_models.spacekit.runs import seed_input
from hub_models.spacekit.weights import load_hosted, on_gpu
from hub_models.text import valid

HEADER = Path(__file__).parents[1] / "README.md"  # of the Space: it names the models' repositories
NAMES = {
    "word-lstm-plays": "Words: LSTM",
    "char-lstm-shakespeare": "Characters: LSTM",
    "char-gru512-shakespeare-study": "Characters: a study's GRU",
}
FIRST = "word-lstm-plays"
EXAMPLES = ("To be or not to", "O Romeo, Romeo wherefore", "If music be the", "Friends, Romans, country-men,")
PROMPT = 2000  # characters, at most: the slowest model reads them while a visitor types one
LENGTH = 2000  # characters to write, at most
PAUSE = 0.05  # seconds between two updates: a page that gets each token as a message of its own falls behind


@functools.cache
def loaded(name: str) -> TextModel:
    """A checkpoint, which all tabs and visitors share."""
    return load_hosted(name, HEADER)


def model(name: str) -> TextModel:
    """The checkpoint of that name, which is a visitor's."""
    return loaded(checks.choice(name, tuple(NAMES), "model"))


def choices() -> list[tuple[str, str]]:
    """What each model is called, and its name, of a widget to choose from them."""
    for name in NAMES:
        model(name)  # now, not when the first visitor waits
    return [(title, name) for name, title in NAMES.items()]


def models() -> gr.Dropdown:
    """The widget for `model`."""
    return gr.Dropdown(choices(), value=FIRST, label="Model")


def taken(text: str | None, most: int, what: str) -> str:
    """A visitor's text; what it is begins the sentence that refuses one that is too long."""
    text = text or ""
    if len(text) > most:
        raise gr.Error(f"{what} is too long: give at most {most:,} characters.")
    return valid(text)  # what is sent back must be Unicode


def example(index: int) -> str:
    """The beginning of that index, which is a visitor's."""
    return checks.pick(EXAMPLES, index)


def examples(texts: Sequence[str] = EXAMPLES, label: str = "Examples") -> gr.Dataset:
    """The widget for the index of a text."""
    samples = [[text] for text in texts]
    hidden = gr.Textbox(visible=False)
    return gr.Dataset(components=[hidden], type="index", samples=samples, label=label, visible=bool(texts))


@on_gpu
def written(
    voices: list[tuple[str, float]], prompt: str, length: int, top_k: int, top_p: float, seed: int
) -> Iterator[list[str]]:
    """Names of models, each with a temperature -> what each adds to the prompt, as it grows; last the whole.

    A text ends with the token that makes it `length` characters long. All begin with the same noise.
    """

    def grow(name: str, temperature: float) -> Iterator[str]:
        options = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
        generator = torch.Generator().manual_seed(seed)
        text = ""
        for piece in model(name).generate(prompt, max_tokens=length, generator=generator, **options):
            text += piece
            yield text
            if len(text) >= length:
                return

    texts, shown = [""] * len(voices), time.monotonic()
    for now in itertools.zip_longest(*(grow(*voice) for voice in voices)):
        texts = [new or old for new, old in zip(now, texts, strict=True)]
        if time.monotonic() - shown >= PAUSE:
            shown = time.monotonic()
            yield texts
    yield texts


def settings() -> list[gr.Slider | gr.Number]:
    """The widgets for the last four arguments of `written`, in a row."""
    wide = {"min_width": 200}
    with gr.Row():
        return [
            gr.Slider(1, LENGTH, 400, step=1, label="Characters", **wide),
            gr.Slider(0, 50, 0, step=1, label="Top-k (0: all)", **wide),
            gr.Slider(0, 1, 1, step=0.05, label="Top-p (1: all)", **wide),
            seed_input().number,
        ]


def checked(length: int, top_k: int, top_p: float, seed: int) -> tuple[int, int, float, int]:
    """The values of `settings`, which are a visitor's."""
    return (
        checks.integer(length, 1, LENGTH, "The number of characters"),
        checks.integer(top_k, 0, 50, "Top-k"),
        checks.number(top_p, 0, 1, "Top-p"),
        checks.seed(seed),
    )
