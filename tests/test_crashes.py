"""Kills at every kind of moment, full disks and folders that cannot be had: what is there is whole, --resume goes on.

A run here is the real command on pictures of 8x8 pixels, forked from a process that has imported everything, so that
dozens take seconds. SCANLINE_FULL=1 tests three times as many. It is killed

    at a random time      by SIGKILL, anywhere;
    at the k-th event     by SIGKILL, just before the k-th time that it makes, opens, renames or deletes a file;
    from the k-th event   by SIGXFSZ, when it has written so many bytes of the next file, in Python, C++ or Rust.
"""

import csv
import json
import os
import random
import shutil
import signal
import tempfile
import time
import zipfile
from pathlib import Path
from typing import NamedTuple

import commands
import datasets
import pytest
from environment import sampled
from PIL import Image

from hub_models import load
from hub_models.files import write_json
from hub_models.hub.card import read_results
from hub_models.run_folder import WEIGHTS
from training.machine import locked
from training.run import replaced
from training.trainer import best_of, checkpoints, newest_checkpoint

# Chains of 15, 40 and 20 kills of three kinds, of which each commit takes one of each kind.
CHAINS = sampled([0, 1, 2])
SEEDS = ("42", "7")
STEPS = 6
TOY = ["gru128-mnist-predict", "--use_cpu", "True", "--disable_tqdm", "True", "--report_to", "none"]
TOY += ["--model.hidden_size", "4", "--model.height", "8", "--model.width", "8", "--max_steps", str(STEPS)]
TOY += ["--per_device_train_batch_size", "16", "--per_device_eval_batch_size", "64", "--logging_steps", "1"]
TOY += ["--eval_strategy", "steps", "--eval_steps", "1", "--save_strategy", "steps", "--save_steps", "1"]
PUBLISHED = {
    "config.json",
    "recipe.json",
    "train_results.json",
    "history.csv",
    "curves.webp",
    "samples.webp",
    "stages.webp",
    "README.md",
}
PUBLISHED |= {WEIGHTS}


class Forge:
    """Does jobs, which are killed or not, and counts the kills."""

    def __init__(self):
        self.kills = 0

    def start(self, *argv: str, stdout: str = "", **job) -> commands.Job:
        return commands.start(Path(__file__).with_name("crashing.py"), json.dumps({"argv": argv} | job), stdout=stdout)

    def end(self, job: commands.Job) -> dict:
        done = job.wait(600)
        killed = done.returncode in (-signal.SIGKILL, -signal.SIGXFSZ)
        self.kills += killed
        assert killed or done.returncode in (0, 1, None), done.stderr  # no other signal
        assert "Traceback" not in done.stderr, done.stderr
        return {"code": done.returncode, "said": done.stdout + done.stderr, "pid": job.pid, "killed": killed}

    def __call__(self, *argv: str, seconds: float = 0, **job) -> dict:
        begun = self.start(*argv, **job)
        if seconds:
            time.sleep(seconds)
            begun.kill()
        return self.end(begun)

    def train(self, folder: Path, *argv: str, **job) -> dict:
        return self(*TOY, "--output_dir", str(folder), *argv, **job)


@pytest.fixture(scope="module")
def forge() -> Forge:
    return Forge()


class Unbroken(NamedTuple):
    """Runs that nothing disturbed, by seed, with all their checkpoints and real pictures."""

    runs: dict[str, Path]
    events: int  # of one
    seconds: float

    def kill(self, kind: str, chance: random.Random) -> dict:
        """How a run is to be killed, at a random place."""
        if kind == "moment":
            return {"seconds": chance.uniform(0.01, self.seconds)}
        torn = {"bytes": int(2 ** chance.uniform(0, 14))} if kind == "torn" else {}
        return {"at": chance.randint(1, self.events)} | torn


@pytest.fixture(scope="module")
def unbroken(forge, tmp_path_factory) -> Unbroken:
    runs, events, seconds = {}, 0, 0.0
    for seed in SEEDS:
        runs[seed] = tmp_path_factory.mktemp("unbroken") / "run"
        done = forge.train(runs[seed], "--seed", seed, "--save_total_limit", "99", draw=True)
        assert done["code"] == 0, done["said"]
    assert len({(folder / WEIGHTS).read_bytes() for folder in runs.values()}) == len(runs)
    began = time.perf_counter()
    done = forge.train(tmp_path_factory.mktemp("plain") / "run")
    seconds, events = time.perf_counter() - began, int(done["said"].split("events: ")[1])
    return Unbroken(runs, events, seconds)


