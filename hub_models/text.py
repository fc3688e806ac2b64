"""What every recurrent text model shares: tokens, likelihood, next tokens and generation, with carried state.

    tokens -> embedding -> stacked LSTM or GRU layers -> head -> softmax over the vocabulary

A text is read as if a line end stood before it, so that its first token, too, has a probability, and the probabilities
of all sequences of so many tokens sum to 1. The state is carried from token to token: each costs the same, however many
came before.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import nn

from .base import HubModel, at_least_float32
from .checkpoints import Stored, fetch
from .chunks import chunk_size
from .config import ModelConfig
from .files import read_text, write_text
from .layers.cross_entropy import CrossEntropy
from .layers.recurrent import CELLS, RecurrentStack, State, dropped
from .run_folder import TOKENIZER
from .sampling import check_generator, draw, narrowed, uniform

LARGEST_VOCABULARY = 1_000_000


@dataclass
class TextModelConfig(ModelConfig):
    """Architecture of a TextModel; its tokens are in `tokenizer.json`."""

    vocab_size: int = 65  # tokens that it predicts; of a recipe, the most of them: a text may have fewer
    cell: str = "lstm"  # "lstm" or "gru"
    embedding: int = 256
    widths: tuple = (512,)  # of the recurrent layers
    dropout: float = 0.0  # after each recurrent layer
    input_dropout: float = 0.0  # after the embedding
    variational: bool = False  # one dropout mask for all steps of a window (arXiv 1512.05287), not one a step
    weight_drop: float = 0.0  # of the state-to-state weights (arXiv 1708.02182)
    tied: bool = False  # the softmax uses the embedding's weights (arXiv 1608.05859)
    timescale: int = 0  # longest memory in steps at initialisation; 0: PyTorch's own initialisation

    def __post_init__(self):
        super().__post_init__()
        self.check_int("vocab_size", 1, LARGEST_VOCABULARY)
        self.check_choice("cell", tuple(CELLS))
        self.check_int("embedding", 1, 8192)
        self.check_tuple("widths", int, 1, 64)
        for width in self.widths:
            self.check_number("a width", width, int, 1, 8192)
        for name in ("dropout", "input_dropout", "weight_drop"):
            self.check_float(name, 0, 0.99)
        self.check_bool("variational")
        self.check_bool("tied")
        self.check_int("timescale", 0, 1_000_000)


class TextModel(HubModel, pipeline_tag="text-generation", tags=["rnn", "text-generation"]):
    """p(text) as a product over its tokens.

    A subclass gives `unit`, `fit` and `tokenizer_of` and may put a `head` of its own before the softmax. `tokenizer` is
    None until `fitted`, loading or you set it; all that takes or gives text needs it.
    """

    abstract = True
    unit: str  # what a token is: "character", "word"
    predicts_unknown = True  # the symbol for what the vocabulary lacks is one of the tokens that it predicts
    tokenizer: Tokenizer | None = None

    def __init__(self, config: TextModelConfig):
        super().__init__(config)
        self.embedding = nn.Embedding(config.vocab_size, config.embedding)
        options = {name: getattr(config, name) for name in ("dropout", "variational", "weight_drop", "timescale")}
        self.rnn = RecurrentStack(config.cell, config.embedding, config.widths, **options)
        self.head, width = self.make_head(config.widths[-1])
        if config.tied and width != config.embedding:
            self.head.append(nn.Linear(width, config.embedding, bias=False))
        if config.tied:
            nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
            self.bias = nn.Parameter(torch.zeros(config.vocab_size))
        else:
            self.output = nn.Linear(width, config.vocab_size)

    def make_head(self, width: int) -> tuple[nn.Sequential, int]:
        """What stands between the last recurrent layer, of this width, and the softmax; and its own width."""
        return nn.Sequential(), width

    @classmethod
    def tokenizer_of(cls, config: TextModelConfig, tokens: list[str]) -> Tokenizer:
        """The tokenizer that has these tokens."""
        raise NotImplementedError

    @classmethod
    def fit(cls, config: TextModelConfig, texts: list[str]) -> Tokenizer:
        """The tokenizer of training texts, of at most `config.vocab_size` tokens that the model predicts."""
        raise NotImplementedError

    @classmethod
    def fitted(cls, config: TextModelConfig, texts: list[str]) -> "TextModel":
        """An untrained model with the tokenizer of training texts, whose tokens may be fewer than the config allows."""
        tokenizer = cls.fit(config, texts)
        predicted = tokenizer.get_vocab_size() - (not cls.predicts_unknown)
        model = cls(replace(config, vocab_size=predicted))
        model.tokenizer = tokenizer
        return model

    @property
    def activation_size(self) -> int:
        """Elements of the logits or the gates, whichever are more, for one token; by it long texts are split."""
        return max(max(parameter.shape) for parameter in self.parameters())

    @property
    def unknown(self) -> int:
        """The token of what the vocabulary lacks."""
        tokenizer = self._own_tokenizer()
        return tokenizer.token_to_id(tokenizer.model.unk_token)

    def _own_tokenizer(self) -> Tokenizer:
        if self.tokenizer is None:
            raise ValueError("the model has no tokenizer: load it, or train it with training.train")
        return self.tokenizer

    def encode(self, text: str) -> torch.Tensor:
        """Text -> its tokens, int64 (N,).

        Raises:
            ValueError: no string.
        """
        return torch.tensor(self._own_tokenizer().encode(valid(text)).ids, dtype=torch.int64)

    def decode(self, tokens: torch.Tensor) -> str:
        """int64 (N,) -> text; of what `encode` makes of a text over the vocabulary, exactly that text.

        Raises:
            ValueError: tokens of another type or shape, or of another vocabulary.
        """
        size = self._own_tokenizer().get_vocab_size()
        fits = isinstance(tokens, torch.Tensor) and tokens.dtype == torch.int64 and tokens.dim() == 1
        fits = fits and bool(((tokens >= 0) & (tokens < size)).all())
        if not fits:
            raise ValueError(f"tokens are not all of the vocabulary: give numbers of 0 to {size - 1}, int64 (N,)")
        return self._own_tokenizer().decode(tokens.tolist(), skip_special_tokens=False)

    def features(self, tokens: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        """int64 (T, B) and the state before them -> what the softmax takes, (T, B, width), and the state after them."""
        tokens = tokens.to(self.device)
        known = tokens < self.config.vocab_size  # a token that is never predicted has no embedding: it reads as zeros
        x = self.embedding(tokens.where(known, 0)) * known[..., None]
        x = dropped(x, self.config.input_dropout, self.config.variational, self.training)
        x, state = self.rnn(x, state)
        return self.head(x), state

    def logits_of(self, x: torch.Tensor) -> torch.Tensor:
        """What `features` returns -> logits (T, B, vocab_size)."""
        return nn.functional.linear(x, self.embedding.weight, self.bias) if self.config.tied else self.output(x)

    def forward(self, tokens: torch.Tensor, state: State | None = None) -> dict:
        """int64 (B, T + 1), and the state before them -> the prediction of the last T from those before each.

        Returns:
            `loss`, mean nats a token, without those that the vocabulary lacks where it has no symbol for them;
            `logits` (B, T, vocab_size); `state` after the last but one token; `right`, how many are the likeliest.

        Raises:
            ValueError: tokens of another type or shape, a state of another batch, or, on the CPU, unknown tokens.
        """
        fits = isinstance(tokens, torch.Tensor) and tokens.dtype == torch.int64 and tokens.dim() == 2
        fits = fits and len(tokens) > 0 and tokens.shape[1] > 1
        told = f"{tokens.dtype} {tuple(tokens.shape)}" if isinstance(tokens, torch.Tensor) else type(tokens).__name__
        if not fits:
            raise ValueError(f"tokens is {told}: give an int64 tensor (B, T + 1), with at least one of each")
        if tokens.device.type == "cpu":  # a GPU would have to be waited for
            low, high, most = int(tokens.min()), int(tokens.max()), self.config.vocab_size - self.predicts_unknown
            if not (low >= 0 and high <= most):
                raise ValueError(f"tokens are {low} to {high}: give those of `encode`, 0 to {most}")
        x, state = self.features(tokens[:, :-1].t(), state)
        logits = self.logits_of(x)  # (T, B, vocab_size)
        rows, targets = logits.flatten(0, 1), tokens[:, 1:].t().flatten().to(logits.device)
        known = targets < self.config.vocab_size
        if not known.all():
            rows, targets = rows[known], targets[known]
        loss = CrossEntropy.apply(rows, targets) if len(rows) else rows.sum()
        right = (rows.detach().argmax(-1) == targets).sum()
        return {"loss": loss, "logits": logits.transpose(0, 1), "state": state, "right": right}

    @torch.no_grad()
    def _read(self, tokens: torch.Tensor, state: State | None) -> tuple[torch.Tensor, State]:
        """int64 (N,) -> log p of what comes after the last of them, (vocab_size,), and the state."""
        with self.exact(), self.evaluating():
            for part in tokens.split(chunk_size(self)):
                x, state = self.features(part[:, None], state)
            return at_least_float32(self.logits_of(x[-1, 0])).log_softmax(-1), state

    @torch.no_grad()
    def scores(self, text: str) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Text -> its tokens part by part, int64 (n,), and each one's distribution: log p in nats, (n, vocab_size)."""
        self.check_precision()
        tokens, state, last = self.encode(text), None, self._start()
        for part in tokens.split(chunk_size(self)) if len(tokens) else ():
            with self.exact(), self.evaluating():
                x, state = self.features(torch.cat([last, part[:-1]])[:, None], state)
                log_p = at_least_float32(self.logits_of(x[:, 0])).log_softmax(-1)
            last = part[-1:]
            yield part, log_p.cpu()

    def token_log_prob(self, text: str) -> tuple[list[str], torch.Tensor]:
        """Text -> the part of it that each token stands for, and each one's log p in nats given those before it, (N,).

        What the vocabulary lacks has probability 0, -inf, unless the model predicts a symbol for all such.

        Raises:
            ValueError: no string.
        """
        found = [torch.empty(0)]
        for tokens, log_p in self.scores(text):
            found.append(of_tokens(log_p, tokens))
        return self.pieces(text), torch.cat(found)

    def pieces(self, text: str) -> list[str]:
        """Text -> the part of it that each of its tokens stands for."""
        text = valid(text)
        spans = self._own_tokenizer().encode(text).offsets
        ends = [0, *(end for _, end in spans)]  # a space that normalising put in counts from the character before it
        return [text[max(begin, ends[i]) : end] for i, (begin, end) in enumerate(spans)]

    def log_prob(self, text: str) -> float:
        """Log p of a whole text in nats; `token_log_prob`'s sum.

        Raises:
            ValueError: no string.
        """
        parts = (of_tokens(log_p, tokens).double().sum().item() for tokens, log_p in self.scores(text))
        return sum(parts, start=0.0)

    def _start(self) -> torch.Tensor:
        """What stands before every text, int64 (1,): a line end."""
        return self.encode("\n")

    def split(self, prompt: str) -> tuple[str, str]:
        """A prompt -> what of it can be read, and its end, with which the token to come begins."""
        return prompt, ""

    def possible(self, before: int, begun: str = "") -> torch.Tensor:
        """Which tokens can come after another, and begin with this, bool (vocab_size,).

        The symbol for what the vocabulary lacks cannot: it is no text.
        """
        return torch.arange(self.config.vocab_size) != self.unknown

    def _prompt(self, prompt: str) -> tuple[torch.Tensor, str]:
        """A prompt -> its tokens, a line end before them, and what the token to come begins with."""
        read, begun = self.split(valid(prompt))
        return torch.cat([self._start(), self.encode(read)]), begun

    def _next(self, log_p: torch.Tensor, before: int, begun: str) -> torch.Tensor:
        """Log p (vocab_size,) of what comes after a token -> float64 on the CPU, -inf of what cannot come."""
        return log_p.cpu().double().where(self.possible(before, begun), -math.inf)

    def _added(self, before: int, token: int, begun: str) -> str:
        """What a token adds to a text that ends in another, and in what it begins with."""
        decode = self._own_tokenizer().decode
        both, one = (decode(ids, skip_special_tokens=False) for ids in ([before, token], [before]))
        return both[len(one) :].removeprefix(begun)  # at a line's start decoding has taken the space away already

    def next_tokens(
        self, prompt: str, k: int = 5, *, temperature: float = 1.0, top_k: int = 0
    ) -> list[tuple[str, float]]:
        """The k likeliest continuations of a prompt by one token: (what it adds to the text, its probability).

        The probability is that with which `generate` draws it at that temperature, which is not 0 here, and top_k.

        Raises:
            ValueError: prompt no string, or a number out of range.
        """
        most = self.config.vocab_size
        ModelConfig.check_number("k", k, int, 1, most)
        ModelConfig.check_number("temperature", temperature, float, 0.01, 100)
        ModelConfig.check_number("top_k", top_k, int, 0, LARGEST_VOCABULARY)
        tokens, begun = self._prompt(prompt)
        before = int(tokens[-1])
        log_p = self._next(self._read(tokens, None)[0], before, begun)
        best = narrowed(log_p, temperature, top_k).softmax(-1).topk(k)
        pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        return [(self._added(before, token, begun), p) for token, p in pairs if p > 0]

    def generate(
        self,
        prompt: str = "",
        *,
        max_tokens: int = 200,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Iterator[str]:
        """Continue a prompt, token by token: what each adds to the text.

        What is not `possible` is never drawn.

        Args:
            prompt: may be empty, and longer than any window of training; all of it is read.
            max_tokens: how many to draw.
            temperature: 0 is greedy, 1 the model's own distribution.
            top_k: draw from the so many likeliest only; 0: from all.
            top_p: draw from the fewest likeliest that have so much probability together (arXiv 1904.09751); 1: all.
            generator: source of the noise, on the CPU; the same state draws the same text.

        Raises:
            ValueError: any of them out of range, at once and not when the first token is asked for.
        """
        ModelConfig.check_number("max_tokens", max_tokens, int, 1, 1_000_000)
        ModelConfig.check_number("temperature", temperature, float, 0, 100)
        ModelConfig.check_number("top_k", top_k, int, 0, LARGEST_VOCABULARY)
        ModelConfig.check_number("top_p", top_p, float, 0, 1)
        check_generator(generator)
        return self._generated(*self._prompt(prompt), max_tokens, temperature, top_k, top_p, generator)

    def _generated(
        self,
        tokens: torch.Tensor,
        begun: str,
        max_tokens: int,
        temperature: float,
        top_k: int,
        top_p: float,
        generator: torch.Generator | None,
    ) -> Iterator[str]:
        before, state = int(tokens[-1]), None
        for _ in range(max_tokens):
            log_p, state = self._read(tokens, state)
            logits = narrowed(self._next(log_p, before, begun), temperature, top_k, top_p)
            noise = uniform(1, generator)
            tokens = draw(logits[None], 1.0 if temperature else 0.0, noise)  # they are divided by it already
            token = int(tokens)
            yield self._added(before, token, begun)
            before, begun = token, ""

    def save_pretrained(self, save_directory: str | Path, **kwargs) -> None:
        """Write `model.safetensors`, `config.json` and `tokenizer.json`.

        Raises:
            OSError: no room or no right; the files that were there are whole. ValueError: there is no tokenizer.
        """
        tokenizer = self._own_tokenizer()
        super().save_pretrained(save_directory, **kwargs)
        write_text(Path(save_directory, TOKENIZER), tokenizer.to_str(pretty=True) + "\n")

    @classmethod
    def from_stored(cls, stored: Stored) -> "TextModel":
        """The model of an opened checkpoint of this class, and its tokenizer."""
        model = super().from_stored(stored)
        path = fetch(stored.source, TOKENIZER, **stored.hub)
        told = f"{stored.source}: {TOKENIZER} is damaged or another model's"
        try:
            tokenizer = Tokenizer.from_str(read_text(path))
            ids = tokenizer.get_vocab()
            ours = cls.tokenizer_of(model.config, sorted(ids, key=ids.get))
        except Exception as error:  # the reader's own, of no type
            raise ValueError(f"{told} ({error}): download or save it again") from error
        fits = tokenizer.to_str() == ours.to_str() and all(
            [piece for piece, _ in ours.pre_tokenizer.pre_tokenize_str(token)] == [token]
            for token in ids
            if token != ours.model.unk_token
        )
        if not fits:
            raise ValueError(f"{told}: it does not read as ours do: download or save it again")
        size, most = len(ids), model.config.vocab_size
        fits = size == most + (not cls.predicts_unknown)
        if not fits:
            raise ValueError(f"{told}: it has {size} tokens, the model predicts {most}: download or save it again")
        model.tokenizer = tokenizer
        return model


def valid(text: str) -> str:
    """Text with lone halves of surrogate pairs, which no file can hold, made the sign for what cannot be read.

    Raises:
        ValueError: no string.
    """
    if not isinstance(text, str):
        raise ValueError(f"text is a {type(text).__name__}: give a string")
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def of_tokens(log_p: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Log p (N, vocab_size) -> that of each place's token int64 (N,), (N,); -inf of one that is never predicted."""
    known = tokens < log_p.shape[1]
    return log_p.gather(1, tokens.where(known, 0)[:, None])[:, 0].where(known, -math.inf)
