"""The theme `vision` without a browser: its tabs' handlers, directly and through `gradio_client`."""

import re
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

EXAMPLES = sorted((SPACES / "examples" / "cifar10").glob("*.png"))
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


def told(label: dict) -> dict[str, float]:
    """A label's probabilities as a client gets them."""
    return {entry["label"]: entry["confidence"] for entry in label["confidences"]}


def probabilities(net, image: torch.Tensor) -> dict[str, float]:
    return dict(zip(CIFAR10, net.predict(image, views=6)[0].tolist(), strict=True))


def test_themes_and_tabs(app, tabs):
    assert list(app.themes) == ["digits", "pixels", "text", "vision"]
    assert [tab.TITLE for tab in app.themes["vision"].TABS] == ["Classify", "Look inside", "Compare", "Mistakes"]
    names = {fn.api_name for fn in app.demo.fns.values()}
    readme = (SPACES / "vision" / "README.md").read_text()
    for name in re.findall(r"`(\w+)`", readme.partition("The endpoints")[2].partition("serve")[0]):
        assert name in names


@pytest.mark.whole_data
def test_examples_are_the_first_validation_image_of_each_class(cifar10):
    assert [path.stem for path in EXAMPLES] == [f"{i}-{name}" for i, name in enumerate(CIFAR10)]
    for i in range(10):
        assert torch.equal(example(i)[0], cifar10.images[(cifar10.labels == i).nonzero()[0, 0]])


# --- pictures


@pytest.mark.parametrize("index", [10, -1, None, "3", 0.5, float("nan"), []])
def test_an_example_that_is_not_there(tabs, index):
    options = (tabs.photo.best().layers[0], "likeliest")
    for handler in (
        tabs.classify.classify_example,
        tabs.compare.compare_example,
        lambda i: tabs.look_inside.inside_example(i, *options),
    ):
        with pytest.raises(gr.Error, match="There are 10 examples: choose one of 0 to 9"):
            handler(index)


@pytest.mark.parametrize("mode", MODES)
def test_a_picture_of_any_mode_is_seen(tabs, tmp_path, mode):
    picture = Image.open(EXAMPLES[2]).resize((70, 90))
    path = tmp_path / ("picture.tiff" if mode in ("CMYK", "I", "F") else "picture.png")
    (
        Image.fromarray(np.asarray(picture.convert("L")) * np.uint16(257)) if mode == "I;16" else picture.convert(mode)
    ).save(path)
    seen, label = tabs.classify.classify_file(str(path))
    expected = to_photo(Image.open(path), 32, 32)
    assert torch.equal(pixels(seen), expected)
    assert label == pytest.approx(probabilities(tabs.photo.best(), expected), abs=1e-6)


def test_a_photograph_is_turned_upright_and_its_middle_cut_out(tabs, tmp_path):
    upright = Image.new("RGB", (400, 100), "white")
    upright.paste((255, 0, 0), (150, 0, 250, 50))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera lay on its side
    upright.rotate(90, expand=True).save(tmp_path / "photo.jpg", exif=exif, quality=95)
    seen = pixels(tabs.classify.classify_file(str(tmp_path / "photo.jpg"))[0]).int()
    assert (seen[0, :, :14] - torch.tensor([255, 0, 0]).view(3, 1, 1)).abs().max() < 30
    assert (seen[0, :, 18:] - 255).abs().max() < 30


@pytest.mark.parametrize("content", [b"", b"no picture", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "half"])
def test_damaged_files_are_refused(tabs, tmp_path, content):
    path = tmp_path / "picture.png"
    whole = EXAMPLES[0].read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if content == "half" else content)
    for handler in (tabs.classify.classify_file, tabs.compare.compare_file):
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
def test_an_example_is_classified_as_the_model_does(tabs, index):
    own, seen, label = tabs.classify.classify_example(index)
    assert own is None and torch.equal(pixels(seen), example(index))
    assert label == pytest.approx(probabilities(tabs.photo.best(), example(index)))


