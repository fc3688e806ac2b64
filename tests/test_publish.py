"""Publishing, downloading and loading: the real client against the Hub's stand-in, in processes of their own."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import commands
import pytest
import yaml
from hub import StandIn
from huggingface_hub import ModelCard

from hub_models import load, shipped
from hub_models.checkpoints import PRETRAINED
from hub_models.hub.card import read_results
from hub_models.hub.publish import CODE
from hub_models.hub.upload import check_card, check_id
from hub_models.run_folder import PUBLISHED

ROOT = Path(__file__).parents[1]
NAME = "gru128-mnist-classify"
REPO = f"ns/{NAME}"
FEW = (NAME, "gru128-mnist-predict", "pixelcnn-mnist")  # all that the Space `digits` asks, and one of another kind


@pytest.fixture
def hub():
    with StandIn() as hub:
        yield hub


@pytest.fixture
def sh(hub, tmp_path):
    """Run a command as a user of the stand-in; `python` and `hf` are this environment's."""

    def run(program: str, *arguments: str, token: str | None = "hf_writer", good: bool = True, **environment):
        start = {"python": [], "hf": [Path(sys.executable).with_name("hf")]}.get(program, [program])
        everything = hub.environment(tmp_path / "home", token) | environment
        done = commands.run(*start, *arguments, env=everything, cwd=tmp_path)
        assert (done.returncode == 0) is good, done.stdout + done.stderr
        return done

    return run


def publish(sh, *arguments: str, **options):
    return sh("python", "-m", "training.publish", *arguments, **options)


@pytest.fixture
def run(tmp_path):
    """A run folder with all that a run leaves beside what is published."""
    folder = tmp_path / "runs" / NAME
    shutil.copytree(PRETRAINED / NAME, folder)
    for litter in ("checkpoint-9/optimizer.pt", "tensorboard/events", "README.md.1.writing", "thesis.txt", ".lock"):
        (folder / litter).parent.mkdir(exist_ok=True)
        (folder / litter).write_text("not for others")
    return folder


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


LOADED = """
import hashlib, sys
import hub_models
from safetensors.torch import save
for model in hub_models.load(*sys.argv[1:2]), hub_models.PixelClassifier.from_pretrained(sys.argv[1]):
    print(hashlib.sha256(save({k: v.contiguous() for k, v in model.state_dict().items()})).hexdigest())
"""


def test_what_is_published_comes_back_equal(hub, sh, run, tmp_path):
    done = publish(sh, f"runs/{NAME}", "ns")
    assert done.stdout == f"{hub.url}/{REPO}\n"
    (wheel,) = [name for name in hub.files(REPO) if re.fullmatch(r"scanline-0\.1\.0\.post\d+-py3-none-any\.whl", name)]
    published = {name for name in PUBLISHED if (run / name).is_file()}
    assert {"model.safetensors", "report-test.json", "tiles-test.webp", ".eval_results/test.yaml"} <= published
    assert set(hub.files(REPO)) - {wheel, ".gitattributes"} == published
    assert [c.summary for c in hub.repos["model", REPO].commits][1:] == ["Publish with Scanline"]

    sh("hf", "download", REPO, "--local-dir", "down", token=None)
    assert weights(tmp_path / "down") == weights(run)
    for name in published - {"README.md", ".eval_results/test.yaml"}:
        assert (tmp_path / "down" / name).read_bytes() == (run / name).read_bytes(), name
    local = sh("python", "-c", LOADED, f"runs/{NAME}").stdout
    before = len(hub.requests)
    assert sh("python", "-c", LOADED, REPO, token=None).stdout == local
    asked = [(method, path.rpartition("/")[2]) for method, path in hub.requests[before:]]
    config = [("HEAD", "config.json"), ("GET", "config.json")]
    assert asked == [*config, ("HEAD", "model.safetensors"), ("GET", "model.safetensors"), ("HEAD", "config.json")]
    before = len(hub.requests)
    assert sh("python", "-c", LOADED, REPO, HF_HUB_OFFLINE="1").stdout == local
    assert len(hub.requests) == before
    assert "cannot be reached" in sh("python", "-c", LOADED, "ns/other", HF_HUB_OFFLINE="1", good=False).stderr


