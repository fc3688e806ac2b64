"""The folder of a data set that is to be published: README.md and parquet files."""

from pathlib import Path

import pyarrow
import pyarrow.parquet

from hub_models.files import read_text
from hub_models.hub.privacy import check_public
from hub_models.hub.publish import copy_own
from hub_models.hub.upload import check_card
from hub_models.run_folder import CARD


def tables(folder: Path) -> list[Path]:
    """List the parquet files of a data set's folder; hidden folders are left out."""
    found = sorted(folder.rglob("*.parquet"))
    return [path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts)]


def stage_data(folder: Path, stage: Path) -> None:
    """Copy a data set's card and parquet files.

    Raises:
        FileNotFoundError: it has no card. ValueError: the card's metadata or a file is damaged, or what describes the
            data holds a secret or a path of a machine.
    """
    if not (folder / CARD).is_file():
        raise FileNotFoundError(f"{folder} has parquet files but no README.md: write its card, with a licence")
    check_card(read_text(folder / CARD), "dataset")
    copy_own(folder, CARD, stage)
    for path in tables(folder):
        try:
            pyarrow.parquet.read_metadata(path)
        except (pyarrow.ArrowException, OSError) as error:
            raise ValueError(f"{path} is damaged or cut short ({error}): write it again") from error
        copy_own(folder, path.relative_to(folder), stage)
    check_public(stage, folder)
