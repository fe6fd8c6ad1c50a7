"""The runs of lesson 09: equal budgets, one beginning, a flawed teacher's worlds, and a file that resumes."""

import copy

import numpy as np
import pytest
import torch

from kd_lab.lessons.l09_reasoning_traces import arms, ceiling, experiment
from kd_lab.lessons.l09_reasoning_traces.arms import (
    ARMS,
    BASES,
    BUDGET,
    bases,
    cooled,
    flat,
    new_student,
    shares_right,
    teach,
    written,
)
from kd_lab.lessons.l09_reasoning_traces.results import load_runs
from kd_lab.worlds import verify
from kd_lab.worlds.moves import FACTS, SYMBOLS, rewards


def test_every_way_spends_the_budget_and_no_more():
    for arm in ARMS.values():
        spent = arm.steps(BUDGET) * arm.step
        assert BUDGET - arm.step < spent <= BUDGET
    assert ARMS["rl"].passes == 4 * arms.READ  # writes, and learns: one and three
    assert ARMS["opd"].passes == 5 * arms.READ  # and the teacher reads along


def test_rows_are_as_long_as_their_passes_say():
    trace, answer = (arms.world_of(form) for form in ("trace", "answer"))
    assert trace.context == arms.READ
    last = answer.train.mask[0].nonzero().max().item()
    assert last + 1 == arms.ANSWER_READ


def test_the_rate_warms_up_and_cools():
    assert flat(1, 100) == 0.05
    assert flat(20, 100) == cooled(40, 100) == 1
    assert cooled(100, 100) == pytest.approx(0.02)


@pytest.mark.parametrize("way", ARMS)
def test_a_way_of_teaching_leaves_the_base_alone(way):
    base = new_student(0)
    before = copy.deepcopy(base.state_dict())
    student = teach(way, base, new_student(1), seed=0, budget=2 * ARMS[way].step)
    assert all(torch.equal(before[name], value) for name, value in base.state_dict().items())
    assert any(not torch.equal(before[name], value) for name, value in student.state_dict().items())


def test_texts_are_written_problem_by_problem():
    texts = written(new_student(0), 3, draws=2)
    assert [text.split("=")[0] for text in texts[::2]] == [text.split("=")[0] for text in texts[1::2]]
    assert shares_right(["1", "0", "1", "1"], 2, lambda text: text == "1").tolist() == [1, 2]


def test_the_flawed_teacher_has_five_wrong_facts():
    assert sum(FACTS[key] != ceiling.FLAWED[key] for key in FACTS) == 5
    assert 0.7 < rewards(list(ceiling.teachers_texts())).mean() < 0.9


def test_worlds_of_the_ceiling_are_what_they_are_called():
    kept = {lesson: SYMBOLS.decode(ceiling.flawed_world(lesson).train.tokens) for lesson in ceiling.LESSONS}
    shares = {lesson: np.mean([verify(text) for text in texts[:3000]]) for lesson, texts in kept.items()}
    assert shares["filtered"] == 1
    assert shares["copied"] < shares["one in ten"] < 0.9
    assert len(kept["filtered"]) < len(kept["copied"]) == len(kept["one in ten"])


def test_a_report_knows_the_teachers_answers():
    class Parrot(torch.nn.Module):
        """Says what the flawed teacher says."""

    texts = list(ceiling.teachers_texts())
    right = rewards(texts).bool()
    original = ceiling.written
    ceiling.written = lambda student, count, greedy: texts
    try:
        found = ceiling.report(Parrot())
    finally:
        ceiling.written = original
    assert found.agrees == 1 == found.errors
    assert found.affected == 0
    assert found.right == pytest.approx(right.float().mean().item())


def test_a_whole_trace_is_right_at_every_step():
    assert experiment.whole("47t920=13244")
    assert not experiment.whole("47t920=4"), "an answer alone is no trace"
    assert not experiment.whole("47t920=99944"), "the right digit by luck"


def test_stored_runs_of_one_base_begin_alike():
    runs = load_runs()
    for base in ("weak", "warm"):
        for seed in runs.seeds:
            begins = {runs.runs[base, way, seed]["curve"][0] for way in ("base", *ARMS)}
            assert len(begins) == 1


def test_a_seed_that_learns_slowly_has_bases_too():
    """Seed 2050 never reached the accuracy of the warm base, and its learner met a KeyError."""
    found, end = bases(3, steps=2, every=1)  # two steps teach nobody
    assert list(found) == list(BASES)
    assert all(base is not end for base in found.values())  # which is trained on
    for base in found.values():
        torch.testing.assert_close(base.state_dict(), end.state_dict())
