"""Tab Complete a sentence: the most probable next tokens while a visitor types."""

import functools
import random

import gradio as gr

from hub_models.spacekit import checks
from hub_models.spacekit.api import endpoint, temperature_number
from hub_models.spacekit.runs import QUIET
from hub_models.spacekit.weights import on_gpu
from hub_models.spacekit.widgets import about
from hub_models.text import valid

from ._text import (
    EXAMPLES,
    FIRST,
    NAMES,
    PROMPT,
    TOP_K,
    as_html,
    example,
    examples,
    model,
    models,
    taken,
    unknown_words,
    written,
)

TITLE = "Complete a sentence"
ABOUT = "Type, and see what the model expects next. Click on a bar to add it, or let **Write on** draw one."
MORE = f"""The bars are the model's probabilities of the next word or character. **Write on** draws one of all, each as
often as it is probable. A temperature below 1 favours the probable ones, one above 1 evens them out: a probability *p*
becomes *p* to the power of 1 / temperature, and all are scaled to sum to 1. Top-k keeps only the k most probable. The
bars show what comes out. A text has at most {PROMPT:,} characters."""
SHOWN = 5
KEPT = 20  # texts, the present one among them
SIGNS = {"\n": "⏎ line end", " ": "␣ space", "": "∅ nothing"}  # what else would not be seen; no tokens
ADDED = {shown: added for added, shown in SIGNS.items()}


@on_gpu
def likeliest(text: str, name: str, temperature: float, top_k: int) -> list[tuple[str, float]]:
    """Return the most probable next tokens, each with its probability."""
    return model(name).next_tokens(text, SHOWN, temperature=temperature, top_k=top_k)


remembered = functools.lru_cache(maxsize=256)(likeliest)  # a text that a button makes is asked for as changed, too


def checked(text: str | None, name: str, temperature: float, top_k: int) -> tuple[str, str, float, int]:
    """Return a visitor's arguments of `likeliest`."""
    model(name)
    text = taken(text, PROMPT, "The text")
    temperature = checks.temperature(temperature, 0.5, 1.5)
    return text, name, temperature, checks.integer(top_k, 0, 50, "Top-k")


def next_words(text: str = EXAMPLES[0], name: str = FIRST, temperature: float = 1, top_k: int = 0) -> dict[str, float]:
    """List the most probable next words of a text, or characters, by a model of Shakespeare.

    Args:
        text: the text so far, at most 2,000 characters.
        name: the model.
        temperature: 0.5 to 1.5; below 1 it favours the most probable.
        top_k: keep only the k most probable, 0 to 50; 0 keeps all.

    Returns:
        The five most probable, each with its probability; a line end, a space and nothing by signs.
    """
    return {SIGNS.get(added, added): p for added, p in remembered(*checked(text, name, temperature, top_k))}


def suggest(text: str | None, name: str, temperature: float, top_k: int) -> tuple[dict[str, float], str]:
    """Return what `next_words` does, and which words of the text the model does not know."""
    likely = next_words(text, name, temperature, top_k)
    return likely, as_html(unknown_words(name, text or ""))


def tail(text: str) -> str:
    """Return the end of a text, by which it differs from those before it, in a line."""
    return ("…" if len(text) > 50 else "") + text[-50:].replace("\n", "⏎") or "(nothing)"


def turn_to(texts: list[str], *settings) -> tuple:
    """Return what the page shows and keeps.

    Args:
        texts: the present one last.
        settings: the last arguments of `next_words`.
    """
    *earlier, text = texts = texts[-KEPT:]
    return (
        text,
        gr.update(samples=[[tail(old)] for old in earlier], visible=bool(earlier)),
        next_words(text, *settings),
        texts,
    )


def noted(text: str, texts: list[str]) -> list[str]:
    """Return the texts, and what a visitor has made of the last by typing."""
    return texts if text == texts[-1] else [*texts, text]


def add(more: str, text: str | None, texts: list[str], *settings) -> tuple:
    """`turn_to` the text with more at its end."""
    text = taken(text, PROMPT, "The text")
    longer = valid(text + more)
    if len(longer) > PROMPT:
        raise gr.Error(f"The text is full: it has at most {PROMPT:,} characters. Delete some of it.")
    return turn_to([*noted(text, texts), longer], *settings)


