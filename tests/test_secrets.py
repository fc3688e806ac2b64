"""Nothing secret and no path of a machine is recorded or published, whatever the command line or environment holds."""

import dataclasses
import json
import os
import runpy
import shlex
import shutil
import sys
from pathlib import Path

import commands
import pytest
import torch
from hub import StandIn
from PIL import Image
from safetensors.torch import load_file, save_file
from test_training import TOY
from transformers import TrainingArguments

from evaluation import accuracy, sweep
from evaluation.runner import run as evaluate
from hub_models import shipped
from hub_models.checkpoints import PRETRAINED
from hub_models.hub.card import write_card
from hub_models.hub.privacy import check_public, find_in_json, find_private, without_place
from hub_models.hub.publish import stage_model
from hub_models.run_folder import PUBLISHED
from training.arguments import parse
from training.data import ImageData
from training.publish import SOURCES, publish
from training.recipes import RECIPES, UNSHIPPED
from training.record import DECISIVE, description, recorded_options
from training.train import train

ROOT = Path(__file__).parents[1]
NAME = "gru128-mnist-classify"
HF = "hf_" + "aB3" * 11  # of the shape of a token, and no token: none stands in this file, either
WANDB = "0123456789abcdef" * 2 + "01234567"  # has no shape of its own: it is known by its variable
HOME = "/home/ada/secret-client"
STEPS = ["--max_steps", "2", "--eval_steps", "2", "--save_steps", "2", "--disable_tqdm", "True"]


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", WANDB)
    monkeypatch.setenv("HF_TOKEN", HF)


# 1. What is found.

FOUND = {
    f"--hub_token {HF}": "a token (hf_...)",
    f"https://user:{HF}@huggingface.co/x": "a token (hf_...)",
    "ghp_" + "a1" * 18: "a token (ghp_...)",
    "github_pat_" + "a1_" * 10: "a token (github_pat_...)",
    "sk-proj-" + "a1" * 20: "a token (sk-...)",
    "AKIA" + "A1" * 8: "a token (AKIA...)",
    "xoxb-" + "1-a" * 8: "a token (xoxb-...)",
    "glpat-" + "a1" * 10: "a token (glpat-...)",
    "--optim_args=https://ada:pw@proxy": "a password in a URL",
    "-----BEGIN OPENSSH PRIVATE " + "KEY-----": "a private key",
    f"key={WANDB}": "the value of the environment variable WANDB_API_KEY",
    "/home/ada/x": "a path of a machine (/home/ada/x)",
    "'/home/ada/läufe 1/x'": "a path of a machine (/home/ada/läufe)",
    "./home/ada/x": "a path of a machine (/home/ada/x)",
    "--output_dir=/Users/ada/x": "a path of a machine (/Users/ada/x)",
    "file:///root/x": "a path of a machine (/root/x)",
    "/mnt/disk/x": "a path of a machine (/mnt/disk/x)",
    "/tmp/runs": "a path of a machine (/tmp/runs)",
    "PAR1 /data/ada/0.png, /data/ada/1.png": "a path of a machine (/data/ada/0.png)",
    "C:\\Users\\ada\\x": "a path of a machine (C:\\Users\\ada\\x)",
    '"C:\\\\Users\\\\ada"': "a path of a machine (C:\\\\Users\\\\ada)",
}
INNOCENT = (
    "https://huggingface.co/datasets/ylecun/mnist",
    "https://example.org/home/user/app",
    "https://example.org:8080/tmp/x",
    "hf download ns/net; from huggingface_hub import hf_hub_download; hf_raise_for_status",
    "a task-specific-and-very-long-name-1, and/or, 3/4, `runs/x`, ./x",
    "cp -r ~/.cache/huggingface . && ls ./data/train.csv ../tmp/x ~/data/x $HOME/work/x ${X}/data/x /dev/null",
    "path: data/train-*, see /usr/bin/env and /proc/cpuinfo",
    "fedcba9876543210" * 4,  # a fingerprint
    "O, she doth teach the torches to burn bright! Home/Users/root",
)


@pytest.mark.parametrize(("text", "told"), FOUND.items())
def test_a_secret_or_a_path_is_found_and_no_secret_is_repeated(text, told):
    assert find_private(text) == find_private(f"before\n| {text}\n") == told
    assert find_in_json({"a": [{"b": text}]}, commands=()) == told
    assert HF not in told and WANDB not in told


