"""Fill the README's tables from results files: `python -m evaluation.table` (`--check` only compares)."""

import argparse
import sys
from pathlib import Path

from hub_models import MODELS, shipped
from hub_models.checkpoints import PRETRAINED
from hub_models.environment import prepare_console
from hub_models.files import read_json, read_text, write_text
from hub_models.hub.card import format_value, read_folder, read_results
from hub_models.run_folder import TRAIN_RESULTS, WEIGHTS

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
TINY_BEST = "char-lstm-shakespeare"  # on the Hub's own split; the others' test text is the last fifth
TITLES = {"words": "ours", "study": "the word study's networks, and what it claims of the first"}


def results_table() -> str:
    """Ours beside the published figure and beside the study's recipe at our budget; test split only."""
    lines = ["| model | metric | ours (95 %) | its recipe, our budget | published | where |", "| --- " * 6 + "|"]
    for row in published()["results"]:
        ours, study = (_find(row[key], row["metric"]) for key in ("name", "study"))
        low, high = map(format_value, ours["interval"])
        budget = f"{format_value(study['value'])} ({_epochs(row['study'])} epochs)"
        lines.append(
            f"| {_linked(row['name'])}, {_epochs(row['name'])} epochs "
            f"| {row['metric']} ({ours['unit']}) | **{format_value(ours['value'])}** ({low} to {high}) | {budget} "
            f"| {row['published']} | {row['where']} |"
        )
    return "\n".join(lines)


def cifar10_table() -> str:
    """The convolutional classifiers, on the part of CIFAR-10's test split that was read, and on validation images."""
    lines = [
        "| model | parameters, epochs | validation | test | test, 6 views | published | where |",
        "| --- " * 7 + "|",
    ]
    for row in published()["cifar10"]:
        name = row["name"]
        figures = [_shown(name, "accuracy", "validation")]
        figures += [_shown(name, metric, "test") for metric in ("accuracy", "accuracy_6_views")]
        parameters = _trained(name)["parameters"]
        lines.append(
            f"| {_linked(name)} | {parameters:,}, {_epochs(name)} "
            f"| {' | '.join(figures)} | {row['published']} | {row['where']} |"
        )
    return "\n".join(lines)


def pixelrnn_table() -> str:
    """The PixelRNN family on binarised MNIST, in nats an image, beside the paper's on its own stochastic draw."""
    lines = ["| model | parameters, epochs | data | validation | test | published |", "| --- " * 6 + "|"]
    for row in published()["pixelrnn"]:
        name = row["name"]
        parameters = _trained(name)["parameters"]
        figures = [_ranged(_find(name, "nats_per_image", split), "value") for split in ("validation", "test")]
        lines.append(
            f"| {_linked(name)} | {parameters:,}, {_epochs(name)} "
            f"| {row['data']} | {' | '.join(figures)} | {row['published']} |"
        )
    return "\n".join(lines)


def bits_table() -> str:
    """The PixelRNN family on CIFAR-10, in bits a dimension, beside published figures."""
    lines = ["| model | parameters, epochs | training | validation | test | published |", "| --- " * 6 + "|"]
    for row in published()["bits"]:
        name = row["name"]
        parameters = _trained(name)["parameters"]
        found = [_find(name, "bits_per_dim", split) for split in ("train", "validation", "test")]
        figures = [f"{_ranged(entry, 'value', '.3f')}, {entry['n']:,} images" for entry in found]
        given = ", given the class" if "label" in found[0]["unit"] else ""
        lines.append(
            f"| {_linked(name)}{given} | {parameters:,}, {_epochs(name)} | {' | '.join(figures)} | {row['published']} |"
        )
    return "\n".join(lines)


