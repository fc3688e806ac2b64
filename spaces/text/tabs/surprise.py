"""Tab Surprise: how surprising each token of a text is, in bits."""

import html
import math

import gradio as gr
import torch

from hub_models.spacekit import checks
from hub_models.spacekit.api import endpoint
from hub_models.spacekit.runs import QUIET, RunButton
from hub_models.spacekit.weights import on_gpu
from hub_models.spacekit.widgets import about, clear_when

from ._text import FIRST, NAMES, as_html, examples, model, models, taken, unknown_words, visible

TITLE = "Surprise"
MAX_CHARACTERS = 20_000  # characters: the slowest model reads them in seconds
ABOUT = "See which words or characters of a text surprise the model: the redder, the more."
MORE = f"""The surprise of a word is -log2 of the probability that the model gives it, in bits: 0 where what came before
makes it certain, 10 for one in about a thousand. Move the pointer over a word for its bits. The perplexity is 2 to the
power of the mean. A text has at most {MAX_CHARACTERS:,} characters."""
EXAMPLES = (
    "To be, or not to be, that is the question:\nWhether 'tis nobler in the mind to suffer\n"
    "The slings and arrows of outrageous fortune,\nOr to take arms against a sea of troubles\n",
    "To be to question, that the be not is or:\nNobler suffer 'tis in whether to mind the\n",
    "The train to Paris leaves at 7:45 from platform 3; your e-ticket is in the app.\n",
)
STEPS = 8  # of colour
MOST = 5  # tokens that are named with their bits, for those who cannot hover over each
# red over the page's own colour, so that letters stay legible in light and dark; Gradio puts all this under an id
CSS = "p.text { white-space: pre-wrap; overflow-wrap: anywhere; line-height: 1.7; }"
CSS += "p.text { unicode-bidi: plaintext; text-align: start; }"  # each line has the direction of its own letters
CSS += "span { border-radius: 3px; } .unknown { text-decoration: underline wavy; }"
CSS += "".join(f".b{i} {{ background: rgb(239 68 68 / {0.6 * i / STEPS:.3f}); }}" for i in range(STEPS + 1))


@on_gpu
def costs(name: str, text: str) -> tuple[list[str], torch.Tensor, torch.Tensor]:
    """Return the part of the text that each token is, its surprise in bits, (N,), and if it is unknown, bool (N,)."""
    net = model(name)
    parts, log_p = net.token_log_prob(text)
    return parts, -log_p.double() / math.log(2), net.encode(text) == net.unknown


def coloured(parts: list[str], bits: torch.Tensor, unknown: torch.Tensor, name: str) -> str:
    """Return HTML of a text: each token the redder the more surprising it is; those unknown are underlined."""
    net = model(name)
    most = math.log2(net.config.vocab_size)
    spans = []
    for part, cost, strange in zip(parts, bits.tolist(), unknown.tolist(), strict=True):
        shade = f"b{STEPS if cost > most else round(STEPS * cost / most)}"
        kind = f"unknown {shade}" if strange else shade
        words = f"{cost:.2f} bits" if cost < math.inf else "unknown: probability 0"
        spans.append(f'<span class="{kind}" title="{words}">{html.escape(visible(part))}</span>')
    scale = "".join(f'<span class="b{i}">&emsp;</span>' for i in range(STEPS + 1))
    legend = f"0 bits {scale} {most:.1f} bits or more, as if all {net.unit}s were equally probable"
    if unknown.any():
        legend += '; <span class="unknown">underlined</span>: not in the vocabulary'
    top = bits.where(bits.isfinite(), -1).topk(min(MOST, len(parts)))
    named = [
        f"<b><bdi>{html.escape(visible(parts[i]))}</bdi></b> {cost:.1f} bits"
        for i, cost in zip(top.indices.tolist(), top.values.tolist(), strict=True)
        if cost >= 0
    ]
    words = f"<p>Most surprising {net.unit}s: {', '.join(named)}</p>" if named else ""
    return f'<p>{legend}</p><p class="text" dir="auto">{"".join(spans)}</p>{words}'


