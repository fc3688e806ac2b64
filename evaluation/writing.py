"""What a text model writes: `python -m evaluation.writing NAME --split test`.

From nothing it writes several texts, of which are told: how many n-grams of words are different, how many tokens repeat
one of the 64 before, how many words stand in the training text, and the longest span copied from that; of true text of
that length the same, beside it. Then it continues the split's text at many places, and BLEU compares these with what
stands there. The study's prompts, continued at several temperatures, are a table on the card.
"""

import argparse
import functools
import re

import torch
from tqdm import tqdm

from evaluation.metrics.scores import bootstrap_intervals, t_interval
from evaluation.metrics.text import bleu, distinct_n, known_words, longest_copied_span, repetition
from evaluation.reports.texts import in_a_cell, sections
from evaluation.runner import Measures, advice, command, training_text
from hub_models import HubModel, TextModel
from training.data import TextData, load_split

PROMPTS = {  # the study's, and the temperatures at which it tried them
    "To be or not to": 1.0,
    "O Romeo, Romeo wherefore": 1.0,
    "If music be the": 0.8,
    "Friends, Romans, country-men,": 1.1,
}
TEMPERATURES = (0.5, 0.8, 1.0)
TEMPERATURE = 0.8
TEXTS = 10
WRITTEN = {"character": 1000, "word": 200}  # tokens of a text from nothing
CONTINUED = {"character": 120, "word": 25}  # tokens of a continuation
PLACES = 100  # at which the split's text is continued
BEFORE = 400  # characters before each such place that the model reads
WINDOW = 64  # tokens among which a repetition counts


def words_of(text: str) -> list[str]:
    """The words of a text, in lower case, without the signs around them."""
    words = (word.strip(".,;:!?'\"()[]-&") for word in text.lower().split())
    return [word for word in words if word]


def write(model: TextModel, prompt: str, length: int, temperature: float, seed: int) -> str:
    """A continuation of so many tokens, always the same for a seed."""
    noise = torch.Generator().manual_seed(seed)
    return "".join(model.generate(prompt, max_tokens=length, temperature=temperature, generator=noise))


def facts(model: TextModel, texts: list[str], training: str) -> dict[str, tuple[str, torch.Tensor]]:
    """Name of each figure -> its unit, and its values, (N,), one a text."""
    lexicon = set(words_of(training))
    found = []
    for text in texts:
        words = words_of(re.sub(r"\s\S*$", "", text))  # but the last, which may be cut
        told = f"a text of {len(text)} characters has {len(words)} whole words, too few to be told of"
        if len(words) < 3:
            raise ValueError(f"{told}: train the model longer, and give a larger --limit")
        tokens = model.encode(text).tolist()
        shares = {f"distinct_{n}": distinct_n(words, n) for n in (1, 2, 3)}
        shares |= {"repetition": repetition(tokens, WINDOW), "known_words": known_words(words, lexicon)}
        span = longest_copied_span(text, training)[0]
        found.append({name: 100 * share for name, share in shares.items()} | {"longest_copied_span": span})
    units = {name: "characters" if name == "longest_copied_span" else "%" for name in found[0]}
    return {name: (unit, torch.tensor([float(own[name]) for own in found])) for name, unit in units.items()}


def read(args: argparse.Namespace) -> str:
    """The text that the model was trained on, against which its own is held."""
    training = training_text(args)
    if training is None:
        raise ValueError(f"{args.name} was trained on another file than {args.data}: give that one by --data")
    return "".join(training.texts)


def statistics(model: TextModel, data: TextData) -> dict:
    """What a split holds: characters, lines, tokens, different ones of them, and in % those that are unknown."""
    text = "".join(data.texts)
    tokens = torch.cat([model.encode(own) for own in data.texts])
    return {
        "split": data.split,
        "characters": len(text),
        "lines": text.count("\n"),
        "words": len(words_of(text)),
        "different_words": len(set(words_of(text))),
        "tokens": len(tokens),
        "different_tokens": len(tokens.unique()),
        "unknown": 100 * float((tokens == model.unknown).double().mean()),
    }


