"""The convolutional classifiers: the study's counts, the speed-run's tricks, looks inside, averaging, runs."""

import json
from itertools import pairwise

import numpy as np
import pytest
import torch
from asking import random_images
from conftest import build, enliven
from safetensors.torch import load_file
from torch import nn

from hub_models import CNN, CNNConfig, FastCNN, FastCNNConfig, load
from training.arguments import parse
from training.recipes import find
from training.train import train
from training.trainer import RAW, WeightAverage


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    ("recipe", "parameters"), [("cnn5x32-cifar10-study", 141_034), ("cnn7x64-cifar10-study", 2_332_106)]
)
def test_the_study_s_parameter_counts_are_exact(recipe, parameters):
    assert count(CNN(find(recipe).model)) == parameters


@pytest.mark.parametrize(("recipe", "batch"), [("cnn5x32-cifar10-study", 64), ("cnn7x64-cifar10-study", 16)])
def test_the_study_s_recipes_have_its_settings_and_say_whose_they_are(recipe, batch):
    found, _, args = parse([recipe])
    report = (args.learning_rate, args.num_train_epochs, args.per_device_train_batch_size, found.model.dropout)
    assert report == (1e-3, 20, batch, 0.5) and found.task.flip
    notebook = (args.optim, args.weight_decay, args.max_grad_norm, found.task.shift)
    assert notebook == ("adamw_torch_fused", 5e-4, 1.0, 4)
    assert args.lr_scheduler_type == "reduce_lr_on_plateau" and found.patience == 5  # used there; which, is unknown
    about = find(recipe).about
    assert "The kind of schedule and the patience are unknown" in about and "dropout 0.1, which is not" in about


