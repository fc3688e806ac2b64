"""What every model promises, whatever it models."""

import copy
import dataclasses
import functools
import importlib
import json
import math
import pkgutil
import threading
from pathlib import Path

import pytest
import torch
from asking import random_images
from conftest import (
    AUTOREGRESSIVE,
    FAMILIES,
    FAMILY_OF,
    TEXT_MODELS,
    TINY,
    build,
    enliven,
    from_config,
    questions,
    random_batch,
    types_of,
)
from families import family_of
from torch import nn

import hub_models
from hub_models import MODELS, Classifier, HubModel, ImageModel, PixelClassifier, TextModel, load
from training.machine import has_bf16

CLASSIFIERS, READERS = types_of(Classifier), types_of(PixelClassifier)


def same(answer, other) -> bool:
    """Equal to the last bit; of images all answers are tensors."""
    return torch.equal(answer, other) if isinstance(answer, torch.Tensor) else answer == other


def test_loss_comes_first_and_is_finite(model):
    out = model(**random_batch(model))
    assert list(out)[:2] == ["loss", "logits"]
    assert out["loss"].shape == () and 0 < out["loss"].item() < 20
    assert out["logits"].isfinite().all()


def test_every_parameter_gets_a_gradient(model):
    model(**random_batch(model, 8))["loss"].backward()
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


def test_nothing_that_goes_in_is_changed(model):
    batch = random_batch(model)
    before = copy.deepcopy(batch)
    model(**batch)
    assert all(torch.equal(batch[key], before[key]) for key in batch)
    for ask in questions(model).values():
        held = ask.args if isinstance(ask, functools.partial) else [v.cell_contents for v in ask.__closure__]
        cells = {value for value in held if isinstance(value, torch.Tensor)}
        copies = [(tensor, tensor.clone()) for tensor in cells]
        ask()
        assert all(torch.equal(tensor, saved) for tensor, saved in copies)


def test_no_answer_changes_the_model(model):
    """Neither its weights, nor its running statistics, nor the mode of any of its parts."""
    model.train()
    frozen = next(m for m in model.modules() if m is not model)
    frozen.eval()
    state, modes = copy.deepcopy(model.state_dict()), [m.training for m in model.modules()]
    for name, ask in questions(model).items():
        ask()
        assert [m.training for m in model.modules()] == modes, name
        assert all(torch.equal(model.state_dict()[key], state[key]) for key in state), name
        assert all(p.grad is None for p in model.parameters()), name


def test_a_model_in_train_mode_answers_as_in_eval_mode(model):
    """Each part is in eval() mode while it answers, so that dropout or batch norm of later models cannot creep in."""
    answers = {name: ask() for name, ask in questions(model.eval()).items()}
    model.train()
    seen = []
    for module in model.modules():
        module.register_forward_pre_hook(lambda module, _: seen.append(module.training))
    for name, ask in questions(model).items():
        assert same(ask(), answers[name]), name
    assert seen and not any(seen)


def test_of_two_threads_that_ask_the_first_to_leave_does_not_end_the_others_mode(model):
    model.train()
    inside, outside, seen = threading.Event(), threading.Event(), []

    def ask() -> None:
        with model.evaluating():
            inside.set()
            outside.wait()
            seen.extend(m.training for m in model.modules())

    other = threading.Thread(target=ask)
    with model.evaluating():
        other.start()
        inside.wait()
    outside.set()
    other.join()
    assert seen and not any(seen) and all(m.training for m in model.modules())


