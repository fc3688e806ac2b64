"""What a report shows on a card: its sections, each with a text, a table or a picture, and the pictures themselves."""

from collections.abc import Sequence


def section(
    title: str, text: str = "", columns: Sequence[str] = (), rows: Sequence[Sequence[str]] = (), picture: str = ""
) -> dict:
    """Make one section of a report, as JSON takes it and `hub_models/hub/card.md` shows it.

    Args:
        title: its heading, and what stands for the picture where pictures are not shown.
        text: Markdown, between the picture and the table.
        columns: the heads of the table.
        rows: cells as they are to be shown, as many as columns.
        picture: a file of the run folder. A section with nothing but a picture and a text is shown only beside it.
    """
    return {"title": title, "text": text, "columns": [*columns], "rows": [[*row] for row in rows], "picture": picture}
