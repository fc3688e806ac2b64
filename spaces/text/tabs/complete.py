"""Tab Complete a sentence: the likeliest next tokens while a visitor types."""

import functools
import random

import gradio as gr

from hub_models.spacekit import checks
from hub_models.spacekit.weights import on_gpu
from hub_models.text import valid

from ._text import EXAMPLES, FIRST, PROMPT, example, examples, model, models, taken, written

TITLE = "Complete a sentence"
ABOUT = f"""Type, and the model tells what is likeliest to come next: click on a bar to take it. **Write on** draws one
of all instead, each as often as it is likely. The temperature sharpens what is likely below 1 and levels it above: a
probability *p* becomes *p* to the power of 1 / temperature, and all are scaled to sum to 1 again, those of the top-k
alone if so chosen. The bars show what comes out. A text has at most {PROMPT:,} characters."""
SHOWN = 5
KEPT = 20  # texts, the present one among them
SIGNS = {"\n": "⏎ line end", " ": "␣ space", "": "∅ nothing"}  # what else would not be seen; no tokens
ADDED = {shown: added for added, shown in SIGNS.items()}


@on_gpu
def likeliest(text: str, name: str, temperature: float, top_k: int) -> list[tuple[str, float]]:
    """What is likeliest to come next, with its probability."""
    return model(name).next_tokens(text, SHOWN, temperature=temperature, top_k=top_k)


remembered = functools.lru_cache(maxsize=256)(likeliest)  # a text that a button makes is asked for as changed, too


def checked(text: str | None, name: str, temperature: float, top_k: int) -> tuple[str, str, float, int]:
    """A visitor's arguments of `likeliest` -> those."""
    model(name)
    text = taken(text, PROMPT, "The text")
    temperature = checks.number(temperature, 0.5, 1.5, "The temperature")
    return text, name, temperature, checks.integer(top_k, 0, 50, "Top-k")


def suggest(text: str | None, name: str, temperature: float, top_k: int) -> dict[str, float]:
    """What is likeliest to come next, as it is shown, with its probability."""
    return {SIGNS.get(added, added): p for added, p in remembered(*checked(text, name, temperature, top_k))}


def tail(text: str) -> str:
    """The end of a text, by which it differs from those before it, in a line."""
    return ("…" if len(text) > 50 else "") + text[-50:].replace("\n", "⏎") or "(nothing)"


def turn_to(texts: list[str], *settings) -> tuple:
    """For texts, the present one last, and the last arguments of `suggest`: all that the page shows and keeps."""
    *earlier, text = texts = texts[-KEPT:]
    return (
        text,
        gr.update(samples=[[tail(old)] for old in earlier], visible=bool(earlier)),
        suggest(text, *settings),
        texts,
    )


def noted(text: str, texts: list[str]) -> list[str]:
    """The texts, and what a visitor has made of the last by typing."""
    return texts if text == texts[-1] else [*texts, text]


def add(more: str, text: str | None, texts: list[str], *settings) -> tuple:
    """`turn_to` the text with more at its end."""
    text = taken(text, PROMPT, "The text")
    longer = valid(text + more)
    if len(longer) > PROMPT:
        raise gr.Error(f"The text is full: it has at most {PROMPT:,} characters. Take something away.")
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
    """Add one token, drawn as the bars tell."""
    text, name, temperature, top_k = checked(text, name, temperature, top_k)
    *_, (more,) = written([(name, temperature)], text, 1, top_k, 1.0, random.randrange(checks.SEEDS))
    return add(more, text, texts, name, temperature, top_k)


def begin(index: int, text: str | None, texts: list[str], name: str, temperature: float, top_k: int) -> tuple:
    """Begin anew with an example; of the text that was there, as much is kept as a text may have."""
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
    gr.Markdown(ABOUT)
    with gr.Row():
        with gr.Column():
            name = models()
            chosen = examples()
            plain = gr.InputHTMLAttributes(spellcheck=False, autocomplete="off", autocapitalize="off")
            text = gr.Textbox(EXAMPLES[0], lines=4, max_lines=12, label="Your text", html_attributes=plain)
            with gr.Row():
                on = gr.Button("Write on", variant="primary")
                back = gr.Button("Undo")
        with gr.Column():
            likely = suggest(EXAMPLES[0], FIRST, 1, 0)
            likely = gr.Label(likely, num_top_classes=SHOWN, show_heading=False, label="What comes next")
            temperature = gr.Slider(0.5, 1.5, 1, step=0.05, label="Temperature")
            top_k = gr.Slider(0, 50, 0, step=1, label="Top-k: so many likeliest only (0: all)")
            past = examples((), "Earlier texts")
    texts = gr.State([EXAMPLES[0]])
    settings, shown = [name, temperature, top_k], [text, past, likely, texts]
    quietly = {"show_progress": "hidden", "trigger_mode": "always_last"}
    gr.on(  # a text's input is of keys that type a sign alone: not of Backspace, nor of what is pasted
        [text.change, name.input, temperature.input, top_k.input],
        suggest,
        [text, *settings],
        likely,
        api_name="suggest",
        **quietly,
    )
    given = [text, texts, *settings]
    on.click(write_on, given, shown, api_name="write_on", **quietly)
    likely.select(take_bar, given, shown, api_name="take_bar", api_visibility="private", **quietly)
    chosen.click(begin, [chosen, *given], shown, api_name="begin", api_visibility="private", **quietly)
    past.click(go_back, [past, *given], shown, api_name="go_back", api_visibility="private", **quietly)
    back.click(undo, given, shown, api_name="undo", api_visibility="private", **quietly)
