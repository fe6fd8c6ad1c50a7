"""Heads on frozen features: with no share of the student's own answer they need no confidence loss."""

import torch

from kd_lab.lessons.l10_weak_to_strong.exercises import confidence_loss
from kd_lab.lessons.l10_weak_to_strong.heads import cross_entropy, train_heads


def test_without_confidence_the_loss_is_plain_cross_entropy_to_the_bit():
    """A class's package has no confidence loss before its exercise, and the students before it need none."""
    generator = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(64, generator=generator), torch.rand(64, generator=generator)
    assert torch.equal(cross_entropy(logits, labels), confidence_loss(logits, labels, 0.0, 0.5))

    def missing(*_):
        raise AssertionError("asked for")

    features, few = torch.randn(2, 70, 3, generator=generator), torch.rand(2, 70, generator=generator)
    assert train_heads(features, few, loss=missing).isfinite().all()
