"""The energy distance: exact on the mixture's side, zero on average for exact samples, large for what is elsewhere."""

import math

import numpy as np
import pytest
import torch

from kd_lab.lessons.l11b_few_steps.energy import energy_distance, modes_kept, rice_mean, shares_of, stray_share
from kd_lab.worlds import Mixture2D
from kd_lab.worlds.diffusion import NoisyMixture, ring

ONE = Mixture2D(weights=(1,), means=((0.0, 0.0),), widths=(2.0,))


@pytest.mark.parametrize(("distance", "width"), [(0.0, 1.0), (0.5, 1.0), (3.0, 0.2), (40.0, 0.1)])
def test_the_mean_length_of_a_gaussian(distance, width):
    y = torch.randn(400_000, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * width
    y[:, 0] += distance
    value = rice_mean(torch.tensor(distance, dtype=torch.float64), torch.tensor(width, dtype=torch.float64))
    assert value.item() == pytest.approx(y.norm(dim=1).mean().item(), rel=3e-3)
    if distance == 0:
        assert value.item() == pytest.approx(width * math.sqrt(math.pi / 2), rel=1e-12)


def test_two_points_by_hand():
    """X at ±1 on a line, Y ~ N(0, 4I): 2·E|1 − Y| − 2 − E|Y − Y′|, and the two samples are 2 apart."""
    x = torch.tensor([[-1.0, 0.0], [1.0, 0.0]])
    width = torch.tensor(2.0, dtype=torch.float64)
    expected = 2 * rice_mean(torch.tensor(1.0, dtype=torch.float64), width) - 2 - 2 * math.sqrt(2 * math.pi / 2)
    assert energy_distance(x, ONE) == pytest.approx(expected.item(), rel=1e-12)


def test_exact_samples_score_zero_on_average():
    teacher, generator = NoisyMixture(ring(8)), torch.Generator().manual_seed(0)
    found = np.array([energy_distance(teacher.sample(1_000, generator), teacher.density) for _ in range(30)])
    assert abs(found.mean()) < 3 * found.std() / math.sqrt(30)
    assert found.min() < 0 < found.max(), "unbiased: by chance on either side"


def test_all_samples_at_the_centre_are_far():
    """2·E|Y| − E|Y − Y′|, as for one step of the teacher."""
    assert energy_distance(torch.zeros(500, 2), ring(8)) == pytest.approx(1.456, abs=0.01)


def test_shares_strays_and_modes():
    density = ring(4, weights=(10, 1, 1, 1))
    x = torch.tensor([[2.0, 0.0]] * 18 + [[0.0, 2.1], [0.5, 0.0]])
    torch.testing.assert_close(shares_of(x, density), torch.tensor([0.95, 0.05, 0, 0]))
    assert stray_share(x, density) == pytest.approx(0.05)
    assert modes_kept(x, density) == 2
    assert modes_kept(x, density, least=0.7) == 1  # one sample of twenty is less than 0.7/13
