"""`python tests/load.py [PART ...]`: the real app, as a process, under load; its figures go to docs/load.json.

Visitors at once, more requests than it takes, samplings given up midway, nonsense sent to every endpoint, and uploads
that try to get out of their folder. `tests/test_load.py` does the same in small.
"""

import argparse
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
from environment import past_proxies
from gradio_client import Client
from PIL import Image, ImageDraw

import hub_models
from hub_models.files import read_json, write_json
from hub_models.images import to_sheet
from training.machine import hardware

ROOT = Path(__file__).parents[1]
APP = ROOT / "spaces" / "scanline" / "app.py"
# the app, which at one signal tells where each of its threads is, at another gives back the memory that it has free
LAUNCH = """import ctypes, gc, runpy, signal, sys, traceback
stacks = open(sys.argv[2], "w", encoding="utf-8")
def tell(*_):
    for frame in sys._current_frames().values():
        traceback.print_stack(frame, file=stacks)
    print("# told", file=stacks, flush=True)
signal.signal(signal.SIGUSR1, tell)
def give_back(*_):
    gc.collect()
    getattr(ctypes.CDLL(None), "malloc_trim", int)(0)
    print("# given back", file=stacks, flush=True)
signal.signal(signal.SIGUSR2, give_back)
runpy.run_path(sys.argv[1], run_name="__main__")"""
# what samples: file, function
WORK = ("hub_models/spacekit/live.py", "in work"), ("hub_models/text.py", "in _generated")
LIMIT = 120  # seconds after which a request counts as hung
SECRET = "a secret beside the app"
Row = dict[str, str]


class Server:
    """The app as a process of its own, with folders of its own, and what can be seen of it from outside."""

    def __init__(self, work: Path):
        self.work = work
        self.temporary, self.log, self.stacks = work / "gradio", work / "log", work / "stacks"
        for name in ("gradio", "tmp", "home", "outside", "visitors"):
            (work / name).mkdir()
        (work / "outside" / "secret.txt").write_text(SECRET, encoding="utf-8", newline="\n")
        shutil.copy(ROOT / "spaces" / "examples" / "mnist" / "3.png", work / "outside" / "secret.png")
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
        self.values = {component["id"]: component["props"].get("value") for component in config["components"]}
        self.functions = {d["id"]: d for d in config["dependencies"]}

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
        """The number of a named endpoint."""
        return next(i for i, d in self.functions.items() if d["api_name"] == name)

    def client(self) -> Client:
        """A patient visitor, who looks at no picture on the way: one that fetches each takes longer than the app."""
        return Client(self.url, verbose=False, download_files=False, httpx_kwargs={"timeout": LIMIT})

    def memory(self) -> float:
        """Resident, in MB, without what is free: how much of that the allocator keeps swings by 100 MB."""
        self.asked(signal.SIGUSR2, "# given back\n")
        return psutil.Process(self.process.pid).memory_info().rss / 1e6

    def asked(self, kind: signal.Signals, end: str) -> str:
        """What the process writes on a signal."""
        before = self.stacks.stat().st_size
        self.process.send_signal(kind)
        while not (told := self.stacks.read_text(encoding="utf-8", errors="replace")[before:]).endswith(end):
            assert self.process.poll() is None
            time.sleep(0.02)
        return told

    def samplings(self) -> int:
        """Threads that sample for `hub_models.spacekit.live`, or write a text."""
        told = self.asked(signal.SIGUSR1, "# told\n").splitlines()
        return sum(any(part in line and line.endswith(name) for part, name in WORK) for line in told)

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


def digit(i: int) -> torch.Tensor:
    """uint8 (1, 1, 28, 28), the app's i-th example."""
    return torch.from_numpy(np.array(Image.open(ROOT / "spaces" / "examples" / "mnist" / f"{i}.png")))[None, None]


@functools.cache
def model(name: str) -> hub_models.HubModel:
    """A checkpoint, loaded once."""
    return hub_models.load(name)


