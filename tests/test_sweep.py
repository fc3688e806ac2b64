"""evaluation.sweep: which runs it asks for, what it makes of them, and one real sweep at toy size."""

import json
import math

import pytest
import torch
from PIL import Image

from evaluation import sweep
from evaluation.metrics.scores import t_interval
from evaluation.results import sweep_file
from evaluation.sweeps import ablation, depth, tricks
from training.data import ImageData

DATA = ImageData(torch.zeros(100, 3, 32, 32, dtype=torch.uint8), torch.zeros(100, dtype=torch.long))


def scored(of):
    """A `run` that trains nothing: its accuracy is a function of the changes and the seed; it notes what was asked."""
    asked = []

    def run(variant, changes, seed):
        asked.append((variant, seed))
        accuracy = of(dict(zip(changes[::2], changes[1::2], strict=True)), seed)
        return {"best_validation": {"eval_accuracy": accuracy}, "parameters": 7, "minutes": 1.0, "folder": variant}

    return run, asked


def test_the_cumulative_ablation_keeps_each_winner_and_trains_nothing_twice():
    """The best of each factor: rate 0.01, batch 16, filters 64, layers 3; known to the fake alone."""
    best = {"--learning_rate": "0.01", "--per_device_train_batch_size": "16"}
    best |= {"--model.filters": "64", "--model.num_layers": "3"}
    run, asked = scored(lambda changes, seed: 0.5 + 0.1 * sum(changes[k] == v for k, v in best.items()))
    rows = ablation.ablation(run, 2, DATA)
    cumulative = [row for row in rows if row["kind"] == "cumulative"]
    kept = [row for row in cumulative if row["kept"]]
    assert [row["stage"] for row in kept] == ["learning_rate 0.01", "batch 16", "filters 64", "layers 3"]
    assert [row["accuracy"] for row in kept] == pytest.approx([60, 70, 80, 90])
    assert kept[-1]["settings"] == {"learning_rate": 0.01, "batch": 16, "filters": 64, "layers": 3}
    single = [row for row in rows if row["kind"] == "one at a time"]
    assert len(cumulative) == len(single) == 12
    for row in single:
        assert sum(row["settings"][key] != ablation.BASELINE[key] for key in row["settings"]) <= 1
    assert len(asked) == len(set(asked)) and {seed for _, seed in asked} == {0, 1}
    assert all(row["interval"] == [row["accuracy"]] * 2 for row in rows)  # Student's, of two equal seeds
    single = ablation.ablation(run, 1, DATA)
    assert all(row["interval"][0] < row["accuracy"] < row["interval"][1] for row in single)  # of the images
    assert {row["stage"]: row["published"] for row in rows if "published" in row} == {
        "learning_rate 0.001": 72.56,
        "batch 16": 75.31,
        "filters 64": 79.64,
        "layers 7": 79.27,
    }


def test_the_published_table_has_all_tricks_of_today():
    rows = json.loads(sweep_file("tricks").read_text())["rows"]
    assert [row["trick"] for row in rows] == ["all", *tricks.TRICKS, *tricks.ADDED, *tricks.VIEWS.values()]


def test_a_tricks_gain_is_the_mean_difference_over_the_same_seeds(monkeypatch):
    monkeypatch.setattr(tricks, "load", lambda folder: folder)
    monkeypatch.setattr(tricks, "share_right", lambda model, data, views: 50.0 + views)
    loss = {"--model.whitening": 0.02, "--model.dirac": -0.01, "--ema": -0.03}
    run, _ = scored(lambda changes, seed: 0.5 + 0.1 * seed - sum(loss.get(k, 0) for k in changes))
    rows = {row["trick"]: row for row in tricks.tricks(run, 3, DATA)}
    assert rows["whitening first layer"]["gain"] == pytest.approx(2)
    assert rows["convolutions start as the identity"]["gain"] == pytest.approx(-1)
    assert rows["average of weights, decay 0.99"]["gain"] == pytest.approx(3)  # added, not taken away
    assert rows["label smoothing 0.2"]["gain"] == pytest.approx(0)
    assert rows["two views at test"]["gain"] == 1 and rows["six views at test"]["gain"] == 5
    assert rows["all"]["accuracy"] == pytest.approx(60)
    assert all(row["source"] for name, row in rows.items() if name != "all")

    def slower(variant, changes, seed):
        return run(variant, changes, seed) | {"minutes": {"--muon": 2.0, "--ema": 3.0}.get((*changes, "")[0], 4.0)}

    times = {row["trick"]: row.get("time") for row in tricks.tricks(slower, 3, DATA)}
    assert times["kernels turned by Muon"] == 2 and times["average of weights, decay 0.99"] == 0.75
    assert times["small images first"] == 1 and times["six views at test"] is None

    def diverging(variant, changes, seed):
        return run(variant, changes, seed) | {"minutes": 0.0 if (changes, seed) == (tricks.SGD, 1) else 4.0}

    times = {row["trick"]: row.get("time") for row in tricks.tricks(diverging, 3, DATA)}
    assert times["kernels turned by Muon"] is None and times["small images first"] == 1
    with pytest.raises(ValueError, match="--seeds is 1: give at least 2"):
        tricks.tricks(run, 1, DATA)


