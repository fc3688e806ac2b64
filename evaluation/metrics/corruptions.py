"""What happens to photographs, in stated severities: JPEG, noise, blur, brightness.

The kinds are those of Hendrycks and Dietterich (arXiv 1903.12261); the severities are ours, for 32x32 pixels.
"""

import io
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageFilter


def jpeg(image: Image.Image, quality: float) -> Image.Image:
    """Written as JPEG of this quality, 1 to 95, and read again."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=int(quality))
    return Image.open(file).convert("RGB")


def blur(image: Image.Image, radius: float) -> Image.Image:
    """Blurred by a Gaussian of this radius in pixels."""
    return image.filter(ImageFilter.GaussianBlur(radius))


def brightness(image: Image.Image, factor: float) -> Image.Image:
    """All values times this factor, cut off at 255."""
    return ImageEnhance.Brightness(image).enhance(factor)


def noise(images: torch.Tensor, deviation: float, seed: int) -> torch.Tensor:
    """uint8 (N, C, H, W) with independent Gaussian noise of this standard deviation, of 255, on every value."""
    drawn = torch.randn(images.shape, generator=torch.Generator().manual_seed(seed)) * deviation
    return (images + drawn).round().clamp(0, 255).to(torch.uint8)


def _each(change: Callable[[Image.Image, float], Image.Image], images: torch.Tensor, severity: float) -> torch.Tensor:
    pictures = (Image.fromarray(image) for image in images.permute(0, 2, 3, 1).numpy())
    changed = np.stack([np.asarray(change(picture, severity)) for picture in pictures])
    return torch.from_numpy(changed).permute(0, 3, 1, 2).contiguous()


# kind -> (what its severity is, severities)
SEVERITIES = {
    "jpeg": ("quality", (80, 50, 20)),
    "noise": ("sd", (5, 10, 20)),
    "blur": ("radius", (0.5, 1, 1.5)),
    "brightness": ("factor", (0.5, 1.5, 2)),
}


def corrupt(images: torch.Tensor, kind: str, severity: float, seed: int = 0) -> torch.Tensor:
    """uint8 (N, 3, H, W) -> the same, corrupted.

    Args:
        images: RGB.
        kind: a key of SEVERITIES.
        severity: in the unit that stands there.
        seed: of the noise.
    """
    if kind == "noise":
        return noise(images, severity, seed)
    return _each({"jpeg": jpeg, "blur": blur, "brightness": brightness}[kind], images, severity)
