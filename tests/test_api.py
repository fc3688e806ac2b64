"""What programs may ask of the apps: the endpoints, their descriptions, and the same as the tools of an MCP server."""

import asyncio
import base64
import contextlib
import io
import json
import re
import socket
import types
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import gradio as gr
import httpx
import load
import pytest
from conftest import absent
from endpoints import DIGIT, ENDPOINTS, EXAMPLES, PHOTO, arguments, files
from gradio.utils import get_function_description
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from huggingface_hub.utils import _headers
from PIL import Image
from test_spaces import all_tabs

from hub_models import spacekit
from hub_models.spacekit import guard, mcp
from hub_models.spacekit.api import endpoint, picture_file
from hub_models.spacekit.checks import SEEDS
from hub_models.spacekit.pictures import kept, read_picture

TAB = EXAMPLES.parent / "digits" / "tabs" / "classify.py"  # the page links what the README beside it names
FILE = {"_type": "gradio.FileData"}


@contextlib.contextmanager
def launched(demo: gr.Blocks) -> Iterator[str]:
    """The address of an app while it runs, launched as its command does it."""
    demo.block_thread = lambda: None
    spacekit.launch(demo)
    yield demo.local_url
    demo.close()


def asked(url: str, questions: Callable[..., Awaitable]) -> object:
    """What a coroutine makes of a session of a real MCP client."""
    if not mcp.is_installed():
        absent("needs the package mcp")
    from mcp import ClientSession
    from mcp.client.streamable_http import streamable_http_client

    async def ask() -> object:
        async with (
            httpx.AsyncClient(trust_env=False, timeout=60) as http,
            streamable_http_client(f"{url}gradio_api/mcp/", http_client=http) as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            return await questions(session)

    return asyncio.run(ask())


def called(url: str, tool: str, arguments: dict, **options) -> tuple[bool, list]:
    """Whether a call of a tool failed, and what came back."""
    reply = asked(url, lambda session: session.call_tool(tool, arguments, **options))
    return reply.isError, reply.content


def data_uri(path: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"


def words(content: list) -> str:
    return " ".join(part.text for part in content if part.type == "text")


# --- an app of one tab


def turn(picture: str, mask: str | None = None, angle: int = 90) -> tuple[str, list, dict]:
    """Turn a picture.

    Args:
        picture: the picture.
        mask: another picture, which is optional.
        angle: degrees, 0 to 180.

    Returns:
        The turned picture; the picture and the mask, with captions;
        and what was done.
    """
    turned = kept(read_picture(picture, lambda read: read.convert("RGB").rotate(angle)))
    return (
        turned,
        [(file, f"{name}, {angle}°") for name, file in (("picture", turned), ("mask", mask)) if file],
        {"°": 90},
    )


def shout(text: str, mark: str = "!") -> str:
    """Shout a text.

    Args:
        text: the text.
        mark: what follows it.

    Returns:
        The text in capitals.
    """
    if not text:
        raise gr.Error("There is no text: write one.")
    return text.upper() + mark


def one_tab() -> gr.Blocks:
    def build():
        box = gr.Textbox(label="Page")
        box.change(lambda text: text, box, box, api_name="own", api_visibility="private")
        size = gr.Number(1, minimum=0, label="Size")
        size.change(lambda size: gr.update(maximum=5), size, size, api_name="sized", api_visibility="private")
        angle = gr.Number(90, precision=0, minimum=0, maximum=180, label="Angle", render=False)
        shown = (
            gr.Image(label="Turned", format="png", render=False),
            gr.Gallery(label="Both", format="png", render=False),
        )
        done = gr.JSON(label="Done", render=False)
        endpoint(turn, [picture_file("Picture"), picture_file("Mask"), angle], [*shown, done])
        mark = gr.Dropdown(["!", "?"], value="!", label="Mark", render=False)
        endpoint(shout, [gr.Textbox(label="Text", render=False), mark], gr.Textbox(label="Shouted", render=False))

    return spacekit.app("Test", "A test.", [types.SimpleNamespace(TITLE="Tab", build=build, __file__=str(TAB))])


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("gradio")))
        yield one_tab()


@pytest.fixture(scope="module")
def url(demo):
    with launched(demo) as url:
        yield url


