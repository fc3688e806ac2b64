"""What README, CONTRIBUTING, AGENTS and the cards say runs and exists, and shows the figures of the files."""

import importlib.util
import json
import re
from pathlib import Path

import commands
import pytest

from evaluation import table
from hub_models import shipped
from hub_models.checkpoints import PRETRAINED
from hub_models.run_folder import PUBLISHED, SPLITS
from training.recipes import UNSHIPPED

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PACKAGES = ("hub_models", "training", "evaluation", "spaces")
PAGES = {name: (ROOT / name).read_text() for name in ("README.md", "CONTRIBUTING.md", "AGENTS.md")}
COMMANDS = sorted(set(re.findall(r"^python -m (\S+)", README, re.M)))


def test_the_tables_are_those_of_the_results_files():
    assert "| **" in README and table.filled(README) == README, "run python -m evaluation.table"
    pages = {path for path in table.written() if path != table.README}
    assert pages == {*(ROOT / "docs" / "results").iterdir()} and len(pages) == len(table.PAGES) > 5
    for path, text in table.written().items():
        assert path.read_text() == text, "run python -m evaluation.table"


@pytest.mark.parametrize("name", table.PAGES)
def test_a_page_of_results_has_its_tables_links_and_commands(name):
    path, page = table.RESULTS / f"{name}.md", table.PAGES[name]
    text = path.read_text()
    assert text.startswith(f"# {page.title}\n\n{page.text}\n\n## {page.tables[0].title}\n\n{page.tables[0].text}\n\n")
    assert sum(line.startswith("| --- |") for line in text.splitlines()) == len(page.tables)
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert (path.parent / link).exists(), link
    assert re.findall(r"```\n(.*?)\n```", text, re.S) == ["\n".join(page.commands)]
    for command in page.commands:
        module, script = re.match(r"python (?:-m ([\w.]+)|([\w/]+\.py))", command).groups()
        assert importlib.util.find_spec(module) if module else (ROOT / script).is_file(), command


def test_check_names_the_pages_that_are_out_of_date(tmp_path, monkeypatch):
    monkeypatch.setattr(table, "ROOT", tmp_path)
    monkeypatch.setattr(table, "RESULTS", tmp_path / "docs" / "results")
    monkeypatch.setattr(table, "written", lambda: {tmp_path / "README.md": "new", table.RESULTS / "text.md": "page"})
    (tmp_path / "README.md").write_text("new")
    monkeypatch.setattr("sys.argv", ["table", "--check"])
    with pytest.raises(SystemExit, match="^error: docs/results/text.md: out of date, run python -m evaluation.table$"):
        table.main()
    assert not table.RESULTS.exists()
    monkeypatch.setattr("sys.argv", ["table"])
    table.main()
    assert (table.RESULTS / "text.md").read_text() == "page"
    monkeypatch.setattr("sys.argv", ["table", "--check"])
    table.main()


@pytest.mark.parametrize("cut", ["<!-- depth -->\n", "<!-- end -->"])
def test_a_table_without_its_marks_is_told_and_not_written_over_what_follows(cut):
    for at in (README.index(cut), README.rindex(cut)):
        with pytest.raises(ValueError, match=r"README\.md lacks <!-- .* or its <!-- end -->: put it back"):
            table.filled(README[:at] + README[at + len(cut) :])


@pytest.mark.parametrize("module", COMMANDS)
def test_every_command_exists_and_explains_itself(module):
    assert commands.run("-m", module, "--help", cwd=ROOT, check=True).stdout


def test_every_snippet_runs(tmp_path):
    """Each with names of its own, all in one process: to start one takes longer than most snippets."""
    snippets = {}
    for where in "README.md", *(f"hub_models/pretrained/{name}/README.md" for name in shipped()):
        found = re.findall(r"```python\n(.*?)```", (ROOT / where).read_text(), re.S)
        assert found, where
        snippets |= {f"{where}, {i}": snippet for i, snippet in enumerate(found)}
    (tmp_path / "snippets.json").write_text(json.dumps(snippets))
    script = "import json\nfor name, snippet in json.load(open('snippets.json')).items():\n"
    script += "    exec(compile(snippet, name, 'exec'), {'__name__': '__main__'})"
    commands.run("-c", script, cwd=tmp_path, check=True)


def test_every_picture_and_link_is_there():
    cards = [*PRETRAINED.glob("*/README.md"), *UNSHIPPED.glob("*/README.md")]
    for page in *(ROOT / name for name in PAGES), *cards:
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if not link.startswith("https://"):
                assert (page.parent / link).exists(), (page, link)


@pytest.mark.parametrize("page", PAGES)
def test_make_targets_and_commands_that_a_page_names_exist(page):
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"make (\w+)\b(?= *#|[,)`])", PAGES[page]))
    modules = set(re.findall(r"python -m ([\w.]+)", PAGES[page]))
    assert targets and modules
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.M), target
    for module in modules:
        assert importlib.util.find_spec(module), module
    for script in re.findall(r"python ([\w/]+\.py)", PAGES[page]):
        assert (ROOT / script).is_file(), script


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "AGENTS.md"])
def test_paths_that_a_page_names_exist_and_hold_what_it_says(page):
    """A word in capitals stands for any: `tests/test_MODEL.py`. What is not in git (`runs/`, `build/`) is left out."""
    paths = {path for path in re.findall(r"`([\w.-]+/[\w./-]+)`", PAGES[page]) if not re.match("runs/|build/", path)}
    assert len(paths - {*PUBLISHED}) > 3
    for path in paths - {*PUBLISHED}:
        pattern = re.sub(r"(?<![A-Za-z])(?!README)[A-Z]{2,}(?![A-Za-z])", "*", path)
        assert any(ROOT.glob(pattern)), path
    named = re.findall(r"`(\w+)` in `([\w./]+\.py)`", PAGES[page])
    assert named
    for name, path in named:
        assert re.search(rf"^\s*(class |def )?{name}\b", (ROOT / path).read_text(), re.M), (name, path)


def test_the_contract_of_the_run_folder_names_what_is_published():
    table = PAGES["AGENTS.md"].partition("## The contract")[2].partition("checkpoint-N")[0]
    named = {name.replace("SPLIT", split) for name in re.findall(r"`([\w./-]+\.\w+)`", table) for split in SPLITS}
    assert named == {*PUBLISHED}


def test_the_variables_of_ours_that_are_explained_are_read():
    sources = [path for package in (*PACKAGES, "tests") for path in (ROOT / package).rglob("*.py")]
    texts = [path.read_text() for path in sources]
    used = {name for text in texts for name in re.findall(r"SCANLINE_[A-Z_]+", text)}
    explained = set(re.findall(r"SCANLINE_[A-Z_]+", PAGES["AGENTS.md"]))
    assert explained and explained <= used
