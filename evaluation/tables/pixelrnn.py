"""The PixelRNN family on digits and photographs."""

from pathlib import Path

from evaluation.results import published, sweep_file
from evaluation.tables import Page, Table, epochs, find, linked, ranged, trained
from hub_models.files import read_json


def pixelrnn_table(place: Path) -> str:
    """The PixelRNN family on binarised MNIST, in nats an image, beside the paper's on its own stochastic draw."""
    lines = ["| model | parameters, epochs | data | validation | test | published |", "| --- " * 6 + "|"]
    for row in published()["pixelrnn"]:
        name = row["name"]
        parameters = trained(name)["parameters"]
        figures = [ranged(find(name, "nats_per_image", split), "value") for split in ("validation", "test")]
        lines.append(
            f"| {linked(place, name)} | {parameters:,}, {epochs(name)} "
            f"| {row['data']} | {' | '.join(figures)} | {row['published']} |"
        )
    return "\n".join(lines)


def bits_table(place: Path) -> str:
    """The PixelRNN family on CIFAR-10, in bits a dimension, beside published figures."""
    lines = ["| model | parameters, epochs | training | validation | test | published |", "| --- " * 6 + "|"]
    for row in published()["bits"]:
        name = row["name"]
        parameters = trained(name)["parameters"]
        found = [find(name, "bits_per_dim", split) for split in ("train", "validation", "test")]
        figures = [f"{ranged(entry, 'value', '.3f')}, {entry['n']:,} images" for entry in found]
        given = ", given the class" if "label" in found[0]["unit"] else ""
        lines.append(
            f"| {linked(place, name)}{given} | {parameters:,}, {epochs(name)} "
            f"| {' | '.join(figures)} | {row['published']} |"
        )
    return "\n".join(lines)


def depth_table(place: Path) -> str:
    """Bits a dimension of the Row LSTM by its layers, by `evaluation.sweep`, beside the paper's."""
    found = read_json(sweep_file("depth"))
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


PAGE = Page(
    "The PixelRNN family",
    "PixelCNN, gated PixelCNN, Row LSTM and Diagonal BiLSTM, which give each image a likelihood pixel by pixel.",
    (
        Table(
            "pixelrnn",
            "Binarised MNIST",
            "Nats an image, with 95 % intervals. The paper's figures are on its own stochastic draw.",
            pixelrnn_table,
        ),
        Table(
            "bits",
            "CIFAR-10",
            "Bits a dimension, with 95 % intervals; a uniform guess costs 8.",
            bits_table,
        ),
        Table(
            "depth",
            "Depth",
            "Bits a dimension of a small Row LSTM by its number of layers, beside the paper's large one.",
            depth_table,
        ),
    ),
    (
        "python -m evaluation.bits_per_dim diagonal-bilstm-mnist --split test",
        "python -m evaluation.bits_per_dim gated-pixelcnn-cifar10 --split test",
        "python -m evaluation.sweep depth --epochs 1 --limit 4000",
    ),
)