def test_every_layers_maps_are_shown(tabs):
    net, image = tabs.photo.best(), example(3)
    for layer in net.layers:
        _, seen, _, sheet, note, state = tabs.look_inside.inside_example(3, layer, "likeliest")
        assert torch.equal(state, image) and torch.equal(pixels(seen), image)
        maps = net.feature_maps(image, layer)[0]
        count, height, width = maps.shape
        assert f"Layer {layer}: {min(count, 64)} of {count} maps, {width}x{height} pixels" in note
        scale = 66 // (width + 1)
        shown = np.asarray(Image.open(sheet))[::scale, ::scale].astype(int)
        assert 510 <= Image.open(sheet).width <= 540
        for i in range(min(count, 64)):
            y, x = i // 8 * (height + 1) + 1, i % 8 * (width + 1) + 1
            low, high = maps[i].min(), maps[i].max()
            expected = 255 * (maps[i] - low) / (high - low) if high > low else torch.zeros_like(maps[i])
            assert np.abs(shown[y : y + height, x : x + width] - expected.numpy()).max() <= 0.51


def test_grad_cam_is_that_of_the_class(tabs):
    net, image = tabs.photo.best(), example(1)
    answers = net.predict(image, views=6)[0]
    for name in ("likeliest", *CIFAR10):
        label = int(answers.argmax()) if name == "likeliest" else CIFAR10.index(name)
        _, heat, _, note = tabs.look_inside.look(image, net.layers[0], name)
        assert note.startswith(f"**{CIFAR10[label]}**, {100 * answers[label]:.1f} %")
        warmth = net.grad_cam(image, label, views=6)
        glow = (255 * (2 * warmth[:, None] - torch.tensor([0, 1, 2]).view(3, 1, 1))).clamp(0, 255)
        assert (pixels(heat) - (image + glow) / 2).abs().max() <= 1
        assert ("no place speaks for it" in note) == (not warmth.any())


def test_what_cannot_be_looked_at_is_told(tabs):
    look, image, layer = tabs.look_inside.look, example(0), tabs.photo.best().layers[0]
    for bad in ("conv99", None, 3, ["whiten"]):
        with pytest.raises(gr.Error, match=r"Layer is .*: give one of whiten, .*group2b\."):
            look(image, bad, "cat")
    for bad in ("lion", None, 3, ["cat"]):
        with pytest.raises(gr.Error, match="There is no such class: choose likeliest, airplane, "):
            look(image, layer, bad)
    assert look(None, layer, "cat") == (gr.skip(),) * 4  # a layer chosen before there is a picture
    with pytest.raises(gr.Error, match="There is no picture: upload one"):
        tabs.look_inside.inside_file(None, layer, "cat")


def test_two_models_are_compared(tabs):
    own, seen, *shown = tabs.compare.compare_example(8)
    assert own is None and torch.equal(pixels(seen), example(8))
    for net, label, heat in zip((tabs.compare.baseline(), tabs.photo.best()), shown[::2], shown[1::2], strict=True):
        answers = probabilities(net, example(8))
        assert label == pytest.approx(answers)
        warmth = net.grad_cam(example(8), CIFAR10.index(max(answers, key=answers.get)), views=6)
        glow = (255 * (2 * warmth[:, None] - torch.tensor([0, 1, 2]).view(3, 1, 1))).clamp(0, 255)
        assert (pixels(heat) - (example(8) + glow) / 2).abs().max() <= 1
    assert shown[0] != shown[2]


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
            assert (f"the {len(shown)} surest are shown" in sentence) == (count > 8)
            for i, (path, caption) in zip(places[:2], shown, strict=False):
                y, x = i // 20 * 32, i % 20 * 32
                assert np.array_equal(pixels(path)[0].permute(1, 2, 0), tiles[y : y + 32, x : x + 32])
                assert caption == f"{100 * facts['tiles'][i]['confidence']:.1f} % {taken}"
    sure = [float(caption.split()[0]) for _, caption in tabs.mistakes.show_mistakes("cat", "cat")[1]]
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

    assert sentence("cat", "dog") == "**12 of 500 cats were taken for dogs; the 8 surest are shown.**"
    assert sentence("cat", "deer") == "**1 of 500 cats was taken for deer; here it is.**"
    assert sentence("deer", "deer") == "**2 of 2 deer were recognised; all are shown.**"
    assert sentence("cat", "ship") == "None of 500 cats was taken for ships: there is no picture to show."
    assert tabs.mistakes.show_mistakes("cat", "ship")[1] == []
    assert tabs.mistakes.show_mistakes("cat", "dog")[1][0][1] == "98.7 % dog"


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
        assert shown == ("cat", "dog", *tabs.mistakes.show_mistakes("cat", "dog"))
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