def ablation_table() -> str:
    """The study's ablation by `evaluation.sweep`, the cumulative beside its figures, and one at a time."""
    found = read_json(HERE / "sweeps" / "ablation.json")
    lines = [f"{found['budget']}; {found['hardware']}; `{found['command']}`", ""]
    lines += ["| stage | parameters | cumulative | | published | one at a time |", "| --- " * 6 + "|"]
    single = {row["stage"]: row for row in found["rows"] if row["kind"] == "one at a time"}
    for row in found["rows"]:
        if row["kind"] == "cumulative":
            kept = "kept" if row["kept"] else ""
            parameters = f"{row['parameters']:,}" if row["parameters"] else "diverged"
            lines.append(
                f"| {row['stage']} | {parameters} | {_ranged(row, 'accuracy')} | {kept} "
                f"| {row.get('published', '')} | {_ranged(single[row['stage']], 'accuracy')} |"
            )
    return "\n".join(lines)


def tricks_table() -> str:
    """What each trick gains, by `evaluation.sweep`."""
    found = read_json(HERE / "sweeps" / "tricks.json")
    lines = [f"{found['budget']}; {found['hardware']}; `{found['command']}`", ""]
    lines += ["| trick | source | gain in points (95 %) | time of a run, times |", "| --- " * 4 + "|"]
    whole, *rows = found["rows"]
    for row in rows:
        time = f"{row['time']:.2f}" if "time" in row else ""
        lines.append(f"| {row['trick']} | {row['source']} | {_ranged(row, 'gain', '+.2f')} | {time} |")
    return "\n".join([*lines, f"| all of the recipe: accuracy | | {_ranged(whole, 'accuracy')} | |"])


def depth_table() -> str:
    """Bits a dimension of the Row LSTM by its layers, by `evaluation.sweep`, beside the paper's."""
    found = read_json(HERE / "sweeps" / "depth.json")
    theirs = {row["layers"]: row["published"] for row in found["rows"] if "published" in row}
    ours = {row["layers"]: row for row in found["rows"] if "published" not in row}
    lines = [f"{found['budget']}; {found['hardware']}; `{found['command']}`", ""]
    lines += ["| layers | parameters | ours, validation | published, validation |", "| --- " * 4 + "|"]
    for layers in sorted(theirs | ours):
        row = ours.get(layers)
        mine = (
            "|" if not row else f"{row['parameters']:,} | {row['bits_per_dim']:.3f}" if "seeds" in row else "| diverged"
        )
        lines.append(f"| {layers} | {mine} | {theirs.get(layers, '')} |")
    return "\n".join(lines)


def characters_table() -> str:
    """Language models over characters, by `evaluation.sweep`, beside what was published of the same nets."""
    found = read_json(HERE / "sweeps" / "characters.json")
    lines = [f"{found['hardware']}; `{found['command']}`", ""]
    lines += ["| model | parameters, epochs | split | perplexity | bits a character | accuracy (%) | published |"]
    lines += ["| --- " * 7 + "|"]
    for row in found["rows"]:
        theirs = row["published"]
        beside = f"{theirs['perplexity']}, {theirs['accuracy']} %" if theirs else ""
        splits = [key for key in ("validation", "test", "held-out") if key in row]
        for split in splits:
            of = {"test": "its last 20 %, unseen"} if split == "test" and row["name"] != TINY_BEST else {}
            of |= {"validation": "windows dealt out at random"} if row["name"].endswith("-random") else {}
            figures = [_ranged(row[split]["perplexity"], "value", ".3f")]
            figures += [f"{row[split]['bits_per_character']['value']:.3f}"]
            figures += [_ranged(row[split]["top_1_accuracy"], "value")]
            lines.append(
                f"| {_linked(row['name'])} | {row['parameters']:,}, {row['epochs']:g} | {of.get(split, split)} "
                f"| {' | '.join(figures)} | {beside if split == splits[0] else ''} |"
            )
    return "\n".join(lines)


