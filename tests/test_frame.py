"""The frame of an app: what it serves besides its tabs, and what it says of its models."""

import html
import io
import json
import re
import shutil
import urllib.request
from html.parser import HTMLParser
from pathlib import Path
from urllib.error import HTTPError

import gradio as gr
import pytest
from PIL import Image
from test_deploy import SPACES, THEMES, header
from test_spaces import served

from hub_models import load
from hub_models.checkpoints import PRETRAINED
from hub_models.files import read_json, write_json
from hub_models.hub.card import EVAL_RESULTS
from hub_models.run_folder import WEIGHTS
from hub_models.spacekit import frame, look, weights

HOSTILE = """<b a="1">'&"""


class Head(HTMLParser):
    """What a page's head says to those who run no scripts."""

    def __init__(self, page: str):
        super().__init__()
        self.title, self.named, self.links, self._in_title = "", [], {}, False
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list) -> None:
        found = dict(attributes)
        self._in_title = tag == "title"
        if tag == "meta" and {"name", "property"} & set(found):
            self.named.append((found.get("name") or found.get("property"), found["content"]))
        if tag == "link":
            self.links[found["rel"]] = found["href"]

    def handle_data(self, data: str) -> None:
        self.title += data if self._in_title else ""

    def handle_endtag(self, tag: str) -> None:
        self._in_title = False


class App:
    """An app of one tab that shows a text."""

    TITLE, __file__ = "Only", str(SPACES / "digits" / "tabs" / "only.py")

    def __init__(self, title: str, pitch: str):
        self.demo = frame.app(title, pitch, [self])

    def build(self) -> None:
        gr.Markdown("Nothing else")


@pytest.fixture(scope="module")
def url():
    with served(App("Own & <title>", f"A pitch of {HOSTILE}.")) as url:
        yield url


def fetch(url: str) -> tuple[int, str, bytes]:
    """Status, kind and body of an answer."""
    try:
        with urllib.request.urlopen(url) as reply:
            return reply.status, reply.headers.get_content_type(), reply.read()
    except HTTPError as refusal:
        return refusal.code, refusal.headers.get_content_type(), refusal.read()


def test_links_to_the_app_show_our_title_pitch_and_picture(url):
    page = fetch(url)[2].decode()
    head = Head(page)
    assert head.title == "Own & <title>"
    named = dict(head.named)
    assert named["og:title"] == head.title
    assert named["og:description"] == named["description"] == f"A pitch of {HOSTILE}."
    assert len(named) == len(head.named) and not [
        name for name in named if name.startswith("twitter:") and "card" not in name
    ]
    assert named["og:image"] == f"{url}look/preview.png" and page.index("og:image") < 4000
    status, kind, data = fetch(named["og:image"])
    with Image.open(io.BytesIO(data)) as picture:
        assert (status, kind, picture.size) == (200, "image/png", (1200, 630)) and len(data) < 60_000
    for icon in (head.links["icon"], f"{url}favicon.ico"):
        assert fetch(icon) == (200, "image/svg+xml", look.ICON.read_bytes())


def test_two_apps_of_a_process_have_heads_of_their_own(url):
    with served(App("Another", "Another pitch.")) as other:
        assert Head(fetch(other)[2].decode()).title == "Another"
        assert Head(fetch(url)[2].decode()).title == "Own & <title>"


def test_only_assets_are_served_beside_the_app(url):
    for path in ("look/", "look/none.svg", "look/..%2flook.py", "look/%2e%2e/look.py", "look//etc/hostname"):
        assert fetch(url + path)[0] == 404, path


def test_runs_are_not_recorded(url):
    assert fetch(f"{url}gradio_api/runs")[0] == 404
    config = fetch(f"{url}config")[2].decode()
    assert '"run_history":false' in config and '"footer_links":["api","gradio","settings"]' in config


