"""The real training command: what it leaves, what it refuses, and that a killed run goes on bit for bit."""

import dataclasses
import json
import re
import shutil
import signal
import subprocess
from pathlib import Path

import commands
import pytest
import torch
from safetensors.torch import load_file
from transformers import Trainer, TrainingArguments

from hub_models import MODELS, Classifier, PixelPredictorConfig, TextModel, load
from hub_models.checkpoints import PRETRAINED
from hub_models.config import RENAMED, ModelConfig
from hub_models.hub.card import render_card, write_card
from hub_models.run_folder import RUN_PICTURES
from training.arguments import RunArguments, parse
from training.data import TEXTS
from training.recipes import RECIPES, UNSHIPPED
from training.run import claim
from training.tasks import Pixels
from training.train import train
from training.trainer import HubTrainer, checkpoints, newest_checkpoint

TOY = [
    "--use_cpu",
    "True",
    "--limit",
    "96",
    "--model.hidden_size",
    "8",
    "--per_device_train_batch_size",
    "16",
    "--report_to",
    "none",
]
TOY += ["--eval_strategy", "steps", "--save_strategy", "steps", "--logging_steps", "1"]

# Runs the command and kills itself, as nothing can catch, after the step given first.
KILLED = """
import os, signal, sys
import transformers
from training import train

class Kill(transformers.TrainerCallback):
    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == int(sys.argv[1]):
            os.kill(os.getpid(), signal.SIGKILL)

make = train.HubTrainer
train.HubTrainer = lambda *a, callbacks, **k: make(*a, callbacks=[*callbacks, Kill()], **k)
train.train(sys.argv[2:])
"""


def command(*arguments: str, script: str | None = None) -> subprocess.CompletedProcess:
    return commands.run(*(["-c", script] if script else ["-m", "training.train"]), *arguments)


def log_without_times(checkpoint: Path) -> list[dict]:
    clocks = ("minutes", "peak_memory_mib", "eval_runtime", "eval_samples_per_second", "eval_steps_per_second")
    state = json.loads((checkpoint / "trainer_state.json").read_text())
    return [{k: v for k, v in entry.items() if k not in clocks} for entry in state["log_history"]]


