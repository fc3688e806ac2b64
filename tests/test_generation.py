"""What is said of a generator besides its likelihood: bits by place, neighbours, images of other kinds."""

import argparse
import json
import math
import shutil

import pytest
import torch
from asking import random_images
from conftest import build, enliven

from evaluation import bits_per_dim, generation
from evaluation.runner import run
from hub_models import CNN, CNNConfig, PixelCNN, PixelCNNConfig, load
from hub_models.checkpoints import PRETRAINED
from training.data import ImageData, load_split

ARGS = argparse.Namespace(name="x", split="validation", batch_size=2, seed=0)


@pytest.mark.parametrize("classes", [0, 3])
def test_bits_by_place_and_by_colour_are_those_of_the_image(classes):
    model = enliven(build("gated_pixel_cnn", channels=3, classes=classes)).eval()
    data = ImageData(random_images(model, 5), torch.tensor([0, 2, 1, 1, 0]))
    places = generation.bits_by_position(model, data, batch_size=2)
    wanted = -model.log_prob(data.images, data.conditions(model)).mean().item() / math.log(2)
    assert places.shape == model.shape and places.sum().item() == pytest.approx(wanted, rel=1e-12)
    found = {entry["metric"]: entry for entry in bits_per_dim.measure(model, data, ARGS)}
    colours = [found[f"bits_per_dim_{name}"] for name in ("red", "green", "blue")]
    assert [entry["value"] for entry in colours] == pytest.approx(places.mean((1, 2)).tolist(), rel=1e-9)
    assert {entry["unit"] for entry in colours} == {"bits/dim, given the label" if classes else "bits/dim"}
    assert all(entry["interval"][0] < entry["value"] < entry["interval"][1] for entry in colours)


@pytest.mark.parametrize("flip", [False, True])
def test_the_nearest_image_is_found_wherever_it_stands_and_its_distance_is_exact(flip, monkeypatch):
    """Among so many, in so many parts, that torch takes a product; mirrored ones count where they were trained on."""
    monkeypatch.setattr(generation, "CHUNK", 40)
    model = PixelCNN(PixelCNNConfig(channels=3, height=4, width=4, levels=256, layers=1, hidden=3, head=3))
    training = torch.randint(256, (100, 3, 4, 4), dtype=torch.uint8)
    images = training[:60].clone()
    images[0, 0, 0, 0] ^= 16  # one sub-pixel of 48 differs by 16
    images[1] = images[1].flip(-1)
    distances, nearest = generation.neighbours(model, images, training, flip)
    assert distances[0].item() == pytest.approx(16 / 48**0.5, rel=1e-12) and torch.equal(nearest[0], training[0])
    assert distances[2:].tolist() == [0] * 58 and torch.equal(nearest[2:], training[2:60])
    assert (distances[1] == 0) == flip and torch.equal(nearest[1], images[1]) == flip


def test_neighbours_are_sought_among_the_images_that_the_run_saw(mnist, tmp_path):
    folder = tmp_path / "pixelcnn-mnist"
    shutil.copytree(PRETRAINED / folder.name, folder)
    recipe = json.loads((folder / "recipe.json").read_text())
    whole = load_split("mnist", "train").images
    for limit, seen in (None, whole), (32, whole[:32]):
        recipe["data"]["limit"] = limit
        (folder / "recipe.json").write_text(json.dumps(recipe | {"flip": True}))
        data, images, flip = generation.trained_on(str(folder))
        assert (data, flip) == ("mnist", True) and torch.equal(images, seen)


def test_two_levels_are_compared_in_black_and_white():
    model = build("pixel_cnn", channels=1, levels=2)
    seen = torch.zeros(1, *model.shape, dtype=torch.uint8)
    distances, nearest = generation.neighbours(model, seen, seen + 90, False)  # below its threshold of 99
    assert distances.item() == 0 and torch.equal(nearest, seen)


def test_images_of_another_kind_are_put_in_grey_into_the_datas_shape():
    images = torch.randint(256, (2, 1, 28, 28), dtype=torch.uint8)
    framed = generation.in_grey(images, (3, 32, 32))
    assert torch.equal(framed[:, :, 2:30, 2:30], images.expand(-1, 3, -1, -1))
    assert not framed[:, :, :2].any() and not framed[..., 30:].any() and framed.shape == (2, 3, 32, 32)
    assert torch.equal(generation.in_grey(images, (1, 28, 28)), images)
    assert torch.equal(generation.in_grey(images, (1, 4, 10)), images[:, :, 12:16, 9:19])
    assert torch.equal(generation.in_grey(images, (1, 5, 28)), images[:, :, 12:17])
    colours = torch.tensor([10, 20, 60], dtype=torch.uint8).view(1, 3, 1, 1)
    assert generation.in_grey(colours, (1, 1, 1)).item() == 30


def test_other_kinds_without_their_data_are_left_out_and_that_is_said(monkeypatch, caplog):
    def absent(*_):
        raise FileNotFoundError("not in the cache")

    monkeypatch.setattr(generation, "load_split", absent)
    data = ImageData(torch.zeros(3, 3, 8, 8, dtype=torch.uint8), torch.zeros(3, dtype=torch.int64))
    found = generation.other_images(data, "cifar10", seed=0)
    assert list(found) == ["noise", "flat colour"] and "MNIST in grey is left out: not in the cache" in caplog.text
    assert found["noise"].unique().numel() > 100
    flat = found["flat colour"]
    assert (flat == flat[:, :, :1, :1]).all() and flat.unique().numel() > 3


def test_no_generator_and_no_training_split():
    with pytest.raises(ValueError, match="x generates no images"):
        generation.measure(CNN(CNNConfig(num_layers=1, filters=1)), None, ARGS)
    args = argparse.Namespace(**vars(ARGS) | {"split": "train"})
    with pytest.raises(ValueError, match="the nearest is each itself: give --split validation or test"):
        generation.measure(build("pixel_cnn"), None, args)


def test_all_of_it_lies_beside_the_checkpoint_and_on_its_card(mnist, cifar10, tmp_path, monkeypatch):
    monkeypatch.setattr(generation, "OTHERS", 10)
    monkeypatch.setattr(generation, "SAMPLES", 4)
    folder = tmp_path / "pixelcnn-mnist"
    shutil.copytree(PRETRAINED / folder.name, folder)
    argv = [str(folder), "--split", "validation", "--limit", "20"]
    (result,) = run(generation.measure, generation.__doc__, argv, generation.report)
    assert result["n"] == 20 and result["dataset"] == "ylecun/mnist" and result["value"] > 5
    data = load_split("mnist", "validation").first(20)
    bits = -load(str(folder)).log_prob(data.images).mean().item() / 784 / math.log(2)
    report = json.loads((folder / "report-validation.json").read_text())
    assert report["bits_per_dim"] == pytest.approx(bits, rel=1e-5)
    assert torch.tensor(report["bits_by_position"]).mean().item() == pytest.approx(bits, abs=1e-4)
    others = {row["kind"]: row["value"] for row in report["others"]}
    assert others["noise"] > 1 > others["CIFAR-10 in grey"] > bits and "flat colour" in others
    assert report["samples"]["n"] == 4 and report["held_out"]["value"] == result["value"]
    card = (folder / "README.md").read_text()
    for name in ("report-validation.webp", "neighbours-validation.webp"):
        assert (folder / name).stat().st_size > 300 and f"({name})" in card
    assert f"| CIFAR-10 in grey | {others['CIFAR-10 in grey']:.3f} |" in card and "confusion" not in card
    assert f"| validation images | {result['value']:.1f} | " in card and "| samples | " in card
