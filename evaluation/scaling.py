"""What training costs as depth, width and image size grow: `python -m evaluation.scaling`.

Seconds of a forward and backward pass an image (bf16 where the machine has it) and the memory that is kept for the
backward pass, with and without activation checkpointing, of each kind of masked image model. One of depth, width and
side grows, the others stay. The figures go to `evaluation/results/scaling.json`, their plot to `docs/scaling.png`.
"""

import argparse
import json
import os
import statistics
import time
from pathlib import Path

import torch
from matplotlib import pyplot as plt
from tqdm import tqdm

from evaluation.benchmarks.timing import step
from evaluation.results import SCALING
from hub_models import MODELS
from hub_models.causal_conv import CausalConvModel
from hub_models.environment import prepare_console
from hub_models.files import write_bytes, write_json
from training.figures.dashboard import figure_bytes
from training.machine import hardware, has_bf16

RESULTS, PICTURE = SCALING, Path(__file__).parents[1] / "docs" / "scaling.png"
BASE = {"layers": 4, "hidden": 64, "side": 32}
GROWN = {"layers": (2, 4, 8, 16), "hidden": (32, 64, 128, 256), "side": (16, 32, 48, 64)}
NAMES = {"layers": "layers", "hidden": "h", "side": "pixels a side"}
IMAGES = 4


def kept_bytes(model: CausalConvModel, images: torch.Tensor) -> int:
    """Bytes of all that autograd keeps of a forward pass for the backward pass, weights and masks among it."""
    kept: dict[int, int] = {}

    def pack(x: torch.Tensor) -> torch.Tensor:
        kept[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    hooks = torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x)
    with hooks, torch.autocast(model.device.type, torch.bfloat16, enabled=has_bf16()):
        loss = model(images)["loss"]
    total = sum(kept.values())
    del loss  # all is held until it has been counted: no storage is counted twice
    return total


def cost(kind: type[CausalConvModel], layers: int, hidden: int, side: int, rounds: int) -> dict:
    """Median seconds an image, and MiB kept of each, without and with activation checkpointing."""
    sizes = {"channels": 3, "height": side, "width": side, "levels": 256}
    model = kind(kind.config_class(layers=layers, hidden=hidden, head=hidden, **sizes)).train()
    images = torch.randint(256, (IMAGES, *model.shape), dtype=torch.uint8)

    def seconds() -> float:
        times = []
        for _ in range(rounds + 1):
            begun = time.perf_counter()
            step(model, images, has_bf16())
            times.append(time.perf_counter() - begun)
        return statistics.median(times[1:]) / IMAGES

    def mib() -> float:  # of an image more: without the weights
        half = IMAGES // 2
        return (kept_bytes(model, images) - kept_bytes(model, images[:half])) / (IMAGES - half) / 2**20

    found = {"seconds": seconds(), "mib": mib()}
    model.activation_checkpointing_enable()
    return found | {"checkpointed_seconds": seconds(), "checkpointed_mib": mib()}


def draw(rows: list[dict], told: str) -> bytes:
    """A PNG: seconds above and memory below, against each of depth, width and side."""
    figure, axes = plt.subplots(2, len(GROWN), figsize=(13, 7), layout="constrained", sharey="row")
    figure.suptitle(told)
    for column, grown in enumerate(GROWN):
        for number, title in enumerate(dict.fromkeys(row["model"] for row in rows)):
            own = [row for row in rows if row["model"] == title and row["grown"] == grown]
            at = [row[grown] for row in own]
            for axis, what in zip(axes[:, column], ("seconds", "mib"), strict=True):
                axis.plot(at, [row[what] for row in own], "o-", color=f"C{number}", label=title)
                axis.plot(at, [row[f"checkpointed_{what}"] for row in own], "x:", color=f"C{number}")
        for axis in axes[:, column]:
            axis.set(xscale="log", yscale="log", xlabel=NAMES[grown])
            axis.set_xticks(GROWN[grown], GROWN[grown])
            axis.minorticks_off()
            axis.grid(alpha=0.3)
    axes[0, 0].set_ylabel("seconds an image, forward and backward\n(dotted: activation checkpointing)")
    axes[1, 0].set_ylabel("MiB an image kept for the backward pass\n(dotted: activation checkpointing)")
    axes[0, 0].legend(fontsize=8)
    return figure_bytes(figure, PICTURE.suffix)


def main() -> None:
    """Measure all, write figures and plot, print a line each."""
    prepare_console()
    parser = argparse.ArgumentParser("python -m evaluation.scaling", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="of each size, after one that does not count")
    args = parser.parse_args()
    if args.rounds < 1:
        parser.error(f"--rounds is {args.rounds}: give at least 1")
    for path in RESULTS, PICTURE:
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            parser.error(f"{path} cannot be written: run this in a clone of your own")
    torch.manual_seed(0)
    kinds = [kind for kind in MODELS.values() if issubclass(kind, CausalConvModel)]
    wanted = [(kind, grown, BASE | {grown: n}) for kind in kinds for grown, sizes in GROWN.items() for n in sizes]
    rows = []
    for kind, grown, sizes in tqdm(wanted, "scaling"):
        rows.append({"model": kind.title, "grown": grown} | sizes | cost(kind, **sizes, rounds=args.rounds))
        tqdm.write(json.dumps(rows[-1]))
    told = f"{hardware(torch.device('cpu'))}, {'bf16' if has_bf16() else 'float32'}, batches of {IMAGES}; else "
    told += ", ".join(f"{NAMES[key]} {n}" for key, n in BASE.items())
    command = f"python -m evaluation.scaling --rounds {args.rounds}"
    write_json(RESULTS, {"told": told, "command": command, "rows": rows})
    write_bytes(PICTURE, draw(rows, told))


if __name__ == "__main__":
    main()
