"""The four promises of every autoregressive image model, each held to the plain, slow way on tiny images."""

import copy
import dataclasses
import itertools
import math
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from asking import random_images
from conftest import AUTOREGRESSIVE, TINY, build, enliven, types_of
from fields import sees

from evaluation.benchmarks.reference import plain_sampling
from hub_models import AutoregressiveImageModel
from hub_models.causal_conv import CausalConvModel
from hub_models.config import ImageShape, ModelConfig
from hub_models.sampling import draw


@dataclasses.dataclass
class ToyConfig(ImageShape, ModelConfig):
    model_type: str = "toy"
    height: int = 2
    width: int = 2
    channels = 2
    levels = 3


class Toy(AutoregressiveImageModel):
    """The plainest model that there is, here to hold the base class to its promises in colour and many levels."""

    config_class = ToyConfig
    title = about = limits = citation = usage = "-"

    def __init__(self, config: ToyConfig):
        super().__init__(config)
        size = config.channels * config.height * config.width
        self.weight = torch.nn.Parameter(torch.zeros(size, config.levels, size))
        self.bias = torch.nn.Parameter(torch.zeros(size, config.levels))

    @property
    def activation_size(self):
        return self.bias.numel()

    def quantise(self, images):
        return images.long() * self.config.levels // 256

    def _next(self, levels, i):
        return in_order(levels)[:, :i].to(self.bias.dtype) @ self.weight[i, :, :i].T + self.bias[i]

    def logits(self, images, label=None):
        channels, height, width = self.shape
        logits = torch.stack([self._next(self.quantise(images), i) for i in range(len(self.bias))], 1)
        return logits.view(-1, height, width, channels, self.config.levels).movedim(3, 1)

    def _stream(self, levels, start, label):
        while True:
            for level in (yield self._next(levels, start)).unbind(1):
                levels = torch.where(order(self) == start, level.view(-1, 1, 1, 1), levels)
                start += 1


SIZES = [(1, 1), (1, 4), (4, 1), (3, 3), (2, 4), (3, 4)]  # (height, width)
MASKED = types_of(CausalConvModel)
KINDS = [  # (channels, levels, height, width): of models to which all are open
    *[(1, 2, *size) for size in [(1, 1), (1, 5), (5, 1), (3, 3), (2, 4)]],
    *[(3, 2, *size) for size in [(1, 1), (1, 3), (3, 1), (2, 2)]],
    *[(1, 3, 2, 3), (2, 3, 1, 3), (3, 5, 1, 1), (1, 256, 1, 1)],
]
CHANGES = {name: [{"height": height, "width": width} for height, width in SIZES] for name in AUTOREGRESSIVE}
CHANGES |= dict.fromkeys(MASKED, [dict(zip(("channels", "levels", "height", "width"), k, strict=True)) for k in KINDS])
CHANGES["toy"] = [{"height": height, "width": width} for height, width in [(1, 1), (1, 3), (2, 2)]]
VARIED = [(name, changes) for name in CHANGES for changes in CHANGES[name]]
FEW = dict.fromkeys(AUTOREGRESSIVE, {"height": 2, "width": 3}) | {"toy": {"height": 2, "width": 2}}
FEW |= dict.fromkeys(MASKED, {"channels": 1, "levels": 3, "height": 2, "width": 3})


def make(name: str, **changes) -> AutoregressiveImageModel:
    """A model with these fields changed, far from its initialisation, in float64 and eval() mode."""
    model = Toy(ToyConfig("toy", **changes)) if name == "toy" else build(name, **changes)
    enliven(model).eval()
    if name in MASKED:  # deep stacks of ReLUs grow far: without this all but one image have no probability
        with torch.no_grad():
            model.head.last.weight *= 1.5 / model.logits(random_images(model, 20)).std()
    return model


@pytest.fixture(params=VARIED, ids=lambda varied: "-".join(map(str, [varied[0], *varied[1].values()])))
def sized(request):
    """Every image model at every size, and with every number of channels and levels that is open to it."""
    return make(request.param[0], **request.param[1])


