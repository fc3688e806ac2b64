"""The checkpoints that ship."""

from pathlib import Path

from evaluation.tables import Page, Table, epochs, linked
from hub_models import MODELS, shipped
from hub_models.checkpoints import PRETRAINED
from hub_models.hub.card import read_folder
from hub_models.run_folder import WEIGHTS


def shipped_table(place: Path) -> str:
    """What comes with the package, and what training it took."""
    lines = ["| model | kind | data | parameters | MiB | epochs | minutes, on |", "| --- " * 7 + "|"]
    for name in shipped():
        folder = PRETRAINED / name
        config, recipe, trained, _ = read_folder(folder)
        told = [MODELS[config["model_type"]].title, recipe["data"]["repo_id"], f"{trained['parameters']:,}"]
        told += [f"{(folder / WEIGHTS).stat().st_size / 2**20:.2f}", epochs(name)]
        told.append(f"{trained['minutes']:,.0f}, {recipe['machine']['hardware']}")
        lines.append(f"| {linked(place, name)} | {' | '.join(told)} |")
    return "\n".join(lines)


PAGE = Page(
    "What ships",
    "The checkpoints in `hub_models/pretrained`, and what training each took.",
    (Table("shipped", "Checkpoints", "`hub_models.load` opens each by its name.", shipped_table),),
    ("python -m training.train",),
)
