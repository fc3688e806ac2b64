"""The Spaces without a browser: `live`, the tabs' handlers, the apps through `gradio_client` and as processes."""

import asyncio
import contextlib
import importlib.util
import json
import math
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
import types
import uuid
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gradio as gr
import httpx
import numpy as np
import pytest
import torch
from conftest import from_config
from gradio.route_utils import delete_files_created_by_app
from gradio_client import Client, handle_file
from PIL import Image, ImageDraw

import hub_models
from hub_models.conv_classifier import CIFAR10
from hub_models.spacekit import frame, pictures, weights
from hub_models.spacekit.live import live

ROOT = Path(__file__).parents[1]
SPACES = ROOT / "spaces"
SMALL = {"layers": 2, "hidden": 4, "head": 4}
PHOTO = SMALL | {"channels": 3, "height": 8, "width": 8, "levels": 256}
PLAY = """HAMLET:
To be, or not to be, that is the question:
Whether 'tis nobler in the mind to suffer
The slings and arrows of outrageous fortune,
Or to take arms against a sea of troubles.

JULIET:
O Romeo, Romeo! wherefore art thou Romeo?
If music be the food of love, play on.
"""
TEXT = {"embedding": 8, "widths": (12, 8)}
LETTERS = TEXT | {"vocab_size": len(set(PLAY))}  # of more, the sign for unknown ones would be among those predicted


def tiny_models() -> dict[str, hub_models.HubModel]:
    """An untrained model for each checkpoint that the Spaces use."""
    torch.manual_seed(0)
    configs = {
        "gru128-mnist-classify": hub_models.PixelClassifierConfig(hidden_size=8, timescale=784),
        "gru128-mnist-predict": hub_models.PixelPredictorConfig(hidden_size=4),
        "cifar10-fast": hub_models.FastCNNConfig(widths=(8, 70, 16)),
        "cnn5x32-cifar10-study": hub_models.CNNConfig(num_layers=3, filters=6),
        "gated-pixelcnn-cifar10": hub_models.GatedPixelCNNConfig(classes=10, names=CIFAR10, **PHOTO),
        "row-lstm-cifar10": hub_models.RowLSTMConfig(**PHOTO),
        "pixelcnn-mnist": hub_models.PixelCNNConfig(**SMALL),
        "gated-pixelcnn-mnist": hub_models.GatedPixelCNNConfig(**SMALL),
        "row-lstm-mnist": hub_models.RowLSTMConfig(**SMALL),
        "diagonal-bilstm-mnist": hub_models.DiagonalBiLSTMConfig(**SMALL),
    }
    models = {name: hub_models.MODELS[config.model_type](config).eval() for name, config in configs.items()}
    # far from indifferent, so that different digits, and classes, get different answers
    models["gru128-mnist-classify"].head[-1].weight.data *= 20
    for layer in models["gated-pixelcnn-cifar10"].layers:
        layer.label.weight.data.normal_(0, 3)
    models["gated-pixelcnn-cifar10"].head.last.weight.data *= 20
    texts = {
        "word-lstm-plays": hub_models.WordLSTMConfig(tied=True, **TEXT),
        "char-lstm-shakespeare": hub_models.CharLSTMConfig(**LETTERS),
        "char-gru512-shakespeare-study": hub_models.CharLSTMConfig(cell="gru", **LETTERS),
    }
    models |= {name: from_config(config, [PLAY]).eval() for name, config in texts.items()}
    for name in texts:
        for parameter in models[name].parameters():
            parameter.data *= 4
    return models


def load_app(path: Path, monkeypatch: pytest.MonkeyPatch):
    """An app.py as a module, with tiny untrained models in place of the shipped ones."""
    models = tiny_models()
    monkeypatch.setattr(weights, "load", lambda name, map_location: models[name].to(map_location))
    for name in [name for name in sys.modules if name.partition(".")[0].endswith("_tabs")]:
        monkeypatch.delitem(sys.modules, name)
    spec = importlib.util.spec_from_file_location("app_under_test", path)
    app = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(app)
    return app


@contextlib.contextmanager
def all_tabs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[types.ModuleType]:
    """The all-tabs app, `load_app`'s, with caches of its own."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("gradio")))
        monkeypatch.setenv("HF_HOME", str(tmp_path_factory.mktemp("hf")))
        yield load_app(SPACES / "scanline" / "app.py", monkeypatch)


def tabs_of(app: types.ModuleType, theme: str, **shared: str) -> types.SimpleNamespace:
    """The modules of a theme's tabs by name, and others of its folder, by the name to call them."""
    named = {tab.__name__.rpartition(".")[2]: tab for tab in app.themes[theme].TABS}
    return types.SimpleNamespace(**named, **{key: sys.modules[f"{theme}_tabs.{name}"] for key, name in shared.items()})


@contextlib.contextmanager
def served(app: types.ModuleType) -> Iterator[str]:
    """The address of an app while it runs."""
    _, url, _ = app.demo.launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1", **frame.options())
    yield url
    try:
        app.demo.close()
    except RuntimeError:  # its event for the end is set while the server waits for another: a race of Gradio's
        app.demo.server.close()


