"""Several processes: the same data and the same figures as one, one good folder, and a kill that costs nothing."""

import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from commands import run, run_pair
from safetensors.torch import load_file
from test_training import KILLED, log_without_times

from hub_models import load
from training.machine import interleave
from training.train import train
from training.trainer import newest_checkpoint

# 49 images in batches of 16 leave one over, 49 in validation batches of 7 an odd number: neither splits evenly
TOY = ["gru128-mnist-predict", "--use_cpu", "True", "--limit", "49", "--model.hidden_size", "8", "--bf16", "False"]
TOY += ["--report_to", "none", "--eval_strategy", "steps", "--save_strategy", "steps", "--logging_steps", "1"]
TOY += ["--max_steps", "6", "--eval_steps", "2", "--save_steps", "2", "--per_device_eval_batch_size", "7"]


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> Path:
    """A run of two processes with 8 images each a step, by torchrun itself; the other tests start two as it does."""
    folder = tmp_path_factory.mktemp("runs") / "two"
    command = ["-m", "training.train", *TOY, "--per_device_train_batch_size", "8", "--output_dir", str(folder)]
    starter = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--standalone"]
    done = subprocess.run([*starter, *command], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return folder


def test_two_processes_train_as_one_with_the_summed_batch(pair, tmp_path):
    one = train([*TOY, "--per_device_train_batch_size", "16", "--output_dir", str(tmp_path / "one")])
    logs = [log_without_times(newest_checkpoint(one)), log_without_times(newest_checkpoint(pair, 2))]
    assert len(logs[0]) == len(logs[1]) == 6 + 3
    for alone, together in zip(*logs, strict=True):
        assert alone.keys() == together.keys()
        for key in alone:
            assert alone[key] == pytest.approx(together[key], rel=1e-5), key
    weights = [load_file(newest_checkpoint(f, n) / "model.safetensors") for f, n in ((one, 1), (pair, 2))]
    for name in weights[0]:
        assert torch.allclose(weights[0][name], weights[1][name], atol=1e-5), name
    assert {path.name for path in pair.iterdir()} == {path.name for path in one.iterdir()}
    assert load(pair).config.hidden_size == 8
    assert "`torchrun --nproc_per_node 2 -m training.train gru128" in (pair / "README.md").read_text()
    with pytest.raises(ValueError, match="processes was 2 and is 1"):
        train([*TOY, "--per_device_train_batch_size", "8", "--output_dir", str(pair), "--resume"])


def test_a_killed_pair_resumes_bit_for_bit(pair, tmp_path):
    argv = [*TOY, "--per_device_train_batch_size", "8", "--output_dir", str(tmp_path / "run")]
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    killed = run_pair(script, "3", *argv)
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "run" / "model.safetensors").exists()
    resumed = run_pair("-m", "training.train", *argv, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == (pair / "model.safetensors").read_bytes()
    ends = [newest_checkpoint(folder, 2) for folder in (pair, tmp_path / "run")]
    assert ends[0].name == ends[1].name and log_without_times(ends[0]) == log_without_times(ends[1])


def test_two_machines_are_as_two_processes_of_one(pair, tmp_path):
    """Each process is the first of its machine."""
    argv = [*TOY, "--per_device_train_batch_size", "8", "--output_dir", str(tmp_path / "run")]
    done = run_pair("-m", "training.train", *argv, machines=2)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == (pair / "model.safetensors").read_bytes()


NOISE = """
import sys, torch
from pathlib import Path
from training import train

class Told(train.HubTrainer):
    def training_step(self, *args, **kwargs):
        print(f"rank {self.args.process_index}: {torch.initial_seed()}", flush=True)
        return super().training_step(*args, **kwargs)

train.HubTrainer = Told
train.train(sys.argv[1:])
names = [file.read_text() for file in Path("/proc/self/task").glob("*/comm")]
print(f"gloo threads: {sum('gloo' in name for name in names)};", flush=True)
"""


def test_each_process_draws_noise_of_its_own_and_ends_its_threads(tmp_path):
    script = tmp_path / "noise.py"
    script.write_text(NOISE)
    argv = [*TOY, "--max_steps", "2", "--per_device_train_batch_size", "8", "--output_dir", str(tmp_path / "run")]
    done = run_pair(script, *argv)
    assert done.returncode == 0, done.stderr
    told = re.findall(r"rank \d: \d\d", done.stdout)  # the two write to one pipe, and a line may hold both
    assert set(told) == {"rank 0: 42", "rank 1: 43"}
    # a thread of the process group that outlives the run can abort the interpreter at its end
    assert re.findall(r"gloo threads: (\d+);", done.stdout) == ["0", "0"]


@pytest.mark.parametrize("script", ["bits_per_dim", "inpainting"])
def test_two_processes_measure_to_the_last_bit_what_one_does(pair, script, tmp_path):
    figures, options = [], ["--limit", "3", "--batch_size", "2"]
    for name, start in ("one", run), ("two", run_pair):
        copy = tmp_path / name
        shutil.copytree(pair, copy)
        done = start("-m", f"evaluation.{script}", copy, *options)
        assert done.returncode == 0, done.stderr
        printed = json.loads(done.stdout.splitlines()[-1])
        assert done.stdout.count('"metric": "' + printed[0]["metric"] + '"') == 1  # by one process
        assert json.loads((copy / "eval_results.json").read_text()) == printed
        figures.append([(entry["metric"], entry["value"], entry["interval"]) for entry in printed])
    assert figures[0] == figures[1]
    assert printed[0]["command"].startswith("torchrun --nproc_per_node 2 -m evaluation.")
    assert printed[0]["hardware"].startswith("2 x ")


def test_things_of_one_process_are_in_order():
    assert interleave([3, 1, 2], 3) == [3, 1, 2]
