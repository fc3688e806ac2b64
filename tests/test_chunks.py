"""Neither the strides of a batch nor its size changes an answer, and a large batch is evaluated in chunks."""

import functools
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from asking import random_images, random_text
from conftest import TEXT_MODELS, build, enliven, types_of
from torch.utils._python_dispatch import TorchDispatchMode

from hub_models import (
    MODELS,
    AutoregressiveImageModel,
    Classifier,
    ConvClassifier,
    GatedPixelCNN,
    PixelClassifier,
    PixelPredictor,
    TextModel,
    chunks,
)
from hub_models.causal_conv import CausalConvModel

NAMES = types_of(Classifier, AutoregressiveImageModel)
CLASSES = {"classes": 3, "names": ("a", "b", "c")}
WIDE = {
    PixelClassifier: {"hidden_size": 64},
    PixelPredictor: {"hidden_size": 64},
    CausalConvModel: {"channels": 1, "hidden": 16, "head": 32},
    GatedPixelCNN: CLASSES,
}
MAKERS = {name: functools.partial(build, name) for name in NAMES}
MAKERS["gated_pixel_cnn by class"] = functools.partial(build, "gated_pixel_cnn", **CLASSES)


def wide(name: str, side: int):
    """A model wide enough for convolutions to choose among kernels by the strides of their inputs."""
    changes = {"height": side, "width": side}
    for base, wider in WIDE.items():
        changes |= wider if issubclass(MODELS[name], base) else {}
    return build(name, **changes).eval()