def test_programs_see_names_defaults_bounds_and_descriptions(url):
    info = httpx.get(f"{url}gradio_api/info").json()["named_endpoints"]
    assert set(info) == {"/turn", "/shout"}
    picture, mask, angle = info["/turn"]["parameters"]
    assert [p["parameter_name"] for p in (picture, mask, angle)] == ["picture", "mask", "angle"]
    assert [p["parameter_has_default"] for p in (picture, mask, angle)] == [False, True, True]
    assert [p["python_type"] for p in (picture, angle)] == [
        {"type": "filepath", "description": "the picture."},
        {"type": "int", "description": "degrees, 0 to 180."},
    ]
    assert angle["parameter_default"] == 90 and (angle["type"]["minimum"], angle["type"]["maximum"]) == (0, 180)
    words = "Turn a picture. Returns: The turned picture; the picture and the mask, with captions; and what was done."
    assert info["/turn"]["description"] == words
    overview = Client(url, verbose=False).view_api(print_info=False, return_format="str")
    assert "predict(picture, mask, angle" in overview and "(turned, both, done)" in overview
    assert "degrees, 0 to 180." in overview and "what follows it." in overview


def test_programs_send_plain_files_and_get_plain_files(url):
    client = Client(url, verbose=False)
    turned, both, done = client.predict(handle_file(DIGIT), api_name="/turn")
    with Image.open(turned) as picture, Image.open(DIGIT) as sent:
        assert picture.format == "PNG" and picture.tobytes() == sent.convert("RGB").rotate(90).tobytes()
    assert [item["caption"] for item in both] == ["picture, 90°"] and done == {"°": 90}
    with pytest.raises(AppError, match="Angle: Value 181 is greater than maximum value 180"):
        client.predict(handle_file(DIGIT), angle=181, api_name="/turn")
    with pytest.raises(AppError, match="Mark: .*not in the list of choices"):
        client.predict("a", "x", api_name="/shout")
    with pytest.raises(AppError, match="fetches no addresses"):
        client.predict(handle_file(f"{url}theme.css"), api_name="/turn")


def test_a_page_is_told_which_field_is_out_of_range(url):
    """Also in a session whose component an update has replaced."""
    below, above = "Size: Value -1 is less than minimum value 0.", "Size: Value 6 is greater than maximum value 5."
    for sent, error in ((-1, below), (9, None), (6, above)):
        reply = httpx.post(f"{url}gradio_api/run/sized", json={"data": [sent], "session_hash": "a"}).json()
        assert reply.get("error") == error, sent


def test_programs_cannot_name_files_of_the_machine(url, tmp_path):
    other = tmp_path / "another.png"
    Image.new("L", (9, 9)).save(other)
    with load.Canary() as canary:
        address = f"{canary.url}/a.png"
        paths = "/etc/hostname", str(other), "../../etc/hostname", f"file://{other}", address, address.upper(), "", "."
        values = [{"path": path} for path in paths] + [{"path": path, "meta": FILE} for path in paths]
        values += [*paths, {"url": address}, {"path": str(other), "url": address, "meta": FILE}, [str(other)]]
        refusals = guard.REFUSAL, guard.ADDRESS, "There is no picture: upload one."
        for value in values:
            reply = httpx.post(f"{url}gradio_api/run/turn", json={"data": [value, None, 0]})
            assert load.refusal_of(reply.json()) in refusals, (value, reply.text)
    assert not canary.asked


# --- the same by MCP


def test_tools_are_the_endpoints_with_descriptions(url, demo, monkeypatch):
    tools = {tool.name: tool for tool in asked(url, lambda session: session.list_tools()).tools}
    assert set(tools) == {"turn", "shout"}
    monkeypatch.setattr(gr.utils, "get_space", lambda: "user/our-space")
    assert mcp.Server(demo).tool_to_endpoint == {"turn": "/turn", "shout": "/shout"}
    schema = tools["turn"].inputSchema
    assert tools["turn"].description.startswith("Turn a picture. Returns: The turned picture; the picture and")
    assert "data URI" in tools["turn"].description and "upload" not in tools["turn"].description
    picture = {"type": "string", "format": "data URI of a picture, base64", "description": "the picture."}
    assert schema["properties"]["picture"] == picture and schema["required"] == ["picture"]
    angle = {"type": "integer", "minimum": 0, "maximum": 180, "default": 90, "description": "degrees, 0 to 180."}
    assert schema["properties"]["angle"] == angle
    assert tools["shout"].inputSchema["properties"]["mark"]["enum"] == ["!", "?"]