@pytest.mark.parametrize("text", INNOCENT)
def test_what_only_looks_alike_is_not(text):
    assert find_private(text) == ""


def test_values_of_secret_variables_are_found_however_they_are_quoted(monkeypatch):
    monkeypatch.setenv("DB_PASSWORD", "pä'ss\"w\\ord!")
    for text in (shlex.quote(os.environ["DB_PASSWORD"]), os.environ["DB_PASSWORD"]):
        assert find_private(f"--x {text}") == "the value of the environment variable DB_PASSWORD"
    assert "DB_PASSWORD" in find_in_json(json.loads(json.dumps({"command": f"x {os.environ['DB_PASSWORD']}"})))
    monkeypatch.setenv("X_TOKEN", "shakespeare")
    assert find_private("tiny-shakespeare") == "the value of the environment variable X_TOKEN"
    for name, value in (("X_TOKEN", "short"), ("TOKENIZERS_PARALLELISM", "shakespeare"), ("MONKEY", "shakespeare")):
        monkeypatch.setenv("X_TOKEN", ""), monkeypatch.setenv(name, value)
        assert find_private("tiny-shakespeare, in short") == ""


def test_the_token_that_a_user_is_logged_in_with_is_found(monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("hub_models.hub.privacy.get_token", lambda: "hf_writer")
    assert find_private("by hf_writer").startswith("the token that you are logged in with")


def test_the_folder_of_a_run_and_ones_own_are_paths_of_the_machine_wherever_they_lie(monkeypatch):
    monkeypatch.setenv("HOME", "/u/ada")
    for place in ("/disk/ada", "/u/ada"):
        assert find_private(f"in {place}/x", (Path("/disk/ada"),)) == f"a path of a machine ({place})"
    assert find_private("in /disk/adam or a/disk/ada or /u/a", (Path("/disk/ada"),)) == ""


def test_the_words_of_a_command_are_no_absolute_paths():
    for path in ("/usr/x", "~/x", "~ada/x", "D:\\x", "D:/x", "\\\\server\\x", "file:/x"):
        for command in (f"train {path}", f"train --x={path}", f"train '{path} y'"):
            assert "a path of a machine" in find_in_json({"command": command}, commands=("command",)), command
        assert find_in_json({"text": f"all {path}"}, commands=("command",)) == ""
        assert "/" not in without_place(path) and "\\" not in without_place(path)
    assert [without_place(word) for word in ("3e-4", "ylecun/mnist", '{"a": "b/c"}')] == [
        *("3e-4", "ylecun/mnist", '{"a": "b/c"}')
    ]


# 2. What is recorded of a training run.

LINES = {  # of options that say where, how loudly or as whom a run runs -> nothing of them
    f"--hub_token {HF}": "",
    f"--hub_token={HF} --hub_model_id ada/x": "",
    f"--hub-token {HF} --hub_private_repo True --hub_revision x": "",
    f"--run_name {HF} --project {WANDB} --trackio_space_id ada/{WANDB}": "",
    "--report_to none --log_level info --logging_first_step": "",
    f"--resume_from_checkpoint {HOME}/x --output_dir={HOME}/run": "",
    "--output-dir ~/run --seed 7": "--seed 7",
    "--output_dir ../x --use_cpu True --model.hidden_size=8 --resume": "--model.hidden_size=8",
    "--resume True --limit 9 --overwrite False --no_average_tokens_across_devices": (
        "--limit 9 --no_average_tokens_across_devices"
    ),
    f"--learning-rate 3e-4 --run-name {HOME} --flip": "--learning-rate 3e-4 --flip",
    f"--data {HOME}/plays.csv": "--data plays.csv",
    f"--data={HOME}/plays.csv --deepspeed {HOME}/ds.json": "--data=plays.csv --deepspeed ds.json",
    "--data C:\\Users\\ada\\plays.csv --window 5,15": "--data plays.csv --window 5,15",
    "--data ~/plays.csv": "--data plays.csv",
}


OPTIONS = {name for recipe in RECIPES.values() for name in recipe.options()}


@pytest.mark.parametrize(("line", "kept"), LINES.items())
def test_a_command_is_recorded_by_what_decides_the_weights(line, kept):
    assert shlex.join(recorded_options(line.split(), OPTIONS)) == kept


def test_a_file_is_recorded_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "client").mkdir()
    (tmp_path / "client" / "config.json").write_text('{"split_batches": false}')
    words = ["--accelerator_config", "client/config.json", "--lr_scheduler_kwargs", '{"a": "client/x"}']
    assert recorded_options(words, OPTIONS) == [words[0], "config.json", *words[2:]]


