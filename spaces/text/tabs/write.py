"""Tab Write like Shakespeare: a text goes on, streamed as it is written."""

import contextlib
from collections.abc import Iterator

import gradio as gr

from hub_models.spacekit import checks

from ._text import EXAMPLES, LENGTH, PROMPT, checked, example, examples, model, models, settings, taken, written

TITLE = "Write like Shakespeare"
ABOUT = f"""The model goes on where you stop, or begins a line if you give it nothing. Temperature 0 takes the likeliest
always and soon goes round in circles, 1 draws as the model has learnt, more gets wild; top-k draws from so many
likeliest only, top-p from the fewest that have so much probability together. The beginning has at most {PROMPT:,}
characters, what is written {LENGTH:,}, the last word finished."""


def write(
    prompt: str | None, name: str, temperature: float, length: int, top_k: int, top_p: float, seed: int
) -> Iterator[str]:
    """Yield the beginning with what is written so far. All arguments are a visitor's."""
    model(name)
    prompt = taken(prompt, PROMPT, "The beginning")
    temperature = checks.temperature(temperature)
    options = checked(length, top_k, top_p, seed)
    with contextlib.closing(written([(name, temperature)], prompt, *options)) as texts:
        for (text,) in texts:
            yield prompt + text


def build() -> None:
    """Make the widgets, inside a gr.Tab, and wire them."""
    gr.Markdown(ABOUT)
    with gr.Row():
        with gr.Column():
            name = models()
            chosen = examples()
            prompt = gr.Textbox(EXAMPLES[1], lines=3, max_lines=12, label="The beginning")
            with gr.Row():
                start = gr.Button("Write", variant="primary")
                stop = gr.Button("Stop", variant="stop")
            temperature = gr.Slider(0, 2, 0.8, step=0.05, label="Temperature (at 0 the likeliest, always)")
        with gr.Column():
            text = gr.Textbox(lines=22, max_lines=100, label="The text", buttons=["copy"], interactive=False)
    options = settings()
    chosen.click(example, chosen, prompt, show_progress="hidden", api_name="take_beginning", api_visibility="private")
    running = start.click(write, [prompt, name, temperature, *options], text, show_progress="hidden", api_name="write")
    stop.click(None, cancels=running, api_name="stop_write")
