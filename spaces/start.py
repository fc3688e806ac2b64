"""Make what the tabs show before the first click: `python spaces/start.py [THEME/TAB ...]`.

Each tab that has a function `start` is run with the shipped weights; its results go to `spaces/THEME/start` as JSON and
WebP, with the SHA-256 of the weights.
"""

import argparse
import sys
from pathlib import Path

from hub_models.config import nearest
from hub_models.environment import prepare_console
from hub_models.spacekit.frame import themes
from hub_models.spacekit.start import save_start

SPACES = Path(__file__).resolve().parent


def main() -> None:
    """Run the command; what the user can mend ends in one sentence and exit code 1."""
    prepare_console()
    tabs = {
        f"{theme}/{tab.__name__.rpartition('.')[2]}": tab
        for theme, package in themes(SPACES / "scanline").items()
        for tab in package.TABS
        if hasattr(tab, "start")
    }
    parser = argparse.ArgumentParser("python spaces/start.py", description=__doc__.splitlines()[0])
    parser.add_argument("tabs", metavar="THEME/TAB", nargs="*", help=f"all, or some of {', '.join(tabs)}")
    names = parser.parse_args().tabs or [*tabs]
    for name in names:
        if name not in tabs:
            sys.exit(f"error: no tab {name!r} has a start: {nearest(name, sorted(tabs))}")
    for name in names:
        try:
            file = save_start(tabs[name])
        except (ValueError, OSError) as error:
            sys.exit(f"error: {error}")
        print(f"{file.relative_to(SPACES.parent)}  {file.stat().st_size:,} bytes", flush=True)


if __name__ == "__main__":
    main()
