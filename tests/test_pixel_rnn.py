"""The PixelRNN family: sizes counted from the paper, skewing, what each layer sees, gradients, scale, bits."""

import math

import numpy as np
import pytest
import torch
from asking import random_images
from conftest import build, enliven
from fields import residual, sees, sub_pixels

from evaluation.benchmarks.reference import plain_diagonal_lstm, plain_loss, plain_row_lstm, skew, unskew
from hub_models import MODELS, DiagonalBiLSTM
from hub_models.causal_conv import CausalConvModel
from hub_models.layers.masked import MaskedConv2d
from hub_models.layers.scan import Reordered, Scan, diagonals, rows
from hub_models.layers.spatial import DiagonalLayer, PixelBlock, RowLayer

FAMILY = {"pixel_cnn": PixelBlock, "row_lstm": RowLayer, "diagonal_bilstm": DiagonalLayer}
MASKED = [name for name, model in MODELS.items() if issubclass(model, CausalConvModel)]
CIFAR10 = {"channels": 3, "height": 32, "width": 32, "levels": 256, "hidden": 128, "head": 1024, "skip": False}


def counted(name: str, layers: int, h: int, head: int, channels: int, outputs: int) -> int:
    """Weights and biases from the paper's text: a masked kernel counts whole."""

    def conv(inputs, outputs, taps=1):
        return inputs * outputs * taps + outputs

    layer = {
        "pixel_cnn": conv(2 * h, h) + conv(h, h, 9) + conv(h, 2 * h),
        "row_lstm": conv(2 * h, 4 * h, 3) + h * 4 * h * 3 + conv(h, 2 * h),
        "diagonal_bilstm": 2 * (conv(2 * h, 4 * h) + h * 4 * h * 2) + conv(h, 2 * h),
    }[name]
    ends = conv(channels, 2 * h, 49) + conv(2 * h, head) + conv(head, head) + conv(head, channels * outputs)
    return ends + layers * layer


@pytest.mark.parametrize(
    "name, layers, wanted, millions",
    [
        ("pixel_cnn", 15, 5_340_416, 5.34),
        ("row_lstm", 12, 9_618_176, 9.6),
        ("diagonal_bilstm", 12, 8_837_888, 8.8),
    ],
)
def test_the_papers_sizes_for_cifar10(name, layers, wanted, millions):
    model = build(name, layers=layers, **CIFAR10)
    assert sum(p.numel() for p in model.parameters()) == wanted == counted(name, layers, 128, 1024, 3, 256)
    assert wanted / 1e6 == pytest.approx(millions, abs=0.05)


def test_the_default_is_the_papers_diagonal_bilstm_for_mnist():
    config = DiagonalBiLSTM.config_class()
    assert (config.layers, config.hidden, config.head) == (7, 16, 32)
    assert (config.channels, config.height, config.width) == (1, 28, 28)
    assert (config.levels, config.threshold) == (2, 127)
    size = sum(p.numel() for p in DiagonalBiLSTM(config).parameters())
    assert size == counted("diagonal_bilstm", 7, 16, 32, 1, 1) == 65_793


# Skewing.


def test_skewing_moves_each_row_one_further_to_the_right():
    image = torch.tensor([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
    wanted = [[1, 2, 3, 0, 0], [0, 4, 5, 6, 0], [0, 0, 7, 8, 9]]
    assert skew(image).tolist() == wanted
    assert torch.equal(unskew(torch.tensor(wanted)), image)
    mirrored = [[3, 2, 1, 0, 0], [0, 6, 5, 4, 0], [0, 0, 9, 8, 7]]
    assert skew(image.flip(-1)).tolist() == mirrored and torch.equal(unskew(skew(image.flip(-1))).flip(-1), image)


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (4, 1), (2, 5), (5, 2)], ids=str)
def test_skewing_and_back_is_nothing_at_any_size(size):
    image = torch.randn(2, 3, *size)
    skewed = skew(image)
    assert skewed.shape == (2, 3, size[0], sum(size) - 1) and torch.equal(unskew(skewed), image)
    for y, x in np.ndindex(*size):
        assert torch.equal(skewed[..., y, x + y], image[..., y, x])
    assert skewed.count_nonzero() == image.count_nonzero()


