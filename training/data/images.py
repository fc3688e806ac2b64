"""Small image sets: fetched from the Hub, decoded once into one uint8 tensor, kept beside the Hub's own cache."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from huggingface_hub import constants, snapshot_download
from safetensors.torch import load_file, save

from hub_models import AutoregressiveImageModel
from hub_models.environment import client_fault
from hub_models.files import write_bytes
from training.machine import locked

logger = logging.getLogger(__name__)
SPLIT_SEED = 0
DRAWN = f"binarised by one stochastic draw, seed {SPLIT_SEED}, of the test part {SPLIT_SEED + 1}"


@dataclass(frozen=True)
class ImageSource:
    """Where an image set lives on the Hub, and how many images its splits have there."""

    repo_id: str
    image: str  # column of images
    label: str  # column of labels
    mode: str  # Pillow mode: "L" or "RGB"
    train: int  # images in the whole training split; a cache may hold only the first ones
    validation: int  # of these, the images that are kept out of training; at most a tenth of those that are there
    test: int  # images in the whole test split; a cache may hold only the first ones
    drawn: bool = False  # each pixel made black or white once, white with the probability that its grey says


DATASETS = {
    "cifar10": ImageSource("uoft-cs/cifar10", "img", "label", "RGB", 50_000, 5_000, 10_000),
    "mnist": ImageSource("ylecun/mnist", "image", "label", "L", 60_000, 5_000, 10_000),
    "mnist-drawn": ImageSource("ylecun/mnist", "image", "label", "L", 60_000, 5_000, 10_000, drawn=True),
}


class ImageData(torch.utils.data.Dataset):
    """Images uint8 (N, C, H, W) and labels int64 (N,); a batch is one look-up, not N."""

    def __init__(self, images: torch.Tensor, labels: torch.Tensor, revision: str = "", split_size: int | None = None):
        self.images, self.labels, self.revision = images, labels, revision
        self.split_size = (
            len(images) if split_size is None else split_size
        )  # images of the split that these are the first of

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"images": self.images[index], "labels": self.labels[index]}

    def __getitems__(self, indices: list[int]) -> dict[str, torch.Tensor]:
        return {"images": self.images[indices], "labels": self.labels[indices], "indices": torch.tensor(indices)}

    def first(self, count: int | None) -> "ImageData":
        """The first `count` images, or all."""
        return ImageData(self.images[:count], self.labels[:count], self.revision, self.split_size)

    @property
    def part(self) -> str:
        """Which of the split's images these are, in words; "" where they are all."""
        return f"first {len(self):,} of {self.split_size:,}" if len(self) < self.split_size else ""

    def conditions(self, model: AutoregressiveImageModel) -> torch.Tensor | None:
        """What a generative model is conditioned on, image by image: the labels, or None if it takes none."""
        return self.labels if model.classes else None

    def check_labels(self, classes: int | None) -> None:
        """Refuse labels that a model of so many classes does not know.

        Raises:
            ValueError: with both numbers.
        """
        top = int(self.labels.max())
        if classes is not None and top >= classes:
            raise ValueError(
                f"the data's labels go up to {top}, the model knows {classes} classes, from 0: change its classes"
            )


def describe_images(name: str, validation: ImageData | None = None) -> dict:
    """Describe a data set and its validation split, by default the whole one, for a card."""
    source = DATASETS[name]
    count = source.validation if validation is None else validation.split_size
    held_out = f"{count} training images, the first of a permutation seeded with {SPLIT_SEED}"
    told = {"name": name, "repo_id": source.repo_id, "validation": held_out}
    return told | ({"prepared": DRAWN} if source.drawn else {})


def load_images(name: str, split: str) -> ImageData:
    """One split of an image set.

    Args:
        name: a key of DATASETS.
        split: "train", "validation" (kept out of the training split by a seeded permutation) or "test".

    Raises:
        FileNotFoundError: the set is neither in the Hub's cache nor reachable. ValueError: it leaves this split empty.
    """
    source = DATASETS[name]
    arrays, revision = _decoded(source)
    part = "test" if split == "test" else "train"
    images, labels = arrays[f"{part}_images"], arrays[f"{part}_labels"]
    if source.drawn:  # of the whole part before it is split, so that each image is the same in whatever is read
        noise = torch.Generator().manual_seed(SPLIT_SEED + (part == "test"))  # of either part its own
        noise = torch.rand(images.shape, generator=noise)
        images = (images > noise * 255).to(torch.uint8) * 255
    if split != "test":
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(SPLIT_SEED))
        held_out = min(source.validation, len(images) // 10)
        chosen = order[:held_out] if split == "validation" else order[held_out:]
        if len(images) < source.train:
            logger.warning("%s has %d training images here, not %d", source.repo_id, len(images), source.train)
        images, labels = images[chosen], labels[chosen]
    if not len(images):
        raise ValueError(f"{source.repo_id} has too few images here for the {split} split: download it again")
    return ImageData(images, labels, revision, source.test if split == "test" else None)


def _decoded(source: ImageSource) -> tuple[dict[str, torch.Tensor], str]:
    """All images and labels of a set, from our cache of decoded tensors or, once, from the Hub's parquet files."""
    try:
        snapshot = Path(snapshot_download(source.repo_id, repo_type="dataset"))
    except Exception as error:  # offline, not cached, refused: the client has a dozen types for it
        if fault := client_fault():
            raise FileNotFoundError(f"{source.repo_id} cannot be downloaded: {fault}") from error
        raise FileNotFoundError(
            f"{source.repo_id} is not in the Hub cache ({constants.HF_HUB_CACHE}) and cannot be downloaded: "
            f"connect once, or point HF_HUB_CACHE at a cache that has it ({type(error).__name__})"
        ) from error
    name = source.repo_id.partition("/")[2]  # drawn or not, the same digits
    cache = Path(constants.HF_HOME, "scanline", f"{name}-{snapshot.name[:12]}.safetensors")
    if not cache.is_file():
        with locked(cache.parent, wait=600):  # of several processes one decodes, and the others find it done
            try:
                cache.is_file() or _decode(snapshot, source, cache)
            except Exception as error:  # a full disk, a damaged file: the reader, too, has a dozen types for it
                why = str(error).partition("\n")[0]
                told = f"{source.repo_id} cannot be decoded into {cache} ({why})"
                raise ValueError(f"{told}: make room there, or point HF_HOME elsewhere") from error
    return load_file(cache), snapshot.name


def _decode(snapshot: Path, source: ImageSource, cache: Path) -> None:
    from datasets import load_dataset  # 2 s to import, once a data set

    arrays = {}
    for split in ("train", "test"):
        rows = load_dataset(str(snapshot), split=split)
        logger.info("decoding %d images of %s %s", len(rows), source.repo_id, split)
        batches = rows.iter(1000)  # row by row would take half a minute
        pixels = np.stack([np.asarray(i.convert(source.mode)) for batch in batches for i in batch[source.image]])
        pixels = pixels[:, None] if pixels.ndim == 3 else pixels.transpose(0, 3, 1, 2)  # (N, C, H, W)
        arrays[f"{split}_images"] = torch.from_numpy(np.ascontiguousarray(pixels))
        arrays[f"{split}_labels"] = torch.tensor(rows[source.label][:])
    write_bytes(cache, save(arrays))
