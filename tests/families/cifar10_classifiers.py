"""The convolutional classifiers of CIFAR-10."""

import functools
from collections.abc import Callable

from asking import image_batch, random_images

from hub_models import CNNConfig, ConvClassifier, FastCNNConfig

PHOTOS = {
    **{"names": ("a", "b", "c"), "mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.4), "height": 12, "width": 10},
    **{"smoothing": 0.1},
}
TINY = (
    CNNConfig(num_layers=3, filters=4, dropout=0.2, **PHOTOS),
    FastCNNConfig(
        widths=(4, 6, 8), residual=True, whitening=False, dirac=False, bias_rate=3.0, muon_step=0.5, **PHOTOS
    ),
)
batch = image_batch


def questions(model: ConvClassifier) -> dict[str, Callable]:
    """Classes in each number of views, feature maps of each layer, and where a class is seen.

    That of the last layer: before pooling, weights of another width choose another place, to which all gradient goes.
    """
    images = random_images(model, 3)
    asked = {f"predict in {views} views": functools.partial(model.predict, images, views) for views in (1, 2, 6)}
    layers = {layer: functools.partial(model.feature_maps, images, layer) for layer in model.layers}
    return asked | layers | {"grad_cam": lambda: model.grad_cam(images, 1, model.layers[-1], 6)}
