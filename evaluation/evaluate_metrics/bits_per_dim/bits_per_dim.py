"""Bits per dimension for the `evaluate` library: evaluate.load("evaluation/evaluate_metrics/bits_per_dim")."""

import datasets
import evaluate


class BitsPerDim(evaluate.Metric):
    """From each image's negative log-likelihood in nats and its number of sub-pixels; the mean over images."""

    def _info(self):
        return evaluate.MetricInfo(
            description="Mean negative log-likelihood of images in bits a sub-pixel.",
            citation="",
            inputs_description="nats: each image's negative log-likelihood in nats; dims: its number of sub-pixels.",
            features=datasets.Features({"nats": datasets.Value("float64"), "dims": datasets.Value("int64")}),
        )

    def _compute(self, nats, dims):
        from statistics import fmean

        from evaluation.metrics.scores import bits_per_dim

        return {"bits_per_dim": fmean(map(bits_per_dim, nats, dims))}
