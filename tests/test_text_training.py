"""Training on texts: splits, windows, carried state, stages and clipping; resumed, or in two processes, it is the same.

The plays are a small CSV, so that none of it needs Kaggle; the real ones, where they are, are held to the same.
"""

import csv
import json
import random
import re
from pathlib import Path

import pytest
import torch
from asking import random_tokens
from commands import run_pair
from conftest import build, enliven
from safetensors.torch import load_file
from test_training import log_without_times
from transformers import TrainerCallback, TrainingArguments

from hub_models import TextModel, load
from hub_models.files import fingerprint
from training import train as command
from training.data import DATASETS, TEXTS, TextData, Windows, describe, load_split, text
from training.data.text import read_plays
from training.recipes import RECIPES
from training.tasks import Language
from training.tasks.language import cut
from training.train import train
from training.trainer import HubTrainer, newest_checkpoint

VOCABULARY = ["the", "king", "O", "Romeo", "sword", "is", "to", "be", "not", "and", "night", "'tis", "th'", "come"]
TOY = ["word-lstm-plays", "--use_cpu", "True", "--bf16", "False", "--report_to", "none", "--disable_tqdm", "True"]
TOY += ["--model.embedding", "6", "--model.widths", "5,4", "--model.vocab_size", "30", "--window", "8", "--ema", "0.9"]
TOY += ["--per_device_eval_batch_size", "3", "--limit", "40", "--logging_steps", "1"]
TOY += ["--eval_strategy", "steps", "--save_strategy", "steps", "--eval_steps", "3", "--save_steps", "3"]
CALM = [f"--model.{name}" for name in ("dropout", "input_dropout", "weight_drop")]
CALM = [word for name in CALM for word in (name, "0")]


def write_plays(path: Path, plays: int = 5, lines: int = 36) -> Path:
    chance = random.Random(0)
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["Dataline", "Play", "PlayerLine"])
        for play in range(plays):
            for i in range(lines):
                line = " ".join(chance.choices(VOCABULARY, k=chance.randrange(3, 9))) + chance.choice(".,!;")
                rows.writerow([i, f"Play {play}", line])
    return path


@pytest.fixture(scope="module")
def plays(tmp_path_factory) -> Path:
    return write_plays(tmp_path_factory.mktemp("data") / "plays.csv")


# 1. Texts and their splits.


def raw_of(name: str, file: str | None = None) -> dict[str, list[str]]:
    return text._raw(name, file)[0]


SYNTHETIC = {
    split: ["".join(random.Random(split).choices("abc \n", k=n))]
    for split, n in (("train", 3000), ("validation", 700), ("test", 501))
}
LINES_OF = {f"Play {i}": [f"{i}: {j}" for j in range(50 + i)] for i in range(10)}