INFO = """
import json, sys
from huggingface_hub import HfApi
info = HfApi().model_info(sys.argv[1])
tested = HfApi().model_info(sys.argv[1], expand=["evalResults"]).eval_results
print(json.dumps({
    "tags": info.tags, "pipeline": info.pipeline_tag, "library": info.library_name,
    "index": [[r.metric_type, r.dataset_split, r.metric_value] for r in info.card_data.eval_results],
    "tested": [[r.dataset_id, r.task_id, r.value] for r in tested],
}))
"""


def test_the_hub_shows_its_metrics_and_tags(hub, sh, run):
    publish(sh, f"runs/{NAME}", "ns")
    info = json.loads(sh("python", "-c", INFO, REPO, token=None).stdout)
    assert info["pipeline"] == "image-classification" and info["library"] == "scanline"
    assert {"scanline", "mnist", "license:apache-2.0", "dataset:ylecun/mnist"} <= set(info["tags"])
    results = read_results(run)
    assert info["index"] == [[r["metric"], r["split"], r["value"]] for r in results]
    assert info["tested"] == [["ylecun/mnist", r["metric"], r["value"]] for r in results if r["split"] == "test"]


PNGS = """
import sys
from huggingface_hub import CommitOperationAdd, HfApi
names = ("curves.png", "report-test.png", "notes.png")  # two from before pictures were WebP, and another's
HfApi().create_commit(sys.argv[1], [CommitOperationAdd(name, b"old") for name in names], commit_message="old")
"""


def test_a_second_publish_replaces_and_a_tag_keeps_the_first(hub, sh, run, tmp_path):
    publish(sh, f"runs/{NAME}", "ns")
    first = sh("python", "-c", LOADED, REPO).stdout
    sh("python", "-c", f"import huggingface_hub as h; h.create_tag({REPO!r}, tag='v1')")
    again = publish(sh, f"runs/{NAME}", "ns")
    assert (
        again.stdout.endswith(f"{REPO}\n") and len(hub.repos["model", REPO].commits) == 2
    )  # nothing differs: no commit

    model = load(run)
    model.head[-1].bias.data += 1
    model.half().save_pretrained(run)
    refused = publish(sh, f"runs/{NAME}", "ns", good=False)
    assert "results of other weights" in refused.stderr and len(hub.repos["model", REPO].commits) == 2
    (run / "eval_results.json").unlink()
    (run / ".eval_results" / "test.yaml").unlink(missing_ok=True)
    sh("python", "-c", PNGS, REPO)
    publish(sh, f"runs/{NAME}", "ns")
    assert len(hub.repos["model", REPO].commits) == 4
    assert not {"eval_results.json", ".eval_results/test.yaml"} & set(hub.files(REPO))
    assert {name for name in hub.files(REPO) if name.endswith(".png")} == {"notes.png"}
    assert hub.files(REPO)["model.safetensors"] == weights(run)
    second = sh("python", "-c", LOADED, REPO).stdout
    assert second != first and second == sh("python", "-c", LOADED, f"runs/{NAME}").stdout
    tagged = LOADED.replace("load(*sys.argv[1:2])", "load(sys.argv[1], revision='v1')")
    tagged = tagged.replace("from_pretrained(sys.argv[1])", "from_pretrained(sys.argv[1], revision='v1')")
    assert sh("python", "-c", tagged, REPO).stdout == first


