"""The model card, rendered from a folder's files: no live model and no branch per model."""

import itertools
import shlex
from pathlib import Path
from typing import Any

import jinja2
import yaml
from huggingface_hub import EvalResult, EvalResultEntry, ModelCardData, constants, eval_result_entries_to_yaml
from safetensors import SafetensorError, safe_open

from ..checkpoints import PRETRAINED
from ..files import fingerprint, read_json, read_recipe, read_text, write_text
from ..registry import MODELS
from ..run_folder import (
    CARD,
    CONFIG,
    EVAL_RESULTS,
    LEADERBOARD,
    RECIPE,
    RUN_PICTURES,
    SPLITS,
    TRAIN_RESULTS,
    WEIGHTS,
    picture_names,
    report_name,
)

TEMPLATE = Path(__file__).with_name("card.md")
IDENTITY = ("weights", "metric", "dataset", "split", "seed")  # by which a result is known
APART = ("--output_dir", "--disable_tqdm", "--report_to", "--data")  # options that leave a run what its recipe says
HEADLINE = {  # settings that each card shows, and what transformers takes where a recipe says nothing
    "learning_rate": 5e-5,
    "lr_scheduler_type": "linear",
    "warmup_steps": 0,
    "weight_decay": 0.0,
    "per_device_train_batch_size": 8,
    "bf16": False,
    "seed": 42,
}


def write_card(folder: str | Path, repo_id: str | None = None) -> Path:
    """Render `README.md` of a run or checkpoint folder from its other files, and return its path.

    Reads `config.json`, `recipe.json`, `train_results.json` and, where they are, `model.safetensors`,
    `eval_results.json`, a report and the wheel of Scanline's code. Test results go to `.eval_results/test.yaml`, too.
    The card shows the pictures that are in the folder. Without weights it says how to train them.

    Args:
        folder: what `training.train` leaves, or a copy.
        repo_id: the Hub repository it is for; without, the card loads the shipped name or, of a run, `runs/NAME`.

    Raises:
        FileNotFoundError: a file is missing. ValueError: one is damaged; nothing is written.
    """
    text, tested = render_card(folder, repo_id)
    folder = Path(folder).resolve()
    if tested:
        (folder / LEADERBOARD).parent.mkdir(exist_ok=True)
        write_text(folder / LEADERBOARD, tested)
    else:
        (folder / LEADERBOARD).unlink(missing_ok=True)
    write_text(folder / CARD, text)
    return folder / CARD


def render_card(folder: str | Path, repo_id: str | None = None) -> tuple[str, str]:
    """What `write_card` writes: the card, and test results for leaderboards ("": none).

    Raises:
        FileNotFoundError: a file is missing. ValueError: one is damaged.
    """
    folder = Path(folder).resolve()
    parts = read_folder(folder)
    try:
        return _rendered(folder, repo_id, *parts)
    except SafetensorError as error:
        raise ValueError(f"{folder / WEIGHTS} is damaged ({error}): download it again, or train anew") from error
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, jinja2.UndefinedError) as error:
        told = f"{folder} has a recipe, results or a report that no command of ours wrote so ({error!r})"
        raise ValueError(f"{told}: train anew, or download it again") from error


def _rendered(
    folder: Path, repo_id: str | None, config: dict, recipe: dict, trained: dict, results: list[dict]
) -> tuple[str, str]:
    model = MODELS[config["model_type"]]
    name = repo_id or folder.name
    has_weights = (folder / WEIGHTS).is_file()
    path = repo_id or (address(folder) if has_weights else f"runs/{name}")  # where training leaves the weights
    split = shown_split(folder)
    report = read_report(folder, split) if split else None
    environment = jinja2.Environment(trim_blocks=False, keep_trailing_newline=True, undefined=jinja2.StrictUndefined)
    text = environment.from_string(read_text(TEMPLATE)).render(
        metadata=_metadata(model, name, recipe, results).to_yaml(),
        name=name,
        repo_id=repo_id,
        endpoint=constants.ENDPOINT,
        wheel=next((file.name for file in folder.glob("*.whl")), None),
        path=path,
        class_name=model.__name__,
        title=model.title,
        about=model.about,
        limits=model.limits,
        citation=model.citation,
        usage=model.usage,
        config=config,
        parameters=trained["parameters"],
        has_weights=has_weights,
        stored=_stored(folder / WEIGHTS) if has_weights else "F16" if recipe.get("store_fp16") else "F32",
        pictures=_pictures(folder),
        recipe=recipe,
        changed=changed_options(recipe["command"]),
        samples=trained["samples"],
        written=trained.get("written"),
        stages=trained.get("stages"),
        results=[_shown(result) for result in results],
        counted="over" if any("of" in result for result in results) else "images",
        report=report,
        report_file=report_name(split) if split else "",
        sections=_sections(folder, report) if report else [],
        commands=sorted({_addressed(result["command"], path) for result in results}),
        train_command=recipe["command"],
        settings=_settings(recipe, trained),
    )
    return text, _leaderboard(results, repo_id)


