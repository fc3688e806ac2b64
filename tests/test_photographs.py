"""Photographs of digits are prepared so that a net which never saw one reads them."""

import argparse
import io

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image, ImageDraw, ImageOps

import hub_models
from evaluation import photographs
from evaluation.metrics.photographs import KINDS, OTHER, TUNED, photograph
from hub_models.images import to_digit
from training.data import ImageData, load_split

SIDE = 280  # of a digit that is scanned without a camera's faults


@pytest.fixture(scope="module")
def digits() -> ImageData:
    return load_split("mnist", "test").first(40)


@pytest.fixture(scope="module")
def net() -> hub_models.HubModel:
    return hub_models.load("gru128-mnist-classify")


def percent_right(net, pictures: list[Image.Image], labels: torch.Tensor) -> float:
    prepared = torch.cat([to_digit(picture) for picture in pictures])
    return 100 * (net.predict(prepared).argmax(-1) == labels).double().mean().item()


def scanned(digit: torch.Tensor, side: int = SIDE) -> np.ndarray:
    """Dark on white, float (side, side) in 0..1."""
    large = Image.fromarray(digit[0].numpy()).resize((side, side), Image.Resampling.BICUBIC)
    return 1 - np.asarray(large) / 255


def picture(values: np.ndarray) -> Image.Image:
    return Image.fromarray((255 * values).round().astype(np.uint8))


def falling(sheet: np.ndarray, to: float) -> np.ndarray:
    return sheet * np.linspace(1, to, sheet.shape[1])


