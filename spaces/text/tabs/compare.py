"""Tab Compare: the same beginning continued by several models, or at several temperatures."""

import contextlib
import itertools
from collections.abc import Iterator, Sequence

import gradio as gr

from hub_models.spacekit import checks
from hub_models.spacekit.runs import QUIET, RunButton
from hub_models.spacekit.start import load_start
from hub_models.spacekit.widgets import about, clear_when

from ._text import (
    EXAMPLES,
    NAMES,
    PROMPT,
    as_html,
    checked,
    choices,
    example,
    examples,
    model,
    options_of,
    settings,
    taken,
    unknown_words,
    written,
)

TITLE = "Compare"
MAX_TEXTS = 4  # texts
TEMPERATURES = (0.5, 0.8, 1.0, 1.3)
ABOUT = "Several models continue the same beginning, or one model at several temperatures, side by side."
MORE = f"""Each of the chosen models writes at each of the chosen temperatures, at most {MAX_TEXTS} texts in all. All
begin with the same random seed. A low temperature takes what is probable, a high one also what is not. The beginning
has at most {PROMPT:,} characters."""
STARTS_FROM = tuple(NAMES)


def compare(
    prompt: str | None,
    names: Sequence[str],
    temperatures: Sequence[float],
    length: int,
    top_k: int,
    top_p: float,
    seed: int,
) -> Iterator[tuple]:
    """Yield the `MAX_TEXTS` texts as they are written, and how they were made; first what their boxes are to be."""
    prompt = taken(prompt, PROMPT, "The beginning")
    count = len(names) * len(temperatures)  # of a request, which may hold any number, before any is made
    if not 1 <= count <= MAX_TEXTS:
        raise gr.Error(f"That makes {count} texts: choose models and temperatures that make 1 to {MAX_TEXTS}.")
    for name in names:
        model(name)
    checked_temperatures = [checks.number(temperature, 0, 2, "A temperature") for temperature in temperatures]
    length, top_k, top_p, seed = checked(length, top_k, top_p, seed)
    runs = list(itertools.product(names, checked_temperatures))
    titles = [f"{NAMES[name]} at {temperature:g}" for name, temperature in runs]
    unused = MAX_TEXTS - len(runs)
    made = f"The number after each model is its temperature. All with {options_of(top_k, top_p, seed)}."
    unknown = [f"{NAMES[name]}. {words}" for name in dict.fromkeys(names) if (words := unknown_words(name, prompt))]
    writing = as_html(f"Writing ... {made}", *unknown)
    # once, and not with each text: Gradio may then put back an earlier text
    boxes = [gr.update(label=title, visible=True) for title in titles] + [gr.update(visible=False)] * unused
    yield *boxes, writing
    with contextlib.closing(written(runs, prompt, length, top_k, top_p, seed)) as texts:
        for now in texts:
            shown = [prompt + text for text in now] + [""] * unused
            yield *shown, writing
    yield *shown, as_html(made, *unknown)


def start() -> tuple:
    """Compute what the tab shows before the first click."""
    (*boxes, _), *_, (*texts, made) = compare(EXAMPLES[2], list(NAMES), [0.8], 400, 0, 1, 0)
    return *(box | {"value": text} for box, text in zip(boxes, texts, strict=True)), made


def build() -> None:
    """Make the widgets, inside a gr.Tab, and wire them."""
    about(ABOUT, MORE)
    *columns, made = load_start(__file__)
    with gr.Row():
        with gr.Column():
            chosen = examples()
            prompt = gr.Textbox(EXAMPLES[2], lines=3, max_lines=12, label="The beginning")
        with gr.Column():
            names = gr.CheckboxGroup(choices(), value=list(NAMES), label="Models")
            temperatures = gr.CheckboxGroup(list(TEMPERATURES), value=[0.8], label="Temperatures")
            with gr.Accordion("Settings", open=False):
                sliders, seed = settings()
            run = RunButton("Compare", "Writing ...")
    with gr.Row():
        looks = {"lines": 16, "max_lines": 100, "min_width": 200, "buttons": ["copy"], "interactive": False}
        texts = []
        for i, column in enumerate(columns):
            shown = {"label": column.get("label", f"Text {i + 1}"), "visible": column["visible"]}
            texts.append(gr.Textbox(column["value"], **shown, **looks))
    note = gr.HTML(made, label="How they were made")
    chosen.click(example, chosen, prompt, **QUIET)
    work = run.on_click(compare, [prompt, names, temperatures, *sliders, seed.number], [*texts, note], seed)
    clear_when([prompt.change, names.input], [*texts, note], work)
