"""Muon against torch's own optimisers and against the singular value decomposition."""

import copy
import csv
import json
import shutil
from types import SimpleNamespace

import pytest
import torch
from conftest import build
from torch import nn

from training.muon import Muon, UnitMuon, orthogonal
from training.train import train
from training.trainer import RAW


class Net(nn.Module):
    """A kernel that reads pixels, one between features, one of the head, and what is no kernel."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.config = SimpleNamespace(channels=3)
        self.first, self.between, self.head = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 12, (2, 3)), nn.Conv2d(12, 5, 1)
        self.between.gates = 2
        self.label = nn.Embedding(4, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x) + self.label(torch.arange(len(x)))[..., None, None]
        return self.head(self.between(x).tanh())


ADAMW = "first.weight", "head.weight", "label.weight"
BIASES = "first.bias", "between.bias", "head.bias"


def trained(model: nn.Module, *optimisers: torch.optim.Optimizer, steps: int = 6) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        model(torch.randn(4, 3, 6, 6, generator=generator)).square().mean().backward()
        for optimiser in optimisers:
            optimiser.step()
        model.zero_grad()
    return model.state_dict()


@pytest.mark.parametrize("shape", [(6, 40), (40, 6), (16, 16), (1, 9), (9, 1)])
def test_orthogonal_keeps_the_singular_vectors_and_brings_all_values_near_one(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    u, values, v = torch.linalg.svd(matrix, full_matrices=False)
    inside = u.T @ orthogonal(matrix) @ v.T
    torch.testing.assert_close(inside, inside.diag().diag(), atol=1e-4, rtol=0)
    well = values / matrix.norm() > 0.02  # what is all but 0 stays small
    assert well.sum() >= len(values) - 2 and inside.diag()[well].min() > 0.5 and inside.diag().max() < 1.3
    torch.testing.assert_close(orthogonal(1e-3 * matrix), orthogonal(matrix), atol=1e-3, rtol=0)
    assert torch.equal(orthogonal(torch.zeros(shape)), torch.zeros(shape))


def test_steps_are_torchs_muon_of_kernels_and_torchs_adamw_of_the_rest(monkeypatch):
    """torch's takes matrices alone, so it is given each gate's kernel as one; it rounds to bfloat16, ours does not."""
    monkeypatch.setattr("torch.optim._muon._zeropower_via_newtonschulz", lambda grad, *_: orthogonal(grad))
    ours, theirs, start = Net(), Net(), Net().state_dict()
    options = {"lr": 0.01, "weight_decay": 0.1}
    found = trained(ours, Muon(ours, betas=(0.8, 0.95), **options))
    kernel, named = theirs.between.weight, dict(theirs.named_parameters())
    views = [nn.Parameter(gate) for gate in kernel.detach().flatten(1).chunk(2)]

    def hand_on(p: torch.Tensor) -> None:
        for view, grad in zip(views, p.grad.flatten(1).chunk(2), strict=True):
            view.grad = grad

    kernel.register_post_accumulate_grad_hook(hand_on)
    wanted = trained(
        theirs,
        torch.optim.Muon(views, adjust_lr_fn="match_rms_adamw", **options),
        torch.optim.AdamW([named[name] for name in ADAMW], betas=(0.8, 0.95), **options),
        torch.optim.AdamW([named[name] for name in BIASES], lr=0.01, betas=(0.8, 0.95), weight_decay=0.0),
    )
    assert {*wanted} == {*ADAMW, *BIASES, "between.weight"}
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, msg=lambda told, name=name: f"{name}: {told}")
        assert (value - start[name]).norm() > 0.01, name


@pytest.mark.parametrize(("model_type", "gates"), [("row_lstm", 4), ("diagonal_bilstm", 8), ("gated_pixel_cnn", 2)])
def test_each_gate_is_a_matrix(model_type, gates):
    model = build(model_type)
    found = {name: Muon(model, lr=0.01).gates.get(p) for name, p in model.named_parameters() if p.ndim > 2}
    for name, count in found.items():
        gated = name.startswith("layers.") and not name.endswith(("up.weight", "out.weight"))
        assert count == (gates if gated else None), name
        assert not gated or dict(model.named_parameters())[name].shape[0] == gates * model.config.hidden


def test_a_step_of_a_kernel_has_the_root_mean_square_of_its_scale():
    model = Net()
    before = model.between.weight.detach().clone()
    trained(model, Muon(model, lr=0.01), steps=1)
    step = (model.between.weight - before).square().mean().sqrt().item()
    assert step == pytest.approx(0.2 * 0.01, rel=0.25)


def test_what_has_no_gradient_stays_and_a_saved_state_goes_on_exactly():
    model, again = Net(), Net()
    first = Muon(model, lr=0.01)
    for net in model, again:
        net.first.bias.requires_grad_(False)
        net.between.weight.requires_grad_(False)
    trained(model, first, steps=3)
    for name in "first.bias", "between.weight":
        assert torch.equal(model.state_dict()[name], Net().state_dict()[name])
    for net in model, again:
        net.between.weight.requires_grad_(True)
    trained(model, first, steps=1)
    again.load_state_dict(model.state_dict())
    second = Muon(again, lr=0.5)
    second.load_state_dict(copy.deepcopy(first.state_dict()))  # else the two would share it
    for (name, value), other in zip(trained(model, first).items(), trained(again, second).values(), strict=True):
        assert torch.equal(value, other), name


class Normed(nn.Module):
    """A kernel and what is none, in the groups of `UnitMuon`."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.kernel, self.head = nn.Conv2d(3, 6, 2, bias=False), nn.Conv2d(6, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.kernel(x).tanh())

    def groups(self) -> list[dict]:
        rest = {"params": [*self.head.parameters()], "lr": 0.3, "momentum": 0.85, "nesterov": True, "weight_decay": 0.1}
        return [{"params": [self.kernel.weight], "lr": 0.2, "momentum": 0.6, "muon": True, "weight_decay": 0.0}, rest]