def seed_of(folder: Path) -> str:
    return str(json.loads((folder / "recipe.json").read_text())["training"]["seed"])


def assert_whole(folder: Path, unbroken: Unbroken) -> str | None:
    """Whatever of a run is in a folder is whole and right; its seed if it can be loaded, else None."""
    readers = {
        ".json": lambda path: json.loads(path.read_text()),
        ".webp": lambda path: Image.open(path).load(),
        ".csv": lambda path: len(list(csv.DictReader(path.open()))) == STEPS or pytest.fail(f"{path} is cut short"),
        ".md": lambda path: path.read_text().endswith("\n```\n") or pytest.fail(f"{path} is cut short"),
    }
    for path in folder.glob("*.*"):
        if path.suffix in readers:
            readers[path.suffix](path)
    newest = newest_checkpoint(folder) if folder.exists() else None
    if newest:
        right = unbroken.runs[seed_of(folder)] / newest.name / WEIGHTS
        assert (newest / WEIGHTS).read_bytes() == right.read_bytes()
    try:
        load(folder)
    except (ValueError, FileNotFoundError) as error:
        assert "\n" not in str(error) and ("--resume" in str(error) or "there is no folder" in str(error))
        return None
    right = unbroken.runs[seed_of(folder)]
    assert (folder / WEIGHTS).read_bytes() == (right / WEIGHTS).read_bytes()
    return seed_of(folder)


def assert_done(folder: Path, seed: str, unbroken: Unbroken) -> None:
    """A folder holds exactly what the contract says, as the unbroken run has it, and nothing lies beside it."""
    assert assert_whole(folder, unbroken) == seed
    right = json.loads((unbroken.runs[seed] / "train_results.json").read_text())
    best = right["best_validation"]["step"]
    kept = {f"checkpoint-{step}" for step in (STEPS, best if best < STEPS else STEPS - 1)}
    assert {path.name for path in folder.iterdir()} == PUBLISHED | kept | {"stages"}
    assert {path.name for path in folder.parent.iterdir()} == {folder.name}
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth"):
        last, whole = (f / f"checkpoint-{STEPS}" / name for f in (folder, unbroken.runs[seed]))
        assert last.read_bytes() == whole.read_bytes()
    clocks = {"minutes": 0, "peak_memory_mib": 0, "samples": "", "stages": ""}
    assert json.loads((folder / "train_results.json").read_text()) | clocks == right | clocks


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize(("kind", "kills"), [("moment", 15), ("boundary", 40), ("torn", 20)])
def test_a_run_killed_again_and_again_ends_as_the_unbroken_one(kind, kills, chain, forge, unbroken, tmp_path):
    """Kill, go on as the command itself says, kill; when it is through, or sometimes before, replace it by another."""
    folder, chance, begun = tmp_path / "run", random.Random(f"{kind} {chain}"), forge.kills
    seed, flag, loadable = SEEDS[0], [], None
    while True:
        last = forge.kills - begun >= kills
        drawn = {"draw": chance.random() < 0.02}
        ended = forge.train(folder, "--seed", seed, *flag, **({} if last else drawn | unbroken.kill(kind, chance)))
        there = assert_whole(folder, unbroken)
        if loadable and not there:
            assert assert_whole(replaced(folder), unbroken) == loadable  # what is replaced is there till then
        loadable = there or loadable
        if ended["code"] == 0:
            assert_done(folder, seed, unbroken)
            if last:
                return
            seed, flag = SEEDS[1 - SEEDS.index(seed)], ["--overwrite"]
        elif ended["killed"]:
            flag = ["--resume"]
            if folder.exists() and chance.random() < 0.2:
                seed, flag = SEEDS[1 - SEEDS.index(seed)], ["--overwrite"]
        elif "holds no run to resume: leave out --resume" in ended["said"]:
            assert flag == ["--resume"] and not folder.exists()
            flag = []
        else:
            assert "the recipe has changed" in ended["said"] and flag == ["--resume"]  # killed before it replaced that
            assert seed_of(folder) != seed
            flag = ["--overwrite"]


