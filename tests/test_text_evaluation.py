"""The evaluation of text models: figures against closed forms and plain counts, and the commands on a toy run."""

import argparse
import json
import math

import numpy as np
import pytest
import torch
from conftest import build, from_config

from evaluation import perplexity, runner, sweep, writing
from evaluation.benchmarks.reference import ShuffledWindows, plain_generation, shuffled_loss
from evaluation.metrics.kneser_ney import KneserNey
from evaluation.runner import run
from evaluation.sweeps import text as text_sweeps
from hub_models import CharLSTMConfig, WordLSTMConfig, load
from training.data import TextData, load_split
from training.train import DivergedError, train

TEXT = "to be or not to be\nthat is the question\nto sleep no more\n" * 30
WORDS = WordLSTMConfig(vocab_size=9, embedding=4, widths=(5,), cleaned=True)  # eight words, and one for all others


@pytest.fixture(scope="module")
def plays(tmp_path_factory):
    """A CSV of three plays."""
    path = tmp_path_factory.mktemp("plays") / "plays.csv"
    lines = [f'{play},"{line}, and {play}"' for play in ("Ham", "Lear", "John") for line in TEXT.splitlines()]
    path.write_text("Play,PlayerLine\n" + "\n".join(lines) + "\n")
    return path


def arguments(plays, limit: int | None = None) -> argparse.Namespace:
    source = {"name": "plays-by-line", "repo_id": "a/b", "limit": limit, "file": plays.name}
    source = {"data": source | {"revision": load_split("plays-by-line", "train", str(plays)).revision}}
    (plays.parent / "recipe.json").write_text(json.dumps(source))
    return argparse.Namespace(name=str(plays.parent), split="test", seed=0, data=str(plays))


def by_metric(entries: list[dict]) -> dict[str, dict]:
    assert len({entry["metric"] for entry in entries}) == len(entries)
    for entry in entries:
        low, high = entry["interval"]
        assert low <= entry["value"] <= high and entry["unit"] and entry["n"] > 0, entry
    return {entry["metric"]: entry["value"] for entry in entries}


def measured(model, text: str, plays, limit: int | None = None) -> dict[str, float]:
    return by_metric(perplexity.measure(model, TextData("plays-by-line", "test", [text]), arguments(plays, limit)))


def indifferent(config):
    model = from_config(config, [TEXT]).eval()
    for parameter in model.parameters():
        torch.nn.init.zeros_(parameter)
    return model


def test_a_model_that_knows_nothing_is_as_perplexed_as_its_vocabulary_is_large(plays):
    model = indifferent(CharLSTMConfig(vocab_size=99, embedding=4, widths=(5,)))
    size = model.config.vocab_size
    found = measured(model, TEXT, plays)
    assert found["perplexity"] == found["perplexity_per_character"] == pytest.approx(size)
    assert found["nats_per_token"] == pytest.approx(math.log(size))
    assert found["bits_per_token"] == found["bits_per_character"] == pytest.approx(math.log2(size))
    first = [i for i in range(size) if i < 3]  # of equal ones the first are the likeliest
    share = np.isin(model.encode(TEXT).numpy(), first).mean()
    assert found["top_3_accuracy"] == pytest.approx(100 * share) and found["unknown"] == 0


def test_figures_of_words_against_plain_counts(plays):
    model = build("word_lstm", cleaned=False, vocab_size=10).eval()
    text = TEXT[:300] + "zounds, a kiss!\n"
    found = measured(model, text, plays)
    pieces, log_p = model.token_log_prob(text)
    tokens, log_p = model.encode(text).tolist(), log_p.double().tolist()
    assert "".join(pieces) == text
    assert found["nats_per_token"] == pytest.approx(-sum(log_p) / len(log_p))
    assert found["perplexity"] == pytest.approx(math.exp(-sum(log_p) / len(log_p)))
    assert found["nats_per_character"] == pytest.approx(-sum(log_p) / len(text))
    assert found["bits_per_character"] == pytest.approx(-sum(log_p) / len(text) / math.log(2))
    assert found["unknown"] == pytest.approx(100 * tokens.count(model.unknown) / len(tokens)) and found["unknown"] > 0
    newline = int(model.encode("\n"))
    known = [p for p, token in zip(log_p, tokens, strict=True) if token not in (newline, model.unknown)]
    assert found["perplexity_of_words"] == pytest.approx(math.exp(-sum(known) / len(known)))
    right, words = {1: 0, 3: 0, 5: 0}, 0
    for i, token in enumerate(tokens):  # the plain way: the prompt read anew for every word
        best = model._read(torch.cat([model.encode("\n"), torch.tensor(tokens[:i], dtype=torch.int64)]), None)[0]
        words += token != newline
        for k in right:
            right[k] += token not in (newline, model.unknown) and token in best.topk(k).indices
    for k, count in right.items():
        assert found[f"top_{k}_accuracy_of_words"] == pytest.approx(100 * count / words)
    assert right[1] <= right[3] < right[5] < words