def test_each_field_of_transformers_is_known_to_decide_weights_or_not_to():
    """What another version adds is not recorded until somebody has looked at it."""
    apart = {
        *("output_dir", "report_to", "disable_tqdm", "log_level", "log_level_replica", "log_on_each_node", "run_name"),
        *("project", "trackio_space_id", "trackio_bucket_id", "trackio_static_space_id", "push_to_hub", "hub_token"),
        *("hub_private_repo", "hub_model_id", "hub_strategy", "hub_always_push", "hub_revision", "debug", "use_cpu"),
        *("resume_from_checkpoint", "local_rank", "do_train", "do_predict", "skip_memory_metrics", "use_cache"),
        *("logging_first_step", "logging_nan_inf_filter", "include_num_input_tokens_seen", "include_for_metrics"),
        *("eval_do_concat_batches", "eval_use_gather_object", "save_on_each_node", "enable_jit_checkpoint"),
        *("dataloader_pin_memory", "dataloader_persistent_workers", "dataloader_prefetch_factor"),
        *("dataloader_multiprocessing_context", "ddp_backend", "ddp_timeout", "ddp_find_unused_parameters"),
        "torch_empty_cache_steps",
    }
    assert {field.name for field in dataclasses.fields(TrainingArguments)} - DECISIVE == apart


def described(argv: list[str]) -> dict:
    return description(argv, *parse(argv), ImageData(torch.empty(0), torch.empty(0)))


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_no_recipe_holds_what_would_be_refused(name):
    assert described([name])["recipe"] == name


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--optim_args", f"key={HF}"], r"a token \(hf_\.\.\.\)"),
        (["--optim_args", f"key={WANDB}"], "the value of the environment variable WANDB_API_KEY"),
        (["--optim_args", "a=/data/ada"], r"a path of a machine \(/data/ada\)"),
        (["--lr_scheduler_kwargs", json.dumps({"x": HOME})], "a path of a machine"),
        (["--output_dir", f"runs/{HF}"], "a token"),
        (["--model.names", f'"{WANDB}","b","c","d","e","f","g","h","i","j"'], "the value of .* WANDB_API_KEY"),
    ],
)
def test_what_cannot_be_left_out_of_a_record_is_refused_before_training(options, told, cifar10, tmp_path):
    here = [] if "--output_dir" in options else ["--output_dir", str(tmp_path / "run")]
    with pytest.raises(ValueError, match=f"would hold {told}.*: leave it out of the command line") as error:
        train(["cnn5x32-cifar10-study", "--limit", "64", *options, *here])
    assert HF not in str(error.value) and WANDB not in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / "run").exists() and not Path("runs", HF).exists()


def test_trainers_own_way_to_the_hub_is_refused(tmp_path):
    with pytest.raises(ValueError, match="use training.publish after the run"):
        train([NAME, *TOY, "--push_to_hub", "True", "--hub_token", HF, "--output_dir", str(tmp_path / "run")])
    assert not (tmp_path / "run").exists()


# 3. What is published of a run.


def staged(folder: Path, stage: Path) -> dict[str, bytes]:
    """What would be published of a run, the wheel apart."""
    stage.mkdir()
    stage_model(folder, stage, "ns/net", SOURCES)
    files = {path.relative_to(stage).as_posix(): path.read_bytes() for path in stage.rglob("*") if path.is_file()}
    assert {"recipe.json", "README.md", "model.safetensors"} <= {*files}
    return {name: data for name, data in files.items() if not name.endswith(".whl")}