@pytest.fixture(params=FEW)
def tiny(request):
    """Every image model at a size of few images, yet of several rows and columns."""
    return make(request.param, **FEW[request.param])


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_known(model, n: int, seed: int = 0) -> torch.Tensor:
    """bool (n, 1, H, W): about half of the pixels, a different half for each image."""
    return torch.rand(n, 1, *model.shape[1:], generator=seeded(seed)) < 0.5


def in_order(tensor: torch.Tensor) -> torch.Tensor:
    """(B, C, H, W, ...) -> (B, H*W*C, ...): sub-pixels in the order of generation."""
    return tensor.movedim(1, 3).flatten(1, 3)


def order(model) -> torch.Tensor:
    """int (C, H, W): the place of each sub-pixel in the order of generation."""
    channels, height, width = model.shape
    return torch.arange(channels * height * width).view(height, width, channels).movedim(2, 0)


def without(model, *missing: int) -> torch.Tensor:
    """bool (1, 1, H, W): these pixels are missing, counted in raster order, from the end where negative."""
    known = torch.ones(model.shape[1:], dtype=torch.bool)
    known.view(-1)[list(missing)] = False
    return known[None, None]


def all_images(model) -> torch.Tensor:
    """uint8 (levels^(H*W*C), C, H, W): every image that there is."""
    channels, height, width = model.shape
    levels = torch.tensor(list(itertools.product(range(model.config.levels), repeat=channels * height * width)))
    return model.to_bytes(levels.view(-1, height, width, channels).movedim(3, 1))


def left_to_right(model, images: torch.Tensor, missing: torch.Tensor, temperature: float) -> torch.Tensor:
    """Probability with which each of the images is drawn where `missing` (C, H, W) is drawn and the rest is given."""
    log_p = (model.logits(images) / temperature).log_softmax(-1)
    return (log_p.gather(-1, model.quantise(images)[..., None])[..., 0] * missing).sum((1, 2, 3)).exp()


def assert_frequencies_fit(drawn: torch.Tensor, outcomes: torch.Tensor, p: torch.Tensor) -> None:
    """Chi-square of draws against probabilities of the outcomes, at five standard deviations above its mean."""
    index = {outcome.numpy().tobytes(): i for i, outcome in enumerate(outcomes)}
    assert len(index) == len(outcomes) and p.sum().item() == pytest.approx(1, abs=1e-9)
    counts = torch.bincount(torch.tensor([index[d.numpy().tobytes()] for d in drawn]), minlength=len(p)).double()
    expected = p.double() * len(drawn)
    rare = expected < 5  # one cell together: chi-square is for cells that are not
    counts = torch.cat([counts[~rare], counts[rare].sum()[None]])
    expected = torch.cat([expected[~rare], expected[rare].sum()[None]]).clamp(min=1e-9)
    freedom = len(counts) - 1
    assert freedom >= 3, "too few outcomes to tell anything"
    assert ((counts - expected) ** 2 / expected).sum() < freedom + 5 * math.sqrt(2 * freedom)


def dependence(model, logits, levels: torch.Tensor, values) -> torch.Tensor:
    """bool [i, j]: whether any of `logits(levels)` (B, T, levels) of i changes where sub-pixel j takes these values."""
    before, steps = logits(levels), levels[0].numel()
    depends = torch.zeros(steps, steps, dtype=torch.bool)
    for j, level in itertools.product(range(steps), values):
        changed = logits(torch.where(order(model) == j, level, levels))
        depends[:, j] |= (changed != before).flatten(2).any(-1).any(0)
    return depends


# 1. No logit depends on its own or a later sub-pixel, and each depends on all earlier ones that its structure shows it.


@pytest.mark.parametrize("training", [False, True])
def test_a_logit_depends_on_exactly_the_sub_pixels_that_it_should(sized, training):
    sized.train(training)
    levels = sized.quantise(random_images(sized, 30))  # so many that no ReLU is off for all

    def logits(levels):
        torch.manual_seed(0)  # the same dropout, where there is any
        images = sized.to_bytes(levels).contiguous()  # in one order in memory, so that sums round alike
        return in_order(sized.logits(images))  # (B, T, levels)

    depends = dependence(sized, logits, levels, range(sized.config.levels))
    assert torch.equal(depends, sees(sized)), depends.int()
    assert not depends.triu().any()


