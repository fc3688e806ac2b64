"""The theme `pixels` without a browser: its tabs' handlers, directly and through `gradio_client`."""

import math
import re
import types
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
import torch
from gradio_client import Client, handle_file
from PIL import Image
from test_spaces import SPACES, all_tabs, editor, served, seven, slowed, tabs_of, threads, value_of, wait_for

from hub_models.conv_classifier import CIFAR10
from hub_models.images import to_digit, to_photo

GATED, ROW, *DIGITS = (
    "gated-pixelcnn-cifar10", "row-lstm-cifar10",
    "pixelcnn-mnist", "gated-pixelcnn-mnist", "row-lstm-mnist", "diagonal-bilstm-mnist",
)  # fmt: skip
EXAMPLES = [*sorted(SPACES.glob("examples/cifar10/*.png")), *sorted(SPACES.glob("examples/mnist/*.png"))]
EACH, LIKELIEST = "class after class", "likeliest"


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
    value, *_ = tabs.complete.rub_example(index, name)
    return editor(value["background"], mask(hole(tabs.shared.model(name))))


def numbers(note: str) -> list[float]:
    """The figures with a decimal point that a note tells."""
    return [float(x) for x in re.findall(r"\d+\.\d+", note)]


def test_themes_and_endpoints(app, tabs):
    assert [tab.TITLE for tab in app.themes["pixels"].TABS] == ["Sample", "Complete", "How likely", "Receptive field"]
    names = [fn.api_name for fn in app.demo.fns.values()]
    assert len(set(names)) == len(names)
    readme = (SPACES / "pixels" / "README.md").read_text()
    told = re.findall(r"`(\w+)`", readme.partition("The endpoints")[2].partition("serve")[0])
    assert len(told) == 8 and set(told) <= set(names)
    assert (GATED, ROW, *DIGITS) == tabs.shared.NAMES


def test_classes_that_have_no_names_go_by_their_numbers(tabs, monkeypatch):
    monkeypatch.setattr(tabs.shared.model(GATED).config, "names", ())
    assert tabs.shared.class_names() == tuple("0123456789") and tabs.shared.class_of("7", EACH) == 7
    *_, (_, note) = tabs.sample.sample(GATED, 1, 1, "7", 5)
    *_, told, posterior, _ = tabs.likelihood.likely_example(0, GATED, "7")
    assert ": 7 " in note and "class **7**" in told and [*posterior] == [*"0123456789"]


# --- Sample


@pytest.mark.parametrize(("name", "n"), [(GATED, 4), (ROW, 1), (GATED, 16), (DIGITS[0], 5), (DIGITS[3], 2)])
def test_samples_fill_row_by_row_and_are_the_models(tabs, name, n):
    net = tabs.shared.model(name)
    height = net.shape[1]
    label = torch.arange(n) % 10 if net.classes else None
    expected = net.sample(n, label=label, temperature=0.8, generator=torch.Generator().manual_seed(5))
    (blank, _), *frames = tabs.sample.sample(name, n, 0.8, EACH, 5)
    assert blank is None and len(frames) == height
    for rows, (sheet, note) in enumerate(frames, 1):
        shown = cells(sheet, n, net)
        assert torch.equal(shown[:, :, :rows], expected[:, :, :rows]) and (shown[:, :, rows:] == 128).all()
        assert note.startswith(f"{rows} of {height} rows")
    nats = -net.log_prob(expected, label)
    wanted = nats / math.log(2) / expected[0].numel() if net.shape[0] == 3 else nats
    assert numbers(note) == pytest.approx(wanted.tolist(), abs=0.051 if net.shape[0] == 1 else 0.0051)
    assert [name in note for name in CIFAR10] == [bool(net.classes) and i < n for i in range(10)]
    assert not threads()


def test_a_chosen_class_is_drawn(tabs):
    *_, (sheet, note) = tabs.sample.sample(GATED, 2, 1, "frog", 0)
    net = tabs.shared.model(GATED)
    expected = net.sample(2, label=torch.tensor([6, 6]), generator=torch.Generator().manual_seed(0))
    assert torch.equal(cells(sheet, 2, net), expected) and note.count("frog") == 2


