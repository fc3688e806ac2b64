"""Cards: valid metadata, figures of the files only, and nothing shipped that is not what it says."""

import hashlib
import json
import shlex
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from huggingface_hub import ModelCard, constants, parse_eval_result_entries

from evaluation import accuracy, bits_per_dim, migrate
from evaluation.reports import section
from evaluation.runner import record, run
from hub_models import MODELS, Classifier, TextModel, load, shipped
from hub_models.causal_conv import CausalConvModel
from hub_models.checkpoints import PRETRAINED
from hub_models.hub.card import format_value, read_report, read_results, render_card, write_card
from hub_models.hub.upload import check_card
from hub_models.run_folder import LEADERBOARD, PUBLISHED, SPLITS, WEIGHTS, picture_names, report_name
from training.arguments import parse
from training.data import ImageData
from training.publish import SOURCES
from training.recipe import standards
from training.recipes import UNSHIPPED, expected, find
from training.record import description
from training.record import recorded as recorded_recipe

FACTS, PICTURE, MISTAKES, TILES, NEIGHBOURS = report_name("test"), *picture_names("test")
OF_ANSWERS, OF_SAMPLES = {FACTS, PICTURE, MISTAKES, TILES}, {FACTS, PICTURE, NEIGHBOURS}  # reports of the two kinds
OF_REPORTS = {name for split in SPLITS for name in (report_name(split), *picture_names(split))}
FILES = set(PUBLISHED) - {"tokenizer.json", "stages.webp"} - OF_REPORTS


@pytest.fixture(params=shipped())
def folder(request):
    return PRETRAINED / request.param


@pytest.fixture(params=[*shipped(), *(path.name for path in sorted(UNSHIPPED.iterdir()))])
def told(request):
    """A folder with figures: of what ships, or of what is too large to, which has no weights."""
    return next(path for home in (PRETRAINED, UNSHIPPED) if (path := home / request.param).is_dir())


def files_of(folder) -> set[str]:
    """What a folder with figures is to hold, by its model."""
    config = json.loads((folder / "config.json").read_text())
    kind = MODELS[config["model_type"]]
    if issubclass(kind, TextModel):
        wanted = FILES - {"samples.webp"} | {"tokenizer.json", FACTS}
        return wanted if on_the_hub(folder) else wanted - {LEADERBOARD}
    if issubclass(kind, CausalConvModel):  # the recurrent ones were trained before stages were drawn
        return FILES | {"stages.webp"} | (OF_SAMPLES if config["levels"] == 256 else set())
    return FILES | (OF_ANSWERS if issubclass(kind, Classifier) else set())


def on_the_hub(folder) -> bool:
    """Whether a checkpoint's data set is the Hub's; the others have an address of their own."""
    return "url" not in json.loads((folder / "recipe.json").read_text())["data"]


def test_something_of_each_family_ships():
    assert {load(name).config.model_type for name in shipped()} == set(MODELS)


def test_a_shipped_folder_is_whole_and_its_own_cards_source(folder, tmp_path, monkeypatch):
    files = [path for path in folder.rglob("*") if path.is_file()]
    found, wanted = {str(path.relative_to(folder)) for path in files}, files_of(folder)
    assert found in (wanted, wanted | {"report-validation.json"})
    copy = tmp_path / "runs" / folder.name
    shutil.copytree(folder, copy)
    (copy / "README.md").unlink(), (copy / LEADERBOARD).unlink(missing_ok=True)
    assert f'load("runs/{folder.name}")' in write_card(copy).read_text()
    monkeypatch.setattr("hub_models.hub.card.PRETRAINED", copy.parent)
    assert write_card(copy).read_text() == (folder / "README.md").read_text(), "run an evaluation: the card is stale"
    if LEADERBOARD in wanted:
        assert (copy / LEADERBOARD).read_text() == (folder / LEADERBOARD).read_text(), "run an evaluation"


def test_shipped_results_are_of_the_shipped_weights_and_name_their_command(folder):
    weights = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    results = read_results(folder)
    assert any(entry["split"] == "test" for entry in results)
    for entry in results:
        assert entry["weights"] == weights
        assert entry["command"].startswith("python -m evaluation.") and f" {folder.name} " in entry["command"]
        low, high = entry["interval"]
        assert low <= entry["value"] <= high and entry["n"] > 0 and entry["hardware"] and entry["unit"]