@pytest.mark.parametrize("training", [False, True])
def test_a_logit_does_not_depend_on_the_other_images_of_its_batch(sized, training):
    sized.train(training)
    images = torch.cat([random_images(sized, 1).repeat(2, 1, 1, 1), random_images(sized, 4, seed=1)])
    logits = []
    for batch in (images[[0, 2, 3]], images[[1, 4, 5]]):
        torch.manual_seed(0)
        logits.append(sized.logits(batch)[0])
    assert torch.equal(*logits)


def test_the_first_logit_is_learned_and_constant(sized):
    logits = in_order(sized.logits(random_images(sized, 5)))[:, 0]
    assert torch.allclose(logits, logits[0].expand_as(logits), rtol=0, atol=1e-12)
    logits[0].log_softmax(-1)[0].backward()
    assert sum(p.grad.abs().sum() for p in sized.parameters() if p.grad is not None) > 0


def test_every_byte_is_read_as_its_level_and_nothing_else(sized):
    images = random_images(sized, 4)
    levels = torch.arange(sized.config.levels).view(-1, 1, 1, 1).expand(-1, *sized.shape)
    assert torch.equal(sized.quantise(sized.to_bytes(levels)), levels)
    assert sized.to_bytes(levels).unique().tolist()[:: sized.config.levels - 1] == [0, 255]
    assert torch.equal(sized.logits(images), sized.logits(sized.to_bytes(sized.quantise(images))))


@pytest.mark.parametrize("name", [name for name in AUTOREGRESSIVE if hasattr(TINY[name], "threshold")])
def test_a_pixel_is_on_above_the_threshold_of_the_config(name):
    model = build(name, **({"levels": 2} if name in MASKED else {}))
    at = torch.full((1, *model.shape), model.config.threshold, dtype=torch.uint8)
    assert (model.quantise(at) == 0).all() and (model.quantise(at + 1) == 1).all()


def test_what_an_unknown_model_sees_is_not_guessed():
    unknown = SimpleNamespace(config=SimpleNamespace(model_type="wavelet", layers=1), shape=(1, 2, 2))
    with pytest.raises(LookupError, match="tests/fields.py does not know what a wavelet sees"):
        sees(unknown)


# 2. The probabilities of all images sum to 1.


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_probabilities_of_all_images_sum_to_one(sized, training, dtype):
    total = sized.to(dtype).train(training).log_prob(all_images(sized)).double().exp().sum().item()
    assert total == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("name", MASKED)
def test_of_256_levels_too_all_images_sum_to_one_and_logits_see_what_came_before(name):
    model = make(name, channels=1, levels=256, height=1, width=2).train()
    images = all_images(model)  # 65,536
    with torch.no_grad():
        log_p = model.logits(images).log_softmax(-1)  # in train() mode, which log_prob leaves
    log_p = log_p.gather(-1, model.quantise(images)[..., None]).sum((1, 2, 3, 4))
    assert log_p.exp().sum().item() == pytest.approx(1, abs=1e-5)
    assert torch.allclose(log_p, model.log_prob(images), rtol=0, atol=1e-9)
    model = make(name, channels=3, levels=256, height=2, width=2)

    def logits(levels):
        return in_order(model.logits(model.to_bytes(levels).contiguous()))

    levels = model.quantise(random_images(model, 30))
    assert torch.equal(dependence(model, logits, levels, (0, 100, 255)), sees(model))


def test_log_prob_is_the_sum_of_each_sub_pixels_log_softmax_and_of_the_loss(sized):
    images = random_images(sized, 5)
    logits, levels = in_order(sized.logits(images)).tolist(), in_order(sized.quantise(images)).tolist()
    by_hand = [
        sum(row[k] - math.log(sum(map(math.exp, row))) for row, k in zip(rows, ks, strict=True))
        for rows, ks in zip(logits, levels, strict=True)
    ]
    assert sized.log_prob(images).tolist() == pytest.approx(by_hand, rel=1e-9)
    assert sized(images)["loss"].item() == pytest.approx(-sum(by_hand) / images.numel(), rel=1e-9)


