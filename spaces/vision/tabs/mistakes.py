"""Tab Mistakes: the best net's confusion matrix, and the images behind each of its cells."""

import functools
import math
from pathlib import Path
from typing import NamedTuple

import gradio as gr
import pandas as pd
from pandas.io.formats.style import Styler
from PIL import Image

from hub_models import locate
from hub_models.hub.card import read_report, shown_split
from hub_models.run_folder import picture_name
from hub_models.spacekit.pictures import kept
from hub_models.spacekit.runs import QUIET
from hub_models.spacekit.widgets import about

from ._photo import NETS, SCALE, SIDE

TITLE = "Mistakes"
NAME = "cifar10-fast"
PLURALS = {"deer": "deer"}  # all others end in s
RIGHT, WRONG = "#15803d", "#c2410c"  # green and orange, dark enough for white letters
CLASS = "true class ↓, prediction →"


class Report(NamedTuple):
    """What `evaluation.accuracy` found, and the picture of its tiles."""

    facts: dict
    tiles: Image.Image


@functools.cache
def report() -> Report:
    """Return the report that came with the checkpoint.

    Raises:
        FileNotFoundError: there is no report of these weights.
    """
    folder = Path(locate(NAME))
    split = shown_split(folder)
    if not split:
        raise FileNotFoundError(f"{folder} has no report of its weights: run python -m evaluation.accuracy {NAME}")
    return Report(read_report(folder, split), Image.open(folder / picture_name("tiles", split)).convert("RGB"))


def matrix() -> Styler:
    """Return the counts, a row for each true class and a column for each prediction; correct ones are green."""
    facts = report().facts
    counts, names = facts["confusion"], facts["names"]
    table = pd.DataFrame(counts, columns=names)
    table.insert(0, CLASS, names)

    def coloured(row: pd.Series) -> list[str]:
        styles, total = [""], max(1, sum(row.iloc[1:]))
        for name, count in list(row.items())[1:]:
            strength = round(100 * (count / total) ** 0.5)  # the root: few mistakes, yet to be seen
            colour = RIGHT if name == row[CLASS] else WRONG
            style = f"background-color: color-mix(in srgb, {colour} {strength}%, transparent)"
            style += "; color: white" if strength > 84 else ""  # elsewhere the page's own, light or dark
            styles.append(style if count else "")
        return styles

    return table.style.apply(coloured, axis=1)


def many(name: str) -> str:
    """Return the plural of a class's name."""
    return PLURALS.get(name, f"{name}s")


def check_class(name: str) -> str:
    """Return the name of a class that a visitor gave."""
    names = report().facts["names"]
    if name not in names:
        raise gr.Error(f"There is no such class: choose two of {', '.join(names)}.")
    return name


def show_mistakes(truth: str, taken: str) -> tuple[str, list[tuple[str, str]]]:
    """Return how many of a true class were taken for another, in words; the most confident of them, with captions."""
    facts, tiles = report()
    names = facts["names"]
    row, column = names.index(check_class(truth)), names.index(check_class(taken))
    count, total = facts["confusion"][row][column], sum(facts["confusion"][row])
    shown = []
    for i, tile in enumerate(facts["tiles"]):
        if (tile["label"], tile["predicted"]) == (row, column):
            x, y = i % facts["columns"] * SIDE, i // facts["columns"] * SIDE
            image = tiles.crop((x, y, x + SIDE, y + SIDE)).resize(
                (SIDE * SCALE, SIDE * SCALE), Image.Resampling.NEAREST
            )
            # kept while the app runs: there are a few hundred of them, and some are in the page itself
            shown.append((kept(image, math.inf), f"{taken} ({100 * tile['confidence']:.1f} %)"))
    what = "recognised" if truth == taken else f"taken for {many(taken)}"
    if not count:
        return f"None of {total:,} {many(truth)} was {what}: there is no picture to show.", []
    which = (
        f"the {len(shown)} most confident are shown"
        if len(shown) < count
        else "all are shown"
        if count > 1
        else "here it is"
    )
    return f"**{count:,} of {total:,} {many(truth)} {'was' if count == 1 else 'were'} {what}; {which}.**", shown


def show_cell(event: gr.EventData) -> tuple[str, str]:
    """Return the two classes of the cell that was clicked."""
    names = report().facts["names"]
    match event._data:  # whatever was sent; its row's first value holds when the table has been sorted, too
        case {"row_value": [str(truth), *_], "index": [_, int(column)]} if 1 <= column <= len(names):
            return check_class(truth), names[column - 1]
    raise gr.Error("There is no count: click on one of the table's numbers.")


def build() -> None:
    """Make the widgets, inside a gr.Tab, and wire them."""
    facts = report().facts
    names, right = facts["names"], sum(row[i] for i, row in enumerate(facts["confusion"]))
    about(
        f"The net {NETS[NAME]} classified {facts['n']:,} images of the {facts['split']} part of {facts['dataset']}. "
        f"Of its predictions, {100 * right / facts['n']:.1f} % are correct. Select a number in the table, or two "
        "classes below it, to see the images behind that number.",
        "Each row of the table is a true class, each column a prediction, and each number a count of images. Green "
        "predictions are correct, orange ones are mistakes. The net saw one view of each image. Below each image stand "
        "the prediction and its probability; the most confident ones come first. The counts were made with the weights "
        "that came with this app.",
    )
    table = gr.Dataframe(matrix(), interactive=False, label="Number of images", buttons=[], max_height=600)
    sentence, images = show_mistakes("cat", "dog")
    with gr.Row():
        with gr.Column(scale=3):
            truth = gr.Dropdown(names, value="cat", label="True class")
            taken = gr.Dropdown(names, value="dog", label="Prediction")
            note = gr.Markdown(sentence)
        with gr.Column(scale=2):
            options = {"columns": 3, "height": "auto", "buttons": [], "interactive": False, "allow_preview": False}
            gallery = gr.Gallery(images, label="Images, with prediction and probability", **options)
    changes = [truth.change, taken.change]
    gr.on(changes, show_mistakes, [truth, taken], [note, gallery], trigger_mode="always_last", **QUIET)
    table.select(show_cell, None, [truth, taken], trigger_mode="multiple", **QUIET)
