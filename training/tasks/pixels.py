"""Images to the probability of each of their sub-pixels, given those before it."""

from dataclasses import dataclass
from pathlib import Path

from hub_models import AutoregressiveImageModel, HubModel
from hub_models.run_folder import SAMPLES, STAGES
from training.data import ImageData
from training.figures.pictures import draw_generated, draw_stage, draw_stages
from training.tasks.images import ImageTask


@dataclass(frozen=True)
class Pixels(ImageTask):
    """Images to the probability of each of their sub-pixels; the loss is in nats per sub-pixel."""

    models = (AutoregressiveImageModel,)
    evaluations = ("bits_per_dim", "generation", "inpainting")
    stage_suffix = ".png"
    unit, bits = "nats per sub-pixel", "bits per dimension"

    def watch(self, model: HubModel, file: Path) -> None:
        draw_stage(model, file)

    def samples(self, model: HubModel, data: ImageData, folder: Path) -> dict:
        return {"samples": draw_generated(model, data, folder / SAMPLES)}

    def stages(self, model: HubModel, stages: list[tuple[str, Path]], folder: Path) -> dict:
        return {"stages": draw_stages(model, stages, folder / STAGES) if stages else ""}