def test_a_uniform_model_gives_exactly_its_entropy(sized):
    for parameter in sized.parameters():
        parameter.data.zero_()
    nats = math.prod(sized.shape) * math.log(sized.config.levels)
    assert sized.log_prob(random_images(sized, 3)).tolist() == pytest.approx([-nats] * 3, rel=1e-12)


def test_activations_are_finite_at_first_and_for_the_most_extreme_images(autoregressive):
    images = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).repeat(1, *autoregressive.shape)
    assert autoregressive.log_prob(images).isfinite().all()
    assert autoregressive.logits(images).abs().max() < 10, "far from uniform before it has learned anything"


# 3. The cached sampler draws what full re-evaluation draws, and what the probabilities say.


@pytest.mark.parametrize("temperature", [0, Fraction(1, 2), 1, 2.0])
def test_cached_and_plain_sampling_draw_the_same(sized, temperature):
    images, known = random_images(sized, 4, seed=5), random_known(sized, 4, seed=6)
    for seed in range(4):
        drawn = []
        for way in (lambda: plain_sampling(sized), torch.no_grad):
            with way():
                noise = seeded(seed)
                arguments = {"temperature": temperature, "generator": noise}
                drawn.append((sized.sample(6, **arguments), sized.complete(images, known, 3, **arguments)))
                drawn[-1] += (sized.complete(images, known[:1], **arguments),)  # with runs known in all images
                drawn[-1] += (noise.get_state(),)
        for plain, cached in zip(*drawn, strict=True):
            assert torch.equal(plain, cached)


def test_streamed_logits_agree_with_the_parallel_ones_in_float32(sized):
    sized.float()
    near = 1e-4 if sized.config.model_type in MASKED else 1e-5  # enlivened ReLUs: hundreds that cancel to ones
    images = random_images(sized, 5)
    levels = sized.quantise(images)
    with torch.no_grad():
        parallel, fed = in_order(sized.logits(images)), in_order(levels)
        for start in range(fed.shape[1]):
            stream = sized._stream(torch.where(order(sized) < start, levels, 0), start, None)
            logits = [next(stream)] + [stream.send(fed[:, i : i + 1]) for i in range(start, fed.shape[1] - 1)]
            assert torch.allclose(torch.stack(logits, 1), parallel[:, start:], rtol=1e-5, atol=near)


def test_levels_sent_in_runs_lead_to_the_logits_that_they_lead_to_one_by_one(sized):
    images = random_images(sized, 3)
    fed, size = in_order(sized.quantise(images)), math.prod(sized.shape)
    parallel = in_order(sized.logits(images))
    for run in range(2, size):
        stream = sized._stream(sized.quantise(images), 0, None)
        with torch.no_grad():
            next(stream)
            for i in range(0, size - run, run):
                assert torch.allclose(stream.send(fed[:, i : i + run]), parallel[:, i + run], rtol=0, atol=1e-9)


@pytest.mark.parametrize("temperature", [0.7, 1, 1.6])
def test_frequencies_of_samples_fit_the_enumerated_probabilities(tiny, temperature):
    outcomes = all_images(tiny)
    p = left_to_right(tiny, outcomes, torch.ones(tiny.shape, dtype=torch.bool), temperature)
    if temperature == 1:
        assert torch.allclose(p.log(), tiny.log_prob(outcomes))
    assert_frequencies_fit(tiny.sample(20_000, temperature=temperature, generator=seeded(0)), outcomes, p)


