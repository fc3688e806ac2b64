"""The gated PixelCNN: no blind spot, and the class."""

import argparse
import contextlib
import dataclasses
import json

import numpy as np
import pytest
import torch
from asking import random_images
from conftest import build, enliven
from fields import sees
from PIL import Image

from evaluation import bits_per_dim, inpainting
from evaluation.benchmarks.reference import plain_sampling
from hub_models import GatedPixelCNN, GatedPixelCNNConfig
from training.data import ImageData
from training.figures.pictures import draw_generated, draw_stage, draw_stages

CLASSES = 3


@pytest.fixture
def conditional():
    return enliven(build("gated_pixel_cnn", classes=CLASSES, levels=2, head=24)).eval()


def test_there_is_no_blind_spot():
    """Each layer widens what is seen by one pixel on all open sides, until it is all."""
    for layers in (1, 2, 3, 4):
        model = build("gated_pixel_cnn", channels=1, height=5, width=8, layers=layers)
        seen = sees(model).view(5, 8, 5, 8)
        y, x = torch.arange(5), torch.arange(8)
        up, right = y[:, None] - y, x - x[:, None]  # [own, other]
        above = ((up > 0) & (up < 3 + layers))[:, None, :, None] & (right.abs() < 3 + layers)[None, :, None, :]
        beside = (up == 0)[:, None, :, None] & ((right < 0) & (right > -3 - layers))[None, :, None, :]
        assert torch.equal(seen, above | beside)
    wide = build("gated_pixel_cnn", channels=1, height=5, width=8, layers=5)
    assert torch.equal(sees(wide), torch.ones(40, 40, dtype=torch.bool).tril(-1))


def test_measured_by_gradient_on_a_wider_image():
    model = enliven(build("gated_pixel_cnn", channels=1, height=5, width=8, layers=2, hidden=8, head=12)).eval()
    pixels = model.scale(model.quantise(random_images(model, 20))).requires_grad_()
    out = model.head(model.features(pixels, None))[:, 0].flatten(1).sum(0)
    rows = [torch.autograd.grad(one, pixels, retain_graph=True)[0].abs().sum((0, 1)).flatten() > 0 for one in out]
    assert torch.equal(torch.stack(rows), sees(model))


def test_each_class_has_a_distribution_of_its_own_from_the_first_sub_pixel_on(conditional):
    images = random_images(conditional, 1).repeat(CLASSES, 1, 1, 1)
    logits = conditional.logits(images, torch.arange(CLASSES))
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert (logits[a] != logits[b]).any(-1).all()


def test_what_is_asked_with_a_class_is_answered_for_it(conditional):
    images, label = random_images(conditional, 3), torch.tensor([2, 0, 1])
    together = conditional.log_prob(images, label)
    alone = [conditional.log_prob(i[None], k[None]).item() for i, k in zip(images, label, strict=True)]
    assert together.tolist() == pytest.approx(alone)
    out = conditional(images, labels=label)
    assert out["loss"].item() == pytest.approx(-together.sum().item() / images.numel())
    known = torch.ones(1, 1, 3, 4, dtype=torch.bool)
    known[..., 1, 1] = False
    completed = conditional.complete(images, known.logical_not(), 2, label=label, temperature=0)
    for image, k, both in zip(images, label, completed, strict=True):
        one = conditional.complete(image[None], known.logical_not(), label=k[None], temperature=0)[0]
        assert torch.equal(both, one.expand_as(both))
    for k in range(CLASSES):
        filled, log_p, _ = conditional.most_probable(images[:1], known, label=torch.tensor([k]))
        assert log_p == pytest.approx(conditional.log_prob(filled, torch.tensor([k])).item())


def test_every_class_gets_a_gradient(conditional):
    conditional(random_images(conditional, 6), labels=torch.arange(6) % CLASSES)["loss"].backward()
    for layer in conditional.layers:
        assert (layer.label.weight.grad != 0).all()


def test_cached_and_plain_sampling_of_classes_draw_the_same(conditional):
    label, images = torch.tensor([2, 0, 1, 1]), random_images(conditional, 2)
    known = torch.zeros(1, 1, 3, 4, dtype=torch.bool)
    known[..., :2] = True
    drawn = []
    for way in (contextlib.nullcontext(), plain_sampling(conditional)):
        with way:
            noise = torch.Generator().manual_seed(0)
            drawn.append(conditional.sample(4, label=label, generator=noise))
            drawn[-1] = (drawn[-1], conditional.complete(images, known, 2, label=label[:2], generator=noise))
    assert all(torch.equal(*both) for both in zip(*drawn, strict=True))


@pytest.mark.parametrize(
    "label, said",
    [
        (None, "label is None: give an int64"),
        (1, "label is 1: give"),
        ([0, 1], r"label is \[0, 1\]: give"),
        (torch.tensor([0, 1, 2]), r"label is torch.int64 \(3,\): give an int64 tensor \(2,\) of classes 0 to 2"),
        (torch.tensor([[0], [1]]), r"\(2, 1\)"),
        (torch.tensor([0.0, 1.0]), "float32"),
        (torch.tensor([0, 3]), "label holds 3: give"),
        (torch.tensor([-1, 2]), "label holds -1: give"),
    ],
    ids=str,
)
def test_a_label_that_is_none_of_the_classes_is_refused(conditional, label, said):
    images = random_images(conditional, 2)
    known = torch.zeros(1, 1, 3, 4, dtype=torch.bool)
    for call in (
        lambda: conditional.log_prob(images, label),
        lambda: conditional.sample(2, label=label),
        lambda: conditional.complete(images, known, label=label),
        lambda: conditional(images, labels=label),
        lambda: conditional.complete(images, known, 3, label=label),
    ):
        with pytest.raises(ValueError, match=said) as refused:
            call()
        assert "\n" not in str(refused.value)