@pytest.mark.parametrize(
    ("recipe", "extra"),
    [
        # killed mid-epoch, in the bf16 part, with random prefixes drawn in forward; the float32 part follows
        ("gru128-mnist-classify", ["--max_steps", "10", "--eval_steps", "4", "--save_steps", "4"]),
        # at this rate it soon gets no better: patience is one validation old when the last checkpoint is written
        (
            "gru128-mnist-predict",
            ["--max_steps", "40", "--eval_steps", "2", "--save_steps", "2", "--patience", "3"]
            + ["--learning_rate", "30", "--lr_scheduler_type", "constant"],
        ),
    ],
)
def test_a_killed_run_resumes_bit_for_bit(recipe, extra, mnist, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    done = command(recipe, *TOY, *extra, "--output_dir", str(whole))
    assert done.returncode == 0, done.stderr
    results = json.loads((whole / "train_results.json").read_text())
    patient = "--patience" in extra
    if patient:
        best = results["best_validation"]["step"]
        assert results["stopped_early"] and results["steps"] == best + 2 * 3 < 40  # three without improvement
    kill_at = best + 3 if patient else 6
    killed = command(str(kill_at), recipe, *TOY, *extra, "--output_dir", str(broken), script=KILLED)
    assert killed.returncode == -signal.SIGKILL
    assert not (broken / "model.safetensors").exists()
    resumed = command(recipe, *TOY, *extra, "--output_dir", str(broken), "--resume")
    assert resumed.returncode == 0, resumed.stderr

    assert (whole / "model.safetensors").read_bytes() == (broken / "model.safetensors").read_bytes()
    ends = [newest_checkpoint(whole), newest_checkpoint(broken)]
    assert ends[0].name == ends[1].name == f"checkpoint-{results['steps']}"
    assert (ends[0] / "model.safetensors").read_bytes() == (ends[1] / "model.safetensors").read_bytes()
    assert log_without_times(ends[0]) == log_without_times(ends[1])


@pytest.fixture(scope="module")
def run(mnist, tmp_path_factory):
    """A finished toy run of the predictor."""
    folder = tmp_path_factory.mktemp("runs") / "gru128-mnist-predict"
    argv = ["gru128-mnist-predict", *TOY, "--max_steps", "4", "--eval_steps", "2", "--save_steps", "2"]
    return train([*argv, "--output_dir", str(folder)]), argv


def test_a_run_leaves_exactly_what_the_contract_says(run):
    folder, _ = run
    assert {path.name for path in folder.iterdir()} == {
        *("config.json", "model.safetensors", "recipe.json", "train_results.json", "history.csv"),
        *("curves.webp", "samples.webp", "stages.webp", "README.md", "checkpoint-2", "checkpoint-4", "stages"),
    }
    header, *rows = (folder / "history.csv").read_text().splitlines()
    assert header.startswith("epoch,step,train_loss,validation_loss") and len(rows) == 2
    recipe = json.loads((folder / "recipe.json").read_text())
    assert recipe["model"]["hidden_size"] == 8 and recipe["data"]["limit"] == 96
    assert recipe["training"]["max_steps"] == 4
    assert load(folder).config.hidden_size == 8
    assert {t.dtype for t in load_file(folder / "model.safetensors").values()} == {
        torch.float16
    }  # the recipe's `store_fp16`


def test_what_is_kept_is_the_best_on_validation(run):
    folder, _ = run
    results = json.loads((folder / "train_results.json").read_text())
    log = [e for e in log_without_times(newest_checkpoint(folder)) if "eval_loss" in e]
    best = min(log, key=lambda entry: entry["eval_loss"])
    assert results["best_validation"]["step"] == best["step"]
    kept = load_file(folder / f"checkpoint-{best['step']}" / "model.safetensors")
    shipped = load_file(folder / "model.safetensors")
    assert all(torch.equal(kept[name].half(), shipped[name]) for name in kept)


def test_an_existing_run_is_neither_overwritten_nor_resumed_when_changed(run):
    folder, argv = run
    before = (folder / "model.safetensors").read_bytes()
    there = [*argv, "--output_dir", str(folder)]
    with pytest.raises(ValueError, match="--resume.*--overwrite"):
        train(there)
    with pytest.raises(ValueError, match=r"training.learning_rate was 0.01 and is 0.5.*--overwrite"):
        train([*there, "--resume", "--learning_rate", "0.5"])
    with pytest.raises(ValueError, match=r"store_fp16 was True and is False"):
        train([*there, "--resume", "--store_fp16", "False"])
    with pytest.raises(ValueError, match=r"model.hidden_size was 8 and is 9"):
        train([*there, "--resume", "--model.hidden_size", "9"])
    with pytest.raises(ValueError, match="exclude each other"):
        train([*there, "--resume", "--overwrite"])
    assert (folder / "model.safetensors").read_bytes() == before


def test_resuming_a_finished_run_changes_nothing(run):
    folder, argv = run
    before = (folder / "model.safetensors").read_bytes()
    train([*argv, "--output_dir", str(folder), "--resume"])
    assert (folder / "model.safetensors").read_bytes() == before


def test_a_run_that_is_older_than_an_option_did_without_it(run, tmp_path):
    folder, argv = run
    copy = shutil.copytree(folder, tmp_path / folder.name)
    recorded = json.loads((copy / "recipe.json").read_text())
    del recorded["shift"], recorded["muon"], recorded["settings"], recorded["model"]["threshold"]
    recorded |= {"cutout": 0, "window": []}  # when each run recorded the options of all kinds of training
    (copy / "recipe.json").write_text(json.dumps(recorded))
    train([*argv, "--output_dir", str(copy), "--resume"])
    again = json.loads((copy / "recipe.json").read_text())
    assert again["shift"] == 0 and again["model"]["threshold"] == PixelPredictorConfig.threshold
    (copy / "recipe.json").write_text(json.dumps(recorded | {"shift": 3}))
    with pytest.raises(ValueError, match="shift was 3 and is 0"):
        train([*argv, "--output_dir", str(copy), "--resume"])


@pytest.mark.parametrize("name", ["gru128-mnist-predict", "char-lstm-shakespeare", "cifar10-fast"])
def test_a_run_older_than_the_names_of_its_fields_is_read(name, tmp_path):
    """Each option and config field that was renamed stands in one of these folders under its old name."""
    copy = shutil.copytree(PRETRAINED / name, tmp_path / name)
    recipe, config = (json.loads((copy / file).read_text()) for file in ("recipe.json", "config.json"))
    recipe = {"carry_state": False, "image_sizes": []} | recipe  # some are older than these
    old = {new: old for old, new in RENAMED.items()}

    def aged(fields):
        return {old.get(key, key): value for key, value in fields.items()}

    assert {"half", "exact_from", "carry", "sides"} <= set(aged(recipe))
    assert name != "cifar10-fast" or "turn" in aged(recipe["model"])
    images = torch.zeros(2, 3, 32, 32, dtype=torch.uint8)
    answer = load(copy).predict(images) if name == "cifar10-fast" else None
    card = render_card(copy)
    (copy / "recipe.json").write_text(json.dumps(aged(recipe) | {"model": aged(recipe["model"])}))
    (copy / "config.json").write_text(json.dumps(aged(config)))
    assert answer is None or torch.equal(load(copy).predict(images), answer)
    assert dataclasses.asdict(load(copy).config).keys() == config.keys()
    assert render_card(copy)[1] == card[1]
    wanted = recipe | {"command": "x"}  # resuming compares what was with what is
    assert claim(copy, RunArguments(resume=True), wanted) is None
    assert json.loads((copy / "recipe.json").read_text()) == wanted


def test_a_run_that_has_lost_the_samples_of_its_stages_is_finished_without_them(run, tmp_path):
    folder, argv = run
    copy = shutil.copytree(folder, tmp_path / folder.name)
    shutil.rmtree(copy / "stages")
    (copy / "stages.webp").unlink()
    train([*argv, "--output_dir", str(copy), "--resume"])
    assert not (copy / "stages.webp").exists() and "stages.webp" not in (copy / "README.md").read_text()
    assert (copy / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()


def test_resuming_a_finished_run_of_before_pictures_were_webp_gives_it_such(run, tmp_path):
    folder, argv = run
    copy = shutil.copytree(folder, tmp_path / folder.name)
    for name in RUN_PICTURES:
        (copy / name).rename((copy / name).with_suffix(".png"))
    assert "![" not in write_card(copy).read_text()
    train([*argv, "--output_dir", str(copy), "--resume"])
    assert {path.name for path in copy.iterdir()} == {path.name for path in folder.iterdir()}
    assert all(f"({name})" in (copy / "README.md").read_text() for name in RUN_PICTURES)


def test_overwrite_begins_anew_and_deletes_runs_only(mnist, tmp_path):
    folder = tmp_path / "run"
    argv = ["gru128-mnist-predict", *TOY, "--max_steps", "2", "--eval_steps", "2", "--save_steps", "2"]
    argv += ["--output_dir", str(folder)]
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work")
    for extra in [], ["--overwrite"]:
        with pytest.raises(ValueError, match="no run of ours"):
            train([*argv, *extra])
    (folder / "thesis.txt").unlink()
    train(argv)
    first = (folder / "model.safetensors").read_bytes()
    train([*argv, "--overwrite", "--seed", "7"])
    assert (folder / "model.safetensors").read_bytes() != first
    with pytest.raises(ValueError, match="holds no run to resume"):
        train([*argv[:-1], str(tmp_path / "nowhere"), "--resume"])


@pytest.mark.parametrize("fault", ["optimizer.pt", "rng_state.pth", "trainer_state.json", "model.safetensors"])
def test_a_checkpoint_cut_short_is_passed_over(run, fault, tmp_path, caplog):
    folder, _ = run
    copy = tmp_path / "run"
    shutil.copytree(folder, copy)
    broken = copy / "checkpoint-4" / fault
    broken.write_bytes(broken.read_bytes()[:-40])
    assert newest_checkpoint(copy) == copy / "checkpoint-2"
    shutil.rmtree(copy / "checkpoint-2")
    assert newest_checkpoint(copy) is None
    wanted = json.loads((copy / "recipe.json").read_text())
    assert claim(copy, RunArguments(resume=True), wanted) is None and not checkpoints(copy)
    assert f"no checkpoint in {copy} is whole: training begins anew" in caplog.text


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["gru128-mnist-predct"], "did you mean 'gru128-mnist-predict'"),
        (["zzz"], "known are: char-gru1024"),
        (["gru128-mnist-predict", "--learning_rat", "1"], "did you mean '--learning_rate'"),
        (["gru128-mnist-predict", "--half", "True"], "there is no option '--half': it is --store_fp16 now"),
        (["cifar10-fast", "--model.turn", "1"], "'--model.turn': it is --model.muon_step now"),
        (["gru128-mnist-predict", "--model.hidden", "1"], "did you mean '--model.hidden_size'"),
        (["gru128-mnist-predict", "--learning_rate", "fast"], "invalid float value: 'fast'"),
        (["gru128-mnist-predict", "--model.hidden_size", "0"], "hidden_size is 0"),
        (["gru128-mnist-predict", "--limit", "0"], "--limit is 0"),
        (["gru128-mnist-predict", "--fp16", "True"], "use --bf16"),
        (["gru128-mnist-predict", "--neftune_noise_alpha", "5"], "is for transformers' own models: leave it out"),
        (["gru128-mnist-predict", "--metric_for_best_model", "eval_accuracy"], "'accuracy': validations of a pixel_"),
        (["gru128-mnist-classify", "--metric_for_best_model", "foo"], "a pixel_classifier give loss and accuracy"),
        (["gru128-mnist-predict", "--per_device_train_batch_size", "0"], "train_batch_size is 0"),
        (["gru128-mnist-predict", "--gradient_accumulation_steps", "0"], "accumulation_steps is 0: give at least 1"),
        (["gru128-mnist-predict", "--max_steps", "0"], "there is nothing to train"),
        (["gru128-mnist-predict", "--num_train_epochs", "0"], "there is nothing to train"),
        (["gru128-mnist-predict", "--learning_rate", "-1"], "--learning_rate is -1.0: give at least 0"),
        (["gru128-mnist-predict", "--weight_decay", "nan"], "--weight_decay is nan: give at least 0"),
        (["gru128-mnist-predict", "--eval_strategy", "no"], "every validation needs its checkpoint"),
        (["gru128-mnist-predict", "--save_strategy", "steps"], "every validation needs its checkpoint"),
        (["gru128-mnist-predict", *TOY, "--eval_steps", "1", "--save_steps", "4"], "needs its checkpoint"),
        (["gru128-mnist-predict", "--eval_delay", "1"], "would leave out validations"),
        (["gru128-mnist-predict", "--save_only_model", "True"], "nothing that --resume could go on from"),
        (["gru128-mnist-predict", "--patience", "-1"], "--patience is -1: give a number of at least 0"),
        (["gru128-mnist-predict", "--float32_from", "1.5"], "--float32_from is 1.5: give a number from 0 to 1"),
        (["cifar10-fast", "--ema", "1"], "--ema is 1.0: give a number of at least 0 and below 1"),
        (["cifar10-fast", "--ema", "-0.1"], "--ema is -0.1: give a number of at least 0 and below 1"),
        (["cifar10-fast", "--shift", "-1"], "--shift is -1: give a number of at least 0"),
        (["cifar10-fast", "--shift", "32"], "--shift is 32: give 0 to 31 pixels"),
        (["cifar10-fast", "--cutout", "32"], "--cutout is 32: give 0 to 31 pixels"),
        (["cifar10-fast", "--cutmix", "1.5"], "--cutmix is 1.5: give a number from 0 to 1"),
        (["cifar10-fast", "--cutmix", "1"], "--cutmix 1 leaves no batch for --cutout"),
        (["pixelcnn-mnist", "--cutmix", "0.5"], "there is no option '--cutmix'"),
        (["gru128-mnist-classify", "--cutmix", "0.5"], "--cutmix is for convolutional classifiers"),
        (["gru128-mnist-classify", "--cutout", "4"], "--cutout is for convolutional classifiers"),
        (["char-lstm-shakespeare", "--cutout", "4"], "there is no option '--cutout'"),
        (["char-lstm-shakespeare", "--image_size", "32"], "there is no option '--image_size'"),
        (["gru128-mnist-classify", "--image_sizes", "28"], "--image_sizes is for convolutional classifiers"),
        (["cifar10-fast", "--image_sizes", "8,32"], "--image_sizes is '8,32': give sides of 9 to 32, the last that"),
        (["cifar10-fast", "--image_sizes", "48,32"], "--image_sizes is '48,32': give sides of 9 to 32, the last that"),
        (["cifar10-fast", "--image_sizes", "20,24"], "--image_sizes is '20,24': give sides of 9 to 32, the last that"),
        (["cifar10-fast", "--image_sizes", "20,x"], "'20,x' is not a number, or numbers such as 20,24,32"),
        (["cnn7x64-cifar10", "--image_sizes", "7,32"], "give sides of 8 to 32"),
        (["gru128-mnist-predict", "--muon", "True"], "--muon does not suit a pixel_predictor: leave it out"),
        (["row-lstm-mnist", "--torch_compile", "True"], "the steps of row_lstm, for minutes"),
        (["row-lstm-mnist", "--torch_compile_mode", "default"], "the steps of row_lstm, for minutes"),
        (["diagonal-bilstm-mnist", "--torch_compile_backend", "eager"], "steps of diagonal_bilstm, for"),
        (["cnn7x64-cifar10", "--limit", "65"], "a batch leaves a process a single image"),
        (["cifar10-fast", "--limit", "100"], "100 training images do not fill one batch of 512"),
        (["cifar10-fast", "--model.names", '"cat","dog"'], "labels go up to 9, the model knows 2 classes"),
        (["cifar10-fast", "--label_smoothing_factor", "0.1"], "use --model.smoothing"),
        (["cifar10-fast", "--model.names", "cat,dog"], "are no values in JSON"),
        (["pixelcnn-mnist", "--model.height", "14"], r"the images are \(1, 28, 28\) .* and the model's \(1, 14, 28\)"),
        (["gru128-mnist-classify", "--limit", "129"], "a batch leaves a process a single image"),
        (["gru128-mnist-classify", "--per_device_train_batch_size", "1"], "a batch leaves a process a single image"),
    ],
)
def test_a_wrong_command_line_gets_one_sentence(argv, message, tmp_path):
    with pytest.raises(ValueError, match=message) as error:
        train([*argv, "--output_dir", str(tmp_path / "run")])
    assert "\n" not in str(error.value) and not (tmp_path / "run").exists()


