"""The theme `pixels` without a browser: its tabs' handlers, directly and through `gradio_client`."""

import json
import math
import re
import types
import urllib.request
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
import torch
from gradio_client import Client, handle_file
from PIL import Image
from test_spaces import SPACES, all_tabs, editor, served, seven, slowed, tabs_of, threads

from hub_models.conv_classifier import CIFAR10
from hub_models.images import to_digit, to_photo
from hub_models.spacekit.pictures import read_mask

GATED, ROW, *DIGITS = (
    "gated-pixelcnn-cifar10", "row-lstm-cifar10",
    "pixelcnn-mnist", "gated-pixelcnn-mnist", "row-lstm-mnist", "diagonal-bilstm-mnist",
)  # fmt: skip
EXAMPLES = [*sorted(SPACES.glob("examples/cifar10/*.png")), *sorted(SPACES.glob("examples/mnist/*.png"))]
EACH, LIKELIEST = "one of each class", "most probable class"


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """The all-tabs app, hurried up."""
    with all_tabs(tmp_path_factory) as app, pytest.MonkeyPatch.context() as monkeypatch:
        for tab in app.themes["pixels"].TABS:
            monkeypatch.setattr(tab, "PAUSE", 0, raising=False)
        yield app


@pytest.fixture(scope="module")
def tabs(app) -> types.SimpleNamespace:
    """The tabs' modules by name, and what they share."""
    return tabs_of(app, "pixels", shared="_pixels")


@pytest.fixture(scope="module")
def url(app):
    with served(app) as url:
        yield url


def pixels(path: str, scale: int) -> torch.Tensor:
    """One pixel of each block of an enlarged picture, uint8 (3, H, W)."""
    return torch.from_numpy(np.array(Image.open(path).convert("RGB"))[::scale, ::scale].copy()).permute(2, 0, 1)


