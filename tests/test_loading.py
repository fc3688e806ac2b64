"""Checkpoints that are damaged, foreign, hostile or elsewhere: each is refused in one sentence that says what to do."""

import dataclasses
import json
import os
import pickle
import resource
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import commands
import httpx2  # the HTTP library of huggingface_hub
import huggingface_hub.errors as hub
import pytest
import torch
from conftest import build
from safetensors.torch import load_file, save, save_file

from hub_models import MODELS, AutoregressiveImageModel, ConvClassifier, HubModel, TextModel, checkpoints, load, shipped


@pytest.fixture
def folder(model, tmp_path):
    """A whole checkpoint of each model."""
    model.save_pretrained(tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture(autouse=True)
def no_hub(monkeypatch):
    """Nothing in these tests may ask the Hub, unless a test says what it then gets."""

    def refuse(source, filename, **_):
        pytest.fail(f"the Hub was asked for {filename} of {source}")

    monkeypatch.setattr(checkpoints, "hf_hub_download", refuse)


def refused(error: type[Exception], call, *said: str) -> str:
    """Assert that a call raises just this, in one sentence that says all of these, and return the sentence."""
    with pytest.raises(error) as raised:
        call()
    assert raised.type is error
    message = str(raised.value)
    assert all(part in message for part in said), message
    assert message.strip() and "\n" not in message and len(message) < 600, message
    return message


@pytest.mark.parametrize("family", [HubModel, AutoregressiveImageModel, ConvClassifier, TextModel])
def test_a_family_is_no_model(family, folder):
    refused(ValueError, lambda: family.from_pretrained(folder), f"{family.__name__} is a family", "hub_models.load")


@pytest.mark.parametrize("device", ["gpu", "meta", {"cuda": "cpu"}, "cuda:99"])
def test_a_device_that_is_not_there_is_told(device, folder):
    refused(ValueError, lambda: load(folder, map_location=device), "map_location is", "not to be had here")


# Weights.


def header_of(data: bytes) -> tuple[dict, bytes]:
    """The header and the tensors' bytes of a safetensors file."""
    (size,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + size]), data[8 + size :]


def changed(data: bytes, size: int | None = None, **fields) -> bytes:
    """The file with these entries of its first tensor's header set, and another header size claimed."""
    header, body = header_of(data)
    header[min(header)] |= fields
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text) if size is None else size) + text + body


