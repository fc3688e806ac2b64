"""Proxies in the environment: an app for this machine asks none, and one that cannot be used gets one sentence."""

import os
import re
import runpy
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import huggingface_hub
import kagglehub
import pytest
import requests
from endpoints import DIGIT
from environment import past_proxies
from gradio_client import Client, handle_file
from huggingface_hub import constants
from smoke import connect

from evaluation.bits_per_dim import measure
from evaluation.runner import run as evaluate
from hub_models import load, spacekit
from hub_models.environment import client_fault, without_proxies
from hub_models.files import read_text
from training import publish
from training.data import load_split, text

ROOT = Path(__file__).parents[1]
CLOSED, SOCKS = "http://127.0.0.1:9", "socks5://127.0.0.1:9"  # nobody listens there
UNUSABLE = {
    ("ALL_PROXY", SOCKS): "'socksio' package is not installed): run `pip install socksio`, or unset",
    ("all_proxy", "socks://127.0.0.1:9"): "(Unknown scheme for proxy URL URL('socks://127.0.0.1:9')): correct or unset",
    ("HTTPS_PROXY", "http://user:secret@host:port"): "(Invalid port: 'port'): correct or unset ALL_PROXY, HTTPS_PROXY",
    ("SSL_CERT_FILE", "/nowhere"): "No such file or directory): correct or unset",
}


@pytest.mark.parametrize(
    ("theme", "endpoint", "given", "environment"),
    [
        ("digits", "/read_digit", [handle_file(DIGIT)], {"HTTP_PROXY": CLOSED, "http_proxy": CLOSED, "NO_PROXY": "x"}),
        ("text", "/surprise", ["O Rom\u00e9o", "char-lstm-shakespeare"], {"ALL_PROXY": SOCKS, "all_proxy": SOCKS}),
    ],
)
def test_an_app_starts_and_answers_whatever_proxies_are_set(theme, endpoint, given, environment, tmp_path):
    """Also where the locale is ASCII."""
    port = socket.create_server(("127.0.0.1", 0)).getsockname()[1]
    clean = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")} | environment
    clean |= {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "HF_HUB_OFFLINE": "1"}
    clean |= {"GRADIO_SERVER_PORT": str(port), "GRADIO_TEMP_DIR": str(tmp_path / "gradio")}
    log = tmp_path / "log"
    with log.open("wb") as file:
        command = [sys.executable, ROOT / "spaces" / theme / "app.py"]
        app = subprocess.Popen(command, env=clean, stdout=file, stderr=file)
    try:
        assert connect(Client, f"http://127.0.0.1:{port}", app).predict(*given, api_name=endpoint)
        assert "Traceback" not in read_text(log)
    except AssertionError as error:
        raise AssertionError(read_text(log)) from error
    finally:
        app.terminate()
        app.wait()


def test_every_app_imports_gradio_and_is_launched_without_proxies(monkeypatch):
    before, after = read_text(Path(spacekit.__file__)).split("\nwith without_proxies():")
    assert "import gradio" not in before and after.startswith("  # gradio makes an HTTP client") and "gradio" in after
    for path in (ROOT / "spaces").glob("*/app.py"):
        before, after = read_text(path).split("\nfrom hub_models import spacekit\n")
        assert not re.search("gradio|tabs import", before) and "spacekit.launch(demo)" in after, path
    seen = []

    class Demo:
        def launch(self, **how):
            assert how["prevent_thread_lock"]  # else it would serve in an environment that has lost its proxies
            seen.append(os.environ["no_proxy"])

        def block_thread(self):
            seen.append(os.environ.get("no_proxy"))

    monkeypatch.delenv("no_proxy")
    spacekit.launch(Demo())
    assert seen == ["*", None]


def test_without_proxies_leaves_what_was_set(monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "socks://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "example.org")
    monkeypatch.delenv("no_proxy")
    before = dict(os.environ)
    with pytest.raises(KeyError), without_proxies():
        httpx.Client().close()
        raise KeyError
    assert dict(os.environ) == before
    with pytest.raises(ValueError, match="Unknown scheme"):
        httpx.Client()


@pytest.fixture
def unusable(request, monkeypatch):
    """An environment in which the Hub's client cannot be made."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", "hf_x")
    monkeypatch.setitem(sys.modules, "socksio", None)  # where it is installed, too
    monkeypatch.setenv(*request.param)
    huggingface_hub.close_session()
    yield
    huggingface_hub.close_session()


@pytest.mark.parametrize(("unusable", "told"), UNUSABLE.items(), indirect=["unusable"], ids=[k for k, _ in UNUSABLE])
def test_a_client_of_the_hub_that_cannot_be_made_gets_one_sentence(unusable, told, monkeypatch):
    fault = client_fault()
    assert fault.startswith("no connection to the Hub can be set up with this environment (") and told in fault
    assert "\n" not in fault and "secret" not in fault
    with pytest.raises(FileNotFoundError, match=re.escape(f"ns/name cannot be read from the Hub: {fault}")):
        load("ns/name")
    with pytest.raises(FileNotFoundError, match=re.escape(f"ns/name cannot be read from the Hub: {fault}")):
        evaluate(measure, "doc", ["ns/name"])
    for name in "mnist", "tiny-shakespeare":
        with pytest.raises(FileNotFoundError, match=re.escape(f"cannot be downloaded: {fault}")):
            load_split(name, "train")
    with pytest.raises(ConnectionError, match=re.escape(fault)):
        publish.run(["pixelcnn-mnist", "ns"])
    monkeypatch.setattr(sys, "argv", ["deploy.py", "digits", "ns"])
    with pytest.raises(SystemExit, match=re.escape(f"error: {fault}")):
        runpy.run_path(ROOT / "spaces" / "deploy.py", run_name="__main__")


@pytest.mark.parametrize("unusable", [("ALL_PROXY", SOCKS)], indirect=True)
def test_offline_nothing_is_said_of_proxies(unusable, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert client_fault() == ""


def test_a_client_of_kaggle_that_cannot_be_made_gets_one_sentence(monkeypatch):
    def refuse(name):
        raise requests.exceptions.InvalidSchema("Missing dependencies for SOCKS support.")

    monkeypatch.setattr(kagglehub, "dataset_download", refuse)
    with pytest.raises(FileNotFoundError, match=r"--data FILE \(InvalidSchema: Missing dependencies for SOCKS support"):
        text._fetch_plays()


def test_the_tests_ask_this_machine_without_proxies():
    given = {"HTTP_PROXY": "http://proxy.example", "no_proxy": "example.org", "all_proxy": SOCKS, "ALL_PROXY": CLOSED}
    exempt = "example.org,localhost,127.0.0.1"
    assert past_proxies(given) == {"all_proxy": "", "no_proxy": exempt, "NO_PROXY": exempt}
    assert "127.0.0.1" in os.environ["no_proxy"] and os.environ["NO_PROXY"] == os.environ["no_proxy"]
