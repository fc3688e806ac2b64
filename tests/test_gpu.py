"""What only a GPU can show: `pytest -m gpu` on a machine with one; elsewhere these are reported as skipped."""

import json

import pytest
import torch
from asking import random_images, random_text
from conftest import AUTOREGRESSIVE, TEXT_MODELS, build, enliven, random_batch

from hub_models import TextModel, load
from hub_models.layers import cross_entropy
from training import train as module
from training.data import ImageData

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]
TOY = ["--max_steps", "4", "--per_device_train_batch_size", "16", "--report_to", "none", "--logging_steps", "1"]
TOY += ["--eval_strategy", "steps", "--save_strategy", "steps", "--eval_steps", "2", "--save_steps", "2"]


def test_a_checkpoint_of_the_cpu_runs_on_the_gpu_and_comes_back_equal(model, tmp_path):
    model.eval().save_pretrained(tmp_path / "cpu")
    there = load(tmp_path / "cpu", map_location="cuda")
    assert there.device.type == "cuda"
    batch = random_batch(model)
    with torch.no_grad(), there.exact():
        wanted = model(**batch)
        found = there(**{name: value.cuda() for name, value in batch.items()})
    if isinstance(model, TextModel):
        states = [{f"state {i}": torch.cat(part) for i, part in enumerate(out.pop("state"))} for out in (wanted, found)]
        wanted, found = wanted | states[0], found | states[1]
    for key, value in wanted.items():
        assert torch.allclose(found[key].cpu(), value, rtol=1e-4, atol=1e-5), key
    there.save_pretrained(tmp_path / "gpu")
    assert {path.name for path in (tmp_path / "gpu").iterdir()} >= {"model.safetensors", "config.json"}
    for path in (tmp_path / "cpu").iterdir():
        assert (tmp_path / "gpu" / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("name", TEXT_MODELS)
def test_the_gpu_writes_and_scores_texts_as_the_cpu_does(name, cell):
    """In float64, where rounding flips no draw."""
    told, scores = [], []
    for device in "cpu", "cuda":
        model = enliven(build(name, cell=cell)).eval().to(device)
        text, noise = random_text(model), torch.Generator().manual_seed(0)
        written = "".join(model.generate(text, max_tokens=30, temperature=0.8, top_p=0.9, generator=noise))
        likely = [added for added, _ in model.next_tokens(text, 3)]
        told.append((written, likely))
        scores.append(model.token_log_prob(text)[1].tolist())
        loss = model.train()(**random_batch(model))["loss"]  # weight_drop and all: the layers' own kernels take it
        loss.backward()
        assert all(parameter.grad.isfinite().all() for parameter in model.parameters())
    assert told[0] == told[1] and scores[0] == pytest.approx(scores[1])


@pytest.mark.parametrize("name", AUTOREGRESSIVE)
def test_the_gpu_draws_and_completes_what_the_cpu_does(name):
    """In float64, where rounding flips no draw."""
    models = [build(name).double().eval(), build(name).double().eval().cuda()]
    images = random_images(models[0], 2)
    known = torch.rand(1, 1, *models[0].shape[1:]) < 0.5
    drawn = []
    for model in models:
        noise = torch.Generator().manual_seed(0)
        sampled = model.sample(3, generator=noise)
        completed = model.complete(images.to(model.device), known.to(model.device), 2, generator=noise)
        drawn.append([sampled.cpu(), completed.cpu(), model.log_prob(images).cpu()])
    for cpu, gpu in zip(*drawn, strict=True):
        assert torch.allclose(cpu.double(), gpu.double())


@pytest.mark.parametrize("recipe", ["gru128-mnist-predict", "gru128-mnist-classify"])
def test_training_in_bf16_tells_the_gpu_and_its_memory(recipe, tmp_path, monkeypatch):
    def images(name: str, split: str, file: str | None = None) -> ImageData:
        noise = torch.Generator().manual_seed(0)
        shape = (64, 1, 28, 28)
        pixels = torch.randint(256, shape, dtype=torch.uint8, generator=noise)
        return ImageData(pixels, torch.arange(64) % 10, "0" * 40)

    autocast = {True: set(), False: set()}
    original = torch.nn.GRU.forward

    def spy(self, *args, **kwargs):
        autocast[self.training].add(torch.is_autocast_enabled("cuda") and torch.get_autocast_dtype("cuda"))
        return original(self, *args, **kwargs)

    monkeypatch.setattr(module, "load_split", images)
    monkeypatch.setattr(torch.nn.GRU, "forward", spy)
    folder = module.train(
        [recipe, *TOY, "--bf16", "True", "--float32_from", "1", "--output_dir", str(tmp_path / "run")]
    )
    assert autocast == {True: {torch.bfloat16}, False: {False}}
    results = json.loads((folder / "train_results.json").read_text())
    assert 0 < results["peak_memory_mib"] < 4096
    gpu = torch.cuda.get_device_name()
    assert json.loads((folder / "recipe.json").read_text())["machine"]["hardware"] == gpu
    assert f"| hardware | {gpu} |" in (folder / "README.md").read_text()
    assert load(folder).device.type == "cpu"


@pytest.mark.parametrize("name", ["pixel_cnn", "gated_pixel_cnn"])
def test_compiled_layers_give_the_same_loss_and_gradients(name):
    model = enliven(build(name)).cuda().train()
    batch = {key: value.cuda() for key, value in random_batch(model).items()}
    found = []
    for compiled in False, True:
        for layer in model.layers if compiled else ():
            layer.compile()
        loss = model(**batch)["loss"]
        found.append([loss, *torch.autograd.grad(loss, [*model.parameters()])])
    for plain, compiled in zip(*found, strict=True):
        assert torch.allclose(plain, compiled, rtol=1e-3, atol=1e-5)


def test_the_loss_in_one_part_is_that_in_many(monkeypatch):
    logits, targets = torch.randn(1000, 256, device="cuda"), torch.randint(256, (1000,), device="cuda")
    found = []
    for part in cross_entropy.GPU_PART, 256 * 7:
        monkeypatch.setattr(cross_entropy, "GPU_PART", part)
        taken = logits.clone().requires_grad_()
        loss = cross_entropy.CrossEntropy.apply(taken, targets)
        loss.backward()
        found.append((loss, taken.grad))
    for one, many in zip(*found, strict=True):
        assert torch.allclose(one, many)


@pytest.mark.parametrize("way", ["fp32_precision", "allow_tf32"])
@pytest.mark.parametrize("name", AUTOREGRESSIVE)
def test_likelihoods_are_float32s_whoever_has_allowed_tf32(name, way, monkeypatch):
    model = enliven(build(name)).float().eval()
    images = random_images(model, 4)
    wanted = model.log_prob(images)  # float64's to 3e-7 of it; weights rounded as TF32 has them are 6e-5 off, and more
    if way == "fp32_precision":
        monkeypatch.setattr(torch.backends, "fp32_precision", "tf32")  # as Trainer does with --torch_compile
    else:
        monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", True)  # as most scripts do
    assert torch.allclose(model.cuda().log_prob(images).cpu(), wanted, rtol=1e-5)
