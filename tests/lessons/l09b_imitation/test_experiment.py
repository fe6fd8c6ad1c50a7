"""The parts of lesson 09b: its judges, its recipes for examples, its students, and the file of runs."""

from itertools import pairwise

import numpy as np
import pytest

from kd_lab.lessons.l09b_imitation import experiment
from kd_lab.lessons.l09b_imitation.judges import in_style, multiplies, strong_judge, weak_judge
from kd_lab.lessons.l09b_imitation.pupils import cooled, split, train, write
from kd_lab.lessons.l09b_imitation.recipes import (
    EXAMPLES,
    MOST_MOVES,
    RECIPES,
    SLIP,
    Data,
    evol_instruct,
    examples,
    harder,
    seed_problems,
    self_instruct,
    teacher_solves,
)
from kd_lab.lessons.l09b_imitation.results import load_runs
from kd_lab.worlds import verify
from kd_lab.worlds.moves import FACTORS, draw_problems, solve


def chance(seed=0):
    return np.random.default_rng(seed)


def test_the_teachers_style_pleases_both_judges():
    import torch

    for problem in draw_problems(20, torch.Generator().manual_seed(0)):
        text = f"{problem}={in_style(problem)}"
        assert weak_judge(text)
        assert strong_judge(text)
        assert not weak_judge(f"{problem}={solve(problem)}"), "right, without the closing line"
        wrong = f"{problem}={solve(problem)[:-1]}{(int(solve(problem)[-1]) + 1) % 10}"
        assert weak_judge(f"{wrong}={wrong[-1]}")
        assert not strong_judge(wrong)


@pytest.mark.parametrize("answer", ["", "1", "132=", "132=22", "13t=t", "13=3"])
def test_the_weak_judge_refuses_what_is_out_of_form(answer):
    assert not weak_judge(f"47t9={answer}")


def test_seeds_are_short_and_different():
    pool = seed_problems(chance())
    assert len(set(pool)) == len(pool)
    assert {len(problem) for problem in pool} <= {2, 3}


def test_self_instruct_stays_as_easy_as_its_seeds():
    problems = self_instruct(seed_problems(chance()), 300, chance())
    assert len(problems) == len(set(problems)) == 300
    assert max(map(len, problems)) == 3
    for problem in problems:
        solve(problem)


def test_evolution_never_makes_a_problem_easier():
    generations = evol_instruct(seed_problems(chance()), 200, chance(), rounds=6)
    for before, after in pairwise(generations):
        for old, new in zip(before, after, strict=True):
            assert len(new) >= len(old)
            assert len(new) <= MOST_MOVES + 1
            assert sum(m in FACTORS for m in new[1:]) >= sum(m in FACTORS for m in old[1:])
            solve(new)


def test_a_problem_of_multiplications_alone_cannot_be_made_harder():
    assert harder("3tsntn", chance()) == "3tsntn"


def test_the_teacher_slips_as_often_as_stated():
    generator = chance(3)
    traces = ["4" + teacher_solves("400000", generator) for _ in range(2000)]  # each digit should repeat the one before
    slips = sum(one != other for trace in traces for one, other in pairwise(trace))
    assert slips / 10_000 == pytest.approx(SLIP, abs=0.01)


def test_each_recipe_changes_what_its_name_says():
    found = {name: examples(data, seed=1) for name, data in RECIPES.items()}
    for name, (problems, answers) in found.items():
        assert len(problems) == len(answers)
        assert len(problems) == pytest.approx(EXAMPLES, rel=0.01), name
        explained = RECIPES[name].explained
        assert all((len(a) == len(p) - 1) if explained else len(a) == 1 for p, a in zip(problems, answers, strict=True))
    right = {name: np.mean([verify(f"{p}={a}") for p, a in zip(*pair, strict=True)]) for name, pair in found.items()}
    assert right["explanations, verified"] == 1
    assert 0.8 < right["explanations"] < 0.95
    moves = {name: np.mean([len(p) - 1 for p in problems]) for name, (problems, _) in found.items()}
    assert moves["Evol-Instruct"] == moves["explanations"] > 3 > 2 > moves["Self-Instruct"]
    assert found["Self-Instruct"][0] == found["explanations, easy problems"][0], "the control has the same problems"


def test_no_recipe_is_there_twice():
    assert len(set(RECIPES.values())) == len(RECIPES)
    assert Data() in RECIPES.values()


def test_covered_problems_add_and_uncovered_ones_multiply():
    covered, uncovered = (experiment.problems_of(0, 50, covered=flag) for flag in (True, False))
    assert not any(map(multiplies, covered))
    assert all(map(multiplies, uncovered))
    assert len(set(covered)) == len(set(uncovered)) == 50


def test_a_student_reads_and_writes_problems_of_all_lengths():
    student = train(["47", "12t"], ["1", "39"], seed=0, steps=2)
    texts = write(student, ["47", "12t", "80n3s0"])
    assert [split(text)[0] for text in texts] == ["47", "12t", "80n3s0"]
    assert write(student, ["47"]) == write(student, ["47"])
    assert cooled(20, 100) == 1 > cooled(100, 100) > 0


def test_a_run_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="no run"):
        load_runs().value("recipe", "none", "hard greedy")
