"""The environment of tests and of the smoke test: the data that is at hand, and no proxy for this machine."""

import functools
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

SAMPLES = Path(__file__).parent / "data"
HUB = ("ylecun--mnist", "uoft-cs--cifar10", "karpathy--tiny_shakespeare")
PLAYS = "datasets/kingburrito666/shakespeare-plays/4.complete"


def caches() -> tuple[Path, Path]:
    """Find the caches of the Hub and of Kaggle as their clients do."""
    user = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    home = Path(os.environ.get("HF_HOME") or user / "huggingface").expanduser()
    hub, kaggle = (os.environ.get(name) for name in ("HF_HUB_CACHE", "KAGGLEHUB_CACHE"))
    return Path(hub or home / "hub").expanduser(), Path(kaggle or "~/.cache/kagglehub").expanduser()


def data_environment() -> dict[str, str]:
    """Choose the whole data sets or, where one is missing, the samples, as environment variables.

    They must be set before `huggingface_hub` is imported, which reads the environment once.
    """
    if is_whole():
        return {"HF_HUB_OFFLINE": "1"}
    return {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(SAMPLES / "hub"), "KAGGLEHUB_CACHE": str(SAMPLES / "kaggle")}


def is_whole() -> bool:
    """Whether the caches hold all data sets, and are not the samples."""
    hub, kaggle = caches()
    found = all(any(hub.glob(f"datasets--{name}/snapshots/*/*")) for name in HUB) and (kaggle / PLAYS).exists()
    return found and not hub.is_relative_to(SAMPLES)


def past_proxies(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Let nothing on this machine be asked through a proxy; pip keeps the proxies that it can use.

    SOCKS proxies go: neither pip nor httpx can use one without a further package.
    """
    hosts = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    exempt = ",".join(filter(None, [hosts, "localhost", "127.0.0.1"]))
    socks = [k for k, v in environment.items() if k.lower().endswith("_proxy") and v.startswith("socks")]
    return dict.fromkeys(socks, "") | {"no_proxy": exempt, "NO_PROXY": exempt}


def sampled(cases: list) -> list:
    """A third of the cases, which the commit that is tested chooses, so that over time all are tested.

    With SCANLINE_FULL=1, and outside a clone, all of them.
    """
    return cases if os.environ.get("SCANLINE_FULL") == "1" or not commit() else cases[int(commit(), 16) % 3 :: 3]


@functools.cache
def commit() -> str:
    """The commit that is tested; "" outside a clone."""
    command = ["git", "rev-parse", "HEAD"]
    return subprocess.run(command, cwd=SAMPLES, capture_output=True, encoding="utf-8").stdout.strip()