@pytest.mark.parametrize("name", MASKED)
def test_frequencies_of_samples_of_a_trained_model_fit_its_probabilities_and_its_data(name):
    """Data: G is as R nineteen times of twenty, B is free, and the second pixel is the first or its opposite."""
    model = build(name, channels=3, levels=2, height=1, width=2, hidden=8, head=8)
    first = torch.randint(2, (600, 3, 1, 1), generator=seeded(0))
    first[60:, 1] = first[60:, 0]
    images = torch.cat([first, first.where(torch.rand(600, 1, 1, 1, generator=seeded(1)) < 0.8, 1 - first)], 3) * 255
    optimizer, losses = torch.optim.Adam(model.parameters(), lr=0.01), []
    for _ in range(300):
        loss = model(images.to(torch.uint8))["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    model.eval().double()
    outcomes = all_images(model)
    p = model.log_prob(outcomes).exp()
    of_data = torch.stack([(images == outcome).flatten(1).all(1).double().mean() for outcome in outcomes])
    entropy = -torch.special.xlogy(of_data, of_data).sum() / 6
    assert entropy - 1e-6 < losses[-1] < entropy + 0.02 < losses[0] - 0.2
    assert_frequencies_fit(model.sample(8_000, generator=seeded(0)), outcomes, p)


@pytest.mark.parametrize("name", MASKED)
def test_cached_and_plain_sampling_draw_the_same_of_all_256_levels_of_three_channels(name):
    model = make(name, channels=3, levels=256, height=4, width=5, hidden=9, head=16, layers=3)
    with plain_sampling(model):
        plain = model.sample(3, generator=seeded(0))
    assert torch.equal(model.sample(3, generator=seeded(0)), plain)
    assert len(plain.unique()) > 40


def test_frequencies_of_completions_fit_the_left_to_right_conditional(tiny):
    images, known = random_images(tiny, 3), torch.cat([without(tiny, *m) for m in ((1, -1), (-2, -1), (0, 2))])
    drawn = tiny.complete(images, known, 8_000, generator=seeded(0))
    for image, mask, draws in zip(images, known, drawn, strict=True):
        every = all_images(tiny)
        outcomes = torch.where(mask, image, every)
        outcomes = outcomes[((every == tiny.to_bytes(tiny.quantise(image))) | ~mask).flatten(1).all(1)]
        p = left_to_right(tiny, outcomes, ~mask.expand(tiny.shape), 1)
        assert_frequencies_fit(draws, outcomes, p)


def test_temperature_zero_takes_the_likeliest_level_at_each_step(sized):
    images = sized.sample(3, temperature=0)
    assert torch.equal(sized.quantise(images), sized.logits(images).argmax(-1))
    assert (images == images[0]).all()


def test_tiny_and_huge_temperatures_tend_to_greedy_and_uniform(tiny):
    greedy = tiny.sample(8, temperature=0)
    assert torch.equal(tiny.sample(8, temperature=1e-300, generator=seeded(0)), greedy)
    levels = tiny.quantise(tiny.sample(4_000, temperature=1e300, generator=seeded(0))).double()
    middle = (tiny.config.levels - 1) / 2
    assert levels.mean().item() == pytest.approx(middle, rel=0.05)


@pytest.mark.parametrize("temperature", [10**400, np.float32("inf"), np.float64("nan")])
def test_a_temperature_beyond_all_floats_is_refused(tiny, temperature):
    with pytest.raises(ValueError, match="give a number of at least 0"):
        tiny.sample(1, temperature=temperature)
    assert tiny.sample(1, temperature=np.float32(1)).dtype == torch.uint8


@pytest.mark.parametrize("temperature", [0, 1])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_outputs_that_are_not_finite_are_refused(bad, temperature):
    """A NaN is below nothing: without a look it would draw level 0, an image that goes black."""
    logits = torch.tensor([[0.0, 1.0, -math.inf], [bad] * 3])
    assert draw(logits[:1], temperature, torch.tensor([0.9])).tolist() == [1]  # one that is never drawn may be -inf
    with pytest.raises(ValueError, match="outputs are not finite"):
        draw(logits, temperature, torch.zeros(2))


def test_the_same_noise_draws_the_same_and_other_noise_other(tiny):
    draws = [tiny.sample(20, generator=seeded(seed)) for seed in (0, 0, 1)]
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])
    noise = seeded(0)
    assert not torch.equal(tiny.sample(20, generator=noise), tiny.sample(20, generator=noise))
    torch.manual_seed(7)
    unseeded = tiny.sample(20)
    torch.manual_seed(7)
    assert torch.equal(tiny.sample(20), unseeded)


