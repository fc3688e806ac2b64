"""WordLSTM: a recurrent net reads and writes a text word by word.

As "image completion with a raster LSTM; word LSTM" (2025) has it: embedding 256 -> LSTM 256, 256, 128, each with
dropout 0.2 -> dense 256 with ReLU -> dropout 0.3 -> softmax over 15,000 words and one for all others; its words are
lower-cased, without stage directions and whatever is no letter (`cleaned`). Added, off by default: weights shared by
embedding and softmax, dropout on the state-to-state weights, masks shared by all steps. Why no bidirectional LSTM: its
backward half has read the very word that is to be predicted.
"""

from collections import Counter
from dataclasses import dataclass

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
    title = "recurrent language model over words"
    about = (
        "A recurrent net reads a text word by word and gives the probability of each next one: it completes sentences, "
        "scores texts and writes on."
    )
    limits = (
        "It has read the plays of Shakespeare and nothing else. A word that is not in its vocabulary is read as one "
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
    def fit(cls, config: WordLSTMConfig, texts: list[str]) -> Tokenizer:
        """The symbol for all unknown words, then the most frequent words, signs and blanks of the texts."""
        tokenizer = Tokenizer(models.WordLevel({UNKNOWN: 0}, unk_token=UNKNOWN))
        tokenizer.normalizer = normalizers.Sequence([*(CLEANING if config.cleaned else ()), SPACED])
        tokenizer.pre_tokenizer = pre_tokenizers.Split(WORDS, "isolated")
        tokenizer.decoder = decoders.Sequence([decoders.Fuse(), UNSPACED])
        counts = Counter()
        for text in texts:
            text = tokenizer.normalizer.normalize_str(text)
            counts.update(word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text))
        words = [UNKNOWN, *(word for word, _ in counts.most_common(config.vocab_size - 1))]
        tokenizer.model = models.WordLevel({word: i for i, word in enumerate(words)}, unk_token=UNKNOWN)
        return tokenizer

    def _ends_in_space(self, prompt: str) -> bool:
        return isinstance(prompt, str) and prompt.endswith(" ") and not prompt.endswith(("  ", "\n "))

    # A space at a prompt's end belongs to the word that is to come.
    def next_tokens(self, prompt: str, k: int = 5, **options) -> list[tuple[str, float]]:
        if not self._ends_in_space(prompt):
            return super().next_tokens(prompt, k, **options)
        return [(added.removeprefix(" "), p) for added, p in super().next_tokens(prompt[:-1], k, **options)]

    def generate(self, prompt: str = "", **options):
        if not self._ends_in_space(prompt):
            return super().generate(prompt, **options)
        pieces = super().generate(prompt[:-1], **options)
        return (piece if i else piece.removeprefix(" ") for i, piece in enumerate(pieces))
