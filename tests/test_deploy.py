"""Spaces as the Hub runs them: a folder alone, in an environment of its own requirements, weights by repository id."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tomllib
import types
import venv
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path, PurePath
from typing import NamedTuple

import commands
import pytest
import yaml
from gradio_client import Client, handle_file
from hub import StandIn
from packaging.requirements import Requirement
from smoke import connect

from hub_models import load, shipped
from hub_models.checkpoints import PRETRAINED
from hub_models.run_folder import PUBLISHED
from hub_models.spacekit import weights

ROOT = Path(__file__).parents[1]
SPACES = ROOT / "spaces"
THEMES = sorted(path.parent.name for path in SPACES.glob("*/app.py"))
THREE = handle_file(SPACES / "examples" / "mnist" / "3.png")
FROG = handle_file(SPACES / "examples" / "cifar10" / "6-frog.png")
HANDLERS = {  # of a theme, with arguments: between them they ask all its models
    "digits": {"/read_digit": [THREE], "/complete_digit": [THREE, THREE, 1, 1, 0]},
    "pixels": {
        "/sample": ["gated-pixelcnn-cifar10", 1, 1, "one of each class", 0],
        "/complete": [THREE, THREE, "row-lstm-cifar10", 1, 1, "most probable class", 0],  # its strokes are missing
        "/likelihood": [THREE, "diagonal-bilstm-mnist", "most probable class"],
        "/receptive_field": ["pixelcnn-mnist", 20, 12],
    },
    "text": {
        "/next_words": ["O Romeo", "word-lstm-plays", 1, 0],
        "/surprise": ["O Romeo", "char-lstm-shakespeare"],
        "/write": ["O Romeo", "char-gru512-shakespeare-study", 0.8, 50, 0, 1, 0],
    },
    "vision": {"/classify": [FROG, "cifar10-fast"], "/explain": [FROG, "cnn5x32-cifar10-study", "frog"]},
}
HANDLERS["scanline"] = {name: given for handlers in HANDLERS.values() for name, given in handlers.items()}


def deploy(hub: StandIn, home: Path, *arguments: str, token: str | None = "hf_writer") -> subprocess.CompletedProcess:
    return commands.run(SPACES / "deploy.py", *arguments, env=hub.environment(home, token), cwd=home.parent)


def header(theme: str) -> dict:
    return yaml.safe_load((SPACES / theme / "README.md").read_text().split("---\n")[1])


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> Path:
    """The Python of an environment that has what a Space's requirements bring and nothing else."""
    (wanted,) = {(SPACES / theme / "requirements.txt").read_text() for theme in THEMES}
    folder = tmp_path_factory.mktemp("env")
    venv.create(folder, with_pip=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    for top in {file.parts[0] for line in wanted.splitlines() for file in files_of(Requirement(line), set())}:
        with contextlib.suppress(FileExistsError):
            (packages / top).symlink_to(Path(sysconfig.get_path("purelib"), top))
    (folder / "requirements.txt").write_text(wanted)
    pip = [folder / "bin" / "pip", "install", "-q", "--no-compile", "-r", folder / "requirements.txt"]
    subprocess.run(pip, check=True)  # what this environment lacks, which is the package `spaces`
    return folder / "bin" / "python"


def files_of(wanted: Requirement, seen: set[str]) -> Iterator[PurePath]:
    """Files in this environment of a distribution, with its extras, and of all that it requires."""
    with contextlib.suppress(PackageNotFoundError):
        found = distribution(wanted.name)
        if (key := str(wanted)) not in seen:
            seen.add(key)
            yield from (file for file in found.files or () if file.parts[0] not in ("..", "__pycache__"))
            for requirement in map(Requirement, found.requires or ()):
                extras = ["", *wanted.extras]
                if not requirement.marker or any(requirement.marker.evaluate({"extra": extra}) for extra in extras):
                    yield from files_of(requirement, seen)


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """A Hub to which the models and the Spaces have been published."""
    home = tmp_path_factory.mktemp("publisher") / "home"
    with StandIn() as hub:
        names = {model.partition("/")[2] for theme in THEMES for model in header(theme)["models"]}
        commands.run("-m", "training.publish", *names, "ns", env=hub.environment(home), check=True)
        for theme in THEMES:
            done = deploy(hub, home, theme, "ns")
            assert (done.returncode, done.stdout) == (0, f"{hub.url}/spaces/ns/{theme}\n"), done.stderr
        yield hub


# Runs each Space as `python app.py` does in its folder, in forks of a process that has imported the largest libraries.
BOOT = """
import json, os, runpy, sys
import gradio, torch
for folder, port, log in json.loads(sys.argv[1]):
    if not os.fork():
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT), 1), os.dup2(1, 2)
        os.chdir(folder)
        os.environ["GRADIO_SERVER_PORT"], sys.argv, sys.path[0] = port, ["app.py"], folder
        runpy.run_path("app.py", run_name="__main__")
        os._exit(0)
while True:
    os.wait()
"""


class Running(NamedTuple):
    """A Space that runs: what the Hub holds of it, in a folder, and how to talk to it."""

    folder: Path
    url: str
    log: Path


@pytest.fixture(scope="module")
def running(hub, python, tmp_path_factory) -> Iterator[dict[str, Running]]:
    """All Spaces as the Hub runs them, each alone in its folder; of `scanline` the Hub does not have the models."""
    top, spaces = tmp_path_factory.mktemp("spaces"), {}
    for theme in THEMES:
        folder = top / theme
        for name, data in hub.files(f"ns/{theme}", "space").items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data.replace(b"- ns/", b"- gone/") if theme == "scanline" else data)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        spaces[theme] = Running(folder, f"http://127.0.0.1:{port}", top / f"{folder.name}.log")
    kept = {key: value for key, value in os.environ.items() if key in ("PATH", "LANG")}
    environment = kept | {"OMP_NUM_THREADS": "1", "SYSTEM": "spaces", "SPACE_ID": "u/x", "HF_HOME": str(top / "home")}
    environment |= {"HF_ENDPOINT": hub.url, "GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_TEMP_DIR": str(top / "gradio")}
    jobs = [[str(space.folder), space.url.rpartition(":")[2], str(space.log)] for space in spaces.values()]
    apps = subprocess.Popen([python, "-c", BOOT, json.dumps(jobs)], env=environment, start_new_session=True)
    try:
        for space in spaces.values():
            connect(Client, space.url, apps)
        yield spaces
    finally:
        os.killpg(apps.pid, signal.SIGTERM)
        apps.wait()