@pytest.mark.parametrize("bf16", [False, True])
def test_kernels_turn_at_their_length_and_the_rest_is_torchs_sgd(bf16):
    """Against the same written out: the momentum by hand, all singular values 1 by decomposition, the rest by SGD."""
    ours, theirs = Normed(), Normed()
    optimiser = UnitMuon(ours.groups(), bf16)
    sgd = torch.optim.SGD(theirs.groups()[1:])
    generator, momentum = torch.Generator().manual_seed(1), 0
    for _ in range(4):
        x = torch.randn(4, 3, 6, 6, generator=generator)
        theirs.load_state_dict(ours.state_dict())
        for model in ours, theirs:
            model.zero_grad()
            model(x).square().mean().backward()
        grad = ours.kernel.weight.grad.flatten(1)
        optimiser.step()
        sgd.step()
        assert torch.equal(ours.head.weight, theirs.head.weight) and torch.equal(ours.head.bias, theirs.head.bias)
        momentum = 0.6 * momentum + grad
        before = theirs.kernel.weight.detach().flatten(1)
        step = before * 6**0.5 / before.norm() - ours.kernel.weight.detach().flatten(1)
        u, values, v = torch.linalg.svd(grad + 0.6 * momentum, full_matrices=False)
        inside = u.T @ step @ v.T / 0.2
        assert (inside - inside.diag().diag()).abs().max() < (0.05 if bf16 else 1e-3)
        assert inside.diag()[values > 0.02 * values.norm()].min() > 0.5 and inside.diag().max() < 1.3


TOY = "gated-pixelcnn-mnist --muon True --ema 0.9 --model.layers 2 --model.hidden 4 --limit 48 --max_steps 4"
TOY += " --eval_strategy steps --save_strategy steps --eval_steps 2 --save_steps 2 --per_device_train_batch_size 8"


