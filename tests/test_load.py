"""The app under load, in small; `python tests/load.py` is the whole."""

import asyncio
import errno
import functools
import io
import json

import gradio as gr
import load
import pytest
from PIL import Image

from hub_models.files import read_json
from hub_models.spacekit import guard


@pytest.fixture(scope="module")
def server():
    with load.serving() as server:
        yield server


def test_visitors_at_once_get_each_their_own(server):
    assert load.visitors(server, 6)


def test_a_crowd_is_refused_politely(server):
    assert load.crowd(server, 90)


def test_nonsense_is_answered_in_words(server):
    assert load.fuzz(server, 12)


def test_uploads_stay_in_their_folder(server):
    assert load.uploads(server, len(load.NAMES))


@pytest.mark.parametrize("name", load.STREAMS)
def test_samplings_given_up_leave_nothing(server, name):
    assert load.cancellations(server, name, 4, 6, 0, 120)  # the first, four at once, take 60 MB once


def test_drawings_sent_ahead_are_bounded(server):
    """One kilobyte could otherwise take gigabytes: Gradio makes room for as many layers as a part's number says."""
    number = next(i for i, kind in server.types.items() if kind == "imageeditor")

    def send(index: str, size: int) -> int:
        form = {"type": "layer", "index": index, "id": "a", "component_id": str(number), "session_hash": "b"}
        form |= {"fn_name": "accept_blobs"}
        return server.http.post("/component_server", data=form, files={"file": ("a.png", bytes(size))}).status_code

    assert [send("0", 9), send("3", 9), send("null", 9)] == [200, 200, 200]
    assert [send("4", 9), send("100000000", 9), send("-1", 9), send("0", 2**18 + 1)] == [413] * 4


def test_drawings_are_bounded_in_a_session_whose_canvas_was_updated(server):
    """An update puts a new component into the session, which must be as strict as the first."""
    background = io.BytesIO()
    Image.new("RGB", (256, 256), "red").save(background, "PNG")
    photo = {"background": server.upload("red.png", background.getvalue()), "layers": [], "composite": None}
    body = {"data": ["gated-pixelcnn-cifar10", photo, None], "session_hash": "turned"}
    answer = server.http.post("/run/turn_complete", json=body).json()["data"]
    assert answer[1] == {"__type__": "update"}  # the canvas is left as it is
    form = {"type": "layer", "id": "a", "session_hash": "turned", "fn_name": "accept_blobs", "index": "4"}
    for number in [number for number, kind in server.types.items() if kind == "imageeditor"]:
        data = form | {"component_id": str(number)}
        assert server.http.post("/component_server", data=data, files={"file": ("a.png", bytes(9))}).status_code == 413


def test_only_the_latest_drawings_are_kept(server):
    number = next(i for i, kind in server.types.items() if kind == "imageeditor")
    form = {"type": "composite", "index": "null", "component_id": str(number), "session_hash": "b"}
    form |= {"fn_name": "accept_blobs"}
    seven = load.pictures()["seven.png"]
    for k in range(129):
        server.http.post("/component_server", data=form | {"id": f"{k}"}, files={"file": ("a.png", seven)})
    drawing = {"background": None, "layers": [], "composite": None}
    replies = [server.http.post("/run/read_drawing", json={"data": [drawing | {"id": k}, None]}) for k in ("0", "1")]
    assert load.refusal_of(replies[0].json()) == "Nothing is drawn: draw a digit." and replies[1].status_code == 200


def test_the_results_are_of_the_parts_that_there_are():
    assert list(read_json(load.ROOT / "docs" / "load.json")) == list(load.PARTS)


def test_an_address_is_not_fetched(server):
    """Gradio itself fetches what a public address holds, of any size."""
    for value in ({"path": "https://example.com/a.png", "meta": {"_type": "gradio.FileData"}}, {"path": "http://a"}):
        reply = server.http.post("/run/read_digit", json={"data": [value]})
        assert reply.json()["error"] == guard.ADDRESS


def test_a_handlers_own_fault_is_logged_and_its_refusals_are_not(capfd):
    """The guard hides what visitors get wrong, and nothing else."""

    def work(x):
        if x == 1:
            raise gr.Error("not one")
        return 1 / x

    with gr.Blocks() as demo:
        box = gr.Number()
        box.change(work, box, box, api_name="work")
    guard.guard(demo)

    def call(*inputs, event_data=None):
        function = next(iter(demo.fns.values()))
        process = demo.process_api(block_fn=function, inputs=list(inputs), state=None, event_data=event_data)
        return asyncio.run(process)

    assert call(2)["data"] == [0.5]
    for bad, match in ((1, "not one"), ({"path": "https://a"}, "no addresses")):
        with pytest.raises(gr.Error, match=match) as refused:
            call(bad)
        assert not refused.value.print_exception
    with pytest.raises(gr.Error, match="cannot use"):
        call()
    with pytest.raises(ZeroDivisionError):
        call(0)
    nested = functools.reduce(lambda inner, _: [inner], range(5000), {"path": "a"})
    with pytest.raises(gr.Error, match="cannot use"):
        call(2, event_data=gr.EventData(None, nested))


@pytest.mark.parametrize(
    ("fault", "is_refused"),
    [
        (MemoryError(), False),
        (OSError(errno.ENOSPC, "No space left on device"), False),
        (FileNotFoundError(errno.ENOENT, "No such file"), True),
        (OSError(errno.ENAMETOOLONG, "File name too long"), True),
        (ValueError("null byte"), True),
    ],
)
def test_faults_of_the_machine_are_not_laid_on_the_visitor(fault, is_refused, monkeypatch):
    def fail(value):
        raise fault

    with gr.Blocks() as demo:
        box = gr.Number()
        box.change(lambda x: x, box, box)
    guard.guard(demo)
    monkeypatch.setattr(box, "preprocess", fail)
    with pytest.raises(Exception) as found:
        asyncio.run(demo.process_api(block_fn=next(iter(demo.fns.values())), inputs=[1], state=None))
    assert isinstance(found.value, gr.Error) == is_refused


def test_a_request_that_is_too_long_or_breaks_the_app_is_refused_in_words(capfd):
    async def app(scope, receive, send):
        while (await receive())["more_body"]:
            pass
        raise KeyError("no such endpoint")

    def ask(parts: int, path: str = "/x") -> tuple[int, str]:
        sent = []

        async def receive():
            nonlocal parts
            parts -= 1
            return {"type": "http.request", "body": bytes(2**20), "more_body": parts > 0}

        async def send(message):
            sent.append(message)

        asyncio.run(guard.Civil(app)({"type": "http", "method": "POST", "path": path}, receive, send))
        return sent[0]["status"], json.loads(sent[1]["body"])["detail"]

    assert ask(12) == (400, guard.REFUSAL)
    assert ask(13) == (413, guard.TOO_LONG)
    for address in "https://1.2.3.4/x", "HTTP://[::1]:8000/":  # which Gradio would fetch for a visitor
        assert ask(1, f"/gradio_api/file={address}") == (400, guard.ADDRESS)
    assert ask(1, "/gradio_api/file=/tmp/http.png") == (400, guard.REFUSAL)
