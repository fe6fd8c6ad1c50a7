import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kd_lab.compress.quantize.rounding import Scheme, fake_quantize, round_matrix


def matrix(outputs, inputs, seed=0):
    return torch.randn(outputs, inputs, generator=torch.Generator().manual_seed(seed))


def by_hand(weight, scheme):
    """Weight after weight in plain Python, with its group sought anew each time."""
    outputs, inputs = weight.shape
    result = torch.empty_like(weight)
    for o in range(outputs):
        for i in range(inputs):
            if scheme.group == "tensor":
                group = weight.flatten()
            elif scheme.group == "channel":
                group = weight[o]
            else:
                start = i // scheme.group * scheme.group
                group = weight[o, start : start + scheme.group]
            low, high = min(0.0, group.min().item()), max(0.0, group.max().item())
            if scheme.symmetric:
                top = 2 ** (scheme.bits - 1) - 1
                scale = torch.tensor(max(high, -low) / top).half().item()
                result[o, i] = scale * max(-top, min(top, round(weight[o, i].item() / scale)))
            else:
                top = 2**scheme.bits - 1
                scale = torch.tensor((high - low) / top).half().item()
                zero = max(0, min(top, round(-low / scale)))
                result[o, i] = scale * (max(0, min(top, round(weight[o, i].item() / scale) + zero)) - zero)
    return result


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("group", [4, 5, "channel", "tensor"])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_rounding_is_what_a_plain_loop_says(bits, group, symmetric):
    weight, scheme = matrix(3, 12), Scheme(bits, group, symmetric)
    torch.testing.assert_close(round_matrix(weight, scheme).dequantize(), by_hand(weight, scheme))
    assert torch.equal(fake_quantize(weight, scheme), round_matrix(weight, scheme).dequantize())


def test_a_hand_computed_asymmetric_row():
    # 2 bits from −1 to 2: steps of 1, zero point 1
    rounded = round_matrix(torch.tensor([[-1.0, 0.2, 0.6, 2.0]]), Scheme(2, "channel", symmetric=False))
    assert rounded.codes.tolist() == [[0, 1, 2, 3]]
    assert rounded.scale.tolist() == [[1.0]]
    assert rounded.zero_point.tolist() == [[1]]
    assert rounded.dequantize().tolist() == [[-1.0, 0.0, 1.0, 2.0]]


@pytest.mark.parametrize("symmetric", [True, False])
@given(seed=st.integers(0, 10_000), bits=st.integers(2, 8), inputs=st.integers(1, 20), group=st.integers(1, 9))
def test_no_weight_moves_further_than_half_a_step_and_zero_stays(symmetric, seed, bits, inputs, group):
    weight = matrix(2, inputs, seed) * 10 ** (seed % 5 - 2)
    weight[0, 0] = 0.0
    scheme = Scheme(bits, group, symmetric)
    rounded = round_matrix(weight, scheme)
    step = rounded.scale.float().repeat_interleave(group, 1)[:, :inputs]
    # The scale's own rounding to float16 moves the ends of the grid, and the zero point's both of them.
    slack = (0.5 if symmetric else 1.0) * step + 2**-11 * weight.abs().max() * 1.01 + 2**-24 * 2**bits
    assert ((rounded.dequantize() - weight).abs() <= slack).all()
    assert rounded.dequantize()[0, 0] == 0


@pytest.mark.parametrize("symmetric", [True, False])
def test_more_bits_and_smaller_groups_are_never_worse_in_the_mean(symmetric):
    weight = matrix(64, 64)

    def error(bits, group):
        return (round_matrix(weight, Scheme(bits, group, symmetric)).dequantize() - weight).square().mean().item()

    by_bits = [error(bits, 32) for bits in (2, 3, 4, 5, 6, 7, 8)]
    assert by_bits == sorted(by_bits, reverse=True)
    by_group = [error(3, group) for group in ("tensor", "channel", 32, 16, 8)]
    assert by_group == sorted(by_group, reverse=True)


def test_a_group_beyond_the_row_is_the_row():
    weight = matrix(3, 10)
    torch.testing.assert_close(
        round_matrix(weight, Scheme(3, 64)).dequantize(),
        round_matrix(weight, Scheme(3, "channel")).dequantize(),
        rtol=0,
        atol=0,
    )


def test_rounding_twice_is_rounding_once():
    once = round_matrix(matrix(16, 64), Scheme(3, 16))
    again = round_matrix(once.dequantize(), Scheme(3, 16))
    assert torch.equal(once.codes, again.codes)
    assert torch.equal(once.scale, again.scale)


def test_zeros_alone_stay_zeros():
    for symmetric in (True, False):
        assert round_matrix(torch.zeros(2, 8), Scheme(4, 4, symmetric)).dequantize().eq(0).all()


def test_bits_count_scales_and_zero_points():
    weight = matrix(4, 64)
    assert round_matrix(weight, Scheme(4, 32)).stored_bits == 4 * 256 + 16 * 8
    assert round_matrix(weight, Scheme(4, 32, symmetric=False)).stored_bits == 4 * 256 + 16 * 8 + 4 * 8
    assert round_matrix(weight, Scheme(3, "channel")).stored_bits == 3 * 256 + 16 * 4
    assert round_matrix(weight, Scheme(2, "tensor")).stored_bits == 2 * 256 + 16


@pytest.mark.parametrize("bits", [1, 0, 9, True])
def test_impossible_bits_are_refused(bits):
    with pytest.raises(ValueError, match=r"bits is .* expected a whole number"):
        Scheme(bits)


@pytest.mark.parametrize("group", [0, -32])
def test_impossible_groups_are_refused(group):
    with pytest.raises(ValueError, match="expected a number of neighbouring inputs"):
        Scheme(4, group)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(bad):
    weight = matrix(2, 4)
    weight[1, 2] = bad
    with pytest.raises(ValueError, match="NaN or infinite"):
        round_matrix(weight, Scheme(4))


def test_weights_too_large_for_a_scale_are_refused():
    with pytest.raises(ValueError, match="does not fit into float16"):
        round_matrix(torch.full((1, 4), 1e6), Scheme(2))


@pytest.mark.parametrize("use", [round_matrix, fake_quantize])
def test_a_matrix_without_numbers_is_refused(use):
    scheme = Scheme(bits=4, group="channel")
    with pytest.raises(ValueError, match="expected at least one row and one column"):
        use(torch.zeros(0, 5), scheme)
    with pytest.raises(ValueError, match="meta device, which holds no numbers"):
        use(torch.zeros(2, 3, device="meta"), scheme)