def slowed(model: torch.nn.Module, seconds: float):
    """A `complete` like the model's, which `sample` calls too, that takes so long a sub-pixel."""

    def complete(*args, progress, **kwargs):
        def wait(*state):
            time.sleep(seconds)
            progress(*state)

        return type(model).complete(model, *args, progress=wait, **kwargs)

    return complete


def threads() -> list[str]:
    """Names of the threads that `live` has running."""
    return [t.name for t in threading.enumerate() if t.name == "live"]


def wait_for(condition, seconds: float = 20):
    """Poll until the condition holds; its value."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
    return value


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """The all-tabs app, hurried up."""
    with all_tabs(tmp_path_factory) as app, pytest.MonkeyPatch.context() as monkeypatch:
        for tab in app.themes["digits"].TABS:
            monkeypatch.setattr(tab, "PAUSE", 0.005)
        yield app


@pytest.fixture(scope="module")
def classify(app):
    return app.themes["digits"].TABS[0]


@pytest.fixture(scope="module")
def inpaint(app):
    return app.themes["digits"].TABS[1]


@pytest.fixture(scope="module")
def url(app):
    with served(app) as url:
        yield url


def seven(size: int = 280) -> Image.Image:
    """A 7, black on white."""
    picture = Image.new("L", (size, size), 255)
    corners = [(0.3 * size, 0.2 * size), (0.7 * size, 0.2 * size), (0.45 * size, 0.8 * size)]
    ImageDraw.Draw(picture).line(corners, fill=0, width=max(1, size // 12))
    return picture


def in_mode(picture: Image.Image, mode: str) -> Image.Image:
    if mode == "I;16":
        return Image.fromarray(np.asarray(picture).astype(np.uint16) * 257)
    return picture.convert(mode)


def editor(background: Image.Image | str | None, *layers: Image.Image) -> dict:
    """The value of an ImageEditor as a handler gets it."""
    if isinstance(background, str):
        background = Image.open(background).convert("RGBA")
    return {"background": background, "layers": list(layers), "composite": background}


def read_pixels(path: str, scale: int) -> np.ndarray:
    """One pixel of each block of an enlarged picture, uint8."""
    return np.asarray(Image.open(path).convert("L"))[::scale, ::scale]


def mask(blank: np.ndarray) -> Image.Image:
    """bool (28, 28) -> the layer on which those pixels are brushed over."""
    alpha = Image.fromarray(blank.astype(np.uint8) * 255).resize((280, 280), Image.Resampling.NEAREST)
    layer = Image.new("RGBA", (280, 280), (249, 115, 22, 0))
    layer.putalpha(alpha)
    return layer


def cells(sheet: str, n: int) -> np.ndarray:
    """The n images of a sheet of at most 4 unfinished completions, uint8 (n, 28, 28)."""
    pixels = read_pixels(sheet, 9)
    columns = pixels.shape[1] // 29
    places = [(i // columns * 29 + 1, i % columns * 29 + 1) for i in range(n)]
    return np.stack([pixels[y : y + 28, x : x + 28] for y, x in places])


def finished(update: dict) -> tuple[np.ndarray, list[str]]:
    """The truth and the completions in the gallery, uint8 (1 + n, 28, 28), and their captions."""
    paths, captions = zip(*update["value"], strict=True)
    return np.stack([read_pixels(path, 9) for path in paths]), list(captions)


HOLE = np.zeros((28, 28), dtype=bool)
HOLE[12:16, 8:20] = True


# --- hub_models.spacekit.live


def count_to(steps, fail_at=None, seen=None):
    """A model call that counts in place, in one tensor."""

    def call(progress):
        images = torch.zeros(1)
        for i in range(steps):
            if i == fail_at:
                raise ValueError("out of ink")
            images += 1
            if seen is not None:
                seen.append(i)
            progress(images, i + 1, steps)
        return images

    return call


def test_live_yields_copies_as_they_come_and_the_result_last():
    snapshots = list(live(count_to(40), every=7))
    assert [done for _, done, _ in snapshots] == [7, 14, 21, 28, 35, 40]
    assert [float(images) for images, _, _ in snapshots] == [7, 14, 21, 28, 35, 40]
    assert {total for _, _, total in snapshots} == {40}
    assert [done for _, done, _ in live(count_to(3))] == [1, 2, 3]
    assert not threads()


def test_live_with_nothing_to_report_still_yields_the_result():
    assert list(live(lambda progress: torch.ones(2)))[0][0].tolist() == [1, 1]


def test_live_given_up_stops_the_call_and_leaves_no_thread():
    seen = []

    def call(progress):
        try:
            count_to(1000, seen=seen)(progress)
        finally:
            time.sleep(0.1)
            seen.append("over")

    snapshots = live(call)
    next(snapshots)
    wait_for(lambda: len(seen) == 3)  # the second is the snapshot ahead, the third waits to be taken
    assert threads()
    snapshots.close()
    assert not threads()
    assert seen == [0, 1, 2, "over"]


def test_live_passes_the_calls_error_on():
    with pytest.raises(ValueError, match="out of ink"):
        list(live(count_to(9, fail_at=3)))
    assert not threads()

    def stopped(progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):  # no Exception, and for it, too, somebody waits
        list(live(stopped))
    assert not threads()


# --- handlers


def test_equal_pictures_share_a_file_that_is_written_once(classify):
    path = classify.kept(seven())
    Path(path).write_bytes(b"on its way to a browser")
    assert classify.kept(seven()) == path != classify.kept(seven(140))
    assert Path(path).read_bytes() == b"on its way to a browser"
    Path(path).unlink()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_mode_is_read_as_the_same_digit(app, classify, tmp_path, mode):
    black_and_white = seven().point(lambda v: 255 * (v > 127))
    in_mode(black_and_white, mode).save(tmp_path / "seven.png")
    own, reading = classify.read_file(str(tmp_path / "seven.png"))
    assert (np.asarray(Image.open(own).convert("L")) == np.asarray(black_and_white)).all()
    *frames, (picture, prediction, probabilities, curves, pixels) = classify.play(reading)
    assert len(frames) == 27 and pixels == 784
    expected = hub_models.images.to_digit(black_and_white)
    assert torch.equal(reading.digit, expected[0] > 127)
    assert list(probabilities.values()) == pytest.approx(classify.model().predict(expected)[0].tolist(), abs=1e-6)
    best = max(probabilities, key=probabilities.get)
    assert prediction == f"### Prediction: {best} ({100 * probabilities[best]:.1f} %)"
    assert curves.shape == (280, 3)
    assert np.array_equal(read_pixels(picture, 10) == 255, reading.digit[0].numpy())


def test_frames_show_what_is_read_and_dim_the_rest(classify):
    digit = classify.from_example(4).image
    on = digit[0, 0].numpy() > 127
    expected = classify.model().predict_prefixes(digit)[0]
    frames = list(classify.play(classify.read_example(4)[1]))
    assert len(frames) == 28
    for row, (picture, prediction, probabilities, curves, pixels) in enumerate(frames):
        shown = read_pixels(picture, 10)
        assert pixels == 28 * (row + 1)
        assert np.array_equal(shown[: row + 1], np.where(on[: row + 1], 255, 0))
        assert set(shown[row + 1 :].flatten()) <= {70, 120}
        assert list(probabilities.values()) == pytest.approx(expected[pixels - 1].tolist())
        assert f"Prediction: {expected[pixels - 1].argmax()} (" in prediction
        assert (f"after {pixels} of 784 pixels" in prediction) == (pixels < 784)
        assert curves["pixels read"].max() == pixels
        assert sorted(curves["digit"]) == sorted("0123456789" * (row + 1))  # the plot keeps the legend it begins with
        for point in curves.to_dict("records"):
            told = expected[point["pixels read"] - 1, int(point["digit"])]
            assert point["probability"] == pytest.approx(float(told))


def test_a_new_reading_ends_the_playing_of_the_old_one(classify, tmp_path):
    seven().save(tmp_path / "seven.png")
    newer = (
        lambda before: classify.read_example(2, before),
        lambda before: classify.read_file(str(tmp_path / "seven.png"), before),
        lambda before: classify.read_stroke(editor(seven()), before),
        lambda before: classify.look_back(before, 5),
        classify.clear,
    )
    for handler in newer:
        _, before = classify.read_example(8)
        frames = classify.play(before)
        next(frames)
        assert classify.read_stroke(editor(None), before) == gr.skip() and next(frames)  # no new reading: it goes on
        handler(before)
        assert not list(frames)
    with pytest.raises(gr.Error):
        classify.read_file(None, before)


def test_without_a_reading_all_results_are_empty(classify):
    drawing, picture, reading = classify.clear(None)
    assert drawing["layers"] == [] and picture is None and reading is None
    ((shown, prediction, probabilities, curves, pixels),) = classify.play(reading)
    assert (shown, prediction, probabilities, len(curves), pixels) == (None, "", None, 0, 784)


def test_your_picture_is_turned_as_its_camera_says(classify, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter to the right
    seven(900).convert("RGB").transpose(Image.Transpose.ROTATE_90).save(tmp_path / "seven.jpg", exif=exif, quality=95)
    shown = np.asarray(Image.open(classify.read_file(str(tmp_path / "seven.jpg"))[0]).convert("L")) < 128
    assert shown.shape == (280, 280) and (shown != (np.asarray(seven()) < 128)).mean() < 0.02


def test_look_back(classify):
    _, reading = classify.read_example(2)
    picture, prediction, probabilities, curves = classify.look_back(reading, 30)
    assert (read_pixels(picture, 10)[2:] != 255).all() and "after 30 of 784 pixels" in prediction
    assert set(curves["pixels read"]) == {28} and set(curves["digit"]) == set("0123456789")
    assert list(probabilities.values()) == pytest.approx(reading.probabilities[29].tolist())
    for pixels in (0, 785, 1.5, math.nan, None, "30"):
        with pytest.raises(gr.Error, match="whole number from 1 to 784"):
            classify.look_back(reading, pixels)
    with pytest.raises(gr.Error, match="choose or draw a digit first"):
        classify.look_back(None, 784)


@pytest.mark.whole_data
def test_examples_are_the_first_validation_image_of_each_class(classify, mnist):
    """Not test images, which the evaluation commands alone read."""
    assert [Path(p).stem for p in classify.from_example.__globals__["EXAMPLES"]] == list("0123456789")
    for i in range(10):
        first = mnist.images[(mnist.labels == i).nonzero()[0, 0]]
        assert torch.equal(classify.from_example(i).image[0], first)
    for index in (10, -1, None, "3", 0.5, math.nan):
        with pytest.raises(gr.Error, match="choose one of 0 to 9"):
            classify.from_example(index)


def png_header(width: int, height: int) -> bytes:
    """The start of a PNG that claims to be that large."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    header = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + header + struct.pack(">I", 99) + b"IDAT"


