"""The cost model: counts against real modules, factors that multiply, rooflines."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from kd_lab.compress.cost import (
    DEVICES,
    Cost,
    Device,
    Factors,
    bits_per_parameter,
    bottleneck,
    factors,
    parameter_count,
    roofline,
    token_cost,
)
from kd_lab.compress.prune import magnitude, remove_structures, select_structures
from kd_lab.compress.quantize import round_to_nearest, save_quantized
from kd_lab.models import GPT, GPTConfig, save_model

SHAPES = [
    GPTConfig(vocab_size=27, context=14, layers=4, heads=4, width=128),
    GPTConfig(vocab_size=11, context=12, layers=3, heads=2, width=16, head_width=3, channels=10),
    GPTConfig(vocab_size=50, context=32, layers=1, heads=1, width=8),
]


@pytest.mark.parametrize("shape", SHAPES)
def test_parameters_are_those_of_the_module(shape):
    assert parameter_count(shape) == sum(parameter.numel() for parameter in GPT(shape).parameters())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("length", [1, 5])
def test_operations_are_those_that_torch_counts(shape, length):
    model = GPT(shape).eval()
    cache = model.new_cache(1, length)
    tokens = torch.zeros(1, length, dtype=torch.long)
    # Attention as two products of matrices, which the counter knows; of a CPU's fused kernel it knows nothing.
    with sdpa_kernel(SDPBackend.MATH), torch.no_grad(), FlopCounterMode(display=False) as counter:
        if length > 1:
            model(tokens[:, :-1], cache=cache)
        before = counter.get_total_flops()
        model(tokens[:, -1:], cache=cache)
    counted = counter.get_total_flops() - before
    assert counted == pytest.approx(token_cost(shape, bits=32, length=length).operations)


def test_bytes_are_those_on_disk_but_for_the_header(tmp_path):
    model = GPT(SHAPES[0])
    save_model(model, tmp_path / "m.safetensors", dtype=torch.float16)
    on_disk = (tmp_path / "m.safetensors").stat().st_size
    assert token_cost(model, bits=16).bytes == pytest.approx(on_disk, rel=0.005)
    assert token_cost(model).bits == 32
    assert token_cost(model.half()).bits == 16


@pytest.mark.parametrize(("bits", "group", "symmetric"), [(4, 32, True), (3, 5, False), (8, "tensor", True)])
def test_a_quantized_model_costs_what_its_file_takes(tmp_path, bits, group, symmetric):
    quantized = round_to_nearest(GPT(SHAPES[0]), bits, group, symmetric)
    save_quantized(quantized, tmp_path / "q.safetensors")
    cost = token_cost(quantized)
    assert 0 < (tmp_path / "q.safetensors").stat().st_size - cost.bytes < 1500  # the header
    if symmetric:
        assert cost.bits == pytest.approx(bits_per_parameter(SHAPES[0], bits, group))
    assert token_cost(quantized, bits=16) == token_cost(SHAPES[0], bits=16)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("bits", "group"), [(8, "channel"), (8, "tensor"), (4, 32), (3, 5)])
def test_the_bytes_of_a_quantized_file_are_known_from_the_shape(tmp_path, shape, bits, group):
    save_quantized(round_to_nearest(GPT(shape), bits, group), tmp_path / "q.safetensors")
    expected = parameter_count(shape) * bits_per_parameter(shape, bits, group) / 8
    header = (tmp_path / "q.safetensors").stat().st_size - expected
    assert 0 < header < 1000


def test_skipped_work_is_no_fewer_bytes():
    dense, sparse = token_cost(SHAPES[0], bits=16), token_cost(SHAPES[0], bits=16, skipped=0.9)
    assert sparse.bytes == dense.bytes
    assert sparse.operations < 0.12 * dense.operations


def test_a_batch_shares_the_weights_and_not_the_cache():
    alone, together = (
        token_cost(SHAPES[0], bits=16, length=10),
        token_cost(SHAPES[0], bits=16, length=10, batch_size=64),
    )
    assert together.operations == alone.operations
    assert together.traffic - together.cache_traffic == pytest.approx((alone.traffic - alone.cache_traffic) / 64)
    assert alone.cache_traffic == together.cache_traffic == 2 * 4 * 128 * 11 * 2


def test_factors_of_stages_multiply_to_those_of_the_stack():
    teacher = GPT(SHAPES[0])
    pruned = remove_structures(teacher, select_structures(teacher, magnitude(teacher), layers=2, heads=2, channels=100))
    whole = factors(token_cost(pruned, bits=4.5), token_cost(teacher, bits=16))
    parts = factors(token_cost(pruned, bits=16), token_cost(teacher, bits=16)) * factors(
        token_cost(pruned, bits=4.5), token_cost(pruned, bits=16)
    )
    assert (parts.parameters, parts.bits, parts.work) == pytest.approx((whole.parameters, whole.bits, whole.work))
    assert whole.product == pytest.approx(token_cost(pruned, bits=4.5).product / token_cost(teacher, bits=16).product)
    assert whole.size == pytest.approx(token_cost(pruned, bits=4.5).bytes / token_cost(teacher, bits=16).bytes)
    assert whole.operations == pytest.approx(
        token_cost(pruned, bits=4.5).operations / token_cost(teacher, bits=16).operations
    )
    assert Factors() * whole == whole


def test_limits_by_hand():
    one = Cost(parameters=1000, bits=8, work=1, cache_traffic=0, batch_size=1, layers=2)
    device = Device(bandwidth=100.0, peak=1e4, launch=0.1)
    times = roofline(one, device)
    assert times["memory"] == pytest.approx(10)
    assert times["arithmetic"] == pytest.approx(0.2)
    assert times["latency"] == pytest.approx(2.0)
    assert bottleneck(one, device) == "memory"


def test_a_large_model_is_bound_by_memory_a_tiny_one_by_latency():
    large = GPTConfig(vocab_size=32_000, context=2048, layers=32, heads=32, width=4096)
    gpu = DEVICES["H100 SXM"]
    assert bottleneck(token_cost(large, bits=16), gpu) == "memory"
    assert bottleneck(token_cost(large, bits=16, batch_size=2048, length=0), gpu) == "arithmetic"
    assert bottleneck(token_cost(SHAPES[0], bits=16), gpu) == "latency"


def test_what_cannot_be_counted_is_refused():
    with pytest.raises(ValueError, match="pass bits"):
        token_cost(SHAPES[0])
    with pytest.raises(ValueError, match="skipped 1"):
        token_cost(SHAPES[0], bits=4, skipped=1)
    with pytest.raises(ValueError, match="batch_size 0"):
        token_cost(SHAPES[0], bits=4, batch_size=0)