def test_the_list_of_recipes_shows_what_each_gave(told, capsys):
    with pytest.raises(SystemExit):
        parse(["--help"])
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines() if " (test) after " in line)
    scored = {e["metric"]: e["value"] for e in read_results(told) if e["split"] == "test"}
    (metric,) = {"accuracy", "nats_per_image", "perplexity"} & set(scored)
    assert f"{metric} {format_value(scored[metric])}" in lines[told.name]
    assert set(lines) == {*shipped(), *(path.name for path in UNSHIPPED.iterdir())}


def test_what_a_recipe_gave_is_read_from_its_folder(tmp_path, monkeypatch):
    name = "pixelcnn-mnist"
    shutil.copytree(PRETRAINED / name, tmp_path / name)
    monkeypatch.setattr("training.recipes.PRETRAINED", tmp_path)
    results = read_results(tmp_path / name)
    test = next(e for e in results if (e["metric"], e["split"]) == ("bits_per_dim", "test"))
    more = test | {"metric": "accuracy", "value": 12.5}
    part = more | {"value": 50.0, "n": 9, "part": "first 9 of 10000"}  # not shown: there is a figure over more images
    (tmp_path / name / "eval_results.json").write_text(json.dumps([test | {"value": 0.25}, more, part]))
    recipe = json.loads((tmp_path / name / "recipe.json").read_text())
    recipe |= {"command": f"python -m training.train {name} --seed 3 --disable_tqdm True"}
    recipe["machine"]["hardware"] = "a laptop"
    (tmp_path / name / "recipe.json").write_text(json.dumps(recipe))
    trained = json.loads((tmp_path / name / "train_results.json").read_text())
    (tmp_path / name / "train_results.json").write_text(json.dumps(trained | {"minutes": 7.25}))
    assert expected(name) == "accuracy 12.50, bits_per_dim 0.2500 (test) after 7.25 minutes on a laptop, with --seed 3"
    assert expected("no-such-recipe") == ""


OLDER = {  # options that a checkpoint may have otherwise than today's recipe -> what its card then says of them
    "lr_scheduler_type": "at a constant rate",
    "lr_scheduler_kwargs": "at a constant rate",
    "weight_decay": "weight decay",
    "max_grad_norm": "gradient clipping",
    "patience": "early stopping",
}


def test_checkpoints_are_of_their_recipes_or_their_cards_say_what_differs(told):
    """Trained as the recipe says now, machine apart: `bf16` is left out where there is none."""
    recorded, recipe = json.loads((told / "recipe.json").read_text()), find(told.name)
    assert standards(type(recipe.model)) | recorded["model"] == json.loads(recipe.model.to_json_string())
    now = recipe.options()
    then = {field: recorded.get(field, [] if isinstance(now[field], list) else 0) for field in now}
    assert recorded["settings"] == recorded_recipe(recorded).settings()
    argv = shlex.split(recorded["command"].partition(" training.train ")[2])
    now |= description(argv, *parse(argv), ImageData(torch.empty(0), torch.empty(0)))["training"] | {"bf16": None}
    then |= recorded["training"] | {"bf16": None}
    changed = {option for option in {*then, *now} if then.get(option) != now.get(option)}
    assert recorded["about"].startswith(recipe.about) and recorded["about"] in (told / "README.md").read_text()
    said = recorded["about"].removeprefix(recipe.about)
    assert changed <= {*OLDER}, "train it again, or tell in its recipe.json what differs"
    assert {option for option, words in OLDER.items() if words in said} == changed and bool(said) == bool(changed)


@pytest.mark.parametrize("folder", sorted(UNSHIPPED.iterdir()), ids=lambda folder: folder.name)
def test_what_is_not_shipped_has_all_but_weights_and_pictures(folder):
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    wanted = {name for name in files_of(folder) - {WEIGHTS} if not name.endswith(".webp")}
    assert found in (wanted, wanted | {"report-validation.json"})
    (card, tested), results = render_card(folder), read_results(folder)
    assert (folder / "README.md").read_text() == card, "run hub_models.hub.card.write_card: the card is stale"
    assert (folder / LEADERBOARD).read_text() == tested
    assert find(folder.name).about in card and len({entry["weights"] for entry in results}) == 1
    assert "The weights are not in this folder." in card and f'load("runs/{folder.name}")' in card
    assert "### In detail" in card and "![" not in card
    for entry in results:
        command = entry["command"].replace(f" {folder.name} ", f" runs/{folder.name} ")
        assert f"{format_value(entry['value'])} {entry['unit']}" in card and f"`{command}`" in card


