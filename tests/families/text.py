"""The language models over characters and words."""

from collections.abc import Callable

import torch
from asking import random_text, random_tokens

from hub_models import CharLSTMConfig, TextModel, WordLSTMConfig

RECURRENT = {
    **{"cell": "gru", "embedding": 5, "widths": (7, 6), "timescale": 9},  # the head joins widths 6 and 5
    **{"dropout": 0.1, "input_dropout": 0.2, "variational": True, "weight_drop": 0.3, "tied": True},
}
TINY = (
    CharLSTMConfig(vocab_size=20, **RECURRENT),
    WordLSTMConfig(vocab_size=15, dense=8, dense_dropout=0.1, cleaned=True, **RECURRENT),
)


def batch(model: TextModel, n: int) -> dict[str, torch.Tensor]:
    """Windows of 8 tokens."""
    return {"tokens": random_tokens(model, n, 8)}


def questions(model: TextModel) -> dict[str, Callable]:
    """Likelihoods, next tokens and continuations; not all answer with tensors."""
    text, noise = random_text(model), torch.Generator()
    return {
        "token_log_prob": lambda: model.token_log_prob(text)[1],
        "log_prob": lambda: model.log_prob(text),
        "pieces": lambda: model.token_log_prob(text)[0],
        "scores": lambda: torch.cat([log_p for _, log_p in model.scores(text)]),
        "next_tokens": lambda: model.next_tokens(text, 3),
        "generate": lambda: list(model.generate(text, max_tokens=12, generator=noise.manual_seed(0))),
        "generate greedily": lambda: list(model.generate(text, max_tokens=5, temperature=0)),
    }
