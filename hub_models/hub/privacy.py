"""Finds what must not be published: tokens, passwords, and paths of a machine."""

import contextlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath
from typing import Any
from zipfile import ZipFile

from huggingface_hub import get_token

from ..run_folder import RECIPE

TOKEN = re.compile(
    r"(hf_|api_org_|gh[pousr]_)[A-Za-z0-9]{20,}|(github_pat_|glpat-|xox[a-z]-|AIza)[\w-]{20,}|(AKIA|ASIA)[0-9A-Z]{16}"
    r"|(?<![A-Za-z0-9])(sk-)(?=[\w-]*\d)[\w-]{20,}"
)
OTHER_SECRETS = {
    "a password in a URL": re.compile(r"://[^/\s:@\"'`{<]*:[^/\s@\"'`{<]+@"),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
}
SECRET_NAME = re.compile(r"(?:TOKEN|SECRETS?|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|(?:API|(?:^|_))KEY)(?:_|$)", re.I)
MIN_SECRET = 8  # characters: a shorter value of a variable is found in texts by chance
# A path below a folder that people's own folders lie in. What follows a host in a URL is none, and `./data/x` is none.
MACHINE = re.compile(
    r"(?:(?<![\w-])/(?:home|Users)/|(?<![\w.~)}-])/(?:root|tmp|mnt|media|Volumes|private|scratch|workspace|work|data|datasets"
    r"|storage|projects|srv|opt|nfs|gpfs|lustre|dbfs|kaggle|content|var/(?:folders|tmp|lib|home))/"
    r"|(?<![A-Za-z])[A-Za-z]:[\\/]+Users[\\/]+)[\w.~+@-][^\s\"'`,;\x00-\x1f\ufffd]*"
)
# A word of a command that is an absolute path: of POSIX, of Windows, below a home folder, or as a URL.
ABSOLUTE = re.compile(r"(?:^|(?<=[\s=\"'({\[,]))(?:~[\w.-]*/|/[^\s/]|\\\\\w|[A-Za-z]:[\\/]|file:/)[^\s\"']*")


def without_place(word: str) -> str:
    """A word of a command as it may be recorded: of a file, or of an absolute path, the last part only."""
    return PureWindowsPath(word).name if ABSOLUTE.match(word) or os.path.isfile(word) else word


def find_private(text: str, places: tuple[Path, ...] = ()) -> str:
    """Describe the first token, password or path of this machine in a text; "" if there is none.

    The description names the kind and never repeats a secret. Secrets are tokens of a known shape, passwords in URLs,
    private keys, the token that the Hub's client is logged in with, and the values of environment variables whose names
    say so (`WANDB_API_KEY`, ...), from 8 characters on. Paths are those below home folders and the like.

    Args:
        text: what is to be published.
        places: further folders whose paths are not to be published, beside the user's home and the current folder.
    """
    if found := TOKEN.search(text):
        return f"a token ({next(filter(None, found.groups()))}...)"
    for kind, pattern in OTHER_SECRETS.items():
        if pattern.search(text):
            return kind
    bare = _unquoted(text)
    for value, what in _secrets().items():
        if value in text or len(_unquoted(value)) >= MIN_SECRET and _unquoted(value) in bare:
            return what
    if found := MACHINE.search(text):
        return f"a path of a machine ({found.group()[:60]})"
    for place in (*places, Path.home(), Path.cwd()):
        own = rf"(?<![\w-]){re.escape(str(place))}(?![\w-])"
        if len(place.parts) > 2 and re.search(own, text):  # "/x" alone is found in texts by chance
            return f"a path of a machine ({place})"
    return ""


def find_in_json(value: Any, places: tuple[Path, ...] = (), commands: tuple[str, ...] | None = None) -> str:
    """`find_private` in all strings of a JSON value; of some also any absolute path, wherever it leads.

    Args:
        value: what `json.loads` returns.
        places: see `find_private`.
        commands: keys whose strings may hold no absolute path; None: no string may.
    """
    strings = list(_strings(value))
    if found := find_private("\n".join(text for _, text in strings), places):
        return found
    for key, text in strings:
        if (commands is None or key in commands) and (found := ABSOLUTE.search(text)):
            return f"a path of a machine ({found.group()[:60]})"
    return ""


def check_public(folder: Path, source: Path = Path()) -> None:
    """Refuse to publish a folder that holds a token, a password or a path of a machine.

    Reads texts and pictures whole, of weights and tables the metadata (of a table's columns the least and the greatest
    value are part of that, so also the paths of pictures that `datasets` leaves there), and what is in a wheel.

    Args:
        folder: all that would be uploaded.
        source: where its files come from, to be named in the message.

    Raises:
        ValueError: with one sentence on the file, what it holds (no secret is repeated) and what to do.
    """
    places = tuple({Path(os.path.abspath(source)), source.resolve()})
    files = [path for path in folder.rglob("*") if path.is_file()]
    for path in sorted(files, key=lambda path: (path.suffix != ".json", path)):  # cards, which repeat those, come last
        for name, data in _contents(path, path.relative_to(folder).as_posix()):
            if found := find_private(name):
                raise ValueError(f"a file's name in {source} holds {found}: rename the file, then publish again")
            text = data.decode("utf-8", "replace")
            found = find_private(text, places)
            if not found and name.endswith(".json"):
                found = find_in_json(json.loads(text), places, None if path.name == RECIPE else ("command",))
            if found:
                raise ValueError(
                    f"{source / name} holds {found}, which must not be published: remove it from that file, then "
                    "publish again; a model's card is made from the JSON files beside it"
                )


def _secrets() -> dict[str, str]:
    """Values that must not be published, and what each is."""
    named = {name: value.strip() for name, value in os.environ.items() if SECRET_NAME.search(name)}
    values = {value: f"the value of the environment variable {name}" for name, value in named.items()}
    with contextlib.suppress(PermissionError):  # another user's home, whose token no file of this process can hold
        values |= {get_token() or "": "the token that you are logged in with at the Hugging Face Hub"}
    return {value: what for value, what in values.items() if len(value) >= MIN_SECRET}


def _unquoted(text: str) -> str:
    """A text without what shells, JSON and YAML put before or around some characters."""
    return re.sub(r"[\\'\"]", "", text)


def _strings(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """All strings of a JSON value, keys too, each with the key that it stands under."""
    if isinstance(value, str):
        yield key, value
    for child in value if isinstance(value, list) else ():
        yield from _strings(child, key)
    for name, child in value.items() if isinstance(value, dict) else ():
        yield key, name
        yield from _strings(child, name)


def _contents(path: Path, name: str) -> Iterator[tuple[str, bytes]]:
    """What is searched of a file: names and bytes."""
    if path.suffix == ".whl":
        with ZipFile(path) as wheel:
            yield from ((f"{name}/{member}", wheel.read(member)) for member in wheel.namelist())
    elif path.suffix == ".safetensors":  # 8 bytes of length, then JSON that describes the tensors
        with path.open("rb") as file:
            yield name, file.read(int.from_bytes(file.read(8), "little"))
    elif path.suffix == ".parquet":  # ends in metadata, 4 bytes of their length, and 4 more
        with path.open("rb") as file:
            file.seek(-8, os.SEEK_END)
            length = int.from_bytes(file.read(4), "little")
            file.seek(-8 - length, os.SEEK_END)
            yield name, file.read(length)
    else:
        yield name, path.read_bytes()