def test_tools_take_texts_and_pictures_and_give_pictures(url, demo):
    assert called(url, "shout", {"text": "aé"})[1][0].text == "AÉ!"
    before = set(demo.upload_file_set)
    for options in ({}, {"progress_callback": progress}):
        failed, (image, address, *both, done) = called(
            url, "turn", {"picture": data_uri(DIGIT), "mask": data_uri(PHOTO)}, **options
        )
        assert not failed and image.mimeType == "image/png" and address.text.startswith("Image URL: http://127.0.0.1")
        with Image.open(io.BytesIO(base64.b64decode(image.data))) as turned, Image.open(DIGIT) as sent:
            assert turned.tobytes() == sent.convert("RGB").rotate(90).tobytes()
        assert [part.type for part in both] == ["image", "text", "text"] * 2
        assert [both[k].text for k in (2, 5)] == ["picture, 90°", "mask, 90°"]
        assert json.loads(done.text) == {"°": 90}
    new = demo.upload_file_set - before
    assert len(new) == 4 and all(Path(path).is_file() for path in new)  # as decoded and as uploaded


async def progress(*_) -> None:
    """Ask for notifications of progress."""


def test_tools_fetch_no_address_and_open_no_path(url, tmp_path):
    other = tmp_path / "another.png"
    Image.new("L", (9, 9)).save(other)
    with load.Canary() as canary:
        address = f"{canary.url}/a.png"
        values = [
            "/etc/hostname",
            str(other),
            f"file://{other}",
            address,
            address.upper(),
            "",
            "a.png",
            "data:",
            "data:,a",
        ]
        for value in [*values, "data:image/png;base64,a"]:
            failed, content = called(url, "turn", {"picture": value})
            assert failed and words(content) == mcp.ONLY_DATA, (value, content)
        for value in ({"path": str(other), "meta": FILE}, {"path": address}, {"url": address}, [str(other)]):
            for tool, name in (("turn", "picture"), ("shout", "text")):
                failed, content = called(url, tool, {name: value})
                assert failed and "is not of type 'string'" in words(content), (value, content)
        assert called(url, "shout", {"text": str(other)})[1][0].text == str(other).upper() + "!"
    assert not canary.asked


@pytest.mark.parametrize(
    ("tool", "arguments", "match"),
    [
        ("shout", {"text": ""}, "There is no text: write one."),
        ("shout", {"text": "a", "mark": "x"}, "'x' is not one of"),
        ("turn", {"picture": "data:image/png;base64,AAAA"}, "The picture is damaged"),
        ("turn", {"picture": "data:image/png;base64,AAAA", "angle": 181}, "181 is greater than the maximum of 180"),
        ("turn", {}, "'picture' is a required property"),
        ("own", {"text": "a"}, "Unknown tool"),
    ],
)
def test_tools_refuse_in_words(url, tool, arguments, match):
    failed, content = called(url, tool, arguments)
    assert failed and match in words(content)


def test_the_app_asks_itself_past_proxies_and_nobody_else(monkeypatch):
    """At the first call Gradio would ask the Hub about the environment, and greet itself with the Hub's token."""
    hosts, agents, connect = set(), [], socket.socket.connect

    def connected(self, address):
        hosts.add(address[0])
        return connect(self, address)

    demo = one_tab()
    with launched(demo) as url:
        monkeypatch.setattr(socket.socket, "connect", connected)
        monkeypatch.setattr(_headers, "detect_agent", lambda: agents.append(1))
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        failed, content = called(url, "turn", {"picture": data_uri(DIGIT)})
        assert not failed, content
        assert hosts == {"127.0.0.1"} and not agents
        assert "hf_secret" not in str(demo.mcp_server_obj._client_instance.headers)


def test_an_app_without_mcp_says_so_and_works(monkeypatch, capsys):
    monkeypatch.setattr(mcp, "is_installed", lambda: False)
    with launched(one_tab()) as url:
        assert mcp.OFF in capsys.readouterr().out.splitlines()
        assert Client(url, verbose=False).predict("a", api_name="/shout") == "A!"
        assert httpx.post(f"{url}gradio_api/mcp/", json={}).status_code == 404