DAMAGE = {
    "empty": lambda data: b"",
    "one byte": lambda data: data[:1],
    "cut in the header's size": lambda data: data[:7],
    "cut after the header's size": lambda data: data[:8],
    "cut in the header": lambda data: data[:40],
    "no tensors": lambda data: data[: -len(header_of(data)[1])],
    "cut in the middle": lambda data: data[: len(data) // 2],
    "last byte lost": lambda data: data[:-1],
    "a byte too many": lambda data: data + b"\0",
    "zeros": lambda data: bytes(len(data)),
    "a web page": lambda data: b"<!DOCTYPE html><html>404</html>",
    "a Git LFS pointer": lambda data: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
    "header of 2^64 - 1 bytes": lambda data: changed(data, size=2**64 - 1),
    "header of 2^63 bytes": lambda data: changed(data, size=2**63),
    "header of 100 MB": lambda data: changed(data, size=10**8),
    "header without end": lambda data: changed(data, size=3),
    "shape of 10^36": lambda data: changed(data, shape=[10**18, 10**18]),
    "negative offset": lambda data: changed(data, data_offsets=[-1, 3]),
    "overlapping offsets": lambda data: changed(data, data_offsets=[4, 8]),
    "unknown type": lambda data: changed(data, dtype="XX"),
    "wider type": lambda data: changed(data, dtype="F64"),
    "header that is a list": lambda data: struct.pack("<Q", 2) + b"[]" + header_of(data)[1],
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_weights_are_refused(folder, damage):
    path = folder / "model.safetensors"
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    refused(ValueError, lambda: load(folder), "model.safetensors is damaged or cut short", "download or save it again")


class Bomb:
    """Its pickle makes a folder when it is opened."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


PICKLES = {
    "pickle": lambda value, path: path.write_bytes(pickle.dumps(value)),
    "zip of torch.save": torch.save,
    "legacy torch.save": lambda value, path: torch.save(value, path, _use_new_zipfile_serialization=False),
}


@pytest.mark.parametrize("kind", PICKLES)
def test_a_pickle_under_the_name_of_weights_is_refused_and_not_opened(folder, kind):
    PICKLES[kind]({"weight": Bomb(folder / "bang")}, folder / "model.safetensors")
    refused(ValueError, lambda: load(folder), "model.safetensors is a pickle", "safetensors only")
    assert not (folder / "bang").exists()


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.pth", "model.pkl"])
def test_a_folder_with_only_a_pickle_is_refused_and_the_pickle_is_not_opened(folder, name):
    (folder / "model.safetensors").unlink()
    torch.save({"weight": Bomb(folder / "bang")}, folder / name)
    refused(FileNotFoundError, lambda: load(folder), str(folder), "has no model.safetensors", name, "safetensors only")
    assert not (folder / "bang").exists()


def test_an_unfinished_run_is_refused_with_a_way_on(folder):
    (folder / "model.safetensors").unlink()
    refused(FileNotFoundError, lambda: load(folder), "has no model.safetensors", "--resume")


MISFITS = {
    "lacks": lambda weights, key: weights.pop(key),
    "has unknown": lambda weights, key: weights.update({key + "_2": weights[key].clone()}),
    "has another shape for": lambda weights, key: weights.update({key: weights[key][None]}),
    "has another kind of number for": lambda weights, key: weights.update({key: weights[key].int()}),
    "holds NaN or infinity in": lambda weights, key: weights.update({key: weights[key] * float("nan")}),
}


@pytest.mark.parametrize("fault", MISFITS)
def test_weights_that_do_not_fit_the_config_are_refused_and_named(model, folder, fault):
    path = folder / "model.safetensors"
    for key in (name for name, tensor in model.state_dict().items() if tensor.is_floating_point()):
        weights = dict(model.state_dict())
        MISFITS[fault](weights, key)
        save_file(weights, path)
        refused(ValueError, lambda: load(folder), str(folder), "does not fit its config.json", f"{fault} {key}")


def test_a_misfit_of_many_tensors_is_still_one_short_sentence(model, folder):
    save_file({"x" * 40: torch.zeros(1)}, folder / "model.safetensors")
    refused(ValueError, lambda: load(folder), "lacks", "has unknown", " ..." if len(model.state_dict()) > 3 else "")


def test_weights_are_never_loaded_loosely(model, folder):
    save_file({}, folder / "model.safetensors")
    for strict in (False, None, 0):
        refused(ValueError, lambda strict=strict: load(folder, strict=strict), "always loads strictly")
    refused(ValueError, lambda: load(folder, strict=True), "lacks")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_narrower_weights_load_as_float32_bit_for_bit_the_cast(model, folder, dtype):
    narrow = {k: t.to(dtype) if t.is_floating_point() else t for k, t in model.state_dict().items()}
    save_file(narrow, folder / "model.safetensors")
    for key, value in load(folder).state_dict().items():
        assert value.dtype == model.state_dict()[key].dtype
        assert torch.equal(value, narrow[key].to(value.dtype)), key


def test_weights_of_a_byte_load_as_float32(model, folder):
    narrow = {k: t.to(torch.float8_e4m3fn) if t.is_floating_point() else t for k, t in model.state_dict().items()}
    save_file(narrow, folder / "model.safetensors")
    for key, value in load(folder).state_dict().items():
        assert torch.equal(value, narrow[key].to(value.dtype)), key


@pytest.mark.parametrize("where", ["cpu", torch.device("cpu")])
def test_map_location_takes_a_name_or_a_device(folder, where):
    assert load(folder, map_location=where).device == torch.device("cpu")


def test_an_unknown_argument_is_refused(model, folder):
    for call in (load, type(model).from_pretrained):
        refused(TypeError, lambda call=call: call(folder, map_locaton="cpu"), "map_locaton")


def test_loading_prints_nothing(folder, capfd):
    load(folder)
    assert capfd.readouterr() == ("", "")


# Configs.


def with_config(folder: Path, text: str | None = None, **fields) -> Path:
    path = folder / "config.json"
    path.write_text(text if text is not None else json.dumps(json.loads(path.read_text()) | fields))
    return folder


BROKEN = {
    "empty": "",
    "cut": '{"model_type": "pixel_',
    "byte order mark": "\ufeff{}",
    "no JSON": "model_type: pixel_predictor",
    "deep": "[" * 100_000,
    "deep field": '{"model_type": ' + "[" * 100_000 + "]" * 100_000 + "}",
    "huge number": '{"model_type": ' + "9" * 5_000 + "}",
}
FOREIGN = {
    "list": "[]",
    "null": "null",
    "text": '"pixel_predictor"',
    "nothing": "{}",
    "number": '{"model_type": 5}',
    "no type": '{"hidden_size": 4}',
}


def test_a_config_that_lacks_a_field_is_refused_and_not_filled_up(folder):
    fields = json.loads((folder / "config.json").read_text())
    for name in {*fields} - {"model_type", *type(load(folder).config).optional}:
        with_config(folder, json.dumps({key: value for key, value in fields.items() if key != name}))
        refused(ValueError, lambda: load(folder), str(folder), "config.json lacks fields of", f": {name}")


@pytest.mark.parametrize("kind", BROKEN)
def test_a_config_that_is_no_json_is_refused(folder, kind):
    with_config(folder, BROKEN[kind])
    refused(ValueError, lambda: load(folder), str(folder), "config.json is not valid JSON")


def test_a_config_that_is_no_text_is_refused(folder):
    (folder / "config.json").write_bytes(b"\xff\xfe\x00")
    refused(ValueError, lambda: load(folder), "config.json is not valid JSON")


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_config_without_a_model_type_is_refused(folder, kind):
    with_config(folder, FOREIGN[kind])
    refused(ValueError, lambda: load(folder), str(folder), "names no model_type")


def test_a_missing_config_is_refused(folder):
    (folder / "config.json").unlink()
    refused(FileNotFoundError, lambda: load(folder), str(folder), "has no config.json")


def test_an_unknown_model_type_is_refused_with_the_nearest(model, folder):
    name = model.config.model_type
    with_config(folder, model_type=name[:-1] + "_")
    refused(ValueError, lambda: load(folder), repr(name[:-1] + "_"), f"did you mean {name!r}?")
    with_config(folder, model_type="§")
    refused(ValueError, lambda: load(folder), "'§'", *MODELS)


def test_another_classes_checkpoint_is_refused_with_the_way_to_open_it(model, folder):
    for other in set(MODELS.values()) - {type(model)}:
        said = (repr(model.config.model_type), repr(other.config_class.model_type), "hub_models.load")
        refused(ValueError, lambda other=other: other.from_pretrained(folder), *said)


@pytest.mark.parametrize("value", ["64", None, 1e9, 4.0, True, [4], {}, -1])
def test_a_config_field_of_a_wrong_type_is_refused_and_named(model, folder, value):
    field = next(field.name for field in dataclasses.fields(model.config) if field.type is int)
    with_config(folder, **{field: value})
    refused(ValueError, lambda: load(folder), f"{field} is {value!r}")


def test_an_unknown_config_field_is_refused_and_named(model, folder):
    with_config(folder, hiden_size=4)
    refused(ValueError, lambda: load(folder), str(folder), "unknown", type(model).__name__, "hiden_size")


# Names.


def test_every_shipped_checkpoint_loads_by_name():
    assert shipped()
    for name in shipped():
        for spelt in (name, Path(name)):
            assert not load(spelt).training


def test_a_misspelt_shipped_name_is_refused_with_the_nearest():
    for name in shipped():
        refused(FileNotFoundError, lambda name=name: load(name[:-1]), repr(name[:-1]), f"did you mean {name!r}?")
    refused(FileNotFoundError, lambda: load("zzz"), "known are", *shipped())


PATHS = ["runs/x", "./x", "../x", "/x", "~/x", "a/b/c", "a//b", "/a/b", "https://huggingface.co/a/b", "runs/x/", ""]
PATHS += [".x", "x" * 5000, "a\0b", Path("a/b"), Path("x"), Path("runs/x"), "model.safetensors"]


@pytest.mark.parametrize("name", PATHS, ids=lambda name: repr(name)[:30])
def test_what_is_written_as_a_path_never_goes_to_the_hub(name):
    with pytest.raises(FileNotFoundError, match="there is no folder|no folder and no shipped checkpoint"):
        load(name)


@pytest.mark.parametrize("name", [".", ".."])
def test_a_folder_that_holds_no_checkpoint_is_said_to_hold_none(name, tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    monkeypatch.chdir(tmp_path / "in")
    refused(FileNotFoundError, lambda: load(name), "has no config.json")


def test_an_existing_folder_comes_before_a_shipped_name_and_before_the_hub(model, folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    for name in (shipped()[0], "owner/name"):
        shutil.copytree(folder, name)
        assert load(name).config == model.config


# The Hub.


ANSWER = httpx2.Response(500, request=httpx2.Request("GET", "https://hub.invalid"))
HUB = {
    "has no config.json": hub.RemoteEntryNotFoundError("404\nEntry", response=ANSWER),
    "the Hub cannot be reached": hub.LocalEntryNotFoundError("Cannot find\nthe file"),
    "cannot be read from the Hub: Repository": hub.RepositoryNotFoundError("Repository\n404", response=ANSWER),
    "cannot be read from the Hub: Gated": hub.GatedRepoError("Gated\n403", response=ANSWER),
    "cannot be read from the Hub: Revision": hub.RevisionNotFoundError("Revision\n404", response=ANSWER),
    "cannot be read from the Hub: 503": hub.HfHubHTTPError("503\n", response=ANSWER),
    "cannot be read from the Hub: off": hub.OfflineModeIsEnabled("off\nline"),
    "cannot be read from the Hub: Repo id": hub.HFValidationError("Repo id\nmust"),
    "cannot be read from the Hub: [Errno 28]": OSError(28, "No space left on device"),
    "cannot be read from the Hub: cut off": httpx2.ReadError("cut off"),
}


@pytest.mark.parametrize("said", HUB)
def test_whatever_the_hub_answers_the_user_gets_one_sentence(said, monkeypatch):
    def fail(*_, **__):
        raise HUB[said]

    monkeypatch.setattr(checkpoints, "hf_hub_download", fail)
    refused(FileNotFoundError, lambda: load("owner/name"), "owner/name", said)


def test_a_repository_is_read_at_its_revision_with_the_callers_token(model, folder, monkeypatch):
    calls = []

    def download(source, filename, **arguments):
        calls.append((source, filename, arguments))
        return str(folder / filename)

    monkeypatch.setattr(checkpoints, "hf_hub_download", download)
    arguments = {"revision": "v1", "token": "hf_x", "cache_dir": "c", "local_files_only": True}
    assert load("owner/name", map_location="cpu", **arguments).config == model.config
    assert {filename for _, filename, _ in calls} == {path.name for path in folder.iterdir()}
    for source, _, given in calls:
        assert source == "owner/name" and given.items() >= arguments.items() and "map_location" not in given


def test_a_revision_is_asked_of_the_hub_alone(folder):
    for name in folder, shipped()[0]:
        refused(ValueError, lambda name=name: load(name, revision="v1"), "no revisions", "give owner/name")
    assert load(folder, revision=None).config


def test_with_the_hub_switched_off_a_repository_gives_one_sentence_and_a_shipped_name_loads(tmp_path):
    code = "import hub_models, sys; hub_models.load(sys.argv[1]); hub_models.load('owner/name')"
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "HF_HUB_CACHE": str(tmp_path)}
    done = commands.run("-c", code, shipped()[0], env=environment)
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1 and not done.stdout
    assert last == (
        "FileNotFoundError: owner/name is not in the local cache and the Hub cannot be reached: "
        "check the id, the revision and the network"
    )


# Saving.


def test_a_folder_that_cannot_be_written_is_an_os_error(model, tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OSError):
            model.save_pretrained(path)


def test_a_full_disk_leaves_the_older_checkpoint_whole(model, folder):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    other = build(model.config.model_type, **{"embedding" if isinstance(model, TextModel) else "height": 11})
    room = len(before["config.json"]) + 9  # bytes a file may have, which is what a full disk does: a config has room
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
        with pytest.raises(OSError):
            other.save_pretrained(folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert load(folder).config == model.config


def test_a_checkpoint_may_be_read_by_whom_other_files_may(model, folder):
    mask = os.umask(0o022)
    try:
        model.save_pretrained(folder)
    finally:
        os.umask(mask)
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o644}


def test_the_file_is_plain_safetensors(model, folder):
    stored = load_file(folder / "model.safetensors")
    assert save(stored) == (folder / "model.safetensors").read_bytes()
    assert stored.keys() == model.state_dict().keys()


def test_the_hub_is_given_its_own_arguments_only(model, folder, monkeypatch):
    asked = []

    def download(repo_id, filename, **hub):
        asked.append((repo_id, filename, hub))
        return str(folder / filename)

    monkeypatch.setattr(checkpoints, "hf_hub_download", download)
    assert type(load("owner/net", strict=True, map_location="cpu", revision="v1")) is type(model)
    assert {source for source, _, _ in asked} == {"owner/net"}
    assert all(hub["revision"] == "v1" and set(hub) <= set(checkpoints.HUB_ARGUMENTS) for _, _, hub in asked), asked


GREEDY = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (8 * 2**30,) * 2)
import hub_models
try:
    hub_models.load(sys.argv[1])
except ValueError as error:
    print(error)
for name in hub_models.shipped():
    hub_models.load(name)
assert "torch._dynamo" not in sys.modules, "loading has imported a compiler, which takes as long as torch itself"
"""


def test_a_config_that_asks_for_all_memory_is_refused_before_it_is_given(tmp_path):
    """Its weights are looked at first: a stranger's repository of two small files must not end the process."""
    model = build("pixel_classifier")
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"hidden_size": 8192, "num_layers": 64}))  # 100 GB
    done = subprocess.run([sys.executable, "-c", GREEDY, str(tmp_path)], capture_output=True, text=True)
    assert "numbers, and that asks for far more" in done.stdout and not done.returncode, done.stderr
