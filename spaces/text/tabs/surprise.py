"""Tab Surprise: what each token of a text costs, in bits."""

import html
import math

import gradio as gr
import torch

from hub_models.spacekit import checks
from hub_models.spacekit.weights import on_gpu

from ._text import FIRST, examples, model, models, taken

TITLE = "Surprise"
MAX_CHARACTERS = 20_000  # characters: the slowest model reads them in seconds
ABOUT = f"""What each word or character of a text costs the model, in bits: little where what came before gave it away,
much where the model is surprised. A text of at most {MAX_CHARACTERS:,} characters."""
EXAMPLES = (
    "To be, or not to be, that is the question:\nWhether 'tis nobler in the mind to suffer\n"
    "The slings and arrows of outrageous fortune,\nOr to take arms against a sea of troubles\n",
    "To be to question, that the be not is or:\nNobler suffer 'tis in whether to mind the\n",
    "The train to Paris leaves at 7:45 from platform 3; your e-ticket is in the app.\n",
)
STEPS = 8  # of colour
DEAREST = 5  # tokens that are named with their bits, for those who cannot hover over each
# red over the page's own colour, so that letters stay legible in light and dark; Gradio puts all this under an id
CSS = "p.text { white-space: pre-wrap; overflow-wrap: anywhere; line-height: 1.7; unicode-bidi: isolate; }"
CSS += "span { border-radius: 3px; } .unknown { text-decoration: underline wavy; }"
CSS += "".join(f".b{i} {{ background: rgb(239 68 68 / {0.6 * i / STEPS:.3f}); }}" for i in range(STEPS + 1))


@on_gpu
def costs(name: str, text: str) -> tuple[list[str], torch.Tensor, torch.Tensor]:
    """The part of the text that each token is, what it costs in bits, (N,), and whether it is unknown, bool (N,)."""
    net = model(name)
    parts, log_p = net.token_log_prob(text)
    return parts, -log_p.double() / math.log(2), net.encode(text) == net.unknown


def visible(part: str) -> str:
    """Text -> HTML of it that shows what else would not be seen, and does nothing."""
    signs = ("⏎\n" if c == "\n" else c if c.isprintable() else f"U+{ord(c):04X}" for c in part)
    return html.escape("".join(signs))


def coloured(parts: list[str], bits: torch.Tensor, unknown: torch.Tensor, most: float) -> str:
    """HTML of a text: each token the redder the dearer, up to `most` bits; those unknown are underlined."""
    spans = []
    for part, cost, strange in zip(parts, bits.tolist(), unknown.tolist(), strict=True):
        shade = f"b{STEPS if cost > most else round(STEPS * cost / most)}"
        kind = f"unknown {shade}" if strange else shade
        told = f"{cost:.2f} bits" if cost < math.inf else "unknown: probability 0"
        spans.append(f'<span class="{kind}" title="{told}">{visible(part)}</span>')
    scale = "".join(f'<span class="b{i}">&emsp;</span>' for i in range(STEPS + 1))
    legend = f"0 bits {scale} {most:.1f} bits, as if all were equally likely, and more"
    if unknown.any():
        legend += '; <span class="unknown">underlined</span>: not in the vocabulary'
    dearest = bits.where(bits.isfinite(), -1).topk(min(DEAREST, len(parts)))
    named = [
        f"<b>{visible(parts[i])}</b> {cost:.1f} bits"
        for i, cost in zip(dearest.indices.tolist(), dearest.values.tolist(), strict=True)
        if cost >= 0
    ]
    told = f"<p>Dearest: {', '.join(named)}</p>" if named else ""
    return f'<p>{legend}</p><p class="text">{"".join(spans)}</p>{told}'


def in_words(parts: list[str], bits: torch.Tensor, unknown: torch.Tensor, kind: str) -> str:
    """What the figures of a text come to."""
    known = bits.isfinite()
    told, strange = "", int(unknown.sum())
    if strange:
        told = f"{strange:,} of its {len(parts):,} {kind}s {'is' if strange == 1 else 'are'} not in the vocabulary. "
        if known.all():
            told += "One symbol stands for all such, and is easier to predict than the very word: what the text really "
            told += "costs is more, and these figures are **lower bounds**."
        else:
            told += "The model gives each probability 0, and so the whole text, too: they are **left out** here."
    if not known.any():
        return told
    total, n = float(bits[known].sum()), int(known.sum())
    letters = sum(len(part) for part, seen in zip(parts, known.tolist(), strict=True) if seen)
    note = f"**{total:,.1f} bits** for {n:,} {kind}s"
    note += f" (signs and line ends count as words) of {letters:,} characters" if kind == "word" else ""
    note += f": a perplexity of **{2 ** (total / n):.2f}** a {kind}, **{total / letters:.3f} bits a character**. "
    return note + told


def surprise(text: str | None, name: str) -> tuple[str, str]:
    """A text in colour, and its figures. Both arguments are a visitor's."""
    net = model(name)
    text = taken(text, MAX_CHARACTERS, "The text")
    if not text:
        raise gr.Error("There is no text: paste or type one.")
    parts, bits, unknown = costs(name, text)
    return coloured(parts, bits, unknown, math.log2(net.config.vocab_size)), in_words(parts, bits, unknown, net.unit)


def take_text(index: int, name: str) -> tuple[str, str, str]:
    """An example's text, and what `surprise` shows of it."""
    text = checks.pick(EXAMPLES, index)
    return text, *surprise(text, name)


def turn_surprise(text: str | None, name: str) -> tuple:
    """For another model: what `surprise` shows of the text, if there is one."""
    return surprise(text, name) if text else (gr.skip(), gr.skip())


def build() -> None:
    """Make the widgets, inside a gr.Tab, and wire them."""
    gr.Markdown(ABOUT)
    with gr.Row():
        with gr.Column():
            name = models()
            chosen = examples(EXAMPLES)
            text = gr.Textbox(EXAMPLES[0], lines=6, max_lines=20, label="The text")
            show = gr.Button("Show what it costs", variant="primary")
        with gr.Column():
            colours, words = surprise(EXAMPLES[0], FIRST)
            note = gr.Markdown(words)
            colours = gr.HTML(colours, css_template=CSS, container=True)
    shown = [colours, note]
    seen = {"show_progress": "minimal", "trigger_mode": "always_last"}  # a long text takes seconds
    show.click(surprise, [text, name], shown, api_name="surprise", **seen)
    chosen.click(take_text, [chosen, name], [text, *shown], api_name="take_text", api_visibility="private", **seen)
    name.input(turn_surprise, [text, name], shown, api_name="turn_surprise", api_visibility="private", **seen)