def test_answers_under_an_outer_autocast_are_those_of_full_precision(model):
    model.eval()
    for name, ask in questions(model).items():
        alone = ask()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert same(ask(), alone), name


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_weights_of_another_width_work_and_probabilities_are_never_narrower_than_float32(model, dtype):
    model.eval()
    wanted = {name: ask() for name, ask in questions(model).items()}
    wanted = {name: a for name, a in wanted.items() if isinstance(a, torch.Tensor) and a.is_floating_point()}
    assert wanted
    model.to(dtype)
    assert model(**random_batch(model))["loss"].dtype == max(dtype, torch.float32, key=lambda d: d.itemsize)
    likelihoods = ("log_prob", "token_log_prob", "pieces", "scores", "most_probable")  # narrower, they are refused
    for name, ask in questions(model).items():
        if dtype == torch.bfloat16 and name in likelihoods:
            with pytest.raises(ValueError, match="the weights are torch.bfloat16, too coarse for a likelihood"):
                ask()
            continue
        answer = ask()
        if name in wanted:
            assert answer.dtype == (torch.float64 if dtype == torch.float64 else torch.float32), name
            tolerance = 1e-5 if dtype == torch.float64 else 0.03
            assert torch.allclose(answer.float(), wanted[name], rtol=tolerance, atol=tolerance), name


def test_bfloat16_training_gives_nearly_the_gradients_of_float32(model):
    if getattr(model.config, "cell", None) == "lstm" and not has_bf16():
        pytest.skip("torch has no LSTM in bf16 for a CPU without it, where training does not use it either")
    gradients = []
    for enabled in (False, True):
        model.zero_grad()
        torch.manual_seed(0)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            loss = model(**random_batch(model, 64))["loss"]
        assert loss.dtype == torch.float32
        loss.backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.requires_grad]))
    assert torch.cosine_similarity(*gradients, dim=0) > 0.98


