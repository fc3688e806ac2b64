"""The theme `vision` without a browser: its tabs' handlers, directly and through `gradio_client`."""

import re
import time
import types
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
import torch
from gradio_client import Client, handle_file
from PIL import Image
from test_spaces import SPACES, all_tabs, served, tabs_of

from hub_models import locate
from hub_models.conv_classifier import CIFAR10
from hub_models.hub import card
from hub_models.images import to_photo
from hub_models.spacekit import pictures

EXAMPLES = sorted((SPACES / "examples" / "cifar10").glob("*.png"))
FAST, PLAIN = "cifar10-fast", "cnn5x32-cifar10-study"
MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK", "I", "F")  # that files have


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """The all-tabs app."""
    with all_tabs(tmp_path_factory) as app:
        yield app


@pytest.fixture(scope="module")
def tabs(app) -> types.SimpleNamespace:
    """The tabs' modules by name, and what they share."""
    return tabs_of(app, "vision", photo="_photo")


@pytest.fixture(scope="module")
def client(app):
    with served(app) as url:
        yield Client(url, verbose=False)


def example(i: int) -> torch.Tensor:
    """uint8 (1, 3, 32, 32)."""
    return torch.from_numpy(np.array(Image.open(EXAMPLES[i]))).permute(2, 0, 1)[None]


def pixels(path: str) -> torch.Tensor:
    """One pixel of each 8x8 block of a picture, uint8 (1, 3, 32, 32)."""
    return torch.from_numpy(np.array(Image.open(path).convert("RGB"))[::8, ::8].copy()).permute(2, 0, 1)[None]


def glowing(image: torch.Tensor, warmth: torch.Tensor) -> torch.Tensor:
    """uint8 (1, 3, 32, 32), dimmed, under heat (1, 32, 32) of 0..1."""
    glow = (255 * (2 * warmth[:, None] - torch.tensor([0, 1, 2]).view(3, 1, 1))).clamp(0, 255)
    return (image + glow) / 2


def told(label: dict) -> dict[str, float]:
    """A label's probabilities as a client gets them."""
    return {entry["label"]: entry["confidence"] for entry in label["confidences"]}


def probabilities(net, image: torch.Tensor) -> dict[str, float]:
    return dict(zip(CIFAR10, net.predict(image, views=6)[0].tolist(), strict=True))


def test_themes_and_tabs(app, tabs):
    assert list(app.themes) == ["digits", "pixels", "text", "vision"]
    assert [tab.TITLE for tab in app.themes["vision"].TABS] == ["Classify", "Look inside", "Compare", "Mistakes"]
    public = {fn.api_name for fn in app.demo.fns.values() if fn.api_visibility == "public"}
    readme = (SPACES / "vision" / "README.md").read_text()
    named = re.findall(r"`(\w+)\(", readme)
    assert named == ["classify", "explain"] and public >= set(named)


@pytest.mark.whole_data
def test_examples_are_the_first_validation_image_of_each_class(cifar10):
    assert [path.stem for path in EXAMPLES] == [f"{i}-{name}" for i, name in enumerate(CIFAR10)]
    for i in range(10):
        assert torch.equal(example(i)[0], cifar10.images[(cifar10.labels == i).nonzero()[0, 0]])


# --- pictures


def test_an_example_is_chosen_as_it_is(tabs):
    for index, path in enumerate(EXAMPLES):
        assert Path(tabs.photo.from_example(index)).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("index", [10, -1, None, "3", 0.5, float("nan"), []])
def test_an_example_that_is_not_there(tabs, index):
    with pytest.raises(gr.Error, match="There are 10 examples: choose one of 0 to 9"):
        tabs.photo.from_example(index)


@pytest.mark.parametrize("mode", MODES)
def test_a_picture_of_any_mode_is_seen(tabs, tmp_path, mode):
    picture = Image.open(EXAMPLES[2]).resize((70, 90))
    path = tmp_path / ("picture.tiff" if mode in ("CMYK", "I", "F") else "picture.png")
    (
        Image.fromarray(np.asarray(picture.convert("L")) * np.uint16(257)) if mode == "I;16" else picture.convert(mode)
    ).save(path)
    label, seen = tabs.classify.classify(str(path))
    expected = to_photo(Image.open(path), 32, 32)
    assert torch.equal(pixels(seen), expected)
    assert label == pytest.approx(probabilities(tabs.photo.net(FAST), expected), abs=1e-6)


