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

from ._photo import SCALE, SIDE

TITLE = "Mistakes"
NAME = "cifar10-fast"
PLURALS = {"deer": "deer"}  # all others end in s
RIGHT, WRONG = "#15803d", "#c2410c"  # green and orange, dark enough for white letters
CLASS = "true class"


class Report(NamedTuple):
    """What `evaluation.accuracy` found, and the picture of its tiles."""

    facts: dict
    tiles: Image.Image


@functools.cache
def report() -> Report:
    """The report that came with the checkpoint.

    Raises:
        FileNotFoundError: there is none of these weights.
    """
    folder = Path(locate(NAME))
    split = shown_split(folder)
    if not split:
        raise FileNotFoundError(f"{folder} has no report of its weights: run python -m evaluation.accuracy {NAME}")
    return Report(read_report(folder, split), Image.open(folder / picture_name("tiles", split)).convert("RGB"))


def matrix() -> Styler:
    """The counts, a row a true class, a column what it was taken for; what is right is green, the rest orange."""
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
    """The name of a class, of several."""
    return PLURALS.get(name, f"{name}s")


def show_mistakes(truth: str, taken: str) -> tuple[str, list[tuple[str, str]]]:
    """How many of a true class were taken for another, in words, and the surest of them with their confidence."""
    facts, tiles = report()
    names = facts["names"]
    if truth not in names or taken not in names:
        raise gr.Error(f"There is no such class: choose two of {', '.join(names)}.")
    row, column = names.index(truth), names.index(taken)
    count, total = facts["confusion"][row][column], sum(facts["confusion"][row])
    shown = []
    for i, tile in enumerate(facts["tiles"]):
        if (tile["label"], tile["predicted"]) == (row, column):
            x, y = i % facts["columns"] * SIDE, i // facts["columns"] * SIDE
            image = tiles.crop((x, y, x + SIDE, y + SIDE)).resize(
                (SIDE * SCALE, SIDE * SCALE), Image.Resampling.NEAREST
            )
            # for ever: there are a few hundred of them, and some are in the page itself
            shown.append((kept(image, math.inf), f"{100 * tile['confidence']:.1f} % {taken}"))
    what = "recognised" if truth == taken else f"taken for {many(taken)}"
    if not count:
        return f"None of {total:,} {many(truth)} was {what}: there is no picture to show.", []
    which = (
        f"the {len(shown)} surest are shown" if len(shown) < count else "all are shown" if count > 1 else "here it is"
    )
    return f"**{count:,} of {total:,} {many(truth)} {'was' if count == 1 else 'were'} {what}; {which}.**", shown


def show_cell(event: gr.EventData) -> tuple:
    """What is behind the cell that was clicked, as `show_mistakes`, after the names of its two classes."""
    names = report().facts["names"]
    match event._data:  # whatever was sent; its row's first value holds when the table has been sorted, too
        case {"row_value": [str(truth), *_], "index": [_, int(column)]} if 1 <= column <= len(names):
            return truth, names[column - 1], *show_mistakes(truth, names[column - 1])
    raise gr.Error("There is no count: click on one of the table's numbers.")


def build() -> None:
    """Make the widgets, inside a gr.Tab, and wire them."""
    facts = report().facts
    names, right = facts["names"], sum(row[i] for i, row in enumerate(facts["confusion"]))
    gr.Markdown(
        f"What the net of the other tabs makes of the {facts['n']:,} images of the {facts['split']} part of "
        f"{facts['dataset']}, one view of each: {100 * right / facts['n']:.1f} % are right. A row is a true class, a "
        "column what it was taken for; green is right, orange wrong. Click on a number to see the images behind it, "
        "the surest first. Counted with the weights that came with this app."
    )
    table = gr.Dataframe(matrix(), interactive=False, show_label=False, buttons=[])
    sentence, images = show_mistakes("cat", "dog")
    with gr.Row():
        with gr.Column(scale=3):
            truth = gr.Dropdown(names, value="cat", label="True class")
            taken = gr.Dropdown(names, value="dog", label="Taken for")
            note = gr.Markdown(sentence)
        with gr.Column(scale=2):
            options = {"show_label": False, "buttons": [], "interactive": False, "allow_preview": False}
            gallery = gr.Gallery(images, columns=3, height="auto", **options)
    gr.on(
        [truth.input, taken.input], show_mistakes, [truth, taken], [note, gallery], show_progress="hidden",
        trigger_mode="always_last", api_name="show_mistakes",
    )  # fmt: skip
    table.select(
        show_cell, None, [truth, taken, note, gallery], show_progress="hidden", trigger_mode="always_last",
        api_name="show_cell", api_visibility="private",
    )  # fmt: skip
