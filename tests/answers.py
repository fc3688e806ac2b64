"""Answers of the shipped checkpoints to fixed questions, to compare two commits or two machines.

    python tests/answers.py            # print a SHA-256 over the bytes of each answer
    python tests/answers.py --write    # and store a sample of the numbers in tests/data/answers.json

Two commits that print the same lines on one machine answer bit for bit alike. To ask another checkout:
`PYTHONPATH=OTHER_CHECKOUT python tests/answers.py`. `test_answers.py` holds today's answers to the stored ones.
"""

import argparse
import hashlib
import json
import os
import sys
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # the number of threads changes the order of sums

import torch

import hub_models
from hub_models import (
    AutoregressiveImageModel,
    ConvClassifier,
    HubModel,
    PixelClassifier,
    TextModel,
    load,
    shipped,
)

STORED = Path(__file__).parent / "data" / "answers.json"
COUNT = 4  # images: few enough that no model splits them
SAMPLE = 12  # numbers of each answer that are stored, spread evenly over it
TEXT = "To be, or not to be: that is the question.\nWhether 'tis nobler in the mind to suffer\n"
PROMPT = "ROMEO:\nO, she doth"


def pictures(shape: tuple[int, int, int]) -> torch.Tensor:
    """uint8 (COUNT, C, H, W): blobs of many greys, from a fixed seed."""
    channels, height, width = shape
    coarse = torch.rand(COUNT, channels, 5, 5, generator=torch.Generator().manual_seed(0))
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear", align_corners=True)
    return ((smooth - 0.5) * 3 + 0.5).clamp(0, 1).mul(255).round().to(torch.uint8)


def answers(model: HubModel) -> dict[str, torch.Tensor]:
    """The model's answers by name: floating-point tensors, and uint8 where it draws."""
    noise = torch.Generator()
    if isinstance(model, TextModel):
        drawn = "".join(model.generate(PROMPT, max_tokens=40, generator=noise.manual_seed(0)))
        return {
            "log_prob": torch.tensor([model.log_prob(TEXT)], dtype=torch.float64),
            "token_log_prob": model.token_log_prob(TEXT)[1],
            "next_tokens": torch.tensor([p for _, p in model.next_tokens(PROMPT, 12)], dtype=torch.float64),
            "generate": torch.tensor(list(drawn.encode()), dtype=torch.uint8),
        }
    images = pictures(model.shape)
    if isinstance(model, AutoregressiveImageModel):
        height, width = model.shape[1:]
        label = torch.arange(COUNT) if model.classes else None
        known = torch.arange(height * width).view(1, 1, height, width) < height * width - 2 * width - 5
        hole = torch.arange(height * width).view(1, 1, height, width) != height * width // 2
        found = {
            "sub_pixel_log_prob": model.sub_pixel_log_prob(images, label),
            "log_prob": model.log_prob(images, label),
            "complete": model.complete(images, known, 2, label=label, generator=noise.manual_seed(0)),
        }
        if model.config.levels == 2:
            found["sample"] = model.sample(COUNT, label=label, generator=noise.manual_seed(0))
            found["most_probable"] = model.most_probable(images[:1], hole, label)[2]
        return found
    if isinstance(model, PixelClassifier):
        return {"predict": model.predict(images), "predict_prefixes": model.predict_prefixes(images)}
    if not isinstance(model, ConvClassifier):
        raise TypeError(f"{Path(__file__).name} asks a {type(model).__name__} nothing: add its questions")
    return {
        "predict": model.predict(images),
        "predict in 6 views": model.predict(images, 6),
        "grad_cam": model.grad_cam(images, 3),
        "grad_cam in 6 views": model.grad_cam(images, 3, views=6),
        **{f"feature_maps of {layer}": model.feature_maps(images, layer) for layer in model.layers},
    }


def sample(answer: torch.Tensor) -> list[float]:
    """At most SAMPLE of an answer's numbers, to 8 digits."""
    numbers = answer.flatten()
    return [float(f"{number:.8g}") for number in numbers[:: -(-len(numbers) // SAMPLE)].tolist()]


def digest(answer: torch.Tensor) -> str:
    """SHA-256 over an answer's bytes, in hex."""
    return hashlib.sha256(answer.contiguous().numpy().tobytes()).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--write", action="store_true", help=f"store them in {STORED.name}")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"answers of {Path(hub_models.__file__).parent}", file=sys.stderr)
    stored = {}
    for name in shipped():
        found = answers(load(name))
        for question, answer in found.items():
            print(name, question, digest(answer), sep="\t", flush=True)
        stored[name] = {key: sample(answer) for key, answer in found.items() if answer.is_floating_point()}
    if args.write:
        lines = [f"{json.dumps(name)}: {json.dumps(found)}" for name, found in stored.items()]
        STORED.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
