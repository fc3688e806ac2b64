"""The drawn receptive fields are those of the papers, and the command draws them."""

from pathlib import Path

import commands
import pytest
import torch
from conftest import build
from fields import sees
from PIL import Image

from evaluation import receptive_field
from evaluation.receptive_field import SIDE, draw, picture, untrained
from hub_models import GatedPixelCNN, GatedPixelCNNConfig, PixelCNN, PixelCNNConfig

ROOT = Path(__file__).parents[1]


def test_the_measured_field_of_each_kind_is_that_of_its_structure():
    models = untrained()
    assert len({type(model) for model in models}) == 4
    for model in models:
        wanted = sees(model).view(SIDE, SIDE, SIDE, SIDE)
        for y, x in ((12, 7), (1, 14), (0, 0), (14, 1)):
            assert torch.equal(model.receptive_field(y, x), wanted[y, x]), (type(model).__name__, y, x)


@pytest.mark.parametrize(
    "model",
    [
        PixelCNN(PixelCNNConfig(layers=1, hidden=6, head=6, height=16, width=16)),
        GatedPixelCNN(GatedPixelCNNConfig(layers=2, hidden=6, head=6, height=16, width=16)),
    ],
    ids=lambda model: model.config.model_type,
)
def test_convolutions_reach_as_far_as_their_cards_say(model):
    assert "the first sees three pixels up and to either side, each further one a pixel more" in model.limits
    rows, columns = model.receptive_field(10, 7).nonzero().T
    assert rows.min() == 10 - 4 and columns.min() == 7 - 4 and columns.max() == 7 + 4


def test_a_picture_tells_seen_blind_and_to_come_apart():
    model = untrained()[0]  # the PixelCNN, which has a blind spot
    image = torch.from_numpy(picture(model, 12, 7))
    seen = model.receptive_field(12, 7)
    before = torch.arange(SIDE * SIDE).view(SIDE, SIDE) < 12 * SIDE + 7
    assert (image[seen] == 255).all() and seen.any()
    assert (image[before & ~seen] == 110).all() and (before & ~seen).any()
    assert image[12, 7].tolist() == [220, 30, 30] and not image[12, 8:].any() and not image[13:].any()


def test_the_command_draws_them_all_or_a_named_one(tmp_path):
    build("row_lstm").save_pretrained(tmp_path / "mine")
    sizes = []
    for extra in ([], ["--model", str(tmp_path / "mine")]):
        commands.run("-m", "evaluation.receptive_field", tmp_path / "a.png", *extra, cwd=ROOT, check=True)
        sizes.append(Image.open(tmp_path / "a.png").size)
    assert sizes[0][0] > sizes[1][0]  # four panels, and one with a long title


@pytest.mark.parametrize("name", ["a", "a.jpg", "a.PNG.txt"])
def test_a_picture_of_another_name_is_refused(name, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["receptive_field", str(tmp_path / name)])
    with pytest.raises(SystemExit, match=r"is no PNG's name: end it with \.png"):
        receptive_field.main()
    assert not any(tmp_path.iterdir())


def test_a_model_without_masked_layers_is_refused(tmp_path):
    with pytest.raises(ValueError, match="x is a PixelPredictor, whose field is not drawn"):
        draw({"x": build("pixel_predictor")}, tmp_path / "a.png")


@pytest.mark.parametrize("place", [(15, 0), (0, -1), (1.0, 2), ("1", 2)])
def test_a_pixel_that_is_none_is_refused(place):
    with pytest.raises(ValueError, match=r"the pixel is .* give whole numbers, \(0, 0\) to \(14, 14\)"):
        untrained()[0].receptive_field(*place)
