"""Tab Compare: the same beginning continued by several models, or at several temperatures."""

import contextlib
import itertools
from collections.abc import Iterator

import gradio as gr

from hub_models.spacekit import checks

from ._text import EXAMPLES, NAMES, PROMPT, checked, choices, example, examples, model, settings, taken, written

TITLE = "Compare"
MAX_TEXTS = 4  # texts
TEMPERATURES = (0.5, 0.8, 1.0, 1.3)
ABOUT = f"""The same beginning, of at most {PROMPT:,} characters, continued from the same seed by each of the models at
each of the temperatures, side by side: at most {MAX_TEXTS} texts."""


def compare(
    prompt: str | None, names: list[str], temperatures: list[float], length: int, top_k: int, top_p: float, seed: int
) -> Iterator[tuple]:
    """Yield what is shown of each of the `MAX_TEXTS` texts, as they are written. All arguments are a visitor's."""
    prompt = taken(prompt, PROMPT, "The beginning")
    count = len(names) * len(temperatures)  # of a program, which may send any number, before any is made
    if not 1 <= count <= MAX_TEXTS:
        raise gr.Error(f"That makes {count} texts: choose models and temperatures that make 1 to {MAX_TEXTS}.")
    for name in names:
        model(name)
    warmth = [checks.number(temperature, 0, 2, "A temperature") for temperature in temperatures]
    voices = list(itertools.product(names, warmth))
    titles = [f"{NAMES[name]} at {temperature:g}" for name, temperature in voices]
    unused = [gr.update(visible=False)] * (MAX_TEXTS - len(voices))
    with contextlib.closing(written(voices, prompt, *checked(length, top_k, top_p, seed))) as texts:
        for now in texts:
            shown = zip(titles, now, strict=True)
            yield *(gr.update(label=title, value=prompt + text, visible=True) for title, text in shown), *unused


def build() -> None:
    """Make the widgets, inside a gr.Tab, and wire them."""
    gr.Markdown(ABOUT)
    with gr.Row():
        with gr.Column():
            chosen = examples()
            prompt = gr.Textbox(EXAMPLES[2], lines=3, max_lines=12, label="The beginning")
        with gr.Column():
            names = gr.CheckboxGroup(choices(), value=list(NAMES), label="Models")
            temperatures = gr.CheckboxGroup(list(TEMPERATURES), value=[0.8], label="Temperatures")
            with gr.Row():
                start = gr.Button("Compare", variant="primary")
                stop = gr.Button("Stop", variant="stop")
    with gr.Row():
        looks = {"lines": 16, "max_lines": 100, "min_width": 200, "buttons": ["copy"], "interactive": False}
        texts = [gr.Textbox(label=f"Text {i + 1}", visible=i < len(NAMES), **looks) for i in range(MAX_TEXTS)]
    options = settings()
    chosen.click(example, chosen, prompt, show_progress="hidden", api_name="take_opening", api_visibility="private")
    running = start.click(
        compare, [prompt, names, temperatures, *options], texts, show_progress="hidden", api_name="compare_texts"
    )
    stop.click(None, cancels=running, api_name="stop_compare")
