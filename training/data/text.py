"""Texts: tiny Shakespeare from the Hub, the plays from Kaggle or any CSV of their columns, split the same for everyone.

And what training takes of a text: `Windows`, either shuffled or in lanes along which the state is carried.
"""

import csv
import functools
import os
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from huggingface_hub import constants, snapshot_download

from hub_models.environment import client_fault
from hub_models.files import fingerprint

SPLIT_SEED = 0
TINY = ("karpathy/tiny_shakespeare", "refs/convert/parquet")  # repository, revision
PLAYS = "kingburrito666/shakespeare-plays/versions/4"
COLUMNS = ("Play", "PlayerLine")
SPAN = 129  # characters of a random window: 128 predictions
STRIDE = 64  # characters from the start of one possible window to that of the next


@dataclass(frozen=True)
class TextSource:
    """Where a text comes from, and how it is split.

    Attributes:
        repo_id: on the Hub or on Kaggle.
        parts: the raw texts of the set -> the texts of "train", "validation" and "test".
        validation: what is kept out of training, in words.
        prepared: what was done to it, in words; "" of the Hub's own splits.
        kaggle: it is on Kaggle.
    """

    repo_id: str
    parts: Callable[[dict[str, list[str]]], dict[str, list[str]]]
    validation: str
    prepared: str = ""
    kaggle: bool = False


class TextData:
    """Texts, each of which is read from its start; in training they are one after another."""

    def __init__(self, name: str, split: str, texts: list[str], revision: str = "", split_size: int | None = None):
        self.name, self.split, self.texts, self.revision = name, split, texts, revision
        self.split_size = (
            len(self) if split_size is None else split_size
        )  # characters of the split that these are the first of

    def __len__(self) -> int:
        return sum(map(len, self.texts))

    def first(self, count: int | None) -> "TextData":
        """The first `count` lines of the texts; with None, all."""
        if count is None:
            return self
        kept, left = [], count
        for text in self.texts:
            lines = re.findall(r"[^\n]*\n|[^\n]+", text)[:left]  # not `splitlines`: other signs end lines there
            left -= len(lines)
            kept += ["".join(lines)] if lines else []
        return TextData(self.name, self.split, kept or [""], self.revision, self.split_size)

    @property
    def part(self) -> str:
        """Which of the split's characters these are, in words; "" where they are all."""
        return f"first {len(self):,} of {self.split_size:,} characters" if len(self) < self.split_size else ""


