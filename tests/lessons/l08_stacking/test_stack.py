"""Every rung is one of three choices, and comes back from a file of the size that was predicted."""

from kd_lab.compress.cost import bits_per_parameter, factors, token_cost
from kd_lab.lessons.l08_stacking.stack import BITS, FULL, PRUNED, RUNGS, Stages, cut, from_file
from kd_lab.models import load_teacher
from kd_lab.worlds import surnames


def test_every_combination_is_a_rung_and_the_first_is_the_original():
    assert len(RUNGS) == 2 * len(PRUNED) * len(BITS) >= 8
    assert str(RUNGS[0]) == "original"
    assert str(Stages(*FULL)) == "distil + prune 50 % + 4 bits"
    assert not RUNGS[0].by_chance
    assert Stages(*FULL).by_chance


def test_a_rung_comes_back_from_its_file_with_the_size_that_was_predicted(tmp_path):
    world, teacher = surnames(), load_teacher("surnames")
    half = cut(teacher, 50, world)
    assert (half.config.heads, half.config.hidden_units, half.config.dropout) == (2, 256, 0.0)
    original = tmp_path / "original.safetensors"
    assert from_file(teacher, 16, original, 0, world, teacher).config == teacher.config
    for bits in (8, 4, 3):
        path = tmp_path / f"{bits}.safetensors"
        model = from_file(half, bits, path, 0, world, teacher)
        tokens = world.held_out.inputs[:4]
        apart = (model(tokens).log_softmax(-1) - half.eval()(tokens).log_softmax(-1)).abs().mean()
        assert 0 < apart < {8: 0.1, 4: 0.4, 3: 0.8}[bits]
        group = "channel" if bits == 8 else 32
        expected = factors(
            token_cost(half.config, bits=bits_per_parameter(half.config, bits, group)), token_cost(teacher, bits=16)
        ).size
        assert abs(path.stat().st_size / original.stat().st_size / expected - 1) < 0.02
