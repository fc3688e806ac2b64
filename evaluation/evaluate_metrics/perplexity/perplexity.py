"""Perplexity for the `evaluate` library: evaluate.load("evaluation/evaluate_metrics/perplexity")."""

import datasets
import evaluate


class Perplexity(evaluate.Metric):
    """From the negative log-likelihoods of texts in nats and their numbers of tokens; exp of nats a token over all."""

    def _info(self):
        return evaluate.MetricInfo(
            description="exp of the mean negative log-likelihood of a token in nats.",
            citation="",
            inputs_description="nats: each text's negative log-likelihood in nats; tokens: its number of tokens.",
            features=datasets.Features({"nats": datasets.Value("float64"), "tokens": datasets.Value("int64")}),
        )

    def _compute(self, nats, tokens):
        from math import fsum

        from evaluation.metrics.scores import perplexity

        return {"perplexity": perplexity(fsum(nats) / sum(tokens))}