def test_a_photograph_is_turned_upright_and_its_middle_cut_out(tabs, tmp_path):
    upright = Image.new("RGB", (400, 100), "white")
    upright.paste((255, 0, 0), (150, 0, 250, 50))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera lay on its side
    upright.rotate(90, expand=True).save(tmp_path / "photo.jpg", exif=exif, quality=95)
    seen = pixels(tabs.classify.classify(str(tmp_path / "photo.jpg"))[1]).int()
    assert (seen[0, :, :14] - torch.tensor([255, 0, 0]).view(3, 1, 1)).abs().max() < 30
    assert (seen[0, :, 18:] - 255).abs().max() < 30


@pytest.mark.parametrize("content", [b"", b"no picture", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "half"])
def test_damaged_files_are_refused(tabs, tmp_path, content):
    path = tmp_path / "picture.png"
    whole = EXAMPLES[0].read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if content == "half" else content)
    for handler in (tabs.classify.classify, tabs.compare.compare, tabs.look_inside.explain):
        with pytest.raises(gr.Error, match="damaged"):
            handler(str(path))
        with pytest.raises(gr.Error, match="There is no picture: upload one"):
            handler(None)


def test_large_pictures_are_seen_and_larger_ones_refused(tabs, tmp_path):
    path = tmp_path / "picture.png"
    Image.new("RGB", (8192, 40), "blue").save(path)
    assert tabs.photo.from_file(str(path)).unique(dim=3).flatten().unique().tolist() == [0, 255]
    Image.new("1", (8193, 2)).save(path)
    with pytest.raises(gr.Error, match="at most 8192 pixels a side"):
        tabs.photo.from_file(str(path))


# --- handlers


@pytest.mark.parametrize("index", [0, 6])
@pytest.mark.parametrize("name", [FAST, PLAIN])
def test_an_example_is_classified_as_the_model_does(tabs, index, name):
    words, seen, label = tabs.classify.show_classes(str(EXAMPLES[index]), name)
    expected = probabilities(tabs.photo.net(name), example(index))
    assert torch.equal(pixels(seen), example(index))
    assert label == pytest.approx(expected)
    best = max(expected, key=expected.get)
    title = tabs.photo.NETS[name]
    assert words == f"### Prediction: {best} (probability {100 * expected[best]:.1f} %), {title}"
    assert tabs.classify.classify(str(EXAMPLES[index]), name) == (label, seen)


@pytest.mark.parametrize("name", [FAST, PLAIN])
def test_every_layers_maps_are_shown(tabs, name):
    net, image = tabs.photo.net(name), example(3)
    for layer in net.layers:
        _, seen, _, note, sheet = tabs.look_inside.look(str(EXAMPLES[3]), name, "most probable", layer)
        assert torch.equal(pixels(seen), image)
        maps = net.feature_maps(image, layer)[0]
        count, height, width = maps.shape
        place = f"number {net.layers.index(layer) + 1} of {len(net.layers)}"
        shown = f"{min(count, 64)} of its {count} feature maps, {width}x{height} pixels each"
        assert note.startswith(f"**Layer {layer}**, {place}: {shown}")
        scale = 66 // (width + 1)
        shown = np.asarray(Image.open(sheet))[::scale, ::scale].astype(int)
        assert 400 <= Image.open(sheet).width <= 540
        for i in range(min(count, 64)):
            y, x = i // 8 * (height + 1) + 1, i % 8 * (width + 1) + 1
            low, high = maps[i].min(), maps[i].max()
            expected = 255 * (maps[i] - low) / (high - low) if high > low else torch.zeros_like(maps[i])
            assert np.abs(shown[y : y + height, x : x + width] - expected.numpy()).max() <= 0.51


