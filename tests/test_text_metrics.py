"""Metrics of text against values by hand and brute force."""

import math
import random

import pytest

from evaluation.metrics.text import bleu, distinct_n, known_words, longest_copied_span, repetition


def test_distinct_n_by_hand():
    """Of the bigrams ab ba ab bb, three are different."""
    assert distinct_n("ababb", 1) == 2 / 5
    assert distinct_n("ababb", 2) == 3 / 4
    assert distinct_n([4, 5, 6], 3) == 1
    for tokens, n in ("", 1), ("ab", 3), ("ab", 0):
        with pytest.raises(ValueError, match="n-grams"):
            distinct_n(tokens, n)


def test_repetition_by_hand():
    """In abaca the second and third a stand two places behind an a."""
    assert [repetition("abaca", window) for window in (1, 2, 9)] == [0, 2 / 5, 2 / 5]
    assert repetition([7, 7, 7, 7], 1) == 3 / 4
    for tokens, window in ("", 1), ("a", 0):
        with pytest.raises(ValueError, match="at least one"):
            repetition(tokens, window)


def test_repetition_by_brute_force():
    noise = random.Random(0)
    for _ in range(100):
        tokens, window = noise.choices("abcdefgh", k=noise.randint(1, 30)), noise.randint(1, 12)
        repeated = [tokens[i] in tokens[max(0, i - window) : i] for i in range(len(tokens))]
        assert repetition(tokens, window) == sum(repeated) / len(tokens)


def test_known_words_counts_each_time_a_word_stands_there():
    assert known_words(["to", "be", "or", "nott", "to"], {"to", "be", "or"}) == 4 / 5
    with pytest.raises(ValueError, match="no words"):
        known_words([], {"to"})


def copied(generated: str, source: str) -> tuple[int, int]:
    """The same by trying all lengths at all places of `source`."""
    for length in range(len(generated), 0, -1):
        for i in range(len(source) - length + 1):
            if (start := generated.find(source[i : i + length])) >= 0:
                return length, start
    return 0, 0


@pytest.mark.parametrize("letters", ["a", "ab", "abc", "abcdefghijklmnop"])
def test_longest_copied_span_by_brute_force(letters):
    noise = random.Random(letters)
    for _ in range(300):
        generated, source = ("".join(noise.choices(letters, k=noise.randint(1, 40))) for _ in range(2))
        assert longest_copied_span(generated, source) == copied(generated, source), (generated, source)


def test_longest_copied_span_of_tokens_by_hand():
    assert longest_copied_span([5, 1, 2, 3, 9], [1, 2, 4, 1, 2, 3, 5]) == (3, 1)
    assert longest_copied_span(["to", "be"], ["be", "to"]) == (1, 1)  # "be" ends first in the source
    assert longest_copied_span("abc", "xyz") == (0, 0)
    for generated, source in ("", "a"), ("a", ""):
        with pytest.raises(ValueError, match="at least one"):
            longest_copied_span(generated, source)


def test_longest_copied_span_finds_what_was_put_into_a_long_text():
    """With every letter from one half of the alphabet or the other, only what was put there is in both."""
    noise = random.Random(0)
    secret = "".join(noise.choices("nopq", k=700))
    generated = "".join(noise.choices("abcd", k=2000)) + secret + "abcd"
    source = "".join(noise.choices("wxyz", k=30_000)) + secret[:600] + "w" + secret[100:]
    assert longest_copied_span(generated, source) == (600, 2000)


@pytest.mark.parametrize(
    ("candidate", "reference", "order", "value"),
    [
        # 1-grams: 4 of 5, 2-grams: 3 of 4, 3-grams: 2 of 3, 4-grams: 1 of 2; their product is 1/5
        ("a b c d e", "a b c d f", 4, 0.2**0.25),
        # 1-grams: all but "sat", 5 of 6; 2-grams: "the cat", "on the", "the mat", 3 of 5; 4-grams: none
        ("the cat sat on the mat", "the cat is on the mat", 2, math.sqrt(5 / 6 * 3 / 5)),
        ("the cat sat on the mat", "the cat is on the mat", 4, 0),
        # the paper's own: "the" counts as often as the reference has it
        ("the the the the the the the", "the cat is on the mat", 1, 2 / 7),
        # all right, but a third of the length: exp(1 - 6 / 2)
        ("the cat", "the cat is on the mat", 2, math.exp(-2)),
        ("the cat is", "the cat is", 4, 0),  # nothing has a 4-gram
        ("", "the cat", 1, 0),
    ],
)
def test_bleu_by_hand(candidate, reference, order, value):
    assert bleu([candidate.split()], [reference.split()], order) == pytest.approx(value, abs=1e-15)


def test_bleu_of_a_corpus_adds_counts_up_before_it_divides():
    """1-grams: 3 of 4 and 1 of 1; 2-grams: 2 of 3, and none to match; 5 tokens for 7."""
    candidates, references = ["abcx", "d"], ["abcd", "dee"]
    assert bleu(candidates, references, 2) == pytest.approx(math.sqrt(4 / 5 * 2 / 3) * math.exp(1 - 7 / 5))


def test_bleu_is_1_where_all_are_equal_and_refuses_what_it_cannot_compare():
    assert bleu(["abcd", "efghi"], ["abcd", "efghi"]) == 1
    for candidates, references, order in ([], [], 4), (["a"], ["a", "b"], 4), (["a"], ["a"], 0):
        with pytest.raises(ValueError, match="at least"):
            bleu(candidates, references, order)