def test_a_plateau_is_where_accuracy_rises_or_loss_falls_no_more():
    schedule = ["--lr_scheduler_type", "reduce_lr_on_plateau", "--lr_scheduler_kwargs"]
    *_, args = parse(["cnn5x32-cifar10-study", *schedule, '{"factor": 0.5}'])
    assert args.lr_scheduler_kwargs == {"mode": "max", "factor": 0.5}
    *_, args = parse(["cnn5x32-cifar10-study", *schedule, '{"factor": 0.5}', "--metric_for_best_model", "loss"])
    assert args.lr_scheduler_kwargs == {"factor": 0.5}  # "min" is PyTorch's own


def test_the_command_says_that_sentence_and_nothing_else():
    shown = command("gru128-mnist-predct")
    assert shown.returncode == 1 and shown.stdout == ""
    assert shown.stderr == "error: no recipe is called 'gru128-mnist-predct': did you mean 'gru128-mnist-predict'?\n"


def test_a_run_that_diverged_is_no_checkpoint(mnist, tmp_path):
    """A net of NaN has an accuracy, that of always saying 0, and so a best epoch."""
    argv = ["gru128-mnist-classify", *TOY, "--max_steps", "4", "--eval_steps", "2", "--save_steps", "2"]
    argv += ["--learning_rate", "1e38", "--max_grad_norm", "0", "--warmup_steps", "0"]
    with pytest.raises(ValueError, match="diverged; lower --learning_rate"):
        train([*argv, "--output_dir", str(tmp_path / "run")])
    assert not (tmp_path / "run" / "model.safetensors").exists()


