"""Putting a prepared folder on the Hub: its card checked, one commit, tried again while the line is bad."""

import itertools
import logging
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, TypeVar

from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    DatasetCard,
    HfApi,
    ModelCard,
    SpaceCard,
    constants,
    get_token,
    set_client_factory,
)
from huggingface_hub.errors import HFValidationError, HTTPError
from huggingface_hub.utils import filter_repo_objects, validate_repo_id
from huggingface_hub.utils._http import default_client_factory  # with the hooks of offline mode

from ..config import nearest
from ..environment import client_fault

logger = logging.getLogger(__name__)
T = TypeVar("T")

WAITS = (1, 2, 4, 8)  # seconds before each further try
TIMEOUT = 60  # seconds without a byte; the Hub's client would wait for ever
AGAIN = {408, 409, 412, 425, 429}  # statuses, beside all of 500 and above, that may pass; 412: another was first

# What the Hub knows; its client sends anything, and a page with a word it does not know shows nothing.
LICENCES = {
    *("apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "isc", "unlicense", "zlib", "bsl-1.0", "artistic-2.0"),
    *("cc0-1.0", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-4.0"),
    *("cc-by-nd-4.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-4.0", "pddl", "odc-by", "odbl", "cdla-permissive-2.0", "c-uda"),
    *("gpl-2.0", "gpl-3.0", "lgpl-2.1", "lgpl-3.0", "agpl-3.0", "mpl-2.0", "epl-2.0", "eupl-1.2", "afl-3.0"),
    *("openrail", "creativeml-openrail-m", "other", "unknown"),
}
PIPELINES = {
    *("image-classification", "unconditional-image-generation", "image-to-image", "text-to-image", "image-to-text"),
    *("text-generation", "text-classification", "image-feature-extraction", "image-text-to-text", "feature-extraction"),
}
LIBRARIES = {"scanline"}


def check_card(text: str, kind: str, datasets: Collection[str] | None = None) -> dict:
    """The metadata of a README for the Hub, once every word in it is one that the Hub knows.

    Args:
        text: the README.
        kind: "model", "dataset" or "space".
        datasets: ids of those that the card may name; without, any.

    Raises:
        ValueError: no metadata, broken YAML, or a licence, pipeline tag, library or data set that is none of ours.
    """
    try:
        card = {"model": ModelCard, "dataset": DatasetCard, "space": SpaceCard}[kind]
        metadata = card(text, ignore_metadata_errors=False).data.to_dict()
    except Exception as error:  # the YAML parser's own types, and ValueError
        reason = " ".join(str(error).split())
        raise ValueError(f"the metadata at the top of README.md cannot be read ({reason}): correct it") from error
    lists: dict[str, Collection[str]] = {"license": LICENCES}
    if kind == "model":
        lists |= {"pipeline_tag": PIPELINES, "library_name": LIBRARIES}
    if datasets is not None:
        lists["datasets"] = datasets
    for field, known in lists.items():
        values = metadata.get(field)
        if not values:
            raise ValueError(f"README.md states no {field}: add it to the metadata at its top")
        for value in values if isinstance(values, list) else [values]:
            if value not in known:
                raise ValueError(
                    f"README.md states {field}: {value!r}, unknown here: {nearest(str(value), sorted(known))}"
                )
    return metadata


def check_id(namespace: str, name: str) -> str:
    """`namespace/name`, once it is one that the Hub takes.

    Raises:
        ValueError: it is not.
    """
    try:
        if not ("/" not in namespace and bool(namespace)):
            raise ValueError("a namespace is one word")
        validate_repo_id(f"{namespace}/{name}")
    except (HFValidationError, ValueError) as error:
        told = "is no repository id: use letters, digits, - _ and . only, 96 characters at most"
        raise ValueError(f"{namespace}/{name} {told}") from error
    return f"{namespace}/{name}"


def retried(what: str, call: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """`call(*args, **kwargs)` to the Hub, tried again with growing waits while it fails for what may pass.

    Raises:
        PermissionError: no token, or one without the right. OSError: the Hub refuses or cannot be reached.
        ValueError: it does not like a card.
    """
    for wait in (*WAITS, None):
        try:
            return call(*args, **kwargs)
        except (HTTPError, OSError, RuntimeError) as raised:
            error = raised.__cause__ if isinstance(raised, RuntimeError) and raised.__cause__ else raised  # a file's
            status = getattr(getattr(error, "response", None), "status_code", None)
            reason = str(getattr(error, "server_message", None) or error).strip().partition("\n")[0] or repr(error)
            if status == 401:
                told = "the Hub does not accept your token: log in with `hf auth login`, or set HF_TOKEN to a valid one"
                raise PermissionError(f"{what} failed: {told}") from error
            if status == 403:
                told = "your token has no right to write there: use one that has, or another namespace"
                raise PermissionError(f"{what} failed: {told} ({reason})") from error
            passing = status is None or status >= 500 or status in AGAIN or error is not raised
            if wait is None or not passing:
                told = "nothing is half published" + ("; run the same command again" if passing else "")
                raise OSError(f"{what} failed ({reason}): {told}") from error
            logger.warning("%s failed (%s): trying again in %d s", what, reason, wait)
            time.sleep(wait)
        except ValueError as error:  # what the Hub says of a card, on several lines
            raise ValueError(f"{what} failed: {' '.join(str(error).split())}") from error
    raise AssertionError("unreachable")


def connect() -> HfApi:
    """The Hub's client, with a limit to how long it waits for an answer.

    Raises:
        PermissionError: there is no token. ConnectionError: the client must stay offline, or cannot be made.
    """
    if constants.HF_HUB_OFFLINE:
        raise ConnectionError("HF_HUB_OFFLINE is set: unset it to publish, or look first with --dry-run")
    if not get_token():
        raise PermissionError("you are not logged in to the Hub: run `hf auth login`, or set HF_TOKEN")

    def patient():
        client = default_client_factory()
        client.timeout = TIMEOUT
        return client

    set_client_factory(patient)
    if fault := client_fault():
        raise ConnectionError(fault)
    return HfApi()


def upload(folder: Path, repo_id: str, kind: str, *, replaced: list[str], private: bool = False) -> str:
    """Make a repository hold what a folder holds, in one commit or, where nothing differs, in none.

    Args:
        folder: all of it is uploaded.
        repo_id: `namespace/name`; the repository is made where it is not there.
        kind: "model", "dataset" or "space".
        replaced: patterns of the repository's files that are deleted where the folder lacks them.
        private: make it private; one that is there and public is refused.

    Returns:
        the repository's address.

    Raises:
        PermissionError, OSError: see `retried`. ValueError: it is public and was to be private.
    """
    api = connect()
    sdk = "gradio" if kind == "space" else None
    make = {"repo_type": kind, "private": private or None, "space_sdk": sdk, "exist_ok": True}
    retried(f"making {repo_id}", api.create_repo, repo_id, **make)

    def commit() -> None:  # from what is there now: the try before may have come through without our hearing of it
        there = api.repo_info(repo_id, repo_type=kind, timeout=TIMEOUT)
        if not there.private and private:
            raise ValueError(f"{repo_id} is public already: make it private in its settings, or leave out --private")
        ours = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
        theirs = {file.rfilename for file in there.siblings or []} - {*ours, ".gitattributes"}
        gone = filter_repo_objects(sorted(theirs), allow_patterns=replaced)
        operations = [*itertools.starmap(CommitOperationAdd, ours.items()), *map(CommitOperationDelete, gone)]
        message = {"commit_message": "Publish with Scanline", "parent_commit": there.sha}  # or two at once would mix
        api.create_commit(repo_id, operations, repo_type=kind, **message)

    retried(f"publishing {repo_id}", commit)
    prefix = {"model": "", "dataset": "datasets/", "space": "spaces/"}[kind]
    return f"{constants.ENDPOINT}/{prefix}{repo_id}"


def listing(folder: Path) -> str:
    """The files of a folder and their sizes, a line each, for --dry-run."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return "\n".join(f"  {path.relative_to(folder)}  {path.stat().st_size:,} bytes" for path in files)
