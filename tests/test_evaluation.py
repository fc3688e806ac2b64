"""The evaluation commands on real digits: their figures against ones computed another way, and their refusals."""

import argparse
import io
import json
import math
import re
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from evaluation import accuracy, bits_per_dim, inpainting, speed, speed_gpu
from evaluation.benchmarks import reference, training
from evaluation.benchmarks.reference import pillow_batches, plain_logits, plain_sampling
from evaluation.benchmarks.timing import ratio
from evaluation.metrics.corruptions import SEVERITIES, corrupt
from evaluation.reports.answers import TILE_COLUMNS, draw_tiles, most_confident
from evaluation.results import SPEED, SPEED_GPU
from evaluation.runner import run
from evaluation.speed import deep_training, weights_read, weights_used
from hub_models import (
    CNN,
    CNNConfig,
    DiagonalBiLSTM,
    DiagonalBiLSTMConfig,
    GatedPixelCNN,
    GatedPixelCNNConfig,
    PixelClassifier,
    PixelClassifierConfig,
    PixelCNN,
    PixelCNNConfig,
    PixelPredictor,
    PixelPredictorConfig,
    RowLSTM,
    RowLSTMConfig,
)
from hub_models.checkpoints import PRETRAINED
from hub_models.run_folder import SPLITS as REPORTED
from training.data import ImageData, describe, load_split
from training.train import train

ARGS = argparse.Namespace(name="x", batch_size=7, seed=0)


def by_metric(entries: list[dict]) -> dict[str, dict]:
    return {entry["metric"]: entry for entry in entries}


@pytest.mark.whole_data
def test_splits_are_whole():
    train, validation, test = (load_split("mnist", split) for split in ("train", "validation", "test"))
    assert (len(train), len(validation), len(test)) == (55_000, 5_000, 10_000)
    assert torch.bincount(torch.cat([train.labels, validation.labels])).tolist()[:2] == [5923, 6742]
    assert describe("mnist", validation) == describe("mnist")


def test_splits_are_disjoint_and_fixed():
    train, validation, test = (load_split("mnist", split) for split in ("train", "validation", "test"))
    assert len(validation) == (len(train) + len(validation)) // (10 if len(train) < 45_000 else 12)
    again = load_split("mnist", "validation")
    assert torch.equal(again.images, validation.images)
    seen = {image.numpy().tobytes() for image in train.images}
    shared = sum(image.numpy().tobytes() in seen for image in validation.images)
    assert shared == 0  # no digit of the training split is in it twice
    assert train.images.dtype == torch.uint8 and train.images.shape[1:] == (1, 28, 28)
    with pytest.raises(ValueError, match="train, validation or test"):
        load_split("mnist", "dev")


@pytest.mark.parametrize("count", [9, 40])
def test_of_a_few_images_a_tenth_is_for_validation(count, monkeypatch, caplog):
    few = {
        f"{part}_{what}": torch.zeros(count, 1, dtype=torch.uint8)
        for part in ("train", "test")
        for what in ("images", "labels")
    }
    monkeypatch.setattr("training.data.images._decoded", lambda source: (few, "0" * 40))
    assert len(load_split("mnist", "train")) == count - count // 10 and len(load_split("mnist", "test")) == count
    assert f"ylecun/mnist has {count} training images here, not 60000" in caplog.text
    if count < 10:
        with pytest.raises(ValueError, match="ylecun/mnist has too few images here for the validation split"):
            load_split("mnist", "validation")
    else:
        told = describe("mnist", load_split("mnist", "validation"))["validation"]
        assert told == "4 training images, the first of a permutation seeded with 0"


def test_drawn_digits_are_one_draw_of_the_same_digits(mnist):
    for split in "validation", "test":
        grey, drawn = load_split("mnist", split), load_split("mnist-drawn", split)
        assert torch.equal(drawn.labels, grey.labels) and drawn.images.unique().tolist() == [0, 255]
        assert torch.equal(load_split("mnist-drawn", split).images, drawn.images)
        for level in (0, 64, 128, 192, 253, 255):
            shown = (drawn.images[grey.images == level] == 255).double()
            p = level / 255
            assert shown.mean().item() == pytest.approx(p, abs=5 * math.sqrt(p * (1 - p) / len(shown)))


