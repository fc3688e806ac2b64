"""What the tabs share: the models, texts as these take them, and how they are written."""

import functools
import html
import itertools
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import gradio as gr
import torch

from hub_models import TextModel
from hub_models.spacekit import checks, widgets
from hub_models.spacekit.runs import Seed, seed_input
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
NAMED, CUT = 10, 30  # unknown words that are named; characters of each
TOP_K = "Top-k: draw from the k most probable (0: all)"
TOP_P = "Top-p: draw from the most probable that have this total probability (1: all)"


@functools.cache
def loaded(name: str) -> TextModel:
    """Load a checkpoint, which all tabs and visitors share."""
    return load_hosted(name, HEADER)


def model(name: str) -> TextModel:
    """Return the checkpoint of a visitor's name."""
    return loaded(checks.choice(name, tuple(NAMES), "model"))


def choices() -> list[tuple[str, str]]:
    """List what each model is called, and its name."""
    for name in NAMES:
        model(name)  # now, not when the first visitor waits
    return [(title, name) for name, title in NAMES.items()]


def models() -> gr.Dropdown:
    """Make the widget for `model`."""
    return widgets.model_choice(choices(), FIRST, HEADER)


def taken(text: str | None, most: int, what: str) -> str:
    """Return a visitor's text; `what` begins the sentence that refuses one that is too long."""
    text = text or ""
    if len(text) > most:
        raise gr.Error(f"{what} is too long: give at most {most:,} characters.")
    return valid(text)  # what is sent back must be Unicode


def example(index: int) -> str:
    """Return the beginning of a visitor's index."""
    return checks.pick(EXAMPLES, index)


def examples(texts: Sequence[str] = EXAMPLES, label: str = "Examples") -> gr.Dataset:
    """Make the widget for the index of a text."""
    samples = [[text] for text in texts]
    hidden = gr.Textbox(visible=False)
    return gr.Dataset(components=[hidden], type="index", samples=samples, label=label, visible=bool(texts))


def visible(part: str) -> str:
    """Replace what would not be seen in a text by signs."""
    return "".join("⏎\n" if c == "\n" else c if c.isprintable() else f"U+{ord(c):04X}" for c in part)


def unknown_words(name: str, text: str) -> str:
    """Name in a sentence what of a text is not in a model's vocabulary, if anything is not."""
    net = model(name)
    unknown = (net.encode(text) == net.unknown).tolist()
    found = [part.strip() or part for part, strange in zip(net.pieces(text), unknown, strict=True) if strange]
    if not found:
        return ""
    words = [visible(word[:CUT]) + "…" * (len(word) > CUT) for word in dict.fromkeys(found)]
    more = f" and {len(words) - NAMED:,} more" if len(words) > NAMED else ""
    count = f"{len(found):,} of {len(unknown):,} {net.unit}s"
    return f"Not in this model's vocabulary: {', '.join(words[:NAMED])}{more} ({count})."


def as_html(*sentences: str) -> str:
    """Return paragraphs of plain sentences, each with the direction of its letters."""
    return "".join(f'<p dir="auto">{html.escape(sentence)}</p>' for sentence in sentences if sentence)


@on_gpu
def written(
    runs: list[tuple[str, float]], prompt: str, length: int, top_k: int, top_p: float, seed: int
) -> Iterator[list[str]]:
    """Yield what models add to a prompt, as it grows: first nothing, last the whole.

    A text ends with the token that makes it `length` characters long. All begin with the same noise.

    Args:
        runs: names of models, each with a temperature.
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

    texts, shown = [""] * len(runs), time.monotonic()
    yield texts
    for now in itertools.zip_longest(*(grow(*run) for run in runs)):
        texts = [new or old for new, old in zip(now, texts, strict=True)]
        if time.monotonic() - shown >= PAUSE:
            shown = time.monotonic()
            yield texts
    yield texts


def settings() -> tuple[list[gr.Slider], Seed]:
    """Make the widgets for the last four arguments of `written`."""
    sliders = [
        gr.Slider(1, LENGTH, 400, step=1, label="Characters to write"),
        gr.Slider(0, 50, 0, step=1, label=TOP_K),
        gr.Slider(0, 1, 1, step=0.05, label=TOP_P),
    ]
    return sliders, seed_input()


def checked(length: int, top_k: int, top_p: float, seed: int) -> tuple[int, int, float, int]:
    """Return a visitor's values of `settings`."""
    return (
        checks.integer(length, 1, LENGTH, "The number of characters"),
        checks.integer(top_k, 0, 50, "Top-k"),
        checks.number(top_p, 0, 1, "Top-p"),
        checks.seed(seed),
    )


def options_of(top_k: int, top_p: float, seed: int) -> str:
    """Say how texts were drawn: the seed, and what of the rest is not left at its default."""
    return f"seed {seed}" + f", top-k {top_k}" * (top_k > 0) + f", top-p {top_p:g}" * (top_p < 1)
