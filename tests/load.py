"""`python tests/load.py [PART ...]`: the real app, as a process, under load; its figures go to docs/load.json.

Programs at once, more requests than it takes, samplings cancelled midway, nonsense sent to every handler and tool, and
uploads that try to get out of their folder. `tests/test_load.py` does the same in small.
"""

import argparse
import base64
import contextlib
import copy
import functools
import http.server
import io
import json
import math
import os
import random
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import psutil
import torch
from endpoints import DIGIT, ENDPOINTS, EXAMPLES, files
from environment import past_proxies
from gradio_client import Client, handle_file
from PIL import Image, ImageDraw

import hub_models
from hub_models.files import read_json, write_json
from hub_models.images import to_digit
from training.machine import hardware

ROOT = Path(__file__).parents[1]
APP = ROOT / "spaces" / "scanline" / "app.py"
# the app, which on one signal prints the stack of each thread, on another returns its free memory
LAUNCH = """import ctypes, gc, runpy, signal, sys, traceback
stacks = open(sys.argv[2], "w", encoding="utf-8")
def print_stacks(*_):
    for frame in sys._current_frames().values():
        traceback.print_stack(frame, file=stacks)
    print("# printed", file=stacks, flush=True)
signal.signal(signal.SIGUSR1, print_stacks)
def trim(*_):
    gc.collect()
    getattr(ctypes.CDLL(None), "malloc_trim", int)(0)
    print("# trimmed", file=stacks, flush=True)
signal.signal(signal.SIGUSR2, trim)
runpy.run_path(sys.argv[1], run_name="__main__")"""
# what samples: file, function
WORK = ("hub_models/spacekit/live.py", "in work"), ("hub_models/text.py", "in _generated")
LIMIT = 120  # seconds after which a request counts as hung
SECRET = "a secret beside the app"
Row = dict[str, str]


