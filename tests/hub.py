"""A stand-in of the Hugging Face Hub on loopback, for tests with the real client: state in RAM, faults on demand.

It answers what the client asks when it publishes and loads, and refuses as the Hub does. It knows no pull requests,
no xet and no paging.
"""

import base64
import binascii
import contextlib
import dataclasses
import hashlib
import json
import os
import re
import select
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

import yaml  # comes with the client

LARGE, BINARY = 10_000_000, (".safetensors", ".parquet", ".png", ".webp", ".whl")  # what goes through Git LFS
LICENSES = (
    "apache-2.0 mit bsd-2-clause bsd-3-clause cc0-1.0 cc-by-4.0 cc-by-sa-4.0 cc-by-nc-4.0 gpl-2.0 gpl-3.0 lgpl-3.0 "
    "agpl-3.0 mpl-2.0 isc unlicense openrail other unknown"
)  # words, as below
PIPELINES = (
    "image-classification image-to-image unconditional-image-generation text-to-image image-segmentation "
    "text-classification text-generation token-classification fill-mask feature-extraction audio-classification "
    "tabular-classification time-series-forecasting other"
)
STATUS = {
    "500": (500, "Internal Server Error"),
    "503": (503, "Service Unavailable"),
    "429": (429, "Too Many Requests"),
    "disk-full": (507, "Insufficient Storage"),
    "wrong-hash": (500, "Internal Server Error"),  # of a PUT of an LFS object: 400
}
FAULTS = {*STATUS, "reset", "reset-after", "timeout"}
ROUTES: list[tuple[str, re.Pattern, Callable]] = []
REPO, REV, GIT = "/api/(model|dataset|space)s/([^/]+/[^/]+)", "/([^/]+)", "/(?:(dataset|space)s/)?([^/]+/[^/]+)"


class HubError(Exception):
    """An answer that is an error; `code` is the Hub's X-Error-Code, by which the client picks its exception."""

    def __init__(self, status: int, message: str, code: str | None = None, headers: dict | None = None, **fields):
        super().__init__(message)
        self.status, self.fields = status, {"error": message, **fields}
        self.headers = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {}), **(headers or {})}


class Request(NamedTuple):
    """What arrived, read whole, and from whom."""

    method: str
    path: str
    query: dict[str, list[str]]
    range: str
    body: bytes
    user: str | None
    spaces: set[str]  # what the user may write to

    def json(self) -> dict:
        return json.loads(self.body)

    def names(self) -> tuple[str, str, str]:
        """Kind, namespace and id of the repository of which the body speaks."""
        asked = self.json()
        namespace = asked.get("organization") or self.user or ""
        return asked.get("type") or "model", namespace, f"{namespace}/{asked['name']}"

    def check_writer(self, namespace: str) -> None:
        if self.user is None:
            raise HubError(401, "Invalid username or password.")
        if namespace not in self.spaces:
            raise HubError(403, f"{self.user} may not write to {namespace}")


class Reply(NamedTuple):
    """What goes back."""

    status: int
    body: bytes
    headers: dict


@dataclasses.dataclass(eq=False)
class Fault:
    """A fault for `times` requests after the next `at` ones; `fired` says how many it has hit."""

    at: int
    kind: str
    times: int
    fired: int = 0


class Commit(NamedTuple):
    """A whole tree and where it comes from."""

    sha: str
    parent: "Commit | None"
    summary: str
    description: str
    files: dict[str, bytes]
    date: str


@dataclasses.dataclass
class Repo:
    """A repository; `lfs` holds the uploaded objects by SHA-256, committed or not."""

    id: str
    kind: str
    private: bool
    sdk: str | None
    commits: list[Commit] = dataclasses.field(default_factory=list)
    branches: dict[str, Commit] = dataclasses.field(default_factory=dict)
    tags: dict[str, Commit] = dataclasses.field(default_factory=dict)
    lfs: dict[str, bytes] = dataclasses.field(default_factory=dict)

    @property
    def head(self) -> Commit:
        return self.branches["main"]

    def commit(self, branch: str, files: dict[str, bytes], summary: str, description: str = "") -> Commit:
        """Add a commit to a branch."""
        parent = self.branches.get(branch)
        content = {path: etag(path, data) for path, data in sorted(files.items())}
        seed = [self.kind, self.id, len(self.commits), parent and parent.sha, summary, content]
        sha = hashlib.sha1(json.dumps(seed).encode()).hexdigest()
        made = Commit(sha, parent, summary, description, files, now())
        self.commits.append(made)
        self.branches[branch] = made
        return made

    def at(self, revision: str) -> Commit:
        """The commit of a branch, a tag or a sha."""
        found = {commit.sha: commit for commit in self.commits} | self.tags | self.branches
        if revision not in found:
            raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return found[revision]