def test_accuracy_and_likelihood_of_a_net_that_knows_nothing(mnist):
    data = load_split("mnist", "validation").first(50)
    classifier = PixelClassifier(PixelClassifierConfig(hidden_size=4)).eval()
    torch.nn.init.zeros_(classifier.head[4].weight)
    classifier.head[4].bias.data = torch.tensor([0.0, 1] + [0] * 8)  # always says 1
    found = by_metric(accuracy.measure(classifier, data, ARGS))
    assert found["accuracy"]["value"] == pytest.approx(100 * (data.labels == 1).float().mean().item())
    predictor = PixelPredictor(PixelPredictorConfig(hidden_size=4)).eval()
    torch.nn.init.zeros_(predictor.head.weight)
    torch.nn.init.zeros_(predictor.head.bias)
    found = by_metric(bits_per_dim.measure(predictor, data, ARGS))
    assert found["bits_per_dim"]["value"] == pytest.approx(1, abs=1e-6)
    assert found["nats_per_image"]["value"] == pytest.approx(784 * math.log(2), rel=1e-6)
    assert found["nats_per_pixel"]["value"] == pytest.approx(math.log(2), rel=1e-6)


def constant(names: tuple = ("a", "b", "c"), favourite: int = 1, **config) -> CNN:
    """A net that always says the same."""
    model = CNN(CNNConfig(names=names, num_layers=1, filters=1, **config)).eval()
    torch.nn.init.zeros_(model.head[3].weight)
    model.head[3].bias.data = torch.tensor([float(i == favourite) for i in range(len(names))])
    return model


def test_everything_about_a_net_that_always_says_the_same():
    """Of three classes with 5, 3 and 2 images it says the second: every figure by hand."""
    labels = torch.tensor([0] * 5 + [1] * 3 + [2] * 2)
    images = torch.randint(256, (10, 3, 32, 32), dtype=torch.uint8)
    args = argparse.Namespace(name="x", batch_size=4, seed=0, split="validation")
    data = ImageData(images, labels)
    results = accuracy.measure(constant(), data, args)
    found = {entry["metric"]: entry["value"] for entry in results}
    p = math.e / (math.e + 2)
    assert found["accuracy"] == 30 and found["precision_macro"] == pytest.approx(10)
    assert found["recall_macro"] == pytest.approx(100 / 3)
    f1 = 2 * 0.3 / 1.3  # precision 0.3, recall 1
    assert found["f1_macro"] == pytest.approx(100 * f1 / 3) and found["f1_weighted"] == pytest.approx(100 * f1 * 0.3)
    assert found["calibration_error"] == pytest.approx(100 * abs(0.3 - p), rel=1e-5)
    assert found["cross_entropy"] == pytest.approx(-0.3 * math.log(p) - 0.7 * math.log((1 - p) / 2), rel=1e-5)
    under = [entry for entry in results if entry["metric"].startswith("accuracy_")]
    assert len(under) == 2 + 12 and {entry["value"] for entry in under} == {30}
    for entry in results:
        assert entry["interval"][0] <= entry["value"] <= entry["interval"][1], entry
    report, pictures = accuracy.report(constant(), data, args, results)
    assert report["confusion"] == [[0, 5, 0], [0, 3, 0], [0, 2, 0]] and report["names"] == ["a", "b", "c"]
    assert [row["support"] for row in report["per_class"]] == [5, 3, 2]
    assert [row["precision"] for row in report["per_class"]] == pytest.approx([0, 30, 0])
    assert len(report["corruptions"]) == 12 and len(report["tiles"]) == 10
    assert set(pictures) == {"report", "mistakes", "tiles"}
    for content in pictures.values():
        with Image.open(io.BytesIO(content)) as picture:
            assert picture.format == "WEBP"
    assert json.loads(json.dumps(report)) == report


