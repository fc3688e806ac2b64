"""The cross-entropy that forms its own gradient is torch's."""

import pytest
import torch
from torch.nn import functional as F

from hub_models.layers import cross_entropy
from hub_models.layers.cross_entropy import CrossEntropy


@pytest.mark.parametrize("part", [1, 7 * 3, 2**18])
def test_the_loss_and_its_gradient_are_torchs(part, monkeypatch):
    """In parts of one row, of three and of all; gradients of a multiple of it, too."""
    monkeypatch.setattr(cross_entropy, "CHUNK", part)
    torch.manual_seed(0)
    logits, targets = 3 * torch.randn(11, 7, dtype=torch.float64), torch.randint(7, (11,))
    ways = []
    for loss in (CrossEntropy.apply, F.cross_entropy):
        given = logits.clone().requires_grad_()
        value = loss(given, targets)
        (2.5 * value).backward()
        ways.append((value.detach(), given.grad))
    for ours, theirs in zip(*ways, strict=True):
        assert torch.allclose(ours, theirs, rtol=0, atol=1e-12)


def test_its_backward_pass_is_the_derivative_of_its_forward_pass():
    logits = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: CrossEntropy.apply(x, torch.tensor([0, 3, 1, 1, 2])), logits)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_narrow_logits_are_summed_in_float32(dtype):
    logits, targets = torch.randn(50_000, 3).to(dtype).requires_grad_(), torch.randint(3, (50_000,))
    loss = CrossEntropy.apply(logits, targets)
    wide = logits.detach().float().requires_grad_()
    wanted = F.cross_entropy(wide, targets)
    wanted.backward()
    loss.backward()
    assert loss.dtype == torch.float32 and loss.item() == pytest.approx(wanted.item(), rel=1e-5)
    assert logits.grad.dtype == dtype and (logits.grad.float() - wide.grad).abs().max() < 1e-2 / 50_000


def test_logits_that_are_extreme_or_never_asked_for_a_gradient():
    logits = torch.tensor([[1e4, 0.0], [-1e4, 0.0]])
    assert CrossEntropy.apply(logits, torch.tensor([0, 0])).item() == pytest.approx(5e3)
    assert not CrossEntropy.apply(logits, torch.tensor([0, 0])).requires_grad