@pytest.fixture
def done(forge, unbroken, tmp_path) -> Path:
    """A copy of a run that is done, alone in its folder, evaluated on 4 images."""
    folder = tmp_path / "runs" / "run"
    assert forge.train(folder, "--seed", "42")["code"] == 0
    assert forge(str(folder), "--split", "test", "--limit", "4", evaluate=True)["code"] == 0
    return folder


def counts(folder: Path) -> list[int]:
    return [entry["n"] for entry in read_results(folder) if entry["metric"] == "bits_per_dim"]


def test_an_evaluation_killed_anywhere_loses_no_result(forge, unbroken, done):
    before = {path.relative_to(done) for path in done.rglob("*")}
    again = [str(done), "--split", "test", "--limit", "5", "--seed", "1"]
    events = int(forge(*again, evaluate=True)["said"].split("events: ")[1])
    assert counts(done) == [4, 5]
    for at in range(1, events + 1):
        for torn in {}, {"bytes": 0}, {"bytes": 1000}:
            write_json(done / "eval_results.json", [entry for entry in read_results(done) if entry["n"] == 4])
            ended = forge(*again, evaluate=True, at=at, **torn)
            assert ended["killed"] or torn
            assert assert_whole(done, unbroken) == "42"
            assert counts(done) in ([4], [4, 5])
    assert forge(*again, evaluate=True)["code"] == 0
    assert counts(done) == [4, 5] and "--limit 5" in (done / "README.md").read_text()
    assert {path.relative_to(done) for path in done.rglob("*")} == before


def test_evaluations_of_one_folder_wait_for_one_another(forge, done):
    with locked(done):
        begun = forge.start(str(done), "--split", "test", "--limit", "5", "--seed", "1", evaluate=True)
        time.sleep(1)  # time enough for it to read what is there, did it not wait
        write_json(
            done / "eval_results.json",
            [entry | {"n": 3, "seed": 2} for entry in read_results(done)] + read_results(done),
        )
    assert forge.end(begun)["code"] == 0
    assert counts(done) == [3, 4, 5]


