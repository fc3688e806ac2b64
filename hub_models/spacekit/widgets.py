"""Widgets that the tabs of several Spaces have."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.events import Dependency

from . import checks
from .pictures import as_path
from .runs import QUIET, cancel_when
from .weights import chip

# By itself Gradio refuses a file that is no picture in words that do not name the field.
NAME_FIELD = """() => {
    if (window.namesField) return;
    window.namesField = true;
    let field = "";
    for (const kind of ["change", "drop"]) document.addEventListener(kind, event => {
        const place = event.target.closest?.(".block")?.querySelector("label") ?? event.target.nextElementSibling;
        field = place?.innerText ?? field;
    }, true);
    new MutationObserver(() => document.querySelectorAll("[data-testid=toast-text]").forEach(toast => {
        const file = toast.innerText.match(/^Invalid file type: (.*)\\. Only image/)?.[1];
        if (file) toast.innerText = `${field}: ${file} is no picture. Give a PNG, JPEG, WebP, GIF, BMP or TIFF.`;
    })).observe(document.body, {childList: true, subtree: true});
}"""


def about(text: str, more: str | None = None) -> None:
    """Say what a tab does.

    Args:
        text: one or two sentences, in Markdown.
        more: the rest, in Markdown, which opens on a click.
    """
    gr.Markdown(text, elem_classes="about")
    if more:
        with gr.Accordion("How it works", open=False):
            gr.Markdown(more)


def temperature_slider(value: float = 1, low: float = 0, high: float = 2) -> gr.Slider:
    """Make the widget for a temperature."""
    return gr.Slider(low, high, value, step=0.05, label="Temperature (0: always the most probable value)")


def picture_input(label: str = "Your own picture", value: str | None = None) -> gr.Image:
    """Make the widget for a visitor's own picture, by upload or camera; its value is the file's path."""
    sources = ["upload", "webcam"]
    picture = gr.Image(value, label=label, sources=sources, type="filepath", buttons=[], alt_text=label)
    as_path(picture)
    gr.on(fn=None, js=NAME_FIELD, **QUIET)  # when the page opens
    return picture


def upload_button() -> gr.UploadButton:
    """Make the button to upload a picture; its value is the file's path."""
    button = gr.UploadButton("Upload a picture", file_types=["image"])
    as_path(button)
    gr.on(fn=None, js=NAME_FIELD, **QUIET)  # when the page opens
    return button


def gallery_of_examples(paths: Sequence, label: str) -> gr.Dataset:
    """Make the widget for the index of an example picture."""
    samples = [[str(path)] for path in paths]
    return gr.Dataset(components=[gr.Image(visible=False)], type="index", samples=samples, label=label)


def display(caption: str, value: str | None = None, **options) -> gr.Image:
    """Make a picture under its caption; Gradio's own label would lie on the picture's top."""
    looks = {"show_label": False, "buttons": [], "interactive": False}
    with gr.Column(min_width=120):
        gr.Markdown(caption, elem_classes="caption")
        return gr.Image(value, label=caption, alt_text=caption, **looks | options)


def unfinished(label: str) -> gr.Image:
    """Make the picture that is shown instead of results while they come about; it is hidden at first."""
    return gr.Image(visible=False, label=label, show_label=False, buttons=[], interactive=False, alt_text=label)


def results(label: str, **options) -> gr.Gallery:
    """Make a gallery of pictures with captions, which a visitor can enlarge and download."""
    looks = {"columns": 4, "object_fit": "contain", "height": "auto", "format": "png", "buttons": ["download"]}
    return gr.Gallery(label=label, interactive=False, **looks | options)


def model_choice(choices: Sequence[tuple[str, str]], value: str, header: Path) -> gr.Dropdown:
    """Make the widget to choose a checkpoint, with the chip of the chosen one below it.

    Args:
        choices: what each model is called, and its name.
        value: the name to begin with.
        header: the Space's README.
    """
    chips = {name: chip(name, header) for _, name in choices}
    with gr.Group():
        model = gr.Dropdown(list(choices), value=value, label="Model")
        shown = gr.HTML(chips[value])

    def show_chip(name: str) -> str:
        return chips[checks.choice(name, tuple(chips), "model")]

    model.change(show_chip, model, shown, queue=False, **QUIET)
    return model


def clear_when(events: Sequence, shown: Sequence[gr.components.Component], work: Dependency | None = None) -> None:
    """Empty result widgets on events that make them old: a new picture, another model, a clear.

    Args:
        events: such as `text.change`.
        shown: widgets.
        work: the run of a `RunButton` that gives these results; the events cancel it.
    """
    # of no value Gradio's page cannot make a label
    empty = ", ".join("{}" if isinstance(component, gr.Label) else "null" for component in shown)
    values, mark = f"[{empty}]" if len(shown) > 1 else f"({empty})", ""
    if work is not None:
        cancel_when(events, work)
        mark = f"(window.old ??= new Set()).add({work.key});"
        # what is on its way when the run is cancelled still arrives; a run that begins takes its key out
        late = f"() => {{ if (!window.old?.delete({work.key})) throw 0; return {values}; }}"
        work.failure(None, None, list(shown), js=late, **QUIET)
    script = f"() => {{ {mark} return {values}; }}"
    gr.on(list(events), None, None, list(shown), js=script, **QUIET)


def answer(events: Sequence, handler: Callable, inputs: Sequence, shown: Sequence) -> None:
    """Clear what is shown on events, and run a handler of a picture and other inputs, if there is a picture.

    One listener writes the results, so that the last asked for stay. Attach all that changes the inputs before.
    """

    def answered(picture: Any, *options) -> tuple:
        return (None,) * len(shown) if picture is None else handler(picture, *options)

    clear_when(events, shown)
    gr.on(list(events), answered, list(inputs), list(shown), trigger_mode="always_last", **QUIET)
