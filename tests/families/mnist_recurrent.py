"""The recurrent nets of MNIST, which read an image pixel by pixel."""

from collections.abc import Callable

from asking import autoregressive_questions, image_batch, random_images

from hub_models import ImageModel, PixelClassifier, PixelClassifierConfig, PixelPredictorConfig

TINY = (
    PixelClassifierConfig(
        **{"cell": "lstm", "hidden_size": 6, "num_layers": 2, "classes": 5, "height": 3, "width": 4},
        **{"threshold": 99, "timescale": 9, "prefixes": 2},
    ),
    PixelPredictorConfig(hidden_size=6, num_layers=2, height=3, width=4, threshold=99, timescale=9),
)
batch = image_batch


def questions(model: ImageModel) -> dict[str, Callable]:
    """Classes of whole and of half-read images; or likelihood, samples and fillings."""
    if not isinstance(model, PixelClassifier):
        return autoregressive_questions(model)
    images = random_images(model, 3)
    return {"predict": lambda: model.predict(images), "predict_prefixes": lambda: model.predict_prefixes(images)}
