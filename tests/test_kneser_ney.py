"""Kneser-Ney against sums over all tokens, values by hand and the recursion written plainly."""

import itertools
import math

import numpy as np
import pytest

from evaluation.metrics.kneser_ney import KneserNey, discounts


def skewed(length: int, vocabulary: int, seed: int) -> np.ndarray:
    """A text of independent tokens, the first ones more frequent."""
    weights = 1 / np.arange(1, vocabulary + 1)
    return np.random.default_rng(seed).choice(vocabulary, length, p=weights / weights.sum())


def plain(text: list[int], vocabulary: int, order: int, context: tuple[int, ...], token: int) -> float:
    """p(token | context) as the recursion is printed, counting the text anew for each length."""
    p, order = 1 / vocabulary, min(order, len(text))
    for n in range(1, order + 1):
        if n == order:
            grams = [tuple(text[i : i + n]) for i in range(len(text) - n + 1)]
        else:  # one for each different n-gram with one more token before it
            grams = [gram[1:] for gram in {tuple(text[i : i + n + 1]) for i in range(len(text) - n)}]
        counts = {gram: grams.count(gram) for gram in grams}
        before = context[len(context) - n + 1 :]
        if len(before) < n - 1:
            return p
        after = [counts.get((*before, v), 0) for v in range(vocabulary)]
        off = discounts(np.array(list(counts.values())))
        if sum(after):
            count = after[token]
            p = (count - off[min(count, 3)] + p * sum(off[min(c, 3)] for c in after)) / sum(after)
    return p


def test_discounts_by_hand():
    """n_1 to n_4 are 8, 4, 2, 1, so Y = 1/2, D1 = 1 - 2/2 * 4/8, D2 = 2 - 3/2 * 2/4, D3+ = 3 - 4/2 * 1/2."""
    counts = np.repeat([0, 1, 2, 3, 4, 5, 9], [3, 8, 4, 2, 1, 6, 5])
    np.testing.assert_allclose(discounts(counts), [0, 0.5, 1.25, 2])


@pytest.mark.parametrize("numbers", [[8, 4, 2, 0], [0, 4, 2, 1], [2, 1, 10, 1]])  # the last makes D2 negative
def test_discounts_of_tiny_texts_are_fixed(numbers):
    np.testing.assert_array_equal(discounts(np.repeat([1, 2, 3, 4], numbers)), [0, 0.5, 1, 1.5])


def test_a_bigram_model_by_hand():
    """The text a b a b a c of the vocabulary a b c d, which is too small for other discounts than 1/2, 1 and 3/2.

    Each of a, b, c stands after one different token, though a is there three times: p(a) = p(b) = p(c) =
    (1 - 1/2) / 3 + (3/2) / 3 * 1/4 = 7/24 and p(d) = 1/8. After a come b twice and c once, so 1 + 1/2 of 3 is handed
    down: p(b | a) = (2 - 1) / 3 + 7/48, p(c | a) = (1 - 1/2) / 3 + 7/48, p(a | a) = 7/48, p(d | a) = 1/16. After b
    comes a twice, so 1 of 2 is handed down. Nothing comes after c or d: all is handed down.
    """
    model = KneserNey(np.array([0, 1, 0, 1, 0, 2]), vocabulary=4, order=2)
    alone = np.array([7, 7, 7, 3]) / 24
    np.testing.assert_allclose(model.distribution([]), alone)
    np.testing.assert_allclose(model.distribution([0]), np.array([7, 23, 15, 3]) / 48)
    np.testing.assert_allclose(model.distribution([1]), np.array([31, 7, 7, 3]) / 48)
    for context in [2], [3], [0, 1, 3]:
        np.testing.assert_allclose(model.distribution(context), alone)
    nats = model.log_probabilities(np.array([0, 1, 3, 0]))
    np.testing.assert_allclose(np.exp(nats), [7 / 24, 23 / 48, 1 / 16, 7 / 24])


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("length", [1, 2, 3, 8, 60, 400])
def test_probabilities_sum_to_1_after_every_context(order, length):
    """Token 3 is never in the text, so most contexts are unseen in part or whole."""
    model = KneserNey(skewed(length, 3, seed=length), vocabulary=4, order=order)
    for context in itertools.chain.from_iterable(itertools.product(range(4), repeat=n) for n in range(6)):
        p = model.distribution(context)
        assert p.shape == (4,) and p.min() > 0 and p.sum() == pytest.approx(1, abs=1e-13), context


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("length", [3, 30, 250])
def test_it_is_the_recursion_as_printed(order, length):
    """Held-out: some of the text, so that long contexts are seen, and others. Not all lengths' discounts are fitted."""
    text = skewed(length, 12, seed=1)
    held_out = np.append(text[-10:], skewed(25, 13, seed=2))
    expected = [plain(text.tolist(), 13, order, tuple(held_out[:i]), held_out[i]) for i in range(len(held_out))]
    nats = KneserNey(text, vocabulary=13, order=order).log_probabilities(held_out)
    np.testing.assert_allclose(np.exp(nats), expected, rtol=1e-12)


@pytest.mark.parametrize("order", [1, 2, 5])
def test_log_probabilities_are_those_of_the_distributions(order):
    """Of the first tokens too, whose contexts are shorter, and of rows, which do not look into each other."""
    model, held_out = KneserNey(skewed(300, 6, seed=3), vocabulary=7, order=order), skewed(40, 7, seed=4)
    nats = model.log_probabilities(held_out)
    expected = [math.log(model.distribution(held_out[:i])[token]) for i, token in enumerate(held_out)]
    np.testing.assert_allclose(nats, expected, rtol=1e-12)
    rows = model.log_probabilities(held_out.reshape(2, 20))
    np.testing.assert_array_equal(rows[0], nats[:20])
    np.testing.assert_array_equal(rows[1], model.log_probabilities(held_out[20:]))


def test_a_longer_context_reaches_the_entropy_of_a_text_that_needs_it():
    """With 0.8 the sum of the two before modulo 5, else any of 5: one or two tokens alone are uniform, three tell."""
    noise = np.random.default_rng(5)
    text = [0, 1]
    for random, other in zip(noise.random(40_000) > 0.8, noise.integers(5, size=40_000), strict=True):
        text.append(other if random else (text[-1] + text[-2]) % 5)
    fit, held_out = np.array(text[:30_000]), np.array(text[30_000:])
    nats = [-KneserNey(fit, 5, order).log_probabilities(held_out).mean() for order in (1, 2, 3, 5)]
    entropy = -0.84 * math.log(0.84) - 4 * 0.04 * math.log(0.04)
    np.testing.assert_allclose(nats[:2], math.log(5), atol=0.005)
    np.testing.assert_allclose(nats[2:], entropy, atol=0.05)


@pytest.mark.parametrize("tokens", [[], [-1], [3], [0.5], [[0, 1]]])
def test_what_is_no_text_is_refused(tokens):
    with pytest.raises(ValueError, match="token"):
        KneserNey(np.array(tokens), vocabulary=3)


def test_what_cannot_be_scored_is_refused():
    model = KneserNey(np.array([0, 1]), vocabulary=3)
    for tokens in [], [-1], [3]:
        with pytest.raises(ValueError, match="from 0 to 2"):
            model.log_probabilities(np.array(tokens))
    for context in [3], [0.5]:
        with pytest.raises(ValueError, match="from 0 to 2"):
            model.distribution(context)
    with pytest.raises(ValueError, match="order of at least 1"):
        KneserNey(np.array([0]), vocabulary=1, order=0)