def test_the_card_on_the_hub_is_the_repositorys_own_and_its_lines_run(hub, sh, run, tmp_path):
    publish(sh, f"runs/{NAME}", "ns")
    text = hub.files(REPO)["README.md"].decode()
    assert f"python -m evaluation.accuracy {REPO} --split test" in text and f"hf download {REPO}" in text
    assert f"huggingface-cli download {REPO}" in text
    assert "![samples](samples.webp)" in text and "![training curves](curves.webp)" in text
    assert check_card(text, "model", ["ylecun/mnist"])["model-index"] and ModelCard(text).data.eval_results
    (entry,) = {e["source"]["url"] for e in yaml.safe_load(hub.files(REPO)[".eval_results/test.yaml"])}
    assert entry == f"{hub.url}/{REPO}"

    (install,) = [line for line in text.splitlines() if line.startswith("pip install ")]
    address = install.split()[2]
    assert f'`pip install "scanline[train,evaluate] @ {address}"`' in text
    assert address.startswith(f"{hub.url}/{REPO}/resolve/main/scanline-")
    python = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(tmp_path / "site"), address]
    subprocess.run(python, env=hub.environment(tmp_path / "home", None), check=True, cwd=tmp_path)
    snippet = text.partition("```python\n")[2].partition("```")[0]
    shown = "\nimport hub_models; print(hub_models.__file__, tuple(probabilities.shape), hub_models.shipped())"
    done = sh("python", "-c", snippet + shown, PYTHONPATH=str(tmp_path / "site"), token=None)
    assert done.stdout == f"{tmp_path}/site/hub_models/__init__.py (2, 10) []\n"


def test_a_repository_is_evaluated_by_its_id(hub, sh, mnist, tmp_path):
    publish(sh, NAME, "ns")
    from huggingface_hub import constants

    script = "import functools, runpy, sys; import training.data.images as images\n"
    script += "images.snapshot_download = functools.partial(images.snapshot_download, local_files_only=True, "
    script += "cache_dir=sys.argv.pop(1)); runpy.run_module('evaluation.accuracy', run_name='__main__', alter_sys=True)"
    cached = constants.HF_HUB_CACHE  # MNIST is in no stand-in
    done = sh("python", "-c", script, cached, REPO, "--limit", "30", HF_HOME=constants.HF_HOME, token=None)
    accuracy, *_ = json.loads(done.stdout.splitlines()[-1])
    assert accuracy["n"] == 30 and accuracy["value"] >= 94 and REPO in accuracy["command"]
    assert "printed, not written" in done.stderr


def test_an_older_client_downloads_and_loads(hub, sh, run, tmp_path):
    publish(sh, f"runs/{NAME}", "ns")
    old = tmp_path / "old"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--target", old, "huggingface_hub<1"], check=True)
    first = {"PYTHONPATH": f"{old}{os.pathsep}{ROOT}"}  # all else is ours, after its own
    sh(str(old / "bin" / "huggingface-cli"), "download", REPO, "--local-dir", "down", token=None, **first)
    assert weights(tmp_path / "down") == weights(run)
    script = LOADED + "\nimport huggingface_hub; assert huggingface_hub.__version__.startswith('0.')"
    local = sh("python", "-c", LOADED, f"runs/{NAME}").stdout
    for name in REPO, str(tmp_path / "down"):
        assert sh("python", "-c", script, name, token=None, **first).stdout == local
    missing = sh("python", "-c", script, "ns/none", good=False, **first).stderr
    assert "FileNotFoundError: ns/none" in missing


