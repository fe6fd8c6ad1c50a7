import math

import pytest
import torch

from kd_lab.how import reverse_kl
from kd_lab.how.skew_reverse import SkewReverse, skew_reverse_kl
from kd_lab.worlds import Batch

P = torch.tensor([0.5, 0.25, 0.25], dtype=torch.float64)
Q = torch.tensor([0.125, 0.125, 0.75], dtype=torch.float64)


def test_a_hand_computed_case():
    # β = ½: m = (0.3125, 0.1875, 0.5)
    expected = 0.125 * math.log(0.4) + 0.125 * math.log(2 / 3) + 0.75 * math.log(1.5)
    assert skew_reverse_kl(Q.log(), P.log(), beta=0.5).item() == pytest.approx(expected)


def test_it_is_zero_at_equality_bounded_and_tends_to_reverse_kl():
    assert skew_reverse_kl(P.log(), P.log(), beta=0.3).item() == pytest.approx(0, abs=1e-15)
    one, other = torch.tensor([1.0, 0.0]).log(), torch.tensor([0.0, 1.0]).log()
    assert skew_reverse_kl(one, other, beta=0.9).item() == pytest.approx(-math.log(0.1))
    assert skew_reverse_kl(Q.log(), P.log(), beta=1 - 1e-9).item() == pytest.approx(reverse_kl(Q.log(), P.log()).item())


@pytest.mark.parametrize("hold_mixture", [False, True])
def test_as_a_choice_it_averages_over_counted_positions(hold_mixture):
    student = torch.stack([Q, P, Q]).log()[None].requires_grad_()
    teacher = torch.stack([P, P, Q * 0 + 1 / 3]).log()[None]
    batch = Batch(torch.tensor([[0, 1, 2, 0]]), torch.tensor([[True, True, False]]))
    loss = SkewReverse(0.9, hold_mixture)(student, teacher, batch)
    assert loss.item() == pytest.approx(skew_reverse_kl(Q.log(), P.log(), 0.9).item() / 2)
    loss.backward()
    assert student.grad[0, 2].abs().sum() == 0


def test_a_held_mixture_gets_no_gradient():
    # ∇_logits Σ q·log(q/m) at a fixed m is q·(log(q/m) − KL)
    student = Q.log()[None, None].clone().requires_grad_()
    batch = Batch(torch.tensor([[0, 1]]), torch.tensor([[True]]))
    SkewReverse(0.9, hold_mixture=True)(student, P.log()[None, None], batch).backward()
    ratio = (Q / (0.9 * P + 0.1 * Q)).log()
    torch.testing.assert_close(student.grad[0, 0], Q * (ratio - (Q * ratio).sum()))


@pytest.mark.parametrize("beta", [0.0, 1.0, 1.2])
def test_the_ends_are_refused(beta):
    with pytest.raises(ValueError, match="expected 0 < beta < 1"):
        SkewReverse(beta)