def test_the_noise_that_is_used_up_depends_on_nothing_that_is_drawn(tiny):
    """So that with one seed the pictures at two temperatures, or of two checkpoints, are cousins."""
    images, known = random_images(tiny, 2), random_known(tiny, 2, seed=3)
    known &= without(tiny, 0, -1)  # the first and the last decide how much noise is drawn
    states = []
    for temperature, pictures in itertools.product((0, 0.5, 1, 3), (images, 255 - images)):
        noise = seeded(0)
        tiny.complete(pictures, known, 3, temperature=temperature, generator=noise)
        states.append(noise.get_state())
    noise = seeded(0)
    tiny.sample(6, generator=noise)
    assert all(torch.equal(state, noise.get_state()) for state in states)


# 4. Completion keeps what is known, and pays only for what is not.


def test_known_pixels_come_back_bit_for_bit_and_missing_ones_are_not_looked_at(sized):
    images, known = random_images(sized, 5, seed=2), random_known(sized, 5)
    given = (images.clone(), known.clone())
    first = sized.complete(images, known, 4, generator=seeded(1))
    assert first.shape == (5, 4, *sized.shape) and first.dtype == torch.uint8
    kept = known[:, None].expand_as(first)
    assert torch.equal(first[kept], images[:, None].expand_as(first)[kept])
    assert torch.equal(first[~kept], sized.to_bytes(sized.quantise(first))[~kept])
    scribbled = torch.where(known, images, random_images(sized, 5, seed=9))
    assert torch.equal(sized.complete(scribbled, known, 4, generator=seeded(1)), first)
    assert torch.equal(images, given[0]) and torch.equal(known, given[1])


def test_one_mask_serves_all_images(tiny):
    images, known = random_images(tiny, 4), random_known(tiny, 1, seed=4)
    one, each = (tiny.complete(images, mask, 2, generator=seeded(0)) for mask in (known, known.repeat(4, 1, 1, 1)))
    assert torch.equal(one, each)


def test_with_nothing_missing_the_images_come_back_as_copies(tiny):
    images = random_images(tiny, 3)
    out = tiny.complete(images, torch.ones(1, 1, *tiny.shape[1:], dtype=torch.bool), 2)
    assert torch.equal(out, images[:, None].expand_as(out))
    out.zero_()
    assert images.any()


def test_with_everything_missing_completion_is_sampling(sized):
    known = torch.zeros(2, 1, *sized.shape[1:], dtype=torch.bool)
    completed = sized.complete(random_images(sized, 2), known, 3, generator=seeded(0))
    assert torch.equal(completed.flatten(0, 1), sized.sample(6, generator=seeded(0)))


def test_logits_are_computed_only_for_sub_pixels_that_some_image_misses(tiny, monkeypatch):
    steps, stream = [], type(tiny)._stream

    def counted(self, levels, start, label):
        inner, sent = stream(self, levels, start, label), None
        while True:
            start += 0 if sent is None else sent.shape[1]
            steps.append(start)
            sent = yield inner.send(sent)

    monkeypatch.setattr(type(tiny), "_stream", counted)
    channels, pixels = tiny.shape[0], math.prod(tiny.shape[1:])
    for first, last in ((1, pixels - 1), (pixels - 1, pixels - 1), (0, 0), (2, 1)):  # of two images
        steps.clear()
        tiny.complete(random_images(tiny, 2), torch.cat([without(tiny, first), without(tiny, last)]), 2)
        assert steps == [pixel * channels + c for pixel in sorted({first, last}) for c in range(channels)]


@pytest.mark.parametrize("name", MASKED)
def test_the_walk_goes_from_the_first_missing_pixel_to_the_last(name, monkeypatch):
    model, places = make(name, channels=3, levels=2, height=3, width=3), []
    walk = model.walk

    def counted(*given):
        found = walk(*given)
        begin = found.begin_pixel
        found.begin_pixel = lambda x: places.append(x) or begin(x)
        return found

    monkeypatch.setattr(model, "walk", counted)
    for missing, gone in (((4,), [1]), ((4, 7), [1, 2, 0, 1]), ((8,), [2]), ((0,), [0])):
        places.clear()
        model.complete(random_images(model, 2), without(model, *missing))
        assert places == gone