def read_alone(i: int) -> list[float]:
    """What the classifier says of the i-th example, without the app."""
    return model("gru128-mnist-classify").predict_prefixes(digit(i))[0, -1].tolist()


def filled_alone(i: int, seed: int) -> np.ndarray:
    """The sheet of the i-th example's last 300 pixels, filled twice, without the app."""
    net = model("gru128-mnist-predict")
    truth, known = net.to_bytes(net.quantise(digit(i))), torch.arange(784).view(1, 1, 28, 28) < 484
    given = truth.masked_fill(~known, 128)
    images = net.complete(given, known, 2, temperature=1.0, generator=torch.Generator().manual_seed(seed))
    return np.asarray(to_sheet(images[0], columns=2, scale=8).convert("L"))


def watched(client: Client, *arguments, api_name: str) -> tuple[object, float, set[int]]:
    """A job's last answer, how long it took, and the places in the queue that its visitor was told."""
    start, places = time.monotonic(), set()
    job = client.submit(*arguments, api_name=api_name)
    while not job.done():
        if (rank := job.status().rank) is not None:
            places.add(rank)
        time.sleep(0.1)
    return job.outputs()[-1], time.monotonic() - start, places


def visitors(server: Server, n: int) -> list[Row]:
    """n visitors, released at once; each reads an example and fills one, and gets what is right for it alone."""
    gate = threading.Barrier(n)

    def visit(i: int) -> tuple:
        client = server.client()
        gate.wait()
        read, first, told = watched(client, i % 10, api_name="/read_example")
        taken = client.predict(i % 10, api_name="/take_example") | {"id": None}
        filled, second, told_too = watched(client, taken, 300, 2, 1, i, api_name="/fill_last")
        client.close()
        return read, filled, (first, second), told | told_too

    answers = at_once(n, visit)
    for i, (read, filled, _, _) in enumerate(answers):
        told = {int(c["label"]): c["confidence"] for c in read[1]["confidences"]}
        assert np.allclose([told[k] for k in range(10)], read_alone(i % 10), atol=1e-6), f"visitor {i} read another's"
        sheet = np.asarray(Image.open(io.BytesIO(server.http.get(filled[2]["url"]).content)).convert("L"))
        assert np.array_equal(sheet, filled_alone(i % 10, i)), f"visitor {i} got another's completions"
    told = [places for *_, places in answers if places]
    assert told, "nobody was told a place in the queue"
    rows = [row("visitors at once, each reading a digit and filling one", f"{len(answers)} of {n} answered rightly")]
    rows += [row("visitors told their place in the queue", f"{len(told)}, up to place {1 + max(map(max, told))}")]
    for k, what in enumerate(("reading", "filling")):
        seconds = [times[k] for _, _, times, _ in answers]
        rows += [
            row(
                f"{what}: submitted to answered",
                f"median {statistics.median(seconds):.1f} s, worst {max(seconds):.1f} s",
            )
        ]
    return rows


def crowd(server: Server, n: int) -> list[Row]:
    """More requests than may wait: those beyond are refused in words that say what to do, and the app goes on."""
    index, client, value = server.index("fill_last"), server.client(), editor(server)
    replies = at_once(
        n,
        lambda i: server.http.post(
            "/queue/join", json={"fn_index": index, "session_hash": f"crowd{i}", "data": [value, 300, 1, 1, i]}
        ),
    )
    codes = Counter(reply.status_code for reply in replies)
    assert set(codes) == {200, 503}, codes
    assert all("Queue is full" in reply.json()["detail"] for reply in replies if reply.status_code == 503)
    try:
        told = client.predict(3, api_name="/read_example")
    except Exception as error:
        told = str(error)
    assert told == "Queue is full! Please try again.", told
    for i, reply in enumerate(replies):
        if reply.status_code == 200:
            cancel = {"session_hash": f"crowd{i}", "fn_index": index, "event_id": reply.json()["event_id"]}
            server.http.post("/cancel", json=cancel)
    assert server.settled()
    is_well(server)
    client.close()
    return [row(f"{n} requests at once, of which 68 fit", f"{codes[200]} taken, {codes[503]} refused: “{told}”")]


