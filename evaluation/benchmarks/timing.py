"""What the commands that time things share: two ways in turn, the machine's own rates, the command line."""

import argparse
import functools
import json
import shlex
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from tqdm import tqdm

from evaluation.benchmarks.reference import plain_sampling
from hub_models import AutoregressiveImageModel
from hub_models.causal_conv import CausalConvModel
from hub_models.environment import prepare_console
from hub_models.files import read_json, write_json


def ratio(fast: Callable[[], None], slow: Callable[[], None], rounds: int) -> dict[str, float]:
    """Median seconds of both, timed in turn after a first call of each, and slow / fast."""
    times = {fast: [], slow: []}
    for step in range(rounds + 1):
        for call, record in times.items():
            begun = time.perf_counter()
            call()
            if torch.accelerator.is_available():  # which works on while the call is over
                torch.accelerator.synchronize()
            if step:
                record.append(time.perf_counter() - begun)
    medians = [statistics.median(record) for record in times.values()]
    return {"seconds": medians[0], "plain_seconds": medians[1], "ratio": medians[1] / medians[0]}


def step(model: AutoregressiveImageModel, images: torch.Tensor, bf16: bool) -> None:
    """A forward and backward pass."""
    with torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
        loss = model(images)["loss"]
    loss.backward()
    model.zero_grad()


def plainly(model: CausalConvModel, count: int, steps: int) -> Callable[[], None]:
    """The usual way of sampling, of so many sub-pixels of each image: all of them would take too long."""
    known = torch.ones(1, 1, *model.shape[1:], dtype=torch.bool)
    known.view(-1)[: steps // model.shape[0]] = False
    blank = torch.zeros(count, *model.shape, dtype=torch.uint8)

    def complete() -> None:
        with plain_sampling(model):
            model.complete(blank, known)

    return complete


@functools.cache
def bandwidth() -> float:
    """How many float32 weights a second this machine reads at best, of a matrix of 16 MiB that multiplies a vector."""
    matrix, vector = torch.randn(4096, 1024), torch.randn(1024)
    times = []
    for _ in range(300):
        begun = time.perf_counter()
        matrix @ vector
        times.append(time.perf_counter() - begun)
    return matrix.numel() / min(times)


@functools.cache
def fastest_products(bf16: bool) -> float:
    """Multiplications a second in products of matrices of side 2,048, at best."""
    matrix = torch.randn(2048, 2048, dtype=torch.bfloat16 if bf16 else torch.float32)
    times = []
    for _ in range(12):
        begun = time.perf_counter()
        matrix @ matrix
        times.append(time.perf_counter() - begun)
    return 2048**3 / min(times)


def asked(module: str, about: str, pairs: Callable[[], dict], hardware: str, refused: str = "") -> tuple[dict, ...]:
    """What a command line asks for: all pairs, those to be measured, and what their results tell of the run.

    `refused`: why nothing can be measured here.
    """
    prepare_console()
    parser = argparse.ArgumentParser(f"python -m evaluation.{module}", description=about.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="of each pair, after one that does not count")
    parser.add_argument("--only", default="", help="the pairs whose name holds this; the others' results are kept")
    args = parser.parse_args()
    if args.rounds < 1:
        parser.error(f"--rounds is {args.rounds}: give at least 1")
    if refused:
        parser.error(refused)
    known = pairs()
    chosen = {name: measure for name, measure in known.items() if args.only in name}
    if not chosen:
        parser.error(f"--only is {args.only!r}: no pair's name holds that; they are {'; '.join(known)}")
    ran = {"hardware": hardware, "torch": torch.__version__, "rounds": args.rounds}
    return known, chosen, ran | {"command": shlex.join(["python", "-m", f"evaluation.{module}", *sys.argv[1:]])}


def measured(path: Path, known: dict, chosen: dict, ran: dict, told: Callable[[dict], str]) -> None:
    """Measure the chosen pairs, print a line each and JSON last, and write the file after each; it keeps the others.

    `told` says of a row what its line has besides the ratio.
    """
    found = {row["pair"]: row for row in read_json(path)} if path.exists() else {}
    for name, measure in tqdm(chosen.items(), "speed", unit="pair"):
        found[name] = {"pair": name} | measure(ran["rounds"]) | ran
        tqdm.write(f"{name}: {found[name]['ratio']:.1f} times ({told(found[name])})")
        write_json(path, [found[name] for name in known if name in found])
    print(json.dumps([found[name] for name in chosen]))
