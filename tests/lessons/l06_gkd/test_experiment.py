import math

import numpy as np
import pytest
import torch

from kd_lab.classroom.long_runs import write
from kd_lab.lessons.l06_gkd import experiment as bench
from kd_lab.lessons.l06_gkd.experiment import (
    BETAS,
    FRACTIONS,
    MEASURES,
    SEEDS,
    arena,
    recipe,
    train_cell,
)
from kd_lab.lessons.l06_gkd.results import GRID, load_grid, regret
from kd_lab.models import TabularModel
from kd_lab.worlds import language


def test_a_perfect_student_is_measured_as_perfect():
    echo = arena("echo")
    forward, reverse, judgement = echo.measure(TabularModel(language("echo").logp))
    assert (forward, reverse) == pytest.approx((0, 0), abs=1e-12)
    # what is left is the teacher's own entropy, a character
    joint = language("echo").joint().exp()
    entropy = -(joint * joint.where(joint > 0, 1.0).log()).sum().item()
    texts = language("echo").sequences()[:, 1:]
    ended = (texts == 0).any(1)
    length = torch.where(ended, (texts == 0).int().argmax(1) + 1, texts.shape[1])
    assert judgement == pytest.approx(entropy / (joint * length).sum().item() / math.log(2))


def test_sampled_measures_of_the_teacher_itself_are_zero():
    names = arena("surnames")
    forward, reverse, judgement = names.measure(names.teacher)
    assert (forward, reverse) == pytest.approx((0, 0), abs=1e-4)
    assert 2 < judgement < 5


def test_a_cell_is_the_recipe_that_its_place_says():
    one = recipe("skew_kl", 0.25)
    assert (one.how.divergence, one.how.beta, one.where.on_policy_fraction) == ("skew_kl", 0.1, 0.25)


def test_the_same_cell_twice_is_the_same_run(monkeypatch):
    short = bench.Arena(**(vars(arena("echo")) | {"steps": 10}))
    monkeypatch.setattr(bench, "arena", lambda name: short)
    one, other = (train_cell("echo", "jsd", 0.5, seed=0, points=1) for _ in range(2))
    assert one == other
    assert len(one["curve"]) == 2
    assert one["curve"][1][0] < one["curve"][0][0]
    assert train_cell("echo", "jsd", 0.5, seed=0, points=0)["curve"] == one["curve"][1:]


def test_what_is_written_is_what_is_read(tmp_path):
    run = {"world": "w", "divergence": "jsd", "on_policy_fraction": 0.5, "seed": 0, "curve": [[1, 2, 3], [4, 5, 6]],
           "samples": ["ä"]}  # fmt: skip
    head = {"measures": list(MEASURES), "betas": {"jsd": 0.5}, "seeds": [0], "worlds": {"w": {"points": [0, 9]}}}
    write(tmp_path / "grid.json", head, [run])
    grid = load_grid(tmp_path / "grid.json")
    assert grid.points("w") == [0, 9]
    assert grid.final("w", "reverse_kl").tolist() == [[[5.0]]]
    assert grid.samples("w", "jsd", 0.5) == ["ä"]
    with pytest.raises(ValueError, match="no run"):
        grid.curves("w", "jsd", 0.25, "reverse_kl")
    with pytest.raises(ValueError, match="measure is 'bleu'"):
        grid.final("w", "bleu")


def test_the_grid_that_ships_is_complete_and_small():
    grid = load_grid()
    assert (grid.divergences, grid.fractions, grid.seeds) == (tuple(BETAS), FRACTIONS, SEEDS)
    for world in grid.worlds:
        assert grid.about["worlds"][world] == arena(world).budget() | {"points": arena(world).points}
        for measure in MEASURES:
            final = grid.final(world, measure)
            assert final.shape == (len(BETAS), len(FRACTIONS), len(SEEDS))
            assert (np.isfinite(final) & (final > 0)).all()
    assert GRID.stat().st_size < 300_000


def test_regret_compares_runs_of_one_seed_with_the_best_cell():
    final = np.array([[[1.0, 2.0], [4.0, 4.0]], [[2.0, 2.0], [3.0, 1.0]]])
    assert regret(final).tolist() == [[[1.0, 1.0], [4.0, 2.0]], [[2.0, 1.0], [3.0, 0.5]]]