def test_intervals_are_over_passages_as_of_few_independent_values():
    means = torch.tensor([1.0, 2.0, 4.0] * 6 + [3.0, 5.0])
    values = means.repeat_interleave(50)  # twenty passages of one value each
    mean, low, high = perplexity.by_passages(values)
    half = 2.093024 * means.double().std().item() / math.sqrt(20)  # Student's t of 19 degrees of freedom, from a table
    assert [mean, low, high] == pytest.approx([means.mean().item(), mean - half, mean + half], rel=1e-6)
    mean, low, high = perplexity.by_passages(torch.tensor([1.0, 3.0]))
    assert [mean, low, high] == pytest.approx([2, 2 - 12.7062, 2 + 12.7062], rel=1e-5)  # of 1 degree
    slow = torch.sin(torch.arange(20_000) / 3000)  # neighbours are alike: 20,000 values tell little
    mean, low, high = perplexity.by_passages(slow)
    assert high - low > 20 * 2 * 1.96 * slow.std().item() / math.sqrt(20_000)


@pytest.mark.parametrize("text", ["", "\n", "Zzqx\n"])
def test_texts_too_small_for_a_figure_are_refused_or_tell_less(text, plays):
    model = build("word_lstm", cleaned=False).eval()
    if len(text) < 2:
        with pytest.raises(ValueError, match="give" if text else "has no text: give a larger --limit"):
            measured(model, text, plays)
        return
    found = measured(model, text, plays)
    assert all(map(math.isfinite, found.values())) and "perplexity_of_words" not in found


def test_bleu_of_the_true_text_is_100(plays, monkeypatch):
    """What is compared stands where the prompt ends."""
    text = " ".join(f"word{i}," for i in range(400))
    model = build("word_lstm", cleaned=False).eval()
    monkeypatch.setattr(writing, "PLACES", 5)
    monkeypatch.setattr(writing, "BEFORE", 150)

    def true(model, prompt: str, *_) -> str:
        if not prompt:
            return text[:50]
        place = text.index(prompt) + len(prompt)
        return text[place : place + 60]

    monkeypatch.setattr(writing, "write", true)
    data = TextData("plays-by-line", "test", [text])
    assert by_metric(writing.measure(model, data, arguments(plays)))["bleu_2"] == pytest.approx(100)


@pytest.mark.parametrize("limit", [None, 7])
def test_the_five_gram_is_fitted_on_what_the_model_has_read_and_scores_the_same_tokens(plays, limit):
    model = from_config(WORDS, [TEXT]).eval()
    found = measured(model, TEXT, plays, limit)
    lines = load_split("plays-by-line", "train", str(plays)).texts[0].splitlines(keepends=True)
    assert len(lines) > 7
    training = model.encode("".join(lines[:limit])).numpy()
    log_p = KneserNey(training, model.config.vocab_size, 5).log_probabilities(model.encode(TEXT).numpy())
    assert found["perplexity_kneser_ney_5_gram"] == pytest.approx(math.exp(-log_p.mean()))


def test_on_another_text_the_five_gram_is_of_what_the_model_has_read_all_the_same(plays, tmp_path, monkeypatch):
    other = tmp_path / "other.csv"
    other.write_text(plays.read_text().replace("question", "answer"))
    asked = arguments(plays)
    path = plays.parent / "recipe.json"
    source = json.loads(path.read_text())
    path.write_text(json.dumps({"data": source["data"] | {"file": ""}}))  # as if it were Kaggle's
    asked.data = str(other)
    load = runner.load_split
    monkeypatch.setattr(runner, "load_split", lambda name, split, file=None: load(name, split, file or str(plays)))
    assert "question" in runner.training_text(asked).texts[0]


