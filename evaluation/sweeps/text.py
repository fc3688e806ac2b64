"""Comparisons of text models for `evaluation.sweep`: whole recipes, and variants of the word study's at one budget."""

from matplotlib import pyplot as plt

from evaluation import perplexity
from evaluation.results import published
from evaluation.runner import run as evaluate
from evaluation.sweeps import Run
from hub_models.hub.card import read_results
from training.data import TextData
from training.recipes import find

CHARACTERS = ("char-gru256-shakespeare-study", "char-gru512-shakespeare-study", "char-gru1024-shakespeare-study")
CHARACTERS += ("char-gru512-shakespeare-random", "char-lstm-shakespeare-80", "char-lstm-shakespeare")
WORDS = ("word-lstm-plays-cleaned", "word-lstm-plays", "word-lstm-plays-unseen")
STUDY = "word-lstm-plays-study"
GRID = ("study", "deep", "wide", "regularised")  # as the study names them, but for its baseline
BATCH = ("--per_device_train_batch_size", "32")  # a quarter of the study's, for so few epochs: 960 words a step
CLAIMS = {  # what the study says without figures, of the first of them: name -> options
    "windows of 5": ("--window", "5", "--per_device_train_batch_size", "192"),
    "windows of 5, then 15, then 30": ("--window", "5,15,30"),
    "vocabulary 5,000": ("--model.vocab_size", "5001"),
    "vocabulary 2,000": ("--model.vocab_size", "2001"),
}
TITLES = {
    "characters": "language models over characters",
    "words": "language models over words",
    "study": "the word study's networks, and what it claims of the first",
}
SHOWN = ("perplexity", "bits_per_character", "top_1_accuracy", "top_3_accuracy", "unknown")
SHOWN += ("perplexity_kneser_ney_5_gram", "perplexity_of_words", "perplexity_of_words_kneser_ney_5_gram")
SHOWN += ("top_1_accuracy_of_words", "top_3_accuracy_of_words")


def scored(name: str, found: dict, splits: tuple[str, ...] = ("test",)) -> dict:
    """A run's row: what training said, and of each split what `evaluation.perplexity` measures, intervals beside."""
    row = {"name": name} | {key: found[key] for key in ("parameters", "epochs", "minutes", "best_validation")}
    for split in splits:
        done = [e for e in read_results(found["folder"]) if e["split"] == split and e["metric"] in SHOWN]
        if not done or any("part" in e for e in done):  # one that was stopped has measured the others
            argv = [str(found["folder"]), "--split", split, *found["data"]]
            done = evaluate(perplexity.measure, perplexity.__doc__, argv)
        figures = {e["metric"]: {"value": e["value"], "interval": e["interval"]} for e in done if e["metric"] in SHOWN}
        row[split] = figures | {"n": max(e["n"] for e in done)}
    return row


def characters(run: Run, seeds: int, data: TextData) -> list[dict]:
    """A row a recipe over characters: the published nets, their leaky split, ours; beside what was published."""
    theirs = published()["characters"]
    rows = []
    for name in CHARACTERS:
        splits = ("validation", "test") if name.endswith("-random") else ("test",)
        splits = ("validation", "test", "held-out") if name == CHARACTERS[-1] else splits
        rows.append(scored(name, run(name), splits) | {"published": theirs.get(name, {})})
    return rows


def words(run: Run, seeds: int, data: TextData) -> list[dict]:
    """A row a recipe of ours over words, beside the 5-gram on its own tokens."""
    return [scored(name, run(name)) for name in WORDS]


def study(run: Run, seeds: int, data: TextData) -> list[dict]:
    """The word study's four networks, which it names and never trained, and what it claims of the first: one budget."""
    variants = {}
    for name in GRID:
        model = find(f"word-lstm-plays-{name}").model
        variants[name] = ("--model.widths", ",".join(map(str, model.widths)), "--model.dropout", str(model.dropout))
    return [scored(name, run(name, (*BATCH, *changes))) for name, changes in (variants | CLAIMS).items()]


def draw(name: str, found: dict) -> plt.Figure:
    """The rows of a sweep as bars of test perplexity; a line where something is beside it.

    A star marks what was measured on another test text than the others: on the Hub's own, the last 5 %.
    """
    rows = found["rows"]
    figure, axis = plt.subplots(figsize=(9, 0.5 * len(rows) + 1.5), layout="constrained")
    values = [row["test"]["perplexity"] for row in rows]
    errors = [[abs(v["value"] - end) for v in values for end in [v["interval"][k]]] for k in (0, 1)]
    names = [f"{row['name']} *" if "held-out" in row else row["name"] for row in rows]
    bars = axis.barh(names, [v["value"] for v in values], xerr=errors, capsize=3, label="test")
    axis.bar_label(bars, fmt="%.2f", label_type="center", color="white")
    beside = {
        # of the test text alone; what was published of windows dealt out at random stands in the table
        "published": [None if "validation" in row else row.get("published", {}).get("perplexity") for row in rows],
        "Kneser-Ney 5-gram on the same tokens": [row["test"]["perplexity_kneser_ney_5_gram"]["value"] for row in rows],
    }
    for label, theirs in beside.items() if name != "characters" else [("published", beside["published"])]:
        marks = [(value, i) for i, value in enumerate(theirs) if value]
        if marks:
            axis.plot(*zip(*marks, strict=True), "k|" if label == "published" else "r|", markersize=16, label=label)
    axis.invert_yaxis()
    star = " (*: of the last 5 % of the text, not 20)" if names != [row["name"] for row in rows] else ""
    axis.set(xlabel=f"perplexity a token{star}")
    figure.suptitle(f"{TITLES[name]}\n{found['budget']}", fontsize="medium")
    axis.margins(x=0.15)
    figure.legend(loc="outside lower right", ncols=3)
    return figure