class Server:
    """The app as a process of its own, with folders of its own, observed from outside."""

    def __init__(self, work: Path):
        self.work = work
        self.temporary, self.log, self.stacks = work / "gradio", work / "log", work / "stacks"
        for name in ("gradio", "tmp", "home", "outside", "visitors"):
            (work / name).mkdir()
        (work / "outside" / "secret.txt").write_text(SECRET, encoding="utf-8", newline="\n")
        shutil.copy(DIGIT, work / "outside" / "secret.png")
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        own = {"GRADIO_SERVER_PORT": str(port), "GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_ANALYTICS_ENABLED": "False"}
        own |= {
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
            "HOME": str(work / "home"),
            "MPLCONFIGDIR": str(work / "visitors"),
        }
        own |= {"GRADIO_TEMP_DIR": str(self.temporary), "TMPDIR": str(work / "tmp")}
        with self.log.open("wb") as log:
            command = [sys.executable, "-c", LAUNCH, str(APP), str(self.stacks)]
            self.process = subprocess.Popen(command, cwd=work / "home", env=os.environ | own, stdout=log, stderr=log)
        self.http = httpx.Client(base_url=f"{self.url}/gradio_api", timeout=LIMIT)
        while not self.is_up():
            assert self.process.poll() is None, self.log.read_text(encoding="utf-8", errors="replace")
            time.sleep(0.2)
        config = httpx.get(f"{self.url}/config").json()
        self.types = {component["id"]: component["type"] for component in config["components"]}
        self.properties = {component["id"]: component["props"] for component in config["components"]}
        self.functions = {d["id"]: d for d in config["dependencies"]}
        self.drawings = {i: self.drawing(i) for i, kind in self.types.items() if kind == "imageeditor"}

    def is_up(self) -> bool:
        """Whether it answers."""
        with contextlib.suppress(httpx.TransportError):
            return self.http.get(f"{self.url}/config").status_code == 200
        return False

    def close(self) -> None:
        """End it."""
        self.http.close()
        self.process.kill()  # it would wait for all that still listen
        self.process.wait(20)

    def index(self, name: str) -> int:
        """The number of a named handler."""
        return next(i for i, d in self.functions.items() if d["api_name"] == name)

    def values(self, index: int, **changed: object) -> list:
        """What the page sends to a handler if a visitor changes only the widgets with these labels."""
        labels = {self.properties[i].get("label"): i for i in self.functions[index]["inputs"]}
        given = self.drawings | {labels[label]: value for label, value in changed.items()}
        return [copy.deepcopy(given.get(i, self.properties[i].get("value"))) for i in self.functions[index]["inputs"]]

    def drawing(self, canvas: int) -> dict:
        """The value of a canvas after its middle was brushed over."""
        background = (self.properties[canvas].get("value") or {}).get("background")
        width, height = Image.open(background["path"]).size if background else (280, 280)
        layer = Image.new("RGBA", (width, height))
        layer.paste("white", (width // 4, height // 4, 3 * width // 4, 3 * height // 4))
        drawn = self.upload("layer.png", encoded(layer))
        return {"background": background, "layers": [drawn], "composite": drawn, "id": None}

    def client(self) -> Client:
        """A patient visitor, who looks at no picture on the way: one that fetches each takes longer than the app."""
        return Client(self.url, verbose=False, download_files=False, httpx_kwargs={"timeout": LIMIT})

    def memory(self) -> float:
        """Resident, in MB, without what is free: how much of that the allocator keeps swings by 100 MB."""
        self.asked(signal.SIGUSR2, "# trimmed\n")
        return psutil.Process(self.process.pid).memory_info().rss / 1e6

    def asked(self, kind: signal.Signals, end: str) -> str:
        """What the process writes on a signal."""
        before = self.stacks.stat().st_size
        self.process.send_signal(kind)
        while not (written := self.stacks.read_text(encoding="utf-8", errors="replace")[before:]).endswith(end):
            assert self.process.poll() is None
            time.sleep(0.02)
        return written

    def samplings(self) -> int:
        """Threads that sample for `hub_models.spacekit.live`, or write a text."""
        lines = self.asked(signal.SIGUSR1, "# printed\n").splitlines()
        return sum(any(part in line and line.endswith(name) for part, name in WORK) for line in lines)

    def settled(self) -> bool:
        """Whether all samplings end soon; between two of its tokens a text is on no thread, so it looks often."""
        end, quiet = time.monotonic() + LIMIT, 0
        while quiet < 20 and time.monotonic() < end:
            quiet = 0 if self.samplings() else quiet + 1
            time.sleep(0.02)
        return quiet == 20

    def tracebacks(self) -> list[str]:
        """Those in its log."""
        return self.log.read_text(encoding="utf-8", errors="replace").split("Traceback (most recent call last)")[1:]

    def files(self) -> list[Path]:
        """All there is in its temporary folder."""
        return [path for path in self.temporary.rglob("*") if path.is_file()]

    def elsewhere(self) -> dict[Path, bytes]:
        """All that lies around its temporary folder, and where names of uploads lead, with what is in it."""
        around = [path for path in self.work.rglob("*") if not path.is_relative_to(self.temporary)]
        mine = (self.log, self.stacks, self.work / "visitors")
        around = [path for path in around if not any(path.is_relative_to(other) for other in mine)]
        return {path: path.read_bytes() for path in [*around, Path("/tmp/evil.png")] if path.is_file()}

    def upload(self, name: str, content: bytes) -> dict:
        """A file's value as an input."""
        reply = self.http.post("/upload", files={"files": (name, content)})
        return {"path": reply.json()[0], "meta": {"_type": "gradio.FileData"}}


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    """The app, in folders that are thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder).resolve())
        try:
            yield server
        finally:
            server.close()


def at_once(n: int, task: Callable[[int], object]) -> list:
    """task(0) .. task(n - 1), each in a thread of its own."""
    with ThreadPoolExecutor(n) as pool:
        return list(pool.map(task, range(n)))


# --- visitors at once


def example(i: int) -> Path:
    """The i-th example of a digit."""
    return EXAMPLES / "mnist" / f"{i}.png"


def digit(i: int) -> torch.Tensor:
    """uint8 (1, 1, 28, 28), what the app makes of it."""
    with Image.open(example(i)) as picture:
        return to_digit(picture)


@functools.cache
def model(name: str) -> hub_models.HubModel:
    """A checkpoint, loaded once."""
    return hub_models.load(name)


def read_alone(i: int) -> list[float]:
    """What the classifier says of the i-th example, without the app."""
    return model("gru128-mnist-classify").predict_prefixes(digit(i))[0, -1].tolist()


def completed_alone(i: int, seed: int) -> np.ndarray:
    """The i-th example with its lower half completed, uint8 (28, 28), without the app."""
    net = model("gru128-mnist-predict")
    truth, known = net.to_bytes(net.quantise(digit(i))), torch.arange(784).view(1, 1, 28, 28) < 392
    given = truth.masked_fill(~known, 128)
    images = net.complete(given, known, 1, temperature=1.0, generator=torch.Generator().manual_seed(seed))
    return images[0, 0, 0].numpy()


def shares(result: object) -> list[float]:
    """The probabilities of the ten digits in what `read_digit` returns."""
    parts = result if isinstance(result, (list, tuple)) else [result]
    (label,) = [part for part in parts if isinstance(part, dict) and "confidences" in part]
    found = {int(c["label"]): c["confidence"] for c in label["confidences"]}
    return [found[k] for k in range(10)]


def picture_of(server: Server, gallery: list[dict]) -> np.ndarray:
    """The first picture of a gallery, uint8 (28, 28)."""
    content = server.http.get(gallery[0]["image"]["url"]).content
    with Image.open(io.BytesIO(content)) as picture:
        return np.asarray(picture.convert("L").resize((28, 28), Image.Resampling.NEAREST))


def watched(client: Client, *arguments, **options) -> tuple[object, float, set[int]]:
    """A job's answer, how long it took, and the places in the queue that its program saw."""
    start, places = time.monotonic(), set()
    job = client.submit(*arguments, **options)
    while not job.done():
        if (rank := job.status().rank) is not None:
            places.add(rank)
        time.sleep(0.1)
    return job.result(), time.monotonic() - start, places


def visitors(server: Server, n: int) -> list[Row]:
    """n programs, released at once; each reads an example and completes one, and gets what is right for it alone."""
    gate = threading.Barrier(n)
    mask = files("complete_digit", server.work / "visitors")[1]

    def visit(i: int) -> tuple:
        client = server.client()
        picture = handle_file(example(i % 10))
        gate.wait()
        read, first, places = watched(client, picture, api_name="/read_digit")
        options = {"n": 1, "temperature": 1, "seed": i, "api_name": "/complete_digit"}
        completed, second, more = watched(client, picture, handle_file(mask), **options)
        client.close()
        return read, completed, (first, second), places | more

    answers = at_once(n, visit)
    for i, (read, completed, _, _) in enumerate(answers):
        assert np.allclose(shares(read), read_alone(i % 10), atol=1e-6), f"program {i} read another's"
        shown = picture_of(server, completed[0])
        assert np.array_equal(shown, completed_alone(i % 10, i)), f"program {i} got another's completion"
    seen = [places for *_, places in answers if places]
    assert seen, "nobody saw a place in the queue"
    rows = [row("programs at once, each reading a digit and completing one", f"{len(answers)} of {n} answered rightly")]
    rows += [row("programs that saw their place in the queue", f"{len(seen)}, up to place {1 + max(map(max, seen))}")]
    for k, what in enumerate(("reading", "completing")):
        seconds = [times[k] for _, _, times, _ in answers]
        result = f"median {statistics.median(seconds):.1f} s, worst {max(seconds):.1f} s"
        rows += [row(f"{what}: submitted to answered", result)]
    return rows


def crowd(server: Server, n: int) -> list[Row]:
    """More requests than may wait: those beyond are refused in words that say what to do, and the app goes on."""
    index, client = server.index(CROWDED), server.client()
    replies = at_once(
        n,
        lambda i: server.http.post(
            "/queue/join",
            json={"fn_index": index, "session_hash": f"crowd{i}", "data": server.values(index, **STREAMS[CROWDED])},
        ),
    )
    codes = Counter(reply.status_code for reply in replies)
    assert set(codes) == {200, 503}, codes
    assert all("Queue is full" in reply.json()["detail"] for reply in replies if reply.status_code == 503)
    try:
        answer = client.predict(handle_file(DIGIT), api_name="/read_digit")
    except Exception as error:
        answer = str(error)
    assert answer == "Queue is full! Please try again.", answer
    for i, reply in enumerate(replies):
        if reply.status_code == 200:
            cancel = {"session_hash": f"crowd{i}", "fn_index": index, "event_id": reply.json()["event_id"]}
            server.http.post("/cancel", json=cancel)
    assert server.settled()
    is_well(server)
    client.close()
    return [row(f"{n} requests at once, of which 68 fit", f"{codes[200]} taken, {codes[503]} refused: “{answer}”")]


def is_well(server: Server) -> None:
    """The app is up and right."""
    client = server.client()
    read = client.predict(handle_file(example(7)), api_name="/read_digit")
    assert np.allclose(shares(read), read_alone(7), atol=1e-6)
    client.close()


# --- samplings cancelled


def messages(lines: Iterator[str]) -> Iterator[dict]:
    """What the queue sends a session."""
    return (json.loads(line[6:]) for line in lines if line.startswith("data: "))


STREAMS: dict[str, dict[str, object]] = {  # handlers of pages that sample -> widgets that a visitor changes, by label
    "fill": {"Number of completions": 8},
    "draw": {"Number of images": 16},
    "write_shown": {"Characters to write": 2000},
}
CROWDED = "draw"


def cancelled(server: Server, name: str, i: int) -> None:
    """Start a sampling, wait until it shows something, and leave it in one of the ways that there are."""
    index, session = server.index(name), f"cancelled-{os.urandom(8).hex()}"
    body = {"fn_index": index, "session_hash": session, "data": server.values(index, **STREAMS[name])}
    event = server.http.post("/queue/join", json=body).json()["event_id"]
    with server.http.stream("GET", "/queue/data", params={"session_hash": session}) as stream:
        steps = 0
        for message in messages(stream.iter_lines()):
            assert message["msg"] != "process_completed", message
            steps += message["msg"] == "process_generating"
            if steps == 2:
                break
        if i % 2:  # by the page's button, or by closing the page
            server.http.post("/cancel", json={"session_hash": session, "fn_index": index, "event_id": event})
        # else the connection ends


def cancellations(server: Server, name: str, warm: int, n: int, sessions: int, most: float) -> list[Row]:
    """A page's samplings cancelled midway leave no thread, at most so many MB, and few files.

    Gradio keeps a copy of the page, 0.6 MB, for each of the last visitors, `frame.VISITORS`, and the first samplings
    take 100 MB once: `sessions` visitors and `warm` samplings come first, to have that behind us. What is resident
    swings by some 30 MB between lots of six already; sixteen photographs that went on would hold a MB each time.
    """
    look = server.index("receptive_field")
    for i in range(sessions):
        posted(
            server,
            {"fn_index": look, "data": server.values(look), "session_hash": f"before{i}"},
            "receptive_field",
            True,
        )

    def cancel(count: int, first: int) -> None:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda i: cancelled(server, name, first + i), range(count)))
        assert server.settled(), "samplings go on that were cancelled"

    cancel(warm, 0)
    threads, memory, files = psutil.Process(server.process.pid).num_threads(), server.memory(), server.files()
    cancel(n, warm)
    grown, more = server.memory() - memory, psutil.Process(server.process.pid).num_threads() - threads
    new = set(server.files()) - set(files)
    assert more <= 4, f"{more} more threads"  # of Gradio's pool
    assert grown < most, f"{grown:.0f} MB more"
    is_well(server)
    size = sum(path.stat().st_size for path in new) / 1e6
    what = f"{n} samplings of `{name}` cancelled midway, after {warm}"
    return [
        row(f"{what}: resident memory", f"{memory:.0f} MB, then {memory + grown:.0f} MB"),
        row(f"{what}: samplings still running", str(server.samplings())),
        row(f"{what}: threads", f"{threads}, then {threads + more}"),
        row(f"{what}: pictures shown, kept for an hour", f"{len(new)} files, {size:.1f} MB"),
    ]