def test_loss_falls_far_when_one_batch_is_learned_by_heart(model):
    batch = random_batch(model, 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    losses = []
    for _ in range(150):
        torch.manual_seed(0)
        loss = model(**batch)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("loader", ["load", "from_pretrained"])
def test_a_saved_model_comes_back_exactly(model, loader, tmp_path):
    model(**random_batch(model))  # running statistics leave their start
    model.save_pretrained(tmp_path)
    files = {"config.json", "model.safetensors"} | ({"tokenizer.json"} if isinstance(model, TextModel) else set())
    assert {path.name for path in tmp_path.iterdir()} == files
    again = load(tmp_path) if loader == "load" else type(model).from_pretrained(str(tmp_path))
    assert type(again) is type(model) and again.config == model.config and not again.training
    state = model.state_dict()
    assert list(again.state_dict()) == list(state)
    for key, value in again.state_dict().items():
        assert value.dtype == state[key].dtype and torch.equal(value, state[key]), key
    answers = questions(model.eval())
    for name, ask in questions(again).items():
        assert same(ask(), answers[name]()), name


def test_a_model_in_float64_comes_back_in_float64(model, tmp_path):
    model.double()
    for parameter in model.parameters():
        parameter.data += 1e-12
    model.save_pretrained(tmp_path)
    again = load(tmp_path)
    for key, value in model.state_dict().items():
        assert value.dtype == again.state_dict()[key].dtype and torch.equal(value, again.state_dict()[key]), key
    assert again(**random_batch(again))["loss"].dtype == torch.float64


def test_saving_pushes_nothing_and_says_so(model, tmp_path):
    with pytest.raises(ValueError, match=r"takes no push_to_hub, repo_id: to push, call push_to_hub\(repo_id\)"):
        model.save_pretrained(tmp_path, push_to_hub=True, repo_id="me/x")
    assert not any(tmp_path.iterdir())


def test_saving_twice_writes_the_same_bytes(model, tmp_path):
    for part in "ab":
        model.save_pretrained(tmp_path / part)
    written = [{path.name: path.read_bytes() for path in (tmp_path / part).iterdir()} for part in "ab"]
    assert written[0] == written[1] and written[0].keys() >= {"config.json", "model.safetensors"}


def test_every_field_of_a_config_survives_json(model, tmp_path):
    defaults = type(model.config)()
    for field in dataclasses.fields(model.config):
        same = getattr(defaults, field.name) == getattr(model.config, field.name)
        unconditional = field.name in ("classes", "names") and not model.config.classes
        kept = field.name == "model_type" or unconditional
        assert same == kept, f"TINY's {field.name} is the default: a loss would go unseen"
    model.save_pretrained(tmp_path)
    stored = json.loads((tmp_path / "config.json").read_text())
    assert stored == json.loads(json.dumps(dataclasses.asdict(model.config)))
    assert type(model.config)(**stored) == model.config


WRONG = {  # by the type of a field: values that no field of it may take
    "int": (-1, 1.5, 2.0, "64", None, True, float("nan"), [3], 10**12),
    "float": ("0.5", None, True, float("nan"), float("inf"), [0.5], -1e12, 1e12),
    "bool": (2, "yes", None, [True]),
    "str": ("nonsense", "", None, 3, ["gru"]),
    "tuple": ("abc", 5, None, [], [None], {"a": 1}, [float("nan")] * 3, ["x", "x", 1], [True] * 3, [-1e12] * 2),
}
BAD = [
    (model_type, field.name, value)
    for model_type, config in TINY.items()
    for field in dataclasses.fields(config)
    for value in WRONG[field.type.__name__]
    if value != [] or field.default != ()  # there it is no wrong one
]


@pytest.mark.parametrize(("model_type", "field", "value"), BAD, ids=str)
def test_bad_config_values_are_refused_and_named(model_type, field, value):
    with pytest.raises(ValueError) as refused:
        dataclasses.replace(TINY[model_type], **{field: value})
    message = str(refused.value)
    assert repr(value) in message and field in message and "\n" not in message


@pytest.mark.parametrize("field", ["mean", "std", "widths"])
def test_numbers_that_no_float_holds_are_refused_in_a_config(field):
    with pytest.raises(ValueError, match=r"0: give "):
        dataclasses.replace(TINY["fast_cnn"], **{field: [10**400] * 3})


def test_a_config_of_another_model_is_refused(model):
    others = [config for name, config in TINY.items() if name != model.config.model_type]
    for wrong in (*others, dataclasses.asdict(model.config), None):
        with pytest.raises(
            ValueError, match=f"config is a {type(wrong).__name__}: give a {type(model.config).__name__}"
        ):
            type(model)(wrong)


def test_a_class_without_its_card_facts_is_refused_when_it_is_defined():
    with pytest.raises(TypeError, match="Bare lacks config_class, title, about, limits, citation, usage"):

        class Bare(HubModel):
            pass


def test_the_registry_holds_every_model_of_the_package():
    def concrete(cls):
        for child in cls.__subclasses__():
            yield from concrete(child)
            if child.__module__.startswith("hub_models.") and "abstract" not in child.__dict__:
                yield child

    for file in pkgutil.iter_modules(hub_models.__path__):  # also a model's that nothing imports yet
        if not file.ispkg:
            importlib.import_module(f"hub_models.{file.name}")
    missing = {f"{model.__module__}.{model.__name__}" for model in {*concrete(HubModel)} - {*MODELS.values()}}
    assert not missing, f"add {missing} to MODELS in hub_models/registry.py"
    assert set(concrete(HubModel)) == set(MODELS.values())
    for model_type, model in MODELS.items():
        assert model.config_class.model_type == model_type == model.config_class().model_type
        assert {model.__name__, model.config_class.__name__} <= set(hub_models.__all__)


def test_the_usage_on_the_card_runs_on_a_model_of_default_size(model):
    model = from_config(type(model.config)()).eval()
    exec(model.usage, {"torch": torch, "model": model})


# Classifiers.


@pytest.fixture(params=CLASSIFIERS)
def classifier(request):
    return enliven(build(request.param))


@pytest.fixture(params=READERS)
def reader(request):
    return enliven(build(request.param))


def test_predictions_are_probabilities(classifier):
    predicted = classifier.predict(random_images(classifier, 5))
    assert predicted.shape == (5, classifier.config.classes) and predicted.min() >= 0
    assert torch.allclose(predicted.sum(-1), torch.ones(5, dtype=predicted.dtype))


def test_the_last_of_the_prefixes_is_the_prediction(reader):
    images = random_images(reader, 5)
    predicted, prefixes = reader.predict(images), reader.predict_prefixes(images)
    steps = images[0].numel()
    assert prefixes.shape == (5, steps, reader.config.classes)
    assert torch.allclose(prefixes.sum(-1), torch.ones(5, steps, dtype=prefixes.dtype))
    assert torch.allclose(prefixes[:, -1], predicted, rtol=0, atol=1e-12)


def test_a_prefix_is_judged_by_the_pixels_read_so_far_and_by_each_of_them(reader):
    images = (random_images(reader, 3) > 127).to(torch.uint8) * 255
    before = reader.predict_prefixes(images)
    for i in range(images[0].numel()):
        changed = images.clone()
        changed.flatten(1)[:, i] ^= 255
        after = reader.predict_prefixes(changed)
        assert torch.equal(before[:, :i], after[:, :i])
        assert (before[:, i:] != after[:, i:]).flatten(2).any(-1).all()


def test_a_prediction_does_not_depend_on_its_batch(classifier):
    classifier.train()
    images = random_images(classifier, 6)
    together = classifier.predict(images)
    alone = torch.cat([classifier.predict(image[None]) for image in images])
    assert torch.allclose(together, alone, rtol=0, atol=1e-12)


def test_readers_see_only_whether_a_pixel_is_above_the_threshold(reader):
    images = random_images(reader, 4)
    binary = (images > reader.config.threshold).to(torch.uint8) * 255
    assert torch.equal(reader.predict(images), reader.predict(binary))
    assert not torch.equal(reader.predict(images), reader.predict((images > 127).to(torch.uint8) * 255))


def test_training_loss_of_a_reader_scores_whole_image_and_prefixes_half_and_half(reader):
    """By hand from `predict_prefixes`, on which the head's batch norm is set to do in training what it does then."""
    batch = random_batch(reader)
    by_hand = -reader.predict_prefixes(batch["images"]).log()[torch.arange(4), :, batch["labels"]]  # (B, T)
    whole = reader.eval()(**batch)["loss"]
    assert torch.allclose(whole, by_hand[:, -1].mean())
    reader.train()
    for module in reader.modules():
        module.training &= not isinstance(module, nn.modules.batchnorm._BatchNorm)
    torch.manual_seed(3)
    loss = reader(**batch)["loss"]
    torch.manual_seed(3)
    ends = torch.randint(by_hand.shape[1], (reader.config.prefixes, 4))
    assert torch.allclose(loss, by_hand[:, -1].mean() / 2 + by_hand[torch.arange(4), ends].mean() / 2)


@pytest.mark.parametrize("name", types_of(ImageModel))
def test_every_image_question_refuses_what_is_no_batch_of_images(name):
    model = build(name)
    good = random_images(model, 2)
    channels, height, width = model.shape
    wrong = {
        "float32": good.float(),
        "float64": torch.full(good.shape, float("nan"), dtype=torch.float64),
        "int64": good.long(),
        "bool": good.bool(),
        "list": good.tolist(),
        "ndarray": good.numpy(),
        "NoneType": None,
        str(tuple(good[0].shape)).replace("(", r"\(").replace(")", r"\)"): good[0],
        f"2, {channels}, {width}": good.transpose(2, 3),
        f"2, {channels + 1}": good.repeat(1, 2, 1, 1)[:, : channels + 1],
        f"2, {channels}, {height}, {width - 1}": good[..., 1:],
        "empty": good[:0],
    }
    names = ("forward", "logits", "log_prob", "predict", "predict_prefixes", "grad_cam")
    for said, images in wrong.items():
        for call in (getattr(model, name) for name in names if hasattr(model, name)):
            with pytest.raises(ValueError, match=said) as refused:
                call(images)
            assert "give" in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("name", TEXT_MODELS)
def test_every_text_question_refuses_what_is_no_text(name):
    model = build(name)
    calls = (model.encode, model.log_prob, model.token_log_prob, lambda text: list(model.scores(text)))
    for wrong in (None, b"To be", 5, ["To be"], torch.zeros(3, dtype=torch.int64)):
        for call in (*calls, model.next_tokens, model.generate):
            with pytest.raises(ValueError, match=f"text is a {type(wrong).__name__}: give a string"):
                call(wrong)
    good = random_batch(model)["tokens"]
    bad = {"float32": good.float(), "int32": good.int(), "bool": good > 1, "list": good.tolist(), "NoneType": None}
    bad |= {r"\(9,\)": good[0].repeat(2)[:9], r"\(4, 8, 1\)": good[..., None], r"\(0, 8\)": good[:0]}
    bad |= {r"\(4, 1\)": good[:, :1], r"\(4, 0\)": good[:, :0], "float64": good.double()}
    for said, tokens in bad.items():
        with pytest.raises(ValueError, match=said) as refused:
            model(tokens)
        assert "give an int64 tensor" in str(refused.value) and "\n" not in str(refused.value)


def test_no_model_file_postpones_annotations():
    """With `from __future__ import annotations` the Hub mixin hands a plain dict to a model that it loads."""
    files = list(Path(hub_models.__file__).parent.rglob("*.py"))
    assert files
    for path in files:
        assert "import annotations" not in path.read_text(), path.name


def test_every_model_is_asked_something(model):
    assert questions(model)


def test_a_model_that_no_family_of_the_tests_covers_is_named():
    assert family_of(FAMILIES, MODELS) == FAMILY_OF
    with pytest.raises(pytest.UsageError, match="no file in tests/families has a config of fourier, wavelet$"):
        family_of(FAMILIES, [*MODELS, "wavelet", "fourier"])
    with pytest.raises(pytest.UsageError, match="hub_models.MODELS lacks cnn$"):
        family_of(FAMILIES, MODELS.keys() - {"cnn"})
    with pytest.raises(pytest.UsageError, match="more than one config of char_lstm, word_lstm$"):
        family_of([*FAMILIES, FAMILY_OF["char_lstm"]], MODELS)


@pytest.mark.parametrize("start", ["none", "tf32"])
def test_tf32_is_off_in_likelihoods_and_then_as_it_was(start, monkeypatch):
    """Settings that a CPU has, too; `test_gpu` shows what they do."""
    backends = torch.backends
    mkldnn = backends.mkldnn.matmul, backends.mkldnn.conv, backends.mkldnn.rnn
    places = backends, backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn, *mkldnn
    told = lambda: [place.fp32_precision for place in places]  # noqa: E731
    model = build("pixel_cnn")
    monkeypatch.setattr(torch.backends, "fp32_precision", start)
    before = told()
    with model.exact(), model.exact():
        assert told() == ["ieee"] * len(places)
    assert told() == before and "tf32" in before
    torch.backends.fp32_precision = "ieee"  # nothing has been pinned: all still follow it
    assert told() == ["ieee"] * len(places)


def test_bf16_that_a_cpus_products_were_allowed_is_forbidden_in_likelihoods():
    matmul, model = torch.backends.mkldnn.matmul, build("pixel_cnn")
    before, matmul.fp32_precision = matmul.fp32_precision, "bf16"  # as `set_float32_matmul_precision("medium")` does
    try:
        with model.exact():
            assert matmul.fp32_precision == "ieee"
        assert matmul.fp32_precision == "bf16"
    finally:
        matmul.fp32_precision = before


@pytest.mark.parametrize("name", AUTOREGRESSIVE)
def test_broken_weights_and_absurd_numbers_are_told(name):
    model = build(name)
    images, known = random_images(model, 1), torch.ones(1, 1, *model.shape[1:], dtype=torch.bool)
    with pytest.raises(ValueError, match="ask for at least one image, and at most 1,000,000"):
        model.sample(10**30)
    with pytest.raises(ValueError, match="limit is 'x': give a whole number"):
        model.most_probable(images, known, limit="x")
    with pytest.raises(ValueError, match="is unconditional: leave label out"):
        model.logits(images, torch.tensor([1]))
    for parameter in model.parameters():
        torch.nn.init.constant_(parameter, math.nan)
    for ask in model.log_prob, lambda images: model.most_probable(images, known):
        with pytest.raises(ValueError, match="the model's outputs are not finite"):
            ask(images)