@pytest.mark.parametrize("name", ["cifar10-fast", "gated-pixelcnn-cifar10", "word-lstm-plays"])
def test_a_card_shows_the_pictures_that_are_there(name, tmp_path):
    """A run from before pictures were WebP has none of these names."""
    copy = shutil.copytree(PRETRAINED / name, tmp_path / name)
    whole = write_card(copy).read_text()
    for picture in sorted(copy.glob("*.webp")):
        assert (f"({picture.name})" in whole) == (picture.name != TILES)
        picture.unlink()
        assert picture.name not in write_card(copy).read_text()
    lines = write_card(copy).read_text().splitlines()
    assert not [line for line in lines if line.startswith("![")] and "## Training" in lines
    assert {line for line in whole.splitlines() if line.startswith("|")} == {x for x in lines if x.startswith("|")}


def test_metadata_is_what_the_hub_reads(folder):
    card = ModelCard((folder / "README.md").read_text())
    assert check_card(str(card), "model", SOURCES if on_the_hub(folder) else None)
    assert (card.data.datasets or []) == [json.loads((folder / "recipe.json").read_text())["data"]["repo_id"]][
        : on_the_hub(folder)
    ]
    assert card.data.license == "apache-2.0" and card.data.library_name == "scanline"
    listed = {(r.metric_type, r.dataset_split, r.metric_value) for r in card.data.eval_results}
    assert listed == {(e["metric"], e["split"], e["value"]) for e in read_results(folder)}
    for entry in read_results(folder):
        assert f"{format_value(entry['value'])} {entry['unit']}" in card.text
        prepared = json.loads((folder / "recipe.json").read_text())["data"].get("prepared")
        assert entry.get("prepared") == prepared and (prepared or not folder.name.endswith("-drawn"))
    if folder.name.endswith("-drawn"):  # other images than those of the data set as it is
        draw = "binarised by one stochastic draw, seed 0, of the test part 1"
        assert {r.dataset_name for r in card.data.eval_results} == {f"ylecun/mnist ({draw})"}
        assert f"`, {draw}.\n" in card.text and draw in (folder / LEADERBOARD).read_text().replace("\n   ", "")
        assert f"| ylecun/mnist ({draw}), test |" in card.text


def test_a_card_calls_its_folder_by_where_it_lies(tmp_path, monkeypatch):
    name = "pixelcnn-mnist"
    for place in ("runs", "runs/group", "läufe 1"):
        shutil.copytree(PRETRAINED / name, tmp_path / place / name)
    monkeypatch.chdir(tmp_path / "runs")
    for place, told in (
        ("runs", f"runs/{name}"),
        ("runs/group", f"./group/{name}"),  # not `group/NAME`, which may be a stranger's on the Hub
        ("läufe 1", f"./{name}"),  # not the whole path, which names the machine's folders; as from beside it
    ):
        card = write_card(tmp_path / place / name).read_text()
        assert f'load("{told}")' in card and f"evaluation.bits_per_dim {shlex.quote(told)} --split test" in card
    monkeypatch.setenv("HOME", str(tmp_path / "home" / "ada"))
    monkeypatch.chdir(tmp_path)  # from where the way to what is in one's home names that
    copy = shutil.copytree(PRETRAINED / name, tmp_path / "home" / "ada" / "client" / name)
    assert f'load("./{name}")' in write_card(copy).read_text()


def test_a_card_says_what_its_run_changed_of_the_recipe(tmp_path):
    folder = tmp_path / "runs" / "small"
    shutil.copytree(PRETRAINED / "pixelcnn-mnist", folder)
    assert "changed by" not in write_card(folder).read_text()
    recipe = json.loads((folder / "recipe.json").read_text())
    options = "--output_dir runs/small --model.layers 2 --disable_tqdm True --flip=True"
    recipe["command"] = f"torchrun --nproc_per_node 2 -m training.train pixelcnn-mnist {options}"
    (folder / "recipe.json").write_text(json.dumps(recipe))
    assert "recipe `pixelcnn-mnist`, changed by `--model.layers 2 --flip=True`" in write_card(folder).read_text()