def words_table() -> str:
    """Language models over words, ours and the word study's networks, each beside the 5-gram on its own tokens."""
    columns = ("model", "parameters, epochs", "unknown (%)", "perplexity", "5-gram", "of known words", "5-gram")
    columns += ("top-1, top-3 of words (%)",)
    lines = [f"| {' | '.join(columns)} |", "| --- " * len(columns) + "|"]
    for path in (HERE / "sweeps" / f"{name}.json" for name in TITLES):
        if not path.exists():  # days of a CPU, some of them
            continue
        found = read_json(path)
        told = f"{found['budget']}; {found['hardware']}; `{found['command']}`"
        lines.append(f"| *{TITLES[path.stem]}: {told}* |" + " |" * 7)
        for row in found["rows"]:
            test = row["test"]
            gram, words = "kneser_ney_5_gram", "perplexity_of_words"
            shown = [f"{test['unknown']['value']:.2f}", _ranged(test["perplexity"], "value", ".1f")]
            shown += [f"{test[f'perplexity_{gram}']['value']:.1f}", _ranged(test[words], "value", ".1f")]
            shown += [f"{test[f'{words}_{gram}']['value']:.1f}"]
            top = ", ".join(f"{test[f'top_{k}_accuracy_of_words']['value']:.2f}" for k in (1, 3))
            lines.append(
                f"| {_linked(row['name'])} | {row['parameters']:,}, {row['epochs']:g} | {' | '.join(shown)} | {top} |"
            )
    theirs = published()["words"]
    top = f"{theirs['accuracy']}, {theirs['top_3']}"
    lines.append(f"| {theirs['where']} | | | {theirs['perplexity']} | | | | {top} |")
    return "\n".join(lines)


def _linked(name: str) -> str:
    """A name, with a link to its card where it has one."""
    folder = _folder(name)
    return f"[{name}]({folder.relative_to(README.parent)}/README.md)" if folder.is_dir() else name


def _ranged(row: dict, key: str, form: str = ".2f") -> str:
    low, high = row["interval"]
    return f"{row[key]:{form}} ({low:{form}} to {high:{form}})"


def _shown(name: str, metric: str, split: str) -> str:
    entry = _find(name, metric, split)
    return f"{_ranged(entry, 'value')}, {entry['n']:,} images"


def inpainting_table() -> str:
    """Nats a missing pixel, truth and sampled, beside the study's; see `evaluation.inpainting`."""
    study = published()["inpainting"]
    lines = ["| filled | truth | sampled | truth after sampled | study: truth | study: sampled |", "| --- " * 6 + "|"]
    for count in study["truth"]:
        ours = [
            _find(study["name"], f"inpainting_{what}_{count}") for what in ("truth", "sampled", "truth_after_sampled")
        ]
        figures = [format_value(entry["value"]) for entry in ours]
        figures += [str(study[what][count]) for what in ("truth", "sampled")]
        lines.append(f"| first {count} | {' | '.join(figures)} |")
    return "\n".join(lines)


def speed_table() -> str:
    """The ratios of `evaluation.speed`."""
    lines = ["| what | ours | bound (reached) | the plain way | ratio | hardware |", "| --- " * 6 + "|"]
    for row in read_json(HERE / "speed.json"):
        ours, plain = (
            f"{row[unit] / row[key]:,.0f} {unit}/s" if (unit := _unit(row)) else _seconds(row[key])
            for key in ("seconds", "plain_seconds")
        )
        bound = ""
        if "bound_seconds" in row:
            bound = _seconds(row["bound_seconds"])
            if _unit(row):
                bound = f"{row['images'] / row['bound_seconds']:,.0f} images/s"
            bound += f" ({1 / row['of_bound']:.0%})"
        lines.append(f"| {row['pair']} | {ours} | {bound} | {plain} | {row['ratio']:,.1f} | {row['hardware']} |")
    return "\n".join(lines)


