"""The shipped checkpoints answer as they did when `answers.py` stored their answers."""

import json

import answers
import pytest
import torch

from hub_models import load, shipped

STORED = json.loads(answers.STORED.read_text(encoding="utf-8"))


def test_every_shipped_checkpoint_has_stored_answers():
    assert set(STORED) == set(shipped()), "run python tests/answers.py --write"


@pytest.mark.parametrize("name", STORED)
def test_a_shipped_checkpoint_answers_as_before(name):
    """On any machine: those without AVX differ by 1e-5."""
    found = {key: answer for key, answer in answers.answers(load(name)).items() if answer.is_floating_point()}
    assert set(found) == set(STORED[name])
    for key, answer in found.items():
        now, before = torch.tensor(answers.sample(answer)), torch.tensor(STORED[name][key])
        assert torch.allclose(now, before, rtol=1e-4, atol=1e-5), key