def take_bar(
    text: str | None, texts: list[str], name: str, temperature: float, top_k: int, event: gr.EventData
) -> tuple:
    """Add what the bar that was clicked on says: it may be of the text before the last letters typed."""
    match event._data:  # whatever was sent
        case {"value": str(shown)} if shown:
            return add(ADDED.get(shown, shown), text, texts, name, temperature, top_k)
    raise gr.Error("There is no such suggestion: click on one of the bars.")


def write_on(text: str | None, texts: list[str], name: str, temperature: float, top_k: int) -> tuple:
    """Add one token, drawn from the probabilities that the bars show."""
    text, name, temperature, top_k = checked(text, name, temperature, top_k)
    *_, (more,) = written([(name, temperature)], text, 1, top_k, 1.0, random.randrange(checks.SEEDS))
    return add(more, text, texts, name, temperature, top_k)


def begin(index: int, text: str | None, texts: list[str], name: str, temperature: float, top_k: int) -> tuple:
    """Begin with an example; of the text that was there, as much is kept as a text may have."""
    texts = noted(valid((text or "")[:PROMPT]), texts)
    return turn_to([*texts, example(index)], name, temperature, top_k)


def go_back(index: int, text: str | None, texts: list[str], name: str, temperature: float, top_k: int) -> tuple:
    """Take an earlier text again."""
    text = taken(text, PROMPT, "The text")
    if index not in range(len(texts) - 1):
        raise gr.Error("There is no such earlier text: click on one of those shown.")
    return turn_to([*noted(text, texts), texts[int(index)]], name, temperature, top_k)


def undo(text: str | None, texts: list[str], name: str, temperature: float, top_k: int) -> tuple:
    """Take back what was typed since the last button, or else what that button did."""
    if text == texts[-1]:
        texts = texts[:-1]
    if not texts:
        raise gr.Error("There is nothing to undo: no text came before this one.")
    return turn_to(texts, name, temperature, top_k)


def build() -> None:
    """Make the widgets, inside a gr.Tab, and wire them."""
    about(ABOUT, MORE)
    with gr.Row():
        with gr.Column():
            name = models()
            chosen = examples()
            plain = gr.InputHTMLAttributes(spellcheck=False, autocomplete="off", autocapitalize="off")
            text = gr.Textbox(EXAMPLES[0], lines=4, max_lines=12, label="Your text", html_attributes=plain)
            with gr.Accordion("Settings", open=False):
                temperature = gr.Slider(0.5, 1.5, 1, step=0.05, label="Temperature")
                top_k = gr.Slider(0, 50, 0, step=1, label=TOP_K)
            with gr.Row():
                on = gr.Button("Write on", variant="primary")
                back = gr.Button("Undo")
        with gr.Column():
            likely = gr.Label(next_words(), num_top_classes=SHOWN, show_heading=False, label="What comes next")
            note = gr.HTML(label="Unknown words")
            past = examples((), "Earlier texts")
    texts = gr.State([EXAMPLES[0]])
    settings, shown = [name, temperature, top_k], [text, past, likely, texts]
    quietly = {"trigger_mode": "always_last", **QUIET}
    # a text's input is of keys that type a sign alone: not of Backspace, nor of what is pasted
    asked = [text.change, name.input, temperature.input, top_k.input]
    gr.on(asked, suggest, [text, *settings], [likely, note], **quietly)
    given = [text, texts, *settings]
    on.click(write_on, given, shown, **quietly)
    # once: of a second click, Gradio would keep the event of the first
    likely.select(take_bar, given, shown, trigger_mode="once", **QUIET)
    chosen.click(begin, [chosen, *given], shown, **quietly)
    past.click(go_back, [past, *given], shown, **quietly)
    back.click(undo, given, shown, **quietly)
    endpoint(
        next_words,
        [
            gr.Textbox(EXAMPLES[0], label="Text", render=False),
            gr.Dropdown(list(NAMES), value=FIRST, label="Model", render=False),
            temperature_number(1, 0.5, 1.5),
            gr.Number(0, precision=0, minimum=0, maximum=50, label=TOP_K, render=False),
        ],
        gr.Label(label="The most probable next words", render=False),
    )