# What each sees.


def seen_by(net, inputs: int, height: int, width: int, groups_in: int = 1, groups_out: int = 1) -> np.ndarray:
    """Measured by gradient: the (groups, H, W, T) of `fields`, for a net (1, inputs, H, W) -> (1, outputs, H, W)."""
    x = torch.randn(1, inputs, height, width, dtype=torch.float64, requires_grad=True)
    out = net(x)
    seen = np.zeros((groups_out, height, width, groups_in * height * width), dtype=bool)
    for g, y, x_ in np.ndindex(groups_out, height, width):
        group = out[0, :, y, x_].chunk(groups_out)[g].sum()
        (gradient,) = torch.autograd.grad(group, x, retain_graph=True)
        by_group = gradient[0].unflatten(0, (groups_in, -1)).abs().sum(1)  # (groups, H, W)
        seen[g, y, x_] = (by_group > 0).permute(1, 2, 0).flatten().numpy()
    return seen


def layer_of(name: str, hidden: int, channels: int):
    torch.manual_seed(0)
    return enliven(FAMILY[name](hidden, channels, 2))


@pytest.mark.parametrize("size", [(1, 3), (3, 1), (4, 5), (5, 4)], ids=str)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", FAMILY)
def test_a_layer_sees_exactly_what_the_papers_figure_shows(name, channels, size):
    """Each group of features of each pixel, all that it sees and nothing else."""
    layer = layer_of(name, 3 * channels * (3 if name == "pixel_cnn" else 1), channels)
    inputs = 2 * layer.up.weight.shape[1] if name != "pixel_cnn" else layer.narrow.weight.shape[1]
    measured = seen_by(layer, inputs, *size, channels, channels)
    assert np.array_equal(measured, residual(name, sub_pixels(channels, *size)))


@pytest.mark.parametrize("direction", [0, 1])
def test_each_direction_of_the_bilstm_sees_its_side_of_what_is_above(direction):
    """From the left: rows up to its own, columns up to its own; from the right: columns from its own on."""
    height, width = 4, 5
    layer = layer_of("diagonal_bilstm", 3, 1)
    measured = seen_by(lambda x: layer.scan(x)[0][direction], 6, height, width)[0].reshape(height, width, height, width)
    y, x = np.arange(height), np.arange(width)
    above = (y[None, :] <= y[:, None])[:, None, :, None]
    beside = (x[None, :] <= x[:, None] if direction == 0 else x[None, :] >= x[:, None])[None, :, None, :]
    assert np.array_equal(measured, above & beside)


def test_both_directions_together_see_all_that_came_before():
    height, width = 4, 5
    measured = seen_by(layer_of("diagonal_bilstm", 3, 1), 6, height, width)[0].reshape(height * width, -1)
    assert np.array_equal(measured, np.tril(np.ones_like(measured)))  # the features of its own pixel too: mask B


def test_the_row_lstm_sees_a_triangle_above():
    """One layer, one channel: of the row k above the pixels at most k to the right, and to the left one more (1x3)."""
    height, width = 4, 9
    measured = seen_by(layer_of("row_lstm", 3, 1), 6, height, width)[0].reshape(height, width, height, width)
    for y, x in np.ndindex(height, width):
        wanted = np.zeros((height, width), dtype=bool)
        for row in range(y + 1):
            wanted[row, max(x - (y - row) - 1, 0) : x + (y - row) + 1] = True
        assert np.array_equal(measured[y, x], wanted)


def test_the_blind_spot_of_the_pixel_cnn_in_closed_form():
    """Of the row k above: 3 + L columns to the right at most, less where the 3x3 layers cannot all go up."""
    layers, height, width = 2, 7, 14
    model = build("pixel_cnn", channels=1, height=height, width=width, layers=layers)
    seen = sees(model)[-width].view(height, width)  # of the first pixel of the last row
    for k in range(1, height):
        # The first layer goes up by at most 3 rows and aside by 3; each 3x3 goes up by one row and aside by one.
        most = (
            max((3 if k - ups >= 1 else -1) + ups for ups in range(min(layers, k) + 1) if k - ups <= 3)
            if k <= 5
            else -1
        )
        assert seen[height - 1 - k].tolist() == [x <= most for x in range(width)]


