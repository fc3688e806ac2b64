"""Recurrent nets over MNIST pixels."""

from pathlib import Path

from evaluation.metrics.photographs import KINDS
from evaluation.results import published
from evaluation.tables import Page, Table, epochs, find, linked, ranged
from hub_models.hub.card import format_value


def results_table(place: Path) -> str:
    """Ours beside the published figure and beside the study's recipe at our budget; test split only."""
    lines = ["| model | metric | ours (95 %) | its recipe, our budget | published | where |", "| --- " * 6 + "|"]
    for row in published()["results"]:
        ours, study = (find(row[key], row["metric"]) for key in ("name", "study"))
        low, high = map(format_value, ours["interval"])
        budget = f"{format_value(study['value'])} ({epochs(row['study'])} epochs)"
        lines.append(
            f"| {linked(place, row['name'])}, {epochs(row['name'])} epochs "
            f"| {row['metric']} ({ours['unit']}) | **{format_value(ours['value'])}** ({low} to {high}) | {budget} "
            f"| {row['published']} | {row['where']} |"
        )
    return "\n".join(lines)


def inpainting_table(place: Path) -> str:
    """Nats a missing pixel, truth and sampled, beside the study's; see `evaluation.inpainting`."""
    study = published()["inpainting"]
    lines = ["| filled | truth | sampled | truth after sampled | study: truth | study: sampled |", "| --- " * 6 + "|"]
    for count in study["truth"]:
        ours = [
            find(study["name"], f"inpainting_{what}_{count}") for what in ("truth", "sampled", "truth_after_sampled")
        ]
        figures = [format_value(entry["value"]) for entry in ours]
        figures += [str(study[what][count]) for what in ("truth", "sampled")]
        lines.append(f"| first {count} | {' | '.join(figures)} |")
    return "\n".join(lines)


def photographs_table(place: Path) -> str:
    """Accuracy on photographs of digits, beside their digits as they are; see `evaluation.photographs`."""
    name = "gru128-mnist-classify"
    rows = {"photographs": "", "the same digits as they are": "_clean"}
    rows |= {f"of the photographs: {told}": f"_{kind}" for kind, told in KINDS.items()}
    rows |= {"photographs as those tuned on": "_tuned"}
    lines = ["| images | accuracy (95 %) | how many |", "| --- " * 3 + "|"]
    for told, metric in rows.items():
        entry = find(name, f"accuracy_photographs{metric}")
        lines.append(f"| {told} | {ranged(entry, 'value', '.1f')} % | {entry['n']} |")
    return "\n".join(lines)


PAGE = Page(
    "Recurrent nets over MNIST pixels",
    "Networks that read a binarised digit pixel by pixel and predict the next pixel or the class.",
    (
        Table(
            "results",
            "Classification and likelihood",
            "Test figures with 95 % intervals, beside the study's figure and the study's recipe at our budget.",
            results_table,
        ),
        Table(
            "inpainting",
            "In-painting",
            "The last 300 pixels are blanked and the first of them sampled. Nats a missing pixel of the true pixels, "
            "of the sampled ones, and of the true ones after the sampled ones.",
            inpainting_table,
        ),
        Table(
            "photographs",
            "Photographs",
            "Photographs made from test digits, which `to_digit` prepares and gru128-mnist-classify reads. It was "
            "trained on none. The preparation was tuned on parameters most of which are milder.",
            photographs_table,
        ),
    ),
    (
        "python -m evaluation.accuracy gru128-mnist-classify --split test",
        "python -m evaluation.bits_per_dim gru128-mnist-predict --split test",
        "python -m evaluation.inpainting gru128-mnist-predict --split test --limit 1000",
        "python -m evaluation.photographs gru128-mnist-classify --split test",
    ),
)
