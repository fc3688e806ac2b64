"""What is said of a generator besides its likelihood: bits by channel and place, neighbours, images of other kinds."""

import argparse
import json
import math
import shutil

import pytest
import torch
from conftest import build, enliven, random_images

from evaluation import generation
from evaluation.runner import run
from hub_models import CNN, CNNConfig, load
from hub_models.base import PRETRAINED
from training.data import ImageData, load_split


@pytest.mark.parametrize("classes", [0, 3])
def test_bits_by_channel_and_by_place_sum_to_those_of_the_image(classes):
    model = enliven(build("gated_pixel_cnn", classes=classes)).eval()
    data = ImageData(random_images(model, 5), torch.tensor([0, 2, 1, 1, 0]))
    channels, places = generation.bits(model, data, batch_size=2)
    wanted = -model.log_prob(data.images, data.conditions(model)) / math.log(2)
    assert channels.shape == (5, model.shape[0]) and places.shape == model.shape
    assert torch.allclose(channels.sum(1), wanted, rtol=1e-12)
    assert places.sum().item() == pytest.approx(wanted.mean().item(), rel=1e-12)


def test_the_nearest_image_is_found_wherever_it_stands(monkeypatch):
    training = torch.randint(256, (11, 3, 4, 4), dtype=torch.uint8)
    images = training[[10, 3]].clone()
    images[1, 0, 0, 0] ^= 16  # one sub-pixel of 48 differs by 16
    distances, places = generation.neighbours(images, training)
    assert places.tolist() == [10, 3] and distances.tolist() == pytest.approx([0, 16 / 48**0.5], abs=1e-2)


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28), (1, 5, 9), (3, 1, 1)])
def test_images_of_another_kind_are_put_in_grey_into_the_datas_shape(shape):
    images = torch.arange(28 * 28).remainder(256).to(torch.uint8).view(1, 1, 28, 28)
    found = generation.in_grey(images.repeat(2, 1, 1, 1), shape)
    assert found.shape == (2, *shape) and found.dtype == torch.uint8
    assert (found == found[:, :1]).all()
    top, left = max(28 - shape[1], 0) - max(28 - shape[1], 0) // 2, max(28 - shape[2], 0) - max(28 - shape[2], 0) // 2
    assert abs(int(found[0, 0].max()) - int(images[0, 0, top:, left:].max())) <= 255
    if shape == (3, 32, 32):
        assert torch.equal(found[0, 0, 2:30, 2:30], images[0, 0]) and not found[:, :, :2].any()
    if shape == (1, 28, 28):
        assert torch.equal(found[:1], images)
    colours = torch.tensor([10, 20, 60], dtype=torch.uint8).view(1, 3, 1, 1)
    assert generation.in_grey(colours, (1, 1, 1)).item() == 30


def test_other_kinds_without_their_data_are_left_out_and_that_is_said(monkeypatch, caplog):
    def absent(*_):
        raise FileNotFoundError("not in the cache")

    monkeypatch.setattr(generation, "load_split", absent)
    data = ImageData(torch.zeros(3, 3, 8, 8, dtype=torch.uint8), torch.zeros(3, dtype=torch.int64))
    found = generation.other_images(data, "cifar10", seed=0)
    assert list(found) == ["noise", "flat"] and "mnist is left out: not in the cache" in caplog.text
    assert found["noise"].unique().numel() > 100
    assert (found["flat"] == found["flat"][:, :, :1, :1]).all() and found["flat"].unique().numel() > 3


def test_no_generator_and_no_training_split():
    args = argparse.Namespace(name="x", split="validation", batch_size=4, seed=0)
    with pytest.raises(ValueError, match="x generates no images"):
        generation.measure(CNN(CNNConfig(num_layers=1, filters=1)), None, args)
    args.split = "train"
    with pytest.raises(ValueError, match="the nearest is each itself: give --split validation or test"):
        generation.measure(build("pixel_cnn"), None, args)


def test_all_of_it_lies_beside_the_checkpoint_and_on_its_card(mnist, cifar10, tmp_path, monkeypatch):
    monkeypatch.setattr(generation, "OTHERS", 10)
    monkeypatch.setattr(generation, "SAMPLES", 4)
    folder = tmp_path / "pixelcnn-mnist"
    shutil.copytree(PRETRAINED / folder.name, folder)
    argv = [str(folder), "--split", "validation", "--limit", "20"]
    results = {r["metric"]: r for r in run(generation.measure, generation.__doc__, argv, generation.report)}
    data = load_split("mnist", "validation").first(20)
    nats = -load(str(folder)).log_prob(data.images)
    report = json.loads((folder / "report-validation.json").read_text())
    mean = torch.tensor(report["bits_by_position"]).mean().item()
    assert mean == pytest.approx(nats.mean().item() / 784 / math.log(2), abs=1e-4)
    assert set(results) == {
        *(f"bits_per_dim_of_{kind}" for kind in ("noise", "flat", "cifar10")),
        *(f"nearest_training_image_{whose}" for whose in ("samples", "held_out")),
    }
    assert results["bits_per_dim_of_noise"]["value"] > 1 > results["bits_per_dim_of_cifar10"]["value"] > mean
    assert results["nearest_training_image_samples"]["n"] == 4
    assert results["nearest_training_image_held_out"]["value"] > 5
    card = (folder / "README.md").read_text()
    for name in ("report-validation.png", "neighbours-validation.png"):
        assert (folder / name).stat().st_size > 500 and f"({name})" in card
    assert "confusion" not in card


def test_a_conditional_model_of_colours_is_measured_given_the_labels(monkeypatch):
    monkeypatch.setattr(generation, "SAMPLES", 3)
    model = build("gated_pixel_cnn", channels=3, classes=3).eval()
    data = ImageData(random_images(model, 6), torch.tensor([0, 2, 1, 1, 0, 2]))
    monkeypatch.setattr(generation, "training_images", lambda *_: generation.as_seen(model, data.images[3:]))
    monkeypatch.setattr(generation, "read_source", lambda _: {"name": "cifar10"})
    monkeypatch.setattr(generation, "locate", lambda _: "x")
    monkeypatch.setattr(generation, "other_images", lambda *_: {"noise": data.images[:2]})
    args = argparse.Namespace(name="x", split="validation", batch_size=4, seed=0)
    found = {entry["metric"]: entry for entry in generation.measure(model, data, args)}
    colours = [found[f"bits_per_dim_{name}"] for name in ("red", "green", "blue")]
    nats = -model.log_prob(data.images, data.labels)
    assert sum(entry["value"] for entry in colours) / 3 == pytest.approx(
        nats.mean().item() / 36 / math.log(2), rel=1e-5
    )
    assert all(entry["unit"] == "bits/dim, given the label" for entry in [*colours, found["bits_per_dim_of_noise"]])
    assert found["nearest_training_image_held_out"]["interval"][0] < found["nearest_training_image_held_out"]["value"]
