"""FastCNN: the net of the CIFAR-10 speed-runs, for the best accuracy that a given amount of arithmetic can buy.

K. Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU" (arXiv 2404.00498), airbench94, after D. Page's "How to
train your ResNet" (2018) and T. Balsam's hlb-CIFAR10 (2023). A fixed first layer whitens 2x2
patches of the training images; three groups of two convolutions follow, of three in the larger net, airbench96. Each
trick's source stands beside it. What differs: the second group has 128 channels by default where the paper has 256
(half the arithmetic, and small enough to ship), the whitening layer's bias is trained to the end, batch norm adds
PyTorch's 1e-5 to variances, the rate ends at 0, and training may average the weights exponentially where the paper
looks ahead, or turn the convolutions by Muon, which came after it.
"""

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import nn

from .conv_classifier import ConvClassifier, ConvClassifierConfig

PATCH = 2  # side of what the first layer whitens
SAMPLE = 5_000  # images that tell the patches' covariance
SCALE = 1 / 9  # of the logits (Page 2018)
NESTEROV = {"momentum": 0.85, "nesterov": True}  # of the optimiser (arXiv 2404.00498)


@dataclass
class FastCNNConfig(ConvClassifierConfig):
    """Architecture and preprocessing of a FastCNN."""

    model_type: str = "fast_cnn"
    widths: tuple = (64, 128, 256)  # channels of the three groups
    residual: bool = False  # a third convolution in each group; the second and it add to what comes in
    whitening: bool = True  # else the first layer is trained as any other
    dirac: bool = True  # convolutions start as the identity on as many channels as come in
    bias_rate: float = 64.0  # in training, the learning rate of batch norm's biases over that of all else
    muon_step: float = (
        0.24  # in training by Muon, the most of its length that a kernel turns by a step (airbench94_muon)
    )

    def __post_init__(self):
        super().__post_init__()
        self.check_tuple("widths", int, 3, 3)
        for width in self.widths:
            self.check_number("widths", width, int, 1, 8192)
        self.check_int("height", self.least, 4096)
        self.check_int("width", self.least, 4096)
        self.check_bool("residual")
        self.check_bool("whitening")
        self.check_bool("dirac")
        self.check_float("bias_rate", 1e-6, 1e6)
        self.check_float("muon_step", 1e-6, 1)

    @property
    def least(self) -> int:
        """Side of the smallest image that the layers leave anything of, in pixels."""
        return 9


class Convolution(nn.Conv2d):
    """3x3, padded, without bias; its first filters may start as the identity (arXiv 2404.00498, section 3.3)."""

    def __init__(self, channels: int, width: int, dirac: bool):
        super().__init__(channels, width, 3, padding=1, bias=False)
        if dirac:
            nn.init.dirac_(self.weight.data[:channels])


class BiasNorm(nn.BatchNorm2d):
    """Batch norm with a bias and no scale (Page 2018)."""

    def __init__(self, width: int):
        super().__init__(width, momentum=0.4)
        self.weight = None


class Residual(nn.Sequential):
    """What comes in, and what these layers make of it (arXiv 2404.00498, airbench96)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Of one shape, in and out."""
        return x + super().forward(x)


class Scaled(nn.Linear):
    """A linear layer whose outputs are made small, so that training starts unsure (Page 2018)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, width) -> logits (B, classes)."""
        return super().forward(x) * SCALE