@pytest.mark.parametrize("name", FAMILY)
def test_measured_fields_of_whole_nets_on_a_wider_image(name):
    """By gradient on 4x8, where the blind spot, the triangle and the BiLSTM's unseen last pixel show."""
    model = enliven(build(name, channels=1, height=4, width=8, layers=2, hidden=12, head=12)).eval()
    pixels = model.scale(model.quantise(random_images(model, 20))).requires_grad_()
    out = model.head(model.features(pixels, None))[:, 0].flatten(1).sum(0)  # (T,)
    rows = [torch.autograd.grad(one, pixels, retain_graph=True)[0].abs().sum((0, 1)).flatten() > 0 for one in out]
    wanted = sees(model)
    assert torch.equal(torch.stack(rows), wanted)
    everything = torch.ones_like(wanted).tril(-1)
    missed = [(i // 8, i % 8, j // 8, j % 8) for i, j in (everything & ~wanted).nonzero().tolist()]
    if name == "diagonal_bilstm":  # only the last pixel of the row above, from more than three pixels to its left
        assert missed == [(y, x, y - 1, 7) for y in range(1, 4) for x in range(4)]
    else:
        assert len(missed) > 12


# The scan.


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (4, 1), (3, 3), (2, 5), (5, 2)], ids=str)
@pytest.mark.parametrize("name, plain", [("row_lstm", plain_row_lstm), ("diagonal_bilstm", plain_diagonal_lstm)])
def test_the_scan_and_its_gradients_are_those_of_the_plain_lstm(name, plain, size):
    layer, images_ = layer_of(name, 3, 1), torch.randn(2, 6, *size, dtype=torch.float64, requires_grad=True)
    fast, slow = layer.scan(images_)[0], plain(layer, images_)
    weight = torch.randn(slow.shape, dtype=torch.float64)
    assert torch.allclose(fast, slow, rtol=0, atol=1e-12)
    wanted = [images_, layer.input.weight, layer.input.bias, layer.state.weight]
    gradients = [torch.autograd.grad((states * weight).sum(), wanted, allow_unused=True) for states in (fast, slow)]
    for ours, theirs in zip(*gradients, strict=True):
        assert torch.allclose(ours, theirs, rtol=0, atol=1e-10)


@pytest.mark.parametrize("channels, levels", [(1, 2), (3, 5)])
@pytest.mark.parametrize("name", MASKED)
def test_the_loss_and_its_gradients_are_those_of_the_usual_way(name, channels, levels):
    """And after it the model is ours again, and the same with activation checkpointing."""
    model = enliven(build(name, channels=channels, levels=levels, height=5, width=7)).double().train()
    images_ = random_images(model, 3)
    ways = []
    for step in range(3):
        if step == 2:
            model.activation_checkpointing_enable()
        loss = plain_loss(model, images_) if step == 1 else model(images_)["loss"]
        loss.backward()
        ways.append([loss.detach(), *(parameter.grad for parameter in model.parameters())])
        model.zero_grad()
    for ours, plain, again in zip(*ways, strict=True):
        assert torch.allclose(ours, plain, rtol=1e-9, atol=1e-12) and torch.equal(ours, again)
    assert not any("forward" in vars(part) or "scan" in vars(part) for part in model.modules())


def test_activation_checkpointing_keeps_fewer_activations():
    """What autograd keeps of a deep net, in bytes."""

    def kept(model) -> int:
        seen = {}
        with torch.autograd.graph.saved_tensors_hooks(lambda x: seen.setdefault(x.data_ptr(), x), lambda x: x):
            model(random_images(model, 4))
        return sum(x.numel() * x.element_size() for x in seen.values())

    model = build("pixel_cnn", channels=3, levels=2, height=16, width=16, layers=12, hidden=24).train()
    plain = kept(model)
    model.activation_checkpointing_enable()
    assert kept(model) < 0.7 * plain


def test_activation_checkpointing_takes_no_options():
    with pytest.raises(ValueError, match="activation checkpointing has no options here"):
        build("pixel_cnn").activation_checkpointing_enable(every_n_layers=2)