def test_the_best_is_the_lowest_loss_or_the_highest_accuracy(mnist, tmp_path):
    argv = ["gru128-mnist-classify", *TOY, "--max_steps", "6", "--eval_steps", "1", "--save_steps", "1"]
    argv += ["--learning_rate", "1", "--save_total_limit", "9"]  # a rate at which both go up and down
    for metric, best in ("loss", min), ("accuracy", max):
        folder = train([*argv, "--metric_for_best_model", metric, "--output_dir", str(tmp_path / metric)])
        log = [e[f"eval_{metric}"] for e in log_without_times(newest_checkpoint(folder)) if "eval_loss" in e]
        assert len(set(log)) > 1
        kept = json.loads((folder / "train_results.json").read_text())["best_validation"]
        assert kept[f"eval_{metric}"] == best(log)


def test_a_handful_of_images_is_enough(mnist, tmp_path):
    for name in "gru128-mnist-predict", "gru128-mnist-classify":
        argv = [name, *TOY, "--limit", "3", "--max_steps", "2", "--eval_steps", "2", "--save_steps", "2"]
        assert load(train([*argv, "--output_dir", str(tmp_path / name)]))


def test_batch_norm_refuses_a_last_batch_of_one_before_anything_is_touched(run, tmp_path):
    argv = ["gru128-mnist-classify", *TOY, "--limit", "17", "--output_dir", str(tmp_path / "run")]
    with pytest.raises(ValueError, match="single image"):
        train([*argv, "--eval_strategy", "epoch", "--save_strategy", "epoch"])
    assert not (tmp_path / "run").exists()


