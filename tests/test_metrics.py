"""Metrics against closed forms."""

import math
from pathlib import Path

import pytest
import torch

from evaluation.metrics import scores as metrics


def test_a_uniform_model_over_256_levels_has_8_bits_per_dim():
    assert metrics.bits_per_dim(3072 * math.log(256), 3072) == pytest.approx(8, abs=1e-12)


def test_a_coin_a_pixel_has_1_bit_per_dim_and_543_nats():
    assert metrics.bits_per_dim(784 * math.log(2), 784) == pytest.approx(1, abs=1e-12)
    assert 784 * math.log(2) == pytest.approx(543.427, abs=1e-3)


def test_a_uniform_model_over_v_tokens_has_perplexity_v():
    assert metrics.perplexity(math.log(65)) == pytest.approx(65)
    assert metrics.perplexity(708) < math.inf == metrics.perplexity(800)


def test_exact_match_counts_whole_equals():
    assert metrics.exact_match(["12", "3"], ["12", "30"]) == 0.5
    for predictions, references in ([], []), (["1"], []):
        with pytest.raises(ValueError, match="at least one"):
            metrics.exact_match(predictions, references)


def test_wilson_interval_solves_its_equation():
    """Its ends are the shares p for which the observed share lies 1.96 standard errors off."""
    for right, count in (0, 10), (9, 10), (9850, 10_000):
        for end in metrics.wilson_interval(right, count):
            distance = abs(right / count - end)
            assert distance == pytest.approx(metrics.Z95 * math.sqrt(max(end * (1 - end), 0) / count), abs=1e-9)
    low, high = metrics.wilson_interval(0, 10)
    assert low == 0 and 0.27 < high < 0.28
    for count in range(1, 300):
        for right in {0, 1, count - 1, count}:
            low, high = metrics.wilson_interval(right, count)
            assert 0 <= low <= right / count <= high <= 1  # to the last bit


def test_mean_interval_covers_the_truth_19_times_in_20():
    draws = torch.randn(4000, 100, generator=torch.Generator().manual_seed(0)) * 3 + 7
    intervals = [metrics.mean_interval(row) for row in draws]
    covered = sum(low <= 7 <= high for _, low, high in intervals) / len(intervals)
    assert covered == pytest.approx(0.945, abs=0.012)  # 100 draws: t's tails cost half a percent
    with pytest.raises(ValueError, match="one image tells no interval: give at least 2"):
        metrics.mean_interval(torch.tensor([2.0]))


@pytest.mark.parametrize(
    ("name", "inputs", "value"),
    [
        ("bits_per_dim", {"nats": [math.log(2) * 6, math.log(2) * 2], "dims": [2, 2]}, 2),
        ("perplexity", {"nats": [math.log(5) * 3, math.log(5)], "tokens": [3, 1]}, 5),
        ("exact_match", {"predictions": ["1", "22"], "references": ["1", "2"]}, 0.5),
    ],
)
def test_metric_folders_load_offline_in_evaluate(name, inputs, value, tmp_path):
    import evaluate

    folder = Path(metrics.__file__).parents[1] / "evaluate_metrics" / name
    metric = evaluate.load(str(folder), cache_dir=str(tmp_path))
    assert metric.compute(**inputs)[name] == pytest.approx(value)


def test_calibration_of_known_bins():
    """Two bins of fifteen: 0.9 sure and 50 % right, 0.5 sure and 100 % right."""
    confidence = torch.tensor([0.9] * 4 + [0.5] * 4)
    right = torch.tensor([True, True, False, False] + [True] * 4)
    error, bins = metrics.calibration(confidence, right)
    assert error == pytest.approx(0.5 * 0.4 + 0.5 * 0.5)
    assert [b["count"] for b in bins] == [4, 4] and [b["accuracy"] for b in bins] == [1, 0.5]
    assert all(b["low"] < b["confidence"] <= b["high"] for b in bins)
    for value in (0.0, 1 / 15, 1.0):  # the ends belong somewhere, and to one bin
        assert sum(b["count"] for b in metrics.calibration(torch.tensor([value]), torch.tensor([True]))[1]) == 1
    assert metrics.calibration(torch.tensor([1.0, 0.0]), torch.tensor([True, False]))[0] == pytest.approx(0)


def test_a_perfectly_calibrated_guesser_has_a_small_error():
    noise = torch.Generator().manual_seed(0)
    confidence = torch.rand(200_000, generator=noise)
    right = torch.rand(200_000, generator=noise) < confidence
    assert metrics.calibration(confidence, right)[0] < 0.005


def test_confusion_counts_by_hand():
    labels, predicted = torch.tensor([0, 0, 1, 2, 2]), torch.tensor([0, 1, 1, 0, 0])
    assert metrics.confusion_matrix(labels, predicted, 3).tolist() == [[1, 1, 0], [0, 1, 0], [2, 0, 0]]


def test_the_calibration_errors_interval_holds_the_truth_and_the_figure():
    """Of answers as sure as they are right the true error is 0, and of ones that are 0.1 too sure 0.1."""
    noise = torch.Generator().manual_seed(0)
    for truth in 0.0, 0.1:
        held = 0
        for seed in range(20):
            confidence = 0.5 + 0.4 * torch.rand(1500, generator=noise)
            right = torch.rand(1500, generator=noise) < confidence - truth

            value = metrics.calibration(confidence, right)[0]
            low, high = metrics.calibration_interval(confidence, right, seed)
            assert 0 <= low <= value <= high
            held += low <= truth <= high
        assert held >= 16, truth


def test_bootstrap_of_a_mean_is_the_normal_interval_and_repeats_itself():
    values = torch.randn(400, generator=torch.Generator().manual_seed(0)).double()
    mean, low, high = metrics.mean_interval(values)
    ((bootstrap_low, bootstrap_high),) = metrics.bootstrap_intervals(lambda at: [values[at].mean().item()], 400, seed=0)
    assert bootstrap_low == pytest.approx(low, abs=0.02) and bootstrap_high == pytest.approx(high, abs=0.02)
    again = metrics.bootstrap_intervals(lambda at: [values[at].mean().item(), 1.0], 400, seed=0)
    assert again == [(bootstrap_low, bootstrap_high), (1.0, 1.0)]