def ask(space: Running, handlers: dict[str, list]) -> None:
    """Call handlers of a running Space."""
    client = Client(space.url, verbose=False)
    for name, arguments in handlers.items():
        assert client.predict(*arguments, api_name=name), (name, space.log.read_text())


def copies(space: Running) -> set[str]:
    """Names of the checkpoints that came with a Space."""
    return {path.parent.name for path in space.folder.glob("hub_models/pretrained/*/model.safetensors")}


@pytest.mark.parametrize("theme", [theme for theme in THEMES if theme != "scanline"])
def test_a_space_runs_alone_with_the_hubs_weights(hub, running, theme):
    space = running[theme]
    stated = yaml.safe_load((space.folder / "README.md").read_text().split("---\n")[1])
    assert stated["models"] == [model.replace("scanline/", "ns/") for model in header(theme)["models"]]
    assert {f"ns/{name}" for name in copies(space)} == set(stated["models"])
    assert not list(space.folder.rglob("training*"))
    ask(space, HANDLERS[theme])
    for model in stated["models"]:
        asked = re.compile(rf"/{model}/resolve/[0-9a-f]{{40}}/model.safetensors")
        assert any(asked.fullmatch(path) for method, path in hub.requests if method == "GET")
    ours = f'File "{space.folder}'  # in a traceback; Gradio's watcher of a hosted Space leaves one of its own
    assert ours not in space.log.read_text() and "serves instead" not in space.log.read_text()


def test_a_space_whose_models_cannot_be_had_runs_with_its_own_copies(running):
    space = running["scanline"]  # all tabs and all models
    ask(space, HANDLERS["scanline"])
    log = space.log.read_text()
    assert f'File "{space.folder}' not in log
    for model in copies(space):
        assert f"the copy of {model} that came with this Space serves instead" in log


