"""The results files of sweeps and timings, the figures of what is not shipped, and figures that others published."""

from pathlib import Path

from hub_models.files import read_json

HERE = Path(__file__).parent
SWEEPS = "sweeps"  # the folder of the sweeps' results
SPEED, SPEED_GPU, SCALING = (HERE / f"{name}.json" for name in ("speed", "speed_gpu", "scaling"))


def published() -> dict:
    """Figures of the studies that we rebuild, typed from their pages; everything else in the tables is measured."""
    return read_json(HERE / "published.json")


def sweep_file(name: str) -> Path:
    """Where the results of a sweep are kept."""
    return HERE / SWEEPS / f"{name}.json"