@pytest.mark.parametrize("steps", [rows, diagonals])
def test_the_scans_backward_pass_is_the_derivative_of_its_forward_pass(steps):
    torch.manual_seed(0)
    directions, taps = (1, 3) if steps is rows else (2, 2)
    gates = torch.randn(directions, 12, 8, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(taps, directions, 8, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda *given: Scan.apply(*given, steps(2, 3, 2))[0], (gates, weight))


@pytest.mark.parametrize("copies", [1, 2])
def test_pixels_are_put_in_order_and_their_gradients_back(copies):
    torch.manual_seed(0)
    orders = torch.stack([torch.randperm(6), torch.randperm(6)])
    pixels = torch.randn(copies, 6, 4, dtype=torch.float64, requires_grad=True)
    wanted = torch.stack([pixels[0, orders[0]], pixels[-1, orders[1]]])
    assert torch.equal(Reordered.apply(pixels, orders), wanted)
    assert torch.autograd.gradcheck(lambda given: Reordered.apply(given, orders), pixels)


# Gradients and scale.


@pytest.mark.parametrize("channels, levels", [(1, 2), (3, 2), (3, 5)])
@pytest.mark.parametrize("name", MASKED)
def test_every_unmasked_tap_gets_a_gradient_and_no_masked_one(name, channels, levels):
    model = build(name, channels=channels, levels=levels, height=9, width=9, hidden=8, head=9)
    with torch.no_grad():  # all weights positive: no ReLU is off for all images
        for parameter in model.double().parameters():
            parameter.copy_(parameter.abs() / 2 + 0.01)
    model(random_images(model, 64))["loss"].backward()
    masks = {f"{path}.weight": m.mask for path, m in model.named_modules() if isinstance(m, MaskedConv2d)}
    assert masks
    for path, parameter in model.named_parameters():
        live = masks.get(path, torch.ones_like(parameter, dtype=torch.bool))
        assert torch.equal(parameter.grad != 0, live), path


@pytest.mark.parametrize("name", FAMILY)
def test_activations_keep_their_scale_over_the_papers_depth(name):
    torch.manual_seed(0)
    model = build(name, channels=3, height=16, width=16, levels=256, layers=15, hidden=32, head=64, skip=False)
    with torch.no_grad():
        x = model.first(model.scale(model.quantise(random_images(model, 4))))
        first = x.std()
        for layer in model.layers:
            x = layer(x)
            assert 0.5 < x.std() / first < 2
        assert 0.05 < model.head.second(model.head.first(x.relu()).relu()).std() < 5


# Bits and refusals.


@pytest.mark.parametrize("name", MASKED)
def test_a_uniform_model_has_exactly_8_bits_a_dimension(name):
    model = build(name, channels=3, levels=256, height=3, width=4).double().eval()
    for parameter in model.parameters():
        parameter.data.zero_()
    bits = -model.log_prob(random_images(model, 3)) / (math.log(2) * math.prod(model.shape))
    assert bits.tolist() == pytest.approx([8] * 3, abs=1e-12)


@pytest.mark.parametrize("levels", range(2, 257))
def test_every_level_is_read_back_from_its_byte(levels):
    model = build("pixel_cnn", levels=levels, threshold=127)
    k = torch.arange(levels)
    assert torch.equal(model.quantise(model.to_bytes(k)), k)
    assert torch.equal(model.quantise(torch.arange(256, dtype=torch.uint8)), torch.arange(256) * levels // 256)


@pytest.mark.parametrize("name", MASKED)
@pytest.mark.parametrize(
    "field, value",
    [
        *[("levels", 1), ("levels", 257), ("levels", 2.5), ("channels", 0), ("channels", 5), ("layers", 0)],
        *[("hidden", 2), ("head", 2), ("threshold", 255), ("threshold", -1), ("height", 0), ("width", True)],
    ],
)
def test_a_config_out_of_range_is_refused(name, field, value):
    with pytest.raises(ValueError, match=f"{field} is {value!r}: give a whole number from"):
        build(name, **({"channels": 3} | {field: value}))
