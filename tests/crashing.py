"""A training run or an evaluation on tiny random pictures that is killed, or runs out of disk, where a test says so.

`python crashing.py JOB` does one job, a JSON object, which `test_crashes.py` describes.
"""

import json
import os
import resource
import signal
import sys
from pathlib import Path

import datasets
import torch

from evaluation import bits_per_dim, runner
from hub_models.images import to_sheet
from training import train
from training.data import ImageData, images
from training.figures.pictures import STAGE
from training.tasks import pixels

CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link"}
SPLITS = {"train": slice(0, 48), "validation": slice(48, 96), "test": slice(96, 144)}
events = 0
DRAWN = ("generated", "stage", "stages")


def load_split(name: str, split: str, file: str | None = None) -> ImageData:
    """Random pictures of 8x8 pixels in place of a data set's."""
    found = torch.randint(256, (144, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return ImageData(found[SPLITS[split]], torch.arange(48) % 10, "0" * 40)


def draw_nothing() -> None:
    """Let a run write blank pictures in place of its own, which take a second each."""
    blank = to_sheet(torch.zeros(STAGE, 1, 8, 8, dtype=torch.uint8), STAGE)  # a stage's size: one run may have both
    for module, name in (train, "draw_dashboard"), *((pixels, f"draw_{what}") for what in DRAWN):
        setattr(module, name, lambda *given: blank.save(given[-1]) or "a caption")


def watch(job: dict) -> None:
    """Do at the k-th change of the file system what a job asks for."""

    def seen() -> None:
        global events
        events += 1
        if events == job.get("at"):
            if "bytes" in job:
                signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python ignores it
                resource.setrlimit(resource.RLIMIT_FSIZE, (job["bytes"], job["bytes"]))
            else:
                os.kill(os.getpid(), job.get("signal", signal.SIGKILL))

    def hook(event: str, given: tuple) -> None:
        writes = os.O_WRONLY | os.O_RDWR | os.O_CREAT
        if event in CHANGES or event == "open" and isinstance(given[2], int) and given[2] & writes:
            seen()

    save = torch.save
    torch.save = lambda *given, **options: (seen(), save(*given, **options))  # its files are opened in C++
    sys.addaudithook(hook)


def main() -> None:
    """Do a job; its last line counts the changes of the file system."""
    job = json.loads(sys.argv[1])
    sys.argv[1:] = job["argv"]
    os.umask(0o022)
    if "uid" in job:
        os.setuid(job["uid"])
    if "limit" in job:
        resource.setrlimit(resource.RLIMIT_FSIZE, (job["limit"], job["limit"]))
    train.load_split = runner.load_split = load_split
    if not job.get("draw"):
        draw_nothing()
    watch(job)
    code = 0
    try:
        if "decode" in job:
            home, snapshot, images.constants.HF_HOME = Path(job["decode"]), Path(*job["argv"]), job["decode"]
            datasets.config.HF_DATASETS_CACHE = home / "datasets"
            images.snapshot_download = lambda *_, **__: snapshot
            images.load_images("mnist", "test")
        elif job.get("evaluate"):
            runner.command(bits_per_dim.measure, bits_per_dim.__doc__)
        else:
            train.main()
    except (SystemExit, ValueError) as end:
        print(end, file=sys.stderr)
        code = 1
    print(f"events: {events}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