@pytest.mark.parametrize("name", [FAST, PLAIN])
def test_the_heat_is_that_of_the_class(tabs, name):
    net, image = tabs.photo.net(name), example(1)
    answers = net.predict(image, views=6)[0]
    for class_name in ("most probable", *CIFAR10):
        asked = class_name != "most probable"
        label = CIFAR10.index(class_name) if asked else int(answers.argmax())
        words, _, heat, *_ = tabs.look_inside.look(str(EXAMPLES[1]), name, class_name, net.layers[0])
        kind = "Class" if asked else "Most probable class"
        assert words.startswith(f"### {kind}: {CIFAR10[label]} (probability {100 * answers[label]:.1f} %)")
        warmth = net.grad_cam(image, label, views=6)
        assert (pixels(heat) - glowing(image, warmth)).abs().max() <= 1
        assert ("No place in the picture is evidence for it" in words) == (not warmth.any())
        assert tabs.look_inside.explain(str(EXAMPLES[1]), name, class_name) == (heat, words.removeprefix("### "))


def test_what_cannot_be_looked_at_is_refused(tabs):
    look, path, layer = tabs.look_inside.look, str(EXAMPLES[0]), tabs.photo.net(FAST).layers[0]
    for bad in ("conv99", None, 3, ["whiten"], {}):
        with pytest.raises(gr.Error, match=r"There is no such layer: choose whiten, .*group2b\."):
            look(path, FAST, "cat", bad)
    for bad in ("lion", None, 3, ["cat"], {}):
        for handler in (
            lambda bad: look(path, FAST, bad, layer),
            lambda bad: tabs.look_inside.explain(path, FAST, bad),
        ):
            with pytest.raises(gr.Error, match="There is no such class: choose most probable, airplane, "):
                handler(bad)
    for bad in ("resnet", None, 3, [FAST], {}):
        for handler in (
            lambda bad: tabs.classify.classify(path, bad),
            lambda bad: look(path, bad, "cat", layer),
            lambda bad: tabs.look_inside.explain(path, bad),
            tabs.look_inside.turn_layers,
        ):
            with pytest.raises(gr.Error, match=f"There is no such model: choose {FAST}, {PLAIN}"):
                handler(bad)


def test_another_model_brings_its_layers(tabs):
    for name in (FAST, PLAIN):
        layers = tabs.photo.net(name).layers
        turned = tabs.look_inside.turn_layers(name)
        assert (turned["choices"], turned["value"]) == (layers, layers[0])
    # so that each turn changes the layer, which looks at it
    assert not {*tabs.photo.net(FAST).layers} & {*tabs.photo.net(PLAIN).layers}


def test_two_models_are_compared(tabs):
    seen, *shown = tabs.compare.compare(str(EXAMPLES[8]))
    assert torch.equal(pixels(seen), example(8))
    for name, words, label, heat in zip((FAST, PLAIN), shown[::3], shown[1::3], shown[2::3], strict=True):
        net = tabs.photo.net(name)
        answers = probabilities(net, example(8))
        assert label == pytest.approx(answers)
        best = max(answers, key=answers.get)
        title = tabs.photo.NETS[name]
        assert words == f"### Prediction: {best} (probability {100 * answers[best]:.1f} %), {title}"
        warmth = net.grad_cam(example(8), CIFAR10.index(best), views=6)
        assert (pixels(heat) - glowing(example(8), warmth)).abs().max() <= 1
    assert shown[1] != shown[4]


def test_without_a_picture_the_results_are_empty(app, tabs):
    _, *shown = [fn for fn in app.demo.fns.values() if fn.fn and fn.fn.__name__ == "answered"]  # the first: pixels
    for fn in shown:
        options = [widget.value for widget in fn.inputs][1:]
        assert fn.fn(None, *options) == (None,) * len(fn.outputs)
        assert None not in fn.fn(str(EXAMPLES[2]), *options)


def test_what_the_tabs_open_with_outlives_what_is_shown(app, tabs, monkeypatch):
    opened = [block.value["path"] for block in app.demo.blocks.values() if in_cache(block, tabs)]
    assert len(opened) == 1 + 3 + 3  # what the nets see, heat maps and feature maps of three tabs
    shown = tabs.classify.classify(str(EXAMPLES[9]))[1]
    now = time.monotonic()
    monkeypatch.setattr(pictures.time, "monotonic", lambda: now + 2 * pictures.KEPT)
    tabs.classify.classify(str(EXAMPLES[4]))
    assert not Path(shown).exists() and all(Path(path).exists() for path in opened)