def test_a_figure_over_less_of_a_split_does_not_replace_one_over_more(tmp_path, capsys):
    copy = tmp_path / "word-lstm-plays"
    shutil.copytree(PRETRAINED / copy.name, copy)
    old = read_results(copy)
    assert all("part" not in entry for entry in old)
    record(copy, [entry | {"value": 1.0, "part": "first 9 of 99", "n": entry["n"]} for entry in old])
    assert read_results(copy) == old and f"{len(old)} results are printed, not written" in capsys.readouterr().err
    (test,) = [entry for entry in old if (entry["metric"], entry["split"]) == ("perplexity", "test")]
    record(copy, [test | {"value": 1.0, "n": test["n"] - 1}])
    assert read_results(copy) == old
    record(copy, [test | {"value": 1.0, "seed": 7, "part": "first 9 of 99", "n": 3}])  # another seed, of which none is
    assert len(read_results(copy)) == len(old) + 1 and "3 tokens (first 9 of 99)" in (copy / "README.md").read_text()
    told = [entry.metric_value for entry in ModelCard.load(copy / "README.md").data.eval_results]
    assert 1.0 not in told and len(told) == len(old)  # of each metric what is over most


@pytest.mark.parametrize("name", ["eval_results.json", "report-test.json", "train_results.json", "recipe.json"])
def test_a_damaged_or_missing_file_is_named_before_anything_is_measured(name, tmp_path, monkeypatch):
    copy = tmp_path / "cnn5x32-cifar10-study"
    shutil.copytree(PRETRAINED / copy.name, copy)
    monkeypatch.setattr(accuracy, "log_probabilities", None)
    ask = [str(copy), "--split", "validation", "--limit", "3"]
    for text in ("{", None):
        (copy / name).write_text(text) if text else (copy / name).unlink()
        if text or name in ("train_results.json", "recipe.json"):
            with pytest.raises((ValueError, FileNotFoundError), match=name) as error:
                run(accuracy.measure, accuracy.__doc__, ask)
            assert "\n" not in str(error.value)


WRONG_JSON = {
    "train_results.json": ("{}", "[]", "null"),
    "eval_results.json": ("{}", "null", "[{}]", "[1]"),
    "report-test.json": ("[1]", "null", "{}"),
    "recipe.json": (
        '{"data": {"name": "cifar10", "repo_id": "uoft-cs/cifar10"}}',
        '{"data": {"name": "cifar10", "repo_id": "uoft-cs/cifar10"}, "command": "python x"}',
    ),
    "config.json": ('{"model_type": "bert"}', "[]"),
    "model.safetensors": ("x", ""),
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in WRONG_JSON.items() for text in texts])
def test_json_that_no_command_of_ours_wrote_is_told_before_anything_is_measured(name, text, tmp_path, monkeypatch):
    copy = tmp_path / "cnn5x32-cifar10-study"
    shutil.copytree(PRETRAINED / copy.name, copy)
    (copy / name).write_text(text)
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    monkeypatch.setattr(accuracy, "log_probabilities", None)
    with pytest.raises(
        ValueError, match=r"is damaged|no command of ours wrote so|config\.json|unknown model_type"
    ) as error:
        run(accuracy.measure, accuracy.__doc__, [str(copy), "--split", "validation", "--limit", "3"])
    assert "\n" not in str(error.value)
    assert before == {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("name", "other"), [("pixelcnn-mnist", "cnn5x32-cifar10-study"), ("pixelcnn-mnist", "char-lstm-shakespeare")]
)
def test_a_recipe_of_data_that_its_model_does_not_fit_is_told(name, other, tmp_path, cifar10):
    copy = tmp_path / name
    shutil.copytree(PRETRAINED / name, copy)
    shutil.copy(PRETRAINED / other / "recipe.json", copy)
    with pytest.raises(ValueError, match="which PixelCNN does not fit: download it again, or train anew"):
        run(bits_per_dim.measure, bits_per_dim.__doc__, [str(copy), "--split", "validation", "--limit", "3"])


def test_recorded_results_replace_their_like_and_drop_other_weights(folder, tmp_path):
    copy = tmp_path / folder.name
    shutil.copytree(folder, copy)
    old = read_results(copy)
    again = old[0] | {"value": 1.25, "interval": [1.0, 1.5]}
    record(copy, [again])
    assert len(read_results(copy)) == len(old) and read_results(copy)[-1]["value"] == 1.25
    assert "1.2500" in (copy / "README.md").read_text()
    with pytest.raises(ValueError, match="trained anew meanwhile"):
        record(copy, [again | {"weights": "other", "n": 7}])
    assert len(read_results(copy)) == len(old)
    model = load(copy)
    next(model.parameters()).data += 1
    model.save_pretrained(copy)
    weights = hashlib.sha256((copy / "model.safetensors").read_bytes()).hexdigest()
    record(copy, [again | {"weights": weights, "n": 7}])
    assert [entry["n"] for entry in read_results(copy)] == [7]
    assert {path.name for path in copy.iterdir()} == {path.name for path in folder.iterdir()}  # no lock, no litter