def test_large_pictures_are_read_and_larger_ones_refused(inpaint, tmp_path):
    path = str(tmp_path / "picture.png")
    seven(8000).save(path, compress_level=1)
    small = hub_models.images.to_digit(seven(280)) > 127
    assert ((inpaint.from_file(path).image > 127) != small).sum() < 15  # the same digit, up to the edges of its strokes
    Image.new("1", (8193, 2)).save(path)
    with pytest.raises(gr.Error, match="at most 8192 pixels a side"):
        inpaint.from_file(path)
    Path(path).write_bytes(png_header(30_000, 30_000))
    with pytest.raises(gr.Error, match="at most 8192 pixels a side"):
        inpaint.from_file(path)


@pytest.mark.parametrize("fault", ["cut", "text", "empty", "svg", "header"])
def test_damaged_files_are_refused(classify, tmp_path, fault):
    path = tmp_path / "picture.png"
    seven().save(path)
    whole = path.read_bytes()
    faults = {"cut": whole[: len(whole) // 2], "text": b"seven", "empty": b"", "svg": b"<svg/>", "header": whole[:40]}
    path.write_bytes(faults[fault])
    with pytest.raises(gr.Error, match="damaged"):
        classify.read_file(str(path))


@pytest.mark.parametrize("size", [(1, 1), (28, 28), (280, 280)])
@pytest.mark.parametrize("colour", ["black", "white", "#0000"])
def test_empty_pictures_are_refused(classify, inpaint, tmp_path, size, colour):
    picture, path = Image.new("RGBA", size, colour), str(tmp_path / "empty.png")
    picture.save(path)
    for handler, value in (
        (classify.read_file, path),
        (classify.read_drawing, editor(picture)),
        (inpaint.take_drawing, editor(picture)),
    ):
        with pytest.raises(gr.Error, match="empty: draw or choose a digit"):
            handler(value)


@pytest.mark.parametrize("value", [None, editor(None)])
def test_nothing_drawn(classify, inpaint, value):
    with pytest.raises(gr.Error, match="Nothing is drawn"):
        classify.read_drawing(value)
    with pytest.raises(gr.Error, match="Nothing is drawn"):
        inpaint.take_drawing(value)
    assert classify.read_stroke(value) == gr.skip()  # reported when the pad appears: no fault of the visitor
    for handler in (lambda: next(inpaint.fill(value, 784, 1, 1, 0)), lambda: inpaint.hide_bottom(value)):
        with pytest.raises(gr.Error, match="choose an example"):
            handler()
    with pytest.raises(gr.Error, match="upload one"):
        inpaint.take_file(None)


def test_drawing_is_prepared_as_mnist_is(classify):
    _, reading = classify.read_stroke(editor(seven()))
    assert torch.equal(reading.digit, hub_models.images.to_digit(seven())[0] > 127)


@pytest.mark.parametrize("n", [1, 3, 8])
def test_hidden_pixels_are_filled_and_all_others_kept(inpaint, n):
    taken, *emptied = inpaint.take_example(5)
    assert emptied == [None, gr.update(value=None, visible=False), gr.update(value=None, visible=True), ""]
    truth = read_pixels(taken["background"], 10)
    frames = inpaint.fill(editor(taken["background"], mask(HOLE)), 784, n, 0.7, 11)
    first, *_, (given, growing, gallery, note) = frames
    assert first[0] == given and growing == gr.update(visible=False)  # what it starts from stands there at once
    assert "gru128-mnist-predict, seed 11, temperature 0.7" in note and "seed 11, temperature 0.7" in first[3]
    assert np.array_equal(read_pixels(given, 9), np.where(HOLE, 128, truth))
    (shown, *filled), captions = finished(gallery)
    filled = np.stack(filled)
    assert np.array_equal(shown, truth) and len(filled) == n
    assert (filled[:, ~HOLE] == truth[~HOLE]).all() and np.isin(filled[:, HOLE], (0, 255)).all()
    images, known = torch.tensor(truth)[None, None], torch.from_numpy(~HOLE)[None, None]
    generator = torch.Generator().manual_seed(11)
    expected = inpaint.model().complete(images, known, n, temperature=0.7, generator=generator)[0]
    assert np.array_equal(filled, expected[:, 0].numpy())
    costs = -inpaint.model().log_prob(torch.cat([images, expected]))
    names = ["The truth", *(f"Completion {i + 1}" for i in range(n))]
    assert captions == [f"{name}, total surprise: {c:.1f} nats" for name, c in zip(names, costs.tolist(), strict=True)]


def test_half_a_block_under_the_brush_is_missing(inpaint):
    layer = np.zeros((280, 280, 4), dtype=np.uint8)
    layer[100:110, 100:105, 3] = 1  # half of pixel (10, 10), however faintly
    layer[100:110, 110:114, 3] = 255  # less than half of its neighbour
    background = inpaint.take_example(0)[0]["background"]
    hidden = inpaint.brushed(editor(background, Image.fromarray(layer)), 28, 28)[0, 0]
    assert hidden.nonzero().tolist() == [[10, 10]]


def test_unfilled_pixels_are_grey_while_it_fills(inpaint):
    background = inpaint.take_example(8)[0]["background"]
    frames = list(inpaint.fill(editor(background, mask(HOLE)), 784, 2, 1, 0))
    first, last = np.flatnonzero(HOLE)[[0, -1]]
    over = last - first + 1  # what the model goes over, known pixels between too
    words = [note.partition(". ")[0] for *_, note in frames[1:-1]]
    assert words == [f"{done} of {over} pixels are filled" for done in (28, 56, 84)]
    for row, (_, sheet, gallery, _) in enumerate(frames[1:-1]):
        filled, left = cells(sheet, 2), HOLE & (np.arange(784).reshape(28, 28) >= first + 28 * (row + 1))
        assert (filled[:, left] == 128).all() and (filled[:, ~left] != 128).all() and gallery == gr.skip()


@pytest.mark.parametrize("first", [1, 10, 28, 784])
def test_of_the_bottom_300_the_first_are_filled_and_the_rest_stays_grey(inpaint, first):
    taken = inpaint.take_example(9)[0]
    with Image.open(taken["background"]) as background, Image.open(taken["background"]) as drawn:
        hidden = inpaint.hide_bottom(editor(background.convert("RGBA"), mask(HOLE)))  # HOLE is forgotten
        assert np.array_equal(read_pixels(hidden["background"], 10), np.asarray(drawn)[::10, ::10])
    layers = [Image.open(layer) for layer in hidden["layers"]]
    *_, (given, _, gallery, note) = inpaint.fill(editor(hidden["background"], *layers), first, 2, 1, 0)
    truth, order = read_pixels(taken["background"], 10), np.arange(784).reshape(28, 28)
    (shown, *filled), captions = finished(gallery)
    filled = np.stack(filled)
    assert np.array_equal(shown, truth)
    assert (filled[:, order < 484] == truth[order < 484]).all()
    assert np.isin(filled[:, (order >= 484) & (order < 484 + first)], (0, 255)).all()
    assert (filled[:, order >= 484 + first] == 128).all()
    assert np.array_equal(read_pixels(given, 9) == 128, order >= 484)
    assert f"{min(first, 300)} of 300 hidden pixels are filled" in note
    assert all(("nats" in caption) == (first == 784) for caption in captions)  # a half-blank image has no probability


def test_everything_hidden_is_sampling(inpaint):
    background = inpaint.take_example(1)[0]["background"]
    *_, (_, _, gallery, _) = inpaint.fill(editor(background, mask(np.ones((28, 28), bool))), 784, 2, 1, 5)
    expected = inpaint.model().sample(2, generator=torch.Generator().manual_seed(5))
    assert np.array_equal(finished(gallery)[0][1:], expected[:, 0].numpy())


@pytest.mark.parametrize("scale", [1, 10])
def test_a_program_completes_a_digit_by_a_mask_file(inpaint, tmp_path, scale):
    white = Image.fromarray(np.where(HOLE, 129, 127).astype(np.uint8))  # more, and less, than half as bright
    white.resize((28 * scale, 28 * scale), Image.Resampling.NEAREST).save(tmp_path / "mask.png")
    seven().save(tmp_path / "seven.png")
    files = str(tmp_path / "seven.png"), str(tmp_path / "mask.png")
    pictures, note = inpaint.complete_digit(*files, 2, 0.5, 3)
    background = inpaint.take_file(files[0])[0]["background"]
    *_, (_, _, gallery, words) = inpaint.fill(editor(background, mask(HOLE)), 784, 2, 0.5, 3)
    assert pictures == gallery["value"][1:] and note == words
    Image.new("L", (90, 50), 127).save(tmp_path / "mask.png")
    with pytest.raises(gr.Error, match="no white pixels"):
        inpaint.complete_digit(*files)
    with pytest.raises(gr.Error, match="There is no mask"):
        inpaint.complete_digit(files[0], None)
    with pytest.raises(gr.Error, match="There is no picture"):
        inpaint.complete_digit(None, files[1])


GOOD = {"n": 2, "temperature": 1.0, "seed": 0}


@pytest.mark.parametrize("bad", [{"n": v} for v in (0, 9, 99, 1.5, math.nan, math.inf, None, "2")])
def test_bad_numbers_of_completions(inpaint, bad):
    with pytest.raises(gr.Error, match="whole number from 1 to 8"):
        next(inpaint.fill(editor(inpaint.take_example(1)[0]["background"], mask(HOLE)), 784, **GOOD | bad))


@pytest.mark.parametrize("bad", [{"temperature": v} for v in (-1, 2.1, math.nan, math.inf, None, "1")])
def test_bad_temperatures(inpaint, bad):
    with pytest.raises(gr.Error, match="temperature must be a number from 0 to 2"):
        next(inpaint.fill(editor(inpaint.take_example(1)[0]["background"], mask(HOLE)), 10, **GOOD | bad))


@pytest.mark.parametrize("bad", [{"seed": v} for v in (-1, 2**31, 1e300, 0.5, math.nan, None, "0")])
def test_bad_seeds(inpaint, bad):
    with pytest.raises(gr.Error, match="random seed must be a whole number from 0 to 2147483647"):
        next(inpaint.fill(editor(inpaint.take_example(1)[0]["background"], mask(HOLE)), 10, **GOOD | bad))


def test_bad_holes_and_pictures(inpaint):
    background = inpaint.take_example(1)[0]["background"]
    faults = {
        "Nothing is hidden": editor(background),
        "Nothing is hid": editor(background, mask(np.zeros((28, 28), bool))),
        "as large as the picture": editor(background, Image.new("RGBA", (28, 28))),
        "280x280 picture": editor(Image.new("RGB", (281, 280)), mask(HOLE)),
    }
    for match, value in faults.items():
        with pytest.raises(gr.Error, match=match):
            next(inpaint.fill(value, 784, **GOOD))
    for first in (0, 7, 300, None, math.nan, [1], "1"):
        with pytest.raises(gr.Error, match="one of 1, 10, 28, 784"):
            next(inpaint.fill(editor(background, mask(HOLE)), first, **GOOD))


# --- through gradio_client


class Visitor:
    """A page's session with an app: it calls handlers that are private to the page."""

    def __init__(self, app: types.ModuleType, url: str):
        self.app, self.session = app, uuid.uuid4().hex
        self.http = httpx.Client(base_url=f"{url}gradio_api", timeout=60)

    def upload(self, file: Path) -> dict:
        """Upload a file; its value in a request."""
        (path,) = self.http.post("/upload", files={"files": file.open("rb")}).json()
        return {"path": path, "meta": {"_type": "gradio.FileData"}}

    def begin(self, handler: Callable, *values) -> dict:
        """Let a handler begin; what a request to cancel it holds."""
        index = next(index for index, fn in self.app.demo.fns.items() if fn.fn is handler)
        body = {"fn_index": index, "session_hash": self.session}
        joined = self.http.post("/queue/join", json=body | {"data": values}).json()
        return body | {"event_id": joined["event_id"]}

    def ask(self, handler: Callable, *values) -> tuple:
        """What a handler returns, or yields last.

        Raises:
            RuntimeError: it ended in an error, whose words the page is sent.
        """
        self.begin(handler, *values)
        with self.http.stream("GET", "/queue/data", params={"session_hash": self.session}) as reply:
            for line in filter(None, reply.iter_lines()):
                message = json.loads(line.removeprefix("data: "))
                if message["msg"] == "process_completed":
                    if not message["success"]:
                        raise RuntimeError(message["output"]["error"])
                    return tuple(message["output"]["data"])
        raise AssertionError("no answer")


NOTHING = {"background": None, "layers": [], "composite": None, "id": None}


def drawing(background: dict, *layers: dict) -> dict:
    """The value of an editor in a request."""
    return NOTHING | {"background": background, "layers": list(layers)}


def test_programs_have_two_endpoints_and_every_listener_a_name(app):
    ours = [fn for fn in app.demo.fns.values() if getattr(fn.fn, "__module__", "").startswith("digits_tabs")]
    names = [fn.api_name for fn in ours if fn.api_visibility == "public"]
    assert sorted(names) == ["complete_digit", "read_digit"]
    assert all(isinstance(fn.api_name, str) and "lambda" not in fn.api_name for fn in ours)
    for fn in ours:
        if fn.api_visibility == "public":
            assert not {"state", "imageeditor", "json"} & {block.get_block_name() for block in fn.inputs}


def test_two_visitors_at_once_do_not_mix(app, url, classify):
    visitors = {i: Visitor(app, url) for i in (3, 7)}
    for i, visitor in visitors.items():
        visitor.ask(classify.read_example, i, None)

    def watch(i: int) -> None:
        _, _, probabilities, _, pixels = visitors[i].ask(classify.play, None)
        expected = classify.model().predict(classify.from_example(i).image)[0]
        told = {int(c["label"]): c["confidence"] for c in probabilities["confidences"]}
        assert pixels == 784 and [told[k] for k in range(10)] == pytest.approx(expected.tolist(), abs=1e-6)

    with ThreadPoolExecutor() as pool:
        list(pool.map(watch, visitors))
    for i, visitor in visitors.items():  # each looks back at its own
        picture, *_ = visitor.ask(classify.look_back, None, 784)
        seen = classify.from_example(i).image[0, 0].numpy() > 127
        assert np.array_equal(read_pixels(picture["path"], 10) == 255, seen)


def test_a_page_that_has_just_opened_looks_back_at_the_example(app, url, classify):
    visitor = Visitor(app, url)
    picture, prediction, *_ = visitor.ask(classify.look_back, None, 784)
    seen = classify.from_example(classify.FIRST).image[0, 0].numpy() > 127
    assert np.array_equal(read_pixels(picture["path"], 10) == 255, seen) and "Prediction: " in prediction
    visitor.ask(classify.clear, None)
    with pytest.raises(RuntimeError, match="Nothing is read yet"):
        visitor.ask(classify.look_back, None, 784)


def test_programs_read_and_complete_a_digit(url, classify, inpaint, tmp_path):
    Image.fromarray(HOLE.astype(np.uint8) * 255).save(tmp_path / "mask.png")
    seven().save(tmp_path / "seven.png")
    client = Client(url, verbose=False)
    picture, hole = (handle_file(str(tmp_path / name)) for name in ("seven.png", "mask.png"))
    seen, label = client.predict(picture, api_name="/read_digit")
    digit = hub_models.images.to_digit(seven())
    assert np.array_equal(read_pixels(seen, 10) == 255, digit[0, 0].numpy() > 127)
    told = {int(c["label"]): c["confidence"] for c in label["confidences"]}
    assert [told[k] for k in range(10)] == pytest.approx(classify.model().predict(digit)[0].tolist(), abs=1e-6)
    completed, words = client.predict(picture, hole, n=4, temperature=0.5, seed=2, api_name="/complete_digit")
    truth = inpaint.as_seen(digit)[0, 0].numpy()
    filled = np.stack([read_pixels(one["image"], 9) for one in completed])
    assert len(filled) == 4 and all(one["image"].endswith(".png") for one in completed)
    assert (filled[:, ~HOLE] == truth[~HOLE]).all() and np.isin(filled[:, HOLE], (0, 255)).all()
    assert all(re.fullmatch(r"Completion \d, total surprise: \d+\.\d nats", one["caption"]) for one in completed)
    assert "gru128-mnist-predict, seed 2, temperature 0.5" in words


def test_a_page_completes_what_its_brush_hides(app, url, inpaint, tmp_path):
    mask(HOLE).save(tmp_path / "mask.png")
    seven().save(tmp_path / "seven.png")
    visitor = Visitor(app, url)
    taken, *_ = visitor.ask(inpaint.take_file, visitor.upload(tmp_path / "seven.png"))
    value = drawing(taken["background"], visitor.upload(tmp_path / "mask.png"))
    given, _, gallery, words = visitor.ask(inpaint.fill, value, 784, 2, 1, 0)
    truth = inpaint.as_seen(hub_models.images.to_digit(seven()))[0, 0].numpy()
    assert np.array_equal(read_pixels(given["path"], 9), np.where(HOLE, 128, truth))
    assert len(gallery["value"]) == 3 and "seed 0" in words


def test_errors_reach_the_client_and_tracebacks_do_not(app, url, classify, inpaint, tmp_path, monkeypatch):
    client, visitor = Client(url, verbose=False), Visitor(app, url)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    (tmp_path / "notes.txt").write_text("no picture")
    Image.new("L", (28, 28)).save(tmp_path / "black.png")
    Image.new("RGBA", (1121, 280)).save(tmp_path / "wide.png")
    seven().save(tmp_path / "seven.png")
    names = ("broken.png", "notes.txt", "black.png", "seven.png")
    broken, notes, black, good = (handle_file(str(tmp_path / name)) for name in names)
    kinds = "of an unknown kind: give a PNG, JPEG, WebP, GIF, BMP or TIFF"
    for arguments, name, told in (
        ((broken,), "/read_digit", kinds),
        ((notes,), "/read_digit", kinds),
        ((None,), "/read_digit", "There is no picture"),
        ((good, notes), "/complete_digit", f"The mask is damaged or {kinds}"),
        ((good, None), "/complete_digit", "There is no mask"),
        ((good, black), "/complete_digit", "no white pixels"),
        ((good, good, 99), "/complete_digit", "99"),
        ((good, good, 1, -1), "/complete_digit", "-1"),
        ((good, good, 1, 1, 10**12), "/complete_digit", "Random seed: Value 1000000000000 is greater than"),
    ):
        with pytest.raises(Exception, match=re.escape(told)):
            client.predict(*arguments, api_name=name)
    broken, notes, wide = (visitor.upload(tmp_path / name) for name in ("broken.png", "notes.txt", "wide.png"))
    background = visitor.ask(inpaint.take_example, 3)[0]["background"]
    for handler, values, told in (
        (classify.read_file, (notes, None), kinds),
        (inpaint.take_file, (broken,), kinds),
        (classify.read_drawing, (None, None), "Nothing is drawn"),
        (classify.read_drawing, (NOTHING, None), "Nothing is drawn"),
        (classify.read_example, (99, None), "choose one of 0 to 9"),
        (classify.look_back, (None, 1.5), "number of pixels read must be a whole number from 1 to 784"),
        (classify.read_drawing, (NOTHING | {"composite": broken}, None), "damaged"),
        (inpaint.take_drawing, (NOTHING | {"background": wide},), "at most 1120 pixels a side"),
        (inpaint.fill, (drawing(background, broken), 784, 1, 1, 0), "damaged"),
        (inpaint.fill, (drawing(background, *[background] * 5), 784, 1, 1, 0), "at most 4 layers"),
        (inpaint.hide_bottom, (NOTHING | {"layers": [broken] * 5},), "at most 4 layers"),  # before any is opened
        (inpaint.fill, (NOTHING, 784, 1, 1, 0), "choose an example"),
        (inpaint.fill, (drawing(background), 784, 1, 1, 0), "Nothing is hidden"),
        (inpaint.fill, (drawing(background, background), 784, 99, 1, 0), "99"),
        (inpaint.fill, (drawing(background, background), 784, 1, -1, 0), "-1"),
        (inpaint.fill, (drawing(background, background), 784, 1, 1, 10**12), str(10**12)),
        (inpaint.fill, (drawing(background, background), 11, 1, 1, 0), "11"),
    ):
        with pytest.raises(RuntimeError, match=re.escape(told)):
            visitor.ask(handler, *values)

    def fail():
        raise RuntimeError("secret")

    monkeypatch.setattr(classify, "model", fail)
    with pytest.raises(Exception) as caught:
        client.predict(good, api_name="/read_digit")
    assert "secret" not in str(caught.value)


def test_a_cancelled_run_stops_the_model(app, url, inpaint, monkeypatch, tmp_path):
    monkeypatch.setattr(inpaint.model(), "complete", slowed(inpaint.model(), 0.02), raising=False)
    mask(np.ones((28, 28), bool)).save(tmp_path / "mask.png")
    visitor = Visitor(app, url)
    background = visitor.ask(inpaint.take_example, 3)[0]["background"]
    run = visitor.begin(inpaint.fill, drawing(background, visitor.upload(tmp_path / "mask.png")), 784, 1, 1, 0)
    with visitor.http.stream("GET", "/queue/data", params={"session_hash": visitor.session}):
        wait_for(threads)
        visitor.http.post("/cancel", json=run).raise_for_status()
        wait_for(lambda: not threads(), 3)  # uncancelled it would go on for 15 s


# --- as processes, and the files beside the apps


def test_digits_boots_as_a_hosted_space_from_the_repository(tmp_path):
    folder = SPACES / "digits"  # its own folder alone and in an environment of its own: test_deploy
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    hosted = {"SYSTEM": "spaces", "SPACE_ID": "u/x", "GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_SERVER_PORT": str(port)}
    own = {"GRADIO_TEMP_DIR": str(tmp_path / "gradio"), "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"}
    with open(tmp_path / "log", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "app.py"], cwd=folder, env=os.environ | hosted | own, stdout=log, stderr=log
        )
    try:

        def up():
            assert process.poll() is None, (tmp_path / "log").read_text()
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        wait_for(up, 60)
        client = Client(f"http://127.0.0.1:{port}", verbose=False)
        digit = handle_file(str(SPACES / "examples" / "mnist" / "6.png"))
        _, label = client.predict(digit, api_name="/read_digit")
        assert label["label"] == "6" and sum(c["confidence"] for c in label["confidences"]) == pytest.approx(
            1, abs=1e-4
        )
        Image.fromarray(HOLE).save(tmp_path / "mask.png")
        (completed,), _ = client.predict(
            digit, handle_file(str(tmp_path / "mask.png")), n=1, api_name="/complete_digit"
        )
        truth = np.where(np.asarray(Image.open(SPACES / "examples" / "mnist" / "6.png").convert("L")) > 127, 255, 0)
        assert np.array_equal(read_pixels(completed["image"], 9)[~HOLE], truth[~HOLE])
    finally:
        process.terminate()
        process.wait(20)


def test_scanline_finds_its_themes_in_a_deployed_space(tmp_path, monkeypatch):
    shutil.copy(SPACES / "scanline" / "app.py", tmp_path)
    for folder in ("tabs", "start"):
        shutil.copytree(SPACES / "digits" / folder, tmp_path / "digits" / folder)
    shutil.copy(SPACES / "digits" / "README.md", tmp_path / "digits")
    shutil.copytree(SPACES / "examples", tmp_path / "examples")
    app = load_app(tmp_path / "app.py", monkeypatch)
    assert [tab.TITLE for tab in app.themes["digits"].TABS] == ["Classify", "In-paint"]
    assert Path(app.themes["digits"].TABS[0].__file__).is_relative_to(tmp_path)


def test_spaces_is_no_package():
    assert not (SPACES / "__init__.py").exists()  # it would shadow the `spaces` package that a hosted Gradio imports


def test_gradio_deletes_what_a_handler_returned_but_not_what_a_page_began_with():
    shades = iter([pictures.kept(Image.new("L", (7, 7), shade)) for shade in (1, 2)])
    with gr.Blocks() as demo:
        first = next(shades)
        picture = gr.Image(first)
        demo.load(lambda: next(shades), None, picture)
    shown = asyncio.run(demo.process_api(next(iter(demo.fns.values())), []))["data"][0]["path"]
    delete_files_created_by_app(demo, 0)
    assert Path(first).exists() and not Path(shown).exists()


def test_pictures_are_kept_an_hour_and_those_of_the_page_for_ever(app, monkeypatch):
    """A visitor's frames must not fill the disk: Gradio deletes only what it has noted as returned by a handler."""
    monkeypatch.setattr(pictures, "_until", {})
    clock = [0.0]
    monkeypatch.setattr(pictures.time, "monotonic", lambda: clock[0])
    frames = [pictures.kept(Image.new("L", (9, 9), shade)) for shade in range(5)]
    page = pictures.kept(Image.new("L", (9, 9), 100), math.inf)
    clock[0] = 1800.0
    pictures.kept(Image.new("L", (9, 9), 0))  # shown again: it stays longer
    pictures.kept(Image.new("L", (9, 9), 100))
    clock[0] = 3601.0
    pictures.kept(Image.new("L", (9, 9), 200))
    assert [Path(path).exists() for path in (*frames, page)] == [True, False, False, False, False, True]
