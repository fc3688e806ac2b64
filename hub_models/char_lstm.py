"""CharLSTM: a recurrent net reads and writes a text character by character.

As "a CNN, a character RNN and three PixelRNNs" (2025) has it, whose nets are an embedding of 256, one GRU layer of 256,
512 or 1,024 units (though it calls them LSTMs) and a softmax over the 65 characters of tiny Shakespeare: 428,097,
1,232,705 and 4,021,569 parameters: `cell="gru"`; the default is what the model is called. Added, all off by default:
more layers; dropout of what goes in, of what comes out and of state-to-state weights, with one mask for all steps if
wanted; weights shared by embedding and softmax; an initialisation that remembers.
"""

from collections import Counter
from dataclasses import dataclass

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

from .text import TextModel, TextModelConfig

UNKNOWN = "\ufffd"  # Unicode's own sign for what cannot be read


@dataclass
class CharLSTMConfig(TextModelConfig):
    """Architecture of a CharLSTM."""

    model_type: str = "char_lstm"


class CharLSTM(TextModel):
    """A language model over characters."""

    config_class = CharLSTMConfig
    unit = "character"
    predicts_unknown = False
    title = "recurrent language model over characters"
    about = (
        "A recurrent net reads a text character by character and gives the probability of each next one: it scores "
        "texts, continues them and shows where it is surprised."
    )
    limits = (
        "It has read its training text, which is small, and nothing else: it spells, and imitates the look of it, "
        "but what it writes means little. A character that the training text lacks is read as one unknown symbol, the "
        "same for all such, and is never predicted: a text with one has probability 0."
    )
    citation = """@misc{karpathy2015charrnn,
  title={The Unreasonable Effectiveness of Recurrent Neural Networks}, author={Karpathy, Andrej}, year={2015},
  url={https://karpathy.github.io/2015/05/21/rnn-effectiveness/}}"""
    usage = """nats = -model.log_prob("To be, or not to be")
likely = model.next_tokens("To be, or not to b", 5)  # [(character, probability), ...]
text = "".join(model.generate("ROMEO:", max_tokens=200, temperature=0.8))"""

    @classmethod
    def tokenizer_of(cls, config: CharLSTMConfig, tokens: list[str]) -> Tokenizer:
        """Each character is a token, in Unicode's order; all others are one unknown symbol, after the last."""
        vocabulary = {symbol: i for i, symbol in enumerate([*sorted({*tokens} - {UNKNOWN}), UNKNOWN])}
        tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
        tokenizer.decoder = decoders.Fuse()
        return tokenizer

    @classmethod
    def fit(cls, config: CharLSTMConfig, texts: list[str]) -> Tokenizer:
        """That of the most frequent characters."""
        counts = Counter()
        for text in texts:
            counts.update(text)
        counts.pop(UNKNOWN, None)
        return cls.tokenizer_of(config, [symbol for symbol, _ in counts.most_common(config.vocab_size)])
