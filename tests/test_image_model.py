"""What the bases of image models promise of a generator that is not autoregressive."""

from dataclasses import dataclass

import pytest
import torch
from asking import random_images
from conftest import build

from hub_models import Classifier, FastCNN, ImageGenerator, ImageModel
from hub_models.causal_conv import CausalConvModel
from hub_models.config import ImageShape, ModelConfig
from hub_models.sampling import uniform


@dataclass
class ToyConfig(ImageShape, ModelConfig):
    model_type: str = "toy_decoder"
    channels: int = 3
    height: int = 2
    width: int = 4
    classes: int = 0


class Decoder(ImageGenerator):
    """A decoder of noise: it draws images and has no likelihood of them."""

    config_class = ToyConfig
    title = about = limits = citation = usage = "-"

    def __init__(self, config: ToyConfig):
        super().__init__(config)
        self.decode = torch.nn.Sequential(torch.nn.Linear(1, 24), torch.nn.Dropout(0.5), torch.nn.Sigmoid())

    def _sample(self, n, label, temperature, generator, progress):
        code = temperature * uniform(n, generator)[:, None].float()
        if label is not None:
            code = code + label[:, None]
        images = (255 * self.decode(code)).to(torch.uint8).view(n, *self.shape)
        if progress is not None:
            progress(images, 1, 1)
        return images


def decoder(**changes) -> Decoder:
    torch.manual_seed(0)
    return Decoder(ToyConfig(**changes))


def test_a_generator_need_not_be_autoregressive():
    model, noise, seen = decoder().train(), torch.Generator(), []
    images = model.sample(5, generator=noise.manual_seed(0), progress=lambda *report: seen.append(report))
    assert images.shape == (5, 3, 2, 4) and images.dtype == torch.uint8 and len(images.unique(dim=0)) == 5
    assert torch.equal(seen[0][0], images) and seen[0][1:] == (1, 1)
    assert not any(hasattr(model, name) for name in ("log_prob", "complete", "most_probable", "predict"))


def test_a_generator_samples_in_full_precision_and_eval_mode_without_gradients():
    model, noise = decoder().train(), torch.Generator()
    alone = model.eval().sample(5, generator=noise.manual_seed(0))
    model.train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(model.sample(5, generator=noise.manual_seed(0)), alone)
    assert model.training and model.decode.training
    model.decode[2].register_forward_hook(lambda module, inputs, out: seen.append(out.requires_grad))
    seen = []
    model.sample(1)
    assert seen == [False]


@pytest.mark.parametrize(
    "n, options, told",
    [
        (0, {}, "n is 0: ask for at least one image"),
        (2.5, {}, "n is 2.5: ask for at least one image"),
        (2, {"temperature": -1}, "temperature is -1: give a number of at least 0"),
        (2, {"temperature": True}, "temperature is True: give a number of at least 0"),
        (2, {"generator": 3}, "generator is 3: give a torch.Generator on the CPU"),
        (2, {"label": torch.tensor([0, 1])}, "Decoder is unconditional: leave label out"),
    ],
    ids=str,
)
def test_what_no_generator_can_sample_from_is_refused(n, options, told):
    with pytest.raises(ValueError, match=told) as refused:
        decoder().sample(n, **options)
    assert "\n" not in str(refused.value)


def test_a_conditional_generator_takes_labels_of_its_classes_only():
    model, noise = decoder(classes=3), torch.Generator()
    drawn = [model.sample(2, label=torch.tensor([0, k]), generator=noise.manual_seed(0)) for k in range(3)]
    assert all(torch.equal(images[0], drawn[0][0]) for images in drawn)
    assert not torch.equal(drawn[1][1], drawn[2][1])
    for label, told in ((None, "label is None"), (torch.tensor([0, 3]), "label holds 3"), ([0, 1], "label is ")):
        with pytest.raises(ValueError, match=rf"{told}.*give an int64 tensor \(2,\) of classes 0 to 2"):
            model.sample(2, label=label)


@pytest.mark.parametrize("size", [{"channels": 5}, {"height": 0}, {"width": 4097}, {"height": 2.0}], ids=str)
def test_an_image_size_that_no_image_has_is_refused(size):
    ((name, value),) = size.items()
    with pytest.raises(ValueError, match=f"{name} is {value}: give a whole number from 1 to 4"):
        ToyConfig(**size)


def test_classes_have_names_or_numbers():
    assert decoder().classes == 0 and decoder().class_names == ()
    assert decoder(classes=2).class_names == ("0", "1")
    assert build("cnn").class_names == ("a", "b", "c") and build("pixel_classifier").class_names == tuple("01234")
    assert build("gated_pixel_cnn", classes=2, names=("on", "off")).class_names == ("on", "off")


def test_what_a_model_brings_to_its_training_is_declared(model):
    """Only what says so has its own parameter groups, takes something from its data, or suits Muon."""
    assert model.muon == isinstance(model, (CausalConvModel, FastCNN))
    groups = model.parameter_groups(0.1, 0.01)
    assert (groups is not None) == isinstance(model, FastCNN)
    if isinstance(model, ImageModel) and not isinstance(model, FastCNN):
        before = {key: value.clone() for key, value in model.state_dict().items()}
        assert model.prepare(random_images(model, 4)) is None
        assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_an_abstract_base_says_what_its_models_answer(model):
    assert isinstance(model, Classifier) == hasattr(model, "predict")
    assert isinstance(model, ImageGenerator) == hasattr(model, "sample")
    assert isinstance(model, ImageModel) == hasattr(model, "shape") == hasattr(model, "classes")
