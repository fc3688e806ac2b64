"""The stand-in of the Hub, driven by the real client in processes of its own."""

import hashlib
import http.client
import json
import sys
from pathlib import Path
from urllib.parse import urlsplit

import commands
import pytest
from hub import StandIn

CARD = """---
license: mit
pipeline_tag: image-to-image
library_name: scanline
tags: [pixels]
datasets: [ylecun/mnist]
language: en
model-index:
- name: m
  results:
  - task: {type: image-to-image}
    dataset: {type: ylecun/mnist, name: MNIST}
    metrics: [{type: bpd, value: 1.5}]
---
# A model
"""
EVALUATION = """- dataset: {id: ylecun/mnist, task_id: default}
  value: 0.5
  date: 2026-11-22
"""
START = """
import json, sys
from huggingface_hub import HfApi, CommitOperationAdd, CommitOperationDelete, errors, snapshot_download
api, said = HfApi(), {}
def refusal(call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except Exception as error:
        root = error.__cause__ if type(error) is RuntimeError else error  # which the upload of an LFS object hides
        return [type(error).__name__, getattr(getattr(root, "response", None), "status_code", None)]
"""


@pytest.fixture
def hub():
    with StandIn() as hub:
        yield hub


@pytest.fixture
def folder(tmp_path) -> Path:
    """Files of a model: regular ones, one for LFS, one in a folder of its own."""
    import torch
    from safetensors.torch import save_file

    made = tmp_path / "model"
    (made / ".eval_results").mkdir(parents=True)
    (made / "README.md").write_text(CARD)
    (made / "config.json").write_text("{}")
    (made / ".eval_results" / "mnist.yaml").write_text(EVALUATION)
    save_file({"weight": torch.zeros(3)}, made / "model.safetensors")
    return made


def contents(folder: Path) -> dict[str, bytes]:
    """Files of a folder by path."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def client(hub: StandIn, home: Path, script: str, *arguments: object, token: str | None = "hf_writer", **variables):
    """What a script says, in a process with the real client, whose last line prints it as JSON."""
    code = START + script + "\nprint(json.dumps(said, default=str))"
    environment = hub.environment(home, token) | variables
    done = commands.run("-c", code, *arguments, env=environment, cwd=home.parent, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def publish(hub: StandIn, home: Path, folder: Path) -> None:
    """Create ns/m and upload a folder to it."""
    script = "api.create_repo('ns/m', exist_ok=True); api.upload_folder(repo_id='ns/m', folder_path=sys.argv[1])"
    client(hub, home, script, folder)


def test_publish_and_load(hub, folder, tmp_path):
    said = client(
        hub,
        tmp_path / "home",
        """