def test_what_the_page_says_is_escaped(url):
    config = json.loads(fetch(f"{url}config")[2])
    values = [str(component["props"].get("value")) for component in config["components"]]
    (masthead,) = [value for value in values if "masthead" in value]
    assert html.escape("Own & <title>") in masthead and "<title>" not in masthead
    assert html.escape(HOSTILE) in look.heading("", HOSTILE) and html.escape(HOSTILE) in look.heading(HOSTILE, "")
    assert html.escape(HOSTILE) in look.pitch(HOSTILE, SPACES / "digits" / "README.md")


@pytest.mark.parametrize("theme", THEMES)
def test_a_theme_links_to_its_models(theme):
    names = header(theme)["models"]
    links = re.findall(r'href="https://huggingface\.co/([^"]+)"', look.pitch("", SPACES / theme / "README.md"))
    assert links == names and f"{len(names)} models" in look.pitch("", SPACES / theme / "README.md")


@pytest.mark.parametrize("model", header("scanline")["models"])
def test_a_chip_says_how_large_and_how_good_a_model_is(model):
    name = model.partition("/")[2]
    chip = weights.chip(name, SPACES / "scanline" / "README.md")
    words = re.sub("<[^>]+>", " ", chip)
    parameters = sum(parameter.numel() for parameter in load(name).parameters())
    assert re.match(rf" +{parameters:,} parameters ", words)
    figure = (
        r"(\d\.\d\d bits per dimension|0\.\d{3} bits per dimension|\d\d\.\d % accuracy|perplexity \d+\.\d+ per token)"
    )
    assert re.search(rf"{figure} on [\d,]+ test (images|tokens)( \(given the class\))? ", words), words
    assert re.findall(r'href="([^"]+)"[^>]*>(\w+)<', chip)[0] == (f"https://huggingface.co/{model}", "card")
    assert re.findall(r">(\w+)</a>", chip) == ["card", "paper", "source"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gated-pixelcnn-cifar10", "3.25 bits per dimension on 1,000 test images (given the class)"),
        ("gru128-mnist-classify", "99.3 % accuracy on 10,000 test images"),
        ("word-lstm-plays", "perplexity 65.0 per token on 233,792 test tokens"),
    ],
)
def test_a_headline_is_in_plain_words(name, words):
    assert words in weights.chip(name, SPACES / "scanline" / "README.md")


def test_a_chip_is_escaped(monkeypatch, tmp_path):
    folder = tmp_path / "pixelcnn-mnist"
    shutil.copytree(PRETRAINED / folder.name, folder)
    write_json(folder / EVAL_RESULTS, [entry | {"metric": HOSTILE} for entry in read_json(folder / EVAL_RESULTS)])
    monkeypatch.setattr(weights, "locate", lambda name: folder)
    chip = weights.chip(folder.name, SPACES / "pixels" / "README.md")
    assert html.escape(HOSTILE) in chip and HOSTILE not in chip


def test_a_chip_says_where_its_figures_are_of_other_weights(monkeypatch, tmp_path):
    name, header = "pixelcnn-mnist", SPACES / "pixels" / "README.md"
    published = tmp_path / WEIGHTS
    shutil.copy(PRETRAINED / name / "config.json", tmp_path)
    monkeypatch.setattr(weights, "repository", lambda *_: tmp_path)
    said = []
    ours = (PRETRAINED / name / WEIGHTS).read_bytes()
    for hosted, content in (("", b"other"), ("spaces", b"other"), ("spaces", ours)):
        monkeypatch.setenv("SYSTEM", hosted)
        published.write_bytes(content)
        weights.has_newer_weights.cache_clear()
        said.append("of the copy that came with this app" in weights.chip(name, header))
    assert said == [False, True, False]


def test_what_is_loaded_is_said(capsys):
    weights.load_hosted("gru128-mnist-classify", Path("unused"))
    assert capsys.readouterr().out == "loading gru128-mnist-classify, 64,670 parameters ...\n"
