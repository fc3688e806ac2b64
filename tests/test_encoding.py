"""Texts are UTF-8 with `\\n`, whatever the locale: read, written, and printed without an error."""

import ast
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import absent
from test_structure import PACKAGES, files
from test_text_training import TOY, write_plays

from hub_models.environment import prepare_console
from hub_models.files import read_text
from training.figures.dashboard import write_history

ROOT = Path(__file__).parents[1]
HELPERS = [ROOT / "tests" / f"{name}.py" for name in ("conftest", "hub", "load", "smoke")]
OTHERS = {"Image", "os", "zipfile"}  # whose `open` is of no text


def faults(code: str) -> list[int]:
    """Lines that read or write a text in the locale's encoding, or with the system's ends of lines."""
    found = []
    for call in (node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)):
        method = isinstance(call.func, ast.Attribute)
        name = call.func.attr if method else getattr(call.func, "id", "")
        given = {keyword.arg: getattr(keyword.value, "value", None) for keyword in call.keywords}
        encoded, ended = given.get("encoding") in ("utf-8", "utf-8-sig"), given.get("newline") in ("", "\n")
        if name in ("run", "Popen", "check_output", "check_call", "call", "getoutput"):
            wrong = {"text", "universal_newlines"} & {*given} and not encoded
        elif name in ("open", "fdopen", "NamedTemporaryFile", "TemporaryFile", "SpooledTemporaryFile"):
            if method and name == "open" and getattr(call.func.value, "id", "") in OTHERS:
                continue
            place = int(name == "fdopen" or not method)  # of the mode, after the file
            mode = given.get("mode") or (getattr(call.args[place], "value", "") if len(call.args) > place else "r")
            wrong = "b" not in mode and not (encoded and (ended or not {*mode} & {*"wax+"}))
        elif method and name in ("read_text", "write_text"):
            wrong = not (encoded and (ended or name == "read_text"))
        else:
            wrong = name == "TextIOWrapper" and not encoded
        if wrong:
            found.append(call.lineno)
    return found


@pytest.mark.parametrize(
    "code",
    [
        "path.read_text()",
        "path.read_text(encoding='latin-1')",
        "path.write_text('')",
        "path.write_text('', encoding='utf-8')",
        "path.open()",
        "path.open('w', encoding='utf-8')",
        "open(path)",
        "open(path, mode='a', encoding='utf-8')",
        "open(path, 'w', newline='')",
        "subprocess.run(command, text=True)",
        "subprocess.Popen(command, universal_newlines=True)",
        "tempfile.TemporaryFile('w+')",
        "io.TextIOWrapper(file)",
    ],
)
def test_the_check_of_the_source_finds_what_depends_on_the_locale(code):
    assert faults(f"\n{code}") == [2]


@pytest.mark.parametrize(
    "code",
    [
        "read_text(path)",
        "path.read_text(encoding='utf-8')",
        "path.open('rb')",
        "path.open('w', encoding='utf-8', newline='')",
        "open(path, 'wb')",
        "open(path, encoding='utf-8')",
        "Image.open(path)",
        "subprocess.run(command)",
        "subprocess.run(command, encoding='utf-8')",
    ],
)
def test_the_check_of_the_source_passes_what_does_not(code):
    assert faults(code) == []


def test_the_source_reads_and_writes_utf8():
    for path in [*(path for package in PACKAGES for path in files(package)), *HELPERS]:
        assert not faults(read_text(path)), f"{path}: use hub_models.files.read_text, write_text or encoding='utf-8'"


def test_every_command_prepares_its_console():
    ways = (
        "prepare_console()",
        "command(measure, __doc__",
        "asked(",
        "spacekit.launch(",
    )  # the last three call the first
    commands = [
        path for package in PACKAGES for path in files(package) if 'if __name__ == "__main__":' in read_text(path)
    ]
    assert len(commands) > 15
    for path in commands:
        assert any(way in read_text(path) for way in ways), path


def test_tracked_texts_are_utf8_with_plain_ends_of_lines():
    try:
        done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, encoding="utf-8", check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        absent(f"no git checkout ({error})")
    texts = [ROOT / name for name in done.stdout.split("\0") if name.endswith((".py", ".md", ".json", ".csv", ".yaml"))]
    assert ROOT / "README.md" in texts
    for path in filter(Path.is_file, texts):
        assert "\r" not in path.read_bytes().decode("utf-8"), path


def test_a_history_has_plain_ends_of_lines(tmp_path):
    log = [{"loss": 2.0}, {"eval_loss": 1.0, "epoch": 1, "step": 3, "minutes": 0.1, "peak_memory_mib": 9.0}]
    write_history(log, ("loss",), tmp_path / "history.csv")
    assert (tmp_path / "history.csv").read_bytes().endswith(b"minutes,peak_memory_mib\n1,3,2.0,1.0,,,0.1,9.0\n")


def test_a_file_in_another_encoding_is_named(tmp_path):
    (tmp_path / "README.md").write_bytes("café".encode("latin-1"))
    with pytest.raises(ValueError, match=r"README\.md is not UTF-8 \(unexpected end of data at byte 3\): save it as"):
        read_text(tmp_path / "README.md")


@pytest.mark.parametrize(("encoding", "printed"), [("ascii", rb"caf\xe9 \u2265"), ("latin-1", b"caf\xe9 \\u2265")])
def test_what_an_output_cannot_hold_is_escaped(encoding, printed, monkeypatch):
    output = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(output, encoding=encoding, write_through=True))
    monkeypatch.setattr(sys, "argv", ["command", "café"])
    prepare_console()
    print("café ≥", end="")
    assert output.getvalue() == printed


