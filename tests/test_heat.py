"""The heat of a class: its formula, layer and views; the pointing game on real images, and its command."""

import argparse
import itertools

import numpy as np
import pytest
import torch
from asking import random_images
from conftest import build, enliven, from_config
from torch import nn

from evaluation import heat
from evaluation.metrics.heat import edges, grad_cam, grad_cam_plus_plus, layer_cam, pasted, pointing
from evaluation.tables.cifar10 import WAYS
from hub_models import (
    CNN,
    CNNConfig,
    ConvClassifier,
    FastCNNConfig,
    PixelClassifier,
    PixelClassifierConfig,
    load,
)

COUNT = 40  # or all 16 of the samples in tests/data
NETS = ("cifar10-fast", "cnn5x32-cifar10-study")
ARGS = argparse.Namespace(name="net", seed=0, batch_size=COUNT)


@pytest.fixture(params=["cnn", "fast_cnn"])
def looker(request):
    return enliven(build(request.param)).eval()


def hires_cam(model: ConvClassifier, images: torch.Tensor, label: int, layer: str, mean: bool = False) -> torch.Tensor:
    """The formula of arXiv 2011.08891, or with the `mean` of the weights over places that of arXiv 1610.02391."""
    maps = model.feature_maps(images, layer).requires_grad_()
    score = model.head(model.body[model.layers.index(layer) + 1 :](maps))[:, label].sum()
    (weights,) = torch.autograd.grad(score, maps)
    weights = weights.mean((2, 3), keepdim=True).expand_as(maps) if mean else weights
    heat = torch.einsum("bkhw,bkhw->bhw", weights, maps.detach()).relu()
    return nn.functional.interpolate(heat[:, None], images.shape[2:], mode="bilinear")[:, 0]


def scaled(heat: torch.Tensor) -> torch.Tensor:
    return heat / heat.amax((1, 2), keepdim=True).clamp(min=1e-300)


def test_grad_cam_is_the_papers_formula(looker):
    images, layer = random_images(looker, 3), looker.layers[1]
    assert torch.allclose(looker.grad_cam(images, 2, layer), scaled(hires_cam(looker, images, 2, layer)))
    likeliest = looker.predict(images).argmax(-1)
    by_class = torch.stack([looker.grad_cam(images[i : i + 1], int(k))[0] for i, k in enumerate(likeliest)])
    assert torch.allclose(looker.grad_cam(images), by_class)
    assert by_class.min() >= 0 and by_class.max() == 1
    assert torch.equal(looker.grad_cam(images, np.int64(2), layer), looker.grad_cam(images, 2, layer))
    with torch.inference_mode():
        assert torch.equal(looker.grad_cam(images.clone(), 2, layer), looker.grad_cam(images, 2, layer))
    for label in (-1, 3, "cat", 1.0, True):
        with pytest.raises(ValueError, match="label is"):
            looker.grad_cam(images, label)
    for layer in (0, "", "last"):
        with pytest.raises(ValueError, match="layer is"):
            looker.grad_cam(images, layer=layer)
    for views in (0, 3, 2.0, True, "6"):
        with pytest.raises(ValueError, match="views is"):
            looker.grad_cam(images, views=views)


def test_behind_a_mean_over_places_the_heat_is_that_of_grad_cam():
    """Of the last layer of the plain net, as the paper of HiResCAM proves."""
    model = enliven(build("cnn")).eval()
    images, layer = random_images(model, 3), model.layers[-1]
    wanted = [scaled(hires_cam(model, images, label, layer, mean=True)) for label in range(3)]
    assert all(torch.allclose(model.grad_cam(images, label, layer), wanted[label]) for label in range(3))
    assert torch.cat(wanted).any()


