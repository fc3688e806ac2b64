"""What a GPU gains, and what our ways gain on it, measured in one run: `python -m evaluation.speed_gpu`.

As in `evaluation.speed` two ways are timed in turn, and a ratio is that of their medians; here it is of images a
second, since the fast way takes more of them at a time. The results go to `evaluation/results/speed_gpu.json`.
"""

import copy
import math
from collections.abc import Callable

import torch

from evaluation.benchmarks.reference import plain_loss
from evaluation.benchmarks.timing import asked, measured, plainly, ratio, step
from evaluation.benchmarks.training import classifier_training
from evaluation.results import SPEED_GPU
from hub_models import DiagonalBiLSTM, FastCNN, FastCNNConfig, GatedPixelCNN, PixelCNN, RowLSTM
from hub_models.causal_conv import CausalConvModel
from training.data import ImageData
from training.machine import hardware

LARGE, USUAL = 128, 16  # images in a batch
EPOCH = 51_200  # images that a classifier is trained on
SIZE = {"channels": 3, "height": 32, "width": 32, "levels": 256, "layers": 4, "hidden": 128, "head": 256}


def rates(fast: Callable[[], None], slow: Callable[[], None], rounds: int, many: float, few: float) -> dict[str, float]:
    """`ratio` of two calls that do many images and few: images a second of both, and how many times the latter's."""
    found = ratio(fast, slow, rounds)
    ours, plain = many / found["seconds"], few / found["plain_seconds"]
    return {"images_per_second": ours, "plain_images_per_second": plain, "ratio": ours / plain}


def random_images(model: CausalConvModel, count: int) -> torch.Tensor:
    """uint8 (count, C, H, W), where the model is."""
    return torch.randint(0, 256, (count, *model.shape), dtype=torch.uint8, device=model.device)


def compiled(model: CausalConvModel) -> CausalConvModel:
    """A copy whose layers are compiled, as `training.train --torch_compile True` has them."""
    model = copy.deepcopy(model)
    for layer in model.layers:
        layer.compile()
    return model


def training(model: CausalConvModel, rounds: int, deep: bool) -> dict[str, float]:
    """Forward and backward passes: bf16, large batches, layers compiled if `deep`, against the usual way.

    That is float32 without TF32, channels first, whole kernels, batches of 16, autograd through an LSTM's loop.
    """
    many, few, ours = random_images(model, LARGE), random_images(model, USUAL), compiled(model) if deep else model

    def usual() -> None:
        with model.exact():
            plain_loss(model, few).backward()
        model.zero_grad()

    return rates(lambda: step(ours, many, True), usual, rounds, LARGE, USUAL)


def compiling(model: CausalConvModel, rounds: int) -> dict[str, float]:
    """Forward and backward passes in bf16 over large batches: layers compiled against layers as they are."""
    many, ours = random_images(model, LARGE), compiled(model)
    return rates(lambda: step(ours, many, True), lambda: step(model, many, True), rounds, LARGE, LARGE)


def sampling(model: CausalConvModel, rounds: int, steps: int = 12) -> dict[str, float]:
    """Cached sampling of an image against the usual way, which is timed for so many of its sub-pixels."""
    plain = plainly(model, 1, steps)
    return rates(lambda: model.sample(1), plain, rounds, 1, steps / math.prod(model.shape))


def together(model: CausalConvModel, count: int, rounds: int) -> dict[str, float]:
    """Cached sampling of many images at once against one at a time."""
    return rates(lambda: model.sample(count), lambda: model.sample(1), rounds, count, 1)


def end_to_end(rounds: int) -> dict[str, float]:
    """An epoch of a classifier by `training.train`'s trainer, images prepared on the GPU, against the usual loop."""
    images = torch.randint(256, (EPOCH, 3, 32, 32), dtype=torch.uint8)
    data = ImageData(images, torch.randint(10, (EPOCH,)))
    found = classifier_training(FastCNN(FastCNNConfig()), data, 2, 1024, rounds)
    ours, plain = (EPOCH / found[key] for key in ("seconds", "plain_seconds"))
    return {"images_per_second": ours, "plain_images_per_second": plain, "ratio": ours / plain}


def pairs() -> dict[str, Callable[[int], dict]]:
    """What is measured: its name, and the measurement, given the number of rounds."""
    found = {"FastCNN: training, end to end, batch 1,024, bf16 / float32, images prepared one by one": end_to_end}
    for kind in PixelCNN, GatedPixelCNN, RowLSTM, DiagonalBiLSTM:
        name, deep = f"{kind.__name__}, 4 layers, h = 128", kind in (PixelCNN, GatedPixelCNN)

        def make(kind=kind) -> CausalConvModel:
            torch.manual_seed(0)
            return kind(kind.config_class(**SIZE)).cuda()

        told = "bf16, batch 128, compiled" if deep else "bf16, batch 128"
        found[f"{name}: training, {told} / float32, batch 16, the usual way"] = lambda r, make=make, deep=deep: (
            training(make(), r, deep)
        )
        if deep:
            found[f"{name}: training, bf16, batch 128, compiled / not compiled"] = lambda r, make=make: compiling(
                make(), r
            )
        found[f"{name}: sampling 1 image, cached / plain"] = lambda r, make=make: sampling(make().eval(), r)
        found[f"{name}: cached sampling, 256 images at once / one"] = lambda r, make=make: together(
            make().eval(), 256, r
        )
    return found


def main() -> None:
    """Measure every pair, print a line each and JSON last, and write the file after each."""
    there = torch.cuda.is_available()
    card = hardware(torch.device("cuda")) if there else ""
    refused = "" if there else "there is no CUDA device: run it on a machine with one"
    known, chosen, ran = asked("speed_gpu", __doc__, pairs, card, refused)
    measured(SPEED_GPU, known, chosen, ran, lambda row: f"{row['images_per_second']:,.1f} images/s")


if __name__ == "__main__":
    main()
