"""How the house is built: who imports whom, what lies where."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from conftest import absent

import hub_models
from hub_models import MODELS, run_folder
from training.recipes import RECIPES

ROOT = Path(__file__).parents[1]
PACKAGES = ("hub_models", "training", "evaluation", "spaces")
OF_THE_HOUSE = {
    "hub_models": {"hub_models"},
    "training": {"hub_models", "training"},
    "evaluation": {"hub_models", "training", "evaluation"},
    "spaces": {"hub_models"},
}
DISTRIBUTIONS = {"huggingface-hub": "huggingface_hub", "pillow": "PIL", "pyyaml": "yaml"}  # modules called otherwise


def files(package: str) -> list[Path]:
    found = sorted((ROOT / package).rglob("*.py"))
    assert found, f"{package} has no Python files"
    return found


def imported(path: Path) -> set[str]:
    """Top-level names of all modules that a file imports, inside functions too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level:
            assert node.level < len(path.relative_to(ROOT).parts), f"{path} climbs out of its package"
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module.partition(".")[0])
    return names


def files_imported(path: Path) -> set[Path]:
    """Our own files that a file imports, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):  # what is imported may be a module itself
            names = [f"{node.module}.{alias.name}" if node.module else alias.name for alias in node.names]
        else:
            continue
        level = getattr(node, "level", 0)
        for name in names:
            place = (path.parents[level - 1] if level else ROOT).joinpath(*name.split("."))
            package = place.parent  # of what is imported by name
            candidates = [place.with_suffix(".py"), place / "__init__.py"]
            candidates += [package.with_suffix(".py"), package / "__init__.py"]
            found |= {next(filter(Path.is_file, candidates), path)} - {path}
    return found


def test_no_imports_run_in_a_circle():
    """Not inside functions either: an import that waits until it is called hides a circle, it does not open it."""
    graph = {path: files_imported(path) for package in PACKAGES for path in files(package)}
    assert ROOT / "hub_models" / "registry.py" in graph[ROOT / "hub_models" / "hub" / "card.py"]
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the files


def test_only_run_folder_names_the_files_of_a_run():
    """README.md is left out: a Space has one, too."""
    names = {*run_folder.PUBLISHED, run_folder.LOCK, run_folder.WRITING, run_folder.ASIDE} - {run_folder.CARD}
    home, literals = ROOT / "hub_models" / "run_folder.py", {}
    for path in (path for package in PACKAGES for path in files(package)):
        nodes = ast.walk(ast.parse(path.read_text()))
        literals[path] = {node.value for node in nodes if isinstance(node, ast.Constant)} & names
    assert {*run_folder.RUN_PICTURES, run_folder.LOCK} <= literals.pop(home)
    assert not {path: found for path, found in literals.items() if found}


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_run_one_way(package):
    """spaces -> hub_models <- training <- evaluation; nobody imports the tests."""
    for path in files(package):
        foreign = imported(path) & {*PACKAGES, "tests", "conftest"} - OF_THE_HOUSE[package]
        assert not foreign, f"{path.relative_to(ROOT)} imports {foreign}"


def test_hub_models_imports_only_what_installing_it_brings():
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = [re.match(r"[\w-]+", requirement).group().lower().replace("_", "-") for requirement in wanted]
    allowed = {"hub_models", *sys.stdlib_module_names, *(DISTRIBUTIONS.get(name, name) for name in names)}
    for path in files("hub_models"):  # the kit of the Spaces comes with the extra `demo`
        kit = path.is_relative_to(ROOT / "hub_models" / "spacekit")
        foreign = imported(path) - allowed - ({"gradio", "gradio_client", "fastapi", "starlette"} if kit else set())
        assert not foreign, f"{path.relative_to(ROOT)} imports {foreign}"


def test_opening_hub_models_loads_nothing_slow():
    code = "import hub_models, json, sys; print(json.dumps([name.partition('.')[0] for name in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    loaded = set(json.loads(done.stdout))
    assert "hub_models" in loaded and "torch" in loaded
    slow = {"transformers", "datasets", "accelerate", "evaluate", "matplotlib", "gradio", "pandas", "scipy"}
    assert not loaded & (slow | {"training", "evaluation", "spaces"})


def test_spaces_is_no_package():
    """Gradio imports a `spaces` of its own on hosted Spaces: ours must not stand in its place."""
    assert (ROOT / "spaces").is_dir() and not (ROOT / "spaces" / "__init__.py").exists()


def test_no_pickle_is_tracked():
    try:
        done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        absent(f"no git checkout ({error})")
    tracked = [ROOT / name for name in done.stdout.split("\0") if name]
    assert ROOT / "pyproject.toml" in tracked
    for path in filter(Path.is_file, tracked):
        with path.open("rb") as file:
            head = file.read(2)
        assert head != b"PK", f"{path} is a zip, as torch.save makes"
        assert not (head[:1] == b"\x80" and head[1:] <= b"\x05"), f"{path} is a pickle"
        assert path.suffix not in (".pkl", ".pt", ".pth", ".bin", ".ckpt", ".npy"), path


def test_recipes_are_named_as_their_hub_repositories():
    """A recipe's name is its run folder's, its shipped folder's and its repository's."""
    names = list(RECIPES)
    assert names and len({name.lower() for name in names}) == len(names)
    for name in names:
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", name) and len(name) <= 96, name


def test_no_two_files_of_recipes_share_a_name():
    """The one dictionary of all is a union: what two files call the same, one of them loses."""
    from training import recipes as package

    families = [module.RECIPES for module in vars(package).values() if hasattr(module, "RECIPES")]
    assert families and sum(map(len, families)) == len(RECIPES)


def test_every_shipped_checkpoint_and_every_model_has_a_recipe():
    assert {recipe.model.model_type for recipe in RECIPES.values()} == set(MODELS)
    for name in hub_models.shipped():
        stored = json.loads((ROOT / "hub_models" / "pretrained" / name / "config.json").read_text())
        assert RECIPES[name].model.model_type == stored["model_type"]


@pytest.mark.parametrize("model_type", MODELS)
def test_models_say_what_they_are(model_type):
    model = MODELS[model_type]
    for documented in (model, model.config_class):
        doc = vars(documented)["__doc__"]  # its own, not its base's
        assert doc and not doc.startswith(f"{documented.__name__}("), "dataclasses write one that says nothing"
    assert sys.modules[model.__module__].__doc__
    for fact in ("title", "about", "limits", "citation", "usage"):
        assert getattr(model, fact).strip(), fact
    assert model.citation.startswith("@")
