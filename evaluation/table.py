"""Write the tables of README.md and `docs/results` from results files: `python -m evaluation.table`.

With --check it only compares, and exits with 1 where one of the pages is out of date.
"""

import argparse
import importlib
import pkgutil
import sys
from pathlib import Path

from evaluation import tables
from evaluation.tables import ROOT, Page
from hub_models.environment import prepare_console
from hub_models.files import read_text, write_text

README = ROOT / "README.md"
RESULTS = ROOT / "docs" / "results"
PAGES: dict[str, Page] = {  # by module: a new file in evaluation/tables is a new page
    module.name: importlib.import_module(f"evaluation.tables.{module.name}").PAGE
    for module in pkgutil.iter_modules(tables.__path__)
}


def filled(text: str) -> str:
    """Return the README with today's table between each `<!-- NAME -->` and `<!-- end -->`.

    Raises:
        ValueError: it lacks a mark.
    """
    for table in (table for page in PAGES.values() for table in page.tables):
        head, begun, rest = text.partition(f"<!-- {table.name} -->\n")
        old, ended, tail = rest.partition("<!-- end -->")
        whole = begun and ended and "<!--" not in old
        if not whole:
            raise ValueError(f"README.md lacks <!-- {table.name} --> or its <!-- end -->: put it back")
        text = f"{head}<!-- {table.name} -->\n{table.make(README.parent)}\n<!-- end -->{tail}"
    return text


def rendered(page: Page) -> str:
    """Return a page of `docs/results`."""
    parts = [f"# {page.title}", page.text]
    for table in page.tables:
        parts += [f"## {table.title}", table.text, table.make(RESULTS)]
    commands = "\n".join(page.commands)
    parts += ["## Commands", f"```\n{commands}\n```"]
    parts.append("This page is made from results files by `python -m evaluation.table`: do not edit it.")
    return "\n\n".join(parts) + "\n"


def written() -> dict[Path, str]:
    """Return what is in every page that this command writes, by path."""
    return {README: filled(read_text(README))} | {RESULTS / f"{name}.md": rendered(PAGES[name]) for name in PAGES}


def main() -> None:
    """Write all pages, or with --check exit with 1 where one is out of date."""
    prepare_console()
    parser = argparse.ArgumentParser("python -m evaluation.table", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only compare")
    check = parser.parse_args().check
    try:
        pages = written()
        old = [path for path, text in pages.items() if not path.is_file() or read_text(path) != text]
        if check and old:
            names = ", ".join(path.relative_to(ROOT).as_posix() for path in old)
            raise ValueError(f"{names}: out of date, run python -m evaluation.table")
        RESULTS.mkdir(parents=True, exist_ok=True)
        for path in old:
            write_text(path, pages[path])
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
