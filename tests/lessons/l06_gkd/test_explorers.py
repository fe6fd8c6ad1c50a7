import numpy as np
import pytest
import torch

from kd_lab.how import forward_kl, jsd, reverse_kl
from kd_lab.lessons.l06_gkd.explorers import (
    READINGS,
    beta_explorer,
    cosine,
    grid_explorer,
    heat_map,
    move_heat,
    pull,
    read_as,
)
from kd_lab.viz import new_figure
from kd_lab.viz.sweep import sweep

Q = torch.tensor([0.03, 0.45, 0.30, 0.07, 0.15], dtype=torch.float64).log()
P = torch.tensor([0.55, 0.25, 0.10, 0.07, 0.03], dtype=torch.float64).log()


class SmallGrid:
    worlds = ("names", "echo")
    divergences = ("forward_kl", "jsd", "reverse_kl")
    fractions = (0.0, 0.5, 1.0)

    def points(self, world):
        return [0, 10, 20]

    def curves(self, world, divergence, fraction, measure):
        end = 1 + self.divergences.index(divergence) + fraction + 4 * (measure == "reverse_kl")
        return np.array([[6.0, 3.0, end], [6.0, 4.0, end + 0.5]])

    def final(self, world, measure):
        return np.array([[self.curves(world, d, f, measure)[:, -1] for f in self.fractions] for d in self.divergences])

    def samples(self, world, divergence, fraction):
        return ["anna", "", "bo"]


def test_a_heat_map_shows_values_and_colours_their_ratio_to_the_best():
    axes = new_figure().subplots()
    heat = heat_map(axes, ("forward_kl", "jsd"), (0.0, 1.0))
    move_heat(heat, np.array([[2.0, 3.0], [8.0, 2.5]]))
    assert heat.image.get_array().tolist() == [[1.0, 1.5], [4.0, 1.25]]
    assert [[text.get_text() for text in row] for row in heat.texts] == [["2.00", "3.00"], ["8.00", "2.50"]]
    assert heat.texts[1][0].get_color() == "white"
    assert [label.get_text() for label in axes.get_yticklabels()] == ["forward KL", "JSD"]


def test_the_grid_explorer_reads_out_the_chosen_cell_and_the_best_one():
    explorer = grid_explorer(SmallGrid())
    explorer.set({"λ": 1.0, "divergence": "JSD", "judged": "echo, KL(Q‖P)"})
    assert "JSD with λ = 1 on echo ends at KL(Q‖P) = 7.25" in explorer.sentence
    assert "1.38 × the best (forward KL, λ = 0)" in explorer.sentence
    explorer.set({"λ": 0.0, "divergence": "forward KL", "judged": "echo, KL(Q‖P)"})
    assert explorer.sentence.endswith("the best cell.")
    assert sweep(explorer) > 8
    explorer.close()


def test_readings_of_one_number():
    torch.testing.assert_close(read_as(READINGS[0], 0.3, Q, P), jsd(Q, P, 0.3))
    torch.testing.assert_close(read_as(READINGS[1], 0.3, Q, P), jsd(Q, P, 0.7))
    assert read_as(READINGS[2], 1e-6, Q, P).item() == pytest.approx(forward_kl(Q, P).item(), rel=1e-3)
    assert read_as(READINGS[2], 1 - 1e-6, Q, P).item() == pytest.approx(reverse_kl(Q, P).item(), rel=1e-3)
    with pytest.raises(ValueError, match="reading is 'beta'"):
        read_as("beta", 0.5, Q, P)


def test_the_pull_is_minus_the_gradient_by_the_logits():
    logits = 3 + Q  # a constant on all logits changes nothing
    assert pull(forward_kl, logits, P) == pytest.approx((P.exp() - Q.exp()).numpy())
    assert cosine(np.array([1.0, 0.0]), np.array([1.0, 1.0])) == pytest.approx(0.5**0.5)


def test_the_beta_explorer_tells_size_and_direction():
    explorer = beta_explorer(Q, P, "abcde")
    explorer.set({"the number": 0.98, "read as": READINGS[0]})
    assert "with reverse KL's 1.00" in explorer.sentence
    force = np.linalg.norm(pull(lambda q, p: jsd(q, p, 0.98), Q, P)) / np.linalg.norm(pull(forward_kl, Q, P))
    assert f"{force:.2g} times as long" in explorer.sentence
    assert sweep(explorer) > 6
    explorer.close()