folder, target = sys.argv[1:]
api.create_repo("ns/m")
said["again"] = refusal(api.create_repo, "ns/m")
said["sha"] = api.upload_folder(repo_id="ns/m", folder_path=folder, commit_message="first").oid
said["unchanged"] = api.upload_folder(repo_id="ns/m", folder_path=folder).oid
api.create_tag("ns/m", tag="v1")
said["tag twice"] = refusal(api.create_tag, "ns/m", tag="v1")
from huggingface_hub import metadata_update
metadata_update("ns/m", {"license": "apache-2.0"}, overwrite=True)
info = api.model_info("ns/m", files_metadata=True)
said["license"], said["pipeline"], said["library"] = info.card_data.license, info.pipeline_tag, info.library_name
said["tags"] = info.tags
said["value"] = info.card_data.eval_results[0].metric_value
said["sizes"] = {s.rfilename: [s.size, s.lfs is not None] for s in info.siblings}
said["hidden"] = info.eval_results
found = api.model_info("ns/m", expand=["evalResults"])
result = found.eval_results[0]
said["expanded"] = [result.dataset_id, result.value, result.date, found.sha]
said["old license"] = api.model_info("ns/m", revision="v1").card_data.license
said["tensors"] = list(api.get_safetensors_metadata("ns/m").files_metadata["model.safetensors"].tensors)
said["refs"] = [t.name for t in api.list_repo_refs("ns/m").tags]
said["commits"] = [c.title for c in api.list_repo_commits("ns/m")]
said["paths"] = [type(e).__name__ for e in api.get_paths_info("ns/m", ["config.json", ".eval_results", "nothing"])]
said["no repo"] = refusal(api.model_info, "ns/none")
said["no revision"] = refusal(api.hf_hub_download, "ns/m", "config.json", revision="v2")
said["no file"] = refusal(api.hf_hub_download, "ns/m", "none.json")
said["no folder"] = refusal(lambda: list(api.list_repo_tree("ns/m", "none")))
snapshot_download("ns/m", revision="v1", local_dir=target)
""",
        folder,
        tmp_path / "snapshot",
    )
    repo = hub.repos["model", "ns/m"]
    before, after = contents(folder), hub.files("ns/m")
    attributes = {".gitattributes": after[".gitattributes"]}  # the Hub's own
    assert repo.tags["v1"].files == before | attributes and repo.tags["v1"].sha == said["sha"] == said["unchanged"]
    assert (
        after == before | attributes | {"README.md": after["README.md"]}
        and b"license: apache-2.0" in after["README.md"]
    )
    assert [c.summary for c in repo.commits] == said["commits"][::-1] and len(repo.commits) == 3
    target = contents(tmp_path / "snapshot")
    assert {k: v for k, v in target.items() if not k.startswith(".cache")} == before | attributes
    assert (said["license"], said["old license"]) == ("apache-2.0", "mit")
    assert (said["pipeline"], said["library"]) == ("image-to-image", "scanline")
    assert {"scanline", "pixels", "dataset:ylecun/mnist", "license:apache-2.0", "en"} <= set(said["tags"])
    assert said["value"] == 1.5 and said["hidden"] is None
    assert said["expanded"] == ["ylecun/mnist", 0.5, "2026-11-22", None]
    assert said["sizes"]["model.safetensors"] == [len(before["model.safetensors"]), True]
    assert said["sizes"]["config.json"] == [2, False]
    assert said["tensors"] == ["weight"] and said["refs"] == ["v1"] and said["paths"] == ["RepoFile", "RepoFolder"]
    assert said["again"][1] == said["tag twice"][1] == 409
    assert said["no repo"] == ["RepositoryNotFoundError", 404]
    assert said["no revision"] == ["RevisionNotFoundError", 404]
    assert said["no file"][1] == said["no folder"][1] == 404 and said["no folder"][0] == "RemoteEntryNotFoundError"
    assert sum(method == "PUT" for method, _ in hub.requests) == 1


def test_parts_of_files(hub, folder, tmp_path):
    """By hand, as the client reads the start of a whole file as gladly as a part."""
    publish(hub, tmp_path / "home", folder)
    path, data = "/ns/m/resolve/main/model.safetensors", (folder / "model.safetensors").read_bytes()
    connection = http.client.HTTPConnection(urlsplit(hub.url).netloc)  # one for all: nothing may be left over in it
    for part, status, body in (
        *(("bytes=0-7", 206, data[:8]), ("bytes=8-", 206, data[8:]), ("bytes=-3", 206, data[-3:])),
        *(("bytes=5-99999", 206, data[5:]), ("", 200, data)),
    ):
        for method in ("HEAD", "GET"):
            connection.request(method, path, headers={"Range": part})
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (status, body if method == "GET" else b"")
            assert answer.headers["Content-Length"] == str(len(body))
            assert answer.headers["ETag"] == f'"{hashlib.sha256(data).hexdigest()}"'
            assert answer.headers["X-Repo-Commit"] == hub.repos["model", "ns/m"].head.sha
    connection.request("GET", path, headers={"Range": "bytes=99999-"})
    answer = connection.getresponse()
    assert answer.status == 416 and answer.headers["Content-Range"] == f"bytes */{len(data)}" and answer.read()
    connection.close()


def test_the_command_line(hub, folder, tmp_path):
    publish(hub, tmp_path / "home", folder)
    hf = Path(sys.executable).with_name("hf")
    environment = hub.environment(tmp_path / "home")
    assert "ns" in commands.run(hf, "auth", "whoami", env=environment, check=True).stdout
    commands.run(hf, "download", "ns/m", "--local-dir", tmp_path / "got", env=environment, check=True)
    got = contents(tmp_path / "got")
    assert {name: got[name] for name in contents(folder)} == contents(folder)


def test_who_may_do_what(hub, folder, tmp_path):
    publish(hub, tmp_path / "home", folder)
    before = hub.repos["model", "ns/m"].head
    script = """