# --- nonsense


class Canary:
    """A server beside the app, which must never be asked anything."""

    def __enter__(self) -> "Canary":
        canary, self.asked = self, []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):  # noqa: N802
                canary.asked.append(self.path)
                self.send_error(404)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self.server.shutdown()
        self.server.server_close()


def encoded(picture: Image.Image, kind: str = "PNG") -> bytes:
    """A picture's file."""
    file = io.BytesIO()
    picture.save(file, kind)
    return file.getvalue()


def pictures() -> dict[str, bytes]:
    """Good pictures, odd ones and files that are none, by name."""
    seven = Image.new("L", (280, 280), 255)
    ImageDraw.Draw(seven).line([(84, 56), (196, 56), (126, 224)], fill=0, width=23)
    good = encoded(seven)
    odd = {f"{mode}.png": encoded(seven.convert(mode)) for mode in ("1", "LA", "P", "RGB", "RGBA")}
    odd["16.png"] = encoded(Image.fromarray(np.asarray(seven).astype(np.uint16) * 257))
    odd |= {f"seven.{kind.lower()}": encoded(seven, kind) for kind in ("JPEG", "GIF", "BMP", "TIFF", "WEBP")}
    odd |= {"one.png": encoded(Image.new("L", (1, 1))), "thin.png": encoded(Image.new("L", (8192, 1)))}
    header = b"IHDR" + struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 6, 0, 0, 0)
    huge = good[:8] + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header)) + good[33:]
    broken = {"cut.png": good[: len(good) // 2], "head.png": good[:20], "huge.png": huge, "empty.png": b""}
    broken |= {"text.png": b"no picture", "drawing.svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>"}
    broken |= {"notes.txt": b"text", "noise.png": good[:60] + os.urandom(200) + good[260:]}
    return {"seven.png": good} | odd | broken


class Fuzz:
    """Payloads that are nearly valid, from a seed."""

    def __init__(self, server: Server, canary: Canary, seed: int):
        self.random = random.Random(seed)
        self.server = server
        self.files = {name: server.upload(name, content) for name, content in pictures().items()}
        seven = self.files["seven.png"]
        self.valid = {"dataset": 0, "uploadbutton": seven, "image": seven}  # of other kinds what the page itself has
        described = server.http.get("/mcp/schema")
        self.tools = described.json() if described.status_code == 200 else []
        # fmt: off
        outside = [
            "/etc/passwd", str(server.work / "outside" / "secret.png"), str(APP), "../../../../etc/passwd", ".", "~",
            f"{server.temporary}/../outside/secret.png", str(server.temporary), "/dev/zero", "/proc/self/mem", "a\0b",
            canary.url + "/a.png", canary.url.upper(), f"//{canary.url[7:]}/", f"http://a@{canary.url[7:]}/b.png",
            "file:///etc/passwd", "", "ftp://127.0.0.1/a", "data:image/png;base64,iVBORw0KGgo=",
        ]
        deep: object = 0
        for _ in range(300):
            deep = [deep]
        self.plain = [
            None, True, False, "", "3", "\u202e\U0001f600\0é", -1, 0, 1, 8, 9, 1.5, 785, 2**31, 10**30, -(10**18),
            1e308, math.nan, math.inf, -math.inf, [], {}, [[]], [1] * 99, {"a": {"b": []}}, {"path": 3},
            {"path": None}, deep, {"meta": {"_type": "gradio.FileData"}}, {"background": None},
            {"__type__": "update"}, "x" * 9999,
        ]
        # fmt: on
        kinds = ({"meta": {"_type": "gradio.FileData"}}, {}, {"meta": {"_type": "gradio.FileData"}, "url": canary.url})
        self.foreign = [{"path": path} | kind for path in outside for kind in kinds]

    def nasty(self) -> object:
        """A value for any place."""
        chance = self.random.random()
        if chance < 0.01:
            return self.random.choice("xé\0") * 10**6
        pool = self.foreign if chance < 0.3 else list(self.files.values()) if chance < 0.5 else self.plain
        return copy.deepcopy(self.random.choice(pool))

    def mutated(self, value: object) -> object:
        """The value with something in it replaced, removed or added."""
        if not isinstance(value, (dict, list)) or not value or self.random.random() < 0.25:
            return self.nasty()
        places = list(value) if isinstance(value, dict) else range(len(value))
        place, action = self.random.choice(places), self.random.random()
        if action < 0.1:
            del value[place]
        elif action < 0.2 and isinstance(value, dict):
            value[self.random.choice(("id", "path", "layers", "extra", ""))] = self.nasty()
        elif action < 0.2:
            value.insert(place, self.nasty())
        elif action < 0.3 and isinstance(value, list) and len(value) < 100:
            value *= 5000
        else:
            value[place] = self.mutated(value[place])
        return value

    def sound(self, index: int) -> dict:
        """What a page posts to an endpoint."""
        kinds = [self.server.types[i] for i in self.server.functions[index]["inputs"]]
        values = self.server.values(index)
        inputs = [copy.deepcopy(self.valid.get(kind, value)) for kind, value in zip(kinds, values, strict=True)]
        return {"data": inputs, "fn_index": index, "session_hash": f"visitor{self.random.randrange(50)}"}

    def body(self, index: int) -> dict:
        """The same, its data mutated up to three times, sometimes what surrounds them too."""
        body = self.sound(index)
        for _ in range(self.random.choice((1, 1, 2, 3))):
            chance, data = self.random.random(), body["data"]
            if chance < 0.02 or not isinstance(data, list):
                body["data"] = self.nasty()
            elif chance < 0.1 or not data:
                data.insert(0, self.nasty())
            elif chance < 0.15:
                data.pop()
            else:
                place = self.random.randrange(len(data))
                data[place] = self.mutated(data[place])
        if "select" in [event for _, event in self.server.functions[index]["targets"]]:  # where something was clicked
            body["event_data"] = self.mutated(
                {"index": [3, 6], "value": "a", "row_value": ["cat", 1], "selected": True}
            )
        if self.random.random() < 0.05:
            around = ("session_hash", "event_id", "fn_index", "trigger_id", "event_data", "batched", "simple_format")
            body[self.random.choice(around)] = self.nasty()
        return body

    def part(self) -> dict:
        """The form with which a page sends a part of a drawing ahead, mutated."""
        number = next(i for i, kind in self.server.types.items() if kind == "imageeditor")
        form = {"type": "layer", "index": "0", "id": "a", "component_id": str(number), "session_hash": "b"}
        form |= {"fn_name": "accept_blobs"}
        for _ in range(self.random.randint(1, 3)):
            pool = ("", "null", "-1", "4", "1000000000", "1e9", "NaN", "clear", "__init__", "x" * 10_000, "é")
            form[self.random.choice(list(form))] = self.random.choice(pool)
        if self.random.random() < 0.1:
            del form[self.random.choice(list(form))]
        return form

    def tool(self) -> dict:
        """An MCP client's call of a tool, mutated."""
        tool = self.random.choice(self.tools)
        picture = f"data:image/png;base64,{base64.b64encode(pictures()['seven.png']).decode()}"
        arguments = {
            name: schema.get("default", picture if "data URI" in schema.get("format", "") else "To be")
            for name, schema in tool["inputSchema"]["properties"].items()
        }
        call = {"name": tool["name"], "arguments": arguments}
        for _ in range(self.random.choice((0, 1, 1, 2))):
            call = self.mutated(call)
            if not isinstance(call, dict):
                break
        return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}


def refusal_of(reply: object) -> str:
    """The words of an error, as a visitor gets them; empty where there are none."""
    reply = reply if isinstance(reply, dict) else {}
    return str(reply.get("error") or reply.get("detail") or reply.get("message") or "")


def posted(server: Server, body: dict, name: str, by_queue: bool) -> str:
    """Post a body to a function; 'answered', 'refused', or what is wrong with how it was met."""
    content, headers = json.dumps(body), {"Content-Type": "application/json"}
    if not by_queue:
        reply = server.http.post(f"/run/{name}", content=content, headers=headers)
        return judged(reply)
    if body["session_hash"] and str(body["session_hash"]).startswith("visitor"):
        body["session_hash"] += os.urandom(8).hex()  # a session has one stream
        content = json.dumps(body)
    reply = server.http.post("/queue/join", content=content, headers=headers)
    if reply.status_code != 200:
        return judged(reply)
    session = body["session_hash"] or reply.json()["event_id"]
    with server.http.stream("GET", "/queue/data", params={"session_hash": session}) as stream:
        for message in messages(stream.iter_lines()):
            if message["msg"] == "process_generating" or (message["msg"] == "process_completed" and message["success"]):
                return "answered"
            if message["msg"] in ("process_completed", "unexpected_error"):
                text = refusal_of(message.get("output") or message)
                return "refused" if text else f"no words: {message}"
    return "the queue hung up without an answer"


def judged(reply: httpx.Response) -> str:
    """'answered', 'refused', or what is wrong with a reply."""
    if SECRET in reply.text or "root:" in reply.text:
        return "it shows a secret"
    if reply.status_code == 200:
        return "answered"
    try:
        text = refusal_of(reply.json())
    except ValueError:
        text = reply.text if reply.status_code < 500 else ""
    return "refused" if text else f"no words: {reply.status_code} {reply.text[:200]}"


def called(server: Server, body: dict) -> str:
    """Call a tool of the MCP server; 'answered', 'refused', or what is wrong with how it was met."""
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    reply = server.http.post("/mcp/", content=json.dumps(body), headers=headers)
    if SECRET in reply.text or "root:" in reply.text:
        return "it shows a secret"
    if reply.status_code != 200:
        return judged(reply)
    (message,) = messages(reply.text.splitlines())
    if "error" in message:
        return "refused" if message["error"]["message"] else f"no words: {message}"
    if not message["result"]["isError"]:
        return "answered"
    return "refused" if message["result"]["content"][0]["text"] else f"no words: {message}"


HISTORY = ("/runs", "/runs/", "/run-history/connect", "/run-history/buckets", "/run-history/records")


def met(server: Server, kind: object, body: object, by_queue: bool, file: bytes) -> str:
    """Send a request of a kind; 'answered', 'refused', or what is wrong with how it was met."""
    try:
        if kind == "drawing":
            return judged(server.http.post("/component_server", data=body, files={"file": ("a.png", file)}))
        if kind == "tool":
            return called(server, body)
        if kind == "history":  # which is off
            method, route, content = body
            reply = server.http.request(method, route, content=content)
            return judged(reply) if reply.status_code in (404, 405) else f"{method} {route}: {reply.status_code}"
        name, payload = body
        return posted(server, payload, name, by_queue)
    except httpx.TransportError as error:
        return f"{type(error).__name__}: {error}"


def fuzz(server: Server, n: int, seed: int = 0) -> list[Row]:
    """n payloads to each handler, one in ten of them by the queue; each gets an answer or an error in words.

    As many go to the tools of the MCP server, to the parts of drawings that pages send ahead, to the run history, and
    to the listeners that run in the browser only, all together.
    """
    counts, faults = Counter(), []
    with Canary() as canary:
        makers = Fuzz(server, canary, seed)
        part = pictures()["seven.png"]
        handlers = {i: d["api_name"] for i, d in server.functions.items() if d["backend_fn"]}
        scripts = [i for i in server.functions if i not in handlers]
        found = {name: posted(server, makers.sound(i), name, False) for i, name in handlers.items()}
        unsound = {name: found.get(name) for name in (*ENDPOINTS, *STREAMS) if found.get(name) != "answered"}
        assert not unsound, unsound  # else all would be refused for what was not damaged
        kinds = [*handlers, "script", "drawing", "history", *(["tool"] if makers.tools else [])]

        def made(kind: object) -> object:
            if kind == "drawing":
                return makers.part()
            if kind == "tool":
                return makers.tool()
            if kind == "history":
                method = makers.random.choice(("GET", "POST", "PUT"))
                return method, makers.random.choice(HISTORY), json.dumps(makers.nasty())
            index = makers.random.choice(scripts) if kind == "script" else kind
            return server.functions[index]["api_name"], makers.body(index)

        def one(task: tuple) -> None:
            kind, body, by_queue = task
            outcome = met(server, kind, body, by_queue, part)
            counts[outcome if outcome in ("answered", "refused") else "failed"] += 1
            if outcome not in ("answered", "refused"):
                faults.append((kind, outcome, json.dumps(body)[:500]))

        for k in range(0, n, 100):  # not all payloads at once in memory
            tasks = [(kind, made(kind), not j % 10) for kind in kinds for j in range(k, min(k + 100, n))]
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(one, tasks))
        asked = canary.asked
    total, wanted = sum(counts.values()), n * len(kinds)
    assert not faults, f"{len(faults)} of {total}: {faults[:5]}"
    assert total == wanted
    assert not asked, f"the app asked another server for {asked[:5]}"
    assert server.process.poll() is None and server.settled()
    tracebacks = server.tracebacks()
    assert not tracebacks, f"{len(tracebacks)} tracebacks: {tracebacks[0][:3000]}"
    is_well(server)
    lines = server.log.read_text(encoding="utf-8", errors="replace").count("refused '")
    return [
        row(
            f"{n} damaged payloads to each of {len(kinds)} kinds of request",
            f"{counts['answered']} answered, {counts['refused']} refused in words, {counts['failed']} failed",
        ),
        row("of these, refused only because an exception in Gradio's own routes is caught", str(lines)),
        row("tracebacks in the log; other servers asked", f"{len(tracebacks)}; {len(asked)}"),
        row("resident memory after it", f"{server.memory():.0f} MB"),
    ]