def test_a_stream_that_is_closed_ends_its_thread(tabs, monkeypatch):
    net = tabs.shared.model(ROW)
    monkeypatch.setattr(net, "complete", slowed(net, 0.01), raising=False)
    frames = tabs.sample.sample(ROW, 1, 1, EACH, 0)
    next(frames), next(frames)
    assert threads()
    frames.close()
    assert not threads()


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
        next(tabs.sample.sample(**SAMPLE | bad))
    with pytest.raises(gr.Error, match=match):
        next(tabs.complete.complete(rubbed(tabs, GATED), **SAMPLE | {"class_name": LIKELIEST} | bad))
    if bad.keys() & {"name", "class_name"}:
        settings = {"name": GATED, "class_name": LIKELIEST} | bad
        with pytest.raises(gr.Error, match=match):
            tabs.likelihood.likely_example(3, **settings)


# --- Complete


@pytest.mark.parametrize(
    ("name", "n", "class_name"), [(GATED, 3, "dog"), (ROW, 8, LIKELIEST), (DIGITS[1], 1, LIKELIEST)]
)
def test_rubbed_out_pixels_are_filled_and_all_others_kept(tabs, name, n, class_name):
    net = tabs.shared.model(name)
    truth, missing = example(net, 3), hole(net)
    label = torch.tensor([5]) if net.classes else None
    first, *frames = tabs.complete.complete(rubbed(tabs, name), name, n, 0.7, class_name, 11)
    shown, given, sheet, note = frames[-1]
    assert first[:3] == (shown, given, None)  # what it starts from stands there at once
    scale, channels = 256 // net.shape[2], net.shape[0]
    assert torch.equal(pixels(shown, scale)[:channels], truth[0])
    assert torch.equal(pixels(given, scale)[:channels], truth.masked_fill(missing, 128)[0])
    generator = torch.Generator().manual_seed(11)
    expected = net.complete(truth, ~missing, n, label=label, temperature=0.7, generator=generator)[0]
    filled = cells(sheet, n, net)
    assert torch.equal(filled, expected)
    known = (~missing).expand_as(filled)
    assert torch.equal(filled[known], truth.expand_as(filled)[known])
    early = cells(frames[0][2], n, net)
    assert (early == 128).any() and torch.equal(early[known], filled[known])
    nats = -net.log_prob(torch.cat([truth, expected]), None if label is None else label.expand(n + 1))
    wanted = nats / math.log(2) / truth.numel() if channels == 3 else nats
    assert numbers(note) == pytest.approx(wanted.tolist(), abs=0.051 if channels == 1 else 0.0051)
    assert ("As **dog**." in note) == bool(net.classes)


def test_the_likeliest_class_is_taken_for_an_upload(tabs, tmp_path):
    seven().save(tmp_path / "seven.png")
    value, named, _ = tabs.complete.rub_file(str(tmp_path / "seven.png"), GATED)
    net = tabs.shared.model(GATED)
    truth = to_photo(seven(), 8, 8)
    best = CIFAR10[int(net.log_prob(truth.expand(10, -1, -1, -1), torch.arange(10)).argmax())]
    photo = editor(value["background"], mask(hole(net)))
    *_, (*_, note) = tabs.complete.complete(photo, GATED, 1, 1, named, 0)
    assert f"As **{best}**, the class that the whole picture is likeliest under." in note


def test_a_picture_of_the_visitor_s_own_is_taken_anew_for_a_model_of_other_images(tabs, tmp_path):
    seven().save(tmp_path / "seven.png")
    value, _, path = tabs.complete.rub_file(str(tmp_path / "seven.png"), GATED)
    _, digit, label = tabs.complete.turn_complete(DIGITS[0], editor(value["background"]), path)
    own = tabs.complete.take(path, DIGITS[0])
    assert Image.open(digit["background"]) == Image.open(own["background"]) and label["value"] == LIKELIEST
    _, digit, _ = tabs.complete.turn_complete(DIGITS[0], None, str(tmp_path / "gone.png"))
    example, *_ = tabs.complete.rub_example(tabs.complete.FIRST, DIGITS[0])
    assert Image.open(digit["background"]) == Image.open(example["background"])