def test_the_heat_of_each_view_is_moved_back_before_the_mean(looker):
    images, layer = random_images(looker, 3), looker.layers[1]

    def heat(by: int, mirrored: bool) -> torch.Tensor:
        """By pixels: what the view has at (y + by, x + by) belongs to (y, x), or at the border to what is nearest."""
        height, width = images.shape[2:]
        moved, back = torch.empty_like(images), torch.empty(len(images), height, width, dtype=torch.float64)
        inside = [[height - 1 - abs(height - 1 - abs(y - by)) for y in range(height)]]
        inside += [[width - 1 - abs(width - 1 - abs(x - by)) for x in range(width)]]
        for y, x in itertools.product(range(height), range(width)):
            moved[:, :, y, x] = images[:, :, inside[0][y], inside[1][x]]
        found = hires_cam(looker, moved.flip(3) if mirrored else moved, 1, layer)
        found = found.flip(2) if mirrored else found
        for y, x in itertools.product(range(height), range(width)):
            back[:, y, x] = found[:, min(max(y + by, 0), height - 1), min(max(x + by, 0), width - 1)]
        return back

    both = {by: (heat(by, False) + heat(by, True)) / 2 for by in (-1, 0, 1)}
    six = both[0] / 2 + both[-1] / 4 + both[1] / 4
    assert torch.allclose(looker.grad_cam(images, 1, layer, views=2), scaled(both[0]))
    assert torch.allclose(looker.grad_cam(images, 1, layer, views=6), scaled(six))
    likeliest = looker.predict(images, 6).argmax(-1)
    by_class = torch.cat([looker.grad_cam(images[i : i + 1], int(k), views=6) for i, k in enumerate(likeliest)])
    assert torch.allclose(looker.grad_cam(images, views=6), by_class)


@pytest.mark.parametrize(
    ("config", "layer"),
    [
        (FastCNNConfig(widths=(4, 6, 8)), "group0b"),  # 15x15; 7x7 and 3x3 follow
        (CNNConfig(filters=4), "conv4"),  # 8x8
        (CNNConfig(filters=4, height=6, width=9), "conv0"),  # none is 8x8
    ],
)
def test_without_a_layer_the_last_of_8x8_maps_is_taken(config, layer):
    model = from_config(config).eval()
    images = random_images(model, 2)
    assert model.heat_layer == layer
    assert torch.equal(model.grad_cam(images, 1), model.grad_cam(images, 1, layer))
    assert not torch.equal(model.grad_cam(images, 1), model.grad_cam(images, 1, model.layers[1]))


def test_what_is_loaded_in_inference_mode_can_be_looked_into(looker, tmp_path):
    looker.save_pretrained(tmp_path)
    images = random_images(looker, 2)
    with torch.inference_mode():
        loaded = load(tmp_path)
        assert torch.equal(loaded.grad_cam(images), looker.grad_cam(images))


def test_grad_cam_finds_the_only_place_that_speaks_for_the_class():
    """A net that adds up redness: one red square, and the heat lies on it."""
    model = CNN(CNNConfig(num_layers=1, filters=1, mean=(0.0, 0, 0), std=(1.0, 1, 1))).eval()
    with torch.no_grad():
        model.body.conv0[0].weight.zero_()[0, 0, 1, 1] = 1
        model.head[3].weight.zero_()[3] = 1
    image = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    image[:, 0, 4:10, 20:28] = 255
    heat = model.grad_cam(image, 3)[0]
    assert heat[4:10, 20:28].min() == 1 and heat.sum() == 48
    assert not model.grad_cam(image, 2).any()  # nothing speaks for it


def test_the_heat_of_narrow_weights_is_float32(looker):
    warm = looker.bfloat16().grad_cam(random_images(looker, 2), 1, views=6)
    assert warm.dtype == torch.float32 and {*warm.amax((1, 2)).tolist()} <= {0, 1}


# The pointing game.


@pytest.fixture(scope="module", params=NETS)
def measured(request, cifar10) -> dict[str, float]:
    """Every figure of the command on real validation images, by metric."""
    torch.manual_seed(ARGS.seed)
    return {e["metric"]: e["value"] for e in heat.measure(load(request.param), cifar10.first(COUNT), ARGS)}


