"""Fresh cases: of the same kind, other numbers, the same for the same seed."""

import numpy as np
import pytest
import torch

from kd_lab.classroom.diagnosis import Case
from kd_lab.teaching.fresh import draw, redrawn, zero_like


def generator():
    return np.random.default_rng(0)


def test_log_probabilities_stay_such_with_their_zeros():
    logp = torch.tensor([[0.5, 0.5, 0.0], [0.2, 0.3, 0.5]]).log()
    new = redrawn(logp, generator(), False)
    assert new.dtype == logp.dtype
    torch.testing.assert_close(new.exp().sum(-1), torch.ones(2))
    assert torch.equal(new == -torch.inf, logp == -torch.inf)
    assert not torch.allclose(new[1], logp[1])


def test_probabilities_stay_such():
    p = np.array([[0.9, 0.1, 0.0]])
    new = redrawn(p, generator(), False)
    np.testing.assert_allclose(new.sum(-1), 1)
    assert new[0, 2] == 0


def test_numbers_keep_their_range_and_infinities():
    assert 0 < redrawn(0.3, generator(), False) < 1
    assert redrawn(2.0, generator(), False) > 0
    assert redrawn(1.0, generator(), False) == 1.0  # a bound is a case of its own
    assert redrawn(np.array([-np.inf, 1.0, -2.0]), generator(), False)[0] == -np.inf


def test_masks_and_ids_change_only_where_nothing_else_does():
    mask, ids = torch.tensor([True, False, True]), torch.tensor([4, 9, 2])
    assert torch.equal(redrawn(mask, generator(), False), mask)
    assert torch.equal(redrawn(ids, generator(), False), ids)
    assert redrawn(mask, generator(), True).sum() == 2
    bold = redrawn(ids, generator(), True)
    assert bold.min() >= 2
    assert bold.max() <= 9


def test_a_model_is_drawn_anew_in_place_so_that_its_optimizer_still_holds_it():
    model = torch.nn.Linear(3, 2)
    before = model.weight.detach().clone()
    assert redrawn(model, generator(), False) is model
    assert not torch.equal(model.weight, before)
    assert model.weight.requires_grad


def test_what_is_no_number_is_handed_on():
    inside = [print, "text", None]
    assert redrawn(inside, generator(), True) == inside


def test_one_seed_is_one_draw_and_a_case_may_draw_itself():
    case = Case("", lambda: (torch.randn(3, generator=torch.Generator().manual_seed(1)), 0.5))
    one, same, other = draw(case, 1), draw(case, 1), draw(case, 2)
    assert torch.equal(one[0], same[0])
    assert not torch.equal(one[0], other[0])
    own = Case("", lambda: (0,), lambda generator: (int(generator.integers(5, 6)),))
    assert draw(own, 7) == (5,)


@pytest.mark.parametrize("value", [torch.ones(2), np.ones(2), (1.0, [True]), {"a": 3.0}])
def test_zeros_have_the_form_of_an_answer(value):
    zeros = zero_like(value)
    assert type(zeros) is type(value)
    assert "1" not in str(zeros)
