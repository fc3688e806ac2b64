"""What the README and the cards say runs, and shows the figures of the files."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from evaluation import table
from hub_models import shipped
from hub_models.base import PRETRAINED

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
COMMANDS = sorted(set(re.findall(r"^python -m (\S+)", README, re.M)))


def test_the_tables_are_those_of_the_results_files():
    assert "| **" in README and table.filled(README) == README, "run python -m evaluation.table"


@pytest.mark.parametrize("cut", ["<!-- depth -->\n", "<!-- end -->"])
def test_a_table_without_its_marks_is_told_and_not_written_over_what_follows(cut):
    for at in (README.index(cut), README.rindex(cut)):
        with pytest.raises(ValueError, match=r"README\.md lacks <!-- .* or its <!-- end -->: put it back"):
            table.filled(README[:at] + README[at + len(cut) :])


@pytest.mark.parametrize("module", COMMANDS)
def test_every_command_exists_and_explains_itself(module):
    shown = subprocess.run([sys.executable, "-m", module, "--help"], capture_output=True, text=True, cwd=ROOT)
    assert shown.returncode == 0 and shown.stdout, shown.stderr


def test_every_snippet_runs(tmp_path):
    """Each with names of its own, all in one process: to start one takes longer than most snippets."""
    snippets = {}
    for where in "README.md", *(f"hub_models/pretrained/{name}/README.md" for name in shipped()):
        found = re.findall(r"```python\n(.*?)```", (ROOT / where).read_text(), re.S)
        assert found, where
        snippets |= {f"{where}, {i}": snippet for i, snippet in enumerate(found)}
    script = "import json, sys\nfor name, snippet in json.load(sys.stdin).items():\n"
    script += "    exec(compile(snippet, name, 'exec'), {'__name__': '__main__'})"
    command = {"args": [sys.executable, "-c", script], "input": json.dumps(snippets), "cwd": tmp_path}
    done = subprocess.run(**command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_picture_and_link_is_there():
    cards = [*PRETRAINED.glob("*/README.md"), *(table.HERE / "unshipped").glob("*/README.md")]
    for page in ROOT / "README.md", *cards:
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if not link.startswith("https://"):
                assert (page.parent / link).exists(), (page, link)


def test_make_targets_that_the_readme_names_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"make (demo|test|smoke|lint|\w+)\b(?= *#|[,)`])", README)):
        assert re.search(rf"^{target}:", makefile, re.M), target
