"""Language models over characters and words of Shakespeare."""

from pathlib import Path

from evaluation.results import published, sweep_file
from evaluation.tables import Page, Table, linked, ranged
from hub_models.files import read_json

TINY_BEST = "char-lstm-shakespeare"  # on the Hub's own split; the others' test text is the last fifth
TITLES = {"words": "ours", "study": "the word study's networks, and what it claims of the first"}


def characters_table(place: Path) -> str:
    """Language models over characters, by `evaluation.sweep`, beside what was published of the same nets."""
    found = read_json(sweep_file("characters"))
    lines = [f"{found['hardware']}; `{found['command']}`", ""]
    lines += ["| model | parameters, epochs | split | perplexity | bits a character | accuracy (%) | published |"]
    lines += ["| --- " * 7 + "|"]
    for row in found["rows"]:
        theirs = row["published"]
        beside = f"{theirs['perplexity']}, {theirs['accuracy']} %" if theirs else ""
        splits = [key for key in ("validation", "test", "held-out") if key in row]
        for split in splits:
            of = {"test": "its last 20 %, unseen"} if split == "test" and row["name"] != TINY_BEST else {}
            of |= {"validation": "windows dealt out at random"} if row["name"].endswith("-random") else {}
            figures = [ranged(row[split]["perplexity"], "value", ".3f")]
            figures += [f"{row[split]['bits_per_character']['value']:.3f}"]
            figures += [ranged(row[split]["top_1_accuracy"], "value")]
            lines.append(
                f"| {linked(place, row['name'])} | {row['parameters']:,}, {row['epochs']:g} | {of.get(split, split)} "
                f"| {' | '.join(figures)} | {beside if split == splits[0] else ''} |"
            )
    return "\n".join(lines)


def words_table(place: Path) -> str:
    """Language models over words, ours and the word study's networks, each beside the 5-gram on its own tokens."""
    columns = ("model", "parameters, epochs", "unknown (%)", "perplexity", "5-gram", "of known words", "5-gram")
    columns += ("top-1, top-3 of words (%)",)
    lines = [f"| {' | '.join(columns)} |", "| --- " * len(columns) + "|"]
    for path in map(sweep_file, TITLES):
        if not path.exists():  # days of a CPU, some of them
            continue
        found = read_json(path)
        told = f"{found['budget']}; {found['hardware']}; `{found['command']}`"
        lines.append(f"| *{TITLES[path.stem]}: {told}* |" + " |" * 7)
        for row in found["rows"]:
            test = row["test"]
            gram, words = "kneser_ney_5_gram", "perplexity_of_words"
            shown = [f"{test['unknown']['value']:.2f}", ranged(test["perplexity"], "value", ".1f")]
            shown += [f"{test[f'perplexity_{gram}']['value']:.1f}", ranged(test[words], "value", ".1f")]
            shown += [f"{test[f'{words}_{gram}']['value']:.1f}"]
            top = ", ".join(f"{test[f'top_{k}_accuracy_of_words']['value']:.2f}" for k in (1, 3))
            lines.append(
                f"| {linked(place, row['name'])} | {row['parameters']:,}, {row['epochs']:g} "
                f"| {' | '.join(shown)} | {top} |"
            )
    theirs = published()["words"]
    top = f"{theirs['accuracy']}, {theirs['top_3']}"
    lines.append(f"| {theirs['where']} | | | {theirs['perplexity']} | | | | {top} |")
    return "\n".join(lines)


PAGE = Page(
    "Language models of Shakespeare",
    "Recurrent networks that predict the next character or word. Brackets are 95 % intervals over passages.",
    (
        Table(
            "characters",
            "Characters",
            "Beside the figures published for the same networks.",
            characters_table,
        ),
        Table(
            "words",
            "Words",
            "On the test split, each beside an interpolated Kneser-Ney 5-gram on the same tokens.",
            words_table,
        ),
    ),
    (
        "python -m evaluation.sweep characters",
        "python -m evaluation.sweep words",
        "python -m evaluation.sweep study --epochs 2",
    ),
)