def gpu_table() -> str:
    """The ratios of `evaluation.speed_gpu`."""
    lines = ["| what | ours, images/s | the other way | ratio | hardware |", "| --- " * 5 + "|"]
    for row in read_json(HERE / "speed_gpu.json"):
        ours, plain = (
            f"{row[key]:,.{2 * (row[key] < 100)}f}" for key in ("images_per_second", "plain_images_per_second")
        )
        lines.append(f"| {row['pair']} | {ours} | {plain} | {row['ratio']:,.1f} | {row['hardware']} |")
    return "\n".join(lines)


def _unit(row: dict) -> str | None:
    """What a rate of a row counts, if it tells one."""
    return next((unit for unit in ("images", "tokens") if unit in row), None)


def _seconds(value: float) -> str:
    return f"{value:,.0f} s" if value >= 100 else f"{value:.3g} s"


def load_table() -> str:
    """What `tests/load.py` measured of the app with all tabs."""
    parts = read_json(README.parent / "docs" / "load.json")
    rows = [row for rows in parts.values() for row in rows]
    return "\n".join(["| what | result |", "| --- | --- |", *(f"| {row['what']} | {row['result']} |" for row in rows)])


def shipped_table() -> str:
    """What comes with the package, and what training it took."""
    lines = ["| model | kind | data | parameters | MiB | epochs | minutes, on |", "| --- " * 7 + "|"]
    for name in shipped():
        folder = PRETRAINED / name
        config, recipe, trained, _ = read_folder(folder)
        told = [MODELS[config["model_type"]].title, recipe["data"]["repo_id"], f"{trained['parameters']:,}"]
        told += [f"{(folder / WEIGHTS).stat().st_size / 2**20:.2f}", _epochs(name)]
        told.append(f"{trained['minutes']:,.0f}, {recipe['machine']['hardware']}")
        lines.append(f"| {_linked(name)} | {' | '.join(told)} |")
    return "\n".join(lines)


def published() -> dict:
    """Figures of the studies that we rebuild, typed from their pages; everything else in the tables is measured."""
    return read_json(HERE / "published.json")


def _folder(name: str) -> Path:
    """Of a shipped checkpoint, or of one that there is no room to ship: all but its weights."""
    return PRETRAINED / name if name in shipped() else HERE / "unshipped" / name


def _find(name: str, metric: str, split: str = "test") -> dict:
    entries = [r for r in read_results(_folder(name)) if r["metric"] == metric and r["split"] == split]
    return max(entries, key=lambda entry: entry["n"])


def _trained(name: str) -> dict:
    return read_json(_folder(name) / TRAIN_RESULTS)


def _epochs(name: str) -> str:
    return f"{_trained(name)['epochs']:g}"


def filled(text: str) -> str:
    """The README with each part between `<!-- NAME -->` and `<!-- end -->` made anew."""
    tables = {
        "shipped": shipped_table(),
        "results": results_table(),
        "pixelrnn": pixelrnn_table(),
        "bits": bits_table(),
        "cifar10": cifar10_table(),
        "ablation": ablation_table(),
        "tricks": tricks_table(),
        "depth": depth_table(),
        "characters": characters_table(),
        "words": words_table(),
        "inpainting": inpainting_table(),
        "speed": speed_table(),
        "speed on a GPU": gpu_table(),
        "load": load_table(),
    }
    for name, table in tables.items():
        head, begun, rest = text.partition(f"<!-- {name} -->\n")
        old, ended, tail = rest.partition("<!-- end -->")
        whole = begun and ended and "<!--" not in old
        if not whole:
            raise ValueError(f"README.md lacks <!-- {name} --> or its <!-- end -->: put it back")
        text = f"{head}<!-- {name} -->\n{table}\n<!-- end -->{tail}"
    return text


def main() -> None:
    """Write the README, or with --check exit with 1 where it is out of date."""
    prepare_console()
    parser = argparse.ArgumentParser("python -m evaluation.table", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    try:
        text = read_text(README)
        new = filled(text)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    if not check:
        write_text(README, new)
    elif new != text:
        sys.exit("error: README.md is out of date: run python -m evaluation.table")


if __name__ == "__main__":
    main()