def test_a_run_that_is_replaced_is_there_until_the_new_one_has_trained(run, tmp_path, monkeypatch):
    folder, argv = run
    copy = tmp_path / "run"
    shutil.copytree(folder, copy)

    def crash(*_, **__):
        raise OSError("power cut")

    monkeypatch.setattr("training.train.HubTrainer.train", crash)
    with pytest.raises(OSError, match="power cut"):
        train([*argv, "--output_dir", str(copy), "--overwrite"])
    assert load(tmp_path / "run.replaced").config.hidden_size == 8
    monkeypatch.undo()
    train([*argv, "--output_dir", str(copy), "--overwrite"])
    assert {path.name for path in tmp_path.iterdir()} == {"run"}


def test_what_is_called_as_a_run_put_aside_would_be_is_never_deleted(run, tmp_path):
    folder, argv = run
    theirs = tmp_path / "run.replaced"
    theirs.mkdir()
    (theirs / "thesis.txt").write_text("dear")
    train([*argv, "--output_dir", str(tmp_path / "run")])
    with pytest.raises(ValueError, match="which holds no run of ours: move that away"):
        train([*argv, "--output_dir", str(tmp_path / "run"), "--overwrite"])
    assert (theirs / "thesis.txt").read_text() == "dear" and load(tmp_path / "run").config.hidden_size == 8