def check_splits(name: str, raw: dict[str, list[str]]) -> None:
    """Disjoint, whole and the same each time."""
    parts = TEXTS[name].parts({key: list(value) for key, value in raw.items()})
    assert parts == TEXTS[name].parts(raw) and set(parts) == {"train", "validation", "test"}
    joined = {split: "".join(texts) for split, texts in parts.items()}
    assert all(joined.values())
    if not TEXTS[name].kaggle:
        whole = "".join(raw["train"] + raw["validation"] + raw["test"])
        if name == "tiny-shakespeare-random":
            windows = parts["train"] + parts["validation"]
            early = whole[: len(whole) * 4 // 5]
            assert joined["test"] == whole[len(early) :]
            wanted = [early[i : i + 129] for i in range(0, len(early) - 128, 64)]
            assert sorted(windows) == sorted(wanted) and windows != wanted
            assert len(parts["validation"]) == len(wanted) // 5
            return
        order = ("validation", "train", "test") if name == "tiny-shakespeare-80" else ("train", "validation", "test")
        assert "".join(joined[split] for split in order) == whole
        if name == "tiny-shakespeare-80":
            shares = [len(joined[split]) / len(whole) for split in ("train", "validation", "test")]
            assert shares == pytest.approx([0.75, 0.05, 0.2], abs=0.001)
        else:
            assert joined == {split: "".join(texts) for split, texts in raw.items()}
        return
    lines = [line for own in raw.values() for line in own]
    dealt = {split: own.split("\n")[:-1] for split, own in joined.items()}
    assert sorted(line for own in dealt.values() for line in own) == sorted(lines)
    if name == "plays-by-line":
        assert len(dealt["test"]) / len(lines) == pytest.approx(0.2, abs=0.05)
        assert len(dealt["validation"]) / len(lines) == pytest.approx(0.05, abs=0.03)
        for own in dealt.values():  # each part keeps the order of the plays
            rest = iter(lines)
            assert all(line in rest for line in own)
    else:
        whole = {play: "".join(f"{line}\n" for line in own) for play, own in raw.items()}
        where = {play: [split for split in joined if own in joined[split]] for play, own in whole.items()}
        assert all(len(splits) == 1 for splits in where.values()), "a play is in two parts"
        counts = [sum(splits == [split] for splits in where.values()) for split in ("test", "validation")]
        assert counts == [max(1, len(raw) // 5), 2]


@pytest.mark.parametrize("name", TEXTS)
def test_splits_are_disjoint_whole_and_the_same_each_time(name):
    check_splits(name, LINES_OF if TEXTS[name].kaggle else SYNTHETIC)


@pytest.mark.whole_data
def test_texts_are_whole():
    splits = ("train", "validation", "test")
    assert sum(len(load_split("tiny-shakespeare", split)) for split in splits) == 1_115_394
    plays = raw_of("plays-by-play")
    assert len(plays) == 37 and sum(map(len, plays.values())) == 116_227


@pytest.mark.parametrize("name", TEXTS)
def test_splits_of_the_real_texts_are_too_and_held_out_is_validation_and_test(name):
    check_splits(name, raw_of(name))
    parts = {split: load_split(name, split) for split in ("train", "validation", "test", "held-out")}
    assert parts["held-out"].texts == parts["validation"].texts + parts["test"].texts
    check_splits(name, raw_of(name))  # nobody has changed what is kept of them
    assert len({data.revision for data in parts.values()}) == 1 and len(parts["train"].revision) in (40, 64)


def test_the_first_lines_of_a_text_are_told_as_such():
    data = TextData("x", "train", ["a\nbb\n\nc", "d\n"], "1")
    assert len(data) == 9 and data.part == "" and data.first(None) is data
    first = data.first(2)
    assert first.texts == ["a\nbb\n"] and first.part == "first 5 of 9 characters" and first.revision == "1"
    assert data.first(99).texts == data.texts and data.first(99).part == ""
    odd = TextData("x", "train", ["a\x0cb\u2028c\nd\r\ne"], "1")  # of these only \n ends a line here
    assert [odd.first(n).texts for n in (1, 2, 3)] == [["a\x0cb\u2028c\n"], ["a\x0cb\u2028c\nd\r\n"], odd.texts]
    assert data.first(5).texts == data.texts and data.first(4).texts == data.texts[:1]


def test_every_text_is_described_and_another_split_is_refused():
    for name, source in TEXTS.items():
        told = describe(name)
        assert told["repo_id"] == source.repo_id and told["validation"] and ("url" in told) == source.kaggle
    with pytest.raises(ValueError, match="split is 'dev': give train, validation or test"):
        load_split("tiny-shakespeare", "dev")
    with pytest.raises(ValueError, match="split is 'held-out': give train, validation or test"):
        load_split("mnist", "held-out")
    with pytest.raises(ValueError, match="no data set is called 'plays': known are"):
        load_split("plays", "train")
    assert set(TEXTS) < set(DATASETS)


def test_the_plays_lie_in_kagglehubs_cache_under_their_version(plays, tmp_path, monkeypatch):
    import kagglehub

    folder = tmp_path / "datasets" / "kingburrito666" / "shakespeare-plays"
    (folder / "versions" / "4").mkdir(parents=True)
    (folder / "versions" / "4" / "x.csv").write_bytes(plays.read_bytes())
    (folder / "4.complete").touch()
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))
    text._raw.cache_clear()
    try:
        found = load_split("plays-by-play", "train")
        assert len(found) > 0 and found.texts == load_split("plays-by-play", "train", str(plays)).texts
        assert found.revision == fingerprint(plays)

        def refuse(*_, **__):
            raise ConnectionError("no\nroute")

        monkeypatch.setattr(kagglehub, "dataset_download", refuse)
        text._raw.cache_clear()
        with pytest.raises(FileNotFoundError) as refused:
            load_split("plays-by-line", "test")
        told = f"is not in kagglehub's cache ({tmp_path}) and cannot be downloaded from Kaggle: connect once"
        assert told in str(refused.value) and "--data FILE" in str(refused.value) and "\n" not in str(refused.value)
    finally:
        text._raw.cache_clear()


WRONG = {
    "other columns": (b"Play,Line\nA,hello\n", "Play, PlayerLine, once each: its first line is 'Play,Line'"),
    "a column twice": (b"Play,PlayerLine,PlayerLine\nA,b,c\n", "once each: its first line is 'Play,PlayerLine,Play"),
    "one line": (b"a," * 10**6, "once each: its first line is 'a,a,"),
    "commas of a line": (b"Play,PlayerLine\nA,To be, or not\n", "line 2 has more fields than there are columns"),
    "an open quote": (b'Play,PlayerLine\nA,"To be\nB,not\n', "unexpected end of data"),
    "no UTF-8": (b"Play,PlayerLine\nA,h\xe9llo\n", "save it as UTF-8"),
    "UTF-16": ("Play,PlayerLine\nA,hello\n".encode("utf-16"), "save it as UTF-8"),
    "empty": (b"", "is no CSV in UTF-8 with the columns Play, PlayerLine, once each: its"),
    "no lines": (b"Play,PlayerLine\n", "it has no lines"),
    "a web page": (b"<!DOCTYPE html>\n<html></html>\n", "is no CSV in UTF-8 with the columns"),
    "a line of no play": (b"Play,PlayerLine\nA,b\n,c\n", "line 3 is of no play"),
    "too short": (b"Play,PlayerLine\nA,hello\n", "too few for one window of 8: give a longer text"),
}


def test_empty_rows_are_no_play_and_a_line_may_be_long(tmp_path):
    """A spreadsheet leaves the ones, and the csv module by itself takes 128 KiB."""
    data = b"Play,PlayerLine\nA,hello\n,\n , \nB," + b"x" * 200_000 + b"\nA,\n,\n"
    (tmp_path / "x.csv").write_bytes(data)
    assert read_plays(tmp_path / "x.csv")[0] == {"A": ["hello", ""], "B": ["x" * 200_000]}


def test_a_csv_that_cannot_be_read_is_told(monkeypatch, tmp_path):
    path = write_plays(tmp_path / "x.csv")

    def broken(*_, **__):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "open", broken)
    with pytest.raises(ValueError, match=r"cannot be read \(Input/output error\): give another file"):
        read_plays(path)