def test_each_depth_is_trained_alike_and_stands_beside_the_papers():
    asked = []

    def run(variant, changes, seed):
        asked.append(dict(zip(changes[::2], changes[1::2], strict=True)))
        loss = math.log(2) * (4 - 0.1 * int(asked[-1]["--model.layers"]) + 0.02 * seed)
        return {"best_validation": {"eval_loss": loss}, "parameters": 7, "minutes": 1.0}

    rows = depth.depth(run, 2, DATA)
    ours = {row["layers"]: row for row in rows if "bits_per_dim" in row}
    assert {n: row["bits_per_dim"] for n, row in ours.items()} == pytest.approx({1: 3.91, 2: 3.81, 4: 3.61, 8: 3.21})
    assert all(row["interval"][0] < row["bits_per_dim"] < row["interval"][1] for row in ours.values())
    theirs = {row["layers"]: row["published"] for row in rows if "published" in row}
    assert theirs == {1: 3.30, 2: 3.20, 3: 3.17, 6: 3.09, 9: 3.08, 12: 3.06}
    assert len({tuple(sorted((changes | {"--model.layers": ""}).items())) for changes in asked}) == 1
    assert all("interval" not in row for row in depth.depth(run, 1, DATA))


def test_what_diverged_counts_as_nothing_and_is_told(cifar10, tmp_path, monkeypatch):
    monkeypatch.setattr(ablation, "FACTORS", {"learning_rate": ("--learning_rate", (1e38, 0.001))})
    monkeypatch.setattr(ablation, "BASELINE", {"learning_rate": 0.001})
    argv = ["ablation", "--epochs", "6", "--limit", "64", "--runs", str(tmp_path / "runs"), "--results", str(tmp_path)]
    rows = {row["stage"]: row for row in sweep.main(argv)["rows"] if row["kind"] == "cumulative"}
    assert rows["learning_rate 1e+38"]["accuracy"] == 0 and rows["learning_rate 1e+38"]["parameters"] is None
    assert rows["learning_rate 0.001"]["kept"]
    with pytest.raises(ValueError, match="the recipe itself diverged"):
        lost = {"best_validation": {"eval_accuracy": 0.0}, "parameters": None, "minutes": 0.0}
        tricks.tricks(lambda *_: lost, 2, DATA)


def test_students_interval_of_three_values():
    mean, low, high = t_interval([1.0, 2.0, 3.0])
    assert mean == 2 and high - mean == pytest.approx(mean - low) == pytest.approx(4.30265 / 3**0.5, rel=1e-4)


def test_a_sweep_at_toy_size_writes_its_table_and_goes_on_where_it_was(cifar10, tmp_path, monkeypatch):
    monkeypatch.setattr(
        ablation, "FACTORS", {"layers": ("--model.num_layers", (3, 5)), "filters": ("--model.filters", (4,))}
    )
    monkeypatch.setattr(ablation, "BASELINE", {"layers": 5, "filters": 4})
    argv = ["ablation", "--epochs", "1", "--limit", "64", "--runs", str(tmp_path / "runs"), "--results", str(tmp_path)]
    found = sweep.main(argv)
    assert found == json.loads((tmp_path / "evaluation" / "results" / "sweeps" / "ablation.json").read_text())
    assert found["budget"].startswith("1 epoch of 64 training images, 1 seed")
    assert (tmp_path / "docs" / "sweep-ablation.png").stat().st_size > 1000
    with Image.open(tmp_path / "docs" / "sweep-ablation-curves.webp") as curves:  # loss and accuracy side by side
        assert curves.width > 2 * curves.height
    weights = sorted((tmp_path / "runs").rglob("model.safetensors"))
    assert len([path for path in weights if "checkpoint" not in str(path)]) == 2
    assert sweep.main(argv)["rows"] == found["rows"]  # finished runs are taken as they are
