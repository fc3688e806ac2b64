"""The promises of text models: causal, normalised, carried state as good as all at once, samplers, tokenizers."""

import collections
import copy
import itertools
import json
import math
import pickle
import random
import re

import numpy as np
import pytest
import torch
from asking import random_text, random_tokens
from conftest import LINES, TEXT_MODELS, TINY, build, enliven, from_config, random_batch
from safetensors.torch import load_file

from hub_models import MODELS, CharLSTMConfig, WordLSTM, WordLSTMConfig, chunks, load
from hub_models.layers.recurrent import RecurrentStack, dropped
from hub_models.sampling import narrowed
from training.recipes import RECIPES

CALM = {"dropout": 0.0, "input_dropout": 0.0, "weight_drop": 0.0, "dense_dropout": 0.0}
NETS = {
    "char_gru_tied": ("char_lstm", {}),
    "char_lstm": ("char_lstm", {"cell": "lstm", "tied": False, "timescale": 0}),
    "char_lstm_tied": ("char_lstm", {"cell": "lstm", "embedding": 6}),  # as wide as the last layer: nothing between
    "word_gru_tied": ("word_lstm", {"cleaned": False}),
    "word_lstm": ("word_lstm", {"cell": "lstm", "tied": False, "dense": 0, "variational": False}),
}


def make(name: str, **changes):
    """A net of NETS in eval() mode and float64, far from uniform."""
    model_type, own = NETS[name]
    return enliven(build(model_type, **own | changes)).eval()


@pytest.fixture(params=NETS)
def net(request):
    return make(request.param)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# 1. Causal and normalised.


