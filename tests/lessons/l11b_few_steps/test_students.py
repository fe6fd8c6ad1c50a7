"""The students of lesson 11b: their targets are what they are called, and a little training goes the right way."""

import copy

import pytest
import torch

from kd_lab.lessons.l11b_few_steps import students
from kd_lab.lessons.l11b_few_steps.energy import energy_distance
from kd_lab.lessons.l11b_few_steps.exercises import consistency_target, two_step_target
from kd_lab.worlds.diffusion import NoisyMixture, ode_step, ring, sample_path

TEACHER = NoisyMixture(ring(8))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def beginner():
    return students.denoiser(TEACHER, seed=0, steps=250)


def one_step(model):
    noise = torch.randn(1_000, 2, generator=generator(9))
    with torch.no_grad():
        return energy_distance(sample_path(model, noise, 1)[-1], TEACHER.density)


def test_the_network_s_shape_and_its_seed():
    x, time = torch.randn(5, 2, generator=generator()), torch.rand(5, generator=generator())
    assert students.VelocityNet(seed=1)(x, time).shape == (5, 2)
    torch.testing.assert_close(students.VelocityNet(seed=1)(x, time), students.VelocityNet(seed=1)(x, time))
    assert not students.VelocityNet(seed=2)(x, time).equal(students.VelocityNet(seed=1)(x, time))


def test_the_exercises_targets_are_the_lesson_s():
    x, y = torch.randn(2, 7, 2, generator=generator())
    time = 0.3 + 0.7 * torch.rand(7, generator=generator())
    later = time / 2
    torch.testing.assert_close(two_step_target(x, y, time, later), students.two_step_target(x, y, time, later))
    net = students.VelocityNet()
    mine, theirs = (
        one(TEACHER.velocity, net, x, time, later) for one in (consistency_target, students.neighbours_answer)
    )
    torch.testing.assert_close(mine, theirs)
    assert not theirs.requires_grad


def test_a_perfect_halving_has_no_loss():
    """A model that answers with the target itself."""

    class Perfect(torch.nn.Module):
        def forward(self, x, time):
            middle, later = time - 0.125, time - 0.25
            once = ode_step(x, TEACHER.velocity(x, time), time, middle)
            twice = ode_step(once, TEACHER.velocity(once, middle), middle, later)
            return students.two_step_target(x, twice, time, later)

    loss = students.halving(TEACHER, TEACHER.velocity, 4)
    assert loss(Perfect(), generator()).item() < 1e-9
    assert loss(students.VelocityNet(), generator()).item() > 0.1


def test_a_denoiser_lands_in_the_middle_and_its_student_does_not(beginner):
    halved = students.progressive(TEACHER, beginner, seed=0, steps=40)
    assert list(halved) == [16, 8, 4, 2, 1]
    assert one_step(beginner) > 1
    assert one_step(halved[1]) < 0.5


def test_consistency_and_straight_regression_leave_the_middle(beginner):
    agreeing = students.consistency(TEACHER, beginner, seed=0, steps=200)
    straight = students.endpoint_regression(*students.endpoint_pairs(TEACHER, seed=1))
    direct = students.fit(copy.deepcopy(beginner), straight, steps=200, seed=0)
    assert one_step(agreeing) < 0.5
    assert one_step(direct) < 0.5


def test_training_leaves_the_beginner_alone(beginner):
    before = copy.deepcopy(beginner.state_dict())
    students.consistency(TEACHER, beginner, seed=0, steps=2)
    students.progressive(TEACHER, beginner, seed=0, steps=1, stops=(2, 1))
    assert all(before[name].equal(value) for name, value in beginner.state_dict().items())


def test_a_consistency_path_keeps_the_point_at_time_zero():
    noise = torch.randn(50, 2, generator=generator())
    path = students.consistency_path(TEACHER.velocity, noise, 3, generator())
    assert len(path) == 3
    assert all(point.shape == (50, 2) for point in path)
    torch.testing.assert_close(path[0], -TEACHER.velocity(noise, torch.ones(50)), atol=1e-5, rtol=0)


def test_pairs_are_noise_and_the_teacher_s_end(monkeypatch):
    monkeypatch.setattr(students, "PAIRS", 20)
    noise, end = students.endpoint_pairs(TEACHER, seed=3)
    torch.testing.assert_close(end, sample_path(TEACHER.velocity, noise, 32)[-1])