def test_the_wheels_measuring_needs_what_its_extras_bring(hub, sh, run, tmp_path):
    """The card's `scanline[train,evaluate]`: what the wheel's modules import, its metadata names."""
    publish(sh, f"runs/{NAME}", "ns")
    (wheel,) = [data for name, data in hub.files(REPO).items() if name.endswith(".whl")]
    with zipfile.ZipFile(io.BytesIO(wheel)) as file:
        (metadata,) = [file.read(name).decode() for name in file.namelist() if name.endswith("METADATA")]
        names = set(file.namelist())
        sources = [file.read(name).decode() for name in names if name.endswith(".py")]
    assert not any("pretrained" in name for name in names)
    assert {
        "hub_models/hub/card.md",
        "evaluation/accuracy.py",
        "training/train.py",
        "evaluation/results/published.json",
    } <= names
    wanted = {re.split(r"[<>=! ;]", line)[0].lower() for line in re.findall(r"Requires-Dist: (.*)", metadata)}
    modules = {name for source in sources for name in re.findall(r"^(?:from|import) (\w+)", source, re.M)}
    known = {"PIL": "pillow", "yaml": "pyyaml", "pyarrow": "datasets", "sklearn": "scikit-learn"}
    ours = {"hub_models", "training", "evaluation", *sys.stdlib_module_names}
    foreign = {known.get(name, name).lower().replace("_", "-") for name in modules - ours}
    assert foreign <= {name.replace("_", "-") for name in wanted}


TWO_AT_ONCE = """
import sys
from pathlib import Path
from huggingface_hub import HfApi
from training.publish import publish
commit = HfApi.create_commit

def gated(self, *arguments, **options):  # after the first has read what is there, the second comes between
    if not Path("first").exists():
        Path("first").touch()
        publish("runs/other/" + sys.argv[1], "ns")
    return commit(self, *arguments, **options)

HfApi.create_commit = gated
publish("runs/" + sys.argv[1], "ns")
"""


def test_two_publishes_at_once_do_not_mix(hub, sh, run, tmp_path):
    shutil.copytree(PRETRAINED / NAME, tmp_path / "runs" / "other" / NAME)
    (run / "eval_results.json").unlink()
    (run / "history.csv").write_text("epoch\n1\n")
    sh("python", "-c", TWO_AT_ONCE, NAME)
    assert [c.summary for c in hub.repos["model", REPO].commits][1:] == ["Publish with Scanline"] * 2
    files = hub.files(REPO)
    assert files["history.csv"] == b"epoch\n1\n" and "eval_results.json" not in files
    assert b"## Results" not in files["README.md"]


def test_links_out_of_a_folder_half_runs_and_stray_tables(hub, sh, run, tmp_path):
    (tmp_path / "secret").write_text("not for others")
    (run / "history.csv").unlink()
    assert "has no history.csv: it is no finished run" in publish(sh, f"runs/{NAME}", "ns", good=False).stderr
    (run / "history.csv").symlink_to(tmp_path / "secret")
    assert "links to a file elsewhere" in publish(sh, f"runs/{NAME}", "ns", good=False).stderr
    assert not hub.repos
    (run / "history.csv").unlink()
    shutil.copy(PRETRAINED / NAME / "history.csv", run)
    (run / "stray.parquet").write_bytes(b"PAR1")  # makes no data set of a run
    (run / "report-validation.json").write_text('{"weights": "of another net"}')
    (run / "report-validation.webp").write_bytes(b"its picture")
    (tmp_path / "runs" / "link").symlink_to(run)
    publish(sh, "runs/link", "ns")
    assert set(hub.repos) == {("model", "ns/link")} and "stray.parquet" not in hub.files("ns/link")
    assert not [name for name in hub.files("ns/link") if name.startswith("report-validation")]


def test_offline_is_told_at_once(hub, sh):
    done = publish(sh, NAME, "ns", good=False, HF_HUB_OFFLINE="1")
    assert done.stderr.startswith("error: HF_HUB_OFFLINE is set") and not hub.requests


@pytest.mark.parametrize(
    ("token", "message"),
    [
        (None, "you are not logged in to the Hub: run `hf auth login`, or set HF_TOKEN"),
        ("hf_none", "does not accept your token"),
        ("hf_reader", "no right to write there"),
    ],
)
def test_who_may_not_publish_gets_one_sentence(hub, sh, token, message):
    done = publish(sh, NAME, "ns", token=token, good=False)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("error: ") and message in done.stderr and done.stderr.count("\n") == 1
    assert all(len(repo.commits) == 1 for repo in hub.repos.values())


