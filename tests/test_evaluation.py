"""The evaluation commands on real digits: their figures against ones computed another way, and their refusals."""

import argparse
import json
import math

import pytest
import torch

from evaluation import accuracy, bits_per_dim, inpainting
from evaluation.reference import plain_sampling
from evaluation.runner import run
from evaluation.speed import ratio
from hub_models import PixelClassifier, PixelClassifierConfig, PixelPredictor, PixelPredictorConfig
from training.data import load_split

ARGS = argparse.Namespace(name="x", batch_size=7, seed=0)


def by_metric(entries: list[dict]) -> dict[str, dict]:
    return {entry["metric"]: entry for entry in entries}


def test_splits_are_disjoint_fixed_and_whole(mnist):
    train, validation, test = (load_split("mnist", split) for split in ("train", "validation", "test"))
    assert (len(train), len(validation), len(test)) == (55_000, 5_000, 10_000)
    again = load_split("mnist", "validation")
    assert torch.equal(again.images, validation.images)
    seen = {image.numpy().tobytes() for image in train.images}
    shared = sum(image.numpy().tobytes() in seen for image in validation.images)
    assert shared == 0  # no digit of the training split is in it twice
    assert train.images.dtype == torch.uint8 and train.images.shape[1:] == (1, 28, 28)
    assert torch.bincount(torch.cat([train.labels, validation.labels])).tolist()[:2] == [5923, 6742]
    with pytest.raises(ValueError, match="train, validation or test"):
        load_split("mnist", "dev")


def test_accuracy_and_likelihood_of_a_net_that_knows_nothing(mnist):
    data = load_split("mnist", "validation").first(50)
    classifier = PixelClassifier(PixelClassifierConfig(hidden_size=4)).eval()
    torch.nn.init.zeros_(classifier.head[4].weight)
    classifier.head[4].bias.data = torch.tensor([0.0, 1] + [0] * 8)  # always says 1
    found = by_metric(accuracy.measure(classifier, data, ARGS))
    assert found["accuracy"]["value"] == pytest.approx(100 * (data.labels == 1).float().mean().item())
    predictor = PixelPredictor(PixelPredictorConfig(hidden_size=4)).eval()
    torch.nn.init.zeros_(predictor.head.weight)
    torch.nn.init.zeros_(predictor.head.bias)
    found = by_metric(bits_per_dim.measure(predictor, data, ARGS))
    assert found["bits_per_dim"]["value"] == pytest.approx(1, abs=1e-6)
    assert found["nats_per_image"]["value"] == pytest.approx(784 * math.log(2), rel=1e-6)
    assert found["nats_per_pixel"]["value"] == pytest.approx(math.log(2), rel=1e-6)


def test_a_net_that_is_wrong_and_sure_has_a_finite_cross_entropy(mnist):
    model = PixelClassifier(PixelClassifierConfig(hidden_size=4)).eval()
    torch.nn.init.zeros_(model.head[4].weight)
    model.head[4].bias.data = torch.tensor([500.0] + [0] * 9)  # a probability of exp(-500), 0 in float32
    data = load_split("mnist", "validation").first(30)
    wrong = (data.labels != 0).double().mean().item()
    found = by_metric(accuracy.measure(model, data, ARGS))["cross_entropy"]
    assert found["value"] == pytest.approx(500 * wrong)


def test_a_known_bernoulli_scores_its_cross_entropy(mnist):
    """All pixels on with probability p: the figure is that of counting the pixels that are on."""
    data = load_split("mnist", "validation").first(40)
    model = PixelPredictor(PixelPredictorConfig(hidden_size=4)).eval()
    torch.nn.init.zeros_(model.head.weight)
    model.head.bias.data.fill_(-2.0)
    p, on = 1 / (1 + math.exp(2.0)), (data.images > 127).float().mean().item()
    found = by_metric(bits_per_dim.measure(model, data, ARGS))["nats_per_pixel"]
    assert found["value"] == pytest.approx(-on * math.log(p) - (1 - on) * math.log(1 - p), rel=1e-5)


