"""WordLSTM: a recurrent net reads and writes a text word by word.

As "image completion with a raster LSTM; word LSTM" (2025) has it: embedding 256 -> LSTM 256, 256, 128, each with
dropout 0.2 -> dense 256 with ReLU -> dropout 0.3 -> softmax over 15,000 words and one for all others; its words are
lower-cased, without stage directions and whatever is no letter (`cleaned`). Added, off by default: weights shared by
embedding and softmax, dropout on the state-to-state weights, masks shared by all steps. Why no bidirectional LSTM: its
backward half has read the very word that is to be predicted.
"""

import functools
from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from torch import nn

from .text import LARGEST_VOCABULARY, TextModel, TextModelConfig

UNKNOWN = "<unk>"
WORDS = Regex(r" ?\p{L}+(?:['’]\p{L}+)*| ?[^\s\p{L}]|\s")  # a word or a sign with the space before it, or a blank
# A line's first word gets a space before it, so that it is the same token as anywhere else; decoding takes it away.
SPACED = normalizers.Replace(Regex(r"(?m)^(?=[^\n])"), " ")
UNSPACED = decoders.Replace(Regex(r"(?m)^ "), "")
CLEANING = (
    normalizers.Replace(Regex(r"(?m)\[[^\]\n]*(?:\]|$)"), ""),  # stage directions
    normalizers.Replace(Regex(r"(?m)^[^\[\]\n]*\]"), ""),  # and their second lines
    normalizers.Lowercase(),
    normalizers.Replace(Regex(r"['’]"), ""),
    normalizers.Replace(Regex(r"[^a-z\s]"), " "),  # or the words on both sides of a dash would become one
    normalizers.Replace(Regex(r"[^\S\n]+"), " "),
    normalizers.Replace(Regex(r" ?\n\s*"), "\n"),
    normalizers.Replace(Regex(r"\A | \z"), ""),
)


@dataclass
class WordLSTMConfig(TextModelConfig):
    """Architecture and cleaning of a WordLSTM."""

    model_type: str = "word_lstm"
    vocab_size: int = 15_001
    widths: tuple = (256, 256, 128)
    dense: int = 0  # width of a dense layer with ReLU before the softmax; 0: none
    dense_dropout: float = 0.0  # after it
    cleaned: bool = False  # lower case, letters alone, no [stage directions]; else case and signs are kept

    def __post_init__(self):
        super().__post_init__()
        self.check_int("vocab_size", 2, LARGEST_VOCABULARY)  # one for unknown words, and something to write
        self.check_int("dense", 0, 8192)
        self.check_float("dense_dropout", 0, 0.99)
        self.check_bool("cleaned")


class WordLSTM(TextModel):
    """A language model over words."""

    config_class = WordLSTMConfig
    unit = "word"
    title = "recurrent language model over words"
    about = (
        "A recurrent net reads a text word by word and gives the probability of each next one: it completes sentences, "
        "scores texts and writes on."
    )
    limits = (
        "It has read its training text and nothing else. A word that is not in its vocabulary is read as one "
        "unknown word, the same for all such; as that one is easier to predict than the word itself, a perplexity over "
        "text with unknown words is a lower bound, and their share is told beside it."
    )
    citation = """@misc{merity2017regularizing,
  title={Regularizing and Optimizing LSTM Language Models}, author={Merity, Stephen and Keskar, Nitish Shirish and
  Socher, Richard}, year={2017}, eprint={1708.02182}, archivePrefix={arXiv}}"""
    usage = """nats = -model.log_prob("To be or not to be")
likely = model.next_tokens("To be or not to", 5)  # [(what the word adds to the text, probability), ...]
text = "".join(model.generate("O Romeo, Romeo", max_tokens=50, temperature=0.8))"""

    def make_head(self, width: int) -> tuple[nn.Sequential, int]:
        """The dense layer, where there is one."""
        config = self.config
        if not config.dense:
            return super().make_head(width)
        return nn.Sequential(nn.Linear(width, config.dense), nn.ReLU(), nn.Dropout(config.dense_dropout)), config.dense

    @classmethod
    def tokenizer_of(cls, config: WordLSTMConfig, tokens: list[str]) -> Tokenizer:
        """Words, signs and blanks are tokens, after the symbol for all unknown words."""
        vocabulary = {word: i for i, word in enumerate([UNKNOWN, *(word for word in tokens if word != UNKNOWN)])}
        tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
        tokenizer.normalizer = normalizers.Sequence([*(CLEANING if config.cleaned else ()), SPACED])
        tokenizer.pre_tokenizer = pre_tokenizers.Split(WORDS, "isolated")
        tokenizer.decoder = decoders.Sequence([decoders.Fuse(), UNSPACED])
        return tokenizer

    @classmethod
    def fit(cls, config: WordLSTMConfig, texts: list[str]) -> Tokenizer:
        """That of the most frequent words, signs and blanks; of faithful text first a space and a line end."""
        tokenizer, counts = cls.tokenizer_of(config, []), Counter()
        for text in texts:
            text = tokenizer.normalizer.normalize_str(text)
            counts.update(word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text))
        always = [] if config.cleaned else [" ", "\n"]  # so that two spaces, which no play has, come back as they were
        words = [*always, *(word for word, _ in counts.most_common() if word not in always)]
        return cls.tokenizer_of(config, words[: config.vocab_size - 1])

    def split(self, prompt: str) -> tuple[str, str]:
        """As every text model's: a space at the end belongs to the word that is to come."""
        ends = prompt.endswith(" ") and not prompt.endswith(("  ", "\n "))
        return (prompt[:-1], " ") if ends else (prompt, "")

    def possible(self, before: int, begun: str = "") -> torch.Tensor:
        """As every text model's. In text as it is read, a line's first word has a space, as has a word after a word.

        What only a token further back could tell is taken for possible, as "er" after "o'", which joins the two.
        """
        kinds = _kinds(self._own_tokenizer())
        known = super().possible(before, begun)
        kept = known
        if begun:
            kept = known & kinds.spaced & ~kinds.space  # which would add nothing
        elif kinds.space[before]:  # one alone: what has none would have joined it
            kept = known & (kinds.spaced | kinds.blank)
        elif kinds.line_end[before]:
            kept = known & (kinds.spaced | kinds.line_end)
        elif kinds.ends_in_letter[before]:
            kept = known & ~kinds.begins_in_letter
        return kept if kept.any() else known  # a vocabulary of a few words may have none


class _Kinds(NamedTuple):
    """Of a tokenizer's tokens, bool (vocab_size,) each."""

    spaced: torch.Tensor  # begins with a space
    blank: torch.Tensor  # a space, a line end, a tab and the like
    space: torch.Tensor
    line_end: torch.Tensor
    begins_in_letter: torch.Tensor
    ends_in_letter: torch.Tensor  # as the unknown word is taken to


@functools.lru_cache(maxsize=8)
def _kinds(tokenizer: Tokenizer) -> _Kinds:
    ids = tokenizer.get_vocab()
    words = sorted(ids, key=ids.get)
    tests = {
        "spaced": lambda word: word[0] == " ",
        "blank": str.isspace,
        "space": lambda word: word == " ",
        "line_end": lambda word: word == "\n",
        "begins_in_letter": lambda word: word[0].isalpha(),
        "ends_in_letter": lambda word: word[-1].isalpha() or word == UNKNOWN,
    }
    return _Kinds(**{name: torch.tensor([test(word) for word in words]) for name, test in tests.items()})
