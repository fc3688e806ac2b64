"""Whether the heat of a class lies on it: the pointing game on one image pasted into another, and other ways to a heat.

A heat is (B, H, W), at least 0. The share of it that lies inside is that of the energy-based pointing game of Score-CAM
(Wang et al., arXiv 1910.01279). Whether its peak does is the pointing game itself (Zhang et al., arXiv 1608.00507).
"""

from collections.abc import Callable

import torch
from torch import nn

from hub_models import ConvClassifier

Weigh = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # maps and gradient (B, channels, h, w) -> heat (B, h, w)


def pasted(images: torch.Tensor, labels: torch.Tensor, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Shrink each image to half its side and paste it into a quadrant of another, of another class.

    Args:
        images: uint8 (N, C, H, W), of even sides.
        labels: int64 (N,).
        seed: of the images that are pasted into, and of the quadrants.

    Returns:
        The images, uint8 (N, C, H, W); the classes of what is around, int64 (N,); and bool (N, H, W), true in the
        quadrant.

    Raises:
        ValueError: all images are of one class.
    """
    if len(labels.unique()) < 2:
        raise ValueError("all images are of one class: give a larger --limit")
    noise = torch.Generator().manual_seed(seed)
    differ = (labels[:, None] != labels).float()  # (N, N)
    around = torch.multinomial(differ, 1, generator=noise)[:, 0]
    quadrants = torch.randint(4, (len(images),), generator=noise)
    height, width = (side // 2 for side in images.shape[2:])
    lower, right = torch.arange(2 * height) >= height, torch.arange(2 * width) >= width
    rows, columns = lower == (quadrants >= 2)[:, None], right == (quadrants % 2 == 1)[:, None]
    inside = rows[:, :, None] & columns[:, None]
    small = nn.functional.avg_pool2d(images.float(), 2).round().to(torch.uint8)
    return torch.where(inside[:, None], small.repeat(1, 1, 2, 2), images[around]), labels[around], inside


def pointing(heat: torch.Tensor, inside: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the heat's share inside, (B,) of 0..1, and whether its peak is there, bool (B,); zeros are outside."""
    total = heat.sum((1, 2))
    share = (heat * inside).sum((1, 2)) / total.clamp(min=torch.finfo(heat.dtype).tiny)
    peak = heat.flatten(1).argmax(1, keepdim=True)
    return share, inside.flatten(1).gather(1, peak)[:, 0] & (total > 0)


def grad_cam(maps: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """Compute Grad-CAM (Selvaraju et al., arXiv 1610.02391)."""
    return (gradient.mean((2, 3), keepdim=True) * maps).sum(1).relu()


def grad_cam_plus_plus(maps: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """Compute Grad-CAM++ (Chattopadhyay et al., arXiv 1710.11063)."""
    divisor = 2 * gradient**2 + maps.sum((2, 3), keepdim=True) * gradient**3
    alpha = gradient**2 / torch.where(divisor == 0, 1, divisor)
    return ((alpha * gradient.relu()).sum((2, 3), keepdim=True) * maps).sum(1).relu()


def layer_cam(maps: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """Compute LayerCAM (Jiang et al., IEEE TIP 2021)."""
    return (gradient.relu() * maps).sum(1).relu()


def heat_by(weigh: Weigh, model: ConvClassifier, images: torch.Tensor, label: int, layer: str) -> torch.Tensor:
    """Compute the heat of a class in one view of uint8 (B, 3, H, W), as (B, H, W), by a given way."""
    maps = model.feature_maps(images, layer).requires_grad_()
    with model.exact(), model.evaluating():
        score = model.head(model.body[model.layers.index(layer) + 1 :](maps))[:, label].sum()
    (gradient,) = torch.autograd.grad(score, maps)
    heat = weigh(maps.detach(), gradient)[:, None]
    return nn.functional.interpolate(heat, images.shape[2:], mode="bilinear", align_corners=False)[:, 0]


def edges(images: torch.Tensor) -> torch.Tensor:
    """Sum the squared differences of pixels of (B, C, H, W) to the next below and right, as (B, H, W)."""
    after = nn.functional.pad(images.float(), (0, 1, 0, 1), "replicate")
    here = after[:, :, :-1, :-1]
    return ((after[:, :, 1:, :-1] - here) ** 2 + (after[:, :, :-1, 1:] - here) ** 2).sum(1)
