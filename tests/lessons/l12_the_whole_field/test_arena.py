"""The arena: its judges are KLs, its costs are counted, and a run is the same when it is made again."""

import pytest
import torch

from kd_lab.lessons.l12_the_whole_field import arena
from kd_lab.lessons.l12_the_whole_field.arena import Counted, Judges, per_text, sources, texts_of
from kd_lab.methods import gkd, minillm, sequence_level, word_level
from kd_lab.methods.dialects import distillm_2, nemo_rl
from kd_lab.models import GPT, GPTConfig
from kd_lab.worlds import Batch


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(arena, "JUDGED", 6)
    texts = texts_of(arena.teacher(), arena.world(), seed=1, count=6)
    return Judges(texts, arena.logp_of(arena.teacher(), texts), arena.teacher(), arena.world())


def test_the_teacher_is_perfect_under_both_judges(few):
    forward, reverse, bits = few(arena.teacher())
    assert forward == pytest.approx(0, abs=1e-4)
    assert reverse == pytest.approx(0, abs=1e-4)
    assert 2 < bits < 4


def test_the_prompt_is_two_letters_and_is_not_judged():
    place = arena.world()
    assert place.prompt_length == arena.GIVEN == 3
    assert not place.train.mask[:, :2].any()
    assert len(place.train) == arena.NAMES


def test_a_text_s_gap_is_a_sum_over_its_positions():
    batch = Batch.from_tokens(torch.tensor([[0, 1, 2, 0], [0, 1, 0, 0]]), end=0)
    assert per_text(torch.ones(2, 3), batch) == pytest.approx((3 + 2) / 2)


def test_positions_are_counted_by_use():
    model = Counted(GPT(GPTConfig(5, 6, layers=1, heads=1, width=8)))
    tokens = torch.zeros(2, 3, dtype=torch.long)
    model(tokens)
    with torch.no_grad():
        model(tokens[:, :2])
    assert (model.trained, model.read, model.context) == (6, 4, 6)
    with pytest.raises(AttributeError):
        _ = model.nothing


@pytest.mark.parametrize(
    ("recipe", "count"), [(word_level(), 1), (gkd(), 1), (distillm_2(), 2), (nemo_rl(), 1), (minillm(), 1)], ids=str
)
def test_texts_of_a_step_are_shared_among_sources(recipe, count):
    assert sources(recipe) == count


@pytest.mark.parametrize("recipe", [word_level(), sequence_level(size=8)], ids=str)
def test_a_run_is_the_same_when_it_is_made_again(few, recipe):
    start = arena.new_student(0)
    one, other = (arena.train(recipe, 0, start=start, steps=2, judge=few) for _ in range(2))
    assert one.marks == other.marks
    assert one.samples == other.samples
    assert one.cost.trained == 2 * arena.BATCH * arena.world().context
    assert (one.cost.teacher, one.cost.written) == (other.cost.teacher, 0)
    assert len(one.samples) == arena.SHOWN
    assert all(name[2] == "·" for name in one.samples)
