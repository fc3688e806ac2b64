"""Interpolated modified Kneser-Ney n-gram model over token ids, exact and without a Python loop over tokens."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np


def discounts(counts: np.ndarray) -> np.ndarray:
    """Counts of the n-grams of one length -> what to take off a count of 0, 1, 2 and 3 or more: 0, D1, D2, D3+.

    With n_j the number of n-grams that are counted j times and Y = n_1 / (n_1 + 2 n_2), D_j = j - (j + 1) Y n_{j+1} /
    n_j. Where a text is too small for that (an n_j is 0, or a discount not above 0, which would leave nothing to unseen
    tokens), 1/2, 1 and 3/2.
    """
    n = np.bincount(np.minimum(counts, 5), minlength=6)[1:5].astype(float)
    if n.all():
        fitted = np.arange(1, 4) - np.arange(2, 5) * n[0] / (n[0] + 2 * n[1]) * n[1:] / n[:-1]
        if (fitted > 0).all():
            return np.append(0, fitted)
    return np.array([0, 0.5, 1, 1.5])


class KneserNey:
    """Chen and Goodman's best n-gram model (An empirical study of smoothing techniques for language modeling, 1999).

    As in their report TR-10-98, for a token w after a context h of n - 1 tokens, where h' is h without its first token:

        p(w | h) = (c(h w) - D(c(h w))) / c(h) + p(w | h') sum_v D(c(h v)) / c(h),    c(h) = sum_v c(h v)

    c(h w) is how often h w stands in the text where n is the order, and below it the number of different tokens that
    stand before h w. The recursion ends at p = 1 / vocabulary below the single tokens; where c(h) is 0, p(w | h) is
    p(w | h'). So the probabilities after any context sum to 1 and none is 0.

    An n-gram's id is its place among the sorted numbers (id of its first n - 1 tokens) * vocabulary + last token, so
    ids are exact, and looking up a longer n-gram is one binary search.

    Args:
        tokens: int (length,), the text to fit, ids from 0 to vocabulary - 1.
        vocabulary: number of different ids.
        order: longest n-gram; at most the length of the text is used.

    Raises:
        ValueError: no text, ids outside the vocabulary, or an order below 1.
    """

    def __init__(self, tokens: np.ndarray, vocabulary: int, order: int = 5):
        self.vocabulary = vocabulary
        tokens = self._checked(tokens)
        if tokens.ndim != 1 or order < 1:
            raise ValueError(f"fit one row of tokens and an order of at least 1, not {tokens.ndim} axes, order {order}")
        ids = np.zeros(len(tokens) + 1, np.int64)  # at each place, that of the n-gram that starts there: first n = 0
        keys, counts = [np.zeros(1, np.int64)], [None]
        for n in range(1, min(order, len(tokens)) + 1):
            longer, first, places, times = np.unique(
                ids[:-1] * vocabulary + tokens[n - 1 :], return_index=True, return_inverse=True, return_counts=True
            )
            # The count of the n-grams one shorter: each different longer one puts one more token before its last n - 1.
            counts[-1] = np.bincount(ids[first + 1], minlength=len(keys[-1]))
            keys, counts, ids = [*keys, longer], [*counts, times], places

        # Of each length: n-grams, their first summand, and the weight of p(w | h') by h; in the last place, which is
        # what an id of -1 reads, those of the unseen.
        self._levels = []
        for (contexts, _), (grams, count) in pairwise(zip(keys, counts, strict=True)):
            off, context = discounts(count)[np.minimum(count, 3)], grams // vocabulary
            total, mass = (np.bincount(context, values, len(contexts)) for values in (count, off))
            share = (count - off) / np.maximum(total, 1)[context]
            weight = np.divide(mass, total, out=np.ones_like(mass), where=total > 0)
            self._levels.append((grams, np.append(share, 0), np.append(weight, 1)))

    def log_probabilities(self, tokens: np.ndarray) -> np.ndarray:
        """Int (..., length) -> float64 (..., length): nats of each token given at most order - 1 before it in its row.

        Raises:
            ValueError: no tokens, or ids outside the vocabulary.
        """
        tokens = self._checked(tokens)
        context, p = np.zeros_like(tokens), np.full(tokens.shape, 1 / self.vocabulary)
        for grams, share, weight in self._levels:
            key = context * self.vocabulary + tokens
            place = np.minimum(np.searchsorted(grams, key), len(grams) - 1)
            ids = np.where(grams[place] == key, place, -1)  # after a -1 the key is below 0, so none
            p = share[ids] + weight[context] * p
            context = np.concatenate([np.full_like(ids[..., :1], -1), ids[..., :-1]], -1)
        return np.log(p)

    def distribution(self, context: Sequence[int]) -> np.ndarray:
        """Ids before, any number -> float64 (vocabulary,): probabilities of the next token."""
        rows = np.tile([*context[max(0, len(context) - len(self._levels) + 1) :], 0], (self.vocabulary, 1))
        rows[:, -1] = np.arange(self.vocabulary)
        return np.exp(self.log_probabilities(rows)[:, -1])

    def _checked(self, tokens: np.ndarray) -> np.ndarray:
        tokens = np.asarray(tokens)
        if not tokens.size or tokens.dtype.kind not in "iu" or tokens.min() < 0 or tokens.max() >= self.vocabulary:
            raise ValueError(f"give at least one token, all of them whole numbers from 0 to {self.vocabulary - 1}")
        return tokens.astype(np.int64)