# --- uploads


def multipart(name: bytes, content: bytes) -> tuple[bytes, dict]:
    """An upload's body and headers, with the file name as it is."""
    head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="' + name + b'"\r\n'
    head += b"Content-Type: image/png\r\n\r\n"
    return head + content + b"\r\n--x--\r\n", {"Content-Type": "multipart/form-data; boundary=x"}


# fmt: off
NAMES = (
    b"../../evil.png", b"/tmp/evil.png", b"..\\..\\evil.png", b"a\0b.png", b"x" * 300 + b".png", b"a\nb.png", b"..",
    b".", b"", b"....//evil.png", b"%2e%2e%2fevil.png", b"\xff\xfe.png", "\u202egnp.exe".encode(), b"a/../../b.png",
    b"con", b"/", b"-rf", b"$(touch evil).png", b"~/evil.png", b"a\r\nX-Evil: 1.png", b".bashrc", b"evil.png/",
)
# fmt: on


def uploads(server: Server, n: int) -> list[Row]:
    """Uploads stay in their folder, whatever their name, nothing outside can be fetched, and large ones are refused."""
    before, outcomes, broken = server.elsewhere(), Counter(), []
    content = pictures()["seven.png"]
    for k in range(n):
        name = NAMES[k % len(NAMES)] + (b"" if k < len(NAMES) else str(k).encode())
        body, headers = multipart(name, content)
        reply = server.http.post("/upload", content=body, headers=headers)
        outcomes[judged(reply)] += 1
        if reply.status_code == 200:
            for path in reply.json():
                inside = Path(path).resolve()
                assert inside.is_relative_to(server.temporary) and inside.read_bytes() == content, (name, path)
        elif judged(reply) != "refused":
            broken.append((name, judged(reply)))
    assert not broken, broken
    count = len(server.files())
    for size in (10 * 2**20 + 1, 13 * 2**20):
        reply = server.http.post("/upload", files={"files": ("large.png", bytes(size))})
        assert reply.status_code == 413 and judged(reply) == "refused", reply.text
    left = len(server.files()) - count
    secrets, fetched = (str(server.work / "outside" / "secret.txt"), "/etc/passwd", str(APP)), 0
    (server.temporary / "link").symlink_to(server.work / "outside")
    ways = [*secrets, *(f"{server.temporary}/..{s}" for s in secrets), f"{server.temporary}/../outside/secret.txt"]
    ways += [f"{server.temporary}/%2e%2e/outside/secret.txt", f"{server.temporary}//../outside/secret.txt"]
    ways += [
        "../outside/secret.txt",
        "file:///etc/passwd",
        f"{server.temporary}/link/secret.txt",
        "..%2foutside%2fsecret.txt",
    ]
    with Canary() as canary:
        ways += [f"{canary.url}/a.png"]
        for way in ways:
            for route in ("/file=", "/file/", "/proxy=", "/static/", "/assets/", "/stream/a/b/1/"):
                reply = server.http.get(f"{route}{way}")
                fetched += 1
                assert reply.status_code >= 400 and judged(reply) == "refused", (route, way, reply.status_code)
        assert not canary.asked, canary.asked
    good = server.upload("seven.png", content)["path"]
    digits = [f"{server.temporary}{way}/secret.png" for way in ("/link", "/../outside", "/link/../../outside")]
    for path in [good, *digits, str(server.work / "outside" / "secret.png"), f"{good}/../../../outside/secret.png"]:
        for mark in ({"meta": {"_type": "gradio.FileData"}}, {}):
            outcome = judged(server.http.post("/run/read_digit", json={"data": [{"path": path} | mark]}))
            assert outcome == ("answered" if path == good and mark else "refused"), (path, mark, outcome)
    now = server.elsewhere()
    assert now == before, [str(path) for path in now.keys() ^ before.keys()]
    assert not server.tracebacks(), server.tracebacks()[0]
    is_well(server)
    return [
        row(
            f"{n} uploads under names that lead elsewhere",
            f"{outcomes['answered']} kept inside, {outcomes['refused']} refused",
        ),
        row(f"{fetched} ways to fetch what lies outside the temporary folder", f"{fetched} refused"),
        row("files written outside it", str(len(now.keys() - before.keys()))),
        row("uploads of over 10 MB", f"refused; {left} files left over"),
    ]


