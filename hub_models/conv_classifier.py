"""What every convolutional classifier of colour images shares: preprocessing, the loss, answers and looks inside."""

from dataclasses import dataclass

import torch
from torch import nn

from .base import at_least_float32, check_images
from .chunks import in_chunks
from .config import ImageShape, ModelConfig, is_integer
from .image_model import Classifier
from .images import reflected

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
# of the views: (share of the answer, pixels by which it is shifted down and to the right)
SHIFTS = {1: ((1, 0),), 2: ((1, 0),), 6: ((0.5, 0), (0.25, -1), (0.25, 1))}
LEAST_MAPS = 8  # side of the smallest feature maps that a heat is made of by itself


def check_views(views: int) -> None:
    """Raise a ValueError where a classifier does not take so many views."""
    known = is_integer(views) and views in SHIFTS
    if not known:
        raise ValueError(f"views is {views!r}: give {', '.join(map(str, SHIFTS))}")


@dataclass
class ConvClassifierConfig(ImageShape, ModelConfig):
    """Preprocessing and classes of a ConvClassifier."""

    names: tuple = CIFAR10  # of the classes, in the order of the labels
    mean: tuple = (0.4914, 0.4822, 0.4465)  # of the training images' red, green and blue, in 0..1
    std: tuple = (0.2470, 0.2435, 0.2616)
    height: int = 32
    width: int = 32
    smoothing: float = 0.0  # share of the label that training spreads over all classes

    channels = 3

    def __post_init__(self):
        super().__post_init__()
        self.check_names(2, 10_000)
        self.check_tuple("mean", float, 3, 3)
        self.check_tuple("std", float, 3, 3)
        for name in ("mean", "std"):
            for value in getattr(self, name):
                self.check_number(name, value, float, -1e6, 1e6)
        if min(self.std) <= 1e-6:
            raise ValueError(f"std is {self.std!r}: give numbers above 0.000001")
        self.check_float("smoothing", 0, 0.99)

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.names)

    @property
    def least(self) -> int:
        """Side of the smallest image that the layers leave anything of, in pixels."""
        return 1


