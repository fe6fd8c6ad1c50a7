"""Particles: their score is that of their mixture, they rest where they equal the teacher, and runs repeat."""

import pytest
import torch

from kd_lab.lessons.l11b_few_steps import matching
from kd_lab.lessons.l11b_few_steps.matching import (
    FULL,
    GRADIENTS,
    PULLS,
    STARTS,
    TEACHERS,
    WIDTH,
    Training,
    fake_score,
    match_all,
    modes_with_particles,
    start_of,
    train_particles,
)
from kd_lab.worlds import Mixture2D
from kd_lab.worlds.diffusion import NoisyMixture, ring


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_the_fake_score_is_that_of_the_particles_mixture():
    particles = torch.randn(4, 2, generator=generator())
    mixture = NoisyMixture(Mixture2D(weights=[1] * 4, means=particles.numpy(), widths=[WIDTH] * 4))
    x, time = torch.randn(6, 2, generator=generator(1)), torch.tensor(0.4)
    torch.testing.assert_close(fake_score(x, particles, time), mixture.score(x, time.expand(6)), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("objective", sorted(PULLS))
def test_particles_that_equal_the_teacher_are_pulled_nowhere_on_average(objective):
    density = ring(4)
    particles = torch.tensor(density.means, dtype=torch.float32).expand(400, 4, 2)
    time = torch.full((400,), 0.6)
    pull = PULLS[objective](NoisyMixture(density), particles, time, generator())
    assert pull.mean(0).abs().max() < 0.05
    if objective == "reverse":
        assert pull.abs().max() < 1e-4, "equal densities have equal scores, at every point"


@pytest.mark.parametrize("objective", sorted(PULLS))
def test_a_particle_beside_a_single_mode_is_pulled_to_it(objective):
    density = Mixture2D(weights=[1], means=[[0.0, 0.0]], widths=[WIDTH])
    particles = torch.tensor([[[0.5, 0.0]]]).expand(500, 1, 2)
    pull = PULLS[objective](NoisyMixture(density), particles, torch.full((500,), 0.4), generator()).mean((0, 1))
    assert pull[0] < -0.1
    assert abs(pull[1]) < 0.05


def test_every_teacher_can_be_equalled_by_its_particles():
    for density, particles in TEACHERS.values():
        shares = density.weights * particles
        assert abs(shares - shares.round()).max() < 1e-9
        assert set(density.widths) == {WIDTH}


def test_starts_are_where_they_say():
    density, particles = TEACHERS["one heavy"]
    mode, mean, noise = (start_of(where, density, 3, particles, 0).mean((0, 1)) for where in STARTS)
    torch.testing.assert_close(mode, torch.tensor([2.0, 0.0]), atol=0.05, rtol=0)
    torch.testing.assert_close(mean, torch.tensor([18 / 13, 0.0]), atol=0.05, rtol=0)
    torch.testing.assert_close(noise, torch.zeros(2), atol=0.4, rtol=0)


def test_looks_are_taken_when_asked_and_runs_repeat():
    density = ring(3)
    start = start_of("on one mode", density, 2, 6, 0)
    training = Training("reverse", FULL, steps=20)
    looks = train_particles(density, start, training, seed=1, keep=(0, 10))
    assert len(looks) == 3
    torch.testing.assert_close(looks[0], start)
    again = train_particles(density, start, training, seed=1)
    torch.testing.assert_close(looks[-1], again[-1])


def test_noise_shows_a_student_the_modes_it_is_not_on():
    """Short: eight equal modes, from one of them, reverse KL with all noise against little noise."""
    density, particles = TEACHERS["eight equal"]
    start = start_of("on one mode", density, 3, particles, 0)
    kept = {
        name: modes_with_particles(
            train_particles(density, start, Training("reverse", GRADIENTS[name].times, steps=300), 0)[-1], density
        ).mean()
        for name in ("reverse KL, all noise", "reverse KL, little noise")
    }
    assert kept["reverse KL, all noise"] > kept["reverse KL, little noise"] + 1


def test_all_settings_are_run(monkeypatch):
    monkeypatch.setattr(matching, "TEACHERS", {"eight equal": TEACHERS["eight equal"]})
    monkeypatch.setattr(matching, "GRADIENTS", {"short": Training(steps=5)})
    monkeypatch.setattr(matching, "COUNTS", (0, 2))
    runs = match_all(0, runs=2)
    assert set(runs) == {("eight equal", where, "short") for where in STARTS}
    one = runs["eight equal", "on one mode", "short"]
    assert one.places.shape == (3, 24, 2)
    assert one.kept.shape == (3, 2)
    assert one.kept[0].tolist() == [1, 1]