def read_folder(folder: Path) -> tuple[dict, dict, dict, list[dict]]:
    """What a card is made of: config, recipe, training results, and the entries of `read_results`.

    Raises:
        FileNotFoundError: a file is missing. ValueError: one is damaged, a report, too.
    """
    for split in SPLITS:
        read_report(folder, split)
    config, trained = (read_json(folder / name) for name in (CONFIG, TRAIN_RESULTS))
    return config, read_recipe(folder / RECIPE), trained, read_results(folder)


def read_results(folder: str | Path) -> list[dict]:
    """The entries of a folder's `eval_results.json`; none where there is no such file.

    Raises:
        ValueError: it is damaged.
    """
    path = Path(folder, EVAL_RESULTS)
    results = read_json(path) if path.is_file() else []
    whole = isinstance(results, list) and all(isinstance(entry, dict) and {*IDENTITY} <= {*entry} for entry in results)
    if not whole:
        raise ValueError(f"{path} is damaged: delete it, and evaluate again")
    return results


def read_report(folder: str | Path, split: str) -> dict | None:
    """Read a folder's report of a split: figures, and `sections`, which the card shows; None if none is of its weights.

    Raises:
        ValueError: it is damaged, or from before reports had sections.
    """
    path = Path(folder, report_name(split))
    if not path.is_file():
        return None
    found = read_json(path)
    if not (isinstance(found, dict) and "weights" in found):
        raise ValueError(f"{path} is damaged: delete it, and evaluate again")
    if found["weights"] != _identity(Path(folder)):
        return None
    if "sections" not in found:
        raise ValueError(
            f"{path} has no sections, so it is of an older version: run python -m evaluation.migrate {folder}"
        )
    return found


def shown_split(folder: str | Path) -> str | None:
    """The split whose report and pictures a folder's card shows: test before validation; None without a report.

    Raises:
        ValueError: a report is damaged.
    """
    return next((split for split in SPLITS if read_report(folder, split)), None)


def unshown_pictures(folder: str | Path) -> list[str]:
    """The names of all pictures of the splits that a folder's card does not show, whether they are there or not."""
    shown = shown_split(folder)
    return [name for split in SPLITS if split != shown for name in picture_names(split)]


def _identity(folder: Path) -> str | None:
    """The fingerprint of a folder's weights; where they are not there, of the weights that its results are of."""
    if (folder / WEIGHTS).is_file():
        return fingerprint(folder / WEIGHTS)
    return next((entry["weights"] for entry in read_results(folder)), None)


def _stored(weights: Path) -> str:
    """The number formats of a weight file and its size."""
    with safe_open(weights, "pt") as file:
        dtypes = sorted({file.get_slice(key).get_dtype() for key in file.keys()} - {"I64"})  # noqa: SIM118
    return f"{', '.join(dtypes)}, {weights.stat().st_size / 2**20:.2f} MiB"


def _pictures(folder: Path) -> dict[str, str]:
    """The file of each of a run's pictures: `curves`, `samples`, `stages`; "" for one that is not there."""
    return {Path(name).stem: name if (folder / name).is_file() else "" for name in RUN_PICTURES}


def _sections(folder: Path, report: dict) -> list[dict]:
    """The sections of a report as the card shows them: without pictures that are not in the folder."""
    sections = [s | {"picture": s["picture"] if (folder / s["picture"]).is_file() else ""} for s in report["sections"]]
    return [
        new
        for new, old in zip(sections, report["sections"], strict=True)
        if new["picture"] == old["picture"] or new["rows"]
    ]


def format_value(value: float) -> str:
    """A figure as cards and tables print it: four significant digits after the point's leading zeros, no exponent."""
    return f"{value:.2f}" if abs(value) >= 10 else f"{value:.4f}" if abs(value) >= 0.1 else f"{value:.5f}"


def address(folder: Path) -> str:
    """What a resolved folder is called in commands that others read, without the folders of this machine above it.

    The shipped name, or `runs/NAME`, else the way from the current folder; `./NAME` where that would lead upwards.
    """
    if folder.parent == PRETRAINED.resolve():
        return folder.name
    if folder.parent.name == "runs":
        return f"runs/{folder.name}"
    here = Path.cwd().resolve()
    inside = here in folder.parents and here not in Path.home().parents  # from above one's home it would name that
    return f"./{(folder.relative_to(here) if inside else Path(folder.name)).as_posix()}"