def in_cache(block, tabs) -> bool:
    """Whether a widget is one of the theme's pictures of a result that was made when the app was built."""
    labels = ("What the net sees", "What the nets see", "Where the net sees the class", "Feature maps")
    return isinstance(block, gr.Image) and block.label in labels and bool(block.value)


# --- mistakes


@pytest.fixture(scope="module")
def facts():
    folder = Path(locate("cifar10-fast"))
    return card.read_report(folder, card.shown_split(folder))


def test_the_shipped_report_is_shown_cell_by_cell(tabs, facts):
    tiles = np.asarray(Image.open(Path(locate("cifar10-fast"), f"tiles-{facts['split']}.webp")).convert("RGB"))
    for row, truth in enumerate(CIFAR10):
        for column, taken in enumerate(CIFAR10):
            sentence, shown = tabs.mistakes.show_mistakes(truth, taken)
            count, total = facts["confusion"][row][column], sum(facts["confusion"][row])
            places = [i for i, t in enumerate(facts["tiles"]) if (t["label"], t["predicted"]) == (row, column)]
            assert len(shown) == len(places) == min(count, 8)
            assert sentence.startswith(f"**{count} of {total} " if count else f"None of {total} ")
            assert ("recognised" in sentence) == (row == column)
            assert (f"the {len(shown)} most confident are shown" in sentence) == (count > 8)
            for i, (path, caption) in zip(places[:2], shown, strict=False):
                y, x = i // 20 * 32, i % 20 * 32
                assert np.array_equal(pixels(path)[0].permute(1, 2, 0), tiles[y : y + 32, x : x + 32])
                assert caption == f"{taken} ({100 * facts['tiles'][i]['confidence']:.1f} %)"
    sure = [float(caption.split()[1].strip("(")) for _, caption in tabs.mistakes.show_mistakes("cat", "cat")[1]]
    assert sure == sorted(sure, reverse=True)


def test_counts_are_told_in_words(tabs, monkeypatch):
    counts = [[0] * 10 for _ in range(10)]
    counts[3] = [0, 0, 0, 450, 1, 12, 0, 37, 0, 0]
    counts[4][4] = 2
    tiles = [(3, 3)] * 8 + [(3, 4)] + [(3, 5)] * 8 + [(3, 7)] * 8 + [(4, 4)] * 2
    tiles = [{"label": a, "predicted": b, "confidence": 0.987} for a, b in tiles]
    facts = {"names": list(CIFAR10), "confusion": counts, "columns": 20, "tiles": tiles}
    report = tabs.mistakes.Report(facts, Image.new("RGB", (640, 64)))
    monkeypatch.setattr(tabs.mistakes, "report", lambda: report)

    def sentence(truth: str, taken: str) -> str:
        return tabs.mistakes.show_mistakes(truth, taken)[0]

    assert sentence("cat", "dog") == "**12 of 500 cats were taken for dogs; the 8 most confident are shown.**"
    assert sentence("cat", "deer") == "**1 of 500 cats was taken for deer; here it is.**"
    assert sentence("deer", "deer") == "**2 of 2 deer were recognised; all are shown.**"
    assert sentence("cat", "ship") == "None of 500 cats was taken for ships: there is no picture to show."
    assert tabs.mistakes.show_mistakes("cat", "ship")[1] == []
    assert tabs.mistakes.show_mistakes("cat", "dog")[1][0][1] == "dog (98.7 %)"


def test_the_table_has_the_counts_and_tells_right_from_wrong(tabs, facts):
    table = tabs.mistakes.matrix()
    assert table.data.iloc[:, 1:].to_numpy().tolist() == facts["confusion"]
    assert table.data.iloc[:, 0].tolist() == list(table.data.columns[1:]) == list(CIFAR10)
    styles = table._compute().ctx
    for row in range(10):
        for column in range(10):
            colour = tabs.mistakes.RIGHT if row == column else tabs.mistakes.WRONG
            style = dict(styles[row, column + 1]).get("background-color", "")
            assert (colour in style) == bool(facts["confusion"][row][column])
            strong = "color" in dict(styles[row, column + 1])
            share = facts["confusion"][row][column] / sum(facts["confusion"][row])
            assert strong == (round(100 * share**0.5) > 84)