def test_the_environment_has_the_package_whose_name_our_folder_bears(python):
    """Gradio on a hosted Space wants it, and ZeroGPU is asked through it: our folder must not stand in its place."""
    script = "import spaces; from importlib.metadata import version; "
    script += "print(callable(spaces.GPU), callable(spaces.gradio_auto_wrap), version('spaces') >= '0.43')"
    done = subprocess.run([python, "-c", script], capture_output=True, text=True)
    assert done.stdout == "True True True\n", done.stderr


def test_a_gpu_is_asked_for_where_it_is_lent(monkeypatch):
    lent = []
    monkeypatch.setitem(sys.modules, "spaces", types.SimpleNamespace(GPU=lambda f: lent.append(f) or "on a GPU"))
    assert weights.on_gpu(len) == "on a GPU" and lent == [len]
    monkeypatch.setitem(sys.modules, "spaces", types.ModuleType("spaces"))  # a folder of that name
    assert weights.on_gpu(len) is len
    monkeypatch.setitem(sys.modules, "spaces", None)
    assert weights.on_gpu(len) is len
    methods = ("predict_prefixes(", ".log_prob(", ".complete,", ".predict(", ".feature_maps(", ".grad_cam(")
    methods += (".sample,", ".sub_pixel_log_prob(", ".receptive_field(")
    methods += (".next_tokens(", ".generate(", ".token_log_prob(")
    for tab in SPACES.glob("*/tabs/*.py"):
        for method in methods:
            for part in tab.read_text().split("\n\n\n"):
                assert method not in part or part.startswith("@on_gpu\n"), f"{tab}: {method}"


def test_a_damaged_repository_is_told_and_the_copy_serves(monkeypatch, tmp_path, caplog):
    (name, *_) = shipped()
    readme = tmp_path / "README.md"
    readme.write_text(f"---\nmodels:\n- ns/{name}\n---\n")
    asked = []

    def damaged(source, **kwargs):
        asked.append(source)
        if "/" in source:
            raise ValueError("its weights are damaged")
        return load(source, **kwargs)

    monkeypatch.setattr(weights, "load", damaged)
    assert weights.load_hosted(name, readme).config and asked == [name]
    monkeypatch.setenv("SYSTEM", "spaces")
    assert weights.load_hosted(name, readme).config and asked[1:] == [f"ns/{name}", name]
    assert "its weights are damaged" in caplog.text


@pytest.mark.parametrize("theme", THEMES)
def test_headers_say_what_the_apps_use(theme):
    stated = header(theme)
    tabs = [*(SPACES / theme / "tabs").glob("*.py")] or [*SPACES.glob("*/tabs/*.py")]
    used = {name for tab in tabs for name in shipped() if f'"{name}"' in tab.read_text()}
    assert {model.partition("/")[2] for model in stated["models"]} == used
    wanted = dict(line.split("==") for line in (ROOT / "requirements.txt").read_text().splitlines() if "==" in line)
    lines = (SPACES / theme / "requirements.txt").read_text().splitlines()
    own = dict(line.split("==") for line in lines if "==" in line)
    loose = {"spaces>=0.43", "mcp>=1.21,<2"}  # the Hub has its own version of the one; the other may be absent
    assert {line for line in lines if "==" not in line} == loose
    assert own.items() <= wanted.items() and {"gradio", "torch"} <= set(own)
    assert str(stated["sdk_version"]) == wanted["gradio"] and isinstance(stated["python_version"], str)
    assert stated["license"] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["license"].lower()
    assert len(stated["short_description"]) <= 60  # more the Hub refuses


@pytest.mark.parametrize(
    ("arguments", "token", "message"),
    [
        (["digitz", "ns"], "hf_writer", "no Space is called 'digitz': did you mean 'digits'?"),
        (["digits", "n s"], "hf_writer", "n s/digits is no repository id"),
        (["digits", "ns"], None, "you are not logged in to the Hub"),
        (["digits", "ns"], "hf_reader", "your token has no right to write there"),
    ],
)
def test_what_cannot_be_deployed_gets_one_sentence(arguments, token, message, tmp_path):
    with StandIn() as hub:
        done = deploy(hub, tmp_path / "home", *arguments, token=token)
        assert done.returncode == 1 and done.stdout == ""
        assert done.stderr.startswith("error: ") and message in done.stderr and done.stderr.count("\n") == 1
        assert not hub.repos