@pytest.mark.parametrize("name", MASKED)
def test_the_head_is_left_out_where_no_pixel_is_missing(name):
    model, ran = make(name, channels=3, levels=2, height=2, width=3), []
    steps = model.head.steps

    def counted(read):
        head = steps(read)
        return lambda c: ran.append(c) or head(c)

    model.head.steps = counted
    model.complete(random_images(model, 2), without(model, 1, 4))
    assert ran == [0, 1, 2] * 2


def test_progress_shows_images_of_the_returned_shape_and_counts_up_to_the_total(sized):
    images, known = random_images(sized, 2), torch.zeros(1, 1, *sized.shape[1:], dtype=torch.bool)
    for call in (
        lambda report: sized.sample(3, progress=report),
        lambda report: sized.complete(images, known, 2, progress=report),
    ):
        seen = []
        out = call(lambda images, done, total, seen=seen: seen.append((images.clone(), done, total)))
        steps = math.prod(sized.shape)
        assert [done for _, done, _ in seen] == list(range(1, steps + 1))
        assert {total for *_, total in seen} == {steps}
        for so_far, done, _ in seen:
            assert so_far.shape == out.shape and so_far.dtype == torch.uint8 and so_far.is_contiguous()
            ready = [in_order(t.flatten(0, -4))[:, :done] for t in (so_far, out)]
            assert torch.equal(*ready)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_raising_in_progress_cancels_and_harms_nothing(tiny, error):
    wanted, calls = tiny.sample(3, generator=seeded(0)), []

    def cancel(images, done, total):
        calls.append(done)
        if done == 2:
            raise error("enough")

    tiny.train()
    with pytest.raises(error, match="enough"):
        tiny.sample(3, progress=cancel)
    assert calls == [1, 2] and tiny.training and torch.is_grad_enabled()
    assert torch.equal(tiny.sample(3, generator=seeded(0)), wanted)


# The most probable filling.


def test_the_most_probable_filling_is_that_of_brute_force(tiny):
    everything = all_images(tiny)
    for seed in range(6):
        image, known = random_images(tiny, 1, seed), random_known(tiny, 1, seed)
        fits = ((everything == tiny.to_bytes(tiny.quantise(image))) | ~known).flatten(1).all(1)
        scores = tiny.log_prob(everything[fits])
        filled, log_p, posterior = tiny.most_probable(image, known)
        best = everything[fits][scores.argmax()]
        assert torch.equal(filled[0], torch.where(known[0], image[0], best))
        assert log_p == pytest.approx(scores.max().item()) == pytest.approx(tiny.log_prob(filled).item())
        one_hot = torch.nn.functional.one_hot(tiny.quantise(everything[fits]), tiny.config.levels).double()
        wanted = (scores.softmax(0).view(-1, 1, 1, 1, 1) * one_hot).sum(0)
        assert posterior.shape == (*tiny.shape, tiny.config.levels)
        assert torch.allclose(posterior, wanted, atol=1e-12)
        assert (posterior[known[0].expand(tiny.shape)].amax(-1) == 1).all()


def test_the_posterior_uses_what_is_known_after_the_hole(tiny):
    images = random_images(tiny, 1).repeat(2, 1, 1, 1)
    images[0, :, -1, -1], images[1, :, -1, -1] = 0, 255
    posteriors = [tiny.most_probable(image[None], without(tiny, 1))[2][:, 0, 1] for image in images]
    assert not torch.allclose(*posteriors)


def test_of_equally_probable_fillings_the_darkest_is_taken(tiny):
    for parameter in tiny.parameters():
        parameter.data.zero_()
    known = torch.zeros(1, 1, *tiny.shape[1:], dtype=torch.bool)
    filled, log_p, posterior = tiny.most_probable(random_images(tiny, 1), known)
    assert not filled.any() and log_p == pytest.approx(-filled.numel() * math.log(tiny.config.levels))
    assert torch.allclose(posterior, torch.full_like(posterior, 1 / tiny.config.levels))


