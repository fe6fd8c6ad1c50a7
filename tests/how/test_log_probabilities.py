"""Logits where log-probabilities are expected, and shapes that would be broadcast."""

import pytest
import torch

from kd_lab.how import forward_kl, jsd, k1, k2, k3, reverse_kl, skew_kl, skew_reverse_kl, total_variation

TAKE_LOGP = (forward_kl, reverse_kl, jsd, skew_kl, skew_reverse_kl, total_variation, k1, k2, k3)


@pytest.mark.parametrize("function", TAKE_LOGP, ids=lambda function: function.__name__)
def test_logits_and_other_shapes_are_refused(function):
    logits, logp = torch.tensor([[2.0, -1.0, 0.5]]), torch.full((1, 3), 1 / 3).log()
    with pytest.raises(ValueError, match=r"student_logp reaches 2; .* write .log_softmax"):
        function(logits, logp)
    with pytest.raises(ValueError, match="teacher_logp reaches 2"):
        function(logp, logits)
    with pytest.raises(ValueError, match=r"shape"):
        function(logp, logp.expand(2, 3))


def test_half_precision_may_round_above_zero():
    logp = torch.tensor([0.0078, -9.0], dtype=torch.bfloat16)
    assert forward_kl(logp, logp).isfinite()
