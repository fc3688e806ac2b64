"""Metrics of text as pure functions over tokens; the unit stands in each docstring."""

import math
from collections import Counter
from collections.abc import Container, Hashable, Iterator, Sequence
from dataclasses import dataclass


def _ngrams(tokens: Sequence[Hashable], n: int) -> Iterator[tuple]:
    return zip(*(tokens[i:] for i in range(n)), strict=False)


def distinct_n(tokens: Sequence[Hashable], n: int) -> float:
    """Share of a text's n-grams that are different, above 0 to 1 (Li et al., arXiv 1510.03055); falls with length.

    Raises:
        ValueError: no n-gram.
    """
    if not 1 <= n <= len(tokens):
        raise ValueError(f"{len(tokens)} tokens have no n-grams of {n}: give n of at least 1 and as many tokens")
    return len(set(_ngrams(tokens, n))) / (len(tokens) - n + 1)


def repetition(tokens: Sequence[Hashable], window: int) -> float:
    """Share of tokens that stand among the `window` tokens before them too, 0..1: rep/l of Welleck et al., 1908.04319.

    Raises:
        ValueError: no tokens, or a window below 1.
    """
    if not len(tokens) or window < 1:
        raise ValueError(f"{len(tokens)} tokens and a window of {window}: give at least one of each")
    last, repeated = {}, 0
    for i, token in enumerate(tokens):
        repeated += i - last.get(token, -math.inf) <= window
        last[token] = i
    return repeated / len(tokens)


def known_words(words: Sequence[str], lexicon: Container[str]) -> float:
    """Share of words that stand in the lexicon, 0..1.

    Raises:
        ValueError: no words.
    """
    if not len(words):
        raise ValueError("no words: give at least one")
    return sum(word in lexicon for word in words) / len(words)


@dataclass(eq=False, slots=True)
class _Runs:
    """State of a suffix automaton: runs that end at the same places of a text, each a suffix of the longest of them."""

    longer: "dict[Hashable, _Runs]"  # the state of the runs with one more token, by token
    shorter: "_Runs | None"  # that of the longest suffix that ends at more places
    length: int  # of the longest
    end: int  # the first place behind them


def longest_copied_span(generated: Sequence[Hashable], source: Sequence[Hashable]) -> tuple[int, int]:
    """Longest run of tokens that stands in both -> its length in tokens and where it starts in `generated`.

    Of equally long ones, the one that ends first in `source`, where it stands first in `generated`; (0, 0) if none.
    Linear in both lengths: `source` is read once along the suffix automaton of `generated` (Blumer et al. 1985).

    Raises:
        ValueError: one of them is empty.
    """
    if not len(generated) or not len(source):
        raise ValueError(f"{len(generated)} generated tokens and {len(source)} of source: give at least one of each")
    root = last = _Runs({}, None, 0, 0)
    for end, token in enumerate(generated, 1):
        runs, last = last, _Runs({}, root, end, end)
        while runs and token not in runs.longer:
            runs.longer[token] = last
            runs = runs.shorter
        if runs:
            last.shorter = known = runs.longer[token]
            if known.length > runs.length + 1:  # only its shorter runs end here too: they become a state of their own
                last.shorter = known.shorter = part = _Runs({**known.longer}, known.shorter, runs.length + 1, known.end)
                while runs and runs.longer.get(token) is known:
                    runs.longer[token] = part
                    runs = runs.shorter
    longest = start = length = 0
    runs = root
    for token in source:
        while runs is not root and token not in runs.longer:
            runs = runs.shorter
            length = runs.length
        if token in runs.longer:
            runs = runs.longer[token]
            length += 1
            if length > longest:
                longest, start = length, runs.end - length
    return longest, start


def bleu(candidates: Sequence[Sequence[Hashable]], references: Sequence[Sequence[Hashable]], order: int = 4) -> float:
    """BLEU of a corpus, 0..1 (Papineni et al. 2002): one reference a candidate, n-grams of 1 to `order`, no smoothing.

    Raises:
        ValueError: different or zero numbers of them, or an order below 1.
    """
    if len(candidates) != len(references) or not len(candidates) or order < 1:
        counts = f"{len(candidates)} candidates, {len(references)} references and order {order}"
        raise ValueError(f"{counts}: give a reference for each candidate, at least one, and an order of at least 1")
    log_precision = 0.0
    for n in range(1, order + 1):
        matched = total = 0
        for candidate, reference in zip(candidates, references, strict=True):
            grams = Counter(_ngrams(candidate, n))
            matched += (grams & Counter(_ngrams(reference, n))).total()
            total += grams.total()
        if not matched:
            return 0.0
        log_precision += math.log(matched / total) / order
    return math.exp(log_precision + min(0, 1 - sum(map(len, references)) / sum(map(len, candidates))))
