"""The benchmark compares equal things, and its measure of memory sees what is allocated."""

import pytest
import torch

from kd_lab.bench.losses import TEMPERATURE, eager, linear_paths, logits_paths, peak_memory, table
from kd_lab.how import softmax_kl


@pytest.mark.parametrize("divergence", ["forward_kl", "reverse_kl", "jsd"])
def test_the_eager_formula_is_the_same_loss(divergence):
    student, teacher = torch.randn(5, 40, requires_grad=True), torch.randn(5, 40)
    ours, theirs = (
        softmax_kl(student, teacher, divergence=divergence, temperature=TEMPERATURE),
        eager(student, teacher, divergence),
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=0)
    gradients = (torch.autograd.grad(loss, student)[0] for loss in (ours, theirs))
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-7)


def test_peak_memory_sees_a_tensor_that_came_and_went():
    size = 2**26
    peak = peak_memory(lambda: torch.ones(size // 4).sum())
    if peak is None:
        pytest.skip("this system keeps no account of peak memory")
    assert 0.9 * size < peak < 1.5 * size


def test_a_line_for_every_path():
    for paths in (logits_paths("jsd", 8, 50, compiled=False), linear_paths(8, 50, 4)):
        lines = table("small", paths, 4 * 8 * 50, rounds=1).splitlines()
        assert [line.split()[1] for line in lines] == list(paths)
