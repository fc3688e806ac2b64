"""Recurrent nets with an initialisation that can remember, and stacks of them with every kind of dropout."""

from itertools import pairwise

import torch
from torch import nn

CELLS = {"lstm": nn.LSTM, "gru": nn.GRU}
State = list[tuple[torch.Tensor, ...]]  # of each layer: h of a GRU, h and c of an LSTM, each (1, B, width)


def recurrent(cell: str, inputs: int, hidden: int, layers: int, timescale: int = 0) -> nn.RNNBase:
    """An LSTM or GRU over (T, B, inputs), PyTorch's own, which is cuDNN on a GPU and oneDNN or ATen on a CPU.

    Args:
        timescale: 0 keeps PyTorch's initialisation, U(-1/sqrt(hidden), 1/sqrt(hidden)), which forgets within a few
            steps. T > 1 makes the recurrent matrices orthogonal and biases the gates so that the units' memories
            last from 1 to T steps, spread evenly in the logarithm ("chrono" initialisation of Tallec and Ollivier,
            arXiv 1804.11188, there uniform in the steps).
    """
    net = CELLS[cell](inputs, hidden, layers)
    if not timescale:
        return net
    with torch.no_grad():
        for layer in range(layers):
            for block in getattr(net, f"weight_hh_l{layer}").chunk(4 if cell == "lstm" else 3):
                nn.init.orthogonal_(block)
            bias = getattr(net, f"bias_ih_l{layer}").zero_()
            getattr(net, f"bias_hh_l{layer}").zero_()
            steps = torch.exp(torch.rand(hidden) * torch.tensor(float(timescale)).log())
            if cell == "gru":  # gates r, z, n: z keeps the state
                bias[hidden : 2 * hidden] = steps.log()
            else:  # gates i, f, g, o: f keeps the state, i = 1 - f at the start
                bias[hidden : 2 * hidden] = steps.log()
                bias[:hidden] = -steps.log()
    return net


def dropped(x: torch.Tensor, p: float, variational: bool, training: bool) -> torch.Tensor:
    """Dropout of (T, B, width), in training alone; `variational`: with one mask for all T (arXiv 1512.05287)."""
    if not (p and training):
        return x
    return x * nn.functional.dropout(torch.ones_like(x[:1] if variational else x), p)


class RecurrentStack(nn.Module):
    """LSTM or GRU layers of any widths, PyTorch's own, whose state goes in and comes out."""

    def __init__(
        self,
        cell: str,
        inputs: int,
        widths: tuple[int, ...],
        dropout: float = 0.0,
        variational: bool = False,
        weight_drop: float = 0.0,
        timescale: int = 0,
    ):
        """As `TextModelConfig` has them."""
        super().__init__()
        self.run, self.step, self.states = {
            "lstm": (torch.lstm, torch.lstm_cell, 2),
            "gru": (torch.gru, torch.gru_cell, 1),
        }[cell]
        self.layers = nn.ModuleList(recurrent(cell, a, b, 1, timescale) for a, b in pairwise([inputs, *widths]))
        self.dropout, self.variational, self.weight_drop = dropout, variational, weight_drop

    def forward(self, x: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        """(T, B, inputs) and the state before it, zeros if None -> (T, B, the last width) and the state after it.

        Raises:
            ValueError: a state of another batch or another net, by which PyTorch's own would read memory that is free.
        """
        sizes = [[(1, x.shape[1], layer.hidden_size)] * self.states for layer in self.layers]
        fits = state is None or [[tuple(part.shape) for part in parts] for parts in state] == sizes
        if not fits:
            raise ValueError(f"state is not of a batch of {x.shape[1]} and this net: give what it returned, or none")
        after = []
        for i, layer in enumerate(self.layers):
            if state is None:
                before = (x.new_zeros(1, x.shape[1], layer.hidden_size),) * self.states
            else:
                before = tuple(part.to(x) for part in state[i])
            hidden = nn.functional.dropout(layer.weight_hh_l0, self.weight_drop, self.training)
            weights = (layer.weight_ih_l0, hidden, layer.bias_ih_l0, layer.bias_hh_l0)
            if len(x) == 1:  # one step of generation: `run` packs its weights anew at each call, ten times its work
                own = self.step(x[0], [part[0] for part in before] if self.states == 2 else before[0][0], *weights)
                own = tuple(part[None] for part in (own if self.states == 2 else (own,)))
                x = own[0]
            else:
                before = before if self.states == 2 else before[0]
                x, *own = self.run(x, before, weights, True, 1, 0.0, self.training, False, False)
            after.append(tuple(own))
            x = dropped(x, self.dropout, self.variational, self.training)
        return x, after
