"""How fast training and sampling are."""

from pathlib import Path

from evaluation.results import SPEED, SPEED_GPU
from evaluation.tables import Page, Table
from hub_models.files import read_json


def speed_table(place: Path) -> str:
    """The ratios of `evaluation.speed`."""
    lines = ["| what | ours | bound (reached) | the plain way | ratio | hardware |", "| --- " * 6 + "|"]
    for row in read_json(SPEED):
        ours, plain = (
            f"{row[unit] / row[key]:,.0f} {unit}/s" if (unit := _unit(row)) else _seconds(row[key])
            for key in ("seconds", "plain_seconds")
        )
        bound = ""
        if "bound_seconds" in row:
            bound = _seconds(row["bound_seconds"])
            if _unit(row):
                bound = f"{row['images'] / row['bound_seconds']:,.0f} images/s"
            bound += f" ({1 / row['of_bound']:.0%})"
        lines.append(f"| {row['pair']} | {ours} | {bound} | {plain} | {row['ratio']:,.1f} | {row['hardware']} |")
    return "\n".join(lines)


def gpu_table(place: Path) -> str:
    """The ratios of `evaluation.speed_gpu`."""
    lines = ["| what | ours, images/s | the other way | ratio | hardware |", "| --- " * 5 + "|"]
    for row in read_json(SPEED_GPU):
        ours, plain = (
            f"{row[key]:,.{2 * (row[key] < 100)}f}" for key in ("images_per_second", "plain_images_per_second")
        )
        lines.append(f"| {row['pair']} | {ours} | {plain} | {row['ratio']:,.1f} | {row['hardware']} |")
    return "\n".join(lines)


def _unit(row: dict) -> str | None:
    """What a rate of a row counts, if it tells one."""
    return next((unit for unit in ("images", "tokens") if unit in row), None)


def _seconds(value: float) -> str:
    return f"{value:,.0f} s" if value >= 100 else f"{value:.3g} s"


PAGE = Page(
    "Speed",
    "Each pair of ways is timed in turn in one run; the ratio is that of the medians.",
    (
        Table(
            "speed", "On a CPU", "On a CPU: ours against the plain way, and a bound where one is known.", speed_table
        ),
        Table("speed on a GPU", "On a GPU", "On a GPU: images a second of ours and of the other way.", gpu_table),
    ),
    ("python -m evaluation.speed", "python -m evaluation.speed_gpu"),
)
