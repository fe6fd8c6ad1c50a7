import pytest
import torch

from kd_lab.lessons.l06_gkd.explorers import fault_explorer
from kd_lab.lessons.l06_gkd.faults import (
    LETTERS,
    SEEDS,
    VARIANTS,
    batchmean,
    end_dropped,
    healthy,
    lettered,
    mask_in_the_sum_only,
    off_by_one,
    stored,
    train,
)
from kd_lab.viz.sweep import sweep
from kd_lab.worlds import Batch


@pytest.fixture
def example():
    """Student and teacher logits for one text of three positions and one of two, and their batch."""
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, 2, 3, 4, generator=generator)
    return student, teacher, Batch.from_tokens(torch.tensor([[0, 1, 2, 0], [0, 3, 0, 0]]), end=0)


def test_batchmean_is_the_healthy_loss_times_positions_per_text(example):
    assert batchmean(*example, 0) == pytest.approx(healthy(*example, 0).item() * 5 / 2)


def test_a_mask_in_the_sum_alone_shrinks_the_loss_by_the_counted_share(example):
    assert mask_in_the_sum_only(*example, 0) == pytest.approx(healthy(*example, 0).item() * 5 / 6)


def test_off_by_one_is_content_with_a_student_that_is_late(example):
    _, teacher, batch = example
    late = torch.cat([torch.zeros(2, 1, 4), teacher[:, :-1]], 1)
    assert off_by_one(late, teacher, batch, 0) == pytest.approx(0, abs=1e-6)
    assert healthy(late, teacher, batch, 0) > 0.1


def test_a_dropped_end_leaves_its_logit_without_a_gradient(example):
    student, teacher, batch = example
    student.requires_grad_()
    end_dropped(student, teacher, batch, 0).backward()
    assert student.grad[..., 0].abs().max() == 0
    assert student.grad[..., 1:].abs().max() > 0


def test_the_file_holds_every_variant_with_every_seed():
    assert all([run["seed"] for run in runs] == list(SEEDS) for runs in stored().values())
    assert list(stored()) == list(VARIANTS)
    assert sorted(LETTERS.values()) == sorted(set(VARIANTS) - {"healthy"})


def test_the_stored_beginnings_are_what_training_gives():
    """The first point is before the first update, so that no rounding has been amplified yet."""
    run, (first, *_) = train("batchmean", seed=0, steps=6), stored()["batchmean"]
    assert run["shown"][0] == pytest.approx(first["shown"][0], rel=1e-3)
    assert run["forward_kl"][0] == pytest.approx(first["forward_kl"][0], rel=1e-3)


def test_the_stored_runs_bear_out_what_the_lesson_says_about_them():
    ends = {
        title: {key: sum(run[key][-1] for run in runs) / len(runs) for key in ("shown", "forward_kl", "reverse_kl")}
        | {"length": sum(run["length"] for run in runs) / len(runs)}
        for title, runs in lettered().items()
    }
    sound = ends["healthy"]
    assert min(ends, key=lambda title: ends[title]["shown"]) == "run H"
    assert ends["run C"]["shown"] / sound["shown"] == pytest.approx(7, rel=0.15)
    for letter in "AC":
        assert ends[f"run {letter}"]["forward_kl"] == pytest.approx(sound["forward_kl"], rel=0.1)
    assert abs(ends["run B"]["shown"] / sound["shown"] - 1) < 0.2
    assert ends["run B"]["forward_kl"] > 5 * sound["forward_kl"]
    assert ends["run D"]["length"] > 1.5 * sound["length"]
    assert ends["run E"]["forward_kl"] > 1.5 * sound["forward_kl"]
    assert ends["run E"]["reverse_kl"] < 1.25 * sound["reverse_kl"]
    for letter in "FG":
        assert ends[f"run {letter}"]["forward_kl"] > sound["forward_kl"]
        assert abs(ends[f"run {letter}"]["shown"] / sound["shown"] - 1) < 0.1


def test_the_explorer_shows_every_run_beside_the_healthy_one():
    explorer = fault_explorer(lettered())
    explorer.set({"run": "run D"})
    assert "run D ends with a loss of" in explorer.sentence
    assert sweep(explorer) >= len(VARIANTS)
    explorer.close()
