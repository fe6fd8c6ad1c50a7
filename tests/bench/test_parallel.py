"""Two processes do the work of one: equal gradients of one batch, and a speed for each method."""

import pytest
import torch
import torch.distributed as dist

from kd_lab.bench.parallel import METHODS, in_processes


@pytest.mark.skipif(not dist.is_available(), reason="this build of torch has no torch.distributed")
def test_two_processes_give_the_gradient_of_one():
    one, two = (in_processes(processes, steps=2) for processes in (1, 2))
    torch.testing.assert_close(two["gradient"], one["gradient"], rtol=1e-6, atol=1e-12)
    assert all(answers[method().name] > 0 for answers in (one, two) for method in METHODS)
