"""A family that nobody has written down: a toy VAE, registered at run time, goes all the way to a dry publish.

It is none of today's kinds. This fails as soon as code asks for a closed list of kinds, or for "text, else image".
"""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

from evaluation.metrics.scores import mean_interval
from evaluation.runner import advice, run
from hub_models import MODELS, load
from hub_models.config import ImageShape, ModelConfig
from hub_models.files import write_bytes
from hub_models.image_model import ImageGenerator
from hub_models.images import to_sheet
from hub_models.run_folder import SAMPLES
from training.figures.compare import draw_runs
from training.figures.dashboard import picture_bytes
from training.options import option
from training.publish import publish
from training.recipe import Recipe
from training.recipes import RECIPES
from training.tasks import ImageTask, task_of
from training.train import train


@dataclass
class ToyVAEConfig(ImageShape, ModelConfig):
    model_type: str = "toy_vae"
    height: int = 28
    width: int = 28
    latent: int = 2

    channels = 1

    def __post_init__(self):
        super().__post_init__()
        self.check_int("latent", 1, 64)


class ToyVAE(ImageGenerator, tags=["vae"]):
    """A linear VAE of binary pixels."""

    config_class = ToyVAEConfig
    title, about, limits = "toy VAE", "It shows that a family needs no other code.", "It is a toy."
    citation = "@misc{toy}"
    usage = "images = model.sample(2)"
    activation_size = 784

    def __init__(self, config: ToyVAEConfig):
        super().__init__(config)
        size = config.height * config.width
        self.encoder, self.decoder = nn.Linear(size, 2 * config.latent), nn.Linear(config.latent, size)

    def forward(self, images: torch.Tensor, return_loss: bool = True) -> dict:
        """uint8 (B, 1, H, W) -> `loss`, the negative ELBO in nats per image, and its term `kl`."""
        pixels = (images.flatten(1) > 127).to(self.decoder.weight)
        mean, log_std = self.encoder(pixels).chunk(2, -1)
        code = mean + log_std.exp() * torch.randn_like(mean) * self.training
        cost = nn.functional.binary_cross_entropy_with_logits(self.decoder(code), pixels, reduction="none").sum(-1)
        kl = (0.5 * (mean**2 + (2 * log_std).exp() - 1) - log_std).sum(-1)
        return {"loss": (cost + kl).mean(), "kl": kl}

    def _sample(self, n, label, temperature, generator, progress) -> torch.Tensor:
        code = temperature * torch.randn(n, self.config.latent, generator=generator)
        return ((self.decoder(code).sigmoid() * 255).to(torch.uint8)).view(n, *self.shape)


@dataclass(frozen=True)
class Variational(ImageTask):
    """Images to codes and back."""

    models = (ToyVAE,)
    evaluations = ("elbo",)
    metrics = ("loss", "kl")
    unit = "nats per image"
    stage_suffix = ".png"
    warm_up: float = option(0.0, "share of the run in which the KL term grows", low=0, high=1, row="KL", card="{:.0%}")

    def score(self, inputs: dict, outputs: dict) -> dict:
        return {"kl": (outputs["kl"].sum(), len(outputs["kl"]))}

    def watch(self, model: ToyVAE, file: Path) -> None:
        write_bytes(file, picture_bytes(to_sheet(model.sample(4), 4), ".png"))

    def samples(self, model: ToyVAE, data, folder: Path) -> dict:
        write_bytes(folder / SAMPLES, picture_bytes(to_sheet(model.sample(8), 4)))
        return {"samples": "Eight draws."}

    def stages(self, model: ToyVAE, stages: list[tuple[str, Path]], folder: Path) -> dict:
        return {"stages": ", ".join(name for name, _ in stages)}


def measure(model, data, args) -> list[dict]:
    """The negative ELBO of each image, a metric that this test registers."""
    losses = torch.stack([model(image[None])["loss"].detach() for image in data.images])
    value, low, high = mean_interval(losses)
    return [{"metric": "elbo", "unit": "nats per image", "n": len(data), "value": value, "interval": [low, high]}]


@pytest.fixture
def toy(monkeypatch) -> str:
    """The name of the toy's recipe, registered for one test."""
    monkeypatch.setitem(MODELS, "toy_vae", ToyVAE)
    steps = {"eval_strategy": "steps", "save_strategy": "steps", "eval_steps": 2, "save_steps": 2, "logging_steps": 1}
    recipe = Recipe(
        about="A toy.",
        model=ToyVAEConfig(),
        data="mnist",
        training=steps | {"metric_for_best_model": "kl", "greater_is_better": False, "max_steps": 4},
        task=Variational(flip=True),
        store_fp16=True,
    )
    monkeypatch.setitem(RECIPES, "toy-vae-mnist", recipe)
    return "toy-vae-mnist"


def test_a_family_of_ones_own_goes_from_training_to_a_dry_publish(toy, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    folder = Path("runs", toy)
    argv = [toy, "--limit", "24", "--use_cpu", "True", "--report_to", "none", "--disable_tqdm", "True"]
    assert train([*argv, "--warm_up", "0.5"]) == folder
    recipe, trained = (json.loads((folder / f"{name}.json").read_text()) for name in ("recipe", "train_results"))
    assert recipe["warm_up"] == 0.5 and recipe["flip"] is True and recipe["settings"]["KL"] == "50%"
    assert "eval_kl" in trained["best_validation"] and trained["stages"].startswith("untrained, after epoch")
    header = (folder / "history.csv").read_text().splitlines()[0]
    assert header.startswith("epoch,step,train_loss,validation_loss,train_kl,validation_kl,learning_rate")
    assert train([*argv, "--warm_up", "0.5", "--resume"]) == folder
    with pytest.raises(ValueError, match="--warm_up is 2.0: give a number from 0 to 1"):
        train([*argv, "--warm_up", "2"])
    with pytest.raises(ValueError, match="there is no option '--cutmix'"):
        train([*argv, "--cutmix", "1"])

    model = load(folder)
    assert isinstance(model, ToyVAE) and model.sample(3).shape == (3, 1, 28, 28)
    assert advice(model) == "measure it with evaluation.elbo"
    measure.__module__ = __name__
    (found,) = run(measure, __doc__, [str(folder), "--split", "validation", "--limit", "5"])
    card = (folder / "README.md").read_text()
    assert found["metric"] == "elbo" and "| elbo | " in card and "| KL | 50% |" in card
    assert "![samples](samples.webp)" in card and "Eight draws." in card and "| toy_vae |" in card

    draw_runs({toy: folder}, Variational.metrics, Variational.unit, tmp_path / "runs.webp")
    with Image.open(tmp_path / "runs.webp") as picture:
        assert picture.width > picture.height
    capsys.readouterr()
    publish(str(folder), "ns", dry_run=True)
    shown = capsys.readouterr().out
    assert shown.startswith(f"would publish model ns/{toy}:") and "samples.webp" in shown and "checkpoint" not in shown
    assert task_of(model) is Variational
