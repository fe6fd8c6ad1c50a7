"""The baseline of lesson 07 leaves the expectation of the policy gradient alone."""

import pytest
import torch

from kd_lab.lessons.l07_minillm.baseline import WithBaseline, leave_one_out
from kd_lab.worlds import Batch

MASK = torch.tensor([[True, True, True], [True, True, False], [True, False, False]])


def test_a_text_is_never_its_own_baseline():
    returns = torch.randn(3, 3, generator=torch.Generator().manual_seed(0))
    changed = returns.clone()
    changed[0] += 5.0
    torch.testing.assert_close(leave_one_out(changed, MASK)[0], leave_one_out(returns, MASK)[0])


def test_a_text_without_company_has_no_baseline():
    assert leave_one_out(torch.ones(3, 3), MASK)[0, 2] == 0


@pytest.mark.parametrize("exact", [False, True])
def test_its_expectation_over_all_pairs_of_texts_is_the_exact_gradient(exact):
    """Two letters of one token each, then the end: all pairs of texts of two, weighted by their probability."""
    z = torch.tensor([[0.3, -0.4], [0.1, 0.9], [-0.7, 0.2]], dtype=torch.float64, requires_grad=True)
    p = torch.tensor([[0.0, 0.5], [0.8, -0.3], [0.2, 0.2]], dtype=torch.float64).log_softmax(-1)
    tokens = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]])
    rows = torch.stack([torch.zeros(4, dtype=torch.long), 1 + tokens[:, 0]], 1)  # the prefix decides the row
    q = z.log_softmax(-1)
    own, other = (logp[rows].gather(-1, tokens[..., None]).squeeze(-1).sum(1) for logp in (q, p))
    (wanted,) = torch.autograd.grad((own.exp() * (own - other)).sum(), z, retain_graph=True)
    expected = torch.zeros_like(z)
    for first in range(4):
        for second in range(4):
            both = torch.tensor([first, second])
            batch = Batch(
                torch.cat([torch.zeros(2, 1, dtype=torch.long), tokens[both]], 1), torch.ones(2, 2, dtype=torch.bool)
            )
            loss = WithBaseline(exact)(z[rows[both]], p[rows[both]], batch, normalizer=2)
            (gradient,) = torch.autograd.grad(loss, z, retain_graph=True)
            expected += (own[first] + own[second]).exp().detach() * gradient
    torch.testing.assert_close(expected, wanted)