def test_a_hole_with_too_many_fillings_is_refused(tiny):
    image, known = random_images(tiny, 1), torch.zeros(1, 1, *tiny.shape[1:], dtype=torch.bool)
    size, levels = image.numel(), tiny.config.levels
    tiny.most_probable(image, known, limit=levels**size)
    with pytest.raises(
        ValueError, match=rf"{size} sub-pixels has {levels}\^{size} fillings: at most {levels**size - 1}"
    ):
        tiny.most_probable(image, known, limit=levels**size - 1)


def test_a_whole_image_is_its_own_most_probable_filling(tiny):
    image = random_images(tiny, 1)
    filled, log_p, posterior = tiny.most_probable(image, torch.ones(1, 1, *tiny.shape[1:], dtype=torch.bool))
    assert torch.equal(filled, image) and log_p == tiny.log_prob(image).item()
    assert torch.equal(posterior.argmax(-1), tiny.quantise(image)[0])


# What is refused.

BAD_N = {n: f"n is {n!r}: ask for at least one" for n in (0, -1, 1.5, None, "3")}
BAD_TEMPERATURE = {
    t: f"temperature is {t!r}: give a number" for t in (-1, -1e-9, math.nan, math.inf, -math.inf, "1", None)
}


class Elsewhere(torch.Generator):
    """As one on a GPU."""

    device = torch.device("cuda")


def refusals(model):
    """(what the message must say, the call that must be refused)."""
    images, known = random_images(model, 2), random_known(model, 2)
    height, width = model.shape[1:]
    for n, said in [*BAD_N.items(), (True, "n is True: ask")]:
        yield said, lambda n=n: model.sample(n)
        yield said, lambda n=n: model.complete(images, known, n)
    for t, said in [*BAD_TEMPERATURE.items(), (True, "temperature is True: give"), ([1], "temperature is [1]: give")]:
        yield said, lambda t=t: model.sample(1, temperature=t)
        yield said, lambda t=t: model.complete(images, known, temperature=t)
    for wrong in (
        None,
        known.tolist(),
        known.numpy(),
        known.float(),
        known.to(torch.uint8),
        known[0],
        known[:, 0],
        known.repeat(2, 1, 1, 1)[:3],
        known[:0],
        known.repeat(1, model.shape[0] + 1, 1, 1),
        known[..., 1:],
        known[..., :1, :],
    ):
        said = f"(2 or 1, 1, {height}, {width}), True = keep"
        yield said, lambda wrong=wrong: model.complete(images, wrong)
        yield said.replace("2 or ", ""), lambda wrong=wrong: model.most_probable(images[:1], wrong)
    for wrong, said in (
        (images.float(), "float32"),
        (images[:0], "empty"),
        (images[0], "give a uint8"),
        (None, "None"),
    ):
        yield said, lambda wrong=wrong: model.complete(wrong, known)
        yield said, lambda wrong=wrong: model.most_probable(wrong, known[:1])
    yield "2 images: give one", lambda: model.most_probable(images, known[:1])
    for dtype in (torch.float16, torch.bfloat16):
        said = f"the weights are {dtype}, too coarse for a likelihood: call model.float() first"
        yield said, lambda dtype=dtype: copy.deepcopy(model).to(dtype).log_prob(images)
    for noise in (3, "cpu", torch, Elsewhere()):
        yield f"generator is {noise!r}: give a torch.Generator", lambda noise=noise: model.sample(1, generator=noise)
    if type(model)._check_label is AutoregressiveImageModel._check_label:
        label = torch.zeros(2, dtype=torch.int64)
        said = "is unconditional: leave label out"
        yield said, lambda: model.log_prob(images, label)
        yield said, lambda: model.sample(2, label=label)
        yield said, lambda: model.complete(images, known, label=label)
        yield said, lambda: model.most_probable(images[:1], without(model, 0), label=label[:1])


def test_bad_input_is_refused_in_one_clear_sentence(autoregressive):
    for said, call in refusals(autoregressive):
        with pytest.raises(ValueError) as refused:
            call()
        message = str(refused.value)
        assert said in message and "\n" not in message and len(message) < 200, message
