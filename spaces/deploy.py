"""Deploy a Space: `python spaces/deploy.py THEME NAMESPACE [--private] [--dry-run]`.

One folder is the Space's repository: app, tabs, `hub_models`, requirements, README, and copies of the checkpoints that
its header names, under NAMESPACE. It goes to the Hub in one commit; --dry-run leaves it in `build/spaces` to look at,
and it runs alone: `pip install -r requirements.txt && python app.py`. On the Hub the app takes the weights of the
repositories that its header names, which `training.publish` fills; where it cannot reach them, the copies.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from huggingface_hub import RepoCard

import hub_models
from hub_models import shipped
from hub_models.checkpoints import PRETRAINED
from hub_models.config import nearest
from hub_models.environment import prepare_console
from hub_models.files import read_text, write_text
from hub_models.hub.privacy import check_public
from hub_models.hub.upload import check_card, check_id, connect, listing, upload
from hub_models.run_folder import PUBLISHED

SPACES = Path(__file__).resolve().parent
BUILD = SPACES.parent / "build" / "spaces"
OWN = ("app.py", "README.md", "requirements.txt", "tabs/*.py", "start/*.json", "start/*.webp")  # of a theme
EXAMPLES = ("examples/*/*.png",)  # of all themes
CODE = ("*.py", "layers/*.py", "hub/*.py", "hub/*.md", "spacekit/*.py", "spacekit/assets/*")  # of hub_models
MUST = {"sdk": "gradio", "app_file": "app.py"}
STATED = ("title", "emoji", "colorFrom", "colorTo", "sdk_version", "python_version", "models", "datasets")


def themes() -> list[str]:
    """List the names of the Spaces."""
    return sorted(path.parent.name for path in SPACES.glob("*/app.py"))


def own(text: str, namespace: str) -> str:
    """Return a Space's README with the models of its header in a namespace.

    Raises:
        ValueError: the header lacks something that the Hub needs, or names a model that does not ship.
    """
    metadata = check_card(text, "space")
    for field, value in MUST.items():
        if metadata.get(field) != value:
            raise ValueError(f"README.md states {field}: {metadata.get(field)!r}: make it {value!r}")
    missing = [field for field in STATED if not metadata.get(field)]
    if missing:
        raise ValueError(f"README.md states no {', '.join(missing)}: add it to the metadata at its top")
    for model in metadata["models"]:
        name = model.partition("/")[2]
        if name not in shipped():
            raise ValueError(f"README.md names the model {model!r}, which does not ship: {nearest(name, shipped())}")
        text = text.replace(f"- {model}\n", f"- {check_id(namespace, name)}\n")
    strangers = [model for model in check_card(text, "space")["models"] if not model.startswith(f"{namespace}/")]
    if strangers:
        raise ValueError(f"README.md names {strangers}: write its models one a line, as `  - owner/name`")
    return text


def copy(folder: Path, patterns: tuple[str, ...], target: Path) -> None:
    """Copy the files of a folder that patterns allow."""
    for path in (path for pattern in patterns for path in sorted(folder.glob(pattern))):
        (target / path.relative_to(folder)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target / path.relative_to(folder))


def lay_out(theme: str, namespace: str, folder: Path) -> None:
    """Make a folder that holds all the Space needs.

    Raises:
        ValueError: there is no such theme, its header is wrong, or a file holds a secret or a path of a machine.
    """
    if theme not in themes():
        raise ValueError(f"no Space is called {theme!r}: {nearest(theme, themes())}")
    copy(SPACES / theme, OWN, folder)
    parts = [] if (folder / "tabs").is_dir() else [name for name in themes() if (SPACES / name / "tabs").is_dir()]
    for part in parts:  # of the Space that composes them all
        copy(SPACES / part, OWN, folder / part)
    for readme in (folder / "README.md", *(folder / part / "README.md" for part in parts)):
        write_text(readme, own(read_text(readme), namespace))
    copy(SPACES, EXAMPLES, folder)
    code = Path(hub_models.__file__).parent
    copy(code, CODE, folder / code.name)
    for model in RepoCard(read_text(folder / "README.md")).data.to_dict()["models"]:
        name = model.partition("/")[2]
        copy(PRETRAINED / name, PUBLISHED, folder / code.name / PRETRAINED.name / name)
    shutil.copy(SPACES.parent / "LICENSE", folder)
    check_public(folder)


def main() -> None:
    """Run the command; what the user can mend ends in one sentence and exit code 1."""
    prepare_console()
    parser = argparse.ArgumentParser("python spaces/deploy.py", description=__doc__.splitlines()[0])
    parser.add_argument("theme", metavar="THEME", help=f"one of {', '.join(themes())}")
    parser.add_argument("namespace", metavar="NAMESPACE", help="your user name on the Hub, or an organisation's")
    parser.add_argument("--private", action="store_true", help="make the Space private")
    parser.add_argument("--dry-run", action="store_true", help="lay out the folder only; ask no other host")
    args = parser.parse_args()
    try:
        repo_id = check_id(args.namespace, args.theme)
        if args.dry_run:
            folder = BUILD / repo_id
            shutil.rmtree(folder, ignore_errors=True)
            lay_out(args.theme, args.namespace, folder)
            print(f"would deploy space {repo_id} from {folder}:\n{listing(folder)}")
            return
        connect()  # before any work: it refuses where there is no token
        with tempfile.TemporaryDirectory() as folder:
            lay_out(args.theme, args.namespace, Path(folder))
            print(upload(Path(folder), repo_id, "space", replaced=["*"], private=args.private))
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
