"""Exact match for the `evaluate` library: evaluate.load("evaluation/evaluate_metrics/exact_match")."""

import datasets
import evaluate


class ExactMatch(evaluate.Metric):
    """Share of predictions that equal their reference, 0..1."""

    def _info(self):
        return evaluate.MetricInfo(
            description="Share of predictions that equal their reference, 0 to 1.",
            citation="",
            inputs_description="predictions and references: strings, as many of each.",
            features=datasets.Features(
                {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
            ),
        )

    def _compute(self, predictions, references):
        from evaluation.metrics.scores import exact_match

        return {"exact_match": exact_match(predictions, references)}