@pytest.mark.parametrize("layers", [3, 5, 7])
@pytest.mark.parametrize("filters", [16, 32, 64])
def test_every_size_of_the_study_is_what_the_study_says(layers, filters):
    model = CNN(CNNConfig(num_layers=layers, filters=filters))
    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    assert [c.out_channels for c in convolutions] == [filters * 2 ** (i // 2) for i in range(layers)]
    assert all(c.kernel_size == (3, 3) and c.bias is None for c in convolutions)
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == layers and all(norm.affine for norm in norms)
    assert len([m for m in model.modules() if isinstance(m, nn.MaxPool2d)]) == layers // 2
    linear = filters * 2 ** ((layers - 1) // 2)
    convolved = sum(9 * before * after for before, after in pairwise([3, *(c.out_channels for c in convolutions)]))
    assert count(model) == convolved + 2 * sum(c.out_channels for c in convolutions) + 10 * linear + 10
    assert [m.p for m in model.modules() if isinstance(m, nn.Dropout)] == [0.5]


def test_a_net_too_deep_for_its_images_is_refused():
    with pytest.raises(ValueError, match="7 layers need 8 of each"):
        CNNConfig(num_layers=7, height=7)
    with pytest.raises(ValueError, match="height is 8"):
        FastCNNConfig(height=8)
    assert CNN(CNNConfig(num_layers=7, filters=2, height=8, width=8)).layers[-1] == "conv6"


def test_the_first_layer_whitens_patches_of_training_images(cifar10):
    """What its first twelve filters give has, over the patches they come from, nearly the identity for covariance."""
    model = FastCNN(FastCNNConfig())
    model.prepare(cifar10.images)
    convolution = model.body.whiten[0]
    with torch.no_grad():
        out = convolution(model.normalise(cifar10.images)).transpose(0, 1).flatten(1).double()  # (24, positions)
    covariance = torch.cov(out[:12])
    assert torch.allclose(covariance - covariance.diag().diag(), torch.zeros(12, 12).double(), atol=1e-3)
    assert covariance.diag()[:6].min() > 0.99 and covariance.diag().max() < 1.001  # the smallest are damped
    assert torch.equal(convolution.weight[:12], -convolution.weight[12:])
    assert not convolution.weight.requires_grad and convolution.bias.requires_grad
    plain = FastCNN(FastCNNConfig(whitening=False))
    before = plain.body.whiten[0].weight.clone()
    plain.prepare(cifar10.images)
    assert torch.equal(plain.body.whiten[0].weight, before) and plain.body.whiten[0].weight.requires_grad


def test_convolutions_start_as_the_identity():
    model = FastCNN(FastCNNConfig(widths=(32, 32, 40)))
    x = torch.randn(2, 24, 9, 9)
    assert torch.equal(model.body.group0a[0](x)[:, :24], x)
    assert not torch.equal(FastCNN(FastCNNConfig(dirac=False)).body.group0a[0](x)[:, :24], x)


def test_biases_of_batch_norm_learn_at_a_rate_of_their_own_and_everything_is_in_one_group():
    model = FastCNN(FastCNNConfig())
    slow, fast = model.parameter_groups(0.5, 0.1)
    assert (slow["lr"], fast["lr"], slow["weight_decay"]) == (0.5, 32.0, 0.1)
    assert fast["lr"] * fast["weight_decay"] == pytest.approx(0.5 * 0.1)
    assert len(fast["params"]) == 6 and {p.shape for p in fast["params"]} == {(64,), (128,), (256,)}
    grouped = [id(p) for group in (slow, fast) for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in model.parameters() if p.requires_grad)
    assert all(m.weight is None for m in model.modules() if isinstance(m, nn.BatchNorm2d))


@pytest.mark.parametrize("residual", [False, True])
def test_kernels_are_muon_s_and_all_else_is_in_the_groups_of_sgd(residual):
    model = FastCNN(FastCNNConfig(residual=residual, muon_step=0.07))
    turned, slow, fast = model.parameter_groups(0.5, 0.1, muon=True)
    kernels = [m.weight for m in model.body[1:].modules() if isinstance(m, nn.Conv2d)]
    assert {id(p) for p in turned["params"]} == {id(p) for p in kernels} and len(kernels) == 6 + 3 * residual
    assert turned["muon"] and turned["lr"] == 0.07 and not turned["weight_decay"]
    whole = model.parameter_groups(0.5, 0.1)[0]["params"]
    assert {id(p) for p in slow["params"]} == {id(p) for p in whole} - {id(p) for p in kernels}
    assert fast["params"] == model.parameter_groups(0.5, 0.1)[1]["params"]


def test_a_group_of_three_convolutions_adds_to_what_comes_in():
    """As airbench96 has it; at the start each adds itself, for its convolutions are the identity."""
    model = FastCNN(FastCNNConfig(widths=(24, 24, 32), residual=True)).eval()
    kinds = [name for name, module in model.body.named_modules() if isinstance(module, nn.Conv2d)]
    assert len(kinds) == 1 + 3 * 3
    block, x = model.body.group1b, torch.randn(2, 24, 7, 7)
    inner, last = block
    first, norm, activation, second, second_norm = inner
    plain = x + second_norm(second(activation(norm(first(x)))))
    assert torch.allclose(block(x), nn.functional.gelu(plain)) and last(plain).equal(nn.functional.gelu(plain))
    scale = (1 + norm.eps) ** -0.5  # of batch norms that have seen nothing
    assert torch.allclose(block(x), nn.functional.gelu(x + scale * nn.functional.gelu(scale * x)), atol=1e-6)


@pytest.fixture(params=["cnn", "fast_cnn"])
def looker(request):
    return enliven(build(request.param)).eval()


def test_images_of_other_sizes_are_for_training_alone(looker):
    looker.side = least = looker.config.least
    small = torch.randint(256, (2, 3, least, least), dtype=torch.uint8)
    assert looker.train()(small)["logits"].shape == (2, looker.config.classes)
    for shape in (2, 3, least, least + 1), (2, *looker.shape), (3, least, least):
        with pytest.raises(ValueError, match=rf"give a uint8 tensor \(B, 3, {least}, {least}\)"):
            looker(torch.zeros(shape, dtype=torch.uint8))
    with pytest.raises(ValueError, match="give a uint8 tensor"):
        looker.eval()(small)


def test_labels_are_smoothed_in_training_only(looker):
    images, labels = random_images(looker, 6), torch.arange(6) % 3
    out = looker(images, labels)
    assert torch.allclose(out["loss"], nn.functional.cross_entropy(out["logits"], labels))
    torch.manual_seed(0)
    out = looker.train()(images, labels)
    wanted = nn.functional.cross_entropy(out["logits"], labels, label_smoothing=looker.config.smoothing)
    assert torch.allclose(out["loss"], wanted) and looker.config.smoothing > 0


def test_the_loss_of_shared_labels_is_the_shared_loss():
    model = FastCNN(FastCNNConfig(widths=(4, 6, 8), smoothing=0.2)).double().train()
    images = torch.randint(256, (6, 3, 32, 32), dtype=torch.uint8)
    ones, others = torch.randint(10, (2, 6))
    hot = [torch.nn.functional.one_hot(labels, 10).double() for labels in (ones, others)]
    torch.testing.assert_close(model(images, hot[0])["loss"], model(images, ones)["loss"])
    wanted = 0.3 * model(images, ones)["loss"] + 0.7 * model(images, others)["loss"]
    torch.testing.assert_close(model(images, 0.3 * hot[0] + 0.7 * hot[1])["loss"], wanted)
    for labels in ones.int(), ones.float(), ones[:5], hot[0].long(), hot[0][:, :9]:
        with pytest.raises(ValueError, match=r"give int64 \(B,\), or the classes' shares \(B, classes\)"):
            model(images, labels)


def test_views_are_those_of_the_paper(looker):
    images = random_images(looker, 4)

    def logits(x):
        return looker(x)["logits"]

    def both(x):
        return (logits(x) + logits(x.flip(3))) / 2

    def moved(by):
        padded = nn.functional.pad(images.double(), (1, 1, 1, 1), mode="reflect").to(torch.uint8)
        height, width = images.shape[2:]
        return padded[:, :, 1 + by : 1 + by + height, 1 + by : 1 + by + width]

    assert torch.allclose(looker.predict(images), logits(images).softmax(-1))
    assert torch.allclose(looker.predict(images, 2), both(images).softmax(-1))
    six = 0.5 * both(images) + 0.25 * both(moved(-1)) + 0.25 * both(moved(1))
    assert torch.allclose(looker.predict(images, views=6), six.softmax(-1))
    assert torch.allclose(looker.predict(images, 2), looker.predict(images.flip(3), 2))
    assert torch.equal(looker.predict(images, np.int64(2)), looker.predict(images, 2))
    for views in (0, 3, "2", None, True, [1], 2.0):
        with pytest.raises(ValueError, match="views is"):
            looker.predict(images, views)


def test_feature_maps_are_what_the_blocks_give_on(looker):
    images = random_images(looker, 2)
    caught = {}
    for name, block in looker.body.named_children():
        block.register_forward_hook(lambda _, __, out, name=name: caught.__setitem__(name, out))
    looker.predict(images)
    seen = dict(caught)
    assert list(seen) == looker.layers
    for layer in looker.layers:
        assert torch.equal(looker.feature_maps(images, layer), seen[layer]), layer
    with pytest.raises(ValueError, match="layer is 'conv99': give one of"):
        looker.feature_maps(images, "conv99")


# Averaging, and a run of it.


def test_whole_numbers_as_means_and_deviations_are_numbers_like_others():
    images = torch.randint(256, (2, 3, 32, 32), dtype=torch.uint8)
    whole, real = (CNN(CNNConfig(num_layers=1, mean=(z, z, z), std=(o, o, o))).eval() for z, o in ((0, 1), (0.0, 1.0)))
    whole.load_state_dict(real.state_dict())
    assert torch.equal(whole.predict(images), real.predict(images))
    assert torch.equal(whole.grad_cam(images), real.grad_cam(images))
    assert torch.allclose(whole.double().predict(images).float(), real.predict(images), atol=1e-5)


def test_bf16_ends_where_the_recipe_says(cifar10, tmp_path, monkeypatch):
    seen, forward = [], CNN.forward

    def spy(self, images, labels=None):
        if self.training:
            seen.append(torch.is_autocast_enabled("cpu"))
        return forward(self, images, labels)

    monkeypatch.setattr(CNN, "forward", spy)
    options = TOY.replace("--model.widths 4,6,8", "--model.filters 2").split()
    options += ["--bf16", "True", "--float32_from", "0.5", "--output_dir", str(tmp_path / "run")]
    train(["cnn5x32-cifar10-study", *options])
    assert seen == [True] * 3 + [False] * 3


def test_small_images_come_first_and_validation_sees_whole_ones(cifar10, tmp_path, monkeypatch):
    seen, forward, models = {True: [], False: []}, FastCNN.forward, set()

    def spy(self, images, labels=None):
        models.add(self)
        seen[self.training].append(images.shape[2:])
        return forward(self, images, labels)

    monkeypatch.setattr(FastCNN, "forward", spy)
    folder = tmp_path / "run"
    train(["cifar10-fast", *TOY.split(), "--image_sizes", "12,12,20,32", "--output_dir", str(folder)])
    assert seen[True] == [(12, 12)] * 3 + [(20, 20)] * 2 + [(32, 32)]
    assert set(seen[False]) == {(32, 32)} and [model.side for model in models] == [0]
    assert json.loads((folder / "recipe.json").read_text())["image_sizes"] == [12, 12, 20, 32]
    told = "| image sizes | of 4 equal stages 12 pixels in 2, 20 pixels in 1, 32 pixels in 1 |"
    assert told in (folder / "README.md").read_text()


def test_a_model_with_an_optimiser_of_its_own_refuses_another(tmp_path):
    for option in ("--optim", "adafactor"), ("--adam_beta2", "0.9"), ("--optim_args", "a=b"):
        with pytest.raises(ValueError, match=f"brings its own optimiser, Nesterov's SGD: leave out {option[0]}"):
            argv = ["cifar10-fast", "--muon", "False", "--per_device_train_batch_size", "64", *option]
            train([*argv, "--output_dir", str(tmp_path / "run")])
    assert not (tmp_path / "run").exists()


def test_the_average_is_exponential_over_steps():
    model, decay = nn.Linear(1, 1, bias=False), 0.6
    average = WeightAverage(model, decay)
    state = type("State", (), {"global_step": 0})()
    values, wanted = [1.0, 3.0, -2.0, 5.0], 1.0
    model.weight.data.fill_(1.0)
    average.on_train_begin(None, state, None)
    for step, value in enumerate(values, 1):
        model.weight.data.fill_(value)
        state.global_step = step
        average.on_step_end(None, state, None)
        rate = min(decay, (1 + step) / (10 + step))
        wanted = rate * wanted + (1 - rate) * value
    with average.applied():
        assert model.weight.item() == pytest.approx(wanted)
    assert model.weight.item() == 5.0


TOY = "--limit 64 --max_steps 6 --eval_strategy steps --save_strategy steps --eval_steps 3 --save_steps 3"
TOY += " --report_to none --per_device_train_batch_size 16 --model.widths 4,6,8 --use_cpu True"
TOY += " --metric_for_best_model loss --cutout 4 --cutmix 0.5"


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_batches_are_mixed_or_have_grey_squares(cifar10, tmp_path, monkeypatch, share):
    seen, forward, grey = [], FastCNN.forward, torch.tensor([125, 122, 113], dtype=torch.uint8)[:, None, None]

    def spy(self, images, labels=None):
        if self.training:
            shares = labels if share else nn.functional.one_hot(labels, 10)
            torch.testing.assert_close(shares.sum(-1), torch.ones(len(images)).to(shares))
            squares = (images == grey).all(1).sum((1, 2)).min() >= 16
            seen.append((bool(squares), bool((shares.amax(-1) < 1).any())))
        return forward(self, images, labels)

    monkeypatch.setattr(FastCNN, "forward", spy)
    options = f"{TOY} --image_sizes 32 --max_steps 40 --eval_steps 40 --save_steps 40 --cutmix {share}"
    options += "" if share < 1 else " --cutout 0"
    train(["cifar10-fast", *options.split(), "--output_dir", str(tmp_path / "run")])
    assert len(seen) == 40 and all(squares != mixed for squares, mixed in seen)
    assert share - 0.25 <= sum(mixed for _, mixed in seen) / 40 <= share + 0.25


def test_averaged_weights_are_kept_and_a_resumed_run_ends_in_them_bit_for_bit(cifar10, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for folder in whole, broken:
        train(["cifar10-fast", *TOY.split(), "--ema", "0.9", "--output_dir", str(folder)])
    averaged, raw = (load_file(whole / "checkpoint-6" / name) for name in ("model.safetensors", RAW))
    assert averaged.keys() == raw.keys()
    assert not torch.equal(averaged["head.2.weight"], raw["head.2.weight"])
    for path in sorted((broken / "checkpoint-6").iterdir()):
        path.unlink()
    (broken / "checkpoint-6").rmdir()
    (broken / "model.safetensors").unlink()
    train(["cifar10-fast", *TOY.split(), "--ema", "0.9", "--output_dir", str(broken), "--resume"])
    for name in ("checkpoint-6/model.safetensors", f"checkpoint-6/{RAW}", "model.safetensors"):
        assert (whole / name).read_bytes() == (broken / name).read_bytes(), name
    (broken / "checkpoint-6" / RAW).write_bytes(b"cut short")
    train(["cifar10-fast", *TOY.split(), "--ema", "0.9", "--output_dir", str(broken), "--resume"])  # from step 3
    assert (whole / "model.safetensors").read_bytes() == (broken / "model.safetensors").read_bytes()
    assert load(broken).config.widths == (4, 6, 8)
    recorded = json.loads((whole / "recipe.json").read_text())
    assert (recorded["ema"], recorded["model"]["widths"]) == (0.9, [4, 6, 8])
    assert recorded["shift"] == find("cifar10-fast").task.shift > 0
    assert (recorded["cutout"], recorded["cutmix"]) == (4, 0.5)
    assert "CutMix in 50 % of the batches, a grey square of 4 pixels" in (whole / "README.md").read_text()


def test_nesterov_s_momentum_is_for_models_with_groups_of_their_own(cifar10, tmp_path):
    for name, optimiser in ("cifar10-fast", True), ("cnn5x32-cifar10-study", False):
        options = TOY.replace("--model.widths 4,6,8", "--muon False" if optimiser else "--model.filters 2")
        train([name, *options.split(), "--output_dir", str(tmp_path / name)])
        state = torch.load(tmp_path / name / "checkpoint-6" / "optimizer.pt", weights_only=True)
        assert all(group.get("nesterov", False) == optimiser for group in state["param_groups"])
        assert len(state["param_groups"]) == 2