REFUSED = {
    (NAME, "n s"): "is no repository id",
    (NAME, "ns/x"): "is no repository id",
    ("gru128-mnist-clasify", "ns"): f"did you mean {NAME!r}",
    ("someone/net", "ns"): "is no folder here",
    ("runs/none", "ns"): "there is no folder",
    ("ns",): "Give a NAME before it, or --all",
}
ASKED = """
import json, sys
from training.publish import main
for arguments in json.loads(sys.argv[1]):
    sys.argv[1:] = arguments
    try:
        main()
    except SystemExit as end:  # of a sentence, which Python itself prints, and exits with 1
        print(json.dumps(end.code))
"""


def test_what_cannot_be_published_gets_one_sentence(hub, sh):
    done = sh("python", "-c", ASKED, json.dumps(list(REFUSED)))
    for told, message in zip(map(json.loads, done.stdout.splitlines()), REFUSED.values(), strict=True):
        assert told.startswith("error: ") and message in told and "\n" not in told
    assert done.stderr == "" and not hub.repos


def test_a_private_repository_is_private_and_a_public_one_is_not_taken_for_it(hub, sh):
    publish(sh, NAME, "ns", "--private")
    assert hub.repos["model", REPO].private
    assert "FileNotFoundError" in sh("python", "-c", LOADED, REPO, token=None, good=False).stderr
    publish(sh, shipped()[1], "ns")
    assert "is public already" in publish(sh, shipped()[1], "ns", "--private", good=False).stderr


def test_a_dry_run_of_all_names_all_that_ships_and_asks_nobody(hub, sh):
    done = publish(sh, "--all", "ns", "--dry-run", token=None)
    assert hub.requests == []
    told = re.findall(r"would (?:publish|deploy) (\w+) ns/([\w-]+)", done.stdout)
    themes = {path.parent.name for path in ROOT.glob("spaces/*/app.py")}
    assert {("model", name) for name in shipped()} | {("space", name) for name in themes} == set(told)
    assert "model.safetensors  131,652 bytes" in done.stdout
    (linked,) = re.findall("would link in the Collection Scanline: (.*)", done.stdout)
    assert {f"ns/{name}" for _, name in told} | {"ylecun/mnist"} <= set(linked.split(", "))


@pytest.fixture
def data(tmp_path):
    """The folder of a small data set with images."""
    import datasets

    folder = tmp_path / "tiny-digits"
    examples = sorted((ROOT / "spaces" / "examples" / "mnist").glob("*.png"))
    rows = {"image": [{"bytes": path.read_bytes(), "path": path.name} for path in examples]}  # no path of this machine
    rows["label"] = list(range(10))
    features = datasets.Features(image=datasets.Image(), label=datasets.ClassLabel(10))
    table = datasets.Dataset.from_dict(rows, features=features)
    (folder / "data").mkdir(parents=True)
    table.to_parquet(folder / "data" / "train-00000-of-00001.parquet")
    config = {"configs": [{"config_name": "default", "data_files": [{"split": "train", "path": "data/train-*"}]}]}
    (folder / "README.md").write_text(f"---\n{yaml.safe_dump({'license': 'cc-by-sa-3.0'} | config)}---\n# Ten digits\n")
    (folder / "notes.txt").write_text("not for others")
    return folder


def test_a_data_set_is_published_and_loads(hub, sh, data):
    publish(sh, str(data), "ns")
    assert set(hub.files("ns/tiny-digits", "dataset")) - {".gitattributes"} == {
        "README.md",
        "data/train-00000-of-00001.parquet",
    }
    script = "import datasets; rows = datasets.load_dataset('ns/tiny-digits', split='train'); "
    script += "print(len(rows), rows.features['label'], rows[3]['label'], rows[3]['image'].size)"
    done = sh("python", "-c", script, token=None)
    assert done.stdout.startswith("10 ClassLabel") and done.stdout.endswith(" 3 (28, 28)\n")


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda folder: (folder / "README.md").unlink(), "has parquet files but no README.md"),
        (lambda folder: (folder / "README.md").write_text("# no metadata"), "states no license"),
        (lambda folder: (folder / "README.md").write_text("---\nlicense: mitt\n---\n"), "did you mean 'mit'?"),
        (
            lambda folder: (folder / "data" / "train-00000-of-00001.parquet").write_bytes(b"PAR1"),
            "is damaged or cut short",
        ),
    ],
)
def test_a_faulty_data_set_is_not_published(hub, sh, data, fault, message):
    fault(data)
    done = publish(sh, str(data), "ns", good=False)
    assert message in done.stderr and not hub.repos


