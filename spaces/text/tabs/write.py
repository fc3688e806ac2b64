"""Tab Write like Shakespeare: a text goes on, streamed as it is written."""

import contextlib
from collections.abc import Iterator

import gradio as gr

from hub_models.spacekit import checks
from hub_models.spacekit.api import endpoint, seed_number, temperature_number
from hub_models.spacekit.runs import QUIET, RunButton
from hub_models.spacekit.start import load_start
from hub_models.spacekit.widgets import about, clear_when, temperature_slider

from ._text import (
    EXAMPLES,
    FIRST,
    LENGTH,
    NAMES,
    PROMPT,
    TOP_K,
    TOP_P,
    as_html,
    checked,
    example,
    examples,
    model,
    models,
    options_of,
    settings,
    taken,
    unknown_words,
    written,
)

TITLE = "Write like Shakespeare"
ABOUT = "Type a beginning, and the model writes on from there. Without one it begins a line of its own."
MORE = f"""The model draws one word or character after another, each from its probabilities given all that came before.
Temperature 0 always takes the most probable and soon repeats itself; 1 draws as the model has learnt; above 1 the text
gets wilder. Top-k draws only from the k most probable, top-p only from the fewest that have that total probability.
The beginning has at most {PROMPT:,} characters. The model writes at most {LENGTH:,}, and finishes the last word."""
STARTS_FROM = (FIRST,)


def write(
    text: str = EXAMPLES[1],
    name: str = FIRST,
    temperature: float = 0.8,
    length: int = 400,
    top_k: int = 0,
    top_p: float = 1,
    seed: int = 0,
) -> Iterator[tuple[str, str]]:
    """Continue a text with a model of Shakespeare, streamed as it is written; the last value is the whole.

    Args:
        text: the beginning, at most 2,000 characters; it may be empty.
        name: the model.
        temperature: 0 to 2; 0 always takes the most probable token.
        length: the number of characters to write, 1 to 2,000; the last word is finished.
        top_k: draw from the k most probable tokens, 0 to 50; 0 is all.
        top_p: draw from the most probable tokens that have this total probability, 0 to 1; 1 is all.
        seed: the same seed gives the same text.

    Returns:
        The beginning with what is written, and how it was made.
    """
    model(name)
    text = taken(text, PROMPT, "The beginning")
    temperature = checks.temperature(temperature)
    length, top_k, top_p, seed = checked(length, top_k, top_p, seed)
    made = f"{NAMES[name]}, temperature {temperature:g}, {options_of(top_k, top_p, seed)}."
    made = " ".join(filter(None, (made, unknown_words(name, text))))
    with contextlib.closing(written([(name, temperature)], text, length, top_k, top_p, seed)) as texts:
        for (more,) in texts:
            yield text + more, f"Writing ... {made}"
    yield text + more, made


def write_shown(*inputs) -> Iterator[tuple[str, str]]:
    """Yield what `write` does as the page shows it."""
    with contextlib.closing(write(*inputs)) as texts:
        for text, made in texts:
            yield text, as_html(made)


def start() -> tuple[str, str]:
    """Compute what the tab shows before the first click."""
    *_, last = write_shown()
    return last


def build() -> None:
    """Make the widgets, inside a gr.Tab, and wire them."""
    about(ABOUT, MORE)
    begun, made = load_start(__file__)
    with gr.Row():
        with gr.Column():
            name = models()
            chosen = examples()
            prompt = gr.Textbox(EXAMPLES[1], lines=3, max_lines=12, label="The beginning")
            with gr.Accordion("Settings", open=False):
                temperature = temperature_slider(0.8)
                sliders, seed = settings()
            run = RunButton("Write", "Writing ...")
        with gr.Column():
            text = gr.Textbox(begun, lines=18, max_lines=100, label="The text", buttons=["copy"], interactive=False)
            note = gr.HTML(made, label="How it was made")
    chosen.click(example, chosen, prompt, **QUIET)
    work = run.on_click(write_shown, [prompt, name, temperature, *sliders, seed.number], [text, note], seed)
    clear_when([name.input, prompt.change], [text, note], work)
    endpoint(
        write,
        [
            gr.Textbox(EXAMPLES[1], label="Beginning", render=False),
            gr.Dropdown(list(NAMES), value=FIRST, label="Model", render=False),
            temperature_number(0.8),
            gr.Number(400, precision=0, minimum=1, maximum=LENGTH, label="Characters to write", render=False),
            gr.Number(0, precision=0, minimum=0, maximum=50, label=TOP_K, render=False),
            gr.Number(1, minimum=0, maximum=1, label=TOP_P, render=False),
            seed_number(),
        ],
        [gr.Textbox(label="Text", render=False), gr.Textbox(label="How it was made", render=False)],
    )