@pytest.mark.parametrize("limit", [(), ("--limit", "5")])
@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_csv_gets_one_sentence(kind, limit, tmp_path):
    data, said = WRONG[kind]
    (tmp_path / "x.csv").write_bytes(data)
    with pytest.raises(ValueError) as refused:
        train([*TOY, "--data", str(tmp_path / "x.csv"), *limit, "--output_dir", str(tmp_path / "run")])
    told = str(refused.value)
    assert said in told and "\n" not in told and len(told) < 600 and not (tmp_path / "run").exists()


def test_three_plays_are_too_few_to_split_by_play(tmp_path):
    argv = [*TOY, "--data", str(write_plays(tmp_path / "x.csv", 3)), "--output_dir", str(tmp_path / "run")]
    with pytest.raises(ValueError, match="there are 3 plays: splitting by play needs at least 4"):
        train(["word-lstm-plays-unseen", *argv[1:]])


def test_a_csv_may_have_a_byte_order_mark_short_rows_and_quoted_lines(tmp_path):
    data = '\ufeffPlay,Player,PlayerLine\nA,x,"To be,  or\n not"\nB\nA,,\u00e9t\u00e9\n'
    (tmp_path / "x.csv").write_text(data, encoding="utf-8")
    found, revision = text.read_plays(tmp_path / "x.csv")
    assert found == {"A": ["To be, or not", "\u00e9t\u00e9"], "B": [""]} and len(revision) == 64


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["gru128-mnist-predict", "--window", "8"], "there is no option '--window': "),
        (["gru128-mnist-predict", "--carry_state", "True"], "there is no option '--carry_state': "),
        (["cifar10-fast", "--data", "x.csv"], "--data is for the plays: leave it out, cifar10 comes from the Hub"),
        (["word-lstm-plays", "--flip", "True"], "there is no option '--flip'"),
        (["word-lstm-plays", "--shift", "2"], "there is no option '--shift'"),
        (["char-lstm-shakespeare", "--data", "x.csv"], "--data is for the plays: leave it out, tiny-shakespeare"),
        (["word-lstm-plays", "--data", "nowhere.csv"], "there is no file 'nowhere.csv': give a CSV with the columns"),
        (["word-lstm-plays", "--data", "."], "there is no file '.': give a CSV"),
        (["word-lstm-plays", "--window", "0"], "--window is 0: give a number of at least 1"),
        (["word-lstm-plays", "--window", ""], "--window is '': give one length"),
        (["word-lstm-plays", "--window", "-8"], "'-8' is not a number, or numbers such as"),
        (["word-lstm-plays", "--window", "8,"], "'8,' is not a number, or numbers such as"),
        (["word-lstm-plays", "--window", "\u00b2"], "'\u00b2' is not a number, or numbers such as"),
        (["word-lstm-plays-study", "--window", "6,8"], "each a divisor of the last"),
        (["word-lstm-plays", "--window", "4,8"], "--carry_state goes with one --window"),
        (["word-lstm-plays", "--clip_value", "-1"], "--clip_value is -1.0: give a number of at least 0"),
        (["word-lstm-plays", "--clip_value", "nan"], "--clip_value is nan: give a number of at least 0"),
        (["word-lstm-plays", "--limit", "0"], "--limit is 0: give at least 1 image or line"),
        (["word-lstm-plays", "--model.widths", "0"], "a width is 0: give a whole number from 1"),
        (
            [*TOY, "--limit", "1"],
            "give a longer text, a larger --limit or a shorter --window",
        ),
        ([*TOY, "--activation_checkpointing", "True"], "WordLSTM offers no activation checkpointing"),
        (
            [*TOY, "--carry_state", "False", "--per_device_train_batch_size", "99", "--dataloader_drop_last", "True"],
            "training windows do not fill one batch of 99",
        ),
    ],
)
def test_a_wrong_command_line_gets_one_sentence(argv, message, plays, tmp_path):
    data = ["--data", str(plays)] if argv[:2] == TOY[:2] else []
    with pytest.raises((ValueError, FileNotFoundError), match=re.escape(message)) as error:
        train([*argv, *data, "--output_dir", str(tmp_path / "run")])
    assert "\n" not in str(error.value) and not (tmp_path / "run").exists()


