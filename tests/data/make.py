"""Make this folder's small data sets from the whole ones: `python tests/data/make.py`.

It reads the data sets from the caches of the Hub and of kagglehub, or from the network, and writes `hub` and `kaggle`
beside this file. Each snapshot is named by a hash of its files, because it is no commit of the original repository.
"""

import csv
import hashlib
import io
import shutil
from pathlib import Path

import kagglehub
import pyarrow
import pyarrow.parquet
from huggingface_hub import snapshot_download

from hub_models.files import write_text
from training.data.images import DATASETS
from training.data.text import PLAYS, TINY

HERE = Path(__file__).parent
COUNTS = {"mnist": (400, 100), "cifar10": (160, 40)}  # images of the training and test splits
CHARACTERS = {"train": 90_000, "validation": 9_000, "test": 9_000}
CHOSEN = (
    "Hamlet",
    "King Lear",
    "Macbeth",
    "Othello",
    "Romeo And Juliet",
    "The Tempest",
    "Twelfth Night",
    "As You Like It",
)
SCENES = 2  # of each play


def write_snapshot(repo_id: str, revision: str, tables: dict[str, pyarrow.Table]) -> None:
    """Write tables, by path, as the only snapshot of a data set in the Hub cache."""
    digest, files = hashlib.sha1(), {}
    for path, table in sorted(tables.items()):
        file = io.BytesIO()
        pyarrow.parquet.write_table(table, file, compression="zstd", compression_level=19)
        files[path] = file.getvalue()
        digest.update(files[path])
    folder = HERE / "hub" / f"datasets--{repo_id.replace('/', '--')}"
    for path, content in files.items():
        target = folder / "snapshots" / digest.hexdigest() / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    reference = folder / "refs" / revision
    reference.parent.mkdir(parents=True, exist_ok=True)
    write_text(reference, digest.hexdigest())


def rows(folder: Path, split: str, count: int | None = None) -> pyarrow.Table:
    """Read the first rows of a split from the parquet files of a snapshot."""
    files = sorted([*folder.rglob(f"{split}-*.parquet"), *folder.rglob(f"{split}/*.parquet")])
    return pyarrow.concat_tables(map(pyarrow.parquet.read_table, files)).slice(0, count)


def whole_speeches(text: str, count: int) -> str:
    """Cut a text of at least `count` characters at the ends of speeches, which are empty lines."""
    start = text.index("\n\n") + 2
    return text[start : text.index("\n\n", start + count) + 2]


def main() -> None:
    """Write all of it."""
    for name in "hub", "kaggle":
        shutil.rmtree(HERE / name, ignore_errors=True)
    for name, counts in COUNTS.items():
        repo_id = DATASETS[name].repo_id
        folder = Path(snapshot_download(repo_id, repo_type="dataset"))
        place = next(folder.rglob("test-*.parquet")).parent.name
        splits = dict(zip(("train", "test"), counts, strict=True))
        tables = {f"{place}/{split}-00000-of-00001.parquet": rows(folder, split, n) for split, n in splits.items()}
        write_snapshot(repo_id, "main", tables)
    folder = Path(snapshot_download(TINY[0], repo_type="dataset", revision=TINY[1]))
    texts = {split: "".join(rows(folder, split)["text"].to_pylist()) for split in CHARACTERS}
    tables = {
        f"default/{split}/0000.parquet": pyarrow.table({"text": [whole_speeches(texts[split], count)]})
        for split, count in CHARACTERS.items()
    }
    write_snapshot(*TINY, tables)
    (source,) = Path(kagglehub.dataset_download(PLAYS)).glob("*.csv")
    with source.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        scene, kept = dict.fromkeys(CHOSEN, 0), []
        for row in reader:
            if row["Play"] in scene:
                scene[row["Play"]] += row["PlayerLine"].startswith("SCENE ")
                kept += [row] if scene[row["Play"]] <= SCENES else []
    lines = io.StringIO()
    writer = csv.DictWriter(lines, reader.fieldnames, lineterminator="\n")
    writer.writeheader()
    writer.writerows(kept)
    versions = HERE / "kaggle" / "datasets" / PLAYS.partition("/versions")[0]
    (versions / "versions" / "4").mkdir(parents=True)
    write_text(versions / "versions" / "4" / source.name, lines.getvalue())
    write_text(versions / "4.complete", "")


if __name__ == "__main__":
    main()