def test_a_run_publishes_nothing_of_where_and_as_whom_it_ran(mnist, tmp_path):
    folder = tmp_path / "ada" / "toy"
    options = ["--hub_token", HF, f"--run_name={WANDB}", "--project", HF, "--trackio_space_id", f"ada/{HF}"]
    options += ["--resume_from_checkpoint", f"{HOME}/x", f"--hub-model-id={HOME}"]
    train([NAME, *TOY, *STEPS, *options, "--output_dir", str(folder)])
    argv = ["--spl=validation", "--lim", "20", str(folder), "--batch", "10"]  # argparse takes abbreviations
    found = evaluate(accuracy.measure, accuracy.__doc__, argv, accuracy.report)
    here = "python -m evaluation.accuracy ./toy --split validation --limit 20 --batch_size 10"
    assert {entry["command"] for entry in found} == {here}
    own = {name: (folder / name).read_bytes() for name in PUBLISHED if (folder / name).is_file()}
    for files in (own, staged(folder, tmp_path / "stage")):
        for name, data in files.items():
            for word in (HF, WANDB, HOME, str(tmp_path), "ada/", str(ROOT), "output_dir"):
                assert word.encode() not in data, f"{word} in {name}"
    command = json.loads(own["recipe.json"])["command"]
    assert command.startswith(f"python -m training.train {NAME} --limit 96 --model.hidden_size 8 --per_device")
    assert "changed by `--limit 96 --model.hidden_size 8" in own["README.md"].decode()
    train([*shlex.split(command)[3:], "--use_cpu", "True", "--output_dir", str(tmp_path / "again")])
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == own["model.safetensors"]  # it says all


def test_a_run_on_a_file_of_ones_own_publishes_its_name_alone(tmp_path):
    from test_text_training import TOY as WORDS
    from test_text_training import write_plays

    from evaluation import perplexity

    data = tmp_path / "ada" / "plays.csv"
    data.parent.mkdir()
    folder = tmp_path / "runs" / "toy"
    train([*WORDS, f"--data={write_plays(data)}", "--max_steps", "3", "--output_dir", str(folder)])
    found = evaluate(perplexity.measure, perplexity.__doc__, [str(folder), "--split", "test", "--da", str(data)])
    here = "python -m evaluation.perplexity runs/toy --split test --data plays.csv"
    assert {entry["command"] for entry in found} == {here} and here in (folder / "README.md").read_text()
    files = staged(folder, tmp_path / "stage")
    assert " --data=plays.csv " in json.loads(files["recipe.json"])["command"]
    for name, data in files.items():
        assert b"ada/" not in data and str(tmp_path).encode() not in data, name


def test_a_run_that_recorded_more_is_resumed_and_its_record_is_clean_then(mnist, tmp_path):
    folder = tmp_path / "toy"
    argv = [NAME, *TOY, *STEPS, "--output_dir", str(folder)]
    train(argv)
    weights, recipe = (folder / "model.safetensors").read_bytes(), (folder / "recipe.json").read_text()
    old = json.loads(recipe)
    old["training"] |= {"hub_token": HF, "logging_dir": f"{HOME}/logs", "push_to_hub": True}
    old["command"] += f" --hub_token {HF} --output_dir {folder}"
    (folder / "recipe.json").write_text(json.dumps(old))
    write_card(folder)
    with pytest.raises(ValueError, match=r"recipe\.json holds a token \(hf_\.\.\.\)"):
        publish(str(folder), "ns", dry_run=True)
    train([*argv, "--resume"])
    assert (folder / "recipe.json").read_text() == recipe and HF not in (folder / "README.md").read_text()
    assert (folder / "model.safetensors").read_bytes() == weights
    publish(str(folder), "ns", dry_run=True)


@pytest.fixture
def old(tmp_path):
    """A folder as an older run left it."""
    return shutil.copytree(PRETRAINED / NAME, tmp_path / "runs" / NAME)


def edited(name: str, change):
    """A fault: a JSON file of which `change` makes another value, in place."""

    def apply(folder: Path) -> None:
        value = json.loads((folder / name).read_text())
        change(value)
        (folder / name).write_text(json.dumps(value))

    return name, apply


