import pytest

from kd_lab.lessons.l06_gkd.corners import largest_difference, share_of_listed_gradient
from kd_lab.methods import gkd, on_policy, word_level


def test_the_same_recipe_twice_differs_nowhere_and_another_one_does():
    assert largest_difference("echo", word_level(), word_level(), 0, 0, steps=2) == 0
    assert largest_difference("echo", word_level(), on_policy(), 0, 0, steps=2) > 0


def test_drawn_gradients_lie_along_the_listed_one():
    own = gkd(divergence="reverse_kl", on_policy_fraction=1.0)
    assert share_of_listed_gradient(own, 0) == pytest.approx(1, abs=0.15)
    assert share_of_listed_gradient(gkd(divergence="forward_kl", on_policy_fraction=1.0), 0) != pytest.approx(
        1, abs=0.15
    )