def test_a_report_agrees_with_the_figures_and_is_shown_only_beside_its_own_weights(folder, tmp_path):
    report = read_report(folder, "test")
    if report is None:  # which it may not be of every kind, see above
        return
    figures = {e["metric"]: e for e in read_results(folder) if e["split"] == "test"}
    if "bits_by_position" in report:
        by_channel = torch.tensor(report["bits_by_position"]).mean((1, 2)).tolist()
        colours = [figures[f"bits_per_dim_{name}"]["value"] for name in ("red", "green", "blue")]
        assert by_channel == pytest.approx(colours, abs=1e-4)
        assert sum(colours) / 3 == pytest.approx(figures["bits_per_dim"]["value"], rel=1e-6)
        assert report["n"] == figures["bits_per_dim"]["n"]
        assert all(f"({name})" in (folder / "README.md").read_text() for name in (PICTURE, NEIGHBOURS))
        return
    if "prompts" in report:
        told = {row["name"].partition(" (")[0].replace(" ", "_"): row["written"] for row in report["rows"]}
        assert told == {name: figures[name]["value"] for name in told} and len(told) == 6
        card = (folder / "README.md").read_text()
        assert all(f"| {row['prompt']} | {row['temperature']} | {row['text']} |" in card for row in report["prompts"])
        return
    counts = torch.tensor(report["confusion"])
    assert counts.sum() == report["n"] == figures["accuracy"]["n"]
    assert 100 * counts.trace() / counts.sum() == pytest.approx(figures["accuracy"]["value"])
    f1 = [row["f1"] for row in report["per_class"]]
    assert sum(f1) / len(f1) == pytest.approx(figures["f1_macro"]["value"])
    assert [row["support"] for row in report["per_class"]] == counts.sum(1).tolist()
    gaps = [b["count"] * abs(b["accuracy"] - b["confidence"]) for b in report["bins"]]
    assert 100 * sum(gaps) / report["n"] == pytest.approx(figures["calibration_error"]["value"])
    for row in report["corruptions"]:
        name = f"accuracy_{row['kind']}_{row['severity'].replace(' ', '_')}"
        assert row["value"] == figures[name]["value"]
    wrong = counts.sum() - counts.trace()
    assert sum(tile["label"] != tile["predicted"] for tile in report["tiles"]) <= wrong
    card = (folder / "README.md").read_text()
    assert f"({PICTURE})" in card and f"({MISTAKES})" in card
    assert all(f"| {row['name']} | {row['precision']:.2f} % |" in card for row in report["per_class"])
    copy = tmp_path / folder.name
    shutil.copytree(folder, copy)
    model = load(copy)
    next(model.parameters()).data += 1
    model.save_pretrained(copy)
    assert read_report(copy, "test") is None
    (copy / "eval_results.json").unlink()
    assert "report-test" not in write_card(copy).read_text()


def aged(folder: Path) -> list[str]:
    """Make a folder's reports as they were before they had sections, and return their names."""
    names = [name for name in map(report_name, SPLITS) if (folder / name).is_file()]
    for name in names:
        found = json.loads((folder / name).read_text())
        old = {key: value for key, value in found.items() if key not in ("sections", "mirrored")}
        (folder / name).write_text(json.dumps(old) + "\n")
    return names


