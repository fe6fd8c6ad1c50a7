"""Adaptive KL: its weights by hand, its ends, and where it is zero."""

import pytest
import torch

from kd_lab.how import forward_kl, reverse_kl
from kd_lab.lessons.l12_the_whole_field.adaptive import AdaptiveKL, head_share
from kd_lab.worlds import Batch

BATCH = Batch.from_tokens(torch.tensor([[0, 1, 2, 0, 0]]), end=0)


def test_the_head_by_hand():
    p = torch.tensor([0.45, 0.05, 0.3, 0.2])  # the head at ½: 0.45 alone, since 0.75 is more
    q = torch.tensor([0.15, 0.25, 0.3, 0.3])  # gaps 0.3; 0.2, 0, 0.1
    assert head_share(q.log(), p.log()).item() == pytest.approx(0.5)
    assert head_share(q.log(), p.log(), head=0.8).item() == pytest.approx(0.5)  # 0.45 and 0.3, whose gap is 0
    assert head_share(q.log(), p.log(), head=0.96).item() == pytest.approx(0.4 / 0.6)
    sure = torch.tensor([0.9, 0.1])
    assert head_share(torch.tensor([0.5, 0.5]).log(), sure.log()).item() == pytest.approx(0.5)  # the first is always in


def test_it_is_the_weighted_sum_and_its_weights_carry_no_gradient():
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, 1, 4, 5, generator=generator, dtype=torch.float64)
    student.requires_grad_()
    q, p = student.log_softmax(-1), teacher.log_softmax(-1)
    weight = head_share(q, p)
    wanted = (weight * forward_kl(q, p) + (1 - weight) * reverse_kl(q, p))[BATCH.mask].mean()
    found = AdaptiveKL()(student, teacher, BATCH)
    assert found.item() == pytest.approx(wanted.item())
    (own,), (theirs,) = (torch.autograd.grad(loss, student) for loss in (found, wanted))
    torch.testing.assert_close(own, theirs)
    assert AdaptiveKL(temperature=2.0)(student, teacher, BATCH).item() < found.item() * 4
    assert AdaptiveKL()(teacher, teacher, BATCH).item() == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(
    ("options", "message"), [({"head": 1.0}, "head is 1.0"), ({"temperature": 0}, "temperature is 0")]
)
def test_impossible_settings_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        AdaptiveKL(**options)
