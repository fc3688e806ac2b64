"""Muon: kernels step along their momentum made orthogonal, all else by AdamW, in one optimiser.

Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks", with the scale of Liu et al. 2025, arXiv
2502.16982: a step has the root mean square that AdamW's has as a rule, so that one learning rate serves both.
"""

import torch
from torch import nn

QUINTIC = 3.4445, -4.7750, 2.0315  # Jordan's: steep at 0, and all that is not small comes to 0.7 to 1.2
ROOT_MEAN_SQUARE = 0.2  # of AdamW's steps, in learning rates


def orthogonal(matrix: torch.Tensor, rounds: int = 5) -> torch.Tensor:
    """Nearly U V^T of a float32 matrix U S V^T, by a Newton-Schulz iteration that leaves singular values near 1."""
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    wide = wide / (wide.norm() + 1e-7)  # no singular value is above 1
    a, b, c = QUINTIC
    for _ in range(rounds):
        square = wide @ wide.T
        wide = a * wide + (b * square + c * square @ square) @ wide
    return wide.T if matrix.shape[0] > matrix.shape[1] else wide


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
            update = self._muon if group["muon"] else self._adamw
            for parameter in group["params"]:
                if parameter.grad is not None:
                    change = update(parameter, group)
                    parameter.mul_(1 - group["lr"] * group["weight_decay"]).sub_(change, alpha=group["lr"])

    def _muon(self, parameter: torch.Tensor, group: dict) -> torch.Tensor:
        grad, state = parameter.grad, self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(grad)
        momentum = state["momentum"].lerp_(grad, 1 - group["momentum"])
        matrices = grad.lerp(momentum, group["momentum"]).flatten(1).chunk(self.gates.get(parameter, 1))
        scale = ROOT_MEAN_SQUARE * max(matrices[0].shape) ** 0.5
        return scale * torch.cat([orthogonal(matrix) for matrix in matrices]).view_as(grad)

    def _adamw(self, parameter: torch.Tensor, group: dict) -> torch.Tensor:
        grad, state = parameter.grad, self.state[parameter]
        if not state:
            state.update(step=torch.zeros(()), mean=torch.zeros_like(grad), square=torch.zeros_like(grad))
        (beta, beta2), steps = group["betas"], state["step"].add_(1).item()
        mean = state["mean"].lerp_(grad, 1 - beta) / (1 - beta**steps)
        square = state["square"].lerp_(grad * grad, 1 - beta2) / (1 - beta2**steps)
        return mean / square.sqrt_().add_(group["eps"])
