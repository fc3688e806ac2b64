"""Spaces as the Hub runs them: a folder alone, in an environment of its own requirements, weights by repository id."""

import os
import re
import shutil
import socket
import subprocess
import sys
import tomllib
import types
import venv
from pathlib import Path

import pytest
import yaml
from gradio_client import Client
from hub import StandIn
from smoke import connect

from hub_models import hosted, load, shipped
from hub_models.base import PRETRAINED
from hub_models.card import PUBLISHED

ROOT = Path(__file__).parents[1]
SPACES = ROOT / "spaces"
THEMES = sorted(path.parent.name for path in SPACES.glob("*/app.py"))
HANDLERS = {  # of a theme, with arguments: between them they ask all its models
    "digits": {"/read_example": [7]},
    "pixels": {
        "/sample": ["gated-pixelcnn-cifar10", 1, 1, "class after class", 0],
        "/rub_example": [8, "row-lstm-cifar10"],
        "/likely_example": [3, "diagonal-bilstm-mnist", "likeliest"],
        "/show_field": ["pixelcnn-mnist", 20, 12],
    },
    "text": {
        "/suggest": ["O Romeo", "word-lstm-plays", 1, 0],
        "/surprise": ["O Romeo", "char-lstm-shakespeare"],
        "/compare_texts": ["O Romeo", ["char-gru512-shakespeare-study"], [0.5, 1.3], 50, 0, 1, 0],
    },
    "vision": {"/compare_example": [6], "/show_mistakes": ["cat", "dog"]},
}
HANDLERS["scanline"] = {name: given for handlers in HANDLERS.values() for name, given in handlers.items()}


def deploy(hub: StandIn, home: Path, *arguments: str, token: str | None = "hf_writer") -> subprocess.CompletedProcess:
    command = [sys.executable, str(SPACES / "deploy.py"), *arguments]
    return subprocess.run(command, env=hub.environment(home, token), cwd=home.parent, capture_output=True, text=True)


def header(theme: str) -> dict:
    return yaml.safe_load((SPACES / theme / "README.md").read_text().split("---\n")[1])


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> Path:
    """The Python of an environment that has what a Space's requirements bring and nothing else."""
    (wanted,) = {(SPACES / theme / "requirements.txt").read_text() for theme in THEMES}
    folder = tmp_path_factory.mktemp("env")
    venv.create(folder / "env", with_pip=True)
    (folder / "requirements.txt").write_text(wanted)
    install = [folder / "env" / "bin" / "pip", "install", "-q", "--no-compile", "-r", folder / "requirements.txt"]
    subprocess.run(install, check=True)  # Python compiles what the Spaces import, which is far less than all
    return folder / "env" / "bin" / "python"


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """A Hub to which the models and the Spaces have been published."""
    home = tmp_path_factory.mktemp("publisher") / "home"
    with StandIn() as hub:
        names = {model.partition("/")[2] for theme in THEMES for model in header(theme)["models"]}
        publish = [sys.executable, "-m", "training.publish", *names, "ns"]
        subprocess.run(publish, env=hub.environment(home), check=True, capture_output=True)
        for theme in THEMES:
            done = deploy(hub, home, theme, "ns")
            assert (done.returncode, done.stdout) == (0, f"{hub.url}/spaces/ns/{theme}\n"), done.stderr
        yield hub


def boot(python: Path, folder: Path, home: Path, environment: dict[str, str], handlers: dict[str, list]) -> str:
    """Start a Space's app.py as the Hub does, ask each handler, stop it, and return its log."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment |= {"SYSTEM": "spaces", "SPACE_ID": "u/x", "GRADIO_SERVER_PORT": str(port), "HF_HOME": str(home)}
    environment |= {"GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_TEMP_DIR": str(home / "gradio")}
    log = home.parent / f"{home.name}.log"
    with log.open("w") as file:
        app = subprocess.Popen([python, "app.py"], cwd=folder, env=environment, stdout=file, stderr=file)
        try:
            client = connect(Client, f"http://127.0.0.1:{port}", app)
            for name, arguments in handlers.items():
                assert client.predict(*arguments, api_name=name), name
        except AssertionError as error:
            raise AssertionError(log.read_text()) from error
        finally:
            app.terminate()
            app.wait()
    return log.read_text()


BARE = {key: value for key, value in os.environ.items() if key in ("PATH", "LANG")} | {"OMP_NUM_THREADS": "1"}


@pytest.fixture
def space(hub, request, tmp_path) -> Path:
    """What the Hub holds of a theme's Space, in a folder."""
    folder = tmp_path / "space"
    for name, data in hub.files(f"ns/{request.param}", "space").items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def copies(space: Path) -> set[str]:
    """Names of the checkpoints that came with a Space."""
    return {path.parent.name for path in space.glob("hub_models/pretrained/*/model.safetensors")}


