"""All about a classifier's answers: `python -m evaluation.accuracy NAME --split test`.

Accuracy, cross-entropy, precision, recall and F1 over classes (scikit-learn), calibration; of colour images also the
accuracy over several views of each and under corruptions of stated severity. Every figure has its 95 % interval. Beside
the checkpoint it leaves, of each split, `report-SPLIT.json` with the confusion matrix, figures of each class and the
calibration's bins; and, of the split that the card shows (test before validation), `report-SPLIT.webp`, the same as a
picture; `mistakes-SPLIT.webp`, the most confident mistakes; and `tiles-SPLIT.webp`, images of each cell of the
confusion matrix, for apps.
"""

import argparse

import torch
from sklearn.metrics import precision_recall_fscore_support

from evaluation.metrics.corruptions import SEVERITIES, corrupt
from evaluation.metrics.scores import (
    bootstrap_intervals,
    calibration,
    calibration_interval,
    confusion_matrix,
    mean_interval,
    wilson_interval,
)
from evaluation.reports.answers import (
    SHOWN,
    TILE_COLUMNS,
    draw_mistakes,
    draw_report,
    draw_tiles,
    most_confident,
    sections,
)
from evaluation.runner import Measures, advice, command, spread
from hub_models import Classifier, ConvClassifier, HubModel
from training.data import ImageData

AVERAGES = ("macro", "weighted")
SCORES = ("precision", "recall", "f1")
VIEWS = (2, 6)  # of test-time augmentation, besides the one


def log_probabilities(model: HubModel, images: torch.Tensor, batch_size: int, views: int = 1) -> torch.Tensor:
    """uint8 (N, C, H, W) -> logarithms of the probabilities, (N, classes), in the order of the images."""

    def answer(batch: torch.Tensor) -> torch.Tensor:
        if views > 1:
            return model.log_predict(batch, views).cpu()
        with torch.no_grad(), model.exact(), model.evaluating():  # not predict: probabilities underflow
            return model(batch)["logits"].log_softmax(-1).cpu()

    return torch.cat(spread(images.split(batch_size), answer, "accuracy"))


def scores(labels: torch.Tensor, predicted: torch.Tensor, classes: list[int], average: str | None) -> tuple:
    """Precision, recall and F1 in %, and the support, of scikit-learn; 0 where a class is never predicted."""
    found = precision_recall_fscore_support(labels, predicted, labels=classes, average=average, zero_division=0)
    return (*(100 * value for value in found[:3]), found[3])


def measure(model: HubModel, data: ImageData, args: argparse.Namespace) -> Measures:
    """Every single figure: accuracies (Wilson intervals), cross-entropy, averages over classes, calibration error.

    The averages are over the classes that the images show (the weighted recall is the accuracy), their intervals and
    that of the calibration error by resampling the images.
    """
    if not isinstance(model, Classifier):
        raise ValueError(f"{args.name} is no classifier: {advice(model)}")
    data.check_labels(model.classes)
    log_p, n = log_probabilities(model, data.images, args.batch_size), len(data)
    predicted = log_p.argmax(-1)
    confidence = log_p.exp().gather(1, predicted[:, None])[:, 0]

    def share(metric: str, log_p: torch.Tensor) -> dict:
        right = int((log_p.argmax(-1) == data.labels).sum())
        low, high = wilson_interval(right, n)
        return {"metric": metric, "value": 100 * right / n, "unit": "%", "n": n, "interval": [100 * low, 100 * high]}

    nats, low, high = mean_interval(-log_p.gather(1, data.labels[:, None])[:, 0])
    entries = [
        share("accuracy", log_p),
        {"metric": "cross_entropy", "value": nats, "unit": "nats/image", "n": n, "interval": [low, high]},
    ]
    right = predicted == data.labels

    def over_classes(at: torch.Tensor) -> list[float]:
        shown = data.labels[at].unique().tolist()
        averages = [scores(data.labels[at], predicted[at], shown, average)[:3] for average in AVERAGES]
        return [value for of_one in averages for value in of_one]

    metrics = [f"{score}_{average}" for average in AVERAGES for score in SCORES]
    intervals = bootstrap_intervals(over_classes, n, args.seed)
    for metric, value, ends in zip(metrics, over_classes(torch.arange(n)), intervals, strict=True):
        entries.append({"metric": metric, "value": float(value), "unit": "%", "n": n, "interval": list(ends)})
    error, ends = calibration(confidence, right)[0], calibration_interval(confidence, right, args.seed)
    percent = {"value": 100 * error, "unit": "%", "n": n, "interval": [100 * end for end in ends]}
    entries.append({"metric": "calibration_error"} | percent)
    if isinstance(model, ConvClassifier):
        for views in VIEWS:
            entries.append(
                share(f"accuracy_{views}_views", log_probabilities(model, data.images, args.batch_size, views))
            )
        for kind, (unit, severities) in SEVERITIES.items():
            for severity in severities:
                changed = corrupt(data.images, kind, severity, args.seed)
                entries.append(
                    share(f"accuracy_{kind}_{unit}_{severity}", log_probabilities(model, changed, args.batch_size))
                )
    return entries


def report(
    model: HubModel, data: ImageData, args: argparse.Namespace, results: Measures
) -> tuple[dict, dict[str, bytes]]:
    """Return the report, and the pictures that go with it as the bytes of their files, by kind.

    The report, as JSON takes it: the classes' `names`, the `confusion` matrix (rows: true), each class's `precision`,
    `recall`, `f1` in % and `support`, the calibration's `bins`, the accuracy under each of the `corruptions`, and the
    `tiles`: of each image in the picture of that name, in rows of `columns`, its class, what it was taken for, and
    how surely. Its `sections` are what a card shows of it.
    """
    log_p = log_probabilities(model, data.images, args.batch_size)
    confidence, predicted = log_p.exp().max(-1)
    classes = log_p.shape[1]
    names = list(model.class_names)
    by_class = zip(names, *scores(data.labels, predicted, list(range(classes)), None), strict=True)
    cells = most_confident(data.labels, predicted, confidence)
    wrong = [i for i in confidence.argsort(descending=True, stable=True).tolist() if data.labels[i] != predicted[i]]

    def tile(i: int) -> dict:
        label, taken = int(data.labels[i]), int(predicted[i])
        return {"label": label, "predicted": taken, "confidence": round(float(confidence[i]), 4)}

    found = {
        "names": names,
        "n": len(data),
        "confusion": confusion_matrix(data.labels, predicted, classes).tolist(),
        "per_class": [
            {"name": name, "precision": float(p), "recall": float(r), "f1": float(f), "support": int(support)}
            for name, p, r, f, support in by_class
        ],
        "bins": calibration(confidence, predicted == data.labels)[1],
        "corruptions": [
            {"kind": kind, "severity": f"{unit} {severity:g}", "value": entry["value"], "interval": entry["interval"]}
            for kind, (unit, severities) in SEVERITIES.items()
            for severity in severities
            for entry in results
            if entry["metric"] == f"accuracy_{kind}_{unit}_{severity}"
        ],
        "columns": TILE_COLUMNS,
        "tiles": [tile(i) for i in cells.tolist()],
    }
    found["sections"] = sections(found, args.split)
    return found, {
        "report": draw_report(found, data.part),
        "mistakes": draw_mistakes(data.images[wrong[:SHOWN]], [tile(i) for i in wrong[:SHOWN]], names),
        "tiles": draw_tiles(data.images[cells]),
    }


if __name__ == "__main__":
    command(measure, __doc__, report)
