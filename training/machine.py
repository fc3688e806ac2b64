"""What ran a command, as every results file tells it; and the lock by which one process at a time writes a folder."""

import contextlib
import gc
import os
import platform
import re
import resource
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from filelock import FileLock, Timeout

from hub_models.files import read_text
from hub_models.run_folder import LEADERBOARD, LOCK, STAGES_FOLDER, WRITING
from hub_models.shared import mallopt


def hardware(device: torch.device, processes: int = 1) -> str:
    """The GPU's name, or the processor's and the number of threads; how many of them, if several processes ran."""
    threads = torch.get_num_threads()
    cpu = f"{_processor()}, {threads} thread{'s' if threads > 1 else ''}"
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else cpu
    return name if processes == 1 else f"{processes} x {name}"


def interleave(own: list, count: int) -> list:
    """All of `count` things in order; of N processes each gives what it made, every N-th from its own index on."""
    things: list = [None] * count
    for process, share in enumerate(gather_object([own])):
        things[process :: PartialState().num_processes] = share
    return things


def end_processes() -> None:
    """Let several processes end together and in order: one that exits while others still talk to it aborts.

    The caller must hold no Trainer: its wrapped model refers to the process group. Threads of a group that lives until
    the interpreter ends can abort it.
    """
    state = PartialState()
    state.wait_for_everyone()
    state.destroy_process_group()
    if state.num_processes > 1:
        gc.collect()  # the wrapped model is part of a cycle


def launcher(processes: int) -> str:
    """What a command line begins with."""
    return "python -m" if processes == 1 else f"torchrun --nproc_per_node {processes} -m"


def _processor() -> str:
    try:
        lines = read_text(Path("/proc/cpuinfo")).splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):  # not Linux
        return platform.processor() or platform.machine()


def has_bf16() -> bool:
    """Whether the GPU, or else the CPU, computes in bf16; where that is emulated it is slower than float32."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return any("bf16" in name and found for name, found in torch.cpu.get_capabilities().items())


def peak_memory_mib() -> float:
    """The most memory this process has held, in MiB: of the GPU where there is one, else resident."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def keep_memory() -> None:
    """Let glibc keep what is freed for the next step, where it would give it back and ask for it anew, page by page.

    Saves up to 13 % of a training step's time on a CPU, as there is much or little to be had anew; costs up to a tenth
    more memory.
    """
    mallopt(-4, 0)  # M_MMAP_MAX
    mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD


@contextlib.contextmanager
def locked(folder: Path, wait: float = 60) -> Iterator[None]:
    """Keep others from writing to a folder (made where there is none), and clear what one that was killed left there.

    A process that is killed holds no lock any longer; its file stays, for the next one to use and take away.

    Args:
        folder: a run's, or a cache's.
        wait: seconds after which one that another process has is refused.

    Raises:
        ValueError: another process has it, or nothing can be written there.
    """
    lock = FileLock(folder / LOCK)
    try:
        Path(os.path.realpath(folder)).mkdir(parents=True, exist_ok=True)  # behind a link, too
        lock.acquire(timeout=wait)
    except Timeout as error:
        told = f"another process is writing to {folder}: wait until it ends, or give another folder"
        raise ValueError(told) from error
    except OSError as error:
        told = f"{folder} is no folder that can be written to ({error.strerror}): mend that, or give another"
        raise ValueError(told) from error
    try:
        places = (folder, folder / STAGES_FOLDER, (folder / LEADERBOARD).parent)
        for path in [path for place in places for path in place.glob(f"*{WRITING}")]:
            if path.name == WRITING:
                shutil.rmtree(path)
            elif re.search(rf"\.\d+{re.escape(WRITING)}$", path.name):
                path.unlink()
        yield
    finally:
        (folder / LOCK).unlink(missing_ok=True)  # before its release: who waits for it sees that, and makes another
        lock.release()
