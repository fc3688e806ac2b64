"""Recurrent nets with an initialisation that can remember: shared by the pixel classifier and predictor."""

import torch
from torch import nn

CELLS = {"lstm": nn.LSTM, "gru": nn.GRU}


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