class ConvClassifier(Classifier):
    """A classifier of RGB images: `body`, blocks from (B, 3, H, W) to feature maps, and `head`, from those to logits.

    A subclass makes both in `__init__` and gives `activation_size`.
    """

    abstract = True
    body: nn.Sequential
    head: nn.Module
    side: int = 0  # of the images in training, where a trainer has them smaller; 0: as the config says

    def __init__(self, config: ConvClassifierConfig):
        super().__init__(config)
        for name in ("mean", "std"):  # not stored: the config has them
            value = torch.tensor(getattr(config, name), dtype=torch.get_default_dtype()).view(3, 1, 1)
            self.register_buffer(name, value, persistent=False)

    @property
    def activation_size(self) -> int:
        """How many elements the largest feature map has for one image; by it large batches are split."""
        raise NotImplementedError

    def normalise(self, images: torch.Tensor) -> torch.Tensor:
        """uint8 (B, 3, H, W) -> the channels' standard scores, channels last, in the weights' dtype.

        Raises:
            ValueError: images of another type, shape or count.
        """
        images = check_images(images, (3, self.side, self.side) if self.training and self.side else self.shape)
        layout = torch.channels_last  # of the fast convolutions
        pixels = images.to(self.device).to(self.mean.dtype, memory_format=layout)
        return (pixels / 255 - self.mean) / self.std

    def forward(self, images: torch.Tensor, labels: torch.Tensor | None = None) -> dict:
        """uint8 (B, 3, H, W) and labels -> `loss` in nats (with labels) and `logits` (B, classes).

        Labels are int64 (B,), or float (B, classes) where each is shared among classes. Only the loss in training is
        that of smoothed labels.

        Raises:
            ValueError: images or labels of another type, shape or count.
        """
        logits = at_least_float32(self.head(self.body(self.normalise(images))))
        if labels is None:
            return {"logits": logits}
        shared = labels.is_floating_point()
        fits = shared or labels.dtype == torch.int64
        told = "give int64 (B,), or the classes' shares (B, classes)"
        wanted = logits.shape if shared else logits.shape[:1]
        if not (fits and labels.shape == wanted):
            raise ValueError(f"labels are {labels.dtype} {tuple(labels.shape)}: {told}")
        smoothing = self.config.smoothing if self.training else 0.0
        loss = nn.functional.cross_entropy(logits, labels.to(logits.device), label_smoothing=smoothing)
        return {"loss": loss, "logits": logits}

    @torch.no_grad()
    def log_predict(self, images: torch.Tensor, views: int = 1) -> torch.Tensor:
        """uint8 (B, 3, H, W) -> logarithms of probabilities (B, classes); `predict` says what the views are."""
        check_views(views)
        images = check_images(images, self.shape)

        def answer(images: torch.Tensor) -> torch.Tensor:
            logits = sum(share * self._logits(images, by, views > 1) for share, by in SHIFTS[views])
            return logits.log_softmax(-1)

        with self.exact(), self.evaluating():
            return in_chunks(self, answer, images)

    def _logits(self, images: torch.Tensor, by: int, mirrored: bool) -> torch.Tensor:
        """Logits of images shifted by so many pixels, reflected at their border; the mean with their mirror images'."""
        moved = self._shifted(images, by)
        logits = self.forward(moved)["logits"]
        return (logits + self.forward(moved.flip(3))["logits"]) / 2 if mirrored else logits

    def _shifted(self, images: torch.Tensor, by: int) -> torch.Tensor:
        """Images shifted by so many pixels down and to the right, reflected at their border."""
        rows, columns = (reflected(torch.arange(size) - by, size) for size in self.shape[1:])
        return images[:, :, rows][..., columns]

    def predict(self, images: torch.Tensor, views: int = 1) -> torch.Tensor:
        """uint8 (B, 3, H, W) -> probabilities (B, classes). A large batch is evaluated in chunks.

        Args:
            images: of the model's own height and width.
            views: 1: of the image as it is. 2: the logits' mean over it and its mirror image. 6: half of that, and a
                quarter each of the same with both shifted by a pixel along the diagonal, either way, and reflected at
                the border (arXiv 2404.00498).

        Raises:
            ValueError: images of another type, shape or count, or another number of views.
        """
        return self.log_predict(images, views).exp()

    @property
    def layers(self) -> list[str]:
        """Names of the blocks whose feature maps `feature_maps` gives, from early to deep."""
        return [name for name, _ in self.body.named_children()]

    @torch.no_grad()
    def feature_maps(self, images: torch.Tensor, layer: str) -> torch.Tensor:
        """uint8 (B, 3, H, W) -> what a block gives on, (B, channels, h, w), at least float32.

        A large batch is evaluated in chunks.

        Raises:
            ValueError: no such layer, or images of another type, shape or count.
        """
        if layer not in self.layers:
            raise ValueError(f"layer is {layer!r}: give one of {', '.join(self.layers)}")
        images, blocks = check_images(images, self.shape), self.body[: self.layers.index(layer) + 1]
        with self.exact(), self.evaluating():
            return in_chunks(self, lambda images: at_least_float32(blocks(self.normalise(images))).contiguous(), images)

    @property
    def heat_layer(self) -> str:
        """Name of the last block whose maps are at least 8x8, or of the first where none are."""
        blank = torch.zeros(1, *self.shape, dtype=torch.uint8)
        sides = ((name, min(self.feature_maps(blank, name).shape[2:])) for name in reversed(self.layers))
        return next((name for name, side in sides if side >= LEAST_MAPS), self.layers[0])

    def grad_cam(
        self, images: torch.Tensor, label: int | None = None, layer: str | None = None, views: int = 1
    ) -> torch.Tensor:
        """Where a class is seen: HiResCAM (Draelos and Carin, arXiv 2011.08891). A large batch is evaluated in chunks.

        HiResCAM is Grad-CAM (Selvaraju et al., arXiv 1610.02391) with a weight for each place in place of the weights'
        mean. Where global average pooling and one linear layer follow the maps, the two are the same.

        Args:
            images: uint8 (B, 3, H, W).
            label: the class; without, each image's likeliest in these views.
            layer: the block whose feature maps are weighed; without, `heat_layer`.
            views: as `predict` takes them. The heat of each is moved back to its place before they are averaged.

        Returns:
            (B, H, W) of 0..1, the largest of each image 1, all 0 where nothing speaks for the class.

        Raises:
            ValueError: no such layer or class, images of another type, shape or count, or another number of views.
        """
        classes = self.config.classes
        known = label is None or (is_integer(label) and 0 <= label < classes)
        if not known:
            raise ValueError(f"label is {label!r}: give a whole number from 0 to {classes - 1}")
        check_views(views)
        images = check_images(images, self.shape)
        layer = self.heat_layer if layer is None else layer

        @torch.inference_mode(False)
        def heat(images: torch.Tensor) -> torch.Tensor:
            if label is None:
                labels = self.log_predict(images, views).argmax(-1)
            else:
                labels = torch.full((len(images),), int(label), device=self.device)
            found = sum(share * self._heat(images, labels, layer, by, views > 1) for share, by in SHIFTS[views])
            return found / found.amax((1, 2), keepdim=True).clamp(min=torch.finfo(found.dtype).tiny)

        with self.exact(), self.evaluating():
            return in_chunks(self, heat, images)

    def _heat(self, images: torch.Tensor, labels: torch.Tensor, layer: str, by: int, mirrored: bool) -> torch.Tensor:
        """As `_logits`, the heat (B, H, W) of the classes `labels` (B,), moved back to where it is in the images."""
        moved = self._shifted(images, by)
        heat = self._hires_cam(moved, labels, layer)
        if mirrored:
            heat = (heat + self._hires_cam(moved.flip(3), labels, layer).flip(2)) / 2
        rows, columns = ((torch.arange(size) + by).clamp(0, size - 1) for size in self.shape[1:])
        return heat[:, rows][..., columns]

    def _hires_cam(self, images: torch.Tensor, labels: torch.Tensor, layer: str) -> torch.Tensor:
        """HiResCAM of a chunk and its classes (B,), (B, H, W), not scaled."""
        with torch.enable_grad():
            maps = self.feature_maps(images, layer).to(self.mean.dtype).requires_grad_()
            logits = self.head(self.body[self.layers.index(layer) + 1 :](maps))
            (gradient,) = torch.autograd.grad(logits.gather(1, labels[:, None]).sum(), maps)
        heat = (at_least_float32(gradient) * at_least_float32(maps.detach())).sum(1, keepdim=True).relu()
        heat = nn.functional.interpolate(heat, self.shape[1:], mode="bilinear", align_corners=False)
        return heat[:, 0]