@pytest.mark.parametrize("training", [False, True])
def test_a_logit_depends_on_every_earlier_token_and_on_no_other(net, training):
    net.train(training)
    tokens = random_tokens(net, 2, 9)

    def logits(tokens: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(3)
        return net(tokens)["logits"]  # at place i, of token i + 1

    before = logits(tokens)
    for i in range(tokens.shape[1]):
        changed = tokens.clone()
        changed[:, i] = (tokens[:, i] + 1) % net.config.vocab_size
        differs = (logits(changed) != before).any(-1)
        assert not differs[:, :i].any() and differs[:, i:].all()


def test_the_probabilities_of_all_texts_of_a_length_sum_to_1_and_after_any_prompt():
    for cell, prompt in ("gru", ""), ("lstm", "b\na"):
        model = enliven(from_config(CharLSTMConfig(vocab_size=3, cell=cell, embedding=4, widths=(5,)), ["ab\n"])).eval()
        for length in range(1, 5):
            texts = map("".join, itertools.product("ab\n", repeat=length))
            p = [math.exp(model.log_prob(prompt + text)) for text in texts]
            assert sum(p) == pytest.approx(math.exp(model.log_prob(prompt)), rel=1e-12) and min(p) > 0
        assert sum(p for _, p in model.next_tokens(prompt, 3)) == pytest.approx(1, rel=1e-12)


def test_the_probabilities_of_all_sequences_of_words_sum_to_1_the_unknown_one_among_them():
    model = enliven(from_config(WordLSTMConfig(vocab_size=4, embedding=4, widths=(5,), dense=3), LINES)).eval()
    for length in range(1, 5):
        tokens = torch.tensor(list(itertools.product(range(4), repeat=length)))
        start = model.encode("\n").expand(len(tokens), 1)
        log_p = model(torch.cat([start, tokens], 1))["logits"].log_softmax(-1).gather(2, tokens[..., None])
        assert log_p.sum((1, 2)).exp().sum().item() == pytest.approx(1, rel=1e-12)


def test_log_prob_the_loss_and_the_scores_are_one_figure(net, monkeypatch):
    written = random_text(net)
    tokens = net.encode(written)
    whole = torch.cat([net.encode("\n"), tokens])[None]
    out = net(whole)
    pieces, log_p = net.token_log_prob(written)
    assert len(pieces) == len(log_p) == len(tokens) and log_p.dtype == torch.float64
    by_hand = out["logits"][0].log_softmax(-1).gather(1, tokens[:, None])[:, 0]
    assert torch.allclose(log_p, by_hand, rtol=0, atol=1e-12)
    assert net.log_prob(written) == pytest.approx(-len(tokens) * out["loss"].item(), rel=1e-9)
    for found in out, net.train()(whole):  # training is scored, too
        assert found["right"] == (found["logits"][0].argmax(-1) == tokens).sum()
    for part in 1, 2, 7:
        monkeypatch.setattr(chunks, "CHUNK", part * net.activation_size)
        parts = list(net.scores(written))
        assert [len(own) for own, _ in parts][:-1] == [part] * (len(parts) - 1) and len(parts) == -(
            -len(tokens) // part
        )
        assert torch.allclose(net.token_log_prob(written)[1], log_p, rtol=0, atol=1e-12)


def test_an_empty_text_has_probability_1_and_no_tokens(net):
    assert net.log_prob("") == 0 and net.token_log_prob("")[0] == []
    assert sum(len(rows) for _, rows in net.scores("")) == len(net.encode("")) == 0
    assert net.decode(net.encode("")) == ""
    for token in (-1, 10**6):
        with pytest.raises(ValueError, match="tokens are not all of the vocabulary: give numbers of 0 to"):
            net.decode(torch.tensor([0, token]))


def test_what_the_vocabulary_lacks_is_never_predicted_by_characters_and_is_one_symbol_of_words():
    model = make("char_lstm")
    known = random_text(model, 4)
    pieces, log_p = model.token_log_prob(f"{known}\u00e9{known}")
    assert pieces[4] == "\u00e9" and log_p.isinf().tolist() == [i == 4 for i in range(9)]
    assert model.log_prob(f"{known}\u00e9") == -math.inf
    tokens = random_batch(model)["tokens"]
    with_unknown = tokens.clone()
    with_unknown[0, -1] = model.unknown
    out, without = model(with_unknown), model(tokens)
    assert torch.equal(out["logits"], without["logits"])
    each = -without["logits"].log_softmax(-1).gather(2, tokens[:, 1:, None]).flatten()
    kept = torch.arange(len(each)) != 6  # the last of the first row
    assert out["loss"].item() == pytest.approx(each[kept].mean().item(), rel=1e-9)
    nothing = model.train()(torch.full((1, 3), model.unknown))["loss"]
    nothing.backward()
    assert nothing == 0 and all(p.grad is None or p.grad.eq(0).all() for p in model.parameters())
    words = make("word_gru_tied")
    assert words.unknown == 0 and words.token_log_prob("zzz")[1].isfinite().all()
    assert words.token_log_prob("zzz")[1].equal(words.token_log_prob("yyy")[1])


# 2. Carried is whole.


@torch.no_grad()
def test_reading_in_parts_with_the_state_is_reading_at_once_and_one_by_one(net):
    tokens, chance = random_tokens(net, 13, 2), random.Random(0)
    whole, last = net.features(tokens)
    for cuts in range(1, 13), [], [1], [12], *(sorted(chance.sample(range(1, 13), 4)) for _ in range(5)):
        state, parts = None, []
        for part in tokens.tensor_split(list(cuts)):
            before, copies = state, copy.deepcopy(state)
            x, state = net.features(part, before)
            parts.append(x)
            assert before is None or same(before, copies)  # what goes in is not changed
        assert torch.allclose(torch.cat(parts), whole, rtol=0, atol=1e-12)
        for own, other in zip(itertools.chain(*state), itertools.chain(*last), strict=True):
            assert own.shape == other.shape and torch.allclose(own, other, rtol=0, atol=1e-12)
    assert not torch.allclose(net.features(tokens[5:])[0], whole[5:], rtol=0, atol=1e-6)  # it does matter


def same(state, other) -> bool:
    pairs = zip(itertools.chain(*state), itertools.chain(*other), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_a_prompt_longer_than_what_is_read_at_once_is_read_to_its_end():
    model = make("char_lstm")
    prompt = random_text(model, 4100)
    x, _ = model.features(torch.cat([model.encode("\n"), model.encode(prompt)])[:, None])
    p = model.logits_of(x[-1, 0]).softmax(-1)
    likely = model.next_tokens(prompt, 3)
    assert [p for _, p in likely] == pytest.approx(p.sort(descending=True).values[:3].tolist(), abs=1e-9)
    assert next(model.generate(prompt, temperature=0)) == likely[0][0]


# 3. Generation.


def kept(p: list[float], top_k: int, top_p: float) -> set[int]:
    """By hand: of the probabilities the `top_k` likeliest, of these the fewest that have `top_p` of what is left."""
    order = sorted(range(len(p)), key=lambda i: -p[i])
    order = order[:top_k] if top_k else order
    left, total = sum(p[i] for i in order), 0.0
    for count, i in enumerate(order):
        if count and total >= top_p:
            return set(order[:count])
        total += p[i] / left
    return set(order)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_narrowing_keeps_what_a_search_by_hand_keeps_in_the_same_proportions(temperature):
    for seed in range(20):
        logits = 2 * torch.randn(9, generator=seeded(seed), dtype=torch.float64)
        p = (logits / temperature).softmax(-1)
        for top_k, top_p in itertools.product((0, 1, 2, 5, 8, 9, 10, 1000), (0.0, 1e-9, 0.3, 0.5, 0.9, 0.999, 1.0)):
            found = narrowed(logits, temperature, top_k, top_p).softmax(-1)
            wanted = kept(p.tolist(), top_k, top_p) if top_p < 1 else kept(p.tolist(), top_k, 2)
            assert {i for i, q in enumerate(found.tolist()) if q} == wanted
            own = torch.tensor([i in wanted for i in range(9)])
            assert torch.allclose(found, p * own / (p * own).sum(), rtol=1e-12)


def test_of_equal_ones_at_the_border_all_are_kept_and_the_likeliest_always_is():
    logits = torch.tensor([1.0, 3.0, 3.0, 0.0, 3.0, -math.inf])
    assert narrowed(logits, 1.0, top_k=1).isfinite().tolist() == [False, True, True, False, True, False]
    assert narrowed(logits, 1.0, top_p=0.0).isfinite().sum() == 1
    for temperature in 1e-30, 5e-324:
        assert narrowed(logits.double(), temperature).softmax(-1).tolist() == pytest.approx(
            [0, 1 / 3, 1 / 3, 0, 1 / 3, 0]
        )
    assert torch.equal(narrowed(logits, 0, 2, 0.1), logits)


def follows(model, before: int, token: int) -> bool:
    """Whether a text may have one token after another: of those over words a line's first has a space, as has a word
    after a word."""
    if not model.predicts_unknown:
        return True
    last, word = map(model.tokenizer.id_to_token, (before, token))
    return word[0] in " \n" if last == "\n" else not (last[-1].isalpha() and word[0].isalpha())


def plainly(model, prompt: str, count: int, temperature: float, top_k: int, top_p: float, noise) -> str:
    """What `generate` draws, by evaluating all of the text anew for each token; noise inverts the distribution."""
    tokens = torch.cat([model.encode("\n"), model.encode(prompt)])
    begun = len(model.decode(tokens))
    for _ in range(count):
        padded = torch.cat([tokens, tokens[:1]])[None]
        p = model(padded)["logits"][0, -1].softmax(-1).tolist()
        p = [q * (i != model.unknown and follows(model, int(tokens[-1]), i)) for i, q in enumerate(p)]
        if not temperature:
            token = max(range(len(p)), key=p.__getitem__)
        else:
            p = [q ** (1 / temperature) for q in p]
            p = [q / sum(p) for q in p]
            own = kept(p, top_k, top_p)
            own = [q * (i in own) for i, q in enumerate(p)]
            u = torch.rand(1, generator=noise, dtype=torch.float64).item() * sum(own)
            token = next(i for i, edge in enumerate(itertools.accumulate(own)) if u < edge)
        tokens = torch.cat([tokens, torch.tensor([token])])
    return model.decode(tokens)[begun:]


@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p"), [(1.0, 0, 2), (0.7, 4, 2), (1.5, 0, 0.8), (1.0, 6, 0.6), (0, 0, 1)]
)
def test_generating_draws_what_evaluating_the_whole_text_anew_draws(net, temperature, top_k, top_p):
    for seed, prompt in enumerate(("", "To be,", "O\n\nsun", "sun. \u00e9")):
        written = net.generate(
            prompt, max_tokens=15, temperature=temperature, top_k=top_k, top_p=min(top_p, 1), generator=seeded(seed)
        )
        pieces = list(written)
        assert len(pieces) == 15
        assert "".join(pieces) == plainly(net, prompt, 15, temperature, top_k, top_p, seeded(seed))


def test_the_frequencies_of_many_texts_fit_their_probabilities():
    model = enliven(from_config(CharLSTMConfig(vocab_size=3, embedding=4, widths=(5,)), ["ab\n"])).eval()
    noise, count = seeded(0), 500
    found = collections.Counter("".join(model.generate("ab", max_tokens=2, generator=noise)) for _ in range(count))
    begun, misfit = model.log_prob("ab"), 0.0
    for added in map("".join, itertools.product("ab\n", repeat=2)):
        expected = count * math.exp(model.log_prob("ab" + added) - begun)
        assert expected > 1
        misfit += (found[added] - expected) ** 2 / expected
    assert misfit < 31.8  # chi-square of 8 degrees of freedom: once in 10,000


def test_the_extremes_of_generating_are_greedy_or_all(net):
    prompt, few = random_text(net, 5), {"max_tokens": 12}
    greedy = list(net.generate(prompt, temperature=0, **few))
    for options in {"temperature": 1e-300}, {"top_p": 0}, {"top_k": 1}, {"temperature": 0, "top_k": 3, "top_p": 0.5}:
        assert list(net.generate(prompt, generator=seeded(1), **options, **few)) == greedy
    warm = few | {"temperature": 4}  # these nets are sure of what comes next
    drawn = list(net.generate(prompt, generator=seeded(1), **warm))
    for options in {"top_k": net.config.vocab_size}, {"top_k": 10**6}, {"top_p": 1}, {"top_k": 0}:
        assert list(net.generate(prompt, generator=seeded(1), **options, **warm)) == drawn
    assert drawn != greedy and list(net.generate(prompt, generator=seeded(2), **warm)) != drawn
    torch.manual_seed(5)
    own = list(net.generate(prompt, **warm))  # no generator: torch's own
    torch.manual_seed(5)
    assert list(net.generate(prompt, **warm)) == own
    assert greedy[0] == net.next_tokens(prompt, 1)[0][0]
    hot = "".join(net.generate(prompt, temperature=100, max_tokens=200, generator=seeded(0)))
    assert "\ufffd" not in hot and "<unk>" not in hot  # the symbol for what the vocabulary lacks is never drawn


def test_the_likeliest_continuations_are_those_that_are_drawn(net):
    prompt, count = random_text(net, 6).strip(" "), net.config.vocab_size
    x, _ = net.features(torch.cat([net.encode("\n"), net.encode(prompt)])[:, None])
    logits = net.logits_of(x[-1, 0])
    if net.unknown < count:
        logits[net.unknown] = -math.inf
    for temperature, top_k in (1.0, 0), (0.5, 3), (4.0, 5):
        likely = net.next_tokens(prompt, count, temperature=temperature, top_k=top_k)
        wanted = (logits / temperature).softmax(-1).sort(descending=True).values
        wanted = wanted[: top_k or count - (net.unknown < count)]
        assert [p for _, p in likely] == pytest.approx((wanted / wanted.sum()).tolist(), rel=1e-9)
        assert net.next_tokens(prompt, 2, temperature=temperature, top_k=top_k) == likely[:2]


def test_a_space_at_a_prompts_end_belongs_to_the_word_that_comes():
    model = make("word_gru_tied")
    for prompt in "To be", "sun. To", "sun.":
        there = model.next_tokens(prompt, model.config.vocab_size)
        spaced = [(added[1:], p) for added, p in there if added.startswith(" ") and added != " "]
        whole = sum(p for _, p in spaced)  # given that it begins with a space
        told = model.next_tokens(f"{prompt} ", model.config.vocab_size)
        assert [added for added, _ in told] == [added for added, _ in spaced] and 0 < whole < 1
        assert [p for _, p in told] == pytest.approx([p / whole for _, p in spaced])
        first, *others = model.generate(f"{prompt} ", max_tokens=5, generator=seeded(0))
        assert first in dict(told) and others == list(
            model.generate(f"{prompt} {first}", max_tokens=4, generator=after_one(0))
        )


def after_one(seed: int) -> torch.Generator:
    """A source of noise from which one draw was made."""
    noise = seeded(seed)
    torch.rand(1, generator=noise, dtype=torch.float64)
    return noise


def test_what_is_written_reads_as_the_tokens_that_were_drawn(monkeypatch):
    model, drawn = load("word-lstm-plays"), []
    added = model._added
    monkeypatch.setattr(model, "_added", lambda *given: drawn.append(given[1]) or added(*given), raising=False)
    for seed in range(10):
        drawn.clear()
        written = "".join(model.generate(max_tokens=100, temperature=1.2, generator=seeded(seed)))
        assert model.encode(written).tolist() == drawn
    for prompt in "", "Romeo,\n", "Romeo. ", "Romeo", " ", "Zqxwv":
        offered = [text for text, _ in model.next_tokens(prompt, model.config.vocab_size)]
        assert len(set(offered)) == len(offered) > 100, prompt
        if prompt[-1:] in " ":
            assert {"And", "The"} <= set(offered) and "nd" not in offered, prompt


def test_possible_is_what_a_text_can_read_as():
    """In a text, or in the beginning of one, exactly those tokens can follow with which all read as what they are."""
    model = build("word_lstm", cleaned=False)
    model.tokenizer = model.tokenizer_of(model.config, [" a", "a", " b", "b", ".", " .", " ", "\t", "\n"])
    vocabulary = model.tokenizer.get_vocab()
    model.config.vocab_size, known = len(vocabulary), set(vocabulary.values()) - {model.unknown}

    def reads(tokens: list[int]) -> bool:
        longer = ([*tokens, more] for more in known)  # a space that begins a line shows only by what follows it
        return any(model.encode(model.decode(torch.tensor(own))).tolist() == own for own in (tokens, *longer))

    seen = 0
    for context, before in itertools.product(([" a", "."], [" a"], ["\n"], [" b", " "]), vocabulary):
        told = [vocabulary[token] for token in [*context, before]]
        first = context == ["\n"] and before == " "  # a line's first space: only what stands before it would tell
        if model.unknown not in told and reads(told) and not first:
            for token in known:
                assert bool(model.possible(told[-1])[token]) == reads([*told, token]), (context, before, token)
                seen += 1
    assert seen > 100


@pytest.mark.parametrize("prompt", [" ", "[aside] ", "-- ", "Romeo\n-- ", "To be "])
def test_no_word_loses_its_first_letter_after_a_space(prompt):
    model = make("word_lstm")
    assert model.config.cleaned
    words = {word.strip() for word in model.tokenizer.get_vocab()}
    offered = [text for text, _ in model.next_tokens(prompt, model.config.vocab_size)]
    assert {text.strip() for text in offered} <= words and len(offered) > 5


@pytest.mark.parametrize("bad", [-1, 99])
def test_tokens_that_there_are_none_of_are_refused(net, bad):
    most = net.config.vocab_size - net.predicts_unknown
    with pytest.raises(ValueError, match=f"give those of `encode`, 0 to {most}"):
        net(torch.tensor([[1, bad, 2]]))


@pytest.mark.parametrize("name", ["char_lstm", "word_lstm"])
def test_a_state_of_another_batch_or_net_is_refused(name):
    """By one, PyTorch's LSTM would read memory that is free."""
    model = build(name)
    tokens = random_tokens(model, 3, 6)
    state = model(tokens)["state"]
    assert model(tokens, state)["loss"].isfinite()
    wrong = {
        "another batch": model(tokens[:2])["state"],
        "a layer less": state[:1],
        "a part less": [parts[:-1] for parts in state],
        "other widths": [tuple(part[..., 1:] for part in parts) for parts in state],
        "no batch": [tuple(part[0] for part in parts) for parts in state],
    }
    for bad in wrong.values():
        for window in tokens, tokens[:, :2]:
            with pytest.raises(ValueError, match="state is not of a batch of 3 and this net: give what it returned"):
                model(window, bad)


def test_numbers_may_be_numpys():
    model = build("char_lstm")
    assert model.next_tokens("To", np.int64(3), temperature=np.float32(1)) == model.next_tokens("To", 3)
    given = {"max_tokens": np.int32(5), "temperature": np.float64(0.5), "top_k": np.int64(4)}
    plain = {name: value.item() for name, value in given.items()}
    written = [list(model.generate("To", **own, generator=seeded(0))) for own in (given, plain)]
    assert written[0] == written[1]


@pytest.mark.parametrize("bad", [[1, 2], None, torch.tensor(1), torch.tensor([[1]]), torch.tensor([True]), -1, 10**6])
def test_only_tokens_of_the_vocabulary_are_text(net, bad):
    bad = torch.tensor([bad]) if type(bad) is int else bad
    with pytest.raises(ValueError, match="tokens are not all of the vocabulary: give numbers of 0 to"):
        net.decode(bad)


# 4. Tokenizers.


WORDS = [
    "O",
    "Romeo",
    "o'er",
    "th'",
    "'tis",
    "\u2019Tis",
    "isn\u2019t",
    "\u00e9t\u00e9",
    "\u4f60\u597d",
    "--",
    ",",
    ".",
    ";",
]
WORDS += [
    "!",
    "'",
    "''",
    "[",
    "]",
    "[Exit]",
    "x1",
    "3rd",
    "_",
    " ",
    "  ",
    "   ",
    "\n",
    "\n\n",
    " \n",
    "\n ",
    "\t",
    "\r\n",
    "\u00a0",
]
STRANGE = {
    "emoji": "\U0001f600 \U0001f469\u200d\U0001f469\u200d\U0001f467 ok",
    "right to left": "\u202e\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
    "control": "a\0b\x01\x1b[31m\x7f\x85\u2028\ufeff",
    "byte order mark": "\ufeffTo be",
    "combining": "e\u0301a\u0308\u0327 \u0130\u0149",
    "lone high": "a\ud800b",
    "lone low": "\udc00",
    "lone at the end": "To be\ud83d",
    "swapped": "\udc00\ud800",
    "a pair in two": "\ud83d\ude00",
    "symbols": "<unk> \ufffd <|endoftext|>",
    "blanks": " \t \r\n\r \n  ",
    "one word": "a" * 500,
    "signs": "'" * 300,
}


def random_strings(count: int, seed: int = 0) -> list[str]:
    chance = random.Random(seed)
    return ["".join(chance.choices(WORDS, k=chance.randrange(1, 25))) for _ in range(count)]


def fitted(model_type: str, texts: list[str], **changes):
    """A tiny model of all tokens of these texts."""
    return from_config(MODELS[model_type].config_class(vocab_size=9999, embedding=2, widths=(2,), **changes), texts)


@pytest.mark.parametrize("model_type", TEXT_MODELS)
def test_text_over_the_vocabulary_comes_back_exactly_and_its_pieces_are_the_text(model_type):
    texts = random_strings(300)
    model = fitted(model_type, texts)
    for written in texts:
        tokens = model.encode(written)
        assert model.decode(tokens) == written and model.unknown not in tokens
        spans = model.token_log_prob(written)[0]
        assert "".join(spans) == written and len(spans) == len(tokens)
    together = "\n".join(texts)
    assert model.decode(model.encode(together)) == together


def clean(text: str) -> str:
    """What cleaning is to do, line by line and without its expressions."""
    lines = []
    for line in text.split("\n"):
        out, depth = "", 0
        for char in line:
            if char == "[" and not depth:
                depth = 1
            elif char == "]" and depth:
                depth = 0
            elif not depth:
                out += char
        begun, closed, rest = out.partition("]")  # the second line of one that was opened before
        out = rest if closed else begun
        told = out.lower().replace("'", "").replace("\u2019", "")
        letters = "".join(c if "a" <= c <= "z" else " " for c in told)
        lines.append(" ".join(letters.split()))
    inner = [line for line in lines if line]
    ends = ["\n" if len(lines) > 1 and not line else "" for line in (lines[0], lines[-1])]
    return ends[0] + "\n".join(inner) + ends[1] if inner else ends[0]


def test_cleaning_leaves_small_letters_and_drops_directions_also_over_two_lines():
    model = fitted("word_lstm", LINES, cleaned=True)
    told = {
        "To be, or not to be:  that is\tthe question.": "to be or not to be that is the question",
        "[Enter ROMEO] What's here?": "whats here",
        "Hark! [Aside] Who [To him] goes there": "hark who goes there",
        "[Enter the\nGhost] To be": "\nto be",
        "He [draws\nand falls] dies.": "he\ndies",
        "[Exeunt": "",
        "Exeunt] Bye": "bye",
        "\n\n  A  \n \n\nB\n\n": "\na\nb\n",
        "3rd of May, 1594 -- \u00e9t\u00e9": "rd of may t",
        "": "",
    }
    for given, wanted in told.items():
        assert model.tokenizer.normalizer.normalize_str(given).replace("\n ", "\n").removeprefix(" ") == wanted, given
        assert clean(given) == wanted
    texts = random_strings(300, seed=1)
    model = fitted("word_lstm", texts, cleaned=True)
    for written in texts:
        cleaned = clean(written)
        tokens = model.encode(written)
        assert model.decode(tokens) == cleaned and model.unknown not in tokens
        assert torch.equal(model.encode(cleaned), tokens)  # of clean text, exactly that
        assert "".join(model.token_log_prob(cleaned)[0]) == cleaned


def assert_slices(text: str, pieces: list[str]) -> None:
    """Each is in the text, after the one before."""
    at = 0
    for piece in pieces:
        at = text.index(piece, at) + len(piece)


@pytest.mark.parametrize("name", ["char_lstm", "word_gru_tied", "word_lstm"])
def test_any_string_is_read_and_continued(name):
    model = make(name)
    for kind, given in STRANGE.items():
        valid = given.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        tokens = model.encode(given)
        pieces, log_p = model.token_log_prob(given)
        assert len(tokens) == len(pieces) == len(log_p), kind
        assert_slices(valid, pieces)
        if not getattr(model.config, "cleaned", False):
            assert "".join(pieces) == valid, kind
        if name == "char_lstm":
            known = set(model.tokenizer.get_vocab()) - {"\ufffd"}
            assert tokens.eq(model.unknown).tolist() == [char not in known for char in valid], kind
        model.decode(tokens).encode()
        assert model.next_tokens(given, 2) and len(list(model.generate(given, max_tokens=2))) == 2, kind


@pytest.mark.parametrize("model_type", TEXT_MODELS)
def test_a_megabyte_comes_back_exactly(model_type):
    line = "To be, or not to be:  that is the question.\n\n"
    written = line * (2**20 // len(line) + 1)
    model = fitted(model_type, [line])
    tokens = model.encode(written)
    assert model.decode(tokens) == written and model.unknown not in tokens


@pytest.mark.parametrize("model_type", TEXT_MODELS)
def test_a_tokenizer_has_the_most_frequent_of_what_it_is_fitted_to_and_nothing_else(model_type):
    kind = MODELS[model_type]
    first, second = ["aa bb aa\n", "cc aa bb\n"], ["dd ee\n"]
    tokenizer = kind.fit(kind.config_class(vocab_size=9999), first)
    vocabulary = set(tokenizer.get_vocab()) - {tokenizer.model.unk_token}
    assert vocabulary == (set("abc \n") if model_type == "char_lstm" else {" aa", " bb", " cc", " ", "\n"})
    few = kind.fit(kind.config_class(vocab_size=2 if model_type == "char_lstm" else 4), first + second)
    wanted = {"a", " "} if model_type == "char_lstm" else {" aa", " ", "\n"}
    assert set(few.get_vocab()) - {few.model.unk_token} == wanted
    if model_type == "word_lstm":  # cleaned text has no two spaces
        cleaned = kind.fit(kind.config_class(vocab_size=9999, cleaned=True), first)
        assert " " not in cleaned.get_vocab()
    again = [kind.fit(TINY[model_type], LINES).to_str() for _ in range(2)]
    assert again[0] == again[1]


@pytest.mark.parametrize("text", [" ", "  ", " aa", "aa  bb", "aa   bb\n\n  cc \n", "\n \n", " aa \n bb  "])
def test_spaces_that_no_play_has_come_back_as_they_were(text):
    config = WordLSTMConfig(vocab_size=9999)
    model = WordLSTM.fitted(config, ["aa bb aa\n", "cc aa bb\n"])
    assert model.decode(model.encode(text)) == text and model.unknown not in model.encode(text)


# 5. Dropout, sizes and initialisation.


def test_a_variational_mask_is_the_same_at_all_times_and_another_for_each_row():
    x = torch.ones(50, 40, 30)
    torch.manual_seed(0)
    for p in 0.2, 0.5:
        variational, usual = (dropped(x, p, kind, training=True) for kind in (True, False))
        assert torch.equal(variational, variational[:1].expand_as(x)) and len(variational[0].unique(dim=0)) == 40
        assert len(usual[:, 0].unique(dim=0)) == 50
        for out in variational, usual:
            assert set(out.unique().tolist()) == {0.0, torch.tensor(1 / (1 - p)).item()}
        assert variational[0].mean().item() == pytest.approx(1, abs=5 * math.sqrt(p / (1 - p) / variational[0].numel()))
        assert usual.mean().item() == pytest.approx(1, abs=5 * math.sqrt(p / (1 - p) / usual.numel()))
        assert dropped(x, p, True, training=False) is x and dropped(x, 0.0, True, training=True) is x


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_stack_drops_the_same_units_at_all_times_only_in_training(cell):
    torch.manual_seed(0)
    stack = RecurrentStack(cell, 4, (7, 30), dropout=0.5, variational=True)
    x = torch.randn(6, 5, 4)
    out, state = stack(x)
    zero = out == 0
    assert torch.equal(zero, zero[:1].expand_as(zero)) and len(zero[0].unique(dim=0)) == 5
    assert not state[1][0].eq(0).any()  # what is carried is whole
    first = stack.eval()(x)[0]
    assert not first.eq(0).any() and torch.equal(stack(x)[0], first)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_weight_drop_acts_on_state_to_state_weights_alone_and_only_in_training(cell):
    torch.manual_seed(0)
    stack = RecurrentStack(cell, 4, (7, 5), weight_drop=0.5).double()
    x, weights = torch.randn(6, 3, 4, dtype=torch.float64), [layer.weight_hh_l0 for layer in stack.layers]
    torch.manual_seed(1)
    found = stack(x)[0]
    torch.manual_seed(1)
    masks = [torch.nn.functional.dropout(torch.ones_like(weight), 0.5) for weight in weights]
    assert {*masks[0].unique().tolist()} == {0, 2}
    torch.manual_seed(2)
    assert not torch.equal(stack(x)[0], found)
    assert torch.equal(stack(x[:1])[0], stack(x[:1])[0])  # from no state these weights do nothing
    found.square().sum().backward()
    assert all(weight.grad[mask == 0].eq(0).all() for weight, mask in zip(weights, masks, strict=True))
    plain = stack.eval()(x)[0]
    assert torch.equal(stack(x)[0], plain) and not torch.allclose(plain, found)
    with torch.no_grad():
        for weight, mask in zip(weights, masks, strict=True):
            weight *= mask
    assert torch.allclose(stack(x)[0], found, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("units", "count"), [(256, 428_097), (512, 1_232_705), (1024, 4_021_569)])
def test_the_studys_nets_of_characters_have_its_numbers_of_parameters(units, count):
    with torch.device("meta"):
        model = MODELS["char_lstm"](RECIPES[f"char-gru{units}-shakespeare-study"].model)
    assert sum(p.numel() for p in model.parameters()) == count


def test_the_studys_net_of_words_has_the_parameters_of_its_layers():
    with torch.device("meta"):
        model = MODELS["word_lstm"](RECIPES["word-lstm-plays-study"].model)
    words, lstm = 15_001, lambda inputs, width: 4 * width * (inputs + width + 2)  # PyTorch's has two biases
    by_hand = words * 256 + lstm(256, 256) * 2 + lstm(256, 128) + (128 + 1) * 256 + (256 + 1) * words
    assert sum(p.numel() for p in model.parameters()) == by_hand == 8_978_841


@pytest.mark.parametrize("model_type", TEXT_MODELS)
def test_tied_weights_are_stored_once_and_half_of_them_come_back_exactly(model_type, tmp_path):
    tied, free = build(model_type), build(model_type, tied=False)
    width = TINY[model_type].widths[-1] if model_type == "char_lstm" else TINY[model_type].dense
    size, embedding = tied.config.vocab_size, tied.config.embedding
    count = [sum(p.numel() for p in model.parameters()) for model in (tied, free)]
    assert count[1] - count[0] == size * width - width * embedding  # the softmax's, less what joins the two widths
    (tied.eval().half()).save_pretrained(tmp_path)
    stored = load_file(tmp_path / "model.safetensors")
    assert sum(tensor.numel() for tensor in stored.values()) == count[0]
    assert [name for name, tensor in stored.items() if tensor.shape == (size, embedding)] == ["embedding.weight"]
    again = load(tmp_path)
    for name, tensor in again.state_dict().items():
        assert tensor.dtype == torch.float32 and torch.equal(tensor, stored[name].float())
    once = again.log_prob(random_text(again))
    again.half().save_pretrained(tmp_path)
    assert load(tmp_path).log_prob(random_text(again)) == once
    assert all(torch.equal(tensor, stored[name]) for name, tensor in load_file(tmp_path / "model.safetensors").items())
    for likelihood in again.log_prob, again.token_log_prob:
        with pytest.raises(ValueError, match="the weights are torch.float16, too coarse for a likelihood"):
            likelihood("a")


# 6. Refusals.


def foreign(model, change) -> bytes:
    told = json.loads(model.tokenizer.to_str())
    change(told)
    return json.dumps(told).encode()


DAMAGE = {
    "empty": lambda model: b"",
    "cut": lambda model: model.tokenizer.to_str().encode()[:-40],
    "no JSON": lambda model: b"<!DOCTYPE html>",
    "pointer": lambda model: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
    "list": lambda model: b"[]",
    "object": lambda model: b"{}",
    "null": lambda model: b"null",
    "deep": lambda model: b"[" * 100_000,
    "no text": lambda model: b"\xff\xfe\x00",
    "byte order mark": lambda model: b"\xef\xbb\xbf" + model.tokenizer.to_str().encode(),
    "pickle": lambda model: pickle.dumps({"vocab": 1}),
    "BPE": lambda model: foreign(
        model, lambda told: told.update(model={"type": "BPE", "vocab": {"a": 0}, "merges": []})
    ),
    "no model": lambda model: foreign(model, lambda told: told.pop("model")),
    "one too few": lambda model: foreign(
        model, lambda told: told["model"]["vocab"].pop(" ", told["model"]["vocab"].pop("\n"))
    ),
    "one too many": lambda model: foreign(
        model, lambda told: told["model"]["vocab"].update({"\u0001": len(told["model"]["vocab"])})
    ),
    "two of one number": lambda model: foreign(model, lambda told: told["model"]["vocab"].update({"\n": 3})),
    "a hole": lambda model: foreign(model, lambda told: told["model"]["vocab"].update({"\n": 10**6})),
    "negative": lambda model: foreign(model, lambda told: told["model"]["vocab"].update({"\n": -1})),
    "truncation": lambda model: foreign(
        model,
        lambda told: told.update(
            truncation={"direction": "Right", "max_length": 5, "strategy": "LongestFirst", "stride": 0}
        ),
    ),
    "lower case": lambda model: foreign(model, lambda told: told.update(normalizer={"type": "Lowercase"})),
    "stripped": lambda model: foreign(
        model, lambda told: told.update(normalizer={"type": "Strip", "strip_left": True, "strip_right": True})
    ),
    "without blanks": lambda model: foreign(model, lambda told: told.update(pre_tokenizer={"type": "Whitespace"})),
    "two pieces": lambda model: foreign(
        model, lambda told: told["model"]["vocab"].update({"a\nb": told["model"]["vocab"].pop("\n")})
    ),
    "nothing": lambda model: foreign(
        model, lambda told: told["model"]["vocab"].update({"": told["model"]["vocab"].pop("\n")})
    ),
    "no decoder": lambda model: foreign(model, lambda told: told.update(decoder=None)),
    "an added token": lambda model: foreign(
        model,
        lambda told: told.update(
            post_processor={
                "type": "TemplateProcessing",
                "single": [{"SpecialToken": {"id": "a", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                "pair": [],
                "special_tokens": {"a": {"id": "a", "ids": [1], "tokens": ["a"]}},
            }
        ),
    ),
    "no unknown": lambda model: foreign(model, lambda told: told["model"].update(unk_token="zzz")),
    "bad expression": lambda model: foreign(model, lambda told: told["pre_tokenizer"]["pattern"].update(Regex="(")),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("model_type", TEXT_MODELS)
def test_a_damaged_or_foreign_tokenizer_is_refused_in_one_sentence(model_type, damage, tmp_path):
    model = build(model_type)
    model.save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_bytes(DAMAGE[damage](model))
    with pytest.raises(
        ValueError, match=r"tokenizer.json is damaged or another model's.*download or save it again"
    ) as error:
        load(tmp_path)
    message = str(error.value)
    assert error.type is ValueError and "\n" not in message and len(message) < 500


def test_a_missing_tokenizer_is_refused_and_one_of_another_size(tmp_path):
    for size in 20, 19:
        build("char_lstm", vocab_size=size).save_pretrained(tmp_path / str(size))
    (tmp_path / "20" / "tokenizer.json").replace(tmp_path / "19" / "tokenizer.json")
    with pytest.raises(ValueError, match="it has 21 tokens, the model predicts 19"):
        load(tmp_path / "19")
    with pytest.raises(FileNotFoundError, match=r"has no tokenizer.json.*--resume"):
        load(tmp_path / "20")


def test_without_a_tokenizer_each_question_says_so():
    model = MODELS["char_lstm"](TINY["char_lstm"])
    asked = model.log_prob, model.token_log_prob, model.next_tokens, model.generate, model.encode, model.save_pretrained
    for ask in (*asked, lambda text: list(model.scores(text)), lambda _: model.decode(torch.tensor([1]))):
        with pytest.raises(ValueError, match="the model has no tokenizer: load it, or train it with training.train"):
            ask("To be")
    assert model(random_tokens(build("char_lstm"), 2, 5))["loss"].isfinite()


@pytest.mark.parametrize("model_type", TEXT_MODELS)
def test_bad_arguments_are_refused_at_once_and_named(model_type):
    model = build(model_type)
    size = model.config.vocab_size
    for k in (0, -1, size + 1, 1.5, True, None, "3", math.nan):
        for prompt in "To be", "To be ":
            with pytest.raises(ValueError, match=re.escape(f"k is {k!r}: give a whole number from 1 to {size}")):
                model.next_tokens(prompt, k)
    for temperature in (0, 0.001, 101, math.nan, "1"):
        with pytest.raises(ValueError, match=re.escape(f"temperature is {temperature!r}: give a number from 0.01")):
            model.next_tokens("To be", temperature=temperature)
    with pytest.raises(ValueError, match="top_k is -1: give a whole number"):
        model.next_tokens("To be ", top_k=-1)
    wrong = {
        "max_tokens": (0, -5, 1.5, "9", None, True, 10**7),
        "temperature": (-0.1, 100.1, math.nan, math.inf, "1", None, True),
        "top_k": (-1, 1.5, "3", None, True, 10**7),
        "top_p": (-0.01, 1.01, math.nan, "1", None, True),
        "generator": (5, "seed", torch.tensor(3)),
    }
    for name, values in wrong.items():
        for value, prompt in itertools.product(values, ("To be", "To be ")):
            with pytest.raises(ValueError, match=re.escape(f"{name} is {value!r}: give ")) as refused:
                model.generate(prompt, **{name: value})
            assert "\n" not in str(refused.value)
    with pytest.raises(TypeError, match="nucleus"):
        model.generate("To be", nucleus=0.9)
    assert len(list(model.generate(max_tokens=3))) == 3


def test_bad_widths_and_dropouts_are_refused():
    told = {"widths": [(0,), (9000,), (4, -1), ()], "dropout": [1.0, -0.1], "vocab_size": [0, 10**7], "cell": ["rnn"]}
    for name, values in told.items():
        for value in values:
            with pytest.raises(ValueError, match=r": give "):
                CharLSTMConfig(**{name: value})
    with pytest.raises(ValueError, match="dense_dropout is 1.0"):
        WordLSTMConfig(dense_dropout=1.0)
