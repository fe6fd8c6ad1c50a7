"""Bias and variance of an estimate by enumeration, held against samples and against the policy gradient."""

import pytest
import torch

from kd_lab.measure import every_text, joint, mean_and_variance, root_mean_square_error
from kd_lab.measure.exact import prefixes
from kd_lab.worlds import language

END = 0


def test_every_text_is_listed_once_and_none_is_missing():
    batch = every_text(3, 4)
    rows = [tuple(row) for row in batch.targets.tolist()]
    assert len(set(rows)) == len(rows) == 1 + 2 + 4 + 8 + 16  # ended after 0 … 3 letters, or never
    assert (batch.targets[~batch.mask] == END).all()
    assert (batch.mask.sum(1) == torch.tensor([row.index(END) + 1 if END in row else 4 for row in rows])).all()


def test_every_text_of_an_exact_language_has_all_of_its_probability():
    echo = language("echo")
    size, length = len(echo.vocabulary), echo.length
    place = torch.tensor([size**k for k in reversed(range(length))])
    numbers = (every_text(size, length).targets * place).sum(1)
    assert (prefixes(size, length)[numbers] == every_text(size, length).targets).all()
    assert joint(list(echo.logp))[numbers].exp().sum().item() == pytest.approx(1, abs=1e-9)


def test_mean_and_variance_are_those_of_many_samples():
    generator = torch.Generator().manual_seed(0)
    gradients = torch.randn(6, 3, generator=generator, dtype=torch.float64)
    probabilities = torch.rand(6, generator=generator, dtype=torch.float64).softmax(-1)
    mean, variance = mean_and_variance(gradients, probabilities)
    drawn = gradients[torch.multinomial(probabilities, 200_000, replacement=True, generator=generator)]
    torch.testing.assert_close(drawn.mean(0), mean, rtol=0, atol=0.02)
    assert drawn.var(0).sum().item() == pytest.approx(variance, rel=0.02)


def test_the_error_of_a_mean_falls_to_the_bias():
    assert root_mean_square_error(0.0, 4.0, 1) == 2
    assert root_mean_square_error(0.0, 4.0, 16) == 0.5
    assert root_mean_square_error(1.0, 4.0, 10**12) == pytest.approx(1)


def test_an_incomplete_list_is_refused():
    with pytest.raises(ValueError, match=r"sum to 0\.5"):
        mean_and_variance(torch.zeros(1, 2), torch.tensor([0.5]))
    with pytest.raises(ValueError, match="samples is 0"):
        root_mean_square_error(1.0, 1.0, 0)