def test_a_clicked_cell_shows_what_is_behind_it(tabs):
    def click(data):
        return tabs.mistakes.show_cell(gr.EventData(None, data))

    for index in ([3, 6], [0, 6]):  # sorted, the row is elsewhere
        shown = click({"index": index, "value": 1, "row_value": ["cat", "1"], "selected": True})
        assert shown == ("cat", "dog")
    for index in ([3, 0], [3, 11], [3, -1], [3, 1.5], [3], 3, None, [3, "6"]):
        with pytest.raises(gr.Error, match="click on one of the table's numbers"):
            click({"index": index, "row_value": ["cat"]})
    for data in (
        None,
        {},
        [],
        {"index": [3, 6]},
        {"index": [3, 6], "row_value": []},
        {"row_value": [3], "index": [0, 1]},
    ):
        with pytest.raises(gr.Error, match="click on one of the table's numbers"):
            click(data)
    with pytest.raises(gr.Error, match="There is no such class"):
        click({"index": [0, 1], "row_value": ["lion"]})
    for truth, taken in (("lion", "cat"), ("cat", None), (3, 4), (["cat"], "cat")):
        with pytest.raises(gr.Error, match="There is no such class: choose two of airplane, "):
            tabs.mistakes.show_mistakes(truth, taken)


def test_without_a_report_of_the_weights_the_app_says_what_to_do(tabs, tmp_path, monkeypatch):
    monkeypatch.setattr(tabs.mistakes, "locate", lambda name: tmp_path)
    with pytest.raises(FileNotFoundError, match="run python -m evaluation.accuracy cifar10-fast"):
        tabs.mistakes.report.__wrapped__()


# --- through gradio_client


def test_endpoints_through_the_client(client, tabs, tmp_path):
    Image.open(EXAMPLES[5]).resize((90, 64)).save(tmp_path / "dog.jpg")
    dog = handle_file(str(tmp_path / "dog.jpg"))
    image = to_photo(Image.open(tmp_path / "dog.jpg"), 32, 32)
    for name in (FAST, PLAIN):
        label, seen = client.predict(dog, name, api_name="/classify")
        assert torch.equal(pixels(seen), image) and Image.open(seen).format == "PNG"
        expected = probabilities(tabs.photo.net(name), image)
        assert told(label) == pytest.approx(expected, abs=1e-6)
        assert list(told(label)) == sorted(expected, key=expected.get, reverse=True)
        heat, words = client.predict(dog, name, "horse", api_name="/explain")
        warmth = tabs.photo.net(name).grad_cam(image, CIFAR10.index("horse"), views=6)
        assert (pixels(heat) - glowing(image, warmth)).abs().max() <= 1 and Image.open(heat).format == "PNG"
        assert words.startswith(f"Class: horse (probability {100 * expected['horse']:.1f} %)")
    best = max(expected := probabilities(tabs.photo.net(FAST), image), key=expected.get)
    assert client.predict(picture=dog, api_name="/explain")[1].startswith(f"Most probable class: {best} ")


def test_errors_reach_the_client(client, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    (tmp_path / "drawing.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (tmp_path / "notes.txt").write_text("a frog")
    broken, drawing, notes = (handle_file(str(tmp_path / name)) for name in ("broken.png", "drawing.svg", "notes.txt"))
    frog = handle_file(str(EXAMPLES[6]))
    for arguments, name, words in (
        ((broken, FAST), "/classify", "damaged"),
        ((drawing, FAST), "/classify", "damaged"),
        ((notes, FAST), "/classify", "damaged or of an unknown kind: give a PNG"),
        ((broken, FAST, "cat"), "/explain", "damaged"),
        ((None, FAST), "/classify", "There is no picture: upload one"),
        ((None, FAST, "cat"), "/explain", "There is no picture: upload one"),
        ((frog, "resnet"), "/classify", "resnet"),
        ((frog, FAST, "lion"), "/explain", "lion"),
    ):
        with pytest.raises(Exception, match=re.escape(words)):
            client.predict(*arguments, api_name=name)
