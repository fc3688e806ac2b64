"""What image models can do, as abstract bases: code asks `isinstance(model, ImageGenerator)`, not for a class's name.

A base says what a caller may ask of a model. A method that a model cannot answer is absent from its class.
"""

import torch

from .base import HubModel
from .sampling import Progress, check_count, check_generator, check_temperature


class ImageModel(HubModel):
    """A model of images of one size; its config is an `ImageShape`."""

    abstract = True

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the model's images."""
        return self.config.shape

    @property
    def classes(self) -> int:
        """Number of classes that the model predicts or is conditioned on; 0 where it has none."""
        return getattr(self.config, "classes", 0)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes in the order of the labels: the config's, or their numbers where it has none."""
        return tuple(getattr(self.config, "names", ())) or tuple(map(str, range(self.classes)))

    def prepare(self, images: torch.Tensor) -> None:
        """Set what a model takes from its training images, uint8 (N, C, H, W), before training; by default nothing."""


class Classifier(ImageModel, pipeline_tag="image-classification"):
    """A model of p(class | image): a subclass gives `predict`."""

    abstract = True

    def predict(self, images: torch.Tensor) -> torch.Tensor:
        """uint8 (B, C, H, W) -> probabilities (B, classes), at least float32.

        Raises:
            ValueError: images of another type, shape or count.
        """
        raise NotImplementedError


class ImageGenerator(ImageModel, pipeline_tag="unconditional-image-generation"):
    """A model that draws images: a subclass gives `_sample`."""

    abstract = True

    def _check_label(self, label: torch.Tensor | None, count: int) -> None:
        """Refuse a label where there are no classes, and anything but int64 (count,) of classes where there are.

        Raises:
            ValueError: with what was given and what is wanted.
        """
        if not self.classes:
            if label is not None:
                raise ValueError(f"{type(self).__name__} is unconditional: leave label out")
            return
        wanted = f"an int64 tensor ({count},) of classes 0 to {self.classes - 1}"
        if not isinstance(label, torch.Tensor):
            raise ValueError(f"label is {label!r:.40}: give {wanted}")
        if not (label.dtype == torch.int64 and tuple(label.shape) == (count,)):
            raise ValueError(f"label is {label.dtype} {tuple(label.shape)}: give {wanted}")
        low, high = label.min().item(), label.max().item()
        if not (low >= 0 and high < self.classes):
            raise ValueError(f"label holds {low if low < 0 else high}: give {wanted}")

    @torch.no_grad()
    def sample(
        self,
        n: int,
        *,
        label: torch.Tensor | None = None,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
        progress: Progress | None = None,
    ) -> torch.Tensor:
        """Draw n images, uint8 (n, C, H, W).

        Args:
            n: how many, at least 1.
            label: int64 (n,), for class-conditional models.
            temperature: 0 is greedy, 1 the model's own distribution.
            generator: source of the noise, on the CPU; the same state draws the same images.
            progress: called as progress(images so far, done, total) with images of the shape that is returned, to look
                at during the call and not to keep; raising inside it cancels.

        Raises:
            ValueError: n, label, temperature or generator of another type or range.
        """
        check_count(n, "image")
        check_temperature(temperature)
        check_generator(generator)
        self._check_label(label, n)
        with self.exact(), self.evaluating():
            return self._sample(n, label, float(temperature), generator, progress)

    def _sample(
        self,
        n: int,
        label: torch.Tensor | None,
        temperature: float,
        generator: torch.Generator | None,
        progress: Progress | None,
    ) -> torch.Tensor:
        """Draw as `sample` says, with arguments that are checked, in full precision and `eval()` mode."""
        raise NotImplementedError