def now() -> str:
    """The time as the Hub writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def is_lfs(path: str, size: int) -> bool:
    """Whether a file goes through Git LFS; an empty one never does."""
    return size > 0 and (path.endswith(BINARY) or size > LARGE)


def git_sha1(data: bytes) -> str:
    """The id that git gives a blob."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def etag(path: str, data: bytes) -> str:
    """The id by which the client tells whether it has a file already."""
    return hashlib.sha256(data).hexdigest() if is_lfs(path, len(data)) else git_sha1(data)


def entry(path: str, data: bytes) -> dict:
    """A file as a listing has it."""
    found = {"type": "file", "path": path, "size": len(data), "oid": git_sha1(data)}
    if is_lfs(path, len(data)):
        sha = etag(path, data)
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha}\nsize {len(data)}\n".encode()
        found |= {"oid": git_sha1(pointer), "lfs": {"oid": sha, "size": len(data), "pointerSize": len(pointer)}}
    return found


def listing(files: dict[str, bytes]) -> dict[str, dict]:
    """All files and the folders that they are in, by path."""
    folders = {str(parent) for path in files for parent in Path(path).parents} - {"."}
    found = {path: {"type": "directory", "path": path, "size": 0, "oid": git_sha1(path.encode())} for path in folders}
    return dict(sorted((found | {path: entry(path, data) for path, data in files.items()}).items()))


def metadata(text: str) -> dict | None:
    """The YAML block on top of a README.md, or None.

    Raises:
        ValueError: it is no YAML, or no mapping.
    """
    block = re.match(r"\s*---[ \t]*\r?\n(.*?)^---[ \t]*\r?$", text, re.S | re.M)
    try:
        data = yaml.safe_load(block[1]) if block else None
    except yaml.YAMLError as error:
        raise ValueError(f"the metadata is no valid YAML: {error}") from error
    if data is not None and not isinstance(data, dict):
        raise ValueError("the metadata is no mapping")
    return data


def card_tags(card: dict, files: dict[str, bytes]) -> list[str]:
    """The tags that the Hub makes from a card and the files."""

    def several(key: str) -> list:
        value = card.get(key)
        return value if isinstance(value, list) else [] if value is None else [value]

    tags = [*several("library_name"), *(["safetensors"] if "model.safetensors" in files else []), *several("tags")]
    tags += several("pipeline_tag") + several("language") + (["model-index"] if "model-index" in card else [])
    tags += [f"dataset:{name}" for name in several("datasets")] + [f"base_model:{n}" for n in several("base_model")]
    tags += [f"task_categories:{n}" for n in several("task_categories")] + [f"license:{n}" for n in several("license")]
    return list(dict.fromkeys([*tags, "region:us"]))


def evaluations(files: dict[str, bytes]) -> list[dict]:
    """The entries of `.eval_results/*.yaml`, or for a file that is none, what is wrong with it."""
    found = []
    for path, data in sorted(files.items()):
        if not re.fullmatch(r"\.eval_results/[^/]+\.ya?ml", path):
            continue
        try:
            entries = yaml.safe_load(data)
            if not entries or not all({"id", "task_id"} <= set(e["dataset"]) and "value" in e for e in entries):
                raise ValueError("an entry needs dataset.id, dataset.task_id and value")
            found += [{"filename": path, "data": e} for e in entries]
        except (yaml.YAMLError, ValueError, TypeError, KeyError) as error:
            found.append({"filename": path, "error": str(error)})
    return found


def route(method: str, pattern: str) -> Callable:
    """Enter a method of StandIn into ROUTES; the pattern's groups are its arguments, and HEAD is a GET."""

    def enter(function: Callable) -> Callable:
        ROUTES.append((method, re.compile(pattern), function))
        return function

    return enter