def is_well(server: Server) -> None:
    """The app is up and right."""
    client = server.client()
    read = client.predict(7, api_name="/read_example")
    told = {int(c["label"]): c["confidence"] for c in read[1]["confidences"]}
    assert np.allclose([told[k] for k in range(10)], read_alone(7), atol=1e-6)
    client.close()


# --- samplings given up


def editor(server: Server) -> dict:
    """The editor's value with an example, as the page sends it."""
    reply = server.http.post("/run/take_example", json={"data": [3]})
    return reply.json()["data"][0] | {"id": None}


def messages(server: Server, session: str, lines: Iterator[str]) -> Iterator[dict]:
    """What the queue tells a session."""
    return (json.loads(line[6:]) for line in lines if line.startswith("data: "))


SOUND = ("read_example", "fill_last", "sample", "suggest", "write_on", "write", "surprise", "compare_texts")
STREAMS = {  # endpoints that sample as long as somebody looks -> what they are asked
    "fill_last": lambda server, i: [editor(server), 300, 8, 1, i],
    "sample": lambda server, i: ["gated-pixelcnn-cifar10", 16, 1, "class after class", i],
    "write": lambda server, i: ["To be", "char-lstm-shakespeare", 1, 2000, 0, 1, i],
}


def given_up(server: Server, name: str, i: int) -> None:
    """Start a sampling, wait until it fills, and give it up in one of the ways that there are."""
    index, session, data = server.index(name), f"given-up-{os.urandom(8).hex()}", STREAMS[name](server, i)
    if i % 3 == 0:  # by the client
        client = server.client()
        job = client.submit(*data, api_name=f"/{name}")
        while len(job.outputs()) < 2:
            assert not job.done()
            time.sleep(0.02)
        job.cancel()
        client.close()
        return
    body = {"fn_index": index, "session_hash": session, "data": data}
    event = server.http.post("/queue/join", json=body).json()["event_id"]
    with server.http.stream("GET", "/queue/data", params={"session_hash": session}) as stream:
        steps = 0
        for message in messages(server, session, stream.iter_lines()):
            assert message["msg"] != "process_completed", message
            steps += message["msg"] == "process_generating"
            if steps == 2:
                break
        if i % 3 == 1:  # by the page's button, or by leaving it
            server.http.post("/cancel", json={"session_hash": session, "fn_index": index, "event_id": event})
        # else by hanging up


def cancellations(server: Server, name: str, warm: int, n: int, sessions: int, most: float) -> list[Row]:
    """An endpoint's samplings given up midway leave no thread, at most so many MB, and few files.

    Gradio keeps a copy of the page, 0.6 MB, for each of the last visitors, `frame.VISITORS`, and the first samplings
    take 100 MB once: `sessions` visitors and `warm` samplings come first, to have that behind us. What is resident
    swings by some 30 MB between lots of six already; sixteen photographs that went on would hold a MB each time.
    """
    look = {"fn_index": server.index("look_back"), "data": [None, 1]}
    for i in range(sessions):
        posted(server, look | {"session_hash": f"before{i}"}, "look_back", by_queue=True)

    def give_up(count: int, first: int) -> None:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda i: given_up(server, name, first + i), range(count)))
        assert server.settled(), "samplings go on that were given up"

    give_up(warm, 0)
    threads, memory, files = psutil.Process(server.process.pid).num_threads(), server.memory(), server.files()
    give_up(n, warm)
    grown, more = server.memory() - memory, psutil.Process(server.process.pid).num_threads() - threads
    new = set(server.files()) - set(files)
    assert more <= 4, f"{more} more threads"  # of Gradio's pool
    assert grown < most, f"{grown:.0f} MB more"
    is_well(server)
    size = sum(path.stat().st_size for path in new) / 1e6
    what = f"{n} samplings of `{name}` given up midway, after {warm}"
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
        layer = Image.new("RGBA", (280, 280))
        layer.paste((255, 255, 255, 255), (100, 100, 200, 200))
        taken = editor(server)
        digit, mask = taken["background"], server.upload("mask.png", encoded(layer))
        self.valid = {
            "dataset": 0,
            "uploadbutton": self.files["seven.png"],
            "image": self.files["seven.png"],
            "imageeditor": {"background": digit, "layers": [mask], "composite": self.files["seven.png"], "id": None},
            "radio": 300,
            "number": 0,
            "state": None,
        }  # of other kinds what the page itself has
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
        values, types = self.server.values, self.server.types
        inputs = [self.valid.get(types[i], values[i]) for i in self.server.functions[index]["inputs"]]
        return {"data": copy.deepcopy(inputs), "fn_index": index, "session_hash": f"visitor{self.random.randrange(50)}"}

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