def test_an_argument_that_no_file_could_record_is_refused(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["command", "--data", "caf\udce9.csv"])
    with pytest.raises(SystemExit, match=r"^error: the argument 'caf\\udce9.csv' is not valid .*: set LC_ALL"):
        prepare_console()


# Runs commands one after another, as `python -m NAME` or `python FILE.py` would; prints their exit codes last. It ends
# with an error where our own code leaves an encoding to the locale.
RUNNER = """
import json, locale, runpy, sys, warnings
warnings.filterwarnings("error", category=EncodingWarning, module="hub_models|training|evaluation|__main__")
codes = {}
for name, *arguments in json.loads(sys.argv[1]):
    sys.argv = [name, *arguments]
    sys.stdout.reconfigure(errors="strict")
    try:
        if name.endswith(".py"):
            runpy.run_path(name, run_name="__main__")
        else:
            runpy.run_module(name, run_name="__main__", alter_sys=True)
        codes[name] = 0
    except SystemExit as end:
        codes[name] = end.code
print(json.dumps([locale.getencoding(), codes]))
"""


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """The repository under a name that is not ASCII, its README without one of the tables' rows; and a CSV of plays."""
    clone = tmp_path_factory.mktemp("clone") / "é夜"
    clone.mkdir()
    for name in ("hub_models", "training", "evaluation", "pyproject.toml", "LICENSE"):
        (clone / name).symlink_to(ROOT / name)
    for name in ("docs", "spaces"):
        shutil.copytree(ROOT / name, clone / name)
    plays = write_plays(clone / "plays.csv")
    text = read_text(plays).replace("sword", "épée").replace("night", "夜")
    plays.write_text(text, encoding="utf-8", newline="\n")
    return clone


def spoil(clone: Path) -> None:
    """Give the clone a README with one row of a table missing, and no pages of results."""
    text = re.sub(r"(<!-- results -->\n.*\n.*\n).*\n", r"\1", read_text(ROOT / "README.md"))
    assert text != read_text(ROOT / "README.md")
    (clone / "README.md").write_text(text, encoding="utf-8", newline="\n")
    shutil.rmtree(clone / "docs" / "results")


def run(clone: Path, commands: list[list[str]], **locale: str) -> tuple[str, dict, str]:
    """Run commands in a clone under a locale -> its encoding, exit codes by command, and what was printed before."""
    own = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONPATH": str(clone)} | locale
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONIOENCODING"} | own
    command = [sys.executable, "-X", "warn_default_encoding", "-c", RUNNER, json.dumps(commands)]
    done = subprocess.run(command, cwd=clone, env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    *said, last = done.stdout.decode(errors="replace").splitlines()
    encoding, codes = json.loads(last)
    return encoding, codes, "\n".join(said)


def check_written(clone: Path) -> None:
    """Hold what `evaluation.table` and `spaces/deploy.py` wrote to the repository's own files."""
    pages = [ROOT / "README.md", *(ROOT / "docs" / "results").glob("*.md")]
    assert len(pages) > 5
    for page in pages:
        assert (clone / page.relative_to(ROOT)).read_bytes() == page.read_bytes(), page
    written = read_text(clone / "build" / "spaces" / "ns" / "text" / "README.md")
    assert written == read_text(ROOT / "spaces" / "text" / "README.md").replace("scanline/", "ns/")


def test_commands_run_in_ascii(clone):
    spoil(clone)
    run_folder = clone / "runs" / "word-lstm-plays"
    commands = [
        ["evaluation.table"],
        ["spaces/deploy.py", "text", "ns", "--dry-run"],
        ["training.train", *TOY, "--data", "plays.csv", "--max_steps", "3"],
        ["evaluation.perplexity", "runs/word-lstm-plays", "--data", "plays.csv"],
        ["training.publish", "runs/word-lstm-plays", "ns", "--dry-run"],
        ["training.train", "--help"],
    ]
    encoding, codes, said = run(clone, commands, LC_ALL="C")
    assert encoding in ("US-ASCII", "ANSI_X3.4-1968") and not any(codes.values()), (codes, said)
    check_written(clone)
    assert "would deploy space ns/text from " in said and "would publish model ns/word-lstm-plays" in said
    for name in ("tokenizer.json", "README.md", "stages/3.txt"):
        assert "épée" in read_text(run_folder / name) and "夜" in read_text(run_folder / name), name
    assert "perplexity_kneser_ney_5_gram" in read_text(run_folder / "README.md")


def test_commands_garble_nothing_in_latin_1(clone, tmp_path):
    """There a text in UTF-8 is read without an error, each byte as a character. Without glibc's tool: ASCII, again."""
    spoil(clone)
    make = ["localedef", "-i", "en_US", "-f", "ISO-8859-1", str(tmp_path / "en_US.ISO-8859-1")]
    made = shutil.which("localedef") and subprocess.run(make, capture_output=True).returncode == 0
    locale = {"LOCPATH": str(tmp_path), "LC_ALL": "en_US.ISO-8859-1"} if made else {"LC_ALL": "C"}
    encoding, codes, _ = run(clone, [["evaluation.table"], ["spaces/deploy.py", "text", "ns", "--dry-run"]], **locale)
    assert (encoding == "ISO-8859-1" or not made) and not any(codes.values()), codes
    check_written(clone)