def test_what_a_character_model_has_no_symbol_for_is_left_out_and_told(plays):
    model = from_config(CharLSTMConfig(vocab_size=99, embedding=4, widths=(5,)), [TEXT]).eval()
    text = "to be é or 😀 not\n"
    found = measured(model, text, plays)
    log_p = model.token_log_prob(text)[1]
    assert found["unknown"] == pytest.approx(100 * 2 / len(text)) and log_p.isinf().sum() == 2
    assert found["nats_per_token"] == pytest.approx(-log_p[log_p.isfinite()].double().mean().item())
    with pytest.raises(ValueError, match="knows 0 symbols of the test text, and 2 are the least"):
        measured(model, "Ω" * 9, plays)


def test_what_is_written_is_counted_and_always_the_same(plays):
    model = from_config(CharLSTMConfig(vocab_size=99, embedding=4, widths=(5,)), [TEXT]).eval()
    found = writing.facts(model, ["to be to be to sle", "To sleep; xyzzy! no"], TEXT)  # the last word may be cut
    assert found["distinct_1"][1].tolist() == pytest.approx([100 * 2 / 5, 100])
    assert found["distinct_2"][1].tolist() == pytest.approx([100 * 2 / 4, 100])
    assert found["known_words"][1].tolist() == pytest.approx([100, 100 * 2 / 3])
    assert found["longest_copied_span"][1].tolist() == [6, 7]  # "to be ", "o sleep"
    assert found["repetition"][1][0].item() == pytest.approx(100 * 11 / 18)
    assert writing.write(model, "to", 30, 0.8, 1) == writing.write(model, "to", 30, 0.8, 1)
    assert writing.words_of("O, 'tis (I) -- nay!") == ["o", "tis", "i", "nay"]
    assert writing.in_a_cell("a|b\n*c*") == "a\\|b / \\*c\\*"
    with pytest.raises(ValueError, match="a text of 8 characters has 2 whole words, too few to be told of: train"):
        writing.facts(model, ["to be no"], TEXT)


def test_a_toy_run_is_measured_and_its_card_tells_it(plays, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(writing, "WRITTEN", {"character": 60, "word": 20})
    monkeypatch.setattr(writing, "PLACES", 4)
    monkeypatch.setattr(writing, "BEFORE", 40)
    folder = tmp_path / "run"
    toy = ["--max_steps", "2", "--eval_strategy", "steps", "--eval_steps", "1", "--save_strategy", "steps"]
    toy += ["--save_steps", "1", "--report_to", "none", "--data", str(plays), "--output_dir", str(folder)]
    train(["word-lstm-plays", *toy, "--window", "8", "--disable_tqdm", "True"])
    argv = [str(folder), "--split", "test", "--data", str(plays)]
    found = run(perplexity.measure, perplexity.__doc__, argv)
    found += run(writing.measure, writing.__doc__, argv, writing.report)
    by_metric(found)
    assert json.loads((folder / "eval_results.json").read_text()) == found
    card = (folder / "README.md").read_text()
    assert all(f"| {entry['metric']} |" in card for entry in found)
    assert "| To be or not to | 0.5 | To be or not to" in card and "| unknown tokens (%) |" in card
    assert f"{len(''.join(load_split('plays-by-line', 'train', str(plays)).texts)):,}" in card
    assert "the file `plays.csv`, in place of [kingburrito666/shakespeare-plays](https://www.kaggle.com/" in card
    assert {entry["dataset"] for entry in found} == {"the file plays.csv"}  # whose figures these are, and not Kaggle's
    assert "after epoch" in card and "window | 8 tokens, the state is carried |" in card
    assert not (folder / ".eval_results").exists()  # its data is not on the Hub

    with pytest.raises(ValueError, match=r"was trained on plays\.csv, .*: give that file by --data"):
        run(perplexity.measure, perplexity.__doc__, argv[:3])  # of Kaggle's plays, which it has not read
    longer, text = tmp_path / "longer.csv", plays.read_text()
    longer.write_text(text + text.splitlines(keepends=True)[-1])
    run(perplexity.measure, perplexity.__doc__, [*argv[:-1], str(longer)])
    assert f"{longer} is not the text that {folder} was trained on" in capsys.readouterr().err
    foreign = run(perplexity.measure, perplexity.__doc__, [*argv[:-1], str(longer)])
    assert not any("kneser" in entry["metric"] for entry in foreign)  # what it has read is not here
    with pytest.raises(ValueError, match=f"was trained on another file than {longer}: give that one by --data"):
        run(writing.measure, writing.__doc__, [*argv[:-1], str(longer)], writing.report)
    assert json.loads((folder / "eval_results.json").read_text()) == found
    other = tmp_path / "image.csv"
    other.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="no CSV in UTF-8 with the columns Play, PlayerLine"):
        run(perplexity.measure, perplexity.__doc__, [*argv[:-1], str(other)])