@pytest.fixture
def few(tmp_path):
    """A clone with FEW checkpoints and, twice, the Space that they serve: `--all` costs the same whatever ships."""
    clone = tmp_path / "clone"
    clone.mkdir()
    others = {*shipped()} - {*FEW}
    for name in CODE:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, clone / name, ignore=shutil.ignore_patterns("__pycache__", *others))
        else:
            shutil.copy(ROOT / name, clone)
    for theme in "digits", "figures":
        shutil.copytree(ROOT / "spaces" / "digits", clone / "spaces" / theme)
    shutil.copy(ROOT / "spaces" / "deploy.py", clone / "spaces")
    return clone


BRIEFLY = (
    "from hub_models.hub import upload; upload.WAITS = (1,); from training.publish import main; main()"  # not 15 s
)


def test_all_is_safe_to_repeat_and_mends_what_a_broken_line_left(hub, sh, few, data):
    with hub.fault(24, "500", times=1000):
        assert "error: " in sh("python", "-c", BRIEFLY, "--all", "ns", good=False, PYTHONPATH=str(few)).stderr
    assert [len(repo.commits) for repo in hub.repos.values()] == [2, 1]  # the second is made and still empty
    for _ in range(2):
        done = publish(sh, "--all", str(data), "ns", PYTHONPATH=str(few))
        assert done.stdout.strip().splitlines()[-1].startswith(f"{hub.url}/collections/ns/scanline")
    models = [("model", f"ns/{name}") for name in FEW]
    wanted = [("dataset", "ns/tiny-digits"), *models, ("space", "ns/digits"), ("space", "ns/figures")]
    assert set(hub.repos) == set(wanted)
    assert {len(repo.commits) for repo in hub.repos.values()} == {2}
    (collection,) = hub.collections.values()
    assert [(item["type"], item["id"]) for item in collection["items"]] == wanted
    assert "ylecun/mnist is not linked" in done.stderr  # which the stand-in does not have