def test_handlers_through_the_client(client, tabs, tmp_path):
    Image.open(EXAMPLES[5]).resize((90, 64)).save(tmp_path / "dog.jpg")
    dog = handle_file(str(tmp_path / "dog.jpg"))
    image = to_photo(Image.open(tmp_path / "dog.jpg"), 32, 32)
    seen, label = client.predict(dog, api_name="/classify_file")
    assert torch.equal(pixels(seen), image)
    expected = probabilities(tabs.photo.best(), image)
    assert told(label) == pytest.approx({name: expected[name] for name in told(label)}, abs=1e-6)
    assert list(told(label)) == sorted(expected, key=expected.get, reverse=True)[:5]
    own, seen, label = client.predict(4, api_name="/classify_example")
    assert own is None and torch.equal(pixels(seen), example(4))
    seen, *shown = client.predict(dog, api_name="/compare_file")
    assert told(shown[2]) == pytest.approx({name: expected[name] for name in told(shown[2])}, abs=1e-6)
    assert client.predict(4, api_name="/compare_example")[1]
    note, pictures = client.predict("cat", "cat", api_name="/show_mistakes")
    assert "cats were recognised" in note and all(entry["caption"].endswith("% cat") for entry in pictures)


def test_a_visitor_looks_again_at_the_own_picture(client, app):
    layers = app.themes["vision"].TABS[0].best().layers
    client.predict(7, layers[0], "likeliest", api_name="/inside_example")
    *_, note = client.predict(layers[2], "horse", api_name="/look_at_layer")
    assert note.startswith("**horse**") and f"Layer {layers[2]}" in note
    seen, *_ = client.predict(layers[2], "ship", api_name="/look_for_class")
    assert torch.equal(pixels(seen), example(7))
    other = Client(client.src, verbose=False)
    shown = other.predict(layers[0], "cat", api_name="/look_at_layer")
    assert shown == ({"__type__": "update"},) * 4  # nothing: it is another's
    other.close()


def test_errors_reach_the_client(client, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    (tmp_path / "drawing.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    broken, drawing = (handle_file(str(tmp_path / name)) for name in ("broken.png", "drawing.svg"))
    for arguments, name, words in (
        ((broken,), "/classify_file", "damaged"),
        ((drawing,), "/classify_file", "damaged"),
        ((broken,), "/compare_file", "damaged"),
        ((broken, "whiten", "cat"), "/inside_file", "damaged"),
        ((None,), "/classify_file", "There is no picture: upload one"),
        ((99,), "/classify_example", "choose one of 0 to 9"),
        ((99,), "/compare_example", "choose one of 0 to 9"),
        ((3, "conv99", "cat"), "/inside_example", "conv99"),
        ((3, "whiten", "lion"), "/inside_example", "lion"),
        (("lion", "cat"), "/show_mistakes", "lion"),
    ):
        with pytest.raises(Exception, match=re.escape(words)):
            client.predict(*arguments, api_name=name)