def changed_options(command: str) -> str:
    """Return the options of a training command that change its recipe, as they were given; "" if there are none."""
    words = shlex.split(command)
    words = words[words.index("training.train") + 2 :]
    starts = [i for i, word in enumerate(words) if word.startswith("--")] + [len(words)]
    options = [words[begin:end] for begin, end in itertools.pairwise(starts)]
    return shlex.join(itertools.chain(*(option for option in options if option[0].partition("=")[0] not in APART)))


def _addressed(command: str, path: str) -> str:
    """An evaluation command as who has the model under this path gives it: the name comes after `-m SCRIPT`."""
    words = shlex.split(command)
    words[words.index("-m") + 2] = path
    return shlex.join(words)


def _leaderboard(results: list[dict], repo_id: str | None) -> str:
    """The test figures as YAML, of each metric the one over most images; empty without any."""
    tested = {result["metric"]: result for result in widest(results) if result["split"] == "test"}
    if any("url" in result for result in results):  # data from elsewhere has no leaderboard
        return ""
    source = {"source_url": f"{constants.ENDPOINT}/{repo_id}", "source_name": "Model card"} if repo_id else {}
    entries = [
        EvalResultEntry(
            dataset_id=result["dataset"],
            task_id=metric,
            value=result["value"],
            dataset_revision=result["revision"],
            notes=f"{result['unit']}, {_images(result)}{'' if 'of' in result else ' test images'}"
            + f", seed {result['seed']}{', ' + result['prepared'] if 'prepared' in result else ''}",
            **source,
        )
        for metric, result in tested.items()
    ]
    return yaml.safe_dump(eval_result_entries_to_yaml(entries), sort_keys=False) if entries else ""


def extent(result: dict) -> tuple:
    """How much of a split a figure is of, to be compared with another of the same metric."""
    return "part" not in result, result["n"]


def widest(results: list[dict]) -> list[dict]:
    """Of each metric and split the figure that is of most of it, in the order given."""
    best = {(result["metric"], result["split"]): result for result in sorted(results, key=extent)}
    return [result for result in results if result is best[result["metric"], result["split"]]]


def _images(result: dict) -> str:
    """How many images, or what else, a figure is of, and which where they are not all of the split."""
    named = f"{result['n']:,}" + (f" {result['of']}" if "of" in result else "")
    return named + (f" ({result['part']})" if "part" in result else "")


def _named(result: dict) -> str:
    """The data set of a figure, and what was done to it."""
    return result["dataset"] + (f" ({result['prepared']})" if "prepared" in result else "")


def _shown(result: dict) -> dict:
    low, high = result["interval"]
    return result | {
        "named": _named(result),
        "images": _images(result),
        "shown": format_value(result["value"]),
        "interval_shown": f"{format_value(low)} to {format_value(high)}",
    }


def _metadata(model, name: str, recipe: dict, results: list[dict]) -> ModelCardData:
    """The YAML block that the Hub reads: licence, tags, data set and results."""
    info = model._hub_mixin_info.model_card_data
    entries = [
        EvalResult(
            task_type=info.pipeline_tag,
            dataset_type=result["dataset"],
            dataset_name=_named(result),
            dataset_split=result["split"],
            dataset_revision=result["revision"],
            metric_type=result["metric"],
            metric_name=f"{result['metric']} ({result['unit']}{', ' + result['part'] if 'part' in result else ''})",
            metric_value=result["value"],
        )
        for result in widest(results)
    ]
    facts: dict[str, Any] = {"model_name": name, "eval_results": entries} if entries else {}
    return ModelCardData(
        license=info.license,
        library_name=info.library_name,
        pipeline_tag=info.pipeline_tag,
        tags=list(info.tags),
        datasets=None if "url" in recipe["data"] else [recipe["data"]["repo_id"]],  # the Hub's own alone
        **facts,
    )


def _settings(recipe: dict, trained: dict) -> dict[str, Any]:
    """The training table: what was set, how long it ran, what validation said."""
    machine, best = recipe["machine"], trained["best_validation"]
    table = {key: recipe["training"].get(key, standard) for key, standard in HEADLINE.items()}
    table |= recipe.get("settings", {})  # of the options, as training described them
    table["steps (epochs)"] = f"{trained['steps']:,} ({trained['epochs']})" + (
        ", stopped early" if trained["stopped_early"] else ""
    )
    table["kept from epoch"] = round(best["epoch"], 2)
    table["its validation loss then"] = f"{format_value(best['eval_loss'])} nats"
    if "eval_accuracy" in best:
        table["its accuracy then"] = f"{100 * best['eval_accuracy']:.2f} %"
    table["wall time"] = f"{trained['minutes']} minutes"
    table["peak memory"] = f"{trained['peak_memory_mib']:,} MiB"
    table["hardware"] = machine["hardware"]
    table["versions"] = f"torch {machine['torch']}, transformers {machine['transformers']}, Python {machine['python']}"
    return table
