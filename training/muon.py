"""Muon: kernels step along their momentum made orthogonal.

Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks". `Muon` does all else by AdamW, with the
scale of Liu et al. 2025, arXiv 2502.16982: a step has the root mean square that AdamW's has as a rule, so that one
learning rate serves both. `UnitMuon`, of the CIFAR-10 speed-runs, does all else by SGD; its kernels keep their length,
and a step is a share of it.
"""

from collections import defaultdict

import torch
from torch import nn

QUINTIC = 3.4445, -4.7750, 2.0315  # Jordan's: steep at 0, and all that is not small comes to 0.7 to 1.2
ROOT_MEAN_SQUARE = 0.2  # of AdamW's steps, in learning rates


def orthogonal(matrices: torch.Tensor, rounds: int = 5) -> torch.Tensor:
    """Nearly U V^T of matrices U S V^T (..., m, n), by a Newton-Schulz iteration: singular values near 1."""
    tall = matrices.shape[-2] > matrices.shape[-1]
    wide = matrices.mT if tall else matrices
    wide = wide / (wide.norm(dim=(-2, -1), keepdim=True) + 1e-7)  # no singular value is above 1
    a, b, c = QUINTIC
    for _ in range(rounds):
        square = wide @ wide.mT
        wide = a * wide + (b * square + c * square @ square) @ wide
    return wide.mT if tall else wide


class Muon(torch.optim.Optimizer):
    """Muon for convolutions between features, kernels as matrices (outputs, all that is read); AdamW for the rest.

    A kernel that makes gates has as many matrices (`gates` of its module): each gate steps by itself. What a kernel's
    mask hides is part of its matrix, and never acts.

    Args:
        model: all of its parameters are trained. Kernels that read pixels and those of its `head` are AdamW's.
        lr: learning rate of both.
        weight_decay: decoupled; biases have none.
        momentum: Muon's, Nesterov's way.
        betas, eps: AdamW's.
    """

    def __init__(
        self,
        model: nn.Module,
        lr: float,
        weight_decay: float = 0.0,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ):
        pixels = model.config.channels
        self.gates = {part.weight: part.gates for part in model.modules() if hasattr(part, "gates")}
        kinds = {"muon": [], "adamw": [], "bias": []}
        for name, p in model.named_parameters():
            between = p.ndim > 2 and p.shape[1] > pixels and not name.startswith("head.")
            kinds["muon" if between else "adamw" if p.ndim > 1 else "bias"].append(p)
        groups = [
            {"params": params, "muon": kind == "muon", "weight_decay": 0.0 if kind == "bias" else weight_decay}
            for kind, params in kinds.items()
        ]
        super().__init__(groups, {"lr": lr, "momentum": momentum, "betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """One step of all parameters that have a gradient."""
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if parameters:  # all at once: a GPU waits for small things
                changes = (self._muon if group["muon"] else self._adamw)(parameters, group)
                torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
                torch._foreach_add_(parameters, changes, alpha=-group["lr"])

    def _muon(self, parameters: list[nn.Parameter], group: dict) -> list[torch.Tensor]:
        alike = defaultdict(list)  # matrices of one shape, which become orthogonal together
        for parameter in parameters:
            grad, state = parameter.grad, self.state[parameter]
            if not state:
                state["momentum"] = torch.zeros_like(grad)
            momentum = state["momentum"].lerp_(grad, 1 - group["momentum"])
            ahead = grad.lerp(momentum, group["momentum"]).flatten(1).unflatten(0, (self.gates.get(parameter, 1), -1))
            alike[ahead.shape[1:]].append((parameter, ahead))
        changes = {}
        for shape, found in alike.items():
            scale = ROOT_MEAN_SQUARE * max(shape) ** 0.5
            steps = scale * orthogonal(torch.cat([matrices for _, matrices in found]))
            parts = steps.split([len(matrices) for _, matrices in found])
            changes |= {p: part.reshape(p.shape) for (p, _), part in zip(found, parts, strict=True)}
        return [changes[parameter] for parameter in parameters]

    def _adamw(self, parameters: list[nn.Parameter], group: dict) -> list[torch.Tensor]:
        grads, states = [p.grad for p in parameters], [self.state[p] for p in parameters]
        for grad, state in zip(grads, states, strict=True):
            if not state:
                state.update(step=torch.zeros(()), mean=torch.zeros_like(grad), square=torch.zeros_like(grad))
        means, squares = [state["mean"] for state in states], [state["square"] for state in states]
        (beta, beta2), steps = group["betas"], [state["step"].add_(1).item() for state in states]
        torch._foreach_lerp_(means, grads, 1 - beta)
        torch._foreach_lerp_(squares, torch._foreach_mul(grads, grads), 1 - beta2)
        roots = torch._foreach_sqrt(torch._foreach_div(squares, [1 - beta2**step for step in steps]))
        torch._foreach_add_(roots, group["eps"])
        return torch._foreach_div(torch._foreach_div(means, [1 - beta**step for step in steps]), roots)


class UnitMuon(torch.optim.SGD):
    """SGD whose groups with `muon` turn instead: K. Jordan 2024, airbench94_muon (cifar10-airbench on GitHub).

    Before each step a kernel (m, ...), a matrix of m rows, gets the length sqrt(m), for the batch norm behind it takes
    its scale away; the step's singular values are near `lr`, and so it is at most about the share `lr` of that length.

    Args:
        groups: SGD's; those with `muon` hold kernels, by Nesterov's momentum.
        bf16: make steps orthogonal in bf16 to the end of training, exact enough, and fast where a machine has it.
    """

    def __init__(self, groups: list[dict], bf16: bool = False):
        self.dtype = torch.bfloat16 if bf16 else torch.float32
        super().__init__(groups)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """One step of all parameters that have a gradient; kernels have none afterwards."""
        for group in self.param_groups:
            kernels = [p for p in group["params"] if p.grad is not None] if group.get("muon") else []
            for kernel in kernels:
                state, grad = self.state[kernel], kernel.grad
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(grad)
                momentum = state["momentum_buffer"].mul_(group["momentum"]).add_(grad)
                ahead = grad.add(momentum, alpha=group["momentum"]).flatten(1).to(self.dtype)
                kernel.mul_(len(kernel) ** 0.5 / kernel.norm())
                kernel.sub_(orthogonal(ahead).view_as(kernel), alpha=group["lr"])
                kernel.grad = None  # so that SGD passes it by
        super().step()