def test_an_example_brings_its_class_and_another_model_its_examples(tabs):
    value, named, path = tabs.complete.rub_example(6, GATED)
    assert named == "frog" and tabs.complete.rub_example(6, DIGITS[0])[1] == LIKELIEST
    samples, background, label = tabs.complete.turn_complete(ROW, editor(value["background"]), path)
    assert samples == background == gr.skip() and not label["visible"]  # the same picture, and what is rubbed out of it
    samples, digit, label = tabs.complete.turn_complete(DIGITS[0], editor(value["background"]), path)
    digits = zip(samples["samples"], EXAMPLES[10:], strict=True)
    assert all(torch.equal(pixels(shown, 1), pixels(path, 1)) for (shown,), path in digits)
    assert Image.open(digit["background"]).size == (252, 252) and label == gr.update(visible=False, value=LIKELIEST)
    _, photo, label = tabs.complete.turn_complete(GATED, None, path)
    assert Image.open(photo["background"]).size == (256, 256) and label == gr.update(visible=True, value="ship")


def test_bad_holes_and_pictures(tabs, tmp_path):
    background = rubbed(tabs, GATED)["background"]
    whole = mask(hole(tabs.shared.model(GATED)))
    faults = {
        "Nothing is rubbed out": editor(background),
        "Nothing is rubbed": editor(background, Image.new("RGBA", (256, 256))),
        "as large as the picture": editor(background, Image.new("RGBA", (28, 28))),
        "256x256 one": editor(Image.new("RGB", (257, 256)), whole),
        "choose an example or upload": editor(None),
        "choose an example": None,
    }
    for match, value in faults.items():
        with pytest.raises(gr.Error, match=match):
            next(tabs.complete.complete(value, **SAMPLE | {"class_name": LIKELIEST}))
    for handler in (tabs.complete.rub_example, lambda i, name: tabs.likelihood.likely_example(i, name, LIKELIEST)):
        for index in (10, -1, None, "3", 0.5):
            with pytest.raises(gr.Error, match="choose one of 0 to 9"):
                handler(index, ROW)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    for path, match in ((str(tmp_path / "broken.png"), "damaged"), (None, "upload one")):
        with pytest.raises(gr.Error, match=match):
            tabs.complete.rub_file(path, ROW)
        with pytest.raises(gr.Error, match=match):
            tabs.likelihood.likely_file(path, ROW, LIKELIEST)


# --- How likely