class FastCNN(ConvClassifier, tags=["cnn", "image-classification", "cifar10"]):
    """Classify a colour image with the convolutional net of the CIFAR-10 speed-runs."""

    config_class = FastCNNConfig
    muon = True
    title = "convolutional classifier of the speed-runs"
    about = (
        "A first layer that whitens 2x2 patches, then three groups of 3x3 convolutions with batch norm and GELU, two "
        "a group, or three of which the latter two add to what comes in (`residual`), name what a 32x32 colour image "
        "shows. The design is that of the CIFAR-10 speed-runs: the best accuracy that a given amount of arithmetic can "
        "buy."
    )
    limits = (
        "It knows the ten classes of CIFAR-10 and nothing else: of any other picture it still gives ten probabilities "
        "that sum to 1. It was trained on 32x32 pixels; large photographs lose most of what they show on their way. "
        "Labels that are smoothed or shared in training teach it to be less sure than it is right: the calibration "
        "error says by how much."
    )
    citation = """@misc{jordan2024cifar,
  title={94% on CIFAR-10 in 3.29 Seconds on a Single GPU}, author={Jordan, Keller},
  year={2024}, eprint={2404.00498}, archivePrefix={arXiv}}"""
    usage = """images = torch.zeros(2, 3, 32, 32, dtype=torch.uint8)  # RGB, 0 to 255
probabilities = model.predict(images, views=6)  # (2, 10), in the order of model.config.names
maps = model.feature_maps(images, model.layers[0])  # (2, channels, 31, 31)
heat = model.grad_cam(images)  # (2, 32, 32): where the likeliest class is seen"""

    def __init__(self, config: FastCNNConfig):
        super().__init__(config)
        patch = 3 * PATCH**2
        whiten = nn.Conv2d(3, 2 * patch, PATCH)
        blocks, width = OrderedDict(whiten=nn.Sequential(whiten, nn.GELU())), 2 * patch
        for i, wider in enumerate(config.widths):
            first = Convolution(width, wider, config.dirac)
            rest = [Convolution(wider, wider, config.dirac), BiasNorm(wider)]
            if config.residual:
                rest = [Residual(*rest, nn.GELU(), Convolution(wider, wider, config.dirac), BiasNorm(wider))]
            blocks[f"group{i}a"] = nn.Sequential(first, nn.MaxPool2d(2), BiasNorm(wider), nn.GELU())
            blocks[f"group{i}b"] = nn.Sequential(*rest, nn.GELU())
            width = wider
        self.body = nn.Sequential(blocks)
        self.head = nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten(), Scaled(width, config.classes, bias=False))
        whiten.weight.requires_grad_(not config.whitening)

    @property
    def activation_size(self) -> int:
        """Elements of the largest feature map, for one image."""
        height, width = self.config.height - 1, self.config.width - 1  # after the first layer, which pads nothing
        channels = (6 * PATCH**2, *self.config.widths)
        sizes = [(height >> halved) * (width >> halved) for halved in (0, 0, 1, 2)]  # each group pools after it widens
        return max(count * size for count, size in zip(channels, sizes, strict=True))

    @torch.no_grad()
    def prepare(self, images: torch.Tensor) -> None:
        """Set the first layer to whiten the patches of training images, uint8 (N, 3, H, W), before training.

        Its filters are the eigenvectors of the patches' covariance, each divided by its standard deviation, and their
        negatives (Page 2018; the negatives: hlb-CIFAR10, 2023).
        """
        if not self.config.whitening:
            return
        patches = nn.functional.unfold(self.normalise(images[:SAMPLE]), PATCH)  # (B, 12, positions)
        patches = patches.transpose(1, 2).flatten(0, 1).double()
        values, vectors = torch.linalg.eigh(torch.cov(patches.T))
        filters = (vectors / (values + 5e-4).sqrt()).T.view(-1, 3, PATCH, PATCH).flip(0)  # the largest first
        whiten = self.body.whiten[0]
        whiten.weight.copy_(torch.cat([filters, -filters]))
        whiten.bias.zero_()

    def parameter_groups(self, learning_rate: float, weight_decay: float, muon: bool = False) -> list[dict]:
        """What is trained, for SGD: batch norm's biases at their own rate (Page 2018), decayed as much.

        With `muon`, for `UnitMuon`, convolutions are a group of their own, whose rate is the config's `muon_step`.
        """
        fast, factor = [module.bias for module in self.modules() if isinstance(module, BiasNorm)], self.config.bias_rate
        kernels = [module.weight for module in self.modules() if muon and isinstance(module, Convolution)]
        apart = {id(p) for p in fast + kernels}
        rest = [p for p in self.parameters() if p.requires_grad and id(p) not in apart]
        turned = {"params": kernels, "lr": self.config.muon_step, "momentum": 0.6, "weight_decay": 0.0, "muon": True}
        return [turned][: len(kernels)] + [
            {"params": rest, "lr": learning_rate, "weight_decay": weight_decay} | NESTEROV,
            {"params": fast, "lr": learning_rate * factor, "weight_decay": weight_decay / factor} | NESTEROV,
        ]