class StandIn:
    """The Hub, while it is a context: `url`, `requests`, `repos`, `collections`, and faults by `fail` and `fault`."""

    def __init__(self):
        self.tokens = {"hf_writer": ("ns", {"ns"}), "hf_reader": ("reader", {"reader"})}  # user, may write to
        self.requests: list[tuple[str, str]] = []
        self.repos: dict[tuple[str, str], Repo] = {}
        self.collections: dict[str, dict] = {}
        self.closing = threading.Event()
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.hub = self
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> "StandIn":
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def files(self, repo_id: str, kind: str = "model") -> dict[str, bytes]:
        """What is at the head of main."""
        return self.repos[kind, repo_id].head.files

    def environment(self, home: Path, token: str | None = "hf_writer") -> dict[str, str]:
        """Variables for a subprocess whose client talks to this Hub only, and knows nothing of the user's own."""
        foreign = ("hf_", "huggingface", "hugging_face", "transformers_offline")
        clean = {k: v for k, v in os.environ.items() if not k.lower().startswith(foreign) and "proxy" not in k.lower()}
        names = ("XET", "TELEMETRY", "UPDATE_CHECK", "PROGRESS_BARS")
        clean |= {f"HF_HUB_DISABLE_{name}": "1" for name in names}
        clean |= {"HF_ENDPOINT": self.url, "HF_HOME": str(home), "NO_PROXY": "127.0.0.1", "OMP_NUM_THREADS": "1"}
        return clean | ({"HF_TOKEN": token} if token else {})

    def fail(self, at: int, kind: str, times: int = 1) -> Fault:
        """Let `at` more requests pass, then hit `times` many with a fault; see FAULTS."""
        if kind not in FAULTS:
            raise ValueError(f"fault {kind!r}: give one of {', '.join(sorted(FAULTS))}")
        with self._lock:
            self._faults.append(Fault(at, kind, times))
            return self._faults[-1]

    @contextlib.contextmanager
    def fault(self, at: int, kind: str, times: int = 1) -> Iterator[Fault]:
        """`fail` that ends with the context, whether the fault was reached or not."""
        fault = self.fail(at, kind, times)
        try:
            yield fault
        finally:
            with self._lock:
                self._faults.remove(fault)

    # How a request is answered.

    def count(self, method: str, address: str) -> str | None:
        """Note a request, and say which fault hits it."""
        kind = None
        with self._lock:
            self.requests.append((method, address))
            for fault in self._faults:
                if fault.at:
                    fault.at -= 1
                elif fault.fired < fault.times:
                    fault.fired, kind = fault.fired + 1, fault.kind
        return kind

    def answer(self, method: str, address: str, headers: Message, body: bytes, fault: str | None) -> Reply:
        """The one place where errors become answers."""
        url, token = urlsplit(address), (headers["Authorization"] or "").removeprefix("Bearer ")
        path, who = url.path, self.tokens.get(token, (None, set()))
        request = Request(method, path, parse_qs(url.query), headers["Range"] or "", body, *who)
        try:
            if fault == "wrong-hash" and method == "PUT" and path.startswith("/lfs/"):
                raise HubError(400, "The SHA-256 of the upload is not what was promised")
            if fault in STATUS:
                raise HubError(*STATUS[fault])
            for verb, pattern, function in ROUTES:
                if verb == method.replace("HEAD", "GET") and (match := pattern.fullmatch(path)):
                    groups = [group and unquote(group) for group in match.groups()]
                    with self._lock:
                        done = function(self, request, *groups)
                        return done if isinstance(done, Reply) else as_json(200, done)
            raise HubError(404, f"The stand-in does not know {request.method} {path}")
        except HubError as error:
            return as_json(error.status, error.fields, error.headers)
        except (KeyError, TypeError, ValueError) as error:
            return as_json(400, {"error": f"Malformed request: {error!r}"})

    def _find(self, request: Request, kind: str | None, repo_id: str, write: bool = False) -> Repo:
        repo, namespace = self.repos.get((kind or "model", repo_id)), repo_id.split("/")[0]
        if write and request.user is None:
            raise HubError(401, "Invalid username or password.")
        if repo is None or (repo.private and namespace not in request.spaces):  # which of the two, nobody may know
            if request.user is None:
                raise HubError(401, "Invalid username or password.", "RepoNotFound")
            raise HubError(404, "Repository not found", "RepoNotFound")
        if write:
            request.check_writer(namespace)
        return repo

    def _address(self, repo: Repo) -> str:
        return f"{self.url}/{'' if repo.kind == 'model' else repo.kind + 's/'}{repo.id}"

    # Repositories.

    @route("GET", "/api/whoami-v2")
    def _whoami(self, request: Request) -> dict:
        if (user := request.user) is None:
            raise HubError(401, "Invalid username or password.")
        orgs = [{"type": "org", "name": name, "fullname": name} for name in sorted(request.spaces - {user})]
        auth = {"type": "access_token", "accessToken": {"displayName": "test", "role": "write", "createdAt": now()}}
        return {"type": "user", "id": user, "name": user, "fullname": user, "orgs": orgs, "auth": auth}

    @route("POST", "/api/repos/create")
    def _create(self, request: Request) -> dict:
        kind, namespace, repo_id = request.names()
        asked, sdk = request.json(), request.json().get("sdk")
        request.check_writer(namespace)
        if kind not in ("model", "dataset", "space") or not re.fullmatch(r"[\w.-]{1,96}", asked["name"]):
            raise HubError(400, f"Invalid repo type or name: {kind} {repo_id}")
        if kind == "space" and sdk not in ("gradio", "docker", "static"):
            raise HubError(400, f"Invalid sdk of a Space: {sdk}")
        if (kind, repo_id) in self.repos:
            url = self._address(self.repos[kind, repo_id])
            raise HubError(409, f"You already created this {kind} repo", url=url)
        repo = self.repos[kind, repo_id] = Repo(repo_id, kind, is_private(asked) or False, sdk)
        attributes = "".join(f"*{ending} filter=lfs diff=lfs merge=lfs -text\n" for ending in BINARY)
        repo.commit("main", {".gitattributes": attributes.encode()}, "initial commit")
        return {"url": self._address(repo), "name": repo_id, "id": repo_id}

    @route("DELETE", "/api/repos/delete")
    def _delete(self, request: Request) -> dict:
        kind, _, repo_id = request.names()
        repo = self._find(request, kind, repo_id, write=True)
        del self.repos[repo.kind, repo.id]
        return {}

    @route("PUT", REPO + "/settings")
    def _settings(self, request: Request, kind: str, repo_id: str) -> dict:
        repo = self._find(request, kind, repo_id, write=True)
        private = is_private(request.json())
        repo.private = repo.private if private is None else private
        return {"private": repo.private}

    @route("GET", REPO)
    @route("GET", REPO + "/revision" + REV)
    def _info(self, request: Request, kind: str, repo_id: str, revision: str = "main") -> dict:
        repo = self._find(request, kind, repo_id)
        commit = repo.at(revision)
        try:
            card = metadata(commit.files.get("README.md", b"").decode(errors="replace")) or {}
        except ValueError:
            card = {}
        siblings = [{"rfilename": path} for path in sorted(commit.files)]
        for sibling in siblings if "blobs" in request.query else ():
            found = entry(sibling["rfilename"], commit.files[sibling["rfilename"]])
            lfs = {"lfs": {"sha256": found["lfs"]["oid"], **found["lfs"]}} if "lfs" in found else {}
            sibling |= {"size": found["size"], "blobId": found["oid"], **lfs}
        info = {"_id": git_sha1(repo_id.encode())[:24], "id": repo_id, "author": repo_id.split("/")[0]}
        info |= {"sha": commit.sha, "lastModified": commit.date, "createdAt": repo.commits[0].date, "downloads": 0}
        info |= {"private": repo.private, "gated": False, "disabled": False, "likes": 0, "siblings": siblings}
        info |= {"tags": card_tags(card, commit.files), **({"cardData": card} if card else {})}
        if kind == "model":
            info |= {key: card[key] for key in ("pipeline_tag", "library_name", "model-index") if key in card}
            info |= {"modelId": repo_id, "evalResults": evaluations(commit.files)}
        if kind == "space":
            info |= {"sdk": repo.sdk}
        wanted = request.query.get("expand")
        return {k: v for k, v in info.items() if (k in ("_id", "id", *wanted) if wanted else k != "evalResults")}

    # Files out.

    @route("GET", REPO + "/tree" + REV + "(?:/(.+))?")
    def _tree(self, request: Request, kind: str, repo_id: str, revision: str, folder: str | None) -> list[dict]:
        found = listing(self._find(request, kind, repo_id).at(revision).files)
        if folder and found.get(folder.rstrip("/"), {}).get("type") != "directory":
            raise HubError(404, f"{folder} does not exist on {revision}", "EntryNotFound")
        prefix = folder.rstrip("/") + "/" if folder else ""
        deep = request.query.get("recursive", ["false"])[0].lower() in ("true", "1")
        return [e for p, e in found.items() if p.startswith(prefix) and (deep or "/" not in p[len(prefix) :])]

    @route("POST", REPO + "/paths-info" + REV)
    def _paths_info(self, request: Request, kind: str, repo_id: str, revision: str) -> list[dict]:
        found = listing(self._find(request, kind, repo_id).at(revision).files)
        form = parse_qs(request.body.decode())
        return [found[path] for path in form.get("paths", []) if path in found]

    @route("GET", GIT + "/resolve" + REV + "/(.+)")
    def _resolve(self, request: Request, kind: str | None, repo_id: str, revision: str, path: str) -> Reply:
        commit = self._find(request, kind, repo_id).at(revision)
        headers = {"X-Repo-Commit": commit.sha, "Accept-Ranges": "bytes"}
        if path not in commit.files:
            raise HubError(404, "Entry not found", "EntryNotFound", headers)
        data = commit.files[path]
        headers |= {"ETag": f'"{etag(path, data)}"', "Content-Type": "application/octet-stream"}
        part = re.fullmatch(r"bytes=(\d*)-(\d*)", request.range)
        if not part or part.groups() == ("", ""):
            return Reply(200, data, headers)
        first, last = part.groups()
        start = int(first) if first else max(0, len(data) - int(last))
        stop = min(int(last) + 1, len(data)) if first and last else len(data)
        if start >= stop:
            raise HubError(416, "Range not satisfiable", headers={"Content-Range": f"bytes */{len(data)}"})
        return Reply(206, data[start:stop], headers | {"Content-Range": f"bytes {start}-{stop - 1}/{len(data)}"})

    @route("GET", REPO + "/refs")
    def _refs(self, request: Request, kind: str, repo_id: str) -> dict:
        repo = self._find(request, kind, repo_id)

        def refs(where: str, names: dict[str, Commit]) -> list[dict]:
            return [{"name": n, "ref": f"refs/{where}/{n}", "targetCommit": c.sha} for n, c in names.items()]

        found = {"branches": refs("heads", repo.branches), "tags": refs("tags", repo.tags)}
        return found | {"converts": [], "pullRequests": []}

    @route("GET", REPO + "/commits" + REV)
    def _commits(self, request: Request, kind: str, repo_id: str, revision: str) -> list[dict]:
        found, commit = [], self._find(request, kind, repo_id).at(revision)
        while commit:
            texts = {"title": commit.summary, "message": commit.description}
            found.append({"id": commit.sha, "authors": [{"user": repo_id.split("/")[0]}], "date": commit.date, **texts})
            commit = commit.parent
        return found

    # Files in.

    @route("POST", "/api/validate-yaml")
    def _validate(self, request: Request) -> dict:
        asked, wrong = request.json(), []
        try:
            card = metadata(asked["content"])
        except ValueError as error:
            raise HubError(400, str(error), errors=[{"message": str(error)}], warnings=[]) from error
        if card and asked.get("repoType", "model") == "model":
            for key, known in (("license", LICENSES.split()), ("pipeline_tag", PIPELINES.split())):
                given = card.get(key, [])
                unknown = [x for x in (given if isinstance(given, list) else [given]) if x not in known]
                wrong += [{"message": f'"{key}" must be one of {", ".join(sorted(known))}: {x!r}'} for x in unknown]
        if wrong:
            raise HubError(400, "Invalid metadata", errors=wrong, warnings=[])
        return {"errors": [], "warnings": [] if card else [{"message": "empty or missing yaml metadata in repo card"}]}

    @route("POST", REPO + "/preupload" + REV)
    def _preupload(self, request: Request, kind: str, repo_id: str, revision: str) -> dict:
        files, answers = self._find(request, kind, repo_id, write=True).at(revision).files, []
        for file in request.json()["files"]:
            path, mode = file["path"], "lfs" if is_lfs(file["path"], file["size"]) else "regular"
            known = {"oid": etag(path, files[path])} if path in files else {}
            answers.append({"path": path, "uploadMode": mode, "shouldIgnore": False, **known})
        return {"files": answers}

    @route("POST", GIT + r"\.git/info/lfs/objects/batch")
    def _batch(self, request: Request, kind: str | None, repo_id: str) -> dict:
        repo, answers = self._find(request, kind, repo_id, write=True), []
        for thing in request.json()["objects"]:
            answer, where = {"oid": thing["oid"], "size": thing["size"]}, f"{self.url}/lfs/{repo.kind}/{repo.id}"
            if thing["oid"] not in repo.lfs:
                hrefs = {"upload": f"{where}/{thing['oid']}", "verify": f"{where}/verify"}
                answer["actions"] = {name: {"href": href} for name, href in hrefs.items()}
            answers.append(answer)
        return {"transfer": "basic", "objects": answers}

    @route("PUT", "/lfs/([^/]+)/([^/]+/[^/]+)/([0-9a-f]{64})")
    def _upload(self, request: Request, kind: str, repo_id: str, oid: str) -> dict:
        if hashlib.sha256(request.body).hexdigest() != oid:
            raise HubError(400, "The SHA-256 of the upload is not what was promised")
        self.repos[kind, repo_id].lfs[oid] = request.body  # the address itself is the permission
        return {}

    @route("POST", "/lfs/([^/]+)/([^/]+/[^/]+)/verify")
    def _verify(self, request: Request, kind: str, repo_id: str) -> dict:
        stored = self._find(request, kind, repo_id, write=True).lfs.get(request.json()["oid"])
        if stored is None or len(stored) != request.json()["size"]:
            raise HubError(404, "The object is not there, or not of this size")
        return {}

    @route("POST", REPO + "/commit" + REV)
    def _commit(self, request: Request, kind: str, repo_id: str, branch: str) -> dict:
        """All operations or none: nothing of the repository changes before all of them are known to be good."""
        repo = self._find(request, kind, repo_id, write=True)
        if "create_pr" in request.query or branch not in repo.branches:
            raise HubError(404, f"There is no branch {branch}, or a pull request was asked for", "RevisionNotFound")
        header, *operations = [json.loads(line) for line in request.body.splitlines()]
        if header["key"] != "header":
            raise HubError(400, "A commit begins with its header")
        head, wanted = repo.branches[branch], header["value"].get("parentCommit")
        if wanted and not head.sha.startswith(wanted):
            raise HubError(412, "A commit has happened since. Please refresh and try again.")
        files = dict(head.files)
        for operation in operations:
            change(files, operation["key"], operation["value"], repo.lfs)
        value = header["value"]
        made = repo.commit(branch, files, value["summary"], value.get("description", ""))
        return {"success": True, "commitOid": made.sha, "commitUrl": f"{self._address(repo)}/commit/{made.sha}"}

    @route("POST", REPO + "/(tag|branch)" + REV)
    @route("DELETE", REPO + "/(tag|branch)" + REV)
    def _ref(self, request: Request, kind: str, repo_id: str, what: str, name: str) -> dict:
        """Make or delete a tag or a branch; a tag is made under `tag/{revision}`, with its name in the body."""
        repo, asked = self._find(request, kind, repo_id, write=True), json.loads(request.body or b"{}")
        names = repo.tags if what == "tag" else repo.branches
        if request.method == "DELETE":
            if name == "main" or names.pop(name, None) is None:
                raise HubError(404, f"There is no {what} {name} to delete", "RevisionNotFound")
            return {}
        commit = repo.at(name if what == "tag" else asked.get("startingPoint", "main"))
        name = asked.get("tag", name)
        if name in names:
            raise HubError(409, f"The {what} {name} exists already")
        names[name] = commit
        return {}

    # Collections.

    def _collection(self, request: Request, slug: str, write: bool = False) -> dict:
        found = self.collections.get(slug)
        if found is None or (found["private"] and found["owner"]["name"] not in request.spaces):
            raise HubError(404, f"There is no collection {slug}")
        if write:
            request.check_writer(found["owner"]["name"])
        return found

    @route("POST", "/api/collections")
    def _create_collection(self, request: Request) -> dict:
        asked = request.json()
        namespace, title = asked["namespace"], asked["title"]
        request.check_writer(namespace)
        slug = f"{namespace}/{re.sub('[^a-z0-9]+', '-', title.lower()).strip('-')}-{git_sha1(title.encode())[:24]}"
        if slug in self.collections:
            raise HubError(409, "You already have a collection with this title", slug=slug)
        texts = {"slug": slug, "title": title, "description": asked.get("description"), "lastUpdated": now()}
        state = {"private": asked.get("private", False), "theme": "blue", "position": 0, "upvotes": 0, "items": []}
        self.collections[slug] = texts | state | {"owner": {"name": namespace, "type": "user"}}
        return self.collections[slug]

    @route("GET", "/api/collections/([^/]+/[^/]+)")
    def _get_collection(self, request: Request, slug: str) -> dict:
        return self._collection(request, slug)

    @route("PATCH", "/api/collections/([^/]+/[^/]+)")
    def _update_collection(self, request: Request, slug: str) -> dict:
        found = self._collection(request, slug, write=True)
        found |= {k: v for k, v in request.json().items() if k in ("title", "description", "private", "theme")}
        return {"success": True, "data": found}

    @route("POST", "/api/collections/([^/]+/[^/]+)/items")
    def _add_item(self, request: Request, slug: str) -> dict:
        found, asked = self._collection(request, slug, write=True), request.json()
        kind, repo_id, items = asked["item"]["type"], asked["item"]["id"], found["items"]
        self._find(request, kind, repo_id)
        if any((item["type"], item["id"]) == (kind, repo_id) for item in items):
            raise HubError(409, f"{repo_id} is in the collection already")
        note = {"note": {"text": asked["note"]}} if "note" in asked else {}
        key = git_sha1(f"{kind} {repo_id}".encode())[:24]
        items.append({"_id": key, "id": repo_id, "type": kind, "position": len(items), **note})
        return found


