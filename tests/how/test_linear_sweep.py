"""The operators of the fused head: they keep the rules of torch.library, and hand their gradients on rightly."""

import pytest
import torch

from kd_lab.how import linear_sweep as module

NUMBERS = torch.tensor([0.5, 1.5, 0.25, 1.0, 0.5, 4.0, torch.inf], dtype=torch.float64)


def inputs(wanted: bool, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    shapes = (2, 3, 4), (7, 4), (7,), (2, 3, 5), (7, 5)
    student, teacher = [], []
    for side, shape in zip((student,) * 3 + (teacher,) * 2, shapes, strict=True):
        side.append(torch.randn(shape, generator=generator).to(dtype))
    student = [tensor.requires_grad_(wanted) for tensor in student]
    mask = torch.tensor([[True, False, True], [True, True, True]])
    labels = torch.arange(6).view(2, 3)
    upstream = torch.ones(2, 3)  # as opcheck brings it: the gradients are given away and would be scaled in place
    return [*student, *teacher, None, mask, labels, upstream, NUMBERS, "jsd", True, "chunked", [wanted] * 3]


@pytest.mark.parametrize("wanted", [True, False])
def test_opcheck_of_the_sweep(wanted):
    torch.library.opcheck(module.linear_sweep, inputs(wanted))


def test_opcheck_of_the_second_sweep():
    *rows, upstream, numbers, divergence, scale_by_t2, backend, _ = inputs(False)
    gradients = [torch.rand_like(tensor) for tensor in rows[:3]]
    options = (upstream, 3 * upstream, numbers, divergence, scale_by_t2, backend)
    torch.library.opcheck(module.linear_sweep_again, (*gradients, *rows, *options))


def test_a_common_factor_scales_and_any_other_upstream_is_swept_anew():
    *rows, upstream, numbers, divergence, scale_by_t2, backend, wanted = inputs(True)
    made = module.linear_sweep(*rows, upstream, numbers, divergence, scale_by_t2, backend, wanted)[1:]
    other = torch.linspace(-1, 2, 6).view(2, 3)
    for came, expected in ((2 * upstream, upstream), (other, upstream), (other, None)):
        got = [gradient.detach().clone() for gradient in made]
        module.linear_sweep_again(*got, *rows, expected, came, numbers, divergence, scale_by_t2, backend)
        exact = module.linear_sweep(*rows, came, numbers, divergence, scale_by_t2, backend, wanted)[1:]
        for mine, theirs in zip(got, exact, strict=True):
            torch.testing.assert_close(mine, theirs)