def test_a_run_behind_a_link_is_replaced_where_it_lies_and_the_folder_one_stands_in_is_not(run, tmp_path, monkeypatch):
    folder, argv = run
    large, link = tmp_path / "large", tmp_path / "run"
    shutil.copytree(folder, large)
    link.symlink_to(large)
    for _ in range(2):
        before = (large / "recipe.json").stat().st_ino
        train([*argv, "--output_dir", str(link), "--overwrite"])
        assert link.is_symlink() and (large / "recipe.json").stat().st_ino != before
        assert {path.name for path in tmp_path.iterdir()} == {"large", "run"}
    large.rename(tmp_path / "large.replaced")  # as one that is killed there leaves it
    (tmp_path / "large.replaced" / ".replaced").touch()
    train([*argv, "--output_dir", str(link), "--overwrite"])
    assert {path.name for path in tmp_path.iterdir()} == {"large", "run"} and load(link)
    monkeypatch.chdir(large)
    with pytest.raises(ValueError, match="delete it yourself, or give another --output_dir"):
        train([*argv, "--output_dir", ".", "--overwrite"])
    assert load(large).config.hidden_size == 8


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"model": {}, "data": {}}'])
def test_a_record_that_is_damaged_is_told_by_name(run, tmp_path, text):
    folder, argv = run
    copy = tmp_path / "run"
    shutil.copytree(folder, copy)
    (copy / "recipe.json").write_text(text)
    with pytest.raises(ValueError, match=r"recipe\.json is damaged: begin anew with --overwrite") as refused:
        train([*argv, "--output_dir", str(copy), "--resume"])
    assert "\n" not in str(refused.value)