def is_private(asked: dict) -> bool | None:
    """Whether a request wants a private repository: the client says `visibility`, before version 1 `private`."""
    return asked["visibility"] == "private" if "visibility" in asked else asked.get("private")


def change(files: dict[str, bytes], key: str, value: dict, lfs: dict[str, bytes]) -> None:
    """Do one operation of a commit to a tree."""
    path = value["path"]
    if not path or path.startswith("/") or {"..", ".", ".git"} & set(path.split("/")):
        raise HubError(400, f"Invalid path: {path!r}")
    if key == "file":
        try:
            files[path] = base64.b64decode(value["content"], validate=True)
        except binascii.Error as error:
            raise HubError(400, f"{path} is no base64: {error}") from error
    elif key == "lfsFile":
        stored = lfs.get(value["oid"])
        if stored is None or value.get("size", len(stored)) != len(stored):
            raise HubError(400, f"The LFS object of {path} was not uploaded, or is not of this size: {value['oid']}")
        files[path] = stored
    elif key in ("deletedFile", "deletedFolder"):
        folder = path.rstrip("/") + "/"
        gone = [p for p in files if (p == path if key == "deletedFile" else p.startswith(folder))]
        if not gone:
            raise HubError(404, f"A file with this name doesn't exist: {path}", "EntryNotFound")
        for found in gone:
            del files[found]
    else:
        raise HubError(400, f"Unknown operation: {key}")