@pytest.mark.parametrize(("space", "theme"), [(theme, theme) for theme in THEMES], indirect=["space"])
def test_a_space_runs_alone_with_the_hubs_weights(hub, python, space, theme, tmp_path):
    stated = yaml.safe_load((space / "README.md").read_text().split("---\n")[1])
    assert stated["models"] == [model.replace("scanline/", "ns/") for model in header(theme)["models"]]
    assert {f"ns/{name}" for name in copies(space)} == set(stated["models"])
    assert not list(space.rglob("training*")) and not list(space.rglob("__pycache__"))

    before = len(hub.requests)
    log = boot(python, space, tmp_path / "online", BARE | {"HF_ENDPOINT": hub.url}, HANDLERS[theme])
    fetched = {path for method, path in hub.requests[before:] if method == "GET"}
    for model in stated["models"]:
        assert any(re.fullmatch(rf"/{model}/resolve/[0-9a-f]{{40}}/model.safetensors", path) for path in fetched)
    ours = f'File "{space}'  # in a traceback; Gradio's watcher of a hosted Space leaves one of its own
    assert ours not in log and "serves instead" not in log


@pytest.mark.parametrize("space", ["scanline"], indirect=True)  # all tabs and all models
def test_a_space_offline_runs_with_its_own_copies(hub, python, space, tmp_path):
    before = len(hub.requests)
    log = boot(python, space, tmp_path / "offline", BARE | {"HF_HUB_OFFLINE": "1"}, HANDLERS["scanline"])
    assert len(hub.requests) == before and f'File "{space}' not in log
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
    assert hosted.on_gpu(len) == "on a GPU" and lent == [len]
    monkeypatch.setitem(sys.modules, "spaces", types.ModuleType("spaces"))  # a folder of that name
    assert hosted.on_gpu(len) is len
    monkeypatch.setitem(sys.modules, "spaces", None)
    assert hosted.on_gpu(len) is len
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

    monkeypatch.setattr(hosted, "load", damaged)
    assert hosted.load_hosted(name, readme).config and asked == [name]
    monkeypatch.setenv("SYSTEM", "spaces")
    assert hosted.load_hosted(name, readme).config and asked[1:] == [f"ns/{name}", name]
    assert "its weights are damaged" in caplog.text


@pytest.mark.parametrize("theme", THEMES)
def test_headers_say_what_the_apps_use(theme):
    stated = header(theme)
    tabs = [*(SPACES / theme / "tabs").glob("*.py")] or [*SPACES.glob("*/tabs/*.py")]
    used = {name for tab in tabs for name in shipped() if f'"{name}"' in tab.read_text()}
    assert {model.partition("/")[2] for model in stated["models"]} == used
    wanted = dict(line.split("==") for line in (ROOT / "requirements.txt").read_text().splitlines() if "==" in line)
    lines = (SPACES / theme / "requirements.txt").read_text().splitlines()
    own = dict(line.split("==") for line in lines if line != "spaces>=0.43")  # of which the Hub has its own
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
    for name in ("app.py", "tabs/classify.py", "hub_models/base.py", "requirements.txt", "examples/0.png", "LICENSE"):
        assert f"\n  {name}  " in done.stdout
    for name in PUBLISHED:
        copied = f"\n  hub_models/pretrained/gru128-mnist-predict/{name}  " in done.stdout
        assert copied == (PRETRAINED / "gru128-mnist-predict" / name).is_file()
    assert "study" not in done.stdout


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
        command = [sys.executable, str(copy / "deploy.py"), "digits", "ns", "--dry-run"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 1 and message in done.stderr and done.stderr.count("\n") == 1
    listed = "models: [scanline/gru128-mnist-classify, scanline/gru128-mnist-predict]\ndatasets:"
    readme.write_text(re.sub(r"models:\n.*?datasets:", listed, text, flags=re.S))
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and "write its models one a line" in done.stderr


def test_what_lies_beside_an_app_is_not_published(tmp_path):
    copy = tmp_path / "spaces"
    shutil.copytree(SPACES, copy)
    shutil.copy(ROOT / "LICENSE", tmp_path)
    for name in (".env", "notes.txt", "tabs/.secret.py~", "examples/private.txt"):
        (copy / "digits" / name).write_text("SECRET=1")
    for theme in "digits", "scanline":  # its own folder, and all of them together
        command = [sys.executable, str(copy / "deploy.py"), theme, "ns", "--dry-run"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0 and "app.py" in done.stdout, done.stderr
        assert not re.search(r"\.env|notes|secret|private", done.stdout)