def row(what: str, result: str) -> Row:
    """A line of the table."""
    return {"what": what, "result": result, "hardware": hardware(torch.device("cpu"))}


PARTS: dict[str, Callable[[Server], list[Row]]] = {
    "visitors": lambda server: visitors(server, 50) + crowd(server, 120),
    **{name: lambda server, name=name: cancellations(server, name, 150, 200, 200, 50) for name in STREAMS},
    "nonsense": lambda server: fuzz(server, 2000),
    "uploads": lambda server: uploads(server, 500),
}


def main() -> None:
    """The parts that are named, or all, at full size, each on an app of its own; their rows go to docs/load.json."""
    os.environ.update(past_proxies())
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser("python tests/load.py", description=__doc__.splitlines()[0])
    parser.add_argument("part", nargs="*", help=f"of {', '.join(PARTS)}")
    chosen = parser.parse_args().part
    if unknown := {*chosen} - {*PARTS}:
        parser.error(f"there is no part {min(unknown)!r}: known are {', '.join(PARTS)}")
    path = ROOT / "docs" / "load.json"
    for name in chosen or PARTS:
        with serving() as server:
            rows = PARTS[name](server)
        print(*(f"{r['what']}: {r['result']}" for r in rows), sep="\n", flush=True)
        found = read_json(path) | {name: rows}
        write_json(path, {part: found[part] for part in PARTS if part in found})


if __name__ == "__main__":
    main()