def cells(path: str, n: int, net) -> torch.Tensor:
    """The n images of a sheet, uint8 (n, C, H, W)."""
    channels, height, width = net.shape
    columns = min(n, 2 if n <= 4 else 4)
    scale = Image.open(path).width // (columns * (width + 1) + 1)
    sheet = pixels(path, scale)[:channels]
    corners = [(i // columns * (height + 1) + 1, i % columns * (width + 1) + 1) for i in range(n)]
    return torch.stack([sheet[:, y : y + height, x : x + width] for y, x in corners])


def example(net, index: int) -> torch.Tensor:
    """An example as the model sees it, uint8 (1, C, H, W)."""
    if net.shape[0] == 1:
        return (to_digit(Image.open(EXAMPLES[10 + index])) > 127).to(torch.uint8) * 255
    return to_photo(Image.open(EXAMPLES[index]), 8, 8)


def hole(net) -> torch.Tensor:
    """bool (1, 1, H, W): two rows in the middle, but for a column on either side."""
    _, height, width = net.shape
    missing = torch.zeros(1, 1, height, width, dtype=torch.bool)
    missing[..., height // 2 : height // 2 + 2, 1:-1] = True
    return missing


def mask(missing: torch.Tensor) -> Image.Image:
    """bool (1, 1, H, W) -> the layer on which those pixels are brushed over."""
    scale = 256 // missing.shape[3]
    alpha = Image.fromarray((missing[0, 0].numpy() * 255).astype(np.uint8))
    alpha = alpha.resize((alpha.width * scale, alpha.height * scale), Image.Resampling.NEAREST)
    layer = Image.new("RGBA", alpha.size, (249, 115, 22, 0))
    layer.putalpha(alpha)
    return layer


def rubbed(tabs, name: str, index: int = 3) -> dict:
    """The editor's value with an example whose middle is rubbed out, as a handler gets it."""
    value, *_ = tabs.complete.take_example(index, name)
    return editor(value["background"], mask(hole(tabs.shared.model(name))))


def captioned(pictures: list, net) -> tuple[torch.Tensor, list[str]]:
    """The images of a gallery, uint8 (n, C, H, W), and their captions."""
    channels, _, width = net.shape
    images = [pixels(path, 256 // width)[:channels] for path, _ in pictures]
    return torch.stack(images), [caption for _, caption in pictures]


def numbers(captions: list[str]) -> list[float]:
    """The figures of captions."""
    return [float(re.search(r"\d+\.\d+", caption)[0]) for caption in captions]


def expected_numbers(images: torch.Tensor, label: torch.Tensor | None, net):
    """The figures that captions of these images must have: bits/dim of photographs, nats of digits."""
    nats = -net.log_prob(images, label)
    if net.shape[0] == 1:
        return pytest.approx(nats.tolist(), abs=0.051)
    return pytest.approx((nats / math.log(2) / images[0].numel()).tolist(), abs=0.0051)


def test_themes_and_endpoints(app, tabs):
    assert [tab.TITLE for tab in app.themes["pixels"].TABS] == ["Sample", "Complete", "How likely", "Receptive field"]
    named = [fn.api_name for fn in app.demo.fns.values()]
    assert len(set(named)) == len(named)
    public = {fn.api_name for fn in app.demo.fns.values() if fn.fn and fn.api_visibility == "public"}
    handlers = {fn.api_name for fn in app.demo.fns.values() if fn.fn and fn.fn.__module__.startswith("pixels_tabs")}
    readme = (SPACES / "pixels" / "README.md").read_text()
    listed = re.findall(r"`(\w+)`", readme.partition("The endpoints")[2].partition("serve")[0])
    assert len(listed) == 4 and set(listed) == public & handlers
    assert (GATED, ROW, *DIGITS) == tabs.shared.NAMES


def test_classes_that_have_no_names_go_by_their_numbers(tabs, monkeypatch):
    monkeypatch.setattr(tabs.shared.model(GATED).config, "names", ())
    assert tabs.shared.class_names() == tuple("0123456789") and tabs.shared.class_of("7", EACH) == 7
    [(_, caption)], _ = tabs.sample.sample(GATED, 1, 1, "7", 5)
    *_, words, shares = tabs.likelihood.score(EXAMPLES[0], GATED, "7")
    assert caption.startswith("7, ") and "the class 7:" in words and [*shares] == [*"0123456789"]


# --- Sample


@pytest.mark.parametrize(("name", "n"), [(GATED, 4), (ROW, 1), (GATED, 16), (DIGITS[0], 5), (DIGITS[3], 2)])
def test_samples_fill_row_by_row_and_are_the_models(tabs, name, n):
    net = tabs.shared.model(name)
    height = net.shape[1]
    label = torch.arange(n) % 10 if net.classes else None
    expected = net.sample(n, label=label, temperature=0.8, generator=torch.Generator().manual_seed(5))
    first, *frames, (growing, finished, note) = tabs.sample.draw(name, n, 0.8, EACH, 5)
    assert [update["value"] for update in first[:2]] == [None, None] and len(frames) == height - 1
    for rows, (sheet, _, progress) in enumerate(frames, 1):
        shown = cells(sheet, n, net)
        assert torch.equal(shown[:, :, :rows], expected[:, :, :rows]) and (shown[:, :, rows:] == 128).all()
        assert progress.startswith(f"{rows} of {height} rows") and "seed 5, temperature 0.8" in progress
    assert not growing["visible"] and finished["visible"]
    images, captions = captioned(finished["value"], net)
    assert torch.equal(images, expected) and numbers(captions) == expected_numbers(expected, label, net)
    unit = "bits/dim" if net.shape[0] == 3 else "nats"
    assert all(caption.endswith(unit) and len(caption) < 28 for caption in captions)
    assert not net.classes or [caption.split(",")[0] for caption in captions] == [CIFAR10[i % 10] for i in range(n)]
    assert f"**{tabs.shared.title_of(name)}, seed 5, temperature 0.8.**" in note
    assert tabs.sample.sample(name, n, 0.8, EACH, 5) == (finished["value"], note)
    assert not threads()


def test_a_chosen_class_is_drawn(tabs):
    pictures, _ = tabs.sample.sample(GATED, 2, 1, "frog", 0)
    net = tabs.shared.model(GATED)
    expected = net.sample(2, label=torch.tensor([6, 6]), generator=torch.Generator().manual_seed(0))
    images, captions = captioned(pictures, net)
    assert torch.equal(images, expected) and all(caption.startswith("frog, ") for caption in captions)


@pytest.mark.parametrize("tab", ["sample", "complete"])
def test_a_stream_that_is_closed_ends_its_thread(tabs, monkeypatch, tab):
    net = tabs.shared.model(ROW)
    monkeypatch.setattr(net, "complete", slowed(net, 0.01), raising=False)
    if tab == "sample":
        frames = tabs.sample.draw(ROW, 1, 1, EACH, 0)
    else:
        frames = tabs.complete.fill(rubbed(tabs, ROW), ROW, 1, 1, LIKELIEST, 0)
    next(frames), next(frames)
    assert threads()
    frames.close()
    assert not threads()


def test_another_model_leaves_no_images_of_the_first(tabs):
    for name in (GATED, DIGITS[0]):
        label, growing, finished, note = tabs.sample.turn_sample(name)
        assert label == gr.update(visible=name == GATED) and note == ""
        assert growing == gr.update(value=None, visible=False) and finished == gr.update(value=None, visible=True)


SAMPLE = {"name": GATED, "n": 1, "temperature": 1, "class_name": EACH, "seed": 0}
BAD = [
    *(({"name": v}, "no such model: choose gated-pixelcnn-cifar10, row") for v in ("pixelcnn", "", None, 3, ["a"])),
    *(({"n": v}, "must be a whole number from 1 to") for v in (0, 17, 1.5, math.nan, math.inf, None, "2")),
    *(({"temperature": v}, "The temperature must be a number from 0 to 2") for v in (-1, 2.1, math.nan, None, "1")),
    *(({"seed": v}, "seed must be a whole number from 0 to 2147483647") for v in (-1, 2**31, 0.5, None, "0")),
    *(({"class_name": v}, "no such class: choose ") for v in ("dogs", None, 3, [])),
]


@pytest.mark.parametrize(("bad", "match"), BAD)
def test_bad_settings(tabs, bad, match):
    with pytest.raises(gr.Error, match=match):
        next(tabs.sample.draw(**SAMPLE | bad))
    with pytest.raises(gr.Error, match=match):
        next(tabs.complete.fill(rubbed(tabs, GATED), **SAMPLE | {"class_name": LIKELIEST} | bad))
    if bad.keys() & {"name", "class_name"}:
        settings = {"name": GATED, "class_name": LIKELIEST} | bad
        with pytest.raises(gr.Error, match=match):
            tabs.likelihood.score(EXAMPLES[3], **settings)


# --- Complete


@pytest.mark.parametrize(
    ("name", "n", "class_name"), [(GATED, 3, "dog"), (ROW, 8, LIKELIEST), (DIGITS[1], 1, LIKELIEST)]
)
def test_rubbed_out_pixels_are_filled_and_all_others_kept(tabs, name, n, class_name):
    net = tabs.shared.model(name)
    truth, missing = example(net, 3), hole(net)
    label = torch.tensor([5]) if net.classes else None
    first, *frames, last = tabs.complete.fill(rubbed(tabs, name), name, n, 0.7, class_name, 11)
    shown, given, growing, finished, note = last
    assert first[:2] == (shown, given)  # what it starts from stands there at once
    assert [update["value"] for update in first[2:4]] == [None, None]
    scale, channels = 256 // net.shape[2], net.shape[0]
    assert torch.equal(pixels(shown, scale)[:channels], truth[0])
    assert torch.equal(pixels(given, scale)[:channels], truth.masked_fill(missing, 128)[0])
    generator = torch.Generator().manual_seed(11)
    expected = net.complete(truth, ~missing, n, label=label, temperature=0.7, generator=generator)[0]
    filled, captions = captioned(finished["value"], net)
    assert torch.equal(filled, expected) and not growing["visible"] and finished["visible"]
    known = (~missing).expand_as(filled)
    assert torch.equal(filled[known], truth.expand_as(filled)[known])
    early = cells(frames[0][2], n, net)
    assert (early == 128).any() and torch.equal(early[known], filled[known])
    labels = None if label is None else label.expand(n + 1)
    of_truth = note.partition("The truth: ")[2]
    assert numbers([of_truth, *captions]) == expected_numbers(torch.cat([truth, expected]), labels, net)
    nats = -float(net.log_prob(truth, label))
    assert f"total surprise {nats:,.0f} nats" in note or f"total surprise {nats:.1f} nats" in note
    assert note.startswith(f"**{tabs.shared.title_of(name)}") and "seed 11, temperature 0.7.**" in note
    assert (", class dog, " in note) == bool(net.classes)


def test_the_most_probable_class_is_taken_for_an_upload(tabs, tmp_path):
    seven().save(tmp_path / "seven.png")
    value, named, _, *results = tabs.complete.use_file(str(tmp_path / "seven.png"), GATED)
    assert tuple(results) == tabs.complete.cleared()
    net = tabs.shared.model(GATED)
    truth = to_photo(seven(), 8, 8)
    best = CIFAR10[int(net.log_prob(truth.expand(10, -1, -1, -1), torch.arange(10)).argmax())]
    photo = editor(value["background"], mask(hole(net)))
    *_, (*_, note) = tabs.complete.fill(photo, GATED, 1, 1, named, 0)
    assert f", class {best} (most probable class), " in note


def test_a_completion_says_from_the_start_how_it_is_made(tabs):
    settings = {"n": 1, "temperature": 1, "class_name": LIKELIEST, "seed": 4}
    first, *_, last = tabs.complete.fill(rubbed(tabs, GATED), GATED, **settings)
    made = last[-1].removeprefix("**").partition(".** The truth")[0]
    assert first[-1] == f"Completing ... {made}." and ", class " in made


def test_every_upload_button_gives_the_path_as_it_was_sent(app):
    """Gradio itself copies the file once more."""
    uploads = [block for block in app.demo.blocks.values() if isinstance(block, gr.UploadButton)]
    assert len(uploads) == 3
    assert [upload.preprocess(types.SimpleNamespace(path="sent.png")) for upload in uploads] == ["sent.png"] * 3


def test_a_picture_of_the_visitor_s_own_is_taken_again_for_a_model_of_other_images(tabs, tmp_path):
    seven().save(tmp_path / "seven.png")
    value, _, path = tabs.complete.take_file(str(tmp_path / "seven.png"), GATED)
    _, digit, label, *_ = tabs.complete.turn_complete(DIGITS[0], editor(value["background"]), path)
    own = tabs.complete.take(path, DIGITS[0])
    assert Image.open(digit["background"]) == Image.open(own["background"]) and label["value"] == LIKELIEST
    _, digit, *_ = tabs.complete.turn_complete(DIGITS[0], None, str(tmp_path / "gone.png"))
    example, *_ = tabs.complete.take_example(tabs.complete.FIRST, DIGITS[0])
    assert Image.open(digit["background"]) == Image.open(example["background"])


@pytest.mark.parametrize("name", [GATED, DIGITS[0]])
def test_the_lower_half_is_hidden(tabs, name):
    net = tabs.shared.model(name)
    value, *_ = tabs.complete.take_example(6, name)
    half = tabs.complete.hide_half(editor(value["background"]), name)
    assert Image.open(half["background"]) == Image.open(value["background"])
    (layer,) = half["layers"]
    _, given, *_ = next(tabs.complete.fill(editor(half["background"], Image.open(layer)), name, 1, 1, LIKELIEST, 0))
    grey = pixels(given, 256 // net.shape[2]) == 128
    assert grey[:, net.shape[1] // 2 :].all() and not grey[:, : net.shape[1] // 2].all(0).all()


def test_an_example_brings_its_class_and_another_model_its_examples(tabs):
    value, named, path, *results = tabs.complete.use_example(6, GATED)
    assert named == "frog" and tabs.complete.take_example(6, DIGITS[0])[1] == LIKELIEST
    assert tuple(results) == tabs.complete.cleared()
    samples, background, label, *results = tabs.complete.turn_complete(ROW, editor(value["background"]), path)
    assert samples == background == gr.skip() and not label["visible"]  # the same picture, and what is hidden of it
    assert tuple(results) == tabs.complete.cleared()
    samples, digit, label, *results = tabs.complete.turn_complete(DIGITS[0], editor(value["background"]), path)
    digits = zip(samples["samples"], EXAMPLES[10:], strict=True)
    assert all(torch.equal(pixels(shown, 1), pixels(path, 1)) for (shown,), path in digits)
    assert Image.open(digit["background"]).size == (252, 252) and label == gr.update(visible=False, value=LIKELIEST)
    assert tuple(results) == tabs.complete.cleared()
    _, photo, label, *_ = tabs.complete.turn_complete(GATED, None, path)
    assert Image.open(photo["background"]).size == (256, 256) and label == gr.update(visible=True, value="ship")


def test_bad_holes_and_pictures(tabs, tmp_path):
    background = rubbed(tabs, GATED)["background"]
    whole = mask(hole(tabs.shared.model(GATED)))
    faults = {
        "Nothing is hidden": editor(background),
        "Nothing is hidden: go": editor(background, Image.new("RGBA", (256, 256))),
        "as large as the picture": editor(background, Image.new("RGBA", (28, 28))),
        "256x256 one": editor(Image.new("RGB", (257, 256)), whole),
        "choose an example or upload": editor(None),
        "choose an example": None,
    }
    for match, value in faults.items():
        with pytest.raises(gr.Error, match=match):
            next(tabs.complete.fill(value, **SAMPLE | {"class_name": LIKELIEST}))
    for value in (None, editor(None)):
        with pytest.raises(gr.Error, match="choose an example or upload"):
            tabs.complete.hide_half(value, GATED)
    for handler in (tabs.complete.use_example, tabs.likelihood.use_example):
        for index in (10, -1, None, "3", 0.5):
            with pytest.raises(gr.Error, match="choose one of 0 to 9"):
                handler(index, ROW)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    for path, match in ((str(tmp_path / "broken.png"), "damaged"), (None, "upload one")):
        with pytest.raises(gr.Error, match=match):
            tabs.complete.use_file(path, ROW)
        with pytest.raises(gr.Error, match=match):
            tabs.likelihood.score_asked(tabs.likelihood.asked_for(path), ROW, LIKELIEST)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "I;16"])
def test_white_pixels_of_a_mask_are_missing(tmp_path, mode):
    path, white = str(tmp_path / "mask.png"), np.zeros((90, 60), np.uint8)
    white[50:, :31] = 255
    picture = Image.fromarray(white)
    picture = Image.fromarray(white.astype(np.uint16) * 257) if mode == "I;16" else picture.convert(mode)
    picture.save(path)
    missing = read_mask(path, 9, 6)  # of which a pixel is 10x10 of the mask
    wanted = torch.zeros(1, 1, 9, 6, dtype=torch.bool)
    wanted[..., 5:, :3] = True
    assert torch.equal(missing, wanted)


def test_a_mask_as_large_as_its_photograph_is_cut_as_that_is(tmp_path):
    """A square is painted red in a wide photograph, and white in its mask: where the model sees red, it is missing."""
    photo, mask = Image.new("RGB", (96, 32), "blue"), Image.new("L", (96, 32))
    photo.paste("red", (40, 8, 48, 16))
    mask.paste(255, (40, 8, 48, 16))
    photo.save(tmp_path / "photo.png")
    mask.save(tmp_path / "mask.png")
    red = to_photo(photo, 32, 32)[:, :1] > 127
    assert red.sum() == 64
    assert torch.equal(read_mask(tmp_path / "mask.png", 32, 32, tmp_path / "photo.png"), red)
    turned = photo.transpose(Image.Transpose.ROTATE_90)
    exif = turned.getexif()
    exif[0x0112] = 6  # to be turned by a quarter to the right
    turned.save(tmp_path / "turned.png", exif=exif)
    assert torch.equal(read_mask(tmp_path / "mask.png", 32, 32, tmp_path / "turned.png"), red)
    mask.resize((32, 32), Image.Resampling.NEAREST).save(tmp_path / "mask.png")  # of another size it is all scaled
    assert read_mask(tmp_path / "mask.png", 32, 32, tmp_path / "photo.png").nonzero()[:, 3].tolist()[0] == 13


def test_masks_without_white_and_files_that_are_none(tmp_path):
    path = tmp_path / "mask.png"
    clear = Image.new("RGBA", (28, 28), "#fff0")
    for picture, match in ((Image.new("L", (9, 9), 120), "no white pixels"), (clear, "no white pixels")):
        picture.save(path)
        with pytest.raises(gr.Error, match=match):
            read_mask(path, 8, 8)
    clear.paste("white", (0, 14, 28, 28))
    clear.save(path)
    assert read_mask(path, 28, 28).nonzero()[:, 2].unique().tolist() == [*range(14, 28)]
    path.write_bytes(b"no picture")
    for file, match in (
        (path, "The mask is damaged"),
        (None, "There is no mask: give"),
        (path.parent / "x", "The mask"),
    ):
        with pytest.raises(gr.Error, match=match):
            read_mask(file, 8, 8)


# --- How likely


@pytest.mark.parametrize("class_name", [LIKELIEST, "cat"])
@pytest.mark.parametrize("name", [GATED, ROW, DIGITS[2]])
def test_a_pictures_bits_are_drawn_and_told(tabs, name, class_name):
    net = tabs.shared.model(name)
    image = example(net, 7)
    own, (path, _) = tabs.likelihood.use_example(7, name)
    seen, chart, words, shares = tabs.likelihood.score(path, name, class_name)
    assert own is None and Path(path) == EXAMPLES[7 + 10 * (net.shape[0] == 1)]
    assert torch.equal(pixels(seen, 256 // net.shape[2])[: net.shape[0]], image[0])
    label = None
    if net.classes:
        log_p = net.log_prob(image.expand(10, -1, -1, -1), torch.arange(10))
        assert list(shares.values()) == pytest.approx(log_p.double().softmax(0).tolist(), abs=1e-3)
        label = torch.tensor([3 if class_name == "cat" else int(log_p.argmax())])
        assert f"given the class {CIFAR10[label]}" in words
    else:
        assert shares is None and "class" not in words
    bits = -net.sub_pixel_log_prob(image, label)[0] / math.log(2)
    assert words.startswith(tabs.shared.title_of(name)) and f"{bits.mean():.2f} bits/dim" in words
    assert (
        f"total surprise {float(bits.sum()) * math.log(2):,.1f} nats" in words and f"{bits.max():.1f} bits. " in words
    )
    uniform = math.log2(net.config.levels)
    large, width = pixels(chart, 1), net.shape[2]
    maps = bits if len(bits) == 1 else torch.cat([bits.mean(0, keepdim=True), bits])
    side = 504 if len(bits) == 1 else 256
    for i, wanted in enumerate(maps):
        x, y = 12 + i % 2 * (side + 12), 32 + i // 2 * (side + 44)
        drawn = large[:, y : y + side, x : x + side][:, :: side // width, :: side // width]
        for c in range(3):  # black, red, yellow where all values are equally likely, white
            ramp = (2 * wanted / uniform - c).clamp(0, 1) * 255
            assert (drawn[c] - ramp).abs().max() <= 1
        assert (large[:, y - 32 : y, x : x + side] > 200).any()  # a title
    bar = large[:, -12 - 32 - 12 - 16, 13:-13].float()  # the middle row of the colour bar, within its frame
    at = [bar[:, round(share * (bar.shape[1] - 1))].tolist() for share in (0, 1 / 3, 2 / 3, 1)]
    for colour, wanted in zip(at, ([0, 0, 0], [255, 0, 0], [255, 255, 0], [255, 255, 255]), strict=True):
        assert colour == pytest.approx(wanted, abs=3)


def test_the_same_picture_is_scored_again(tabs):
    own, asked = tabs.likelihood.use_example(7, GATED)
    assert own is None and asked != tabs.likelihood.use_example(7, GATED)[1]  # chosen again, it is scored again
    examples, label, shares = tabs.likelihood.turn_score(DIGITS[0])
    assert label == shares == gr.update(visible=False) and len(examples["samples"]) == 10
    seen, _, words, shares = tabs.likelihood.score_asked(asked, DIGITS[0], LIKELIEST)
    assert words.startswith("PixelCNN on MNIST: **total surprise ") and shares is None
    assert Image.open(seen).size == (252, 252)


def test_nothing_is_scored_once_the_picture_is_cleared(app):
    answered = next(fn.fn for fn in app.demo.fns.values() if fn.fn and fn.fn.__name__ == "answered")
    assert answered(None, GATED, LIKELIEST) == (None,) * 4


@pytest.mark.parametrize("mode", ["1", "LA", "P", "RGBA", "I;16", "CMYK"])
def test_uploads_of_any_mode_and_size_are_scored(tabs, tmp_path, mode):
    picture = seven(90)
    picture = Image.fromarray(np.asarray(picture).astype(np.uint16) * 257) if mode == "I;16" else picture.convert(mode)
    path = str(tmp_path / ("seven.tiff" if mode == "CMYK" else "seven.png"))
    picture.save(path)
    for name in (ROW, DIGITS[0]):
        seen, *_ = tabs.likelihood.score_asked(tabs.likelihood.asked_for(path), name, LIKELIEST)
        assert len(pixels(seen, 1).unique()) > 1


# --- Receptive field


@pytest.mark.parametrize("name", [GATED, ROW, *DIGITS])
def test_a_pixels_field_is_drawn_and_told(tabs, name):
    net = tabs.shared.model(name)
    _, height, width = net.shape
    y, x = height * 3 // 4, width // 2
    seen = net.receptive_field(y, x)
    path, words = tabs.receptive_field.show_field(name, y, x)
    scale = 512 // width
    large = pixels(path, 1)
    drawn = large[:, scale // 2 :: scale, scale // 2 :: scale]  # between the lines
    before = torch.arange(height * width).view(height, width) < y * width + x
    seen[y, x] = False
    assert (drawn[:, seen] == 255).all() and (drawn[:, before & ~seen] == 110).all()
    after = ~before
    after[y, x] = False
    assert (drawn[:, after] == 0).all() and drawn[:, y, x].tolist() == [220, 30, 30]
    assert (large[:, ::scale] == 96).all() and (large[:, :, ::scale] == 96).all()
    total = y * width + x
    part = f"{int(seen.sum())} of the {total} pixels"
    assert f"uses **{part}** before it" in words or f"**every pixel** before it ({total})" in words
    unused = sum(int(count) for count in re.findall(r"(\d+) (?:in|straight)", words))
    assert unused == total - seen.sum()
    assert tabs.receptive_field.receptive_field(name, y, x) == (path, words)


def test_the_first_pixel_has_none_before_it(tabs):
    first, second = (tabs.receptive_field.show_field(GATED, 0, x)[1] for x in (0, 1))
    assert first == "Gated PixelCNN on CIFAR-10, row 0, column 0: no pixel comes before this one."
    assert second == "Gated PixelCNN on CIFAR-10, row 0, column 1: the model uses **every pixel** before it (1)."


def click(data) -> gr.EventData:
    return gr.EventData(None, data)


def test_clicks_numbers_and_other_models(tabs):
    field = tabs.receptive_field
    assert field.click_field(ROW, click({"index": [64 * 3 + 1, 64 * 5 + 63]}))[:2] == (5, 3)
    for data in (None, {}, {"index": 3}, {"index": [1]}, {"index": ["1", 2]}, {"index": [512, 0]}, {"index": [0, -1]}):
        with pytest.raises(gr.Error, match="click on one of the picture's squares"):
            field.click_field(ROW, click(data))
    assert field.turn_field(ROW, 20, 6)[:2] == (7, 6)
    assert field.turn_field(DIGITS[0], None, -1)[:2] == (20, 0)
    for y, x, match in ((8, 0, "The row must be a whole number from 0 to 7"), (0, -1, "The column"), (None, 0, "row")):
        with pytest.raises(gr.Error, match=match):
            field.show_field(ROW, y, x)
    with pytest.raises(gr.Error, match="no such model"):
        field.click_field("x", click({"index": [0, 0]}))


# --- over HTTP


def ask(url: str, visitor: str, handler: str, *data) -> list:
    """What a private handler answers to a page of that session."""
    address, body = f"{url}gradio_api/call/{handler}", json.dumps({"data": data, "session_hash": visitor}).encode()
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as reply:
        event = json.load(reply)["event_id"]
    with urllib.request.urlopen(f"{address}/{event}") as reply:
        last = reply.read().decode().strip().rpartition("event: ")[2]
    assert last.startswith("complete"), last
    return json.loads(last.partition("data: ")[2])


def test_each_visitor_s_picture_is_scored_again(url, tabs):
    net = tabs.shared.model(ROW)
    visitors = {"first": 2, "second": 4}
    for visitor, index in visitors.items():
        ask(url, visitor, "use_example_1", index, ROW)  # the first is of the tab Complete
    for visitor, index in visitors.items():
        seen, *_ = ask(url, visitor, "answered", None, ROW, LIKELIEST)  # the first is of the session
        assert torch.equal(pixels(seen["path"], 32), example(net, index)[0])


def gallery(sent: list, net) -> tuple[torch.Tensor, list[str]]:
    """The images of a gallery as a client gets it, uint8 (n, C, H, W), and their captions."""
    assert all(Path(entry["image"]).suffix == ".png" for entry in sent)
    return captioned([(entry["image"], entry["caption"]) for entry in sent], net)


def test_two_clients_sample_at_once_and_do_not_mix(url, tabs):
    clients = {seed: Client(url, verbose=False) for seed in (3, 7)}
    jobs = {seed: client.submit(GATED, 2, 1, EACH, seed, api_name="/sample") for seed, client in clients.items()}
    net = tabs.shared.model(GATED)
    for seed, job in jobs.items():
        pictures, note = job.result()
        images, captions = gallery(pictures, net)
        expected = net.sample(2, label=torch.arange(2), generator=torch.Generator().manual_seed(seed))
        assert torch.equal(images, expected) and f"seed {seed}, " in note
        assert numbers(captions) == expected_numbers(expected, torch.arange(2), net)


@pytest.mark.parametrize("name", [GATED, DIGITS[3]])
def test_a_picture_file_is_completed_where_its_mask_is_white(url, tabs, tmp_path, name):
    client, net = Client(url, verbose=False), tabs.shared.model(name)
    missing = hole(net)
    white = Image.fromarray(missing[0, 0].numpy()).resize((280, 210), Image.Resampling.NEAREST)
    white.save(tmp_path / "mask.png")
    seven().save(tmp_path / "seven.png")
    files = [handle_file(str(tmp_path / file)) for file in ("seven.png", "mask.png")]
    pictures, note = client.predict(*files, name, 2, 0.9, LIKELIEST, 5, api_name="/complete")
    truth = (to_digit(seven()) > 127).to(torch.uint8) * 255 if net.shape[0] == 1 else to_photo(seven(), 8, 8)
    label = None
    if net.classes:
        label = net.log_prob(truth.expand(10, -1, -1, -1), torch.arange(10)).argmax()[None]
        assert f"class {CIFAR10[label]} (most probable class), " in note
    generator = torch.Generator().manual_seed(5)
    expected = net.complete(truth, ~missing, 2, label=label, temperature=0.9, generator=generator)[0]
    images, captions = gallery(pictures, net)
    assert torch.equal(images, expected)
    assert numbers(captions) == expected_numbers(expected, None if label is None else label.expand(2), net)
    assert note.startswith(f"**{tabs.shared.title_of(name)}") and "seed 5, temperature 0.9.**" in note


def test_a_picture_file_is_scored(url, tabs, tmp_path):
    client, path = Client(url, verbose=False), tmp_path / "seven.png"
    seven().save(path)
    for name in (GATED, DIGITS[2]):
        chart, words, shares = client.predict(handle_file(str(path)), name, LIKELIEST, api_name="/likelihood")
        _, wanted, *answer = tabs.likelihood.score(str(path), name, LIKELIEST)
        assert Path(chart).suffix == ".png" and torch.equal(pixels(chart, 1), pixels(wanted, 1))
        assert words == answer[0]
        shown = {share["label"]: share["confidence"] for share in (shares or {}).get("confidences") or []}
        assert shown == pytest.approx(answer[1] or {}, abs=1e-6)


def test_a_field_is_shown_to_a_client(url, tabs):
    picture, words = Client(url, verbose=False).predict(DIGITS[3], 20, 12, api_name="/receptive_field")
    wanted, said = tabs.receptive_field.show_field(DIGITS[3], 20, 12)
    assert torch.equal(pixels(picture, 1), pixels(wanted, 1)) and words == said


def test_a_picture_that_is_no_longer_kept_is_told(tabs, tmp_path):
    """Gradio deletes uploads after a while, and the page may still ask for another class's bits."""
    gone = str(tmp_path / "gone.png")
    with pytest.raises(gr.Error, match="no longer kept: upload it again"):
        tabs.likelihood.score_asked(tabs.likelihood.asked_for(gone), GATED, LIKELIEST)


def test_errors_reach_the_client(url, tmp_path):
    client = Client(url, verbose=False)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    seven().save(tmp_path / "seven.png")
    Image.new("L", (9, 9)).save(tmp_path / "black.png")
    broken, picture, black = (handle_file(str(tmp_path / f"{name}.png")) for name in ("broken", "seven", "black"))
    settings = (GATED, 1, 1, LIKELIEST, 0)
    for arguments, name, words in (
        (("pixelcnn", 1, 1, EACH, 0), "/sample", "pixelcnn"),
        ((GATED, 17, 1, EACH, 0), "/sample", "17"),
        ((GATED, 1, 1, "dogs", 0), "/sample", "dogs"),
        ((GATED, 1, 1, EACH, -1), "/sample", "-1"),
        ((None, black, *settings), "/complete", "There is no picture"),
        ((broken, black, *settings), "/complete", "The picture is damaged"),
        ((picture, None, *settings), "/complete", "There is no mask"),
        ((picture, broken, *settings), "/complete", "The mask is damaged"),
        ((picture, black, *settings), "/complete", "The mask has no white pixels"),
        ((picture, picture, GATED, 9, 1, LIKELIEST, 0), "/complete", "9"),
        ((broken, GATED, LIKELIEST), "/likelihood", "The picture is damaged"),
        ((picture, GATED, EACH), "/likelihood", EACH),
        ((GATED, 8, 0), "/receptive_field", "from 0 to 7"),
    ):
        with pytest.raises(Exception, match=re.escape(words)):
            client.predict(*arguments, api_name=name)
