"""Ratios of ours to the plain way, measured in one run: `python -m evaluation.speed`.

Each pair is timed in turn, several rounds, and its ratio is that of the medians: this machine's noise hits both alike.
The results go to `evaluation/results/speed.json`, from which the README's table is made.
"""

import copy
import math
from collections.abc import Callable

import torch

from evaluation.benchmarks.reference import (
    ShuffledWindows,
    pillow_batches,
    plain_generation,
    plain_loss,
    plain_sampling,
    shuffled_loss,
)
from evaluation.benchmarks.timing import asked, bandwidth, fastest_products, measured, plainly, ratio, step
from evaluation.benchmarks.training import classifier_training
from evaluation.results import SPEED
from hub_models import (
    CNN,
    CharLSTM,
    CharLSTMConfig,
    CNNConfig,
    DiagonalBiLSTM,
    DiagonalBiLSTMConfig,
    FastCNN,
    FastCNNConfig,
    GatedPixelCNN,
    GatedPixelCNNConfig,
    PixelCNN,
    PixelCNNConfig,
    PixelPredictor,
    PixelPredictorConfig,
    RowLSTM,
    RowLSTMConfig,
    TextModel,
)
from hub_models.causal_conv import CausalConvModel
from hub_models.layers.masked import MaskedConv2d
from hub_models.layers.spatial import DiagonalLayer
from training.augment import alternately, mirrored_and_shifted
from training.data import ImageData, Windows
from training.machine import hardware, has_bf16


def sampling(model: PixelPredictor, count: int, rounds: int) -> dict[str, float]:
    """Cached sampling of `count` images against re-evaluation of the whole image for every pixel."""

    def plain() -> None:
        with plain_sampling(model):
            model.sample(count)

    return ratio(lambda: model.sample(count), plain, rounds)