@pytest.mark.parametrize("class_name", [LIKELIEST, "cat"])
@pytest.mark.parametrize("name", [GATED, ROW, DIGITS[2]])
def test_a_pictures_bits_are_drawn_and_told(tabs, name, class_name):
    net = tabs.shared.model(name)
    image = example(net, 7)
    taken, seen, heat, note, posterior, path = tabs.likelihood.likely_example(7, name, class_name)
    assert taken is None and Path(path) == EXAMPLES[7 + 10 * (net.shape[0] == 1)]
    assert torch.equal(pixels(seen, 256 // net.shape[2])[: net.shape[0]], image[0])
    label = None
    if net.classes:
        log_p = net.log_prob(image.expand(10, -1, -1, -1), torch.arange(10))
        assert list(posterior.values()) == pytest.approx(log_p.double().softmax(0).tolist(), abs=1e-3)
        label = torch.tensor([3 if class_name == "cat" else int(log_p.argmax())])
        assert f"given the class **{CIFAR10[label]}**" in note
    else:
        assert posterior is None and "class" not in note
    bits = -net.sub_pixel_log_prob(image, label)[0] / math.log(2)
    assert f"**{bits.mean():.2f} bits a sub-pixel**" in note and f"dearest {bits.max():.1f}" in note
    uniform = math.log2(net.config.levels)
    if net.shape[0] == 1:
        maps, shown = bits, pixels(heat, 256 // 28)[None]
    else:
        maps = torch.cat([bits.mean(0, keepdim=True), bits])
        shown = cells(heat, 4, net)
    for wanted, drawn in zip(maps, shown, strict=True):
        for c in range(3):  # black, red, yellow where all values are equally likely, white
            ramp = (2 * wanted / uniform - c).clamp(0, 1) * 255
            assert (drawn[c] - ramp).abs().max() <= 1


def test_the_same_picture_is_scored_again(tabs):
    *_, note, _, path = tabs.likelihood.likely_example(7, GATED, LIKELIEST)
    assert tabs.likelihood.likely_again(path, GATED, LIKELIEST)[2] == note
    samples, label, seen, _, other, posterior = tabs.likelihood.turn_likely(path, DIGITS[0], LIKELIEST)
    assert "nats of the whole image" in other and label == gr.update(visible=False)
    assert posterior == gr.update(visible=False, value=None) and len(samples["samples"]) == 10
    assert Image.open(seen).size == (252, 252)
    assert tabs.likelihood.likely_again(None, GATED, LIKELIEST) == (gr.skip(),) * 4
    assert tabs.likelihood.turn_likely(None, GATED, LIKELIEST)[1:] == (
        gr.update(visible=True), *(gr.skip(),) * 3, gr.update(visible=True),
    )  # fmt: skip


@pytest.mark.parametrize("mode", ["1", "LA", "P", "RGBA", "I;16", "CMYK"])
def test_uploads_of_any_mode_and_size_are_scored(tabs, tmp_path, mode):
    picture = seven(90)
    picture = Image.fromarray(np.asarray(picture).astype(np.uint16) * 257) if mode == "I;16" else picture.convert(mode)
    path = str(tmp_path / ("seven.tiff" if mode == "CMYK" else "seven.png"))
    picture.save(path)
    for name in (ROW, DIGITS[0]):
        seen, *_, kept = tabs.likelihood.likely_file(path, name, LIKELIEST)
        assert kept == path and len(pixels(seen, 1).unique()) > 1


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
    assert f"sees **{part}** before it" in words or f"**every pixel** before it ({total})" in words
    told = sum(int(count) for count in re.findall(r"(\d+) (?:in|straight)", words))
    assert told == total - seen.sum()


def test_the_first_pixel_has_none_before_it(tabs):
    assert tabs.receptive_field.show_field(GATED, 0, 0)[1] == "Row 0, column 0: no pixel comes before this one."
    assert tabs.receptive_field.show_field(GATED, 0, 1)[1] == "Row 0, column 1: it sees **every pixel** before it (1)."


def click(data) -> gr.EventData:
    return gr.EventData(None, data)


def test_clicks_numbers_and_other_models(tabs):
    field = tabs.receptive_field
    assert field.click_field(ROW, click({"index": [64 * 3 + 1, 64 * 5 + 63]})) == (5, 3, *field.show_field(ROW, 5, 3))
    for data in (None, {}, {"index": 3}, {"index": [1]}, {"index": ["1", 2]}, {"index": [512, 0]}, {"index": [0, -1]}):
        with pytest.raises(gr.Error, match="click on one of the picture's squares"):
            field.click_field(ROW, click(data))
    assert field.turn_field(ROW, 20, 6) == (7, 6, *field.show_field(ROW, 7, 6))
    assert field.turn_field(DIGITS[0], None, -1) == (20, 0, *field.show_field(DIGITS[0], 20, 0))
    for y, x, match in ((8, 0, "The row must be a whole number from 0 to 7"), (0, -1, "The column"), (None, 0, "row")):
        with pytest.raises(gr.Error, match=match):
            field.show_field(ROW, y, x)
    with pytest.raises(gr.Error, match="no such model"):
        field.click_field("x", click({"index": [0, 0]}))


# --- through gradio_client


def test_two_visitors_stream_and_do_not_mix(url, tabs):
    clients = {seed: Client(url, verbose=False) for seed in (3, 7)}
    jobs = {seed: client.submit(GATED, 2, 1, EACH, seed, api_name="/sample") for seed, client in clients.items()}
    net = tabs.shared.model(GATED)
    for seed, job in jobs.items():
        frames = list(job)
        rows = [int(note.split()[0]) for _, note in frames if note[0].isdigit()]
        assert len(rows) > 2 and rows == sorted(set(rows)) and rows[-1] == 8
        expected = net.sample(2, label=torch.arange(2), generator=torch.Generator().manual_seed(seed))
        assert torch.equal(cells(frames[-1][0], 2, net), expected)
    for index, client in zip((2, 4), clients.values(), strict=True):
        seen = client.predict(index, ROW, LIKELIEST, api_name="/likely_example")[1]
        assert torch.equal(pixels(seen, 32), example(net, index)[0])
    again = [client.predict(ROW, LIKELIEST, api_name="/likely_again")[0] for client in clients.values()]
    for index, seen in zip((2, 4), again, strict=True):  # each has its own picture again
        assert torch.equal(pixels(seen, 32), example(net, index)[0])


def test_completion_and_field_through_the_client(url, tabs, tmp_path):
    client, net = Client(url, verbose=False), tabs.shared.model(DIGITS[3])
    mask(hole(net)).save(tmp_path / "mask.png")
    seven().save(tmp_path / "seven.png")
    taken, _ = client.predict(handle_file(str(tmp_path / "seven.png")), DIGITS[3], api_name="/rub_file")
    photo = value_of(taken, tmp_path / "mask.png")
    shown, given, sheet, note = client.predict(photo, DIGITS[3], 2, 1, LIKELIEST, 0, api_name="/complete")
    truth = (to_digit(seven()) > 127).to(torch.uint8) * 255
    assert torch.equal(pixels(shown, 9)[:1], truth[0])
    assert torch.equal(pixels(given, 9)[:1], truth.masked_fill(hole(net), 128)[0])
    known = (~hole(net)).expand(2, -1, -1, -1)
    assert torch.equal(cells(sheet, 2, net)[known], truth.expand(2, -1, -1, -1)[known]) and "nats" in note
    assert client.predict(DIGITS[3], 20, 12, api_name="/show_field")[1].startswith("Row 20, column 12")


def test_a_picture_that_is_no_longer_kept_is_told(tabs, tmp_path):
    """Gradio deletes uploads after a while, and the page may still ask for another class's bits."""
    gone = str(tmp_path / "gone.png")
    with pytest.raises(gr.Error, match="no longer kept: upload it again"):
        tabs.likelihood.likely_again(gone, GATED, LIKELIEST)
    samples, label, *shown, posterior = tabs.likelihood.turn_likely(gone, DIGITS[0], LIKELIEST)  # else the tab is torn
    assert len(samples["samples"]) == 10 and label == gr.update(visible=False)
    assert shown[:2] == [None, None] and "no longer kept: upload it again" in shown[2]
    assert posterior == gr.update(visible=False, value=None)


def test_errors_reach_the_client(url, tmp_path):
    client = Client(url, verbose=False)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    broken = handle_file(str(tmp_path / "broken.png"))
    nothing = {"background": None, "layers": [], "composite": None, "id": None}
    for arguments, name, told in (
        (("pixelcnn", 1, 1, EACH, 0), "/sample", "pixelcnn"),
        ((GATED, 17, 1, EACH, 0), "/sample", "17"),
        ((GATED, 1, 1, "dogs", 0), "/sample", "dogs"),
        ((GATED, 1, 1, EACH, -1), "/sample", "-1"),
        ((nothing, GATED, 1, 1, LIKELIEST, 0), "/complete", "choose an example"),
        ((nothing | {"background": broken}, GATED, 1, 1, LIKELIEST, 0), "/complete", "damaged"),
        ((nothing | {"layers": [broken] * 5}, GATED, 1, 1, LIKELIEST, 0), "/complete", "at most 4 layers"),
        ((broken, GATED, LIKELIEST), "/likely_file", "damaged"),
        ((99, GATED, LIKELIEST), "/likely_example", "choose one of 0 to 9"),
        ((GATED, 8, 0), "/show_field", "from 0 to 7"),
    ):
        with pytest.raises(Exception, match=re.escape(told)):
            client.predict(*arguments, api_name=name)


def test_cancelled_jobs_stop_the_model(url, tabs, monkeypatch):
    net = tabs.shared.model(ROW)
    monkeypatch.setattr(net, "complete", slowed(net, 0.02), raising=False)
    client = Client(url, verbose=False)
    taken, _ = client.predict(3, ROW, api_name="/rub_example")
    whole = mask(torch.ones(1, 1, 8, 8, dtype=torch.bool))
    whole.save(path := Path(taken["background"]).parent / "whole.png")
    for arguments, name in (
        ((ROW, 1, 1, EACH, 0), "/sample"),
        ((value_of(taken, path), ROW, 1, 1, LIKELIEST, 0), "/complete"),
    ):
        job = client.submit(*arguments, api_name=name)
        wait_for(lambda job=job: len(job.outputs()) > 1)
        assert threads()
        job.cancel()
        wait_for(lambda: not threads(), 3)  # uncancelled it would go on for 4 s