def figures(parts: list[str], bits: torch.Tensor, name: str) -> str:
    """Say what the surprise of a text comes to."""
    known, kind = bits.isfinite(), model(name).unit
    if not known.any():
        return ""
    total, n = float(bits[known].sum()), int(known.sum())
    letters = sum(len(part) for part, seen in zip(parts, known.tolist(), strict=True) if seen)
    words = f"{NAMES[name]}. Total surprise: {total:,.1f} bits for {n:,} {kind}s"
    words += f" (signs and line ends count as words) of {letters:,} characters" if kind == "word" else ""
    return f"{words}. Perplexity: {2 ** (total / n):.2f} per {kind}. Mean: {total / letters:.3f} bits per character."


def unknown_note(bits: torch.Tensor, name: str, text: str) -> str:
    """Name the words that the model does not know, and say what they do to the figures."""
    words = unknown_words(name, text)
    if not words:
        return ""
    if bits.isfinite().all():
        words += " One symbol stands for all of these, and it is easier to predict than the words themselves: the true"
        return f"{words} surprise is higher, so these figures are lower bounds."
    return f"{words} The model gives them probability 0, and so the whole text: the figures leave them out."


def surprise(text: str = EXAMPLES[0], name: str = FIRST) -> tuple[list, str]:
    """Measure how surprising each word or character of a text is to a model of Shakespeare.

    Args:
        text: at most 20,000 characters.
        name: the model.

    Returns:
        Each word or character with its surprise in bits, null if it has probability 0; the figures of the text.
    """
    text, parts, bits, _ = measured(text, name)
    tokens = [[part, cost if cost < math.inf else None] for part, cost in zip(parts, bits.tolist(), strict=True)]
    return tokens, " ".join(filter(None, (figures(parts, bits, name), unknown_note(bits, name, text))))


def measured(text: str | None, name: str) -> tuple[str, list[str], torch.Tensor, torch.Tensor]:
    """Return a visitor's text, and what `costs` finds of it."""
    model(name)
    text = taken(text, MAX_CHARACTERS, "The text")
    if not text:
        raise gr.Error("There is no text: paste or type one.")
    return text, *costs(name, text)


def surprise_shown(text: str | None, name: str) -> tuple[str, str]:
    """Return a text in colour, and its figures."""
    text, parts, bits, unknown = measured(text, name)
    words = as_html(figures(parts, bits, name), unknown_note(bits, name, text))
    return coloured(parts, bits, unknown, name), words


def example(index: int) -> str:
    """Return the example of a visitor's index."""
    return checks.pick(EXAMPLES, index)


def build() -> None:
    """Make the widgets, inside a gr.Tab, and wire them."""
    about(ABOUT, MORE)
    with gr.Row():
        with gr.Column():
            name = models()
            chosen = examples(EXAMPLES)
            text = gr.Textbox(EXAMPLES[0], lines=6, max_lines=20, label="The text")
            run = RunButton("Show the surprise", "Reading ...")
        with gr.Column():
            colours, words = surprise_shown(EXAMPLES[0], FIRST)
            note = gr.HTML(words, label="Figures of the text")
            colours = gr.HTML(colours, css_template=CSS, container=True, label="The text in colour")
    shown = [colours, note]
    chosen.click(example, chosen, text, **QUIET)
    work = run.on_click(surprise_shown, [text, name], shown)
    clear_when([text.change, name.input], shown, work)
    endpoint(
        surprise,
        [
            gr.Textbox(EXAMPLES[0], label="Text", render=False),
            gr.Dropdown(list(NAMES), value=FIRST, label="Model", render=False),
        ],
        [gr.JSON(label="Tokens, each with its bits", render=False), gr.Textbox(label="Figures", render=False)],
    )
