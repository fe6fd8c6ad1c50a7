"""The contest: one start, gradients in the order of β, equal first steps where that is asked for."""

import numpy as np
import pytest

from kd_lab.lessons.l03b_between_the_kls import contest
from kd_lab.lessons.l03b_between_the_kls.exercises import jsd_gradient


@pytest.fixture(scope="module")
def teachers():
    return contest.teachers_of(3)[:2]


def test_losses_stand_in_the_order_of_beta():
    assert list(contest.contestants(jsd_gradient)) == [
        "forward KL", "JSD(0.02)", "JSD(0.1)", "JSD(0.5)", "JSD(0.9)", "JSD(0.98)", "reverse KL",
    ]  # fmt: skip


@pytest.mark.parametrize("beta", contest.BETAS)
def test_the_picture_before_the_exercise_takes_the_gradient_that_the_exercise_asks_for(teachers, beta):
    student = np.log(np.full_like(teachers, 1 / 20))
    derived = jsd_gradient(student, teachers, beta)
    np.testing.assert_allclose(contest.library_gradient(student, teachers, beta), derived, rtol=2e-5, atol=1e-7)


def test_near_the_ends_a_jsd_gradient_is_a_small_multiple_of_a_kl_gradient(teachers):
    student = np.log(np.full_like(teachers, 1 / 20))
    near_reverse = jsd_gradient(student, teachers, 0.999999) / 1e-6
    np.testing.assert_allclose(near_reverse, contest.reverse_kl_gradient(student, teachers), atol=1e-4)
    near_forward = jsd_gradient(student, teachers, 1e-6) / 1e-6
    np.testing.assert_allclose(near_forward, contest.forward_kl_gradient(student, teachers), atol=1e-4)


def test_jsd_near_its_ends_has_a_short_gradient_and_no_step_leaves_all_alike(teachers):
    gradients = contest.contestants(jsd_gradient)
    norms = contest.first_norms(teachers, gradients, seed=0)
    assert (norms["JSD(0.98)"] < 0.05 * norms["reverse KL"]).all()
    still = contest.masses(teachers, gradients, dict.fromkeys(gradients, 0.0), seed=0)
    assert np.ptp([*still.values()], axis=0).max() < 1e-12
