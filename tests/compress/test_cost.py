"""The cost model: counts against real modules, factors that multiply, roofs and rules."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from kd_lab.compress.cost import (
    DEVICES,
    RULES,
    Cost,
    Device,
    Factors,
    bottleneck,
    cost,
    factors,
    limits,
    parameters_of,
    pick,
    stored_bits,
)
from kd_lab.compress.prune import choose, magnitude, remove
from kd_lab.compress.quantize import quantize, save_quantized
from kd_lab.models import GPT, GPTConfig, save_model

SHAPES = [
    GPTConfig(vocab_size=27, context=14, layers=4, heads=4, width=128),
    GPTConfig(vocab_size=11, context=12, layers=3, heads=2, width=16, head_width=3, channels=10),
    GPTConfig(vocab_size=50, context=32, layers=1, heads=1, width=8),
]


@pytest.mark.parametrize("shape", SHAPES)
def test_parameters_are_those_of_the_module(shape):
    assert parameters_of(shape) == sum(parameter.numel() for parameter in GPT(shape).parameters())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("length", [1, 5])
def test_operations_are_those_that_torch_counts(shape, length):
    model = GPT(shape).eval()
    cache = model.new_cache(1, length)
    tokens = torch.zeros(1, length, dtype=torch.long)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        if length > 1:
            model(tokens[:, :-1], cache=cache)
        before = counter.get_total_flops()
        model(tokens[:, -1:], cache=cache)
    counted = counter.get_total_flops() - before
    ours = cost(shape, bits=32, length=length).operations
    # torch's counter may leave out what its fused attention kernel does on a CPU; the matrices it counts.
    attention = 2 * 2 * shape.layers * shape.heads * shape.features_a_head * length
    assert counted in (pytest.approx(ours), pytest.approx(ours - attention))


def test_bytes_are_those_on_disk_but_for_the_header(tmp_path):
    model = GPT(SHAPES[0])
    save_model(model, tmp_path / "m.safetensors", dtype=torch.float16)
    on_disk = (tmp_path / "m.safetensors").stat().st_size
    assert cost(model, bits=16).bytes == pytest.approx(on_disk, rel=0.005)
    assert cost(model).bits == 32
    assert cost(model.half()).bits == 16


def test_a_model_that_says_how_it_is_stored_is_believed():
    model = GPT(SHAPES[0])
    model.bits_per_weight = 4.5
    assert cost(model).bits == 4.5


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("bits", "group"), [(8, "channel"), (4, 32), (3, 5)])
def test_the_bytes_of_a_quantized_file_are_known_from_the_shape(tmp_path, shape, bits, group):
    save_quantized(quantize(GPT(shape), bits, group), tmp_path / "q.safetensors")
    expected = parameters_of(shape) * stored_bits(shape, bits, group) / 8
    header = (tmp_path / "q.safetensors").stat().st_size - expected
    assert 0 < header < 1000


def test_skipped_work_is_no_fewer_bytes():
    dense, sparse = cost(SHAPES[0], bits=16), cost(SHAPES[0], bits=16, skipped=0.9)
    assert sparse.bytes == dense.bytes
    assert sparse.operations < 0.12 * dense.operations


def test_a_batch_shares_the_weights_and_not_the_cache():
    alone, together = cost(SHAPES[0], bits=16, length=10), cost(SHAPES[0], bits=16, length=10, batch_size=64)
    assert together.operations == alone.operations
    assert together.traffic - together.cache_traffic == pytest.approx((alone.traffic - alone.cache_traffic) / 64)
    assert alone.cache_traffic == together.cache_traffic == 2 * 4 * 128 * 11 * 2


def test_factors_of_stages_multiply_to_those_of_the_stack():
    teacher = GPT(SHAPES[0])
    pruned = remove(teacher, choose(teacher, magnitude(teacher), layers=2, heads=2, channels=100))
    whole = factors(cost(pruned, bits=4.5), cost(teacher, bits=16))
    parts = factors(cost(pruned, bits=16), cost(teacher, bits=16)) * factors(
        cost(pruned, bits=4.5), cost(pruned, bits=16)
    )
    assert (parts.parameters, parts.bits, parts.work) == pytest.approx((whole.parameters, whole.bits, whole.work))
    assert whole.product == pytest.approx(cost(pruned, bits=4.5).product / cost(teacher, bits=16).product)
    assert whole.size == pytest.approx(cost(pruned, bits=4.5).bytes / cost(teacher, bits=16).bytes)
    assert whole.operations == pytest.approx(cost(pruned, bits=4.5).operations / cost(teacher, bits=16).operations)
    assert Factors() * whole == whole


def test_limits_by_hand():
    one = Cost(parameters=1000, bits=8, work=1, cache_traffic=0, batch_size=1, layers=2)
    device = Device(bandwidth=100.0, peak=1e4, start=0.1)
    times = limits(one, device)
    assert times["memory"] == pytest.approx(10)
    assert times["arithmetic"] == pytest.approx(0.2)
    assert times["latency"] == pytest.approx(2.0)
    assert bottleneck(one, device) == "memory"


def test_a_large_model_is_short_of_memory_a_tiny_one_of_time_to_start():
    large = GPTConfig(vocab_size=32_000, context=2048, layers=32, heads=32, width=4096)
    gpu = DEVICES["H100 SXM"]
    assert bottleneck(cost(large, bits=16), gpu) == "memory"
    assert bottleneck(cost(large, bits=16, batch_size=2048, length=0), gpu) == "arithmetic"
    assert bottleneck(cost(SHAPES[0], bits=16), gpu) == "latency"


def test_every_rule_is_picked_and_held_against_what_was_measured():
    for name, (first, reason) in RULES.items():
        advice = pick(name)
        assert (advice.first, advice.reason, advice.agrees) == (first, reason, None)
        assert pick(name, {first: 3.0, "something else": 1.0}).agrees
        assert not pick(name, {first: 1.0, "something else": 3.0}).agrees
    with pytest.raises(ValueError, match="bottleneck is 'speed'"):
        pick("speed")
    with pytest.raises(ValueError, match="expected 'quantize' among them"):
        pick("memory", {"prune": 2.0})


def test_what_cannot_be_counted_is_refused():
    with pytest.raises(ValueError, match="pass bits"):
        cost(SHAPES[0])
    with pytest.raises(ValueError, match="skipped 1"):
        cost(SHAPES[0], bits=4, skipped=1)
    with pytest.raises(ValueError, match="batch_size 0"):
        cost(SHAPES[0], bits=4, batch_size=0)