def test_commands_for_images_and_for_texts_refuse_the_other():
    data, args = TextData("plays-by-line", "test", [TEXT]), argparse.Namespace(name="x", split="test", seed=0)
    for measure, told in (
        (perplexity.measure, "x is no text model: measure it with evaluation.bits_per_dim"),
        (writing.measure, "x writes no text: measure it with evaluation.bits_per_dim"),
    ):
        with pytest.raises(ValueError, match=told):
            measure(build("pixel_predictor"), data, args)


@pytest.mark.parametrize("kind", ["char_lstm", "word_lstm"])
def test_the_plain_ways_are_the_same_model(kind):
    model = build(kind, input_dropout=0.0, dropout=0.0, weight_drop=0.0).double().eval()
    noise = torch.Generator()
    fast = "".join(model.generate("to", max_tokens=20, generator=noise.manual_seed(0)))
    with plain_generation(model):
        assert "".join(model.generate("to", max_tokens=20, generator=noise.manual_seed(0))) == fast
    tokens = torch.randint(model.config.vocab_size, (40,))
    windows = ShuffledWindows(tokens, 7)
    inputs, targets = (torch.stack(part) for part in zip(*[windows[i] for i in (0, 5, 32)], strict=True))
    assert len(windows) == 33 and torch.equal(inputs[1], tokens[5:12]) and torch.equal(targets[1], tokens[6:13])
    whole = torch.cat([inputs, targets[:, -1:]], 1)
    assert torch.allclose(shuffled_loss(model, inputs, targets), model(whole)["loss"])


def diverging(argv):
    raise DivergedError("no figure")


def test_sweeps_of_text_score_each_run_and_draw_it(plays, tmp_path, monkeypatch):
    monkeypatch.setattr(text_sweeps, "GRID", ("study",))
    monkeypatch.setattr(text_sweeps, "CLAIMS", {"windows of 3, then 6": ("--window", "3,6")})
    toy = ("--window", "6", "--model.widths", "4,4,4", "--model.embedding", "4")
    monkeypatch.setattr(sweep, "train", lambda argv: train([argv[0], *toy, *argv[1:]]))
    argv = ["study", "--epochs", "1", "--limit", "40", "--runs", str(tmp_path / "runs"), "--results", str(tmp_path)]
    argv += ["--data", str(plays)]
    found = sweep.main(argv)
    assert [row["name"] for row in found["rows"]] == ["study", "windows of 3, then 6"]
    for row in found["rows"]:
        assert row["test"]["perplexity"]["value"] > 1 and row["test"]["n"] > 0 and row["parameters"] > 0
    for folder in ("study-seed0", "windows-of-3-then-6-seed0"):
        assert load(tmp_path / "runs" / "study" / folder)
    assert (tmp_path / "docs" / "sweep-study.png").stat().st_size > 1000
    assert found["budget"].startswith("1 epoch of ") and "training characters" in found["budget"]

    folder = tmp_path / "runs" / "study" / "study-seed0"
    (folder / "eval_results.json").unlink()
    run(perplexity.measure, perplexity.__doc__, [str(folder), "--split", "test", "--limit", "2", "--data", str(plays)])
    assert sweep.main(argv)["rows"] == found["rows"]  # what was measured of a part is measured again
    monkeypatch.setattr(sweep, "train", diverging)
    with pytest.raises(DivergedError, match="no figure"):
        sweep.main(argv)
    with pytest.raises(ValueError, match="words trains recipes as they are, under runs: leave out --epochs, --limit"):
        sweep.main(["words", "--epochs", "1", "--limit", "40"])
    with pytest.raises(ValueError, match="study trains each network once, seed 0: leave out --seeds"):
        sweep.main(["study", "--seeds", "3"])