class Windows(torch.utils.data.Dataset):
    """Windows of tokens int64 (window + 1,), each one's last token the first of the next; a batch is one look-up.

    With `lanes` the tokens are cut into so many equal stretches (or fewer, if they are short), and batches of `lanes`
    windows in order go along all of them at once, so that a model may carry its state from each batch to the next.
    """

    def __init__(self, texts: list[torch.Tensor], window: int, lanes: int = 0, what: str = "text"):
        """Of texts as tokens, int64 (N,) each. Lanes go through all of them, one after another; no window else does.

        `what` the tokens are of, for a refusal.

        Raises:
            ValueError: there are not enough tokens for one window.
        """
        self.tokens, self.window = torch.cat(texts), window
        begun, parts = 0, []
        for count in [len(self.tokens)] if lanes else map(len, texts):
            own = max(1, min(lanes, (count - 1) // window))  # lanes; one without any
            per_lane = (count - 1) // own
            starts = begun + per_lane * torch.arange(own)
            steps = torch.arange(0, per_lane - window + 1, window) if per_lane >= window else torch.empty(0).long()
            parts.append((steps[:, None] + starts).flatten())
            begun += count
        self.starts, self.lanes = torch.cat(parts), len(starts) if lanes else 0
        told = f"the {what} has {len(self.tokens):,} tokens, too few for one window of {window}"
        if not len(self.starts):
            raise ValueError(f"{told}: give a longer text, a larger --limit or a shorter --window")

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {name: batch[0] for name, batch in self.__getitems__([index]).items()}

    def __getitems__(self, indices: list[int]) -> dict[str, torch.Tensor]:
        places = self.starts[indices][:, None] + torch.arange(self.window + 1)
        return {"tokens": self.tokens[places], "indices": torch.tensor(indices)}


def _own(raw: dict[str, list[str]]) -> dict[str, list[str]]:
    return raw


def _temporal(raw: dict[str, list[str]]) -> dict[str, list[str]]:
    """The first 5 % for validation, so that training reaches up to the test part, as the study's did.

    Just before the test part lies the beginning of the play that it goes on with.
    """
    text = "".join(raw["train"] + raw["validation"] + raw["test"])
    early, late = len(text) // 20, len(text) * 4 // 5
    return {"train": [text[early:late]], "validation": [text[:early]], "test": [text[late:]]}


def _random(raw: dict[str, list[str]]) -> dict[str, list[str]]:
    """Windows of the first 80 %, which overlap, dealt out at random; to see what that does. The test part is whole."""
    parts = _temporal(raw)
    text = parts["validation"][0] + parts["train"][0]
    windows = [text[i : i + SPAN] for i in range(0, len(text) - SPAN + 1, STRIDE)]
    random.Random(SPLIT_SEED).shuffle(windows)
    held_out = len(windows) // 5
    return {"train": windows[held_out:], "validation": windows[:held_out], "test": parts["test"]}


def _by_line(raw: dict[str, list[str]]) -> dict[str, list[str]]:
    """One line in five for testing, one in twenty for validation, drawn at random; the others keep their order."""
    lines = [line for play in raw.values() for line in play]
    draw = random.Random(SPLIT_SEED)
    deal = [draw.random() for _ in lines]
    parts = {"test": (0, 0.2), "validation": (0.2, 0.25), "train": (0.25, 1)}
    chosen = {
        part: [line for line, u in zip(lines, deal, strict=True) if low <= u < high]
        for part, (low, high) in parts.items()
    }
    return {part: ["".join(f"{line}\n" for line in own)] for part, own in chosen.items()}


def _by_play(raw: dict[str, list[str]]) -> dict[str, list[str]]:
    """Of the plays in an order drawn at random, a fifth for testing and then two for validation."""
    names = sorted(raw)
    if len(names) < 4:
        raise ValueError(f"there are {len(names)} plays: splitting by play needs at least 4")
    random.Random(SPLIT_SEED).shuffle(names)
    held_out = max(1, len(names) // 5)
    parts = {"test": names[:held_out], "validation": names[held_out:][:2], "train": names[held_out:][2:]}
    return {part: ["".join(f"{line}\n" for name in own for line in raw[name])] for part, own in parts.items()}


LINES = {"repo_id": PLAYS.partition("/versions")[0], "kaggle": True}
TEXTS = {
    "tiny-shakespeare": TextSource(TINY[0], _own, "the Hub's own validation split"),
    "tiny-shakespeare-80": TextSource(
        TINY[0],
        _temporal,
        "the first 5 % of the text",
        "one text, the last 20 % of which are the test split",
    ),
    "tiny-shakespeare-random": TextSource(
        TINY[0],
        _random,
        "a fifth of the windows, which overlap those of training: no measure of generalisation",
        f"windows of {SPAN} characters of the first 80 %, one every {STRIDE}, dealt out at random (seed {SPLIT_SEED})",
    ),
    "plays-by-line": TextSource(
        **LINES,
        parts=_by_line,
        validation=f"one line in twenty, drawn at random (seed {SPLIT_SEED})",
        prepared=f"split by line: one in five, drawn at random (seed {SPLIT_SEED}), is the test split's",
    ),
    "plays-by-play": TextSource(
        **LINES,
        parts=_by_play,
        validation=f"two whole plays, drawn at random (seed {SPLIT_SEED})",
        prepared=f"split by play: a fifth of them, drawn at random (seed {SPLIT_SEED}), are the test split's",
    ),
}


def describe_text(name: str) -> dict:
    """What a card says of a text: its id and its splits."""
    source = TEXTS[name]
    told = {"name": name, "repo_id": source.repo_id, "validation": source.validation}
    address = {"url": f"https://www.kaggle.com/datasets/{source.repo_id}"} if source.kaggle else {}
    return told | address | ({"prepared": source.prepared} if source.prepared else {})


@functools.lru_cache(maxsize=2)
def _raw(name: str, file: str | None) -> tuple[dict[str, list[str]], str]:
    """The raw texts of a set, and their revision: of the plays, the lines of each."""
    if TEXTS[name].kaggle:
        return read_plays(Path(file) if file else _fetch_plays())
    if file is not None:
        raise ValueError(f"--data is for the plays: leave it out, {name} comes from the Hub")
    from datasets import load_dataset  # 2 s to import

    repo_id, revision = TINY
    try:
        snapshot = Path(snapshot_download(repo_id, repo_type="dataset", revision=revision))
        found = load_dataset(str(snapshot))
        return {split: list(found[split]["text"]) for split in ("train", "validation", "test")}, snapshot.name
    except Exception as error:  # offline, not cached, refused, damaged: client and reader have a dozen types for it
        if fault := client_fault():
            raise FileNotFoundError(f"{repo_id} cannot be downloaded: {fault}") from error
        raise FileNotFoundError(
            f"{repo_id} is not in the Hub cache ({constants.HF_HUB_CACHE}) and cannot be downloaded: "
            f"connect once, or point HF_HUB_CACHE at a cache that has it ({type(error).__name__})"
        ) from error


def _fetch_plays() -> Path:
    """The plays' CSV, from kagglehub's cache or, once, from Kaggle."""
    import kagglehub  # 1 s to import

    try:
        folder = Path(kagglehub.dataset_download(PLAYS))
        return next(folder.glob("*.csv"))
    except Exception as error:  # offline, refused, another layout: kagglehub, too, has a dozen types for it
        where = os.environ.get("KAGGLEHUB_CACHE", "~/.cache/kagglehub")
        reason = type(error).__name__
        if isinstance(error, ValueError):  # requests refuses a setting, such as a proxy of a kind that it lacks
            reason += ": " + str(error).partition("\n")[0]
        raise FileNotFoundError(
            f"{PLAYS} is not in kagglehub's cache ({where}) and cannot be downloaded from Kaggle: connect once, "
            f"or give a CSV with the columns {', '.join(COLUMNS)} as --data FILE ({reason})"
        ) from error


def read_plays(path: Path) -> tuple[dict[str, list[str]], str]:
    """A CSV with the columns Play and PlayerLine -> the lines of each play, in order, and the file's SHA-256.

    Raises:
        ValueError: it is no such CSV. FileNotFoundError: there is none.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {str(path)!r}: give a CSV with the columns {', '.join(COLUMNS)}")
    told = f"{path} is no CSV in UTF-8 with the columns {', '.join(COLUMNS)}"
    plays: dict[str, list[str]] = {}
    csv.field_size_limit(2**31 - 1)  # a line of a text may be long
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, strict=True)
            names = rows.fieldnames or []
            fits = all(names.count(column) == 1 for column in COLUMNS)
            if not fits:
                raise ValueError(f"{told}, once each: its first line is {','.join(names)[:200]!r}")
            for row in rows:
                if None in row:
                    raise ValueError(f"{told}: line {rows.line_num} has more fields than there are columns")
                play, line = (" ".join((row[column] or "").split()) for column in COLUMNS)
                if not play and line:
                    raise ValueError(f"{told}: line {rows.line_num} is of no play")
                if play:  # else an empty row, as spreadsheets leave them
                    plays.setdefault(play, []).append(line)
    except UnicodeDecodeError as error:
        raise ValueError(f"{told} ({error}): save it as UTF-8") from error
    except csv.Error as error:
        raise ValueError(f"{told}: {error}") from error
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}): give another file") from error
    if sum(map(len, plays.values())) <= 0:
        raise ValueError(f"{told}: it has no lines")
    return plays, fingerprint(path)


def load_text(name: str, split: str, file: str | None = None) -> TextData:
    """One split of a text; `held-out` is what validation and test are together, each read from its start.

    Args:
        name: a key of TEXTS.
        split: "train", "validation", "test" or "held-out".
        file: of the plays, a CSV instead of Kaggle's.

    Raises:
        FileNotFoundError: it is neither in a cache nor reachable. ValueError: the file is none of the kind.
    """
    raw, revision = _raw(name, file)
    parts = TEXTS[name].parts(raw)
    texts = parts["validation"] + parts["test"] if split == "held-out" else parts[split]
    return TextData(name, split, texts, revision)