def weights_read(model: CausalConvModel) -> int:
    """How many weights an image takes at least: what sees a pixel itself or its left at each pixel, the rest a row."""
    _, height, width = model.shape
    pixel = row = 0
    for module in model.modules():
        if isinstance(module, MaskedConv2d):
            taps = module.mask.sum((0, 1)).tolist()
            pixel += sum(taps[len(taps) // 2])
            row += sum(map(sum, taps[: len(taps) // 2]))
        elif isinstance(module, torch.nn.Conv1d):  # states: one tap of two is beside, of three none
            beside = module.weight.numel() // 2 if module.kernel_size[0] == 2 else 0
            pixel += beside
            row += module.weight.numel() - beside
        elif isinstance(module, torch.nn.Conv2d):  # the gated net's vertical stack
            row += module.weight.numel()
        if isinstance(module, DiagonalLayer):  # input-to-state from the right waits for the whole row
            moved = int(module.input.mask[4 * module.hidden :].sum())
            pixel -= moved
            row += moved
    return height * (width * pixel + row)


def deep_sampling(model: CausalConvModel, count: int, rounds: int, steps: int) -> dict:
    """As `sampling`, where the plain way takes too long: it is timed for so many sub-pixels and scaled up to all.

    `bound_seconds` is what reading the weights alone takes, at the bandwidth measured.
    """
    found = ratio(lambda: model.sample(count), plainly(model, count, steps), rounds)
    total = math.prod(model.shape)
    scale = total / steps
    scaled = {"plain_seconds": found["plain_seconds"] * scale, "ratio": found["ratio"] * scale}
    bound = weights_read(model) / bandwidth()
    told = f"{steps} of {total:,} sub-pixels timed, scaled up"
    return found | scaled | {"bound_seconds": bound, "of_bound": found["seconds"] / bound, "plain": told}


def training(model: PixelPredictor, count: int, rounds: int) -> dict[str, float]:
    """A forward and backward pass over `count` images in bf16 against float32."""
    images = torch.randint(0, 256, (count, *model.shape), dtype=torch.uint8)
    return ratio(lambda: step(model, images, True), lambda: step(model, images, False), rounds)


def weights_used(model: CausalConvModel) -> int:
    """How many weights a pixel is multiplied by in training: of masked kernels, without what is left out of them."""
    used = 0
    for module in model.modules():
        if isinstance(module, MaskedConv2d):
            used += module.kernel().numel()
        elif isinstance(module, (torch.nn.Conv1d, torch.nn.Conv2d)):
            used += module.weight.numel()
    return used


def deep_training(model: CausalConvModel, count: int, rounds: int, alike: bool) -> dict:
    """A forward and backward pass, bf16 where the machine has it, against the usual way of it in float32.

    `alike` gives the usual way the same bf16. `bound_seconds` is what the products take, three for each of the forward
    pass (but two of the first layer's, which is small), at the rate of large ones.
    """
    images, bf16 = torch.randint(0, 256, (count, *model.shape), dtype=torch.uint8), has_bf16()

    def plain() -> None:
        with torch.autocast(model.device.type, torch.bfloat16, enabled=bf16 and alike):
            loss = plain_loss(model, images)
        loss.backward()
        model.zero_grad()

    found = ratio(lambda: step(model, images, bf16), plain, rounds)
    bound = 3 * weights_used(model) * count * math.prod(model.shape[1:]) / fastest_products(bf16)
    return found | {"images": count, "bound_seconds": bound, "of_bound": found["seconds"] / bound}


def products(size: int, rounds: int) -> dict[str, float]:
    """Products of two square matrices in bf16 against float32: the most that bf16 can gain here."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    wide = torch.randn(size, size, device=device)
    narrow = wide.bfloat16()

    def multiply(matrix: torch.Tensor) -> None:
        for _ in range(10):
            product = matrix @ matrix
        product[0, 0].item()  # a GPU is waited for

    return ratio(lambda: multiply(narrow), lambda: multiply(wide), rounds)


def augmentation(data: ImageData, shift: int, batch: int, rounds: int) -> dict[str, float]:
    """Batches ready for the net, and nothing else: an epoch by the batch against an epoch image by image."""
    mean, std = (0.5,) * 3, (0.25,) * 3

    def ours() -> None:
        for at in torch.randperm(len(data)).split(batch):
            images = mirrored_and_shifted(data.images[at], shift, alternately(at, 0))
            _ = (images.to(torch.float32, memory_format=torch.channels_last) / 255 - mean[0]) / std[0]

    def usual() -> None:
        for _ in pillow_batches(data, shift, mean, std, batch):
            pass

    return ratio(ours, usual, rounds) | {"images": len(data)}


def text_training(model: TextModel, rounds: int, alike: bool) -> dict:
    """Training on 64 times 1,024 tokens, in windows of 128: ours against the usual way of it.

    Ours: bf16 where the machine has it, 64 lanes along which the state is carried. The usual: float32 (bf16 where
    `alike`), windows that begin at any token, made one by one, shuffled, 32 a batch, each from an empty state.
    """
    tokens, bf16 = torch.randint(model.config.vocab_size, (64 * 1024 + 1,)), has_bf16()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4)

    def stepped(loss: torch.Tensor) -> None:
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    def ours() -> None:
        windows, state = Windows([tokens], 128, 64), None
        for at in torch.arange(len(windows)).split(64):
            with torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
                out = model(windows.__getitems__(at.tolist())["tokens"], state)
            stepped(out["loss"])
            state = [tuple(part.detach() for part in layer) for layer in out["state"]]

    def usual() -> None:
        windows = ShuffledWindows(tokens, 128)
        chosen = torch.randperm(len(windows))[: 64 * 1024 // 128].tolist()
        for inputs, targets in torch.utils.data.DataLoader(windows, batch_size=32, sampler=chosen):
            with torch.autocast(model.device.type, torch.bfloat16, enabled=bf16 and alike):
                loss = shuffled_loss(model, inputs, targets)
            stepped(loss)

    return ratio(ours, usual, rounds) | {"tokens": 64 * 1024}


def generation(model: TextModel, rounds: int) -> dict[str, float]:
    """100 tokens after a prompt of 1,000: with the state carried, against all read again for each."""
    prompt = "".join(model.generate(max_tokens=1000))

    def ours() -> None:
        for _ in model.generate(prompt, max_tokens=100):
            pass

    def plain() -> None:
        with plain_generation(model):
            ours()

    return ratio(ours, plain, rounds) | {"tokens": 100}


def late_tokens(model: TextModel, rounds: int) -> dict[str, float]:
    """100 tokens after 100 that a model has written, against 100 after 20,000."""

    def after(count: int) -> list:
        pieces = model.generate(max_tokens=20_000 + 100 * (rounds + 1))
        for _ in range(count):
            next(pieces)
        return pieces

    def write(pieces) -> None:
        for _ in range(100):
            next(pieces)

    early, late = after(100), after(20_000)
    return ratio(lambda: write(early), lambda: write(late), rounds) | {"tokens": 100}


def pairs() -> dict[str, Callable[[int], dict]]:
    """What is measured: its name, and the measurement, given the number of rounds."""
    model = PixelPredictor(PixelPredictorConfig(hidden_size=128, timescale=56)).eval()
    noise = torch.randint(256, (12_800, 3, 32, 32), dtype=torch.uint8)
    images = ImageData(noise, torch.randint(10, (len(noise),)))
    few = images.first(1_280)
    scale = {"channels": 3, "height": 32, "width": 32, "levels": 256, "hidden": 128, "head": 1024}
    deep = {  # the papers' sizes for CIFAR-10; built when they are measured
        "PixelCNN, 15 blocks": lambda: PixelCNN(PixelCNNConfig(layers=15, **scale)),
        "RowLSTM, 12 layers": lambda: RowLSTM(RowLSTMConfig(layers=12, **scale)),
        "DiagonalBiLSTM, 12 layers": lambda: DiagonalBiLSTM(DiagonalBiLSTMConfig(layers=12, **scale)),
        "GatedPixelCNN, 15 layers": lambda: GatedPixelCNN(GatedPixelCNNConfig(layers=15, **scale)),
    }
    found = {
        "PixelPredictor, GRU 128: sampling 1 image, cached / plain": lambda r: sampling(model, 1, r),
        "PixelPredictor, GRU 128: sampling 16 images, cached / plain": lambda r: sampling(model, 16, r),
        "PixelPredictor, GRU 128: training, batch 128, bf16 / float32": lambda r: training(model, 128, r),
        "ten matrix products of side 2,048, bf16 / float32": lambda r: products(2048, r),
        "CIFAR-10: augmentation alone, by the batch / one by one": lambda r: augmentation(images, 4, 128, r),
        "CNN 5x32: training, end to end, ours / usual": lambda r: classifier_training(CNN(CNNConfig()), few, 4, 64, r),
        "CNN 7x64: training, end to end, ours / usual": lambda r: classifier_training(
            CNN(CNNConfig(num_layers=7, filters=64)), few, 4, 64, r
        ),
        "FastCNN: training, end to end, ours / usual": lambda r: classifier_training(
            FastCNN(FastCNNConfig()), few, 2, 128, r
        ),
    }
    characters = [chr(32 + i) for i in range(64)] + ["\n"]
    writer = CharLSTM(CharLSTMConfig(vocab_size=len(characters), widths=(512, 512))).eval()
    writer.tokenizer = CharLSTM.fit(writer.config, characters)
    found |= {
        "CharLSTM, 2 x 512: training, ours / usual": lambda r: text_training(copy.deepcopy(writer).train(), r, False),
        "CharLSTM, 2 x 512: training, ours / usual, both in bf16": lambda r: text_training(
            copy.deepcopy(writer).train(), r, True
        ),
        "CharLSTM, 2 x 512: 100 tokens after 1,000, state carried / all read again": lambda r: generation(writer, r),
        "CharLSTM, 2 x 512: 100 tokens after 100 / after 20,000": lambda r: late_tokens(writer, r),
    }
    for kind in (PixelCNN, RowLSTM, DiagonalBiLSTM, GatedPixelCNN):
        for alike, told in (False, ""), (True, ", both in bf16"):
            found[f"{kind.__name__}, 4 layers, h = 128, 3x32x32: training, batch 16, ours / usual{told}"] = (
                lambda r, kind=kind, alike=alike: deep_training(
                    kind(kind.config_class(**scale | {"layers": 4, "head": 256})), 16, r, alike
                )
            )
    for name, make in deep.items():
        for count, steps in ((1, 12), (16, 3)):
            found[f"{name}, 3x32x32: sampling {count} image{'s' * (count > 1)}, cached / plain"] = (
                lambda r, make=make, count=count, steps=steps: deep_sampling(make().eval(), count, r, steps)
            )
    return found


def main() -> None:
    """Measure every pair, print a line each and JSON last, and write the file after each."""
    torch.manual_seed(0)
    bf16 = " with bf16" if has_bf16() else " without bf16"
    known, chosen, ran = asked("speed", __doc__, pairs, hardware(torch.device("cpu")) + bf16)

    def told(row: dict) -> str:
        near = f", {row['of_bound']:.1f} times the bound of {row['bound_seconds']:.3f} s" if "of_bound" in row else ""
        return f"{row['seconds']:.3f} s{near}"

    measured(SPEED, known, chosen, ran, told)


if __name__ == "__main__":
    main()