def as_json(status: int, value: dict | list, headers: dict | None = None) -> Reply:
    """A reply in JSON; dates, which YAML reads without being asked, go as text."""
    body = json.dumps(value, default=str).encode()
    return Reply(status, body, {"Content-Type": "application/json", **(headers or {})})


class Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else header and body of each answer are 40 ms apart

    def serve(self) -> None:
        """Read one request whole, and answer it in the way of its fault."""
        hub, size = self.server.hub, int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(size)
        if len(body) < size or "Transfer-Encoding" in self.headers:  # the client is gone, or sends what we cannot read
            return self.reset()
        daily = self.path == "/api/agent-harnesses"  # asked once a day by each HF_HOME: it must not shift the count
        fault = None if daily else hub.count(self.command, self.path)
        if fault == "timeout":
            while not hub.closing.is_set() and not select.select([self.connection], [], [], 0.05)[0]:
                pass  # until the client hangs up
        if hub.closing.is_set() or fault in ("reset", "timeout"):
            return self.reset()
        reply = hub.answer(self.command, self.path, self.headers, body, fault)
        if fault == "reset-after":
            return self.reset()
        self.send_response(reply.status)
        for name, value in (reply.headers | {"Content-Length": len(reply.body)}).items():
            self.send_header(name, str(value).encode("ascii", "replace").decode().replace("\n", " "))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)
        return None

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = serve  # noqa: N815

    def reset(self) -> None:
        """Cut the connection as a failing network does, not as a server that says goodbye."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.rfile.close()
        self.connection.close()

    def log_message(self, *_) -> None:
        pass


class Server(ThreadingHTTPServer):
    """Threads that hold nothing up, and a client that leaves is no error."""

    request_queue_size = 64
    hub: StandIn

    def handle_error(self, request, client_address) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)