# --- the app with all tabs


@pytest.fixture(scope="module")
def scanline(tmp_path_factory):
    with all_tabs(tmp_path_factory) as app, launched(app.demo) as url:
        yield types.SimpleNamespace(url=url, demo=app.demo)


def test_programs_are_offered_the_endpoints_and_nothing_else(scanline):
    offered = {fn.api_name for fn in scanline.demo.fns.values() if fn.api_visibility != "private"}
    assert offered == set(ENDPOINTS)


def test_every_random_seed_has_bounds(scanline):
    info = httpx.get(f"{scanline.url}gradio_api/info").json()["named_endpoints"]
    seeds = [p["type"] for endpoint in info.values() for p in endpoint["parameters"] if p["label"] == "Random seed"]
    assert [(seed["minimum"], seed["maximum"]) for seed in seeds] == [(0, SEEDS - 1)] * 4


def test_each_endpoint_is_documented_and_takes_no_objects(scanline):
    """Gradio's MCP server would send any file of the machine that an object names."""
    info = scanline.demo.get_api_info()["named_endpoints"]
    assert set(info) == {f"/{name}" for name in ENDPOINTS}
    unnamed = re.compile(r"(parameter|value)_\d+$")
    for name in ENDPOINTS:
        endpoint = info[f"/{name}"]
        function = next(fn for fn in scanline.demo.fns.values() if fn.api_name == name)
        summary, described, returns = get_function_description(function.fn)
        assert summary and returns and endpoint["description"].startswith(summary), name
        assert [p["parameter_name"] for p in endpoint["parameters"]] == list(described), name
        for p in endpoint["parameters"]:
            kind, text = p["python_type"]["type"], p["python_type"]["description"]
            assert text and text == described[p["parameter_name"]], (name, p)
            assert kind in ("str", "int", "float", "bool", "filepath") or kind.startswith("Literal["), (name, kind)
            assert not unnamed.match(p["label"]), (name, p)
        required = [p for p in endpoint["parameters"] if not p["parameter_has_default"]]
        assert len(required) <= len(ENDPOINTS[name]), (name, required)
        labels = [output["label"] for output in endpoint["returns"]]
        assert len(set(labels)) == len(labels) and not any(label.startswith("value_") for label in labels), (
            name,
            labels,
        )


def pictures_of(result: object) -> Iterator[Path]:
    """All files in what a program gets."""
    if isinstance(result, (list, tuple)):
        for part in result:
            yield from pictures_of(part)
    elif isinstance(result, dict):
        yield from pictures_of(list(result.values()))
    elif isinstance(result, str) and result.endswith((".png", ".webp", ".jpeg")):
        yield Path(result)


@pytest.mark.parametrize("name", ENDPOINTS)
def test_each_endpoint_answers_a_program(scanline, name, tmp_path):
    result = Client(scanline.url, verbose=False).predict(*arguments(name, tmp_path), api_name=f"/{name}")
    assert result and None not in (result if isinstance(result, tuple) else (result,)), result
    for path in pictures_of(result):
        with Image.open(path) as picture:
            assert picture.format == "PNG", path


def test_each_endpoint_is_a_tool(scanline):
    tools = {tool.name: tool for tool in asked(scanline.url, lambda session: session.list_tools()).tools}
    assert set(tools) == set(ENDPOINTS)
    for tool in tools.values():
        assert tool.description and " Returns: " in tool.description
        for name, schema in tool.inputSchema["properties"].items():
            assert schema["description"] and schema["type"] in ("string", "integer", "number", "boolean"), (tool, name)


@pytest.mark.parametrize("name", ["sample", "complete_digit", "surprise"])
def test_tools_answer(scanline, name, tmp_path):
    (tool,) = [tool for tool in asked(scanline.url, lambda s: s.list_tools()).tools if tool.name == name]
    values = [data_uri(value) if isinstance(value, Path) else value for value in files(name, tmp_path)]
    given = dict(zip(tool.inputSchema["properties"], values, strict=False))
    failed, content = called(scanline.url, name, given)
    assert not failed and content, content
    assert name == "surprise" or content[0].type == "image"
