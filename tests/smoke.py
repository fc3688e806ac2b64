"""`make smoke`: one recipe of each model_type through the real commands at toy size, then the Space.

Train two steps, in two of them lose the end as a killed run does and resume, evaluate, render the card, run its
snippet; build the app with all tabs and call each of its handlers; install the package as a user does and load what
ships.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import commands
from environment import data_environment, past_proxies

ROOT = Path(__file__).parents[1]
TOY = "--limit 64 --max_steps 2 --eval_strategy steps --eval_steps 1 --save_strategy steps --save_steps 1 "
TOY += "--per_device_train_batch_size 8 --per_device_eval_batch_size 64"


def python(*arguments: str, cwd: Path, check: bool = True, alone: bool = False) -> subprocess.CompletedProcess:
    """Run a Python command, show it, and stop the smoke test where it fails.

    It is forked from a process that has imported its libraries; or, `alone`, a process of its own, as a user's is.
    """
    print("$ python", *(a if "\n" not in a else "..." for a in arguments), flush=True)
    if alone:
        options = {"env": os.environ | {"PYTHONIOENCODING": "utf-8"}, "capture_output": True, "encoding": "utf-8"}
        done = subprocess.run([sys.executable, *arguments], cwd=cwd, **options)
    else:
        done = commands.run(*arguments, cwd=cwd)
    if check and done.returncode:
        sys.exit(f"{done.stdout}\n{done.stderr}\nsmoke: exit code {done.returncode}")
    return done


def scripts_for(kind: str) -> list[str]:
    """The evaluation commands that a model type is for; that they refuse the others is tested elsewhere."""
    from hub_models import MODELS, AutoregressiveImageModel, Classifier, TextModel

    commands_of = {
        TextModel: ["perplexity"],
        AutoregressiveImageModel: ["bits_per_dim", *(["inpainting"] if kind == "pixel_predictor" else [])],
        Classifier: ["accuracy"],
    }
    return [script for base, scripts in commands_of.items() if issubclass(MODELS[kind], base) for script in scripts]


def road(name: str, kind: str, work: Path) -> None:
    """One recipe's way from data to a card whose snippet runs."""
    run, alone = work / "runs" / name, kind == "pixel_predictor"
    train = ("-m", "training.train", name, *TOY.split())
    python(*train, cwd=work, alone=alone)
    if kind in ("pixel_predictor", "char_lstm"):  # as if it had been killed after its first checkpoint
        shutil.rmtree(run / "checkpoint-2")
        (run / "model.safetensors").unlink()
        assert python("-m", f"evaluation.{scripts_for(kind)[0]}", f"runs/{name}", cwd=work, check=False).returncode
        python(*train, "--resume", cwd=work)
    measured = []
    for script in scripts_for(kind):
        options = ("--split", "validation", "--limit", "4")
        done = python("-m", f"evaluation.{script}", f"runs/{name}", *options, cwd=work, alone=alone)
        measured += json.loads(done.stdout.splitlines()[-1])
    assert measured and json.loads((run / "eval_results.json").read_text(encoding="utf-8")) == measured
    card = (run / "README.md").read_text(encoding="utf-8")
    assert all(entry["metric"] in card for entry in measured)
    snippet = re.search(r"```python\n(.*?)```", card, re.S).group(1)
    python("-c", snippet, cwd=work, alone=alone)


def space(work: Path) -> None:
    """The app with all tabs, on the checkpoints that ship: each of its endpoints answers."""
    from endpoints import ENDPOINTS, arguments
    from gradio_client import Client

    port = socket.create_server(("127.0.0.1", 0)).getsockname()[1]
    environment = os.environ | {"GRADIO_SERVER_PORT": str(port), "GRADIO_TEMP_DIR": str(work / "gradio")}
    app = subprocess.Popen([sys.executable, str(ROOT / "spaces" / "scanline" / "app.py")], env=environment)
    try:
        client = connect(Client, f"http://127.0.0.1:{port}", app)
        for name in ENDPOINTS:
            print("$ call", name, flush=True)
            assert client.predict(*arguments(name, work), api_name=f"/{name}"), name
    finally:
        app.terminate()
        app.wait()


def connect(client: type, url: str, app: subprocess.Popen):
    """A client of an app that is starting, as soon as it answers."""
    for _ in range(300):
        assert app.poll() is None, "the app ended"
        try:
            return client(url, verbose=False)
        except (OSError, ValueError):
            time.sleep(0.2)
        except Exception as error:  # httpx's own errors, which are no OSError
            if "connect" not in type(error).__name__.lower():
                raise
            time.sleep(0.2)
    raise TimeoutError(url)


def installed(work: Path) -> None:
    """What `pip install .` brings, away from the repository: the packages and the shipped checkpoints."""
    target = work / "site"
    python("-m", "pip", "install", "-q", "--no-deps", "--target", str(target), str(ROOT), cwd=work, alone=True)
    script = f"import sys; sys.path.insert(0, {str(target)!r}); "
    script += "import hub_models, training.recipes, evaluation.metrics.scores as m; "
    script += f"assert hub_models.__file__.startswith({str(target)!r}); "
    script += "assert hub_models.shipped(); [hub_models.load(name) for name in hub_models.shipped()]"
    python("-c", script, cwd=work, alone=True)


def main() -> None:
    """All of it, in a folder that is thrown away."""
    os.environ |= past_proxies() | data_environment()
    from hub_models import MODELS
    from training.recipes import RECIPES

    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        names = {kind: next(n for n, r in RECIPES.items() if r.model.model_type == kind) for kind in MODELS}
        with ThreadPoolExecutor(2) as pool:  # each takes a core
            jobs = [pool.submit(space, work), pool.submit(installed, work)]
            jobs += [pool.submit(road, name, kind, work) for kind, name in names.items()]
            for job in jobs:
                job.result()
    print("smoke: all well")


if __name__ == "__main__":
    main()