# 2. Windows.


def test_lanes_go_on_where_the_last_batch_ended_and_are_as_long_as_can_be():
    chance = random.Random(0)
    for _ in range(300):
        window, lanes = chance.randrange(1, 9), chance.randrange(1, 13)
        texts = [torch.arange(n) for n in chance.choices(range(40), k=chance.randrange(1, 4))]
        count = sum(map(len, texts))
        tokens = torch.arange(count)
        texts = list(tokens.split([len(own) for own in texts]))
        if count <= window:
            with pytest.raises(ValueError, match=f"has {count} tokens, too few for one window of {window}: give"):
                Windows(texts, window, lanes)
            continue
        data = Windows(texts, window, lanes)
        assert data.lanes == min(lanes, (count - 1) // window)
        steps = (count - 1) // data.lanes // window
        assert len(data) == data.lanes * steps >= 1
        batches = [data.__getitems__(list(range(i, i + data.lanes))) for i in range(0, len(data), data.lanes)]
        for i, batch in enumerate(batches):
            assert batch["tokens"].shape == (data.lanes, window + 1)
            assert batch["indices"].tolist() == list(range(i * data.lanes, (i + 1) * data.lanes))
            if i:
                assert torch.equal(batch["tokens"][:, 0], batches[i - 1]["tokens"][:, -1])
        predicted = torch.cat([batch["tokens"][:, 1:].flatten() for batch in batches])
        assert len(predicted.unique()) == len(predicted) == len(data) * window  # no token is predicted twice
        assert len(predicted) > (count - 1) - data.lanes * window - data.lanes


def test_without_lanes_no_window_crosses_texts_and_none_is_left_out():
    chance = random.Random(1)
    for _ in range(300):
        window = chance.randrange(1, 9)
        sizes = chance.choices(range(30), k=chance.randrange(1, 6))
        texts = list(torch.arange(sum(sizes)).split(sizes))
        wanted = [own[i : i + window + 1].tolist() for own in texts for i in range(0, len(own) - window, window)]
        if not wanted:
            with pytest.raises(ValueError, match="too few for one window"):
                Windows(texts, window)
            continue
        data = Windows(texts, window)
        assert data.lanes == 0 and len(data) == len(wanted)
        assert data.__getitems__(list(range(len(data))))["tokens"].tolist() == wanted
        assert [data[i]["tokens"].tolist() for i in range(len(data))] == wanted


def test_cut_windows_say_the_same_in_shorter_pieces():
    tokens = torch.arange(39).view(3, 13)
    for window in 1, 2, 3, 4, 6, 12:
        pieces = cut(tokens, window)
        assert pieces.shape == (3 * 12 // window, window + 1)
        for row, whole in zip(pieces.view(3, -1, window + 1), tokens, strict=True):
            assert torch.equal(row[:, 1:].flatten(), whole[1:]) and torch.equal(row[:, 0], whole[:-1:window])


# 3. Carried state, stages and clipping.


class Seen(TrainerCallback):
    """What goes through a model in training, and what it answers."""

    def __init__(self, model: TextModel):
        self.calls = []
        model.register_forward_hook(self.keep, with_kwargs=True)

    def keep(self, model, args, given, out) -> None:
        if model.training:
            self.calls.append((given["tokens"], given.get("state"), out))


def trainer_of(model: TextModel, data: Windows, folder: Path, more: dict | None = None, **options) -> HubTrainer:
    given = {"learning_rate": 0.0, "per_device_train_batch_size": 3, "num_train_epochs": 2, "logging_steps": 1}
    given |= {"use_cpu": True, "report_to": "none", "save_strategy": "no", "disable_tqdm": True}
    args = TrainingArguments(str(folder), remove_unused_columns=False, **given | options)
    task = {"task": Language(window=(data.window,), carry_state=bool(data.lanes)), "watch": lambda *_: None}
    return HubTrainer(model, args, train_dataset=data, eval_dataset=data, **task | (more or {}))


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_carried_training_is_one_long_pass_anew_in_each_epoch(cell, tmp_path):
    changes = {"dropout": 0.0, "input_dropout": 0.0, "weight_drop": 0.0}
    model = enliven(build("char_lstm", cell=cell, **changes))
    data = Windows([random_tokens(model, 100)], 8, 3)
    seen = Seen(model)
    trainer = trainer_of(model, data, tmp_path)
    trainer.train()
    steps = len(data) // 3
    calls = list(seen.calls)
    assert len(calls) == 2 * steps == 8
    for i, (_, state, out) in enumerate(calls):
        assert out["loss"].requires_grad and out["state"][0][0].requires_grad
        if i % steps == 0:
            assert state is None
            continue
        for layer, before in zip(state, calls[i - 1][2]["state"], strict=True):
            assert not any(part.requires_grad for part in layer)
            assert all(torch.equal(a, b) for a, b in zip(layer, before, strict=True))
    lanes = torch.cat([calls[0][0][:, :1], *(tokens[:, 1:] for tokens, _, _ in calls[:steps])], 1)
    whole = model(tokens=lanes)
    each = -whole["logits"].log_softmax(-1).gather(2, lanes[:, 1:, None])[..., 0]
    for i, (_, _, out) in enumerate(calls):
        assert out["loss"].item() == pytest.approx(each[:, i % steps * 8 :][:, :8].mean().item(), rel=1e-12)
    logged = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert logged == pytest.approx([out["loss"].item() for _, _, out in calls], rel=1e-4)
    logged = [entry["accuracy"] for entry in trainer.state.log_history if "loss" in entry]
    right = [(out["logits"].argmax(-1) == tokens[:, 1:]).double().mean().item() for tokens, _, out in calls]
    assert logged == pytest.approx(right, rel=1e-12)
    found = trainer.evaluate()
    assert found["eval_loss"] == pytest.approx(each.mean().item(), rel=1e-12)
    right = (whole["logits"].argmax(-1) == lanes[:, 1:]).double().mean().item()
    assert found["eval_accuracy"] == pytest.approx(right, rel=1e-12)


def test_without_carrying_each_window_starts_from_nothing_and_stages_cut_it(tmp_path):
    model = build("char_lstm")
    data = Windows([random_tokens(model, 8 * 18 + 1)], 8)
    seen = Seen(model)
    trainer = trainer_of(model, data, tmp_path, {"task": Language(window=(2, 4, 8))}, num_train_epochs=1)
    trainer.train()
    assert [tuple(tokens.shape) for tokens, _, _ in seen.calls] == [(12, 3)] * 2 + [(6, 5)] * 2 + [(3, 9)] * 2
    assert all(state is None for _, state, _ in seen.calls) and trainer.carried is None
    predicted = torch.cat([tokens[:, 1:].flatten() for tokens, _, _ in seen.calls])
    assert torch.equal(predicted.sort().values, data.tokens[1:].sort().values)  # each token once, in any order
    assert not torch.equal(predicted, data.tokens[1:])
    found = trainer.evaluate()["eval_loss"]
    whole = [model.eval()(data[i]["tokens"][None])["loss"].item() for i in range(len(data))]
    assert found == pytest.approx(sum(whole) / len(whole), rel=1e-6)  # validation has whole windows


def test_each_component_of_the_gradient_is_cut_off_after_the_norm_is(tmp_path):
    moved = {}
    for clip in 0.0, 1e-3:
        model = build("char_lstm", weight_drop=0.0, dropout=0.0, input_dropout=0.0)
        before = {name: p.detach().clone() for name, p in model.named_parameters()}
        options = {"learning_rate": 1.0, "optim": "sgd", "lr_scheduler_type": "constant", "max_steps": 1}
        data = Windows([random_tokens(model, 30)], 8, 3)
        trainer_of(model, data, tmp_path, {"clip_value": clip}, max_grad_norm=0.5, **options).train()
        moved[clip] = torch.cat([(p - before[name]).flatten() for name, p in model.named_parameters()]).detach()
    assert 0.1 < moved[0.0].norm() < 0.5 + 1e-5
    assert torch.allclose(moved[1e-3], moved[0.0].clamp(-1e-3, 1e-3), rtol=0, atol=1e-6)
    assert (moved[0.0].abs() > 1e-3).sum() > 10


# 4. The command.


@pytest.fixture(scope="module")
def run(plays, tmp_path_factory):
    """An unbroken carried run with every kind of dropout, averaged and clipped, in its second epoch at its end."""
    folder = tmp_path_factory.mktemp("runs") / "word-lstm-plays"
    argv = [*TOY, "--data", str(plays), "--per_device_train_batch_size", "4", "--clip_value", "0.1"]
    argv += ["--max_steps", "14", "--save_total_limit", "9"]
    return train([*argv, "--output_dir", str(folder)]), argv


def test_a_text_run_leaves_what_the_contract_says(run, plays):
    folder, argv = run
    assert {path.name for path in folder.iterdir() if not path.name.startswith("checkpoint-")} - {"samples.webp"} == {
        *("config.json", "model.safetensors", "tokenizer.json", "recipe.json", "train_results.json"),
        *("history.csv", "curves.webp", "README.md", "stages"),
    }
    recipe, model = json.loads((folder / "recipe.json").read_text()), load(folder)
    assert recipe["window"] == [8] and recipe["carry_state"] is True and recipe["clip_value"] == 0.1
    assert recipe["data"]["revision"] == fingerprint(plays) and recipe["data"]["limit"] == 40
    assert recipe["model"]["vocab_size"] == model.config.vocab_size == model.tokenizer.get_vocab_size() <= 30
    results = json.loads((folder / "train_results.json").read_text())
    assert 1 < results["epochs"] < 2 and 0 <= results["best_validation"]["eval_accuracy"] <= 1
    assert model.log_prob("To be") < 0 and "".join(model.generate("To be", max_tokens=5))
    last = newest_checkpoint(folder)
    assert {path.name for path in last.iterdir()} >= {"carried-0.safetensors", "tokenizer.json", "raw.safetensors"}
    carried = load_file(last / "carried-0.safetensors")
    assert {name: tuple(part.shape) for name, part in carried.items()} == {
        **{"0.0": (1, 4, 5), "0.1": (1, 4, 5), "1.0": (1, 4, 4), "1.1": (1, 4, 4)}
    }
    for name, change in {
        "window": ["--window", "4"],
        "carry_state": ["--carry_state", "False"],
        "clip_value": ["--clip_value", "1"],
    }.items():
        with pytest.raises(ValueError, match=f"{name} was .* and is .*--overwrite"):
            train([*argv, *change, "--output_dir", str(folder), "--resume"])


class KillError(Exception):
    pass


def broken_at(step: int, monkeypatch) -> None:
    """Let the next run end, as by a kill, after a step."""

    class Kill(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            if state.global_step == step:
                raise KillError

    make = command.HubTrainer
    monkeypatch.setattr(command, "HubTrainer", lambda *a, callbacks, **k: make(*a, callbacks=[*callbacks, Kill()], **k))


def assert_same_run(folder: Path, other: Path) -> None:
    for name in "model.safetensors", "tokenizer.json", "config.json":
        assert (folder / name).read_bytes() == (other / name).read_bytes()
    ends = [newest_checkpoint(folder), newest_checkpoint(other)]
    assert ends[0].name == ends[1].name and log_without_times(ends[0]) == log_without_times(ends[1])
    for path in ends[0].glob("*.safetensors"):
        assert path.read_bytes() == (ends[1] / path.name).read_bytes(), path.name


@pytest.mark.parametrize("step", [5, 13])  # in the middle of the first epoch, and of the second
def test_a_broken_carried_run_resumes_bit_for_bit(step, run, tmp_path, monkeypatch):
    folder, argv = run
    assert json.loads((folder / "train_results.json").read_text())["steps"] == 14
    argv = [*argv, "--output_dir", str(tmp_path / "run")]
    with monkeypatch.context() as patch:
        broken_at(step, patch)
        with pytest.raises(KillError):
            train(argv)
    assert newest_checkpoint(tmp_path / "run").name == f"checkpoint-{step // 3 * 3}"
    assert not (tmp_path / "run" / "model.safetensors").exists()
    train([*argv, "--resume"])
    assert_same_run(folder, tmp_path / "run")


def test_a_run_without_its_state_or_with_other_words_is_refused_and_a_lost_stage_is_done_without(
    run, tmp_path, monkeypatch
):
    argv = [*run[1], "--output_dir", str(tmp_path / "run")]
    with monkeypatch.context() as patch:
        broken_at(5, patch)
        with pytest.raises(KillError):
            train(argv)
    carried = newest_checkpoint(tmp_path / "run") / "carried-0.safetensors"
    kept = carried.rename(tmp_path / "kept")
    with pytest.raises(ValueError, match="carried-0.safetensors is missing, the state to go on with: begin anew"):
        train([*argv, "--resume"])
    kept.rename(carried)
    tokenizer = carried.with_name("tokenizer.json")
    own = tokenizer.read_text()
    tokenizer.write_text(own.replace('" the"', '" tha"'))  # as another version of ours might fit it
    with pytest.raises(ValueError, match="the vocabulary has changed since .* began: undo that, or begin anew"):
        train([*argv, "--resume"])
    tokenizer.write_text(own)
    (tmp_path / "run" / "stages" / "0.txt").unlink()
    written = json.loads((train([*argv, "--resume"]) / "train_results.json").read_text())["written"]
    assert len(written) == 3 and not any(row["name"] == "untrained" for row in written)


def test_a_broken_run_in_stages_resumes_bit_for_bit(plays, tmp_path, monkeypatch):
    argv = [*TOY, "--data", str(plays), "--carry_state", "False", "--window", "2,4,8", "--max_steps", "9"]
    argv += ["--per_device_train_batch_size", "7", "--model.cell", "gru"]
    train([*argv, "--output_dir", str(tmp_path / "whole")])
    assert not list((tmp_path / "whole").rglob("carried-*"))
    with monkeypatch.context() as patch:
        broken_at(5, patch)
        with pytest.raises(KillError):
            train([*argv, "--output_dir", str(tmp_path / "run")])
    train([*argv, "--output_dir", str(tmp_path / "run"), "--resume"])
    assert_same_run(tmp_path / "whole", tmp_path / "run")


def test_two_processes_carry_as_one(plays, tmp_path):
    argv = [*TOY, *CALM, "--data", str(plays), "--max_steps", "10", "--learning_rate", "0.01"]
    one, two = tmp_path / "one", tmp_path / "two"
    done = run_pair("-m", "training.train", *argv, "--per_device_train_batch_size", "2", "--output_dir", str(two))
    assert done.returncode == 0, done.stderr
    train([*argv, "--per_device_train_batch_size", "4", "--output_dir", str(one)])
    logs = [log_without_times(newest_checkpoint(one)), log_without_times(newest_checkpoint(two, 2))]
    assert len(logs[0]) == len(logs[1]) == 10 + 4
    for alone, together in zip(*logs, strict=True):
        assert alone.keys() == together.keys()
        for key in alone:
            assert alone[key] == pytest.approx(together[key], rel=1e-4), key
    carried = [load_file(newest_checkpoint(two, 2) / f"carried-{rank}.safetensors") for rank in (0, 1)]
    whole = load_file(newest_checkpoint(one) / "carried-0.safetensors")
    for name, part in whole.items():
        for rank in 0, 1:
            assert part.shape[1] == 4 and torch.allclose(part[:, rank::2], carried[rank][name], atol=1e-5), name
    weights = [load_file(newest_checkpoint(folder, n) / "raw.safetensors") for folder, n in ((one, 1), (two, 2))]
    for name in weights[0]:
        assert torch.allclose(weights[0][name], weights[1][name], atol=1e-4), name


def test_recipes_of_texts_say_what_a_text_needs():
    for name, recipe in RECIPES.items():
        assert isinstance(recipe.task, Language) == (recipe.data in TEXTS), name
        recipe.check()
