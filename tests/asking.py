"""Random inputs for models, and the questions that models of several families answer."""

from collections.abc import Callable

import torch

from hub_models import AutoregressiveImageModel, ImageModel, TextModel


def random_images(model: ImageModel, n: int, seed: int = 0) -> torch.Tensor:
    """uint8 (n, C, H, W) of the model's shape, all values from 0 to 255."""
    return torch.randint(256, (n, *model.shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def random_tokens(model: TextModel, *shape: int, seed: int = 0) -> torch.Tensor:
    """int64 of a shape: any tokens of a text model but the symbol for what its vocabulary lacks."""
    known = torch.tensor([token for token in range(model.config.vocab_size) if token != model.unknown])
    return known[torch.randint(len(known), shape, generator=torch.Generator().manual_seed(seed))]


def random_text(model: TextModel, n: int = 30, seed: int = 0) -> str:
    """A text of so many of a text model's own tokens."""
    return model.decode(random_tokens(model, n, seed=seed))


def image_batch(model: ImageModel, n: int) -> dict[str, torch.Tensor]:
    """Images, and labels for a model that has classes."""
    labels = {"labels": torch.arange(n) % model.classes} if model.classes else {}
    return {"images": random_images(model, n)} | labels


def autoregressive_questions(model: AutoregressiveImageModel) -> dict[str, Callable]:
    """Likelihood, samples and fillings of an unconditional model."""
    images = random_images(model, 3)
    known = torch.rand(3, 1, *model.shape[1:], generator=torch.Generator().manual_seed(1)) < 0.5
    hole = torch.ones_like(known[:1]).index_fill(3, torch.tensor([1]), False)
    noise = torch.Generator()
    return {
        "log_prob": lambda: model.log_prob(images),
        "sample": lambda: model.sample(3, generator=noise.manual_seed(0)),
        "complete": lambda: model.complete(images, known, 2, generator=noise.manual_seed(0)),
        "most_probable": lambda: model.most_probable(images[:1], hole)[2],
    }