said["create"] = refusal(api.create_repo, "ns/other")
said["push"] = refusal(api.upload_folder, repo_id="ns/m", folder_path=sys.argv[1], delete_patterns="*")
said["delete"] = refusal(api.delete_repo, "ns/m")
said["settings"] = refusal(api.update_repo_settings, "ns/m", private=True)
said["tag"] = refusal(api.create_tag, "ns/m", tag="v1")
said["none"] = refusal(api.model_info, "ns/none")
said["read"] = api.model_info("ns/m").sha
"""
    said = {
        token: client(hub, tmp_path / "a", script, folder, token=token) for token in (None, "hf_reader", "hf_wrong")
    }
    for token, status in ((None, 401), ("hf_wrong", 401), ("hf_reader", 403)):
        refused = [said[token][what][1] for what in ("create", "push", "delete", "settings", "tag")]
        assert refused == [status] * 5, token
        assert said[token]["none"] == ["RepositoryNotFoundError", 404 if status == 403 else 401]
        assert said[token]["read"] == before.sha
    assert hub.repos["model", "ns/m"].head is before and len(hub.repos) == 1

    script = "api.update_repo_settings('ns/m', private=True); said['private'] = api.model_info('ns/m').private"
    assert client(hub, tmp_path / "home", script)["private"] is True
    script = "said['met'] = [refusal(api.model_info, 'ns/m'), refusal(api.hf_hub_download, 'ns/m', 'config.json')]"
    for token, status in ((None, 401), ("hf_reader", 404)):
        said = client(hub, tmp_path / "b", script, token=token)
        assert said["met"] == [["RepositoryNotFoundError", status]] * 2
    script = "api.delete_repo('ns/m'); said['gone'] = not api.repo_exists('ns/m')"
    assert client(hub, tmp_path / "home", script)["gone"] and not hub.repos


def test_a_commit_is_all_or_nothing(hub, folder, tmp_path):
    publish(hub, tmp_path / "home", folder)
    before = hub.repos["model", "ns/m"].head
    said = client(
        hub,
        tmp_path / "home",
        """
add, delete = lambda path: CommitOperationAdd(path, b"new"), CommitOperationDelete
def commit(*operations, **kwargs):
    return refusal(api.create_commit, "ns/m", operations=operations, commit_message="x", **kwargs)
said["stale"] = commit(add("a"), parent_commit="0" * 40)
said["no such file"] = commit(add("a"), delete("none.txt"))
lost = add("a.png")
lost._upload_mode, lost._is_uploaded, lost._remote_oid, lost._should_ignore = "lfs", True, None, False
said["no object"] = commit(add("a"), lost)
try:
    api.create_commit("ns/m", operations=[add("a"), lost], commit_message="x")
except errors.BadRequestError as error:
    said["why"] = str(error)
for name, card in {"yaml": "tags: [", "license": "license: mine", "pipeline": "pipeline_tag: painting"}.items():
    said[name] = commit(add("a"), CommitOperationAdd("README.md", f"---\\n{card}\\n---\\n".encode()))
said["good"] = commit(add("a"), delete("config.json"), delete(".eval_results/"), parent_commit=sys.argv[1])
""",
        before.sha,
    )
    bad = {"stale": 412, "no such file": 404, "no object": 400}
    assert {name: said[name][1] for name in bad} == bad and "a.png was not uploaded" in said["why"]
    assert all(said[name][0] == "ValueError" for name in ("yaml", "license", "pipeline")) and said["good"] is None
    after = hub.repos["model", "ns/m"].head
    assert after.parent is before and set(after.files) == set(before.files) - {
        "config.json",
        ".eval_results/mnist.yaml",
    } | {"a"}


def test_collections_and_spaces(hub, folder, tmp_path):
    said = client(
        hub,
        tmp_path / "home",
        """
api.create_repo("ns/app", repo_type="space", space_sdk="gradio")
said["space"] = api.upload_file(path_or_fileobj=b"x", path_in_repo="app.py", repo_id="ns/app", repo_type="space").oid
said["sdk"] = api.space_info("ns/app").sdk
for _ in range(2):
    made = api.create_collection("Two words", namespace="ns", description="d", exists_ok=True)
    made = api.add_collection_item(made.slug, "ns/app", "space", note="n", exists_ok=True)
said["twice"] = [refusal(api.create_collection, "Two words")]
said["twice"] += [refusal(api.add_collection_item, made.slug, "ns/app", "space")]
said["no item"] = refusal(api.add_collection_item, made.slug, "ns/none", "model")
said["renamed"] = api.update_collection_metadata(made.slug, description="other").description
found = api.get_collection(made.slug)
said["items"] = [[i.item_id, i.item_type, i.note] for i in found.items]
said["foreign"] = refusal(HfApi(token="hf_reader").add_collection_item, made.slug, "ns/app", "space")
""",
    )
    assert hub.files("ns/app", "space")["app.py"] == b"x" and said["sdk"] == "gradio"
    assert hub.repos["space", "ns/app"].head.sha == said["space"] and len(hub.collections) == 1
    assert [refused[1] for refused in said["twice"]] == [409, 409] and said["no item"][1] == 404
    assert said["renamed"] == "other" and said["items"] == [["ns/app", "space", "n"]] and said["foreign"][1] == 403


def test_datasets_there_and_back(hub, tmp_path):
    said = client(
        hub,
        tmp_path / "home",
        """
