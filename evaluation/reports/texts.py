"""The report on what a text model writes: its sections; `evaluation.writing` says what it holds."""

from evaluation.reports import section

COUNTS = ("characters", "lines", "words", "different_words", "tokens", "different_tokens")  # of a split's text


def sections(report: dict, split: str) -> list[dict]:
    """Make the sections of a report on a split from its numbers; see `evaluation.writing.report`."""
    corpus = report["corpus"]
    counts = [[key.replace("_", " "), *(f"{own[key]:,}" for own in corpus)] for key in COUNTS]
    counts.append(["unknown tokens (%)", *(f"{own['unknown']:.2f}" for own in corpus)])
    return [
        section(
            "What it writes",
            f"{len(report['texts'])} texts of {report['written']} tokens from nothing, at temperature "
            f"{report['temperature']}, and as much of the {split} text.",
            ("", "written", f"{split} text"),
            [[row["name"], f"{row['written']:.1f}", f"{row['true']:.1f}"] for row in report["rows"]],
        ),
        section(
            "The data",
            "The text that it was trained on, and the text that was held out. Words are in lower case, without the "
            "signs around them.",
            ("", *(own["split"] for own in corpus)),
            counts,
        ),
        section(
            "The study's prompts, continued",
            "",
            ("prompt", "temperature", "continued"),
            [[row["prompt"], str(row["temperature"]), row["text"]] for row in report["prompts"]],
        ),
    ]


def in_a_cell(text: str) -> str:
    """Escape a text for a cell of a Markdown table."""
    for sign in "\\`*_<>[]|~#":
        text = text.replace(sign, f"\\{sign}")
    return " / ".join(line.strip() for line in text.splitlines())
