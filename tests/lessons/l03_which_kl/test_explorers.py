"""What the explorers of lesson 03 say is what they show."""

import numpy as np

from kd_lab.lessons.l03_which_kl.explorers import descent_explorer, mode_explorer, valley
from kd_lab.lessons.l03_which_kl.figures import X
from kd_lab.worlds.densities import two_hills


def test_reverse_kl_lets_go_between_two_presets():
    explorer = mode_explorer()
    assert "covers both modes" in explorer.draw(explorer.presets["at the brink"]).sentence
    assert "keeps one mode of two" in explorer.draw(explorer.presets["just let go"]).sentence
    assert "the direction matters little" in explorer.draw({"second mode at": -1.5}).sentence
    explorer.close()


def test_half_of_a_flat_density_between_the_modes_lies_in_the_valley():
    flat = ((X > -2) & (X < 3)).astype(float)
    assert abs(valley(flat, two_hills(second=3.0)) - 0.5) < 0.02


def test_the_start_decides_the_mode():
    explorer = descent_explorer()
    said = [explorer.draw({"mean": mean, "width": 0.8}).sentence for mean in (-1.5, 1.5)]
    assert "to the left mode" in said[0]
    assert "to the right mode" in said[1]
    forward = explorer.draw({"mean": 1.5, "direction": "forward KL"}).sentence
    assert "a place over both modes" in forward
    assert np.isfinite(explorer._artists.path.get_xdata()).all()
    explorer.close()