from datasets import Dataset, load_dataset
rows = {"text": ["a", "b", "c"], "label": [0, 1, 2]}
Dataset.from_dict(rows).push_to_hub("ns/d")
Dataset.from_dict({"text": ["t"], "label": [9]}).push_to_hub("ns/d", split="test")
said["same"] = load_dataset("ns/d", split="train").to_dict() == rows
said["streamed"] = list(load_dataset("ns/d", split="test", streaming=True))
said["rest"] = load_dataset("ns/d", split="train[1:]")["text"][:]
""",
    )
    assert said == {"same": True, "streamed": [{"text": "t", "label": 9}], "rest": ["b", "c"]}
    assert any(path.endswith(".parquet") for path in hub.files("ns/d", "dataset"))


FAULTS = {  # what a request that the client does not repeat meets
    "500": ["HfHubHTTPError", 500],
    "503": ["HfHubHTTPError", 503],
    "429": ["HfHubHTTPError", 429],
    "disk-full": ["HfHubHTTPError", 507],
    "wrong-hash": ["HfHubHTTPError", 500],
    "reset": ["ReadError", None],
    "reset-after": ["ReadError", None],
    "timeout": ["ReadTimeout", None],
}


def test_every_kind_of_fault_is_seen_where_it_was_asked_for(hub, folder, tmp_path):
    publish(hub, tmp_path / "home", folder)
    for kind in FAULTS:  # each script's calls are one request each: the second is hit
        hub.fail(1 + 3 * list(FAULTS).index(kind), kind)
    said = client(
        hub,
        tmp_path / "home",
        """
for kind in sys.argv[1:]:
    tag = lambda i: refusal(api.create_tag, "ns/m", tag=f"{kind}-{i}")
    said[kind] = [tag(0), refusal(api.model_info, "ns/m", timeout=1) if kind == "timeout" else tag(1), tag(2)]
""",
        *FAULTS,
    )
    assert said == {kind: [None, met, None] for kind, met in FAULTS.items()}
    tags = set(hub.repos["model", "ns/m"].tags)
    assert {kind for kind in FAULTS if f"{kind}-1" in tags} == {"reset-after"}  # done, but the client cannot know


def test_faults_of_a_publish_by_its_requests(hub, folder, tmp_path):
    publish(hub, tmp_path / "clean", folder)
    clean = [method for method, _ in hub.requests]
    assert clean.count("PUT") == 1 and clean[-1] == "POST"

    for at, kind, met in ((clean.index("PUT"), "wrong-hash", 400), (len(clean) - 1, "disk-full", 507)):
        hub.repos.clear()
        with hub.fault(at, kind) as fault:
            script = """
api.create_repo('ns/m')
said['met'] = refusal(api.upload_folder, repo_id='ns/m', folder_path=sys.argv[1])"""
            assert client(hub, tmp_path / "broken", script, folder)["met"][1] == met
            assert fault.fired == 1
        repo = hub.repos["model", "ns/m"]
        assert len(repo.commits) == 1 and bool(repo.lfs) == (kind == "disk-full")
        publish(hub, tmp_path / "broken", folder)
        assert {**hub.files("ns/m"), **contents(folder)} == hub.files("ns/m")


def test_a_fault_that_is_not_reached_ends_with_its_context(hub, tmp_path):
    with hub.fault(1, "500") as fault:
        pass
    assert (
        client(hub, tmp_path / "home", "said['user'] = [api.whoami()['name'] for _ in range(3)]")["user"] == ["ns"] * 3
    )
    assert fault.fired == 0
    with pytest.raises(ValueError, match="disk-full"):
        hub.fail(0, "fire")


def test_closing_waits_for_nobody(tmp_path):
    with StandIn() as hub:
        hub.fail(0, "timeout")
        script = START + "\nsaid = refusal(api.whoami)\nprint(said)"
        waiting = commands.start("-c", script, env=hub.environment(tmp_path))
        while not hub.requests:
            assert not hub.closing.wait(0.01)
    assert "ReadError" in waiting.wait(60).stdout


def test_the_environment_is_the_stand_ins_own(hub, tmp_path, monkeypatch):
    foreign = ("HF_TOKEN", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_CACHE", "HTTP_PROXY", "all_proxy")
    for name in foreign:
        monkeypatch.setenv(name, "foreign")
    made = hub.environment(tmp_path, token=None)
    assert not set(foreign) & set(made) and "foreign" not in made.values()
    assert made["HF_ENDPOINT"] == hub.url and made["HF_HOME"] == str(tmp_path) and made["HF_HUB_DISABLE_XET"] == "1"
