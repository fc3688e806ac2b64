"""What the tabs show before the first click: each has a result, from files whose weights are those that ship."""

import types
from collections.abc import Iterator
from pathlib import Path

import commands
import gradio as gr
import pytest
from PIL import Image
from test_spaces import SPACES, all_tabs

from hub_models.checkpoints import PRETRAINED
from hub_models.files import fingerprint, read_json
from hub_models.run_folder import WEIGHTS
from hub_models.spacekit import start

STARTS = sorted(SPACES.glob("*/start/*.json"))
RESULTS = (gr.Image, gr.Gallery, gr.Label, gr.HTML, gr.LinePlot, gr.BarPlot, gr.Textbox, gr.HighlightedText, gr.Plot)


@pytest.fixture(scope="module")
def app(tmp_path_factory) -> Iterator[types.ModuleType]:
    with all_tabs(tmp_path_factory) as app:
        yield app


def widgets(block: gr.blocks.Block) -> Iterator[gr.components.Component]:
    """The widgets that are visible when the page opens."""
    if not getattr(block, "visible", True):
        return
    if isinstance(block, gr.components.Component):
        yield block
    for child in getattr(block, "children", ()):
        yield from widgets(child)


def test_every_tab_has_a_result_when_the_page_opens(app):
    tabs = [block for block in app.demo.blocks.values() if isinstance(block, gr.Tab)]
    inner = [tab for tab in tabs if isinstance(tab.parent.parent, gr.Tab)]
    names = [tab.TITLE for theme in app.themes.values() for tab in theme.TABS]
    assert [tab.label for tab in inner] == names and len(names) >= 14
    made = {output for fn in app.demo.fns.values() for output in fn.outputs}
    empty = []
    for tab in inner:
        shown = [widget for widget in widgets(tab) if widget in made and isinstance(widget, RESULTS)]
        values = [widget.value for widget in shown if not widget.interactive]
        if not any(value and 'class="chip"' not in str(value) for value in values):
            empty.append(f"{tab.parent.parent.label}, {tab.label}")
    assert empty == []


def test_each_start_is_of_a_tab_and_of_the_weights_that_ship(app):
    tabs = [tab for theme in app.themes.values() for tab in theme.TABS if hasattr(tab, "start")]
    assert sorted(start.file_of(Path(tab.__file__)) for tab in tabs) == STARTS and STARTS
    named = set()
    for tab in tabs:
        file = start.file_of(tab.__file__)
        kept = read_json(file)
        shipped = {name: fingerprint(PRETRAINED / name / WEIGHTS) for name in tab.STARTS_FROM}
        assert kept["weights"] == shipped and shipped, f"run python spaces/start.py {file.parents[1].name}/{file.stem}"
        named |= {file, *(file.with_name(name) for name in pictures(kept["values"]))}
    assert named == {*SPACES.glob("*/start/*")}
    assert sum(path.stat().st_size for path in named) <= 2**20


def pictures(value) -> Iterator[str]:
    """Names of the picture files in the values of a start."""
    if isinstance(value, dict) and set(value) == {"picture"}:
        yield value["picture"]
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from pictures(part)


@pytest.fixture
def tab(tmp_path) -> types.SimpleNamespace:
    """A tab whose start is a text and two pictures of one colour."""
    (tmp_path / "tabs").mkdir()
    tab = types.SimpleNamespace(__file__=str(tmp_path / "tabs" / "paint.py"), STARTS_FROM=("pixelcnn-mnist",), red=0)

    def paint() -> tuple:
        for i in range(2):
            Image.new("RGB", (3, 2), (tab.red, i, 0)).save(tmp_path / f"{i}.png")
        return [(str(tmp_path / "0.png"), "a caption")], {"picture": str(tmp_path / "1.png"), "n": 1.5}, f"{tab.red}"

    tab.start = paint
    return tab


def colours(tab: types.SimpleNamespace) -> tuple:
    """The colours of both pictures and the text of the start that is kept."""
    [[first, caption]], second, text = start.load_start(tab.__file__)
    assert caption == "a caption" and second["n"] == 1.5
    return *(Image.open(path).getpixel((2, 1)) for path in (first, second["picture"])), text


def test_a_start_comes_back_as_it_was_made(tab, monkeypatch, tmp_path):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))
    with pytest.raises(FileNotFoundError, match=r"paint\.json .* run python spaces/start\.py"):
        start.load_start(tab.__file__)
    file = start.save_start(tab)
    assert colours(tab) == ((0, 0, 0), (0, 1, 0), "0") and len([*file.parent.iterdir()]) == 3
    assert read_json(file)["weights"] == {"pixelcnn-mnist": fingerprint(PRETRAINED / "pixelcnn-mnist" / WEIGHTS)}
    tab.red = 200
    start.save_start(tab)
    assert colours(tab) == ((200, 0, 0), (200, 1, 0), "200") and len([*file.parent.iterdir()]) == 3


@pytest.mark.parametrize("writes", range(3))
def test_a_start_that_breaks_off_leaves_the_one_before(tab, writes, monkeypatch, tmp_path):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))
    file, replace, left = start.save_start(tab), start.write_bytes.__globals__["os"].replace, [writes]

    def full(*paths) -> None:
        if not left[0]:
            raise OSError(28, "No space left on device")
        left[0] -= 1
        replace(*paths)

    tab.red = 200
    with monkeypatch.context() as patched:
        patched.setattr("hub_models.files.os.replace", full)
        with pytest.raises(OSError, match="No space left"):
            start.save_start(tab)
    assert colours(tab) == ((0, 0, 0), (0, 1, 0), "0")
    start.save_start(tab)
    assert colours(tab) == ((200, 0, 0), (200, 1, 0), "200") and len([*file.parent.iterdir()]) == 3


def test_a_wrong_name_gets_one_sentence_before_anything_is_made():
    done = commands.run(SPACES / "start.py", "pixels/sample", "pixels/smaple")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: no tab 'pixels/smaple' has a start: did you mean 'pixels/sample'?\n"