def half_in_shadow(sheet: np.ndarray) -> np.ndarray:
    return np.where(np.arange(sheet.shape[1]) < sheet.shape[1] // 2, 0.7 * sheet, sheet)


def edged(sheet: np.ndarray) -> np.ndarray:
    return np.pad(sheet[1:-1, 1:-1], 1)


def barred(sheet: np.ndarray) -> np.ndarray:
    return np.where(np.arange(sheet.shape[1]) < sheet.shape[1] // 14, 0, sheet)


def ruled(sheet: np.ndarray) -> np.ndarray:
    lines = np.arange(len(sheet)) % (len(sheet) // 9) < 2
    return np.where(lines[:, None], np.minimum(sheet, 0.6), sheet)


FAULTS = {
    "light falls to 0.75": lambda sheet: falling(sheet, 0.75),
    "light falls to 0.7": lambda sheet: falling(sheet, 0.7),
    "light falls to 0.7 downwards": lambda sheet: falling(sheet.T, 0.7).T,
    "half in a shadow of 0.7": half_in_shadow,
    "dark edge of one pixel": edged,
    "dark bar at one side": barred,
    "dark bar below": lambda sheet: barred(sheet[::-1].T).T[::-1],
    "bar and falling light": lambda sheet: falling(barred(sheet), 0.7),
    "ruled": ruled,
    "chalk in falling light": lambda sheet: falling(0.15 + 0.75 * (1 - sheet), 0.6),
    "pencil in falling light": lambda sheet: falling(0.6 + 0.4 * sheet, 0.7),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_net_reads_digits_in_spite_of_one_fault(fault, digits, net):
    pictures = [picture(FAULTS[fault](scanned(image))) for image in digits.images]
    assert percent_right(net, pictures, digits.labels) >= 85


@pytest.mark.parametrize("fault", ["light falls to 0.7", "half in a shadow of 0.7", "dark edge of one pixel"])
def test_faults_of_the_smallest_pictures_are_seen_through_too(fault, digits, net):
    pictures = [picture(FAULTS[fault](scanned(image, 28))) for image in digits.images]
    assert percent_right(net, pictures, digits.labels) >= 85


@pytest.mark.parametrize("ranges", [TUNED, OTHER])
def test_a_net_reads_photographs(ranges, digits, net):
    taken = [
        photograph(image[0].numpy(), [*KINDS][i % len(KINDS)], ranges, np.random.default_rng([1, i]))
        for i, image in enumerate(digits.images)
    ]
    assert percent_right(net, taken, digits.labels) >= 80


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "I;16"])
def test_a_photograph_of_any_mode_is_read(mode, digits, net):
    small = TUNED._replace(side=(100, 300))
    taken = [
        photograph(image[0].numpy(), "gradient", small, np.random.default_rng(i))
        for i, image in enumerate(digits.images)
    ]
    taken = [Image.fromarray(np.rot90(np.asarray(p), {1: 0, 3: 2, 6: 3, 8: 1}[p.getexif()[0x0112]])) for p in taken]
    if mode == "I;16":
        taken = [Image.fromarray(np.asarray(p.convert("L")).astype(np.uint16) * 257) for p in taken]
    else:
        taken = [p.convert(mode) for p in taken]
    assert percent_right(net, taken, digits.labels) >= 85


@pytest.mark.parametrize("colour", [0, 255])
def test_strokes_on_nothing_are_seen_on_the_contrasting_colour(colour, digits):
    for image in digits.images:
        strokes = Image.new("RGBA", (28, 28), (colour, colour, colour, 0))
        strokes.putalpha(Image.fromarray(image[0].numpy()))
        large = strokes.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        off = (to_digit(large)[0] > 127) != (to_digit(picture(scanned(image)))[0] > 127)
        assert off.sum() <= 6
        if colour:
            assert torch.equal(to_digit(strokes)[0], image)


def test_what_is_transparent_around_a_photograph_is_no_ink(digits, net):
    sheets = [picture(falling(scanned(image), 0.7)).convert("RGBA") for image in digits.images]
    turned = [sheet.rotate(8, Image.Resampling.BICUBIC, expand=True) for sheet in sheets]
    assert percent_right(net, turned, digits.labels) >= 85


def sloped(height: int, width: int) -> np.ndarray:
    return np.linspace(1, 0.6, width) * np.linspace(1, 0.9, height)[:, None]


EMPTY = {
    "a slope": lambda: picture(sloped(300, 400)),
    "a noisy slope": lambda: picture(
        sloped(300, 400) * np.random.default_rng(0).normal(0.9, 0.02, (300, 400)).clip(0, 1)
    ),
    "a shadow": lambda: picture(half_in_shadow(np.ones((300, 400)))),
    "a table beside noisy paper": lambda: picture(
        barred(0.9 * np.ones((300, 400))) + np.random.default_rng(0).uniform(0, 0.05, (300, 400))
    ),
    "nothing, in white": lambda: Image.new("RGBA", (SIDE, SIDE), (255, 255, 255, 0)),
}


@pytest.mark.parametrize("empty", EMPTY)
def test_paper_without_a_digit_is_refused_in_a_sentence(empty):
    with pytest.raises(
        ValueError, match="^the picture is empty: draw or choose a digit that stands out from its paper$"
    ):
        to_digit(EMPTY[empty]())


DRAWINGS = {  # pen strokes on a pad of SIDE pixels
    "a 5 whose upper stroke leaves the pad": [
        [(100, 60), (100, 140), (180, 140), (200, 200), (100, 240)],
        [(100, 60), (279, 60)],
    ],
    "a 5 of two strokes that are apart": [
        [(100, 60), (100, 140), (180, 140), (200, 200), (100, 240)],
        [(130, 60), (279, 60)],
    ],
    "a 7 from edge to edge": [[(60, 0), (200, 0), (120, 279)]],
    "a 1 from edge to edge": [[(140, 0), (140, 279)]],
    "a 4 of two strokes": [[(80, 0), (60, 150), (279, 150)], [(180, 100), (180, 279)]],
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_strokes_of_a_drawing_that_touch_the_border_are_kept(name):
    """The digit is nearly the same as on a larger pad, where no stroke touches the border."""
    pad = Image.new("L", (SIDE, SIDE), "white")
    for stroke in DRAWINGS[name]:
        ImageDraw.Draw(pad).line(stroke, fill="black", width=12)
    off = (to_digit(pad) > 127) != (to_digit(ImageOps.expand(pad, 50, "white")) > 127)
    assert off.sum() <= 6


def test_a_large_photograph_is_turned_after_it_is_shrunk(digits):
    sheet = picture(falling(scanned(digits.images[0], 1200), 0.8))
    file, exif = io.BytesIO(), Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    sheet.transpose(Image.Transpose.ROTATE_90).save(file, "JPEG", exif=exif)
    off = (to_digit(Image.open(file)) > 127) != (to_digit(sheet) > 127)
    assert off.sum() <= 6


def test_a_photograph_is_the_same_from_the_same_noise(digits):
    digit = digits.images[0, 0].numpy()
    for kind in KINDS:
        first, same, other = (photograph(digit, kind, OTHER, np.random.default_rng(seed)) for seed in (0, 0, 1))
        assert first.format == "JPEG" and np.array_equal(np.asarray(first), np.asarray(same))
        assert first.size != other.size or not np.array_equal(np.asarray(first), np.asarray(other))


def test_the_command_counts_what_the_net_reads(digits, net, monkeypatch):
    monkeypatch.setattr(photographs, "HALF", 8)
    args = argparse.Namespace(name="net", seed=0, batch_size=10)
    found = {entry["metric"]: entry for entry in photographs.measure(net, digits, args)}
    whole = found["accuracy_photographs"]
    kinds = [found[f"accuracy_photographs_{kind}"] for kind in KINDS]
    assert whole["n"] == 8 and whole["interval"][0] < whole["value"] <= whole["interval"][1]
    assert {entry["n"] for entry in kinds} == {1}
    assert sum(entry["value"] * entry["n"] for entry in kinds) == pytest.approx(whole["value"] * 8)
    monkeypatch.setattr(photographs, "to_digit", lambda taken: to_digit(Image.new("L", (9, 9))))
    found = {entry["metric"]: entry["value"] for entry in photographs.measure(net, digits, args)}
    assert (
        found["accuracy_photographs"] == found["accuracy_photographs_tuned"] == 0 < found["accuracy_photographs_clean"]
    )


def test_the_command_refuses_what_it_cannot_measure(digits, net):
    args = argparse.Namespace(name="net", seed=0, batch_size=10)
    with pytest.raises(ValueError, match="40 images are too few for 400 photographs"):
        photographs.measure(net, digits, args)
    with pytest.raises(
        ValueError, match="net is no classifier of MNIST's digits: measure it with evaluation.bits_per_dim"
    ):
        photographs.measure(hub_models.load("gru128-mnist-predict"), digits, args)
