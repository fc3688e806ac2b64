"""Augmentation by the batch."""

import numpy as np
import pytest
import torch
from PIL import Image

from training.augment import alternately, cut_mix, cut_out, mirrored_and_shifted, resized


def test_shifted_images_are_crops_of_the_reflected_one_and_all_shifts_come():
    image = torch.arange(60, dtype=torch.uint8).view(1, 2, 5, 6)
    padded = torch.nn.functional.pad(image.double(), (2, 2, 2, 2), mode="reflect").to(torch.uint8)
    crops = {padded[:, :, y : y + 5, x : x + 6].numpy().tobytes() for y in range(5) for x in range(5)}
    mirrored = {padded[:, :, y : y + 5, x : x + 6].flip(3).numpy().tobytes() for y in range(5) for x in range(5)}
    torch.manual_seed(0)
    for flag, wanted in (False, crops), (True, mirrored):
        out = mirrored_and_shifted(image.expand(1000, -1, -1, -1), 2, torch.full((1000,), flag))
        assert out.dtype == torch.uint8 and out.shape == (1000, 2, 5, 6)
        assert {one[None].numpy().tobytes() for one in out} == wanted


def test_a_square_of_each_image_is_grey_and_every_place_comes():
    images = torch.randint(100, 200, (1, 3, 5, 6), dtype=torch.uint8)
    grey = torch.tensor([1, 2, 3], dtype=torch.uint8)
    wanted = set()
    for y in range(5 - 3 + 1):
        for x in range(6 - 3 + 1):
            one = images.clone()
            one[:, :, y : y + 3, x : x + 3] = grey[:, None, None]
            wanted.add(one.numpy().tobytes())
    torch.manual_seed(0)
    out = cut_out(images.expand(500, -1, -1, -1), 3, grey)
    assert out.dtype == torch.uint8 and {one[None].numpy().tobytes() for one in out} == wanted


def test_a_rectangle_of_each_image_and_as_much_of_its_label_are_the_one_before_it_s():
    images = torch.arange(400, dtype=torch.uint8)[:, None, None, None].expand(-1, 2, 8, 10)  # each of one value
    labels = torch.nn.functional.one_hot(torch.arange(400) % 3, 3).float()
    torch.manual_seed(0)
    out, shares = cut_mix(images, labels)
    assert out.dtype == torch.uint8 and out.shape == images.shape and torch.equal(out[:, 0], out[:, 1])
    mixed = out[:, 0] != images[:, 0]
    assert torch.equal(torch.where(mixed[:, None], images.roll(1, 0), images), out)
    assert torch.equal(mixed, mixed.any(2)[:, :, None] & mixed.any(1)[:, None])  # rows times columns,
    for lines in mixed.any(2).int(), mixed.any(1).int():
        assert lines.diff(dim=1).eq(1).sum(1).max() <= 1 and lines.diff(dim=1).ne(0).sum(1).max() <= 2  # without gaps
    area = mixed.float().mean((1, 2))[:, None]
    torch.testing.assert_close(shares, (1 - area) * labels + area * labels.roll(1, 0))
    assert mixed.any(0)[[0, 0, -1, -1], [0, -1, 0, -1]].all() and area.min() < 0.05 and area.max() > 0.8
    _, shares = cut_mix(torch.zeros(20_000, 1, 32, 32, dtype=torch.uint8), torch.eye(2)[torch.arange(20_000) % 2])
    mean = 0.321  # of (side - side ** 2 / 4) ** 2, where side ** 2 is uniform
    assert shares[::2, 1].mean() == pytest.approx(mean, abs=0.005)
    where = cut_mix(images[:2].repeat(10_000, 1, 1, 1), labels[:2].repeat(10_000, 1))[0][::2, 0].float().mean(0)
    for turned in where.flip(0), where.flip(1):
        torch.testing.assert_close(where, turned, atol=0.015, rtol=0)


@pytest.mark.parametrize("side", [9, 20, 24, 32])
def test_smaller_images_are_those_that_pillow_makes(cifar10, side):
    images = cifar10.images[:16]
    out = resized(images, side)
    assert out.dtype == torch.uint8 and out.shape == (16, 3, side, side)
    for image, small in zip(images, out, strict=True):
        wanted = Image.fromarray(image.permute(1, 2, 0).numpy()).resize((side, side), Image.Resampling.BILINEAR)
        assert np.abs(np.asarray(wanted).astype(int) - small.permute(1, 2, 0).numpy()).max() <= 1
    assert torch.equal(resized(images, 32), images)


def test_each_image_is_mirrored_every_other_epoch_and_half_of_them_in_each():
    indices = torch.arange(45_000)
    epochs = [alternately(indices, epoch) for epoch in range(4)]
    assert torch.equal(epochs[0], ~epochs[1]) and torch.equal(epochs[0], epochs[2])
    assert abs(epochs[0].float().mean() - 0.5) < 0.02
    assert abs((epochs[0][1:] == epochs[0][:-1]).float().mean() - 0.5) < 0.1  # neighbours do not tell on each other
