"""How well a text model predicts: `python -m evaluation.perplexity NAME --split test`.

Nats, bits and perplexity a token and a character, top-k accuracy, the share of unknown tokens, and an interpolated
Kneser-Ney 5-gram on the same tokens, fitted on what the model was trained on. Every token counts, line ends too, each
given all that comes before it in the text. The symbol for unknown words counts as any other, and as it is easier to
predict than the words it stands for, the figures are bounds from below where there are such; of what a model has no
symbol for, none can be given, and it is left out. Of models over words the same follows without line ends and unknown
words, but that an unknown word counts as never guessed.
"""

import argparse
import math

import torch
from tqdm import tqdm

from evaluation.metrics.kneser_ney import KneserNey
from evaluation.metrics.scores import perplexity, t_interval
from evaluation.runner import Measures, advice, command, spread, training_text
from hub_models import HubModel, TextModel
from hub_models.text import of_tokens
from training.data import TextData

TOP = (1, 3, 5)
PASSAGES = 20  # of a text, over which intervals are: neighbours depend on one another, and so do pages of a play
ORDER = 5


def ranks(model: TextModel, text: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Text -> of each token its log p in nats (N,), how many are likelier, int64 (N,), and the token, int64 (N,).

    Of equally likely ones, those with lower numbers are taken for likelier.
    """
    found, numbers = [], torch.arange(model.config.vocab_size)
    for tokens, log_p in tqdm(model.scores(text), "perplexity", unit="part", leave=False):
        own = of_tokens(log_p, tokens)
        likelier = (log_p > own[:, None]) | ((log_p == own[:, None]) & (numbers < tokens[:, None]))
        found.append((own, likelier.sum(1), tokens))
    return tuple(torch.cat(parts) for parts in zip(*found, strict=True))


def by_passages(values: torch.Tensor) -> tuple[float, float, float]:
    """Values (N,) of neighbouring tokens -> their mean and its 95 % interval over passages, by Student's t."""
    values = values.double()
    mean = values.mean().item()
    passages = values.tensor_split(min(PASSAGES, len(values)))
    _, low, high = t_interval([passage.mean().item() for passage in passages])
    return mean, min(low, mean), max(high, mean)


def measure(model: HubModel, data: TextData, args: argparse.Namespace) -> Measures:
    """Every figure, with its 95 % interval over passages of the text."""
    if not isinstance(model, TextModel):
        raise ValueError(f"{args.name} is no text model: {advice(model)}")
    if not len(data):
        raise ValueError(f"the {args.split} split has no text: give a larger --limit")
    scored = [part for part in spread(data.texts, lambda text: ranks(model, text), "perplexity") if len(part[0])]
    log_p, likelier, tokens = (torch.cat(parts) for parts in zip(*scored, strict=True))
    lengths = torch.cat([torch.tensor([len(piece) for piece in model.pieces(text)]) for text in data.texts])
    unknown, possible = tokens == model.unknown, tokens < model.config.vocab_size
    told = (
        f"the model knows {int(possible.sum())} symbols of the {args.split} text, and 2 are the least for an interval"
    )
    if int(possible.sum()) < 2:
        raise ValueError(f"{told}: give it more text, of its own kind")
    nats = -log_p[possible]

    def entry(metric: str, unit: str, values: torch.Tensor, convert=lambda value: value) -> dict:
        value, low, high = by_passages(values)  # in nats or as a share, of which none is below 0
        value, low, high = map(convert, (value, max(0.0, low), high))
        interval = [low, min(100.0, high)] if unit == "%" else [low, high]
        return {"metric": metric, "value": value, "unit": unit, "n": len(values), "of": "tokens", "interval": interval}

    per_character = len(nats) / float(lengths[possible].sum())
    entries = [
        entry("perplexity", "a token", nats, perplexity),
        entry("nats_per_token", "nats/token", nats),
        entry("bits_per_token", "bits/token", nats, lambda value: value / math.log(2)),
        entry("nats_per_character", "nats/character", nats, lambda value: value * per_character),
        entry("bits_per_character", "bits/character", nats, lambda value: value * per_character / math.log(2)),
        entry("perplexity_per_character", "a character", nats, lambda value: perplexity(value * per_character)),
    ]
    for k in TOP:
        right = (likelier[possible] < k).double()
        entries.append(entry(f"top_{k}_accuracy", "%", right, lambda value: 100 * value))
    entries.append(entry("unknown", "%", unknown.double(), lambda value: 100 * value))
    training = training_text(args)
    if training:
        fitted = torch.cat([model.encode(text) for text in training.texts])
        fitted = fitted[fitted < model.config.vocab_size].numpy()
        grams = KneserNey(fitted, model.config.vocab_size, ORDER)
        theirs = -torch.from_numpy(grams.log_probabilities(tokens[possible].numpy()))
        entries.append(entry(f"perplexity_kneser_ney_{ORDER}_gram", "a token", theirs, perplexity))
    if model.predicts_unknown:  # one over words
        word = tokens != model.encode("\n")
        known = word & ~unknown
        if int(known.sum()) < 2:
            return entries
        entries.append(entry("perplexity_of_words", "a known word", nats[known], perplexity))
        if training:
            name = f"perplexity_of_words_kneser_ney_{ORDER}_gram"
            entries.append(entry(name, "a known word", theirs[known], perplexity))
        for k in TOP:
            right = ((likelier < k) & ~unknown)[word].double()
            entries.append(entry(f"top_{k}_accuracy_of_words", "%", right, lambda value: 100 * value))
    return entries


if __name__ == "__main__":
    command(measure, __doc__)
