"""What evaluation.scaling measures: bytes that are kept, by hand, and their growth."""

import json

import pytest
import torch
from asking import random_images
from conftest import build

from evaluation import scaling
from hub_models import PixelCNN, RowLSTM


def test_the_bytes_kept_are_those_of_the_storages_that_autograd_holds(monkeypatch):
    monkeypatch.setattr(scaling, "has_bf16", lambda: False)

    class Square(torch.nn.Module):
        device = torch.device("cpu")

        def forward(self, x):
            y = x.float().requires_grad_()
            return {"loss": (y * y.view(-1, 2).t().t().flatten()).sum()}  # the one storage of both

    assert scaling.kept_bytes(Square(), torch.zeros(10, dtype=torch.uint8)) == 40


def test_depth_adds_memory_layer_by_layer_and_checkpointing_takes_most_of_it_away(monkeypatch):
    monkeypatch.setattr(scaling, "IMAGES", 2)
    shallow, deep = (scaling.cost(PixelCNN, layers, 12, 12, rounds=1) for layers in (2, 6))
    assert shallow["seconds"] > 0 and shallow["mib"] < deep["mib"]
    assert deep["checkpointed_mib"] - shallow["checkpointed_mib"] < 0.6 * (deep["mib"] - shallow["mib"])


def test_the_command_measures_all_and_draws_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(scaling, "RESULTS", tmp_path / "scaling.json")
    monkeypatch.setattr(scaling, "PICTURE", tmp_path / "scaling.png")
    monkeypatch.setattr(scaling, "BASE", {"layers": 1, "hidden": 3, "side": 3})
    monkeypatch.setattr(scaling, "GROWN", {"layers": (1, 2), "hidden": (3, 6), "side": (3, 5)})
    monkeypatch.setattr("sys.argv", ["scaling", "--rounds", "1"])
    scaling.main()
    found = json.loads((tmp_path / "scaling.json").read_text())
    assert len(found["rows"]) == 4 * 6 and {row["model"] for row in found["rows"]} >= {PixelCNN.title, RowLSTM.title}
    assert (tmp_path / "scaling.png").read_bytes().startswith(b"\x89PNG")
    monkeypatch.setattr("sys.argv", ["scaling", "--rounds", "0"])
    with pytest.raises(SystemExit):
        scaling.main()
    assert "give at least 1" in capsys.readouterr().err
    monkeypatch.setattr("sys.argv", ["scaling"])
    monkeypatch.setattr(scaling, "PICTURE", tmp_path / "docs" / "scaling.png")
    with pytest.raises(SystemExit):  # before hours of work
        scaling.main()
    assert "scaling.png cannot be written: run this in a clone of your own" in capsys.readouterr().err


def test_a_checkpointed_model_trains(monkeypatch):
    model = build("row_lstm").train()
    model.activation_checkpointing_enable()
    model(random_images(model, 2))["loss"].backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
