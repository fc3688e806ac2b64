"""Ratios of ours to the plain way, measured in one run: `python -m evaluation.speed`.

Each pair is timed in turn, several rounds, and its ratio is that of the medians: this machine's noise hits both alike.
The results go to `evaluation/speed.json`, from which the README's table is made.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from tqdm import tqdm

from evaluation.reference import plain_sampling
from hub_models import PixelPredictor, PixelPredictorConfig
from hub_models.base import write_json
from training.machine import hardware

RESULTS = Path(__file__).with_name("speed.json")


def ratio(fast: Callable[[], None], slow: Callable[[], None], rounds: int) -> dict[str, float]:
    """Median seconds of both, timed in turn after a first call of each, and slow / fast."""
    times = {fast: [], slow: []}
    for step in range(rounds + 1):
        for call, record in times.items():
            begun = time.perf_counter()
            call()
            if step:
                record.append(time.perf_counter() - begun)
    medians = [statistics.median(record) for record in times.values()]
    return {"seconds": medians[0], "plain_seconds": medians[1], "ratio": medians[1] / medians[0]}


def sampling(model: PixelPredictor, count: int, rounds: int) -> dict[str, float]:
    """Cached sampling of `count` images against re-evaluation of the whole image for every pixel."""

    def plain() -> None:
        with plain_sampling(model):
            model.sample(count)

    return ratio(lambda: model.sample(count), plain, rounds)


def training(model: PixelPredictor, count: int, rounds: int) -> dict[str, float]:
    """A forward and backward pass over `count` images in bf16 against float32."""
    images = torch.randint(0, 256, (count, *model.shape), dtype=torch.uint8)

    def step(bf16: bool) -> None:
        with torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
            loss = model(images)["loss"]
        loss.backward()
        model.zero_grad()

    return ratio(lambda: step(True), lambda: step(False), rounds)


def main() -> None:
    """Measure every pair, print a line each and JSON last, and write the file."""
    parser = argparse.ArgumentParser("python -m evaluation.speed", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="of each pair, after one that does not count")
    args = parser.parse_args()
    if args.rounds < 1:
        parser.error(f"--rounds is {args.rounds}: give at least 1")
    torch.manual_seed(0)
    model = PixelPredictor(PixelPredictorConfig(hidden_size=128, timescale=56)).eval()
    pairs = {
        "PixelPredictor, GRU 128: sampling 1 image, cached / plain": lambda r: sampling(model, 1, r),
        "PixelPredictor, GRU 128: sampling 16 images, cached / plain": lambda r: sampling(model, 16, r),
        "PixelPredictor, GRU 128: training, batch 128, bf16 / float32": lambda r: training(model, 128, r),
    }
    ran = {"hardware": hardware(model.device), "torch": torch.__version__, "rounds": args.rounds}
    ran["command"] = f"python -m evaluation.speed --rounds {args.rounds}"
    results = []
    for name, measure in tqdm(pairs.items(), "speed", unit="pair"):
        results.append({"pair": name} | measure(args.rounds) | ran)
        tqdm.write(f"{name}: {results[-1]['ratio']:.1f} times ({results[-1]['seconds']:.3f} s)")
    write_json(RESULTS, results)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