def test_inpainting_scores_a_constant_bernoulli_in_closed_form(mnist):
    data = load_split("mnist", "validation").first(3)
    model = PixelPredictor(PixelPredictorConfig(hidden_size=4)).eval()
    torch.nn.init.zeros_(model.head.weight)
    model.head.bias.data.fill_(1.0)
    found = by_metric(inpainting.measure(model, data, ARGS))
    p = 1 / (1 + math.exp(-1.0))
    for count in inpainting.FILLED:
        on = (data.images.flatten(1)[:, 484 : 484 + count] > 127).float().mean().item()
        truth = -on * math.log(p) - (1 - on) * math.log(1 - p)
        assert found[f"inpainting_truth_{count}"]["value"] == pytest.approx(truth, rel=1e-5)
        assert found[f"inpainting_truth_after_sampled_{count}"]["value"] == pytest.approx(truth, rel=1e-5)
    entropy = -p * math.log(p) - (1 - p) * math.log(1 - p)
    assert found["inpainting_sampled_300"]["value"] == pytest.approx(entropy, abs=0.02)  # 9,000 draws
    gain = found["most_probable_gain_2x2"]["value"]
    assert 0 <= gain <= 4.0 + 1e-4  # each of four pixels that was off gains the logit, 1


def test_a_command_refuses_the_wrong_kind_of_model_and_bad_numbers(mnist):
    with pytest.raises(ValueError, match="no classifier"):
        accuracy.measure(PixelPredictor(PixelPredictorConfig(hidden_size=4)), mnist, ARGS)
    for script in bits_per_dim, inpainting:
        with pytest.raises(ValueError, match="evaluation.accuracy"):
            script.measure(PixelClassifier(PixelClassifierConfig(hidden_size=4)), mnist, ARGS)
    for extra, message in (["--limit", "0"], "--limit is 0"), (["--batch_size", "-1"], "--batch_size is -1"):
        with pytest.raises(ValueError, match=message):
            run(accuracy.measure, "doc", ["gru128-mnist-classify", *extra])
    for device in "gpu", "cuda:99":
        with pytest.raises(ValueError, match="not to be had here"):
            run(accuracy.measure, "doc", ["gru128-mnist-classify", "--device", device])
    with pytest.raises(ValueError, match="known are mnist"):
        load_split("mnits", "test")
    with pytest.raises(FileNotFoundError, match="did you mean"):
        run(accuracy.measure, "doc", ["gru128-mnist-clasify"])


def test_the_plain_way_leaves_the_model_as_it_was():
    model = PixelPredictor(PixelPredictorConfig(hidden_size=4, height=2, width=2)).eval()
    with pytest.raises(ZeroDivisionError), plain_sampling(model):
        assert "_stream" in vars(model)
        raise ZeroDivisionError
    assert "_stream" not in vars(model)


def test_a_ratio_takes_both_in_turn_and_drops_the_first():
    order = []
    found = ratio(lambda: order.append("fast"), lambda: order.append("slow"), rounds=3)
    assert order == ["fast", "slow"] * 4
    assert found["ratio"] == found["plain_seconds"] / found["seconds"]


def test_speed_results_are_of_every_pair():
    from evaluation.speed import RESULTS

    rows = json.loads(RESULTS.read_text())
    assert {"sampling 1 image", "sampling 16 images", "training, batch 128"} <= {
        row["pair"].partition(": ")[2].rpartition(",")[0] for row in rows
    }


@pytest.mark.parametrize(
    "recipe", ["", "[", "[]", "{}", '{"data": {"name": ["x"], "repo_id": "y"}}', '{"data": "mnist"}']
)
def test_a_recipe_that_names_no_data_is_refused_in_one_sentence(recipe, tmp_path):
    PixelClassifier(PixelClassifierConfig(hidden_size=4)).save_pretrained(tmp_path)
    (tmp_path / "recipe.json").write_text(recipe)
    with pytest.raises(ValueError, match="recipe.json names no data set") as error:
        run(accuracy.measure, accuracy.__doc__, [str(tmp_path)])
    assert "\n" not in str(error.value)
