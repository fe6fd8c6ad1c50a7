"""All that takes a model and a batch runs where the model is: batches on the CPU, the model on a second device.

"meta" has shapes and no numbers: on any machine it tells where a tensor is made on the wrong device. Drawing, searching
and adding up to a figure look at numbers and need a real second device.
"""

import copy
import math

import pytest
import torch

from kd_lab.compress.prune import block_influence, taylor, wanda
from kd_lab.compress.quantize import calibrate, gptq, layer_inputs
from kd_lab.contracts import stream
from kd_lab.measure import (
    bits_per_character,
    calibration_error,
    conditionals,
    gap_by_pair,
    gap_by_position,
    pair_reach,
    sampled_gap_by_position,
)
from kd_lab.models import (
    GPT,
    CachedTeacher,
    FiniteStateModel,
    GPTConfig,
    MixtureModel,
    TabularModel,
    device_of,
    generate,
    next_token_logp,
    target_logp,
)
from kd_lab.models.exact_models import window_moves
from kd_lab.where import Corpus, Mixture, StudentRollouts, TeacherRollouts, beam_search
from kd_lab.worlds import language

SPOKEN = language("echo")
WORLD = SPOKEN.world(rows=64, seed=0)
BATCH = WORLD.train[slice(0, 8)]
V, L = len(SPOKEN.vocabulary), SPOKEN.length
START = torch.zeros(8, 1, dtype=torch.long)

CUDA = pytest.param(
    "cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")]
)


def gpt() -> GPT:
    return GPT(GPTConfig(vocab_size=V, context=L, layers=1, heads=2, width=16), seed=1).eval()


def bigram() -> FiniteStateModel:
    return FiniteStateModel(torch.zeros(V, V), window_moves(V, 1), context=L, slip=0.1)


def short_memory() -> FiniteStateModel:
    return FiniteStateModel(torch.zeros(V * V, V), window_moves(V, 2), context=L)


def mixture() -> MixtureModel:
    return MixtureModel(gpt(), bigram(), share=0.5)


def table() -> TabularModel:
    return TabularModel(SPOKEN.logp)


@pytest.mark.parametrize("device", ["meta", CUDA])
@pytest.mark.parametrize("make", [gpt, bigram, short_memory, mixture])
def test_reading(make, device):
    model = make().to(device)
    logp = next_token_logp(model, BATCH.inputs, dtype=torch.float64)
    assert (logp.device.type, logp.shape) == (device, (8, L, V))
    assert target_logp(model, BATCH).device.type == device
    cache = model.new_cache(8, L)
    tokens = BATCH.inputs.to(device)
    parts = [model(part, cache=cache) for part in tokens.split(2, 1)]
    assert torch.cat(parts, 1).device.type == device
    assert cache.select(torch.arange(2, device=device)).length == L
    tables = conditionals(model, 2)
    assert [one.device.type for one in tables] == [device] * 2
    assert gap_by_position(tables, tables, tables).device.type == device
    assert sampled_gap_by_position(model, make(), BATCH).device.type == device


@pytest.mark.parametrize("device", ["meta", CUDA])
@pytest.mark.parametrize(
    "look", [wanda, taylor, block_influence, layer_inputs, calibrate], ids=lambda look: look.__name__
)
def test_compression_reads_its_texts_where_the_model_is(look, device):
    """Each of them handed tokens of the CPU to a model on CUDA, and stopped there."""
    model, devices = gpt().to(device), []
    model.register_forward_pre_hook(lambda _, inputs: devices.append(inputs[0].device.type))
    try:
        look(model, BATCH)
    except NotImplementedError:
        assert device == "meta"  # which rows count is a question of numbers
    assert devices
    assert set(devices) == {device}


@pytest.mark.parametrize("device", [CUDA])
def test_a_compensated_model_is_made_where_the_model_is(device):
    assert gptq(gpt().to(device), BATCH, 4, 8).matrices["blocks.0.expand.weight"].codes.device.type == device


@pytest.mark.parametrize("device", ["meta", CUDA])
def test_pairs_of_states(device):
    one, other = bigram().to(device), short_memory().to(device)
    assert pair_reach(one, other, 3).device.type == device
    assert gap_by_pair(one, other).device.type == device


@pytest.mark.parametrize("device", [CUDA])
@pytest.mark.parametrize("make", [gpt, table, bigram, mixture])
def test_writing_searching_and_measuring(make, device):
    here, there = make(), make().to(device)
    assert torch.equal(generate(there, START, L, greedy=True).cpu(), generate(here, START, L, greedy=True))
    assert generate(there, START, L, generator=stream(0, "writes", device)).device.type == device
    assert beam_search(there, START[0], 3, L)[0].tokens == beam_search(here, START[0], 3, L)[0].tokens
    assert math.isclose(bits_per_character(there, BATCH), bits_per_character(here, BATCH), rel_tol=1e-4)
    assert math.isclose(calibration_error(there, BATCH), calibration_error(here, BATCH), abs_tol=1e-3)


@pytest.mark.parametrize("device", [CUDA])
@pytest.mark.parametrize(
    "where",
    [Corpus(), TeacherRollouts(16), TeacherRollouts(16, "beam", 2), StudentRollouts(), Mixture(0.5),
     StudentRollouts(teacher_mix=0.3)],
    ids=str,
)  # fmt: skip
def test_a_where_draws_on_the_device_of_its_writer(where, device):
    """A generator of the CPU cannot draw on CUDA, so that gkd, on_policy and minillm stopped at their first rollout."""
    student, teacher = gpt().to(device), table().float().to(device)
    source = where.bind(WORLD, student, teacher, seed=0)
    for _ in range(4):
        batch = source(8).to(device)
        assert student(batch.inputs).device.type == device


@pytest.mark.parametrize("device", ["meta", CUDA])
def test_a_cached_teacher_reads_where_its_model_is_and_answers_where_the_tokens_are(device):
    if device == "meta":
        teacher = CachedTeacher(gpt().to("meta"), device="meta")
        assert device_of(teacher).type == "meta"
        pytest.skip("an answer cannot leave the meta device")
    teacher = CachedTeacher(gpt().to(device))
    torch.testing.assert_close(teacher(BATCH.inputs), gpt()(BATCH.inputs), rtol=1e-4, atol=1e-4)
    assert teacher(BATCH.inputs.to(device)).device.type == device


def test_chance_on_another_device_is_refused_with_the_way_out():
    model = copy.deepcopy(gpt()).to("meta")
    with pytest.raises(ValueError, match=r'the generator is on cpu and the model on meta; .*torch.Generator\("meta"\)'):
        generate(model, START, 2, generator=torch.Generator())