def with_metadata(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    weights = json.loads((folder / "eval_results.json").read_text())[0]["weights"]
    save_file(tensors, folder / "model.safetensors", {"from": f"{HOME}/x"})
    from hub_models.files import fingerprint

    for name in ("eval_results.json", "report-test.json"):
        text = (folder / name).read_text().replace(weights, fingerprint(folder / "model.safetensors"))
        (folder / name).write_text(text)


def with_text(folder: Path) -> None:
    exif = Image.Exif()
    exif[0x010E] = f"made by {HF}"  # the description
    with Image.open(folder / "curves.webp") as picture:
        picture.load()
    picture.save(folder / "curves.webp", exif=exif, lossless=True)


FAULTS = [
    edited("recipe.json", lambda r: r.update(command=f"{r['command']} --hub_token {HF}")),
    edited("recipe.json", lambda r: r.update(command=f"{r['command']} --run_name={WANDB}")),
    edited("recipe.json", lambda r: r.update(command=f"{r['command']} --output_dir {HOME}/x")),
    edited("recipe.json", lambda r: r.update(command=f"{r['command']} --output_dir=/data/x")),
    edited("recipe.json", lambda r: r["training"].update(deepspeed="/data/ds.json")),
    edited("recipe.json", lambda r: r["training"].update(hub_token=HF)),
    edited("recipe.json", lambda r: r["training"].update(logging_dir="C:\\Users\\ada")),
    edited("recipe.json", lambda r: r["data"].update(file="~/plays.csv")),
    edited("eval_results.json", lambda r: r[0].update(command="python -m evaluation.accuracy /data/x --split test")),
    edited("eval_results.json", lambda r: r[0].update(command=f"python -m evaluation.accuracy x --data {HOME}/x")),
    edited("report-test.json", lambda r: r.update(command="python -m evaluation.accuracy /data/x --split test")),
    edited("train_results.json", lambda r: r.update(samples=f"See https://ada:{WANDB}@example.org.")),
    ("history.csv", lambda folder: (folder / "history.csv").write_text(f"epoch\n{HOME}/x\n")),
    ("model.safetensors", with_metadata),
    ("curves.webp", with_text),
]


@pytest.mark.parametrize(("name", "fault"), FAULTS, ids=[f"{i}-{name}" for i, (name, _) in enumerate(FAULTS)])
def test_a_folder_that_holds_one_is_refused_and_publishes_once_it_is_taken_out(name, fault, old, tmp_path, capsys):
    whole = (old / name).read_bytes()
    fault(old)
    write_card(old)
    with pytest.raises(ValueError, match="holds .*, which must not be published: remove it from that file") as error:
        publish(str(old), "ns", dry_run=True)
    assert str(error.value).startswith(f"{old / name} holds ") and "\n" not in str(error.value)
    assert HF not in str(error.value) and WANDB not in str(error.value) and capsys.readouterr().out == ""
    if name.endswith(".json"):  # the card is made from these, so that nothing else is to be mended
        (old / name).write_bytes(whole)
        publish(str(old), "ns", dry_run=True)
        card = staged(old, tmp_path / "stage")["README.md"].decode()
        assert not any(word in card for word in (HF, WANDB, HOME, "/data/x"))


def test_what_is_refused_asks_no_hub(old, tmp_path):
    recipe = (old / "recipe.json").read_text()
    (old / "recipe.json").write_text(recipe.replace("training.train ", f"training.train --hub_token {HF} "))
    with StandIn() as hub:
        environment = hub.environment(tmp_path / "home")
        done = commands.run("-m", "training.publish", old, "ns", env=environment, cwd=tmp_path)
        assert done.returncode == 1 and not hub.requests
    assert (
        done.stderr.startswith("error: ")
        and done.stderr.count("\n") == 1
        and "recipe.json holds a token" in done.stderr
    )
    assert HF not in done.stderr + done.stdout


def test_a_wheel_of_code_that_holds_one_is_refused(old, monkeypatch, tmp_path):
    from hub_models.hub.publish import CODE, build_wheel

    clone = tmp_path / "clone"
    for name in CODE:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        (clone / name).parent.mkdir(exist_ok=True)
        copy(ROOT / name, clone / name)
    (clone / "training" / "mine.py").write_text(f'KEY = "{WANDB}"\n')
    monkeypatch.setattr("hub_models.hub.publish.ROOT", clone)
    build_wheel.cache_clear()
    with pytest.raises(ValueError, match=r"\.whl/training/mine\.py holds the value of .* WANDB_API_KEY"):
        publish(str(old), "ns", dry_run=True)
    build_wheel.cache_clear()


def test_a_data_set_that_holds_one_is_refused(tmp_path):
    import pyarrow
    import pyarrow.parquet

    folder = tmp_path / "tiny"
    (folder / "data").mkdir(parents=True)
    table = pyarrow.table({"image": [{"bytes": b"PNG", "path": f"{i}.png"} for i in range(3)]})

    def write(card: str = "", name: str = "train", metadata: dict | None = None, table: pyarrow.Table = table) -> None:
        (folder / "README.md").write_text(f"---\nlicense: mit\n---\n# Tiny\n{card}")
        shutil.rmtree(folder / "data"), (folder / "data").mkdir()
        pyarrow.parquet.write_table(table.replace_schema_metadata(metadata), folder / "data" / f"{name}.parquet")

    write()
    publish(str(folder), "ns", dry_run=True)
    for fault, told in {
        f"Made by `python make.py --out {HOME}`.": r"README\.md holds a path of a machine",
        f"Made in {folder}.": r"README\.md holds a path of a machine",
        f"curl -H {HF}": r"README\.md holds a token",
    }.items():
        write(fault)
        with pytest.raises(ValueError, match=told):
            publish(str(folder), "ns", dry_run=True)
    write(table=pyarrow.table({"image": [{"bytes": b"PNG", "path": f"{HOME}/{i}.png"} for i in range(3)]}))
    with pytest.raises(ValueError, match=r"train\.parquet holds a path of a machine \(/home/ada/secret-client/\d\.png"):
        publish(str(folder), "ns", dry_run=True)  # as `datasets` writes pictures that it has read from files
    write(metadata={"made by": f"python make.py --out {HOME}"})
    with pytest.raises(ValueError, match=r"train\.parquet holds a path of a machine"):
        publish(str(folder), "ns", dry_run=True)
    write(name=HF)
    with pytest.raises(ValueError, match=r"a file's name in .* holds a token \(hf_\.\.\.\): rename") as error:
        publish(str(folder), "ns", dry_run=True)
    assert HF not in str(error.value)


@pytest.fixture
def spaces(tmp_path):
    """A copy of the Spaces, beside which the licence lies."""
    shutil.copy(ROOT / "LICENSE", tmp_path)
    return shutil.copytree(ROOT / "spaces", tmp_path / "spaces")


@pytest.mark.parametrize("name", ["app.py", "README.md", "tabs/classify.py", "examples/mnist/0.png"])
def test_a_space_that_holds_one_is_refused(name, spaces, monkeypatch, capsys):
    with (spaces / ("" if name.startswith("examples") else "digits") / name).open("ab") as file:
        file.write(f"\n# {HF}\n".encode())
    monkeypatch.setattr(sys, "argv", ["deploy.py", "digits", "ns", "--dry-run"])
    with pytest.raises(SystemExit, match=rf"^error: {name} holds a token \(hf_\.\.\.\)") as error:
        runpy.run_path(str(spaces / "deploy.py"), run_name="__main__")
    assert HF not in str(error.value) and "\n" not in str(error.value) and capsys.readouterr().out == ""


def test_a_space_that_is_refused_asks_no_hub(spaces, tmp_path):
    (spaces / "digits" / "app.py").write_text(f"# {HOME}\n")
    with StandIn() as hub:
        done = commands.run(spaces / "deploy.py", "digits", "ns", env=hub.environment(tmp_path / "home"))
        assert done.returncode == 1 and not hub.requests
    assert done.stderr.startswith("error: app.py holds a path of a machine") and done.stderr.count("\n") == 1


# 4. Other commands, and what is in git.


def test_a_sweep_records_no_place(cifar10, tmp_path, monkeypatch):
    without_runs = sweep.Sweep("row-lstm-cifar10", lambda run, seeds, data: [], lambda found: None)
    monkeypatch.setitem(sweep.SWEEPS, "depth", without_runs)
    monkeypatch.setattr(sweep, "save_figure", lambda *_: None)
    argv = ["depth", "--epochs", "1", "--lim", "64", "--runs", HOME, "--overwrite", "--results", str(tmp_path)]
    assert sweep.main(argv)["command"] == "python -m evaluation.sweep depth --epochs 1 --limit 64"


FOLDERS = [*(PRETRAINED / name for name in shipped()), *sorted(UNSHIPPED.iterdir())]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_nothing_shipped_or_unshipped_holds_one(folder):
    check_public(folder, folder)


def test_no_code_results_or_pictures_in_git_hold_one(tmp_path):
    for name in ("hub_models", "training", "evaluation", "spaces", "docs"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "pretrained"))
    for name in ("README.md", "LICENSE", "Makefile", "pyproject.toml", "requirements.txt"):
        shutil.copy(ROOT / name, tmp_path)
    check_public(tmp_path)
    (tmp_path / "docs" / "notes.md").write_text(f"{HOME}/x")
    with pytest.raises(ValueError, match=r"^docs/notes\.md holds a path of a machine"):
        check_public(tmp_path)