@pytest.mark.parametrize("name", ["cifar10-fast", "row-lstm-cifar10", "word-lstm-plays", "pixelcnn-mnist"])
def test_old_reports_get_their_sections_by_a_command(name, tmp_path, monkeypatch, capsys):
    copy = shutil.copytree(PRETRAINED / name, tmp_path / name)
    monkeypatch.setattr("hub_models.hub.card.PRETRAINED", tmp_path)
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    old = aged(copy)
    if old:
        with pytest.raises(ValueError, match=r"of an older version: run python -m evaluation\.migrate"):
            write_card(copy)
    monkeypatch.setattr("sys.argv", ["migrate", str(copy)])
    migrate.main()
    assert capsys.readouterr().out == f"{copy}: {', '.join(old) or 'nothing to do'}\n"
    assert before == {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    migrate.main()
    assert capsys.readouterr().out == f"{copy}: nothing to do\n"


def test_a_damaged_report_is_refused_by_the_command_and_left(tmp_path, monkeypatch):
    copy = shutil.copytree(PRETRAINED / "cifar10-fast", tmp_path / "cifar10-fast")
    (copy / FACTS).write_text('{"weights": "x"}')
    for path, error in ((copy, f"error: {copy / FACTS} is damaged"), (tmp_path / "no", "error: there is no folder")):
        monkeypatch.setattr("sys.argv", ["migrate", str(path)])
        with pytest.raises(SystemExit, match=error):
            migrate.main()
    assert (copy / FACTS).read_text() == '{"weights": "x"}' and not (copy / ".lock").exists()


def test_a_card_shows_the_sections_of_a_report_of_any_kind(tmp_path):
    copy = shutil.copytree(PRETRAINED / "pixelcnn-mnist", tmp_path / "pixelcnn-mnist")
    shared = {key: read_results(copy)[0][key] for key in ("weights", "dataset")} | {"split": "test"}
    shown = [
        section("Of another kind", "A sentence.", ("who", "how many"), [["some", "1,234"], ["others", ""]]),
        section("A picture", "Its caption.", picture=PICTURE),
        section("Both", "", ("one",), [["two"]], picture=NEIGHBOURS),
    ]
    (copy / FACTS).write_text(json.dumps(shared | {"sections": shown}))
    table = "| who | how many |\n| --- | --- |\n| some | 1,234 |\n| others |  |\n"
    card = write_card(copy).read_text()
    assert f"#### Of another kind\n\nA sentence.\n\n{table}\n#### Both\n\n| one |\n| --- |\n| two |\n\n## " in card
    assert "Its caption." not in card and "![Both]" not in card
    for name in (PICTURE, NEIGHBOURS):
        shutil.copy(copy / "curves.webp", copy / name)
    card = write_card(copy).read_text()
    assert (
        f"#### A picture\n\n![A picture]({PICTURE})\n\nIts caption.\n\n#### Both\n\n![Both]({NEIGHBOURS})\n\n| one |"
        in card
    )


def test_the_hubs_leaderboards_get_the_test_figures(folder):
    if not on_the_hub(folder):
        assert not (folder / LEADERBOARD).exists()
        return
    tested = parse_eval_result_entries(yaml.safe_load((folder / LEADERBOARD).read_text()))
    figures = {entry["metric"]: entry for entry in read_results(folder) if entry["split"] == "test"}
    assert {entry.task_id: entry.value for entry in tested} == {m: e["value"] for m, e in figures.items()}
    for entry in tested:
        assert entry.dataset_id == figures[entry.task_id]["dataset"] and len(entry.dataset_revision) == 40
        assert entry.notes.startswith(f"{figures[entry.task_id]['unit']}, {figures[entry.task_id]['n']:,} ")
        assert figures[entry.task_id].get("part", "") in entry.notes
        assert "first 1,000 of 10,000" in entry.notes or entry.dataset_id != "uoft-cs/cifar10"


def test_a_card_for_a_repository_names_it_and_both_download_commands(folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / "scanline-0.1.0-py3-none-any.whl").write_bytes(b"")
    text = write_card(copy, repo_id="someone/net").read_text()
    address = f"{constants.ENDPOINT}/someone/net/resolve/main/scanline-0.1.0-py3-none-any.whl"
    assert f"```bash\npip install {address}\n```\n" in text
    for entry in read_results(copy):
        assert entry["command"].replace(folder.name, "someone/net") in text
    assert "hf download someone/net" in text and "huggingface-cli download someone/net" in text
    assert 'load("someone/net")' in text and "name: someone/net" in text


def test_a_card_without_results_has_no_empty_section(folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / "eval_results.json").unlink()
    text = write_card(copy).read_text()
    assert "## Results" not in text and "model-index" not in text
    assert json.loads((copy / "train_results.json").read_text())["samples"] in text


def test_figures_keep_their_digits():
    assert [format_value(v) for v in (98.765, 0.12345, 0.0798765, 0.0)] == ["98.77", "0.1235", "0.07988", "0.00000"]
