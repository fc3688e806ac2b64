"""What a GPU gains, and what our ways gain on it, measured in one run: `python -m evaluation.speed_gpu`.

As in `evaluation.speed` two ways are timed in turn, and a ratio is that of their medians; here it is of images a
second, since the fast way takes more of them at a time. The results go to `evaluation/speed_gpu.json`.
"""

import argparse
import copy
import json
import math
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from tqdm import tqdm

from evaluation.reference import plain_loss, plain_sampling
from evaluation.speed import ratio, step
from hub_models import DiagonalBiLSTM, GatedPixelCNN, PixelCNN, RowLSTM
from hub_models.base import write_json
from hub_models.masked_image import MaskedImageModel
from training.machine import hardware

RESULTS = Path(__file__).with_name("speed_gpu.json")
LARGE, USUAL = 128, 16  # images in a batch
SIZE = {"channels": 3, "height": 32, "width": 32, "levels": 256, "layers": 4, "hidden": 128, "head": 256}


def rates(fast: Callable[[], None], slow: Callable[[], None], rounds: int, many: float, few: float) -> dict[str, float]:
    """`ratio` of two calls that do many images and few: images a second of both, and how many times the latter's."""
    found = ratio(fast, slow, rounds)
    ours, plain = many / found["seconds"], few / found["plain_seconds"]
    return {"images_per_second": ours, "plain_images_per_second": plain, "ratio": ours / plain}


def random_images(model: MaskedImageModel, count: int) -> torch.Tensor:
    """uint8 (count, C, H, W), where the model is."""
    return torch.randint(0, 256, (count, *model.shape), dtype=torch.uint8, device=model.device)


def training(model: MaskedImageModel, rounds: int, compiled: bool) -> dict[str, float]:
    """Forward and backward passes: bf16, large batches, layers compiled if asked for, against the usual way.

    The usual: float32 without TF32, channels first, whole kernels, batches of 16, autograd through an LSTM's loop.
    """
    many, few = random_images(model, LARGE), random_images(model, USUAL)
    ours = copy.deepcopy(model)
    for layer in ours.layers if compiled else ():
        layer.compile()

    def usual() -> None:
        with model.exact():
            plain_loss(model, few).backward()
        model.zero_grad()

    return rates(lambda: step(ours, many, True), usual, rounds, LARGE, USUAL)


def compiling(model: MaskedImageModel, rounds: int) -> dict[str, float]:
    """Forward and backward passes in bf16 over large batches: layers compiled against layers as they are."""
    many, ours = random_images(model, LARGE), copy.deepcopy(model)
    for layer in ours.layers:
        layer.compile()
    return rates(lambda: step(ours, many, True), lambda: step(model, many, True), rounds, LARGE, LARGE)


def sampling(model: MaskedImageModel, rounds: int, steps: int = 12) -> dict[str, float]:
    """Cached sampling of an image against the usual way, which is timed for so many of its sub-pixels."""
    known = torch.ones(1, 1, *model.shape[1:], dtype=torch.bool)
    known.view(-1)[: steps // model.shape[0]] = False
    blank = torch.zeros(1, *model.shape, dtype=torch.uint8)

    def plain() -> None:
        with plain_sampling(model):
            model.complete(blank, known)

    return rates(lambda: model.sample(1), plain, rounds, 1, steps / math.prod(model.shape))


def together(model: MaskedImageModel, count: int, rounds: int) -> dict[str, float]:
    """Cached sampling of many images at once against one at a time."""
    return rates(lambda: model.sample(count), lambda: model.sample(1), rounds, count, 1)


def pairs() -> dict[str, Callable[[int], dict]]:
    """What is measured: its name, and the measurement, given the number of rounds."""
    found = {}
    for kind in PixelCNN, GatedPixelCNN, RowLSTM, DiagonalBiLSTM:
        name, deep = f"{kind.__name__}, 4 layers, h = 128", kind in (PixelCNN, GatedPixelCNN)

        def make(kind=kind) -> MaskedImageModel:
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
    """Measure every pair, print a line each, and write the file after each."""
    parser = argparse.ArgumentParser("python -m evaluation.speed_gpu", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="of each pair, after one that does not count")
    parser.add_argument("--only", default="", help="the pairs whose name holds this; the others' results are kept")
    args = parser.parse_args()
    if args.rounds < 1:
        parser.error(f"--rounds is {args.rounds}: give at least 1")
    if not torch.cuda.is_available():
        parser.error("there is no CUDA device: run it on a machine with one")
    known = pairs()
    chosen = {name: measure for name, measure in known.items() if args.only in name}
    if not chosen:
        parser.error(f"--only is {args.only!r}: no pair's name holds that; they are {'; '.join(known)}")
    ran = {"hardware": hardware(torch.device("cuda")), "torch": torch.__version__, "rounds": args.rounds}
    ran["command"] = shlex.join(["python", "-m", "evaluation.speed_gpu", *sys.argv[1:]])
    found = {row["pair"]: row for row in json.loads(RESULTS.read_text())} if RESULTS.exists() else {}
    for name, measure in tqdm(chosen.items(), "speed", unit="pair"):
        found[name] = {"pair": name} | measure(args.rounds) | ran
        tqdm.write(f"{name}: {found[name]['ratio']:.1f} times ({found[name]['images_per_second']:,.1f} images/s)")
        write_json(RESULTS, [found[name] for name in known if name in found])


if __name__ == "__main__":
    main()
