"""Autoregressive image models: likelihood, sampling and completion, written once for all of them."""

from collections.abc import Iterator

import torch
from torch import nn

from .base import at_least_float32, check_images
from .chunks import in_chunks
from .config import ModelConfig
from .image_model import ImageGenerator
from .layers.cross_entropy import CrossEntropy
from .sampling import OVERFLOWN, Progress, check_count, check_generator, check_temperature, draw, uniform


def check_known(known: torch.Tensor, count: int, shape: tuple[int, int, int]) -> None:
    """Refuse anything but a bool tensor (count or 1, 1, H, W) for images of the shape (C, H, W).

    Raises:
        ValueError: with what was given and what is wanted.
    """
    _, height, width = shape
    wanted = f"a bool tensor ({f'{count} or ' if count > 1 else ''}1, 1, {height}, {width}), True = keep"
    if not isinstance(known, torch.Tensor):
        raise ValueError(f"known is a {type(known).__name__}: give {wanted}")
    fits = known.dim() == 4 and tuple(known.shape[1:]) == (1, height, width) and len(known) in (1, count)
    if not (known.dtype == torch.bool and fits):
        raise ValueError(f"known is {known.dtype} {tuple(known.shape)}: give {wanted}")


class AutoregressiveImageModel(ImageGenerator):
    """p(image) as a product over sub-pixels in raster order, R before G before B within a pixel.

    A subclass has `config.levels` and gives `activation_size`, `quantise`, `logits` and `_stream`; likelihood,
    sampling and completion are written once, here, and cost what the stream costs.
    """

    abstract = True

    @property
    def activation_size(self) -> int:
        """How many elements the largest activation has for one image; by it large batches are split."""
        raise NotImplementedError

    def quantise(self, images: torch.Tensor) -> torch.Tensor:
        """uint8 (B, C, H, W) -> the level of every sub-pixel, int64 (B, C, H, W) in 0..levels-1."""
        raise NotImplementedError

    def to_bytes(self, levels: torch.Tensor) -> torch.Tensor:
        """Levels -> uint8 of the same shape; 0 is black and the last level is white.

        Rounded up, so that byte * levels // 256 is the level again, however many there are.
        """
        return (-(levels * -255 // (self.config.levels - 1))).to(torch.uint8)

    def logits(self, images: torch.Tensor, label: torch.Tensor | None = None) -> torch.Tensor:
        """uint8 (B, C, H, W) -> (B, C, H, W, levels): each sub-pixel's logits given those before it."""
        raise NotImplementedError

    def _stream(self, levels: torch.Tensor, start: int, label: torch.Tensor | None) -> Iterator[torch.Tensor]:
        """Coroutine behind `sample` and `complete`: incremental logits in order of generation.

        Yields the (B, levels) logits of sub-pixel `start`. When the levels int64 (B, k) of that one and of the k - 1
        after it are sent in, yields the logits of the next: none are asked for of sub-pixels that are known. Only the
        part of `levels` int64 (B, C, H, W) before `start` is read.
        """
        raise NotImplementedError

    def forward(self, images: torch.Tensor, return_loss: bool = True) -> dict:
        """uint8 (B, C, H, W) -> `loss`, nats a sub-pixel, and `logits` (B, C, H, W, levels).

        `return_loss` tells transformers.Trainer that there is a loss without labels; it changes nothing.
        """
        return self._scored(images, None)

    def _scored(self, images: torch.Tensor, label: torch.Tensor | None) -> dict:
        """What `forward` returns, given the label of a conditional model."""
        logits = self.logits(images, label)
        targets = self.quantise(images).to(logits.device)
        pixels = logits.movedim(1, 3).flatten(0, -2)  # (B*H*W*C, levels), as they lie where channels are innermost
        return {"loss": CrossEntropy.apply(pixels, targets.movedim(1, 3).flatten()), "logits": logits}

    @torch.no_grad()
    def sub_pixel_log_prob(self, images: torch.Tensor, label: torch.Tensor | None = None) -> torch.Tensor:
        """uint8 (B, C, H, W) -> log p of each sub-pixel given those before it, in nats, of the same shape.

        A large batch is evaluated in chunks.

        Raises:
            ValueError: images of another type, shape or count; weights in less than float32, or from which
                no finite number comes.
        """
        self.check_precision()
        images = check_images(images, self.shape)
        self._check_label(label, len(images))

        def score(images: torch.Tensor, label: torch.Tensor | None) -> torch.Tensor:
            log_p = at_least_float32(self.logits(images, label)).log_softmax(-1)  # (B, C, H, W, levels)
            return log_p.gather(-1, self.quantise(images).to(log_p.device)[..., None]).squeeze(-1)

        with self.exact(), self.evaluating():
            own = in_chunks(self, score, images, label)
        if own.isnan().any():
            raise ValueError(OVERFLOWN)  # one NaN among a sub-pixel's logits makes all of its log p NaN
        return own

    def log_prob(self, images: torch.Tensor, label: torch.Tensor | None = None) -> torch.Tensor:
        """uint8 (B, C, H, W) -> log p of each whole image in nats, (B,), as `sub_pixel_log_prob`'s sum."""
        return self.sub_pixel_log_prob(images, label).sum((1, 2, 3))

    def _sample(
        self,
        n: int,
        label: torch.Tensor | None,
        temperature: float,
        generator: torch.Generator | None,
        progress: Progress | None,
    ) -> torch.Tensor:
        """Complete images of which nothing is known."""
        blank = torch.zeros(n, *self.shape, dtype=torch.uint8)
        known = torch.zeros(1, 1, *self.shape[1:], dtype=torch.bool)
        report = progress and (lambda images, done, total: progress(images.squeeze(1), done, total))
        arguments = {"label": label, "temperature": temperature, "generator": generator, "progress": report}
        return self.complete(blank, known, **arguments).squeeze(1)

    @torch.no_grad()
    def complete(
        self,
        images: torch.Tensor,
        known: torch.Tensor,
        n: int = 1,
        *,
        label: torch.Tensor | None = None,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
        progress: Progress | None = None,
    ) -> torch.Tensor:
        """Fill what is missing, n times an image, in raster order given what stands before: uint8 (B, n, C, H, W).

        Known pixels come back bit for bit, and time is spent only from the first missing pixel to the last.
        The rows before it are evaluated in chunks. From there on each image keeps one or two rows of features for each
        layer, so memory grows with the number of images.

        Args:
            images: uint8 (B, C, H, W); what stands in missing pixels is not looked at.
            known: bool (B or 1, 1, H, W), True = keep.
            n: completions of each image, at least 1.
            label: int64 (B,), the class of each image, for class-conditional models.
            temperature, generator, progress: as for `sample`.

        Raises:
            ValueError: any of them of another type, shape or range.
        """
        images = check_images(images, self.shape)
        channels, height, width = self.shape
        check_known(known, len(images), self.shape)
        check_count(n, "completion")
        check_temperature(temperature)
        check_generator(generator)
        self._check_label(label, len(images))

        temperature = float(temperature)
        label = label if label is None else label.repeat_interleave(n)
        given = images.cpu().repeat_interleave(n, 0)  # (B*n, C, H, W)
        levels, byte_of = self.quantise(given), self.to_bytes(torch.arange(self.config.levels))
        known = known.cpu().expand(len(images), channels, height, width).repeat_interleave(n, 0)
        rows = [in_order(part) for part in (levels, known, given)]
        _, keep, pixels = rows  # (H*W*C, B*n) each
        out = pixels.view(height, width, channels, len(images), n).permute(3, 4, 2, 0, 1)  # (B, n, C, H, W), so far
        missing = (~keep).any(1).nonzero().flatten().tolist()
        if not missing:
            return out.contiguous()
        settled = keep.all(1).tolist()  # in all images, so that nothing is drawn
        start, stop = missing[0], missing[-1] + 1
        with self.exact(), self.evaluating():
            stream = self._stream(levels.to(self.device, copy=True), start, label)
            since = []  # the levels of the sub-pixels since the last logits
            views = (row[start:stop].unbind() for row in rows)  # at once: one by one they take as long as what is drawn
            for done, (level, kept, pixel) in enumerate(zip(*views, strict=True), 1):
                noise = uniform(len(pixel), generator)  # used or not: of each its own
                if not settled[start + done - 1]:
                    logits = stream.send(torch.stack(since, 1).to(self.device)) if since else next(stream)
                    level = torch.where(kept, level, draw(logits.cpu(), temperature, noise))
                    torch.where(kept, pixel, byte_of.take(level), out=pixel)
                    since = []
                since.append(level)
                if progress is not None:
                    progress(out.contiguous(), done, stop - start)
        return out.contiguous()

    @torch.no_grad()
    def most_probable(
        self, image: torch.Tensor, known: torch.Tensor, label: torch.Tensor | None = None, limit: int = 65_536
    ) -> tuple[torch.Tensor, float, torch.Tensor]:
        """The most probable filling of one image, found by scoring every one of them.

        Args:
            image: uint8 (1, C, H, W).
            known: bool (1, 1, H, W), True = keep.
            label: int64 (1,), for class-conditional models.
            limit: the largest number of fillings to score: 2 levels and 16 missing sub-pixels reach the default.

        Returns:
            The filled image uint8 (1, C, H, W), its log p in nats, and the posterior of each sub-pixel given all the
            known ones, those after the hole too: (C, H, W, levels), exactly 1 at the level of a known sub-pixel.

        Raises:
            ValueError: more than one image, wrong shapes or limit, or a hole with more than `limit` fillings.
        """
        ModelConfig.check_number("limit", limit, int, 1, 2**40)
        image = check_images(image, self.shape)
        if len(image) != 1:
            raise ValueError(f"image holds {len(image)} images: give one")
        check_known(known, 1, self.shape)
        self._check_label(label, 1)
        image, known = image.cpu(), known.cpu()
        hole = (~known[0]).expand(self.shape).nonzero()  # (sub-pixels, 3)
        levels, count = self.config.levels, self.config.levels ** len(hole)
        if count > limit:
            raise ValueError(f"a hole of {len(hole)} sub-pixels has {levels}^{len(hole)} fillings: at most {limit}")
        scores, fillings = [], []
        for chunk in torch.arange(count).split(256):
            values = chunk[:, None] // levels ** torch.arange(len(hole)) % levels  # (chunk, sub-pixels)
            tried = image.repeat(len(chunk), 1, 1, 1)
            tried[:, hole[:, 0], hole[:, 1], hole[:, 2]] = self.to_bytes(values)
            conditions = None if label is None else label.expand(len(chunk))
            scores.append(self.log_prob(tried, conditions).cpu())
            fillings.append(values)
        score, filling = torch.cat(scores), torch.cat(fillings)
        posterior = nn.functional.one_hot(self.quantise(image)[0], levels).to(score)
        weight = score.softmax(0)
        for k, (c, y, x) in enumerate(hole.tolist()):
            posterior[c, y, x] = torch.zeros(levels).to(score).index_add_(0, filling[:, k], weight)
        best, filled = int(score.argmax()), image.clone()
        filled[0, hole[:, 0], hole[:, 1], hole[:, 2]] = self.to_bytes(filling[best])
        return filled, float(score[best]), posterior


def in_order(images: torch.Tensor) -> torch.Tensor:
    """(B, C, H, W) -> (H*W*C, B), contiguous: a row a sub-pixel, in order of generation."""
    return images.permute(2, 3, 1, 0).flatten(0, 2).contiguous()
