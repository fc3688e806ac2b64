"""CNN: 3x3 convolutions, batch norm, ReLU and max pooling, with a number of layers and filters to choose.

The CIFAR-10 part of a study of 2025 (a CNN, a character RNN and three PixelRNNs). One reading gives both of its
parameter counts to the last: convolution i, from 0, has F * 2^(i // 2) filters and no bias, batch norm is affine, and
global average pooling and one linear layer follow (5 layers, F 32: 141,034; 7 layers, F 64: 2,332,106). Pooling comes
after every second convolution: after 2 and 4 of 5, after 2, 4 and 6 of 7, as in the study's notebook. Of 3 convolutions
the notebook pools after 1 and 2, this net after 2 alone.
"""

from collections import OrderedDict
from dataclasses import dataclass

from torch import nn

from .conv_classifier import ConvClassifier, ConvClassifierConfig


@dataclass
class CNNConfig(ConvClassifierConfig):
    """Architecture and preprocessing of a CNN."""

    model_type: str = "cnn"
    num_layers: int = 5
    filters: int = 32  # of the first convolution
    dropout: float = 0.5  # before the linear layer

    def __post_init__(self):
        super().__post_init__()
        self.check_int("num_layers", 1, 12)
        self.check_int("filters", 1, 1024)
        self.check_float("dropout", 0, 0.99)
        room = min(self.height, self.width) >= self.least
        if not room:
            raise ValueError(
                f"height is {self.height}, width {self.width}: {self.num_layers} layers need {self.least} of each"
            )

    @property
    def least(self) -> int:
        """Side of the smallest image that the layers leave anything of, in pixels."""
        return 2 ** (self.num_layers // 2)


class CNN(ConvClassifier, tags=["cnn", "image-classification", "cifar10"]):
    """Classify a colour image with a plain stack of convolutions."""

    config_class = CNNConfig
    title = "convolutional classifier"
    about = (
        "A plain stack of 3x3 convolutions, each with batch norm and ReLU, a 2x2 max pooling after every second, "
        "then global average pooling, dropout and one linear layer, names what a 32x32 colour image shows."
    )
    limits = (
        "It knows the ten classes of CIFAR-10 and nothing else: of any other picture it still gives ten probabilities "
        "that sum to 1. It was trained on 32x32 pixels; large photographs lose most of what they show on the way there."
    )
    citation = """@techreport{krizhevsky2009learning,
  title={Learning Multiple Layers of Features from Tiny Images}, author={Krizhevsky, Alex},
  year={2009}, institution={University of Toronto},
  url={https://www.cs.toronto.edu/~kriz/learning-features-2009-TR.pdf}}"""
    usage = """images = torch.zeros(2, 3, 32, 32, dtype=torch.uint8)  # RGB, 0 to 255
probabilities = model.predict(images)  # (2, 10), in the order of model.config.names
maps = model.feature_maps(images, model.layers[0])  # (2, channels, 32, 32) or smaller
heat = model.grad_cam(images)  # (2, 32, 32): where the likeliest class is seen"""

    def __init__(self, config: CNNConfig):
        super().__init__(config)
        blocks, width = OrderedDict(), 3
        for i in range(config.num_layers):
            before, width = width, config.filters * 2 ** (i // 2)
            convolution = nn.Conv2d(before, width, 3, padding=1, bias=False)  # batch norm has one
            blocks[f"conv{i}"] = nn.Sequential(convolution, nn.BatchNorm2d(width), nn.ReLU())
            if i % 2:
                blocks[f"conv{i}"].append(nn.MaxPool2d(2))
        self.body = nn.Sequential(blocks)
        self.head = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(config.dropout), nn.Linear(width, config.classes)
        )

    @property
    def activation_size(self) -> int:
        """Elements of the first feature map, for one image: the later ones are smaller, for pooling quarters them."""
        return max(3, self.config.filters) * self.config.height * self.config.width