def test_a_run_steps_by_it_and_resumes_bit_for_bit(mnist, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for folder in whole, broken:
        train([*TOY.split(), "--output_dir", str(folder)])
    state = torch.load(whole / "checkpoint-4" / "optimizer.pt", weights_only=True)
    assert [group["muon"] for group in state["param_groups"]] == [True, False, False]
    assert json.loads((whole / "recipe.json").read_text())["muon"] is True
    assert "Muon for kernels between features" in (whole / "README.md").read_text()
    shutil.rmtree(broken / "checkpoint-4")
    (broken / "model.safetensors").unlink()
    train([*TOY.split(), "--output_dir", str(broken), "--resume"])
    for name in ("checkpoint-4/model.safetensors", f"checkpoint-4/{RAW}", "model.safetensors"):
        assert (whole / name).read_bytes() == (broken / name).read_bytes(), name


def test_a_classifier_of_the_speed_runs_turns_its_kernels_and_resumes_bit_for_bit(cifar10, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    options = "--muon True --image_sizes 12,32 --limit 64 --max_steps 4 --eval_strategy steps --save_strategy steps"
    options += " --eval_steps 2 --save_steps 2 --per_device_train_batch_size 16 --model.widths 4,6,8 --use_cpu True"
    for folder in whole, broken:
        train(["cifar10-fast", *options.split(), "--output_dir", str(folder)])
    state = torch.load(whole / "checkpoint-4" / "optimizer.pt", weights_only=True)
    assert [group.get("muon", False) for group in state["param_groups"]] == [True, False, False]
    assert "Muon for kernels between features, Nesterov's SGD for the rest" in (whole / "README.md").read_text()
    shutil.rmtree(broken / "checkpoint-4")
    (broken / "model.safetensors").unlink()
    train(["cifar10-fast", *options.split(), "--output_dir", str(broken), "--resume"])
    for name in ("checkpoint-4/model.safetensors", "checkpoint-4/optimizer.pt", "model.safetensors"):
        assert (whole / name).read_bytes() == (broken / name).read_bytes(), name


def test_layers_compiled_in_place_train_alike_and_are_let_go(mnist, tmp_path, monkeypatch):
    """By the back end that only traces, so that every bit must agree; a compiler's own are for `test_gpu`."""
    compiled, compile_ = [], nn.Module.compile

    def spy(part: nn.Module, **options) -> None:
        compile_(part, **options)
        assert part._compiled_call_impl is not None
        compiled.append(part)

    monkeypatch.setattr(nn.Module, "compile", spy)
    for folder, options in (("plain", []), ("compiled", ["--torch_compile_backend", "eager"])):
        train([*TOY.split(), *options, "--output_dir", str(tmp_path / folder)])
    for name in "model.safetensors", "history.csv", "samples.webp":
        plain, compiled = ((tmp_path / folder / name).read_bytes() for folder in ("plain", "compiled"))
        if name == "history.csv":  # all but the minutes and the memory
            plain, compiled = (
                [
                    [row[key] for key in ("step", "validation_loss")]
                    for row in csv.DictReader(text.decode().splitlines())
                ]
                for text in (plain, compiled)
            )
        assert plain == compiled, name
    assert json.loads((tmp_path / "compiled" / "recipe.json").read_text())["training"]["torch_compile"] is True


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["cnn7x64-cifar10"], "--muon does not suit a cnn: leave it out"),
        (["char-lstm-shakespeare"], "--muon does not suit a char_lstm: leave it out"),
        (["gated-pixelcnn-mnist", "--optim", "adafactor"], "leave out --optim"),
        (["gated-pixelcnn-mnist", "--optim_args", "a=b"], "leave out --optim"),
        (["cifar10-fast-10min", "--optim", "adafactor"], "brings its own optimiser: leave out --optim"),
    ],
)
def test_it_is_refused_where_it_has_nothing_to_do_or_is_not_alone(options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        train([*options, "--muon", "True", "--output_dir", str(tmp_path / "run")])
    assert not (tmp_path / "run").exists()