def batch_of(model, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Random images, masks of which pixels are known (all but the last row and a half), and labels."""
    _, height, width = model.shape
    known = torch.arange(height * width).view(1, 1, height, width) < height * width - width - width // 2
    return random_images(model, count), known.repeat(count, 1, 1, 1), torch.arange(count) % 3


def split_calls(model, images: torch.Tensor, known: torch.Tensor, label: torch.Tensor) -> dict[str, Callable]:
    """All calls that take any number of images and evaluate them in chunks, by name."""
    if isinstance(model, ConvClassifier):
        calls = {f"predict in {views} views": functools.partial(model.predict, images, views) for views in (1, 2, 6)}
        for layer in model.layers:
            calls[layer] = functools.partial(model.feature_maps, images, layer)
            calls[f"grad_cam of {layer}"] = functools.partial(model.grad_cam, images, 1, layer)
        for label, views in (1, 2), (None, 6):
            calls[f"grad_cam in {views} views"] = functools.partial(model.grad_cam, images, label, views=views)
        return calls | {"log_predict": lambda: model.log_predict(images), "grad_cam": lambda: model.grad_cam(images)}
    if isinstance(model, PixelClassifier):
        return {"predict": lambda: model.predict(images), "predict_prefixes": lambda: model.predict_prefixes(images)}
    label, noise = label if model.classes else None, torch.Generator()
    return {
        "log_prob": lambda: model.log_prob(images, label),
        "sub_pixel_log_prob": lambda: model.sub_pixel_log_prob(images, label),
        "complete": lambda: model.complete(images, known, 2, label=label, generator=noise.manual_seed(0)),
    }


def all_calls(model, images: torch.Tensor, known: torch.Tensor, label: torch.Tensor) -> dict[str, Callable]:
    """All calls that take images, by name."""
    calls = split_calls(model, images, known, label)
    if isinstance(model, PixelClassifier):
        calls["outputs"] = lambda: model.outputs(images)
    if isinstance(model, Classifier):
        return calls | {"loss": lambda: model(images, label)["loss"]}
    label = label if model.classes else None
    hole = torch.ones_like(known[:1])
    hole[..., -1, -1] = False
    given = {"labels": label} if model.classes else {}
    return calls | {
        "logits": lambda: model.logits(images, label),
        "loss": lambda: model(images, **given)["loss"],
        "most_probable": lambda: model.most_probable(images[:1], hole, label if label is None else label[:1])[2],
    }


def layouts(batch: torch.Tensor) -> dict[str, torch.Tensor]:
    """The same batch (B, C, H, W) with other strides."""
    found = {
        "channels last": batch.clone(memory_format=torch.channels_last),
        "batch last": batch.permute(1, 2, 3, 0).contiguous().permute(3, 0, 1, 2),
        "rows last": batch.transpose(2, 3).contiguous().transpose(2, 3),
        "columns first": batch.permute(3, 1, 0, 2).contiguous().permute(2, 1, 3, 0),
        "every other column": batch.repeat_interleave(2, 3)[..., ::2],
        "every third image": batch.repeat_interleave(3, 0)[::3],
        "the end of a longer batch": torch.cat([batch, batch])[len(batch) :],
        "the first of more channels": torch.cat([batch, batch], 1)[:, : batch.shape[1]],
    }
    assert len({tensor.stride() for tensor in found.values()}) >= 6
    return found


@pytest.fixture
def set_chunk(monkeypatch):
    """A function that lets a model evaluate so many items at a time."""

    def set_size(model, size: int) -> None:
        monkeypatch.setattr(chunks, "CHUNK", size * model.activation_size)
        assert chunks.chunk_size(model) == size

    return set_size


@pytest.mark.parametrize("name", NAMES)
def test_the_strides_of_a_batch_change_no_bit_of_an_answer(name):
    model = wide(name, 28)
    images, known, label = batch_of(model, 3)
    wanted = {key: ask() for key, ask in all_calls(model, images, known, label).items()}
    masks, labels = layouts(known), torch.stack([label, label], 1)[:, 0]
    for layout, other in layouts(images).items():
        assert torch.equal(other, images)
        for key, ask in all_calls(model, other, masks[layout], labels).items():
            assert torch.equal(ask(), wanted[key]), (key, layout)


@pytest.mark.parametrize("name", NAMES)
def test_an_expanded_image_and_one_with_any_batch_stride_answer_as_their_copies(name):
    model = wide(name, 12)
    images, known, label = batch_of(model, 1)
    for other in images.expand(3, -1, -1, -1), images.as_strided(images.shape, (1, *images.stride()[1:])):
        mask, labels = known.expand(len(other), -1, -1, -1), label.expand(len(other))
        copies = all_calls(model, other.repeat(1, 1, 1, 1), mask.clone(), labels.clone())
        for key, ask in all_calls(model, other, mask, labels).items():
            assert torch.equal(ask(), copies[key]()), key


@pytest.mark.parametrize("maker", MAKERS)
def test_chunks_answer_as_one_batch(maker, set_chunk):
    """Each image with its own label and mask, and with the same noise; the model is in train() mode."""
    model = enliven(MAKERS[maker]()).train()
    images, known, label = batch_of(model, 7)
    known[3] = True
    set_chunk(model, 14)
    whole = {key: ask() for key, ask in split_calls(model, images, known, label).items()}
    for size in 1, 2, 3:
        set_chunk(model, size)
        for key, ask in split_calls(model, images, known, label).items():
            answer, wanted = ask(), whole[key]
            assert answer.shape == wanted.shape and answer.dtype == wanted.dtype, key
            assert torch.allclose(answer.double(), wanted.double(), rtol=1e-12, atol=1e-12), (key, size)


class Largest(TorchDispatchMode):
    """A context that notes the size of the largest floating-point tensor that is made in it."""

    def __init__(self):
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **kwargs or {})
        for tensor in out if isinstance(out, (tuple, list)) else [out]:
            if isinstance(tensor, torch.Tensor) and tensor.is_floating_point():
                self.elements = max(self.elements, tensor.untyped_storage().nbytes() // tensor.itemsize)
        return out


@pytest.mark.parametrize("name", [*NAMES, *TEXT_MODELS])
def test_no_tensor_of_a_large_batch_is_larger_than_a_few_chunks(name, set_chunk):
    """A GRU makes three gates for each output. What is returned grows with the batch."""
    if name in TEXT_MODELS:
        model = build(name).eval()
        text = random_text(model, 200)
        calls = {"log_prob": lambda: model.log_prob(text), "next_tokens": lambda: model.next_tokens(text, 1)}
    else:
        model = wide(name, 12)
        calls = split_calls(model, *batch_of(model, 24))
    size = 10 if isinstance(model, TextModel) else 3
    set_chunk(model, size)
    limit, found = size * model.activation_size, []
    for key, ask in calls.items():
        with Largest() as largest:
            answer = ask()
        found.append(largest.elements)
        returned = answer.numel() if isinstance(answer, torch.Tensor) else 0
        assert largest.elements <= max(3 * limit, returned), key
    assert max(found) >= 0.9 * limit, "chunks are smaller than they need to be"


def test_a_gpu_gets_larger_chunks_and_no_chunk_is_empty():
    small = {device: SimpleNamespace(activation_size=1000, device=torch.device(device)) for device in ("cpu", "cuda")}
    assert 1000 < chunks.chunk_size(small["cpu"]) < chunks.chunk_size(small["cuda"])
    large = SimpleNamespace(activation_size=2**40, device=torch.device("cpu"))
    assert chunks.chunk_slices(large, 2) == [slice(0, 1), slice(1, 2)]