def test_a_conditional_one_is_saved_with_its_classes_and_used_as_its_card_says(conditional, tmp_path):
    conditional.save_pretrained(tmp_path)
    loaded = GatedPixelCNN.from_pretrained(tmp_path)
    assert loaded.config == conditional.config and loaded.config.classes == CLASSES
    images, label = random_images(conditional, 3), torch.arange(3)
    torch.testing.assert_close(loaded.log_prob(images, label), conditional.log_prob(images, label), check_dtype=False)
    names = {"torch": torch, "model": loaded}
    exec(loaded.usage, names)
    assert names["completions"].shape == (2, 3, *loaded.shape) and names["nats"].shape == (2,)


def test_one_saved_before_classes_had_names_is_loaded(conditional, tmp_path):
    conditional.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config.pop("names") == []
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert GatedPixelCNN.from_pretrained(tmp_path).config == conditional.config


def test_all_classes_have_a_name_or_none():
    size = {"channels": 1, "height": 4, "width": 4, "levels": 2, "hidden": 2, "head": 2}
    named = GatedPixelCNNConfig(classes=2, names=["cat", "dog"], **size)
    assert named.names == ("cat", "dog") and GatedPixelCNNConfig(classes=2, **size).names == ()
    for names, told in (
        (["cat"], "names tells 1 classes, classes is 2: give as many"),
        (["cat", "cat"], "give each class its own"),
    ):
        with pytest.raises(ValueError, match=told):
            dataclasses.replace(named, names=names)


def test_its_pictures_and_its_likelihood_are_given_the_classes(conditional, tmp_path):
    data = ImageData(random_images(conditional, 6), torch.arange(6) % CLASSES)
    draw_stage(conditional, tmp_path / "a.png")
    conditional.head.last.bias.data += 5
    draw_stage(conditional, tmp_path / "b.png")
    named = [("early", tmp_path / "a.png"), ("late", tmp_path / "b.png")]
    caption = draw_stages(conditional, named, tmp_path / "both.webp")
    assert caption.endswith("of class after class, from the top: early, late.")
    early, late, both = (
        np.asarray(Image.open(tmp_path / name).convert("RGBA")) for name in ("a.png", "b.png", "both.webp")
    )
    assert np.array_equal(both, np.concatenate([early, late])) and (early != late).any()
    assert "five completions" in draw_generated(conditional, data, tmp_path / "samples.webp")
    with Image.open(tmp_path / "samples.webp") as sheet:
        assert sheet.format == "WEBP"
    args = argparse.Namespace(name="x", batch_size=4)
    found = bits_per_dim.measure(conditional, data, args)[1]
    assert found["metric"] == "nats_per_image"
    assert found["value"] == pytest.approx(-conditional.log_prob(data.images, data.labels).mean().item())
    assert found["unit"] == "nats/image, given the label"


def test_inpainting_is_scored_given_the_classes():
    size = {"channels": 1, "levels": 2, "height": 7, "width": 43, "layers": 2}
    model = enliven(build("gated_pixel_cnn", classes=CLASSES, **size)).eval()
    data = ImageData(random_images(model, 2), torch.tensor([2, 0]))
    found = inpainting.measure(model, data, argparse.Namespace(name="x", seed=0))
    truth = next(entry["value"] for entry in found if entry["metric"] == "inpainting_truth_300")
    first = model.sub_pixel_log_prob(data.images, data.labels)[:, 0, 0, 0]
    assert truth * 300 == pytest.approx((first - model.log_prob(data.images, data.labels)).mean().item())


def test_an_unconditional_one_takes_no_label():
    model = build("gated_pixel_cnn")
    with pytest.raises(ValueError, match="GatedPixelCNN is unconditional: leave label out"):
        model.log_prob(random_images(model, 2), torch.tensor([0, 1]))


def test_a_most_probable_filling_has_one_class(conditional):
    image, known = random_images(conditional, 1), torch.ones(1, 1, 3, 4, dtype=torch.bool)
    known[..., 1, 1] = False
    for label in (None, 1, torch.tensor([0, 1]), torch.tensor([CLASSES])):
        with pytest.raises(ValueError, match=r"give an int64 tensor \(1,\) of classes 0 to 2"):
            conditional.most_probable(image, known, label)


@pytest.mark.parametrize("classes", [0, CLASSES])
def test_activations_keep_their_scale_over_depth(classes):
    size = {"height": 16, "width": 16, "layers": 15, "hidden": 32}
    model = build("gated_pixel_cnn", channels=3, levels=256, classes=classes, **size)
    label = torch.arange(4) % classes if classes else None
    with torch.no_grad():
        v = h = model.scale(model.quantise(random_images(model, 4)))
        scales = []
        for layer in model.layers:
            v, h = layer(v, h, label)
            scales.append((v.std().item(), h.std().item()))
    for stack in zip(*scales, strict=True):
        assert max(stack) < 2 * min(stack)
