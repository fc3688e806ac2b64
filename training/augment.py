"""Augmentation by the batch, on the device, of uint8 images."""

import torch
from torch import nn

from hub_models.images import reflected


def mirrored_and_shifted(images: torch.Tensor, shift: int, mirrored: torch.Tensor) -> torch.Tensor:
    """uint8 (B, C, H, W) -> the same, each image moved at random by up to `shift` pixels each way, some mirrored.

    What moves in is the image's own border, reflected: a crop of the padded image.

    Args:
        images: on any device; the random numbers are drawn there, from torch's own generator.
        shift: less than the images' height and width.
        mirrored: bool (B,): which to mirror left to right, besides.
    """
    count, channels, height, width = images.shape
    dy, dx = torch.randint(-shift, shift + 1, (2, count, 1), device=images.device)
    columns = torch.arange(width, device=images.device).expand(count, width)
    columns = torch.where(mirrored.to(images.device)[:, None], columns.flip(1), columns)
    rows = reflected(torch.arange(height, device=images.device) + dy, height)  # (B, H), from where each row comes
    columns = reflected(columns + dx, width)  # (B, W)
    source = (rows[:, :, None] * width + columns[:, None]).flatten(1)  # (B, H*W)
    return images.flatten(2).gather(2, source[:, None].expand(-1, channels, -1)).view_as(images)


def cut_out(images: torch.Tensor, side: int, grey: torch.Tensor) -> torch.Tensor:
    """uint8 (B, C, H, W) -> the same, a square of each image made grey, at a random place (Cutout, arXiv 1708.04552).

    The square is wholly inside the image, as in the speed-runs (arXiv 2404.00498).

    Args:
        images: on any device; the random numbers are drawn there, from torch's own generator.
        side: of the square, in pixels; at most the images' height and width.
        grey: uint8 (C,).
    """
    count, _, *size = images.shape
    middles = [torch.randint(length - side + 1, (count, 1), device=images.device) + side / 2 for length in size]
    square = _rectangle(size, middles, [side, side])
    return torch.where(square, grey.to(images.device)[:, None, None], images)


def cut_mix(images: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """A rectangle of each image is that of the image before it in the batch, and so is as much of its label.

    CutMix (Yun et al., arXiv 1905.04899): the rectangle's share of the area is uniform, its middle anywhere, and what
    would lie outside the image is lost. Unlike there, each image has its own.

    Args:
        images: uint8 (B, C, H, W), on any device; the random numbers are drawn there, from torch's own generator.
        labels: (B, classes), the shares of each image's label.

    Returns:
        images and labels of the same shapes and dtypes.
    """
    count, _, *size = images.shape
    side = torch.rand(count, 1, device=images.device).sqrt()  # as a share of the image's
    middles = [length * torch.rand(count, 1, device=images.device) for length in size]
    rectangle = _rectangle(size, middles, [length * side for length in size])
    share = rectangle.float().mean((1, 2, 3)).to(labels)[:, None]
    return torch.where(rectangle, images.roll(1, 0), images), torch.lerp(labels, labels.roll(1, 0), share)


def _rectangle(size: list[int], middles: list[torch.Tensor], sides: list[torch.Tensor | int]) -> torch.Tensor:
    """A mask (B, 1, H, W): the pixels whose own middles lie in a rectangle, its middles and sides (B, 1) in pixels."""
    places = [torch.arange(length, device=middle.device) + 0.5 for length, middle in zip(size, middles, strict=True)]
    spans = zip(places, middles, sides, strict=True)
    rows, columns = ((place - middle).abs() < side / 2 for place, middle, side in spans)  # (B, H), (B, W)
    return rows[:, None, :, None] & columns[:, None, None]


def resized(images: torch.Tensor, side: int) -> torch.Tensor:
    """uint8 (B, C, H, W) -> the same of `side` times `side` pixels, each the mean of what it covers, bilinear."""
    smaller = nn.functional.interpolate(images.float(), (side, side), mode="bilinear", antialias=True)
    return smaller.round().clamp(0, 255).to(torch.uint8)


def alternately(indices: torch.Tensor, epoch: int) -> torch.Tensor:
    """Which images of an epoch to mirror: half of them, in every epoch the other half (arXiv 2404.00498).

    A hash of its place decides on each, so every run, whatever its seed, and every resumed one mirrors alike.

    Args:
        indices: int64 (B,), the images' places in their data set.
        epoch: from 0.

    Returns:
        bool (B,).
    """
    scattered = (indices * 2654435761) >> 16  # Knuth's multiplicative hash; neighbours differ
    return (scattered + epoch) % 2 == 0
