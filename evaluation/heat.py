"""Whether a classifier's heat lies on the class it is asked for: `python -m evaluation.heat NAME --limit 300`.

Each image is shrunk to 16x16 and pasted into a random quadrant of an image of another class, and the heat is that of
the pasted class. Measured are the share of the heat in that quadrant and the share of images whose hottest pixel lies
there, with 95 % intervals; by chance each is 25 %. Beside the heat of `grad_cam` stand other ways to a heat, the class
of what is around the quadrant, random weights, and the image's edges without any net.
"""

import argparse
import dataclasses
from collections.abc import Callable

import torch

from evaluation.metrics.heat import edges, grad_cam, grad_cam_plus_plus, heat_by, layer_cam, pasted, pointing
from evaluation.metrics.scores import mean_interval, wilson_interval
from evaluation.runner import Measures, advice, command, spread
from hub_models import ConvClassifier, FastCNN, HubModel
from training.data import ImageData

VIEWS = 6
Heat = Callable[[torch.Tensor, int], torch.Tensor]  # images and a class -> (B, H, W)


def random_weights(model: ConvClassifier) -> ConvClassifier:
    """Make a net of the same config whose weights are all drawn.

    As training starts them, the convolutions of a FastCNN are the identity on most channels, which hands edges on.
    """
    drawn = {"dirac": False} if isinstance(model, FastCNN) else {}
    return type(model)(dataclasses.replace(model.config, **drawn)).to(model.device)


def untrained(model: ConvClassifier, images: torch.Tensor) -> ConvClassifier:
    """Make a net of the same config as training starts it on these images."""
    new = type(model)(model.config).to(model.device)
    new.eval().prepare(images)
    return new


def ways(model: ConvClassifier, images: torch.Tensor) -> dict[str, Heat]:
    """Return the heats that are compared, by the end of their metrics' names; see `evaluation.tables.cifar10.WAYS`."""
    layer, last = model.heat_layer, model.layers[-1]
    drawn, started = random_weights(model), untrained(model, images)
    return {
        "": lambda images, label: model.grad_cam(images, label, views=VIEWS),
        "_1_view": lambda images, label: model.grad_cam(images, label),
        "_grad_cam": lambda images, label: heat_by(grad_cam, model, images, label, layer),
        "_grad_cam_plus_plus": lambda images, label: heat_by(grad_cam_plus_plus, model, images, label, layer),
        "_layer_cam": lambda images, label: heat_by(layer_cam, model, images, label, layer),
        "_grad_cam_last_layer": lambda images, label: heat_by(grad_cam, model, images, label, last),
        "_random_weights": lambda images, label: drawn.grad_cam(images, label, views=VIEWS),
        "_untrained": lambda images, label: started.grad_cam(images, label, views=VIEWS),
        "_edges": lambda images, label: edges(images),
    }


def measure(model: HubModel, data: ImageData, args: argparse.Namespace) -> Measures:
    """Measure, for each way, the share of heat inside and the share of images whose peak is inside.

    Intervals are normal for the first and Wilson's for the second. The last way asks for the class around the quadrant.
    """
    if not isinstance(model, ConvClassifier):
        raise ValueError(f"{args.name} is no convolutional classifier: {advice(model)}")
    data.check_labels(model.classes)
    images, around, inside = pasted(data.images, data.labels, args.seed)
    n, own = len(data), ways(model, data.images)
    asked = [(way, heat, data.labels) for way, heat in own.items()] + [("_other_class", own[""], around)]

    def answer(at: torch.Tensor) -> torch.Tensor:
        """Return share and peak of each way, (ways, 2, B)."""
        found = torch.zeros(len(asked), 2, len(at), dtype=torch.float64)
        for way, (_, heat, labels) in enumerate(asked):
            for label in labels[at].unique().tolist():
                of_class = labels[at] == label
                scores = pointing(heat(images[at[of_class]], label).cpu(), inside[at[of_class]])
                found[way, :, of_class] = torch.stack([score.double() for score in scores])
        return found

    entries = []
    found = torch.cat(spread(torch.arange(n).split(args.batch_size), answer, "heat"), 2)
    for (way, _, _), (shares, peaks) in zip(asked, found, strict=True):
        share, *ends = mean_interval(shares)
        hits = int(peaks.sum())
        for metric, value, interval in ("share", share, ends), ("peak", hits / n, wilson_interval(hits, n)):
            percent = {"value": 100 * value, "unit": "%", "n": n, "interval": [100 * end for end in interval]}
            entries.append({"metric": f"heat_{metric}{way}"} | percent)
    return entries


if __name__ == "__main__":
    command(measure, __doc__)
