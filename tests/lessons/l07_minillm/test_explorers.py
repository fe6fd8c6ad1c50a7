"""The explorer of clouds: its dots are means over N texts, and its sentence says the bias that they keep."""

import numpy as np
import pytest
import torch

from kd_lab.lessons.l07_minillm.explorers import REPEATS, cloud_explorer
from kd_lab.lessons.l07_minillm.fork import Measured

TRUTH = torch.tensor([3.0, 0.0, 4.0], dtype=torch.float64)
SIDEWAYS = torch.tensor([3.0, 5.0, 4.0], dtype=torch.float64)
NOISE = torch.tensor([[4.0, 0.0, -3.0], [-4.0, 0.0, 3.0]], dtype=torch.float64)


@pytest.fixture(scope="module")
def explorer():
    even = torch.tensor([0.5, 0.5], dtype=torch.float64)
    right, off = (Measured(TRUTH * factor + NOISE, even, TRUTH) for factor in (1, 0.5))
    names = {"plain": right, "exact future, baseline": right, "MiniLLM": off, "token-wise": off}
    one = cloud_explorer({("word-level", name): it for name, it in names.items()}, {"word-level": SIDEWAYS}, seed=0)
    yield one
    one.close()


def draw(explorer, power, name):
    sentence = explorer.draw({"log₂ N": power, "estimator": name, "student": "word-level"}).sentence
    return sentence, np.array(explorer._artists.dots.get_data())


def test_the_dots_lie_around_the_gradient_that_is_estimated(explorer):
    for name, along in (("plain", 1.0), ("MiniLLM", 0.5)):
        _, dots = draw(explorer, 11, name)
        assert dots.shape == (2, REPEATS)
        np.testing.assert_allclose(dots.mean(1), [along, 0], atol=0.02)


def test_more_texts_shrink_the_error_to_the_bias_and_no_further(explorer):
    assert "N = 1: no bias, typically 1.00 gradient lengths off." in draw(explorer, 0, "plain")[0]
    assert "N = 2048: no bias, typically 0.02 gradient lengths off." in draw(explorer, 11, "plain")[0]
    sentence, _ = draw(explorer, 11, "MiniLLM")
    assert "bias 50%, typically 0.50 gradient lengths off; the plain policy gradient: 0.02." in sentence
