"""Deploy a Space: `python spaces/deploy.py THEME NAMESPACE [--private] [--dry-run]`.

Lays out `build/spaces/THEME` as the Space's repository will be (app, tabs, `hub_models`, requirements, README, and
copies of the checkpoints that its header names, under NAMESPACE) and puts it on the Hub in one commit. The folder runs
alone: `pip install -r requirements.txt && python app.py`. On the Hub the app takes the weights of the repositories that
its header names, which `training.publish` fills; where it cannot reach them, the copies.
"""

import argparse
import shutil
import sys
from pathlib import Path

from huggingface_hub import RepoCard

import hub_models
from hub_models import shipped
from hub_models.base import PRETRAINED, nearest, require
from hub_models.upload import check_card, check_id, connect, listing, upload

SPACES = Path(__file__).resolve().parent
BUILD = SPACES.parent / "build" / "spaces"
LOCAL = shutil.ignore_patterns("__pycache__", "*.pyi", "*.writing", ".gradio")
MUST = {"sdk": "gradio", "app_file": "app.py"}
STATED = ("title", "emoji", "colorFrom", "colorTo", "sdk_version", "python_version", "models", "datasets")


def themes() -> list[str]:
    """Names of the Spaces."""
    return sorted(path.parent.name for path in SPACES.glob("*/app.py"))


def own(text: str, namespace: str) -> str:
    """A Space's README with the models of its header in this namespace.

    Raises:
        ValueError: the header lacks something that the Hub needs, or names a model that does not ship.
    """
    metadata = check_card(text, "space")
    for field, value in MUST.items():
        require(metadata.get(field) == value, f"README.md states {field}: {metadata.get(field)!r}: make it {value!r}")
    missing = [field for field in STATED if not metadata.get(field)]
    require(not missing, f"README.md states no {', '.join(missing)}: add it to the metadata at its top")
    for model in metadata["models"]:
        name = model.partition("/")[2]
        require(
            name in shipped(), f"README.md names the model {model!r}, which does not ship: {nearest(name, shipped())}"
        )
        text = text.replace(f"- {model}\n", f"- {check_id(namespace, name)}\n")
    return text


def lay_out(theme: str, namespace: str, folder: Path) -> None:
    """Make a folder that holds all the Space needs.

    Raises:
        ValueError: there is no such theme, or its header is wrong.
    """
    require(theme in themes(), f"no Space is called {theme!r}: {nearest(theme, themes())}")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(SPACES / theme, folder, ignore=LOCAL)
    parts = [] if (folder / "tabs").is_dir() else [name for name in themes() if (SPACES / name / "tabs").is_dir()]
    for part in parts:  # of the Space that composes them all
        shutil.copytree(SPACES / part, folder / part, ignore=LOCAL)
    for readme in (folder / "README.md", *(folder / part / "README.md" for part in parts)):
        readme.write_text(own(readme.read_text(), namespace))
    code = Path(hub_models.__file__).parent
    shutil.copytree(code, folder / code.name, ignore=shutil.ignore_patterns("__pycache__", PRETRAINED.name))
    for model in RepoCard((folder / "README.md").read_text()).data.to_dict()["models"]:
        name = model.partition("/")[2]
        shutil.copytree(PRETRAINED / name, folder / code.name / PRETRAINED.name / name)
    shutil.copy(SPACES.parent / "LICENSE", folder)


def main() -> None:
    """The command: one sentence and exit code 1 on what the user can mend."""
    parser = argparse.ArgumentParser("python spaces/deploy.py", description=__doc__.splitlines()[0])
    parser.add_argument("theme", metavar="THEME", help=f"one of {', '.join(themes())}")
    parser.add_argument("namespace", metavar="NAMESPACE", help="your user name on the Hub, or an organisation's")
    parser.add_argument("--private", action="store_true", help="make the Space private")
    parser.add_argument("--dry-run", action="store_true", help="lay out the folder only; ask no other host")
    args = parser.parse_args()
    try:
        repo_id, folder = check_id(args.namespace, args.theme), BUILD / args.theme
        if not args.dry_run:
            connect()  # before any work: it refuses where there is no token
        lay_out(args.theme, args.namespace, folder)
        if args.dry_run:
            print(f"would deploy space {repo_id} from {folder}:\n{listing(folder)}")
        else:
            print(upload(folder, repo_id, "space", replaced=["*"], private=args.private))
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