def test_a_full_disk_at_any_write_is_told_in_a_sentence_and_resumed_from(forge, unbroken, tmp_path):
    """The limit is on the size of a file, so each in turn is the first that cannot be written."""
    files = [path for path in unbroken.runs["42"].rglob("*") if path.is_file()]
    sizes = sorted({0, *(path.stat().st_size * 9 // 10 for path in files)})  # some vary a little, as clocks do
    assert len(sizes) > 12
    for size in sampled(sizes):
        folder = tmp_path / str(size) / "run"
        full = forge.train(folder, draw=True, limit=size)
        assert full["code"] == 1, size
        told = [
            line
            for line in full["said"].splitlines()
            if not line.startswith(("{", "events", "[transformers]", "mtime may not"))
        ]
        assert len(told) == 1 and told[0].startswith("error: ") and told[0].endswith("; whole checkpoints are kept")
        assert "go on with --resume" in told[0]
        assert assert_whole(folder, unbroken) in (None, "42")
        assert forge.train(folder, "--resume")["code"] == 0
        assert_done(folder, "42", unbroken)


def test_a_full_disk_in_an_evaluation_shows_its_results_and_keeps_the_others(forge, unbroken, done):
    for size in 0, (done / "eval_results.json").stat().st_size, (done / "README.md").stat().st_size - 100:
        full = forge(str(done), "--split", "test", "--limit", "5", "--seed", "1", evaluate=True, limit=size)
        assert full["code"] == 1 and '"n": 5' in full["said"] and "Traceback" not in full["said"]
        assert "\nerror: " in full["said"]
        assert assert_whole(done, unbroken) == "42" and 4 in counts(done)


def test_a_screen_that_cannot_be_written_loses_no_checkpoint(forge, unbroken, tmp_path):
    folder = tmp_path / "run"
    ended = forge.train(folder, stdout="/dev/full")
    assert ended["code"] == 1 and "\n" not in ended["said"].partition("error: ")[2].partition("\nevents")[0]
    assert forge.train(folder, "--resume")["code"] == 0
    assert_done(folder, "42", unbroken)


def test_a_full_disk_under_tensorboard_is_told_without_a_traceback(mnist, tmp_path):
    """Its file is written by a thread of its own, which fails before any checkpoint is written."""
    limited = "import resource; from training.train import main\n"
    limited += "resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000)); main()"
    argv = [
        *TOY[: TOY.index("--report_to")],
        "--max_steps",
        "2",
        "--limit",
        "16",
        "--output_dir",
        str(tmp_path / "run"),
    ]
    full = commands.run("-c", limited, *argv)
    assert full.returncode == 1 and "Traceback" not in full.stderr
    assert full.stderr.splitlines()[-1].startswith("error: [Errno 27] File too large: make room")
    assert any((tmp_path / "run" / "tensorboard").iterdir()) and not checkpoints(tmp_path / "run")


@pytest.mark.parametrize("flag", ["--resume", "--overwrite", None])
def test_a_second_run_into_a_folder_is_refused_and_a_killed_one_holds_nothing(flag, forge, unbroken, tmp_path):
    folder = tmp_path / "run"
    first = forge.train(folder, at=60, signal=signal.SIGSTOP)
    assert first["code"] is None and newest_checkpoint(folder)
    before = {path.relative_to(folder) for path in folder.rglob("*")}
    second = forge.train(folder, *([flag] if flag else []))
    told = f"error: another process is writing to {folder}: wait until it ends, or give another folder"
    assert second["code"] == 1 and told in second["said"].splitlines()
    assert {path.relative_to(folder) for path in folder.rglob("*")} == before
    os.kill(first["pid"], signal.SIGKILL)
    assert forge.train(folder, "--resume")["code"] == 0
    assert_done(folder, "42", unbroken)


def test_a_run_that_replaces_another_holds_the_folder_too(forge, unbroken, done):
    first = forge.train(done, "--seed", "7", "--overwrite", at=60, signal=signal.SIGSTOP)
    assert first["code"] is None and seed_of(done) == "7"
    assert "another process is writing" in forge.train(done, "--seed", "7", "--resume")["said"]
    os.kill(first["pid"], signal.SIGKILL)
    assert assert_whole(replaced(done), unbroken) == "42"


def test_a_folder_that_cannot_be_written_is_told_before_any_training(forge, unbroken):
    with tempfile.TemporaryDirectory() as top:
        os.chmod(top, 0o755)
        mine, shut, file = Path(top, "mine"), Path(top, "shut"), Path(top, "file")
        mine.mkdir()
        shutil.copytree(unbroken.runs["42"], shut / "run")
        file.write_text("years of work")
        who = {}
        if os.geteuid() == 0:  # whom no permission binds
            who = {"uid": 65534}
            os.chown(mine, 65534, 65534)
        for path in shut, shut / "run":
            path.chmod(0o555)
        assert forge.train(mine / "run", **who)["code"] == 0
        for folder in shut / "run", shut / "new", shut / "new" / "run", file, file / "run":
            for flag in [], ["--resume"], ["--overwrite"]:
                told = forge.train(folder, *flag, **who)
                assert told["code"] == 1
                (sentence,) = (line for line in told["said"].splitlines() if not line.startswith("events"))
                assert f"{folder} is no folder that can be written to" in sentence or "no run to resume" in sentence
        shown = forge(str(shut / "run"), "--limit", "4", evaluate=True, **who)
        assert shown["code"] == 1 and '"n": 4' in shown["said"] and "is no folder that can be" in shown["said"]
        shut.chmod(0o755)
        (shut / "run").chmod(0o755)
        assert assert_whole(shut / "run", unbroken) == "42" and file.read_text() == "years of work"


def test_decoding_a_data_set_killed_anywhere_leaves_a_whole_cache_or_none(forge, tmp_path):
    snapshot, home = tmp_path / ("0" * 40), tmp_path / "home"
    snapshot.mkdir()
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(num_classes=10)})
    for split in "train", "test":
        rows = {"image": [Image.new("L", (28, 28), 9 * k) for k in range(20)], "label": [k % 10 for k in range(20)]}
        datasets.Dataset.from_dict(rows, features=features).to_parquet(snapshot / f"{split}-00000.parquet")
    whole = forge(str(snapshot), decode=str(tmp_path / "whole"))
    assert whole["code"] == 0, whole["said"]
    (right,) = (tmp_path / "whole" / "scanline").iterdir()
    events, chance = int(whole["said"].split("events: ")[1]), random.Random(0)
    for _ in range(20):
        at, torn = chance.randint(1, events), {"bytes": chance.randint(0, 4000)} if chance.random() < 0.5 else {}
        forge(str(snapshot), decode=str(home), at=at, **torn)
        cache = home / "scanline" / right.name
        assert not cache.exists() or cache.read_bytes() == right.read_bytes()
        if chance.random() < 0.5:
            cache.unlink(missing_ok=True)
    full = forge(str(snapshot), decode=str(home), limit=1000) if not cache.exists() else None
    assert full is None or full["code"] == 1 and "make room there, or point HF_HOME elsewhere" in full["said"]
    assert forge(str(snapshot), decode=str(home))["code"] == 0
    assert [path.name for path in (home / "scanline").iterdir()] == [right.name]
    assert cache.read_bytes() == right.read_bytes()


def test_a_checkpoint_without_the_random_state_of_each_process_or_without_its_best_is_not_whole(unbroken, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(unbroken.runs["7"], run)
    last = checkpoints(run)[0]
    assert newest_checkpoint(run) == last and newest_checkpoint(run, processes=2) is None
    for rank in 0, 1:
        shutil.copy(last / "rng_state.pth", last / f"rng_state_{rank}.pth")
    assert newest_checkpoint(run, processes=2) == last and newest_checkpoint(run, processes=3) is None
    shutil.rmtree(best_of(last))
    assert best_of(last) != last and newest_checkpoint(run) != last


def test_what_a_killed_writer_left_is_cleared_wherever_it_was_written(tmp_path):
    litter = [tmp_path / name for name in ("a.json.7.writing", "stages/0.txt.7.writing", ".eval_results/x.7.writing")]
    kept = [tmp_path / name for name in ("a.writing.txt", "stages/0.txt", "stages/my.writing")]
    for path in litter + kept:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    with locked(tmp_path, wait=0):
        assert not any(path.exists() for path in litter) and all(path.exists() for path in kept)


@pytest.mark.parametrize("name", ["optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json"])
@pytest.mark.parametrize("where", ["part", "header", "directory"])
def test_a_checkpoint_with_a_damaged_middle_is_not_whole(name, where, unbroken, tmp_path):
    """As a power cut leaves it: of the right length, with zeros in it."""
    run = tmp_path / "run"
    shutil.copytree(unbroken.runs["7"], run)
    last = checkpoints(run)[0]
    content = bytearray((last / name).read_bytes())
    if name.endswith(".json"):
        content = b"{}"
    else:
        with zipfile.ZipFile(last / name) as file:
            part = max(file.infolist(), key=lambda part: part.file_size)  # its middle, its header, the directory
        begin = {"part": part.header_offset + 200, "header": part.header_offset, "directory": len(content) - 200}[where]
        content[begin : begin + 20] = bytes(b ^ 255 for b in content[begin : begin + 20])
    (last / name).write_bytes(content)
    assert newest_checkpoint(run) not in (None, last)


# Rank 1 is slow, and rank 0 is killed as soon as it has written the file that says that all is there.
SLOW = """
import os, signal, sys, time
import torch
from transformers import TrainerState
from training import train
from training.data import ImageData

def last_file(state, path):
    write(state, path)
    os.kill(os.getpid(), signal.SIGKILL)

train.load_split = lambda *_: ImageData(torch.zeros(48, 1, 8, 8, dtype=torch.uint8), torch.zeros(48), "0" * 40)
write, TrainerState.save_to_json = TrainerState.save_to_json, last_file
if os.environ["RANK"] == "1":
    save, torch.save = torch.save, lambda *given, **options: (time.sleep(3), save(*given, **options))
train.train(sys.argv[1:])
"""


def test_the_state_is_the_last_file_of_all_processes(tmp_path):
    script, run = tmp_path / "slow.py", tmp_path / "run"
    script.write_text(SLOW)
    ended = commands.run_pair(script, *TOY, "--output_dir", run)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert newest_checkpoint(run, processes=2) == run / "checkpoint-1"


def test_as_many_kills_as_planned_have_been_survived(forge, request):
    chains = sum(item.originalname.startswith("test_a_run_killed") for item in request.session.items)
    assert forge.kills >= 75 * len(CHAINS) or chains < 3 * len(CHAINS)