def told(reply: object) -> str:
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
        for message in messages(server, session, stream.iter_lines()):
            if message["msg"] == "process_generating" or (message["msg"] == "process_completed" and message["success"]):
                return "answered"
            if message["msg"] in ("process_completed", "unexpected_error"):
                text = told(message.get("output") or message)
                return "refused" if text else f"no words: {message}"
    return "the queue hung up without an answer"


def judged(reply: httpx.Response) -> str:
    """'answered', 'refused', or what is wrong with a reply."""
    if SECRET in reply.text or "root:" in reply.text:
        return "it tells what it must not"
    if reply.status_code == 200:
        return "answered"
    try:
        text = told(reply.json())
    except ValueError:
        text = reply.text if reply.status_code < 500 else ""
    return "refused" if text else f"no words: {reply.status_code} {reply.text[:200]}"


def fuzz(server: Server, n: int, seed: int = 0) -> list[Row]:
    """n payloads to each endpoint, one in ten of them by the queue; each gets an answer or an error in words."""
    counts, faults = Counter(), []
    with Canary() as canary:
        makers = Fuzz(server, canary, seed)
        part = pictures()["seven.png"]

        def one(task: tuple) -> None:
            index, body, by_queue = task
            try:
                if index is None:
                    outcome = judged(server.http.post("/component_server", data=body, files={"file": ("a.png", part)}))
                else:
                    outcome = posted(server, body, server.functions[index]["api_name"], by_queue)
            except httpx.TransportError as error:
                outcome = f"{type(error).__name__}: {error}"
            counts[outcome if outcome in ("answered", "refused") else "failed"] += 1
            if outcome not in ("answered", "refused"):
                faults.append((index, outcome, json.dumps(body)[:500]))

        public = {i: d["api_name"] for i, d in server.functions.items() if d["api_visibility"] == "public"}
        found = {name: posted(server, makers.sound(i), name, False) for i, name in public.items()}
        sound = {name for name, outcome in found.items() if outcome == "answered"}
        assert sound >= set(SOUND), set(SOUND) - sound  # else all would be refused for what was not damaged
        endpoints = [*server.functions, None]
        for k in range(0, n, 100):  # not all payloads at once in memory
            batch = range(k, min(k + 100, n))
            tasks = [(i, makers.part() if i is None else makers.body(i), not j % 10) for i in endpoints for j in batch]
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(one, tasks))
        asked = canary.asked
    total, wanted = sum(counts.values()), n * len(endpoints)
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
            f"{n} damaged payloads to each of {len(endpoints)} endpoints",
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
        value = {"path": path, "meta": {"_type": "gradio.FileData"}}
        outcome = judged(server.http.post("/run/take_file", json={"data": [value]}))
        assert outcome == ("answered" if path == good else "refused"), (path, outcome)
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
    "nonsense": lambda server: fuzz(server, 5000),
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