def test_only_the_first_process_writes_checkpoints(run, tmp_path):
    """Trainer calls `_save` in each; two writers of one file lose it now and then."""
    folder, _ = run
    model = load(folder)
    args = TrainingArguments(str(tmp_path), use_cpu=True)
    trainer = HubTrainer(model, args, task=Pixels(), watch=lambda *_: None)
    for writer in False, True:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(TrainingArguments, "should_save", property(lambda _, writer=writer: writer))
            trainer._save(str(tmp_path / str(writer)))
    assert not (tmp_path / "False").exists() and (tmp_path / "True" / "model.safetensors").exists()


def test_a_full_disk_is_told_in_one_sentence_and_loses_nothing(mnist, tmp_path):
    """A limit on the size of a file stands in for the disk: the optimizer's state is the first file too large."""
    limited = "import resource, sys; from training.train import main\n"
    limited += "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)),) * 2); main()"
    argv = ["gru128-mnist-predict", *TOY, "--max_steps", "4", "--eval_steps", "2", "--save_steps", "2"]
    argv += ["--output_dir", str(tmp_path / "run")]
    full = command("4000", *argv, script=limited)
    assert full.returncode == 1
    (told,) = re.findall("error: .*", full.stderr)  # a progress bar may share its line, or end after it
    assert "--resume" in told, full.stderr
    assert newest_checkpoint(tmp_path / "run") is None
    assert command(*argv, "--resume").returncode == 0
    assert load(tmp_path / "run").config.hidden_size == 8


SMALL = {"hidden": 6, "head": 6, "hidden_size": 4, "filters": 2, "embedding": 4, "vocab_size": 20, "dense": 4}
SMALL |= {"layers": 2, "height": 12, "width": 12, "widths": 4, "num_layers": 3}


def shrunk(config: ModelConfig) -> ModelConfig:
    """The same architecture with few features and layers and small images."""
    changes = {name: value for name, value in SMALL.items() if getattr(config, name, 0)}
    if "widths" in changes:
        changes["widths"] = tuple(4 + 2 * (i + 1 < len(config.widths)) for i in range(len(config.widths)))
    return dataclasses.replace(config, **changes)


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_every_recipe_builds_at_full_size_and_takes_a_step_at_toy_size(name):
    recipe, _, args = parse([name, "--use_cpu", "True"])
    config = recipe.model
    with torch.device("meta"):
        full = MODELS[config.model_type](config)
    folder = next((p for p in (PRETRAINED / name, UNSHIPPED / name) if p.is_dir()), None)
    if folder and not isinstance(full, TextModel):  # of a text, the vocabulary comes with the data
        trained = json.loads((folder / "train_results.json").read_text())["parameters"]
        assert sum(p.numel() for p in full.parameters()) == trained
    torch.manual_seed(0)
    model = MODELS[config.model_type](shrunk(config))
    if isinstance(model, TextModel):
        assert recipe.task.window and recipe.data in TEXTS
        batch = {"tokens": torch.randint(20, (1, 4))}
    else:
        count = 2 if isinstance(model, Classifier) else 1  # batch norm wants two
        batch = {"images": torch.randint(0, 256, (count, *model.shape), dtype=torch.uint8)}
        batch |= {"labels": torch.arange(count)} if model.classes else {}
    kind, options = Trainer.get_optimizer_cls_and_kwargs(args)
    said = dict(pair.split("=") for pair in recipe.training.get("optim_args", "").split(",") if pair)
    assert all(options[key] == float(value) for key, value in said.items())
    optimizer = kind(model.parameters(), **options)
    losses = []
    for _ in range(2):
        loss = model(**batch)["loss"]
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert all(map(torch.isfinite, map(torch.tensor, losses))) and losses[0] != losses[1]
    assert name == name.lower() and "_" not in name