FAULTS = """
import contextlib, copy, io, json, logging, os, shutil, ssl, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
ssl.SSLContext.load_verify_locations = lambda self, *files: None  # the stand-in needs none, a client reads them all
from environment import sampled
from hub import FAULTS, StandIn
with StandIn() as hub:
    home, run = Path(sys.argv[2]), Path(sys.argv[3])
    os.environ.clear(), os.environ.update(hub.environment(home))
    import training.publish as publishing
    from hub_models.hub import upload
    logging.disable()
    upload.WAITS, time.sleep = (0, 0), lambda seconds: None
    repo = ("model", f"ns/{run.name}")
    told, staged, stage_model = [], {}, publishing.stage_model

    def stage_once(folder, stage, repo_id, sources):  # for each history: it asks nobody, so no fault comes near it
        made = staged.setdefault((folder / "history.csv").read_text(), home.with_name(f"staged-{len(staged)}"))
        if not made.exists():
            before = len(hub.requests)
            stage_model(folder, made, repo_id, sources)
            assert len(hub.requests) == before
        shutil.copytree(made, stage, dirs_exist_ok=True)

    publishing.stage_model = stage_once

    def attempt(timeout=60):
        upload.TIMEOUT = timeout
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            try:
                publishing.publish(str(run), "ns")
                return "published"
            except OSError as error:
                return str(error)

    def state():
        return hub.files(repo[1]) if repo in hub.repos else {}

    for folder in ("new", "old"):  # into no repository, and over an earlier version
        hub.repos.clear()
        (run / "history.csv").write_text(f"epoch\\n{folder}\\n")
        before = len(hub.requests)
        if folder == "old":
            attempt(), (run / "history.csv").write_text("epoch\\nnewer\\n")
            earlier, kept = state(), copy.deepcopy(hub.repos[repo])
            before = len(hub.requests)
        attempt()
        count, wanted = len(hub.requests) - before, state()
        for at in range(count):
            lasting = ("500", "reset", "timeout") if folder == "new" else ("disk-full",)
            passing = sorted(FAULTS) if folder == "new" else sorted(FAULTS)[at % 2 :: 2]  # half of them, in turn
            cases = [(1, kind) for kind in passing] + [(1000, kind) for kind in lasting]
            first = at % len(cases)
            for times, kind in sampled(cases[first:] + cases[:first]):
                hub.repos.clear()
                if folder == "old":
                    hub.repos[repo] = copy.deepcopy(kept)
                with hub.fault(at, kind, times) as fault:
                    result = attempt(0.1 if kind == "timeout" else 60)
                seen = state()
                partial = {name for name in seen if name != ".gitattributes"}
                half = bool(partial) and seen != wanted and not (folder == "old" and seen == earlier)
                commits = len(hub.repos[repo].commits) if repo in hub.repos else 0
                again = attempt()
                whole = again == "published" and state() == wanted
                case = {"folder": folder, "at": at, "kind": kind, "times": times, "result": result}
                told.append(case | {"half": half, "commits": commits, "whole": whole})
    print(json.dumps(told))
"""


def test_faults_at_every_request_leave_nothing_half_published(run, tmp_path):
    arguments = [str(ROOT / "tests"), str(tmp_path / "home"), str(run)]
    done = commands.run("-c", FAULTS, *arguments, env=os.environ | {"HF_HOME": arguments[1]}, check=True)
    told = json.loads(done.stdout.splitlines()[-1])
    assert len({case["at"] for case in told}) >= 12 and len({case["kind"] for case in told}) == 8
    for case in told:
        assert case["whole"] and not case["half"], case
        if case["times"] == 1:  # a fault that passes is overcome, and costs no second commit
            assert case["result"] == "published" and case["commits"] == (2 if case["folder"] == "new" else 3), case
        else:
            assert "nothing is half published; run the same command again" in case["result"], case
            assert "\n" not in case["result"], case


@pytest.mark.parametrize("namespace", ["", "n s", "a/b", "-x", "x" * 97, "ä", "a..b", "a--b"])
def test_ids_that_the_hub_refuses_are_refused_here(namespace):
    with pytest.raises(ValueError, match="is no repository id"):
        check_id(namespace, "net")
    assert check_id("Some-one", "net_1.x") == "Some-one/net_1.x"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("license: apache-2.0", "license: apache"), "did you mean 'apache-2.0'"),
        (("license: apache-2.0\n", ""), "states no license"),
        (("pipeline_tag: image-classification", "pipeline_tag: image-clasification"), "did you mean 'image-class"),
        (("library_name: scanline", "library_name: scanlin"), "did you mean 'scanline'"),
        (("- ylecun/mnist\nlibrary", "- ylecun/mnisst\nlibrary"), "did you mean 'ylecun/mnist'"),
        (("model-index:\n- name", "model-index:\n- title"), "cannot be read"),
        (("tags:", "tags: ["), "cannot be read"),
    ],
)
def test_words_that_the_hub_does_not_know_are_refused(change, message):
    text = (PRETRAINED / NAME / "README.md").read_text()
    assert check_card(text, "model", ["ylecun/mnist"])["license"] == "apache-2.0"
    assert change[0] in text
    with pytest.raises(ValueError, match=message) as error:
        check_card(text.replace(*change), "model", ["ylecun/mnist"])
    assert "\n" not in str(error.value)