def test_the_heat_lies_on_the_class_it_is_asked_for(measured):
    assert measured["heat_share"] >= 50 and measured["heat_peak"] >= 60
    assert measured["heat_share_other_class"] <= 25 and measured["heat_peak_other_class"] <= 25


def test_random_weights_are_near_chance(measured):
    assert 15 <= measured["heat_share_random_weights"] <= 38
    assert measured["heat_share"] - measured["heat_share_random_weights"] >= 20


def test_the_table_names_every_way_that_is_measured(measured):
    assert set(measured) == {f"heat_{figure}{way}" for figure in ("share", "peak") for way in WAYS}


def test_each_image_is_shrunk_into_a_quadrant_of_one_of_another_class():
    """Image k is of one colour, which tells where each pixel comes from."""
    labels = torch.arange(60) % 3
    images = torch.arange(60, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 8, 12)
    found, around, inside = pasted(images, labels, seed=0)
    corners = set()
    for k in range(60):
        (y, x), *_ = inside[k].nonzero().tolist()
        corners.add((y, x))
        assert inside[k, y : y + 4, x : x + 6].all() and inside[k].sum() == 24
        assert (found[k][:, inside[k]] == k).all()
        (other,) = found[k][:, ~inside[k]].unique().tolist()
        assert labels[other] == around[k] != labels[k]
    assert corners == {(0, 0), (0, 6), (4, 0), (4, 6)}
    again, other = pasted(images, labels, seed=0)[0], pasted(images, labels, seed=1)[0]
    assert torch.equal(found, again) and not torch.equal(found, other)
    pixels = torch.randint(256, (3, 3, 8, 8), dtype=torch.uint8)
    found, _, inside = pasted(pixels, torch.arange(3), seed=0)
    mean = pixels.double().view(3, 3, 4, 2, 4, 2).mean((3, 5)).round()
    assert torch.equal(found.transpose(0, 1)[:, inside].view(3, 3, 4, 4).transpose(0, 1).double(), mean)
    with pytest.raises(ValueError, match="all images are of one class: give a larger --limit"):
        pasted(pixels, torch.zeros(3, dtype=torch.long), seed=0)


def test_share_and_peak_are_those_inside():
    warm = torch.tensor([[[3.0, 1], [0, 0]], [[1, 3], [0, 4]], [[0, 0], [0, 0]]])
    inside = torch.tensor([[True, False], [False, False]]).expand(3, 2, 2)
    share, peak = pointing(warm, inside)
    assert share.tolist() == [0.75, 0.125, 0] and peak.tolist() == [True, False, False]
    assert edges(torch.tensor([[[[0, 2], [1, 1]]]], dtype=torch.uint8)).tolist() == [[[5, 1], [0, 0]]]


def test_the_other_ways_to_a_heat_are_their_papers_formulas():
    maps, gradient = torch.rand(2, 3, 4, 5, dtype=torch.float64), torch.randn(2, 3, 4, 5, dtype=torch.float64)
    wanted = {weigh: torch.zeros(2, 4, 5, dtype=torch.float64) for weigh in (grad_cam, grad_cam_plus_plus, layer_cam)}
    for b in range(2):
        for k in range(3):
            g, a = gradient[b, k], maps[b, k]
            alpha = g**2 / (2 * g**2 + a.sum() * g**3)
            wanted[grad_cam][b] += g.sum() / 20 * a
            wanted[grad_cam_plus_plus][b] += (alpha * g.clamp(min=0)).sum() * a
            wanted[layer_cam][b] += g.clamp(min=0) * a
    for weigh, heat_of in wanted.items():
        assert torch.allclose(weigh(maps, gradient), heat_of.clamp(min=0)), weigh.__name__


def test_the_command_refuses_another_kind_of_model(mnist):
    with pytest.raises(ValueError, match=r"no convolutional classifier: measure it with evaluation\.accuracy"):
        heat.measure(PixelClassifier(PixelClassifierConfig(hidden_size=4)), mnist, ARGS)