@functools.lru_cache(maxsize=1)
def from_nothing(model: TextModel, seed: int) -> list[str]:
    """Texts that the model writes without a prompt; kept, since the report shows those that were measured."""
    length = WRITTEN[model.unit]
    return [write(model, "", length, TEMPERATURE, seed + i) for i in tqdm(range(TEXTS), "writing")]


def measure(model: HubModel, data: TextData, args: argparse.Namespace) -> Measures:
    """Each figure of what the model writes, with its interval over texts; that of BLEU by resampling the places."""
    if not isinstance(model, TextModel):
        raise ValueError(f"{args.name} writes no text: {advice(model)}")
    training, text = read(args), "".join(data.texts)
    entries = []
    for name, (unit, values) in facts(model, from_nothing(model, args.seed), training).items():
        value, *ends = t_interval(values.tolist())
        ends = [max(0.0, ends[0]), min(100.0, ends[1])] if unit == "%" else ends
        entries.append({"metric": name, "value": value, "unit": unit, "n": TEXTS, "of": "texts", "interval": ends})
    length = CONTINUED[model.unit]
    candidates, references = [], []
    for i in tqdm(range(PLACES), "continuing"):
        place = BEFORE + i * max(1, (len(text) - 3 * BEFORE) // PLACES)
        place = max(0, text.rfind(" ", 0, place))  # so that the model begins with a word, and the true text, too
        continued = write(model, text[max(0, place - BEFORE) : place], length, TEMPERATURE, args.seed + i)
        true = words_of(text[place : place + len(continued)])
        if true and words_of(continued):
            candidates.append(words_of(continued)), references.append(true)
    if len(candidates) <= 1:
        raise ValueError(f"the {args.split} text is too short to be continued: give a larger --limit")

    def score(at: torch.Tensor) -> list[float]:
        return [100 * bleu([candidates[i] for i in at], [references[i] for i in at], 2)]

    value, (ends,) = score(torch.arange(len(candidates)))[0], bootstrap_intervals(score, len(candidates), args.seed)
    ends = [min(ends[0], value), max(ends[1], value)]
    told = {"metric": "bleu_2", "value": value, "unit": "%", "n": len(candidates), "of": "continuations"}
    return [*entries, told | {"interval": ends}]


def report(
    model: HubModel, data: TextData, args: argparse.Namespace, results: Measures
) -> tuple[dict, dict[str, bytes]]:
    """Return the figures beside those of true text and the study's prompts as the model continues them; no pictures."""
    training, text = read(args), "".join(data.texts)
    texts, length = from_nothing(model, args.seed), CONTINUED[model.unit]
    size, apart = max(map(len, texts)), len(text) // TEXTS
    passages = [re.sub(r"^\S*\s", "", text[i * apart :][:size]) for i in range(TEXTS)]  # from a word's beginning
    true = facts(model, passages, training)
    told = {entry["metric"]: entry["value"] for entry in results}
    rows = [
        {"name": f"{name.replace('_', ' ')} ({unit})", "written": told[name], "true": values.mean().item()}
        for name, (unit, values) in true.items()
    ]
    prompts = [
        {"prompt": prompt, "temperature": temperature, "text": in_a_cell(prompt + continued)}
        for prompt, own in PROMPTS.items()
        for temperature in sorted({*TEMPERATURES, own})
        for continued in [write(model, prompt, length, temperature, args.seed)]
    ]
    corpus = [statistics(model, load_split(data.name, split, args.data)) for split in ("train", "validation", "test")]
    found = {
        "corpus": corpus,
        "n": len(data),
        "written": WRITTEN[model.unit],
        "temperature": TEMPERATURE,
    }
    found |= {"rows": rows, "texts": texts, "prompts": prompts}
    return found | {"sections": sections(found, args.split)}, {}


if __name__ == "__main__":
    command(measure, __doc__, report)
