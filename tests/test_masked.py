"""Masks, held to arrays written by hand."""

import pytest
import torch

from hub_models.layers.masked import MaskedConv2d, bounds, groups

A, B = "A", "B"


@pytest.mark.parametrize(
    "width, channels, chunks, wanted",
    [
        (3, 3, 1, [0, 1, 2]),
        (6, 3, 1, [0, 0, 1, 1, 2, 2]),
        (7, 3, 1, [0, 0, 0, 1, 1, 2, 2]),
        (8, 3, 1, [0, 0, 0, 1, 1, 1, 2, 2]),
        (5, 1, 1, [0] * 5),
        (16, 3, 4, [0, 0, 1, 2] * 4),  # four gates of four features
        (10, 2, 2, [0, 0, 0, 1, 1] * 2),
    ],
)
def test_features_belong_to_channels_in_contiguous_groups(width, channels, chunks, wanted):
    assert groups(width, channels, chunks).tolist() == wanted
    part = width // chunks
    starts = bounds(part, channels)
    assert [c for c in range(channels) for _ in range(starts[c], starts[c + 1])] == wanted[:part]
    assert starts[0] == 0 and starts[-1] == part


CENTRES = {  # (kind, inputs, outputs, channels, chunks_in, chunks_out): rows are outputs, columns inputs
    (A, 3, 3, 3, 1, 1): ["000", "100", "110"],
    (B, 3, 3, 3, 1, 1): ["100", "110", "111"],
    (A, 1, 2, 1, 1, 1): ["0", "0"],
    (B, 2, 1, 1, 1, 1): ["11"],
    (A, 3, 7, 3, 1, 1): ["000", "000", "000", "100", "100", "110", "110"],
    (B, 4, 5, 3, 1, 1): ["1100", "1100", "1110", "1110", "1111"],
    (B, 2, 8, 2, 1, 4): ["10", "11"] * 4,
    (B, 6, 3, 3, 2, 1): ["100100", "110110", "111111"],
}


@pytest.mark.parametrize("case", CENTRES, ids=str)
def test_the_centre_of_a_mask_is_that_written_by_hand(case):
    kind, inputs, outputs, channels, chunks_in, chunks_out = case
    conv = MaskedConv2d(kind, inputs, outputs, (3, 3), channels, chunks_in=chunks_in, chunks_out=chunks_out)
    assert ["".join(map(str, row)) for row in conv.mask[:, :, 1, 1].int().tolist()] == CENTRES[case]


@pytest.mark.parametrize(
    "kernel, above_and_left",
    [
        ((1, 1), ["."]),
        ((1, 3), ["1.0"]),
        ((3, 1), ["1", ".", "0"]),
        ((3, 3), ["111", "1.0", "000"]),
        ((5, 3), ["111", "111", "1.0", "000", "000"]),
        ((7, 7), ["1111111", "1111111", "1111111", "111.000", "0000000", "0000000", "0000000"]),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", [A, B])
def test_a_mask_is_open_above_and_to_the_left(kind, kernel, above_and_left):
    mask = MaskedConv2d(kind, 3, 6, kernel, 3).mask
    for row in mask.flatten(0, 1).int():
        seen = ["".join(map(str, line)) for line in row.tolist()]
        middle = len(seen) // 2, len(seen[0]) // 2
        seen[middle[0]] = seen[middle[0]][: middle[1]] + "." + seen[middle[0]][middle[1] + 1 :]
        assert seen == above_and_left


def test_masked_taps_never_act_and_are_never_written():
    torch.manual_seed(0)
    conv, x = MaskedConv2d(B, 6, 9, (3, 3), 3), torch.randn(2, 6, 5, 4)
    with torch.no_grad():
        conv.weight[~conv.mask] = 1e6
    before = conv.weight.clone()
    loud = conv(x)
    assert torch.equal(conv.weight, before)
    with torch.no_grad():
        conv.weight[~conv.mask] = 0
    assert torch.equal(conv(x), loud)
    loud.sum().backward()
    assert torch.equal(conv.weight.grad != 0, conv.mask)
    assert "mask" not in conv.state_dict()


@pytest.mark.parametrize("kind, size", [("A", (7, 7)), ("B", (3, 3)), ("B", (1, 3)), ("A", (1, 5)), ("B", (1, 1))])
def test_what_is_left_out_of_a_kernel_does_nothing(kind, size):
    conv = MaskedConv2d(kind, 6, 9, size, 3).double()
    x = torch.randn(2, 6, 5, 4, dtype=torch.float64)
    whole = torch.nn.functional.conv2d(x, conv.masked(), conv.bias, padding=conv.padding)
    assert torch.allclose(conv(x), whole, rtol=0, atol=1e-12)
    assert conv.kernel().count_nonzero() == conv.masked().count_nonzero()
    assert conv.kernel().shape[2:] == (size[0] // 2 + 1, size[1] // 2 + 1 if size[0] == 1 else size[1])
