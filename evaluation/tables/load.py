"""The app under load."""

from pathlib import Path

from evaluation.tables import ROOT, Page, Table
from hub_models.files import read_json


def load_table(place: Path) -> str:
    """What `tests/load.py` measured of the app with all tabs."""
    parts = read_json(ROOT / "docs" / "load.json")
    rows = [row for rows in parts.values() for row in rows]
    return "\n".join(["| what | result |", "| --- | --- |", *(f"| {row['what']} | {row['result']} |" for row in rows)])


PAGE = Page(
    "The app under load",
    "What many visitors, and visitors who send nonsense, do to the app with all tabs on one thread.",
    (Table("load", "Measurements", "Each line is one measurement.", load_table),),
    ("python tests/load.py",),
)
