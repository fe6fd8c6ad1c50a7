"""Doctored targets keep what they promise to keep."""

import pytest
import torch

from kd_lab.lessons.l01_what.targets import as_sure_as, entropy, top_and


@pytest.fixture
def teacher():
    logits = 2 * torch.randn(50, 27, generator=torch.Generator().manual_seed(0))
    return logits.softmax(-1)


def test_the_top_keeps_its_place_and_probability_and_the_rest_its_proportions(teacher):
    rest = torch.rand(27, generator=torch.Generator().manual_seed(1))
    target = top_and(teacher, rest)
    top = teacher.argmax(-1, keepdim=True)
    torch.testing.assert_close(target.sum(-1), torch.ones(50))
    torch.testing.assert_close(target.gather(-1, top), teacher.gather(-1, top))
    ratio = (target / rest).scatter(-1, top, float("nan"))
    torch.testing.assert_close(ratio.nanmean(-1), (1 - teacher.max(-1).values) / (rest.sum() - rest[top[:, 0]]))


def test_a_temperature_gives_the_teachers_entropy(teacher):
    target = as_sure_as(top_and(teacher, torch.ones(27)), teacher)
    torch.testing.assert_close(entropy(target), entropy(teacher), rtol=1e-3, atol=1e-3)
    assert torch.equal(target.argmax(-1), teacher.argmax(-1))
