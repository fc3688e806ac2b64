"""What the masked image models see, measured by gradient: `python -m evaluation.receptive_field PNG [--model NAME]`.

Drawn beside each other are, without names, the four kinds of model, untrained, on grey 15x15 images: two layers on the
first convolution, which the gated net counts as a layer.
White is what the logits of the red pixel depend on, grey what comes before it and is not seen, black what is to come.
"""

import argparse
import io
import sys
from pathlib import Path

import numpy as np
import torch

from hub_models import MODELS, GatedPixelCNN, HubModel, load
from hub_models.causal_conv import CausalConvModel
from hub_models.environment import prepare_console
from hub_models.files import write_bytes
from hub_models.images import to_field

SIDE, LAYERS = 15, 2


def untrained() -> list[CausalConvModel]:
    """One of each kind, in float64, in which a small gradient is not lost."""
    torch.manual_seed(0)
    kinds = [kind for kind in MODELS.values() if issubclass(kind, CausalConvModel)]
    configs = [kind.config_class(height=SIDE, width=SIDE, layers=LAYERS + (kind is GatedPixelCNN)) for kind in kinds]
    return [kind(config).double() for kind, config in zip(kinds, configs, strict=True)]


def picture(model: CausalConvModel, y: int, x: int) -> np.ndarray:
    """uint8 (H, W, 3): what is seen of the pixel (y, x), for a viewer."""
    return to_field(model.receptive_field(y, x), y, x).permute(1, 2, 0).numpy()


def draw(models: dict[str, HubModel], path: Path) -> None:
    """A panel for each model, of a pixel in the middle of a low row.

    Raises:
        ValueError: a model of another kind.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(models), figsize=(3 * len(models), 3.4), squeeze=False)
    for axis, (name, model) in zip(axes[0], models.items(), strict=True):
        if not isinstance(model, CausalConvModel):
            raise ValueError(f"{name} is a {type(model).__name__}, whose field is not drawn: give one of masked layers")
        _, height, width = model.shape
        axis.imshow(picture(model, height * 4 // 5, width // 2))
        axis.set_title(f"{name}\n{model.config.layers} layers", fontsize=10)
        axis.set(xticks=[], yticks=[])  # and a frame: much is white
    path.parent.mkdir(parents=True, exist_ok=True)
    image = io.BytesIO()
    figure.savefig(image, dpi=120, bbox_inches="tight")
    pyplot.close(figure)
    write_bytes(path, image.getvalue())


def main() -> None:
    """Draw the models that are named, or one of each kind."""
    prepare_console()
    parser = argparse.ArgumentParser("python -m evaluation.receptive_field", description=__doc__.splitlines()[0])
    parser.add_argument("png", type=Path, help="where to")
    parser.add_argument("--model", action="append", default=[], help="shipped name, folder or repository; repeatable")
    args = parser.parse_args()
    try:
        if args.png.suffix != ".png":
            raise ValueError(f"{args.png} is no PNG's name: end it with .png")
        draw({n: load(n) for n in args.model} or {model.title: model for model in untrained()}, args.png)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    print(args.png)


if __name__ == "__main__":
    main()