def test_tiles_lie_in_their_reports_order_and_the_surest_come_first():
    labels, predicted = torch.tensor([0] * 12 + [1]), torch.tensor([1] * 12 + [1])
    confidence = torch.linspace(0.3, 0.9, 13)
    chosen = most_confident(labels, predicted, confidence)
    assert chosen.tolist() == [12, 11, 10, 9, 8, 7, 6, 5, 4]  # eight of the first cell
    images = torch.randint(256, (1, 3, 1, 1), dtype=torch.uint8).expand(25, 3, 32, 32) * torch.arange(25)[
        :, None, None, None
    ].to(torch.uint8)
    sheet = np.asarray(Image.open(io.BytesIO(draw_tiles(images))).convert("RGB")).astype(int)
    assert sheet.shape == (2 * 32, TILE_COLUMNS * 32, 3)
    for i, image in enumerate(images):
        y, x = 32 * (i // TILE_COLUMNS), 32 * (i % TILE_COLUMNS)
        mean = sheet[y + 8 : y + 24, x + 8 : x + 24].mean((0, 1))
        assert abs(mean - image[:, 0, 0].numpy()).max() < 12  # WebP is lossy


def test_corruptions_do_what_they_say():
    images = torch.randint(256, (3, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for kind, (_, severities) in SEVERITIES.items():
        before, distances = images.clone(), []
        for severity in severities:
            changed = corrupt(images, kind, severity)
            assert changed.shape == images.shape and changed.dtype == torch.uint8
            assert torch.equal(changed, corrupt(images, kind, severity)) and torch.equal(images, before)
            distances.append((changed.double() - images.double()).abs().mean().item())
        assert min(distances) > 0.5
        if kind != "brightness":
            assert distances == sorted(distances), kind
    assert torch.equal(corrupt(images, "brightness", 0.5), images // 2)
    assert torch.equal(corrupt(images, "brightness", 2), (images.int() * 2).clamp(max=255).to(torch.uint8))
    grey = torch.full((4, 3, 32, 32), 128, dtype=torch.uint8)
    noise = corrupt(grey, "noise", 10).double() - 128
    assert noise.std() == pytest.approx(10, rel=0.05) and abs(noise.mean()) < 0.3
    assert torch.equal(corrupt(grey, "blur", 1.5), grey)


def test_reports_lie_beside_the_checkpoint_and_on_its_card(cifar10, tmp_path, capsys):
    folder = tmp_path / "cnn5x32-cifar10-study"
    train(
        ["cnn5x32-cifar10-study", "--limit", "32", "--max_steps", "1", "--eval_strategy", "steps", "--eval_steps", "1"]
        + ["--save_strategy", "steps", "--save_steps", "1", "--model.filters", "2", "--report_to", "none"]
        + ["--output_dir", str(folder)]
    )
    argv = [str(folder), "--split", "validation", "--limit", "15"]
    results = run(accuracy.measure, accuracy.__doc__, argv, accuracy.report)
    report = json.loads((folder / "report-validation.json").read_text())
    assert report["n"] == 15 and report["command"] == results[0]["command"] and report["split"] == "validation"
    card = (folder / "README.md").read_text()
    for name in ("report-validation.webp", "mistakes-validation.webp"):
        assert (folder / name).stat().st_size > 500 and f"({name})" in card
    assert (folder / "tiles-validation.webp").is_file()
    assert report["part"] == results[0]["part"] == f"first 15 of {len(cifar10):,}"
    part = f"first 15 of {len(cifar10):,}"
    assert f"15 ({part})" in card and f"validation (the {part}); all of it as numbers" in card
    assert "Of 15 images." in card
    run(accuracy.measure, accuracy.__doc__, [*argv[:-1], "12"], accuracy.report)
    assert json.loads((folder / "report-validation.json").read_text()) == report  # of more images than now
    run(accuracy.measure, accuracy.__doc__, [str(folder), "--split", "train", "--limit", "5"], accuracy.report)
    assert not list(folder.glob("*-train*"))

    (folder / "report-validation.json").unlink()  # of more images than the next one

    def broken(*_):
        raise ValueError("no picture")

    capsys.readouterr()
    with pytest.raises(ValueError, match="no picture"):
        run(accuracy.measure, accuracy.__doc__, [*argv[:-1], "12"], broken)
    assert len(json.loads(capsys.readouterr().out)) == len(results)  # what was measured is shown


def test_pictures_are_of_one_split_and_take_the_place_of_older_ones(cifar10, tmp_path):
    folder = shutil.copytree(PRETRAINED / "cnn5x32-cifar10-study", tmp_path / "cnn5x32-cifar10-study")
    for path in [*folder.glob("*-test.*"), folder / "eval_results.json"]:
        path.unlink()
    for name in ("report-validation.png", "report-test.png"):  # before they were WebP
        (folder / name).touch()

    def reported(split: str) -> set[str]:
        run(accuracy.measure, accuracy.__doc__, [str(folder), "--split", split, "--limit", "5"], accuracy.report)
        shown = set(re.findall(r"\(([a-z]+-[a-z]+\.webp)\)", (folder / "README.md").read_text()))
        there = {path.name for path in folder.glob("*-*.*")}
        assert shown | {name for name in there if name.startswith("tiles")} == {n for n in there if "json" not in n}
        return there

    of = {split: {f"{kind}-{split}.webp" for kind in ("report", "mistakes", "tiles")} for split in REPORTED}
    assert reported("validation") == {"report-validation.json", *of["validation"]}
    both = {"report-validation.json", "report-test.json", *of["test"]}
    assert reported("test") == both  # comes before validation, whose figures stay
    assert reported("validation") == both


def test_a_report_of_a_net_that_is_always_or_never_right_is_drawn():
    for label in 0, 1:
        data = ImageData(torch.randint(256, (10, 3, 32, 32), dtype=torch.uint8), torch.full((10,), label))
        args = argparse.Namespace(name="x", split="test", batch_size=10, seed=0)
        found, pictures = accuracy.report(constant(), data, args, accuracy.measure(constant(), data, args))
        assert found["n"] == 10 and all(pictures.values())


def test_a_part_of_a_split_is_called_so(cifar10):
    test, validation = load_split("cifar10", "test"), cifar10
    assert test.part == (f"first {len(test):,} of 10,000" if len(test) < 10_000 else "") and test.split_size == 10_000
    assert validation.part == "" and validation.first(7).part == f"first 7 of {len(validation):,}"


def test_classes_that_no_image_shows_do_not_count_in_averages():
    labels = torch.tensor([1] * 6)
    data = ImageData(torch.randint(256, (6, 3, 32, 32), dtype=torch.uint8), labels)
    found = by_metric(accuracy.measure(constant(), data, argparse.Namespace(name="x", batch_size=4, seed=0)))
    for metric in ("precision_macro", "recall_macro", "f1_macro", "f1_weighted"):
        assert found[metric]["value"] == 100 and found[metric]["interval"] == [100, 100]
    with pytest.raises(ValueError, match="labels go up to 1, the model knows 1 classes"):
        data.check_labels(1)


def test_a_net_that_is_wrong_and_sure_has_a_finite_cross_entropy(mnist):
    model = PixelClassifier(PixelClassifierConfig(hidden_size=4)).eval()
    torch.nn.init.zeros_(model.head[4].weight)
    model.head[4].bias.data = torch.tensor([500.0] + [0] * 9)  # a probability of exp(-500), 0 in float32
    data = load_split("mnist", "validation").first(30)
    wrong = (data.labels != 0).double().mean().item()
    found = by_metric(accuracy.measure(model, data, ARGS))["cross_entropy"]
    assert found["value"] == pytest.approx(500 * wrong)


def test_a_known_bernoulli_scores_its_cross_entropy(mnist):
    """All pixels on with probability p: the figure is that of counting the pixels that are on."""
    data = load_split("mnist", "validation").first(40)
    model = PixelPredictor(PixelPredictorConfig(hidden_size=4)).eval()
    torch.nn.init.zeros_(model.head.weight)
    model.head.bias.data.fill_(-2.0)
    p, on = 1 / (1 + math.exp(2.0)), (data.images > 127).float().mean().item()
    found = by_metric(bits_per_dim.measure(model, data, ARGS))["nats_per_pixel"]
    assert found["value"] == pytest.approx(-on * math.log(p) - (1 - on) * math.log(1 - p), rel=1e-5)


def test_inpainting_scores_a_constant_bernoulli_in_closed_form(mnist):
    data = load_split("mnist", "validation").first(3)
    model = PixelPredictor(PixelPredictorConfig(hidden_size=4)).eval()
    torch.nn.init.zeros_(model.head.weight)
    model.head.bias.data.fill_(1.0)
    found = by_metric(inpainting.measure(model, data, ARGS))
    p = 1 / (1 + math.exp(-1.0))
    for count in inpainting.FILLED:
        on = (data.images.flatten(1)[:, 484 : 484 + count] > 127).float().mean().item()
        truth = -on * math.log(p) - (1 - on) * math.log(1 - p)
        assert found[f"inpainting_truth_{count}"]["value"] == pytest.approx(truth, rel=1e-5)
        assert found[f"inpainting_truth_after_sampled_{count}"]["value"] == pytest.approx(truth, rel=1e-5)
    entropy = -p * math.log(p) - (1 - p) * math.log(1 - p)
    assert found["inpainting_sampled_300"]["value"] == pytest.approx(entropy, abs=0.02)  # 9,000 draws
    gain = found["most_probable_gain_2x2"]["value"]
    assert 0 <= gain <= 4.0 + 1e-4  # each of four pixels that was off gains the logit, 1


def test_a_command_refuses_the_wrong_kind_of_model_and_bad_numbers(mnist):
    with pytest.raises(ValueError, match="no classifier"):
        accuracy.measure(PixelPredictor(PixelPredictorConfig(hidden_size=4)), mnist, ARGS)
    for script in bits_per_dim, inpainting:
        with pytest.raises(ValueError, match="evaluation.accuracy"):
            script.measure(PixelClassifier(PixelClassifierConfig(hidden_size=4)), mnist, ARGS)
    for extra, message in (
        (["--limit", "0"], "--limit is 0"),
        (["--limit", "1"], "one image tells no interval: give --limit 2, or more"),
        (["--batch_size", "-1"], "--batch_size is -1"),
        (["--seed", "-1"], "--seed is -1"),
        (["--seed", "5000000000"], "--seed is 5000000000: give a number of 0 to"),
    ):
        with pytest.raises(ValueError, match=message):
            run(accuracy.measure, "doc", ["gru128-mnist-classify", *extra])
    with pytest.raises(ValueError, match="has 17 levels of grey: the fillings of 2x2 pixels can be searched for 16"):
        inpainting.measure(PixelCNN(PixelCNNConfig(hidden=2, layers=1, head=2, levels=17)), mnist, ARGS)
    for device in "gpu", "cuda:99":
        with pytest.raises(ValueError, match="not to be had here"):
            run(accuracy.measure, "doc", ["gru128-mnist-classify", "--device", device])
    with pytest.raises(ValueError, match="known are cifar10, mnist"):
        load_split("mnits", "test")
    with pytest.raises(FileNotFoundError, match="did you mean"):
        run(accuracy.measure, "doc", ["gru128-mnist-clasify"])


def test_the_plain_way_leaves_the_model_as_it_was():
    model = PixelPredictor(PixelPredictorConfig(hidden_size=4, height=2, width=2)).eval()
    with pytest.raises(ZeroDivisionError), plain_sampling(model):
        assert "_stream" in vars(model)
        raise ZeroDivisionError
    assert "_stream" not in vars(model)


def test_a_ratio_takes_both_in_turn_and_drops_the_first():
    order = []
    found = ratio(lambda: order.append("fast"), lambda: order.append("slow"), rounds=3)
    assert order == ["fast", "slow"] * 4
    assert found["ratio"] == found["plain_seconds"] / found["seconds"]


def test_the_usual_way_prepares_the_same_images():
    """Without shift and chance, Pillow's loop gives what the net's own normalisation gives."""
    data = ImageData(torch.randint(256, (6, 3, 32, 32), dtype=torch.uint8), torch.arange(6))
    model = constant()
    wanted = model.normalise(data.images)
    for images, labels in pillow_batches(data, 0, model.config.mean, model.config.std, 6):
        assert sorted(labels.tolist()) == list(range(6))
        for image, label in zip(images, labels.tolist(), strict=True):
            assert any(torch.allclose(image, w, atol=1e-6) for w in (wanted[label], wanted[label].flip(2)))


def test_speed_results_are_of_every_pair_and_the_samplers_are_fast():
    rows = {row["pair"]: row for row in json.loads(SPEED.read_text())}
    assert list(rows) == list(speed.pairs())
    for count, least in (
        ("1 image", 75),
        ("16 images", 700),
    ):  # 740 to 1,100 on two threads, as the machine's noise has it
        row = rows[f"PixelCNN, 15 blocks, 3x32x32: sampling {count}, cached / plain"]
        assert row["ratio"] >= least and "2 threads" in row["hardware"]
        assert row["of_bound"] == pytest.approx(row["seconds"] / row["bound_seconds"])


def test_the_gains_of_a_gpu_are_rates_of_every_pair(monkeypatch, capsys):
    monkeypatch.setattr(torch.nn.Module, "cuda", lambda model: model)
    monkeypatch.setattr(torch.nn.Module, "compile", lambda model: compiled.append(model))
    monkeypatch.setattr(speed_gpu, "SIZE", speed_gpu.SIZE | {"height": 3, "width": 4, "hidden": 4, "head": 4})
    monkeypatch.setattr(speed_gpu, "LARGE", 4)
    monkeypatch.setattr(speed_gpu, "USUAL", 2)
    monkeypatch.setattr(speed_gpu, "EPOCH", 8)

    def ratio(fast, slow, rounds):
        fast(), slow()
        return {"seconds": 2.0, "plain_seconds": 3.0}

    monkeypatch.setattr(speed_gpu, "ratio", ratio)
    monkeypatch.setattr(training, "ratio", ratio)
    ratios = {
        "one by one": 1.5,
        "usual way": (4 / 2) / (2 / 3),
        "not compiled": 1.5,
        "cached / plain": (1 / 2) / (12 / 36 / 3),
    }
    ratios |= {"at once / one": (256 / 2) / (1 / 3)}
    for name, measure in speed_gpu.pairs().items():
        compiled = []
        wanted = next(value for told, value in ratios.items() if name.endswith(told))
        assert measure(1)["ratio"] == pytest.approx(wanted), name
        assert len(compiled) == 4 * (", compiled" in name), name
    rows = [row["pair"] for row in json.loads(SPEED_GPU.read_text())]
    assert rows and set(rows) <= set(speed_gpu.pairs())
    monkeypatch.setattr("sys.argv", ["speed_gpu"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit):
        speed_gpu.main()
    assert "there is no CUDA device" in capsys.readouterr().err


def test_the_plain_way_of_a_deep_sampler_is_timed_for_some_sub_pixels_and_scaled_up(monkeypatch):
    model = PixelCNN(PixelCNNConfig(channels=3, height=4, width=5, layers=1, hidden=3, head=3)).eval()
    calls = []

    def counted(model, images, label=None):
        calls.append(images)
        return plain_logits(model, images, label)

    monkeypatch.setattr(reference, "plain_logits", counted)

    def ratio(fast, slow, rounds):
        fast()
        assert not calls  # cached
        slow()
        return {"seconds": 2.0, "plain_seconds": 3.0, "ratio": 1.5}

    monkeypatch.setattr(speed, "ratio", ratio)
    found = speed.deep_sampling(model, 2, 1, steps=6)
    assert len(calls) == 6 and all(len(images) == 2 for images in calls)
    assert (found["seconds"], found["plain_seconds"], found["ratio"]) == (2, 30, 15)  # 60 sub-pixels, 6 timed
    assert found["plain"] == "6 of 60 sub-pixels timed, scaled up"


def test_the_weights_that_an_image_must_read_counted_by_hand():
    """Of 2x3 pixels, h = 1, no head to speak of: taps here and beside at six pixels, those above in two rows."""
    size = {"height": 2, "width": 3, "layers": 1, "hidden": 1, "head": 1}
    head, first = 2 * 1 + 1 + 1, 2 * 3  # mask A: three beside
    above = 2 * 3 * 7
    assert weights_read(PixelCNN(PixelCNNConfig(**size))) == 6 * (first + head + 2 + 2 + 2) + 2 * (above + 3)
    assert weights_read(RowLSTM(RowLSTMConfig(**size))) == 6 * (first + head + 16 + 2) + 2 * (above + 12)
    diagonal = 6 * (first + head + 8 + 8 + 2) + 2 * (above + 8 + 8)  # from the right a row's features at once
    assert weights_read(DiagonalBiLSTM(DiagonalBiLSTMConfig(**size))) == diagonal
    gated = 6 * (2 * 3 + 1 + 1 + 1 + 1) + 2 * (2 * 21 + 4)  # horizontal 1x7 mask A, out, head; vertical 3x7, across
    assert weights_read(GatedPixelCNN(GatedPixelCNNConfig(**size))) == gated


def test_the_weights_that_training_multiplies_counted_by_hand():
    """Of h = 1 and one channel, without the rows and columns of a kernel that are masked whole."""
    size = {"height": 2, "width": 3, "layers": 1, "hidden": 1, "head": 1}
    head, first = 2 * 1 + 1 + 1, 2 * 4 * 7  # features to one, one to one, one to the logit
    assert weights_used(PixelCNN(PixelCNNConfig(**size))) == first + head + 2 + 6 + 2
    assert weights_used(RowLSTM(RowLSTMConfig(**size))) == first + head + 2 * 4 * 2 + 4 * 3 + 2
    assert weights_used(DiagonalBiLSTM(DiagonalBiLSTMConfig(**size))) == first + head + 2 * 8 + 2 * 8 + 2
    gated = 2 * 21 + 4 + 2 * 4 + 1 + (1 + 1 + 1)  # vertical 3x7, across, horizontal 1x7 up to its middle, out, head
    assert weights_used(GatedPixelCNN(GatedPixelCNNConfig(**size))) == gated


def test_deep_training_times_a_step_of_each_way_and_its_bound(monkeypatch):
    model = GatedPixelCNN(GatedPixelCNNConfig(channels=3, height=4, width=5, layers=2, hidden=3, head=3, levels=256))
    monkeypatch.setattr(speed, "fastest_products", lambda bf16: 1e3)
    found = deep_training(model, 2, 1, alike=False)
    assert found["bound_seconds"] == pytest.approx(3 * weights_used(model) * 2 * 20 / 1e3)
    assert found["of_bound"] == pytest.approx(found["seconds"] / found["bound_seconds"]) and found["images"] == 2
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize(
    "recipe", ["", "[", "[]", "{}", '{"data": {"name": ["x"], "repo_id": "y"}}', '{"data": "mnist"}']
)
def test_a_recipe_that_names_no_data_is_refused_in_one_sentence(recipe, tmp_path):
    PixelClassifier(PixelClassifierConfig(hidden_size=4)).save_pretrained(tmp_path)
    (tmp_path / "recipe.json").write_text(recipe)
    with pytest.raises(ValueError, match="recipe.json names no data set") as error:
        run(accuracy.measure, accuracy.__doc__, [str(tmp_path)])
    assert "\n" not in str(error.value)