def test_a_dry_run_lays_out_the_folder_and_asks_nobody(tmp_path):
    with StandIn() as hub:
        done = deploy(hub, tmp_path / "home", "digits", "looked-at", "--dry-run", token=None)
        assert done.returncode == 0 and not hub.requests, done.stderr
    assert "would deploy space looked-at/digits from " in done.stdout
    for name in (
        "app.py",
        "tabs/classify.py",
        "hub_models/base.py",
        "requirements.txt",
        "examples/mnist/0.png",
        "hub_models/spacekit/frame.py",
        "hub_models/spacekit/assets/icon.svg",
        "hub_models/spacekit/assets/preview.png",
        "LICENSE",
    ):
        assert f"\n  {name}  " in done.stdout
    for name in PUBLISHED:
        copied = f"\n  hub_models/pretrained/gru128-mnist-predict/{name}  " in done.stdout
        assert copied == (PRETRAINED / "gru128-mnist-predict" / name).is_file()
    assert "study" not in done.stdout


def test_all_themes_together_have_one_copy_of_what_they_share(tmp_path):
    with StandIn() as hub:
        done = deploy(hub, tmp_path / "home", "scanline", "looked-at", "--dry-run", token=None)
        assert done.returncode == 0 and not hub.requests, done.stderr
    laid = re.findall(r"^  (\S+)  ", done.stdout, re.M)
    for top, pattern in (
        (SPACES, "examples/*/*.png"),
        (SPACES, "*/start/*"),
        (SPACES, "*/tabs/*.py"),
        (ROOT, "hub_models/spacekit/*.py"),
        (ROOT, "hub_models/spacekit/assets/*"),
    ):
        wanted = sorted(path.relative_to(top).as_posix() for path in top.glob(pattern))
        assert wanted and sorted(path for path in laid if PurePath(path).match(pattern)) == wanted, pattern


def test_a_header_that_the_hub_would_not_take_is_refused(tmp_path):
    copy = tmp_path / "spaces"
    shutil.copytree(SPACES, copy)
    readme = copy / "digits" / "README.md"
    text = readme.read_text()
    for (old, new), message in {
        ("license: apache-2.0", "license: apache"): "did you mean 'apache-2.0'",
        ("sdk: gradio", "sdk: streamlit"): "states sdk: 'streamlit': make it 'gradio'",
        ("emoji: ✍️\n", ""): "states no emoji",
        ("scanline/gru128-mnist-predict", "scanline/gru128-mnist-predct"): "did you mean 'gru128-mnist-predict'",
    }.items():
        assert old in text
        readme.write_text(text.replace(old, new))
        done = commands.run(copy / "deploy.py", "digits", "ns", "--dry-run")
        assert done.returncode == 1 and message in done.stderr and done.stderr.count("\n") == 1
    listed = "models: [scanline/gru128-mnist-classify, scanline/gru128-mnist-predict]\ndatasets:"
    readme.write_text(re.sub(r"models:\n.*?datasets:", listed, text, flags=re.S))
    done = commands.run(copy / "deploy.py", "digits", "ns", "--dry-run")
    assert done.returncode == 1 and "write its models one a line" in done.stderr


def test_what_lies_beside_an_app_is_not_published(tmp_path):
    copy = tmp_path / "spaces"
    shutil.copytree(SPACES, copy)
    shutil.copy(ROOT / "LICENSE", tmp_path)
    for name in ("digits/.env", "digits/notes.txt", "digits/tabs/.secret.py~", "examples/private.txt"):
        (copy / name).write_text("SECRET=1")
    for theme in "digits", "scanline":  # its own folder, and all of them together
        done = commands.run(copy / "deploy.py", theme, "ns", "--dry-run")
        assert done.returncode == 0 and "app.py" in done.stdout, done.stderr
        assert not re.search(r"\.env|notes|secret|private", done.stdout)
