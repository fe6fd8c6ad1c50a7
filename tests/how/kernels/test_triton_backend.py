"""`softmax_kl(backend="triton")` in Triton's interpreter, value and gradient, against the formula in fp64."""

import pytest
import torch

from kd_lab.how import softmax_kl

pytest.importorskip("triton", reason="Triton has wheels for Linux only")

DIVERGENCES = ("forward_kl", "reverse_kl", "jsd", "skew_kl", "total_variation")


def logits(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> torch.Tensor:
    return (2 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))).to(dtype)


def loss_and_gradient(student: torch.Tensor, teacher: torch.Tensor, upstream: torch.Tensor | None, **options):
    student = student.clone().requires_grad_()
    loss = softmax_kl(student, teacher, **options)
    loss.backward(upstream)
    return loss.detach(), student.grad


@pytest.mark.parametrize("divergence", DIVERGENCES)
@pytest.mark.parametrize("vocabulary", [7, 1271])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_value_and_gradient_are_those_of_the_formula(divergence, vocabulary, dtype):
    student, teacher = logits(2, 3, vocabulary, dtype=dtype), logits(2, 3, vocabulary, dtype=dtype, seed=1)
    mask = torch.tensor([[True, True, False], [True, False, True]])
    upstream = torch.tensor([[0.5, -2.0, 7.0], [1.0, 1.0, 0.25]])
    options = {"divergence": divergence, "beta": 0.3, "temperature": 2.0, "mask": mask, "reduction": "none"}
    value, gradient = loss_and_gradient(student, teacher, upstream, backend="triton", **options)
    exact, exact_gradient = loss_and_gradient(
        student.double(), teacher.double(), upstream.double(), backend="reference", **options
    )
    torch.testing.assert_close(value.double(), exact, rtol=2e-5, atol=1e-6)
    coarse = dtype == torch.bfloat16
    torch.testing.assert_close(
        gradient.double(), exact_gradient, rtol=8e-3 if coarse else 2e-4, atol=1e-5 if coarse else 1e-6
    )
    assert (gradient[~mask] == 0).all()


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_shifted_views_are_read_where_they_lie(divergence):
    student, teacher = logits(2, 4, 300), logits(2, 4, 300, seed=1)
    views = student[:, :-1], teacher[:, 1:]
    ours = softmax_kl(*views, divergence=divergence, backend="triton")
    copied = softmax_kl(views[0].contiguous(), views[1].contiguous(), divergence=divergence, backend="triton")
    exact = softmax_kl(views[0].double(), views[1].double(), divergence=divergence)
    torch.testing.assert_close(ours, copied)
    torch.testing.assert_close(ours.double(), exact, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_columns_that_both_forbid_add_nothing(divergence):
    student, teacher = logits(3, 40), logits(3, 40, seed=1)
    student[:, 30:], teacher[:, 30:] = -torch.inf, -torch.inf
    value, gradient = loss_and_gradient(student, teacher, None, divergence=divergence, backend="triton")
    exact = softmax_kl(student[:, :30].double(), teacher[:, :30].double(), divergence=divergence)
    torch.testing.assert_close(value.double(), exact, rtol=1e-5, atol=1e-6)
    assert gradient.isfinite().all()
    assert (gradient[:, 30:] == 0).all()


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_a_graph_that_is_kept_gives_the_same_gradient_again(divergence):
    student, teacher = logits(2, 50).requires_grad_(), logits(2, 50, seed=1)
    loss = softmax_kl(student, teacher, divergence=divergence, backend="triton")
    first, second = (torch.autograd.grad(loss, student, retain_graph=True)[0] for _ in range(2))
    torch.testing.assert_close(first, second, rtol=1e-6, atol=1e-8)


def test_nothing_that_counts_is_a_loss_of_zero():
    value, gradient = loss_and_gradient(
        logits(2, 9), logits(2, 9, seed=1), None, mask=torch.zeros(2, dtype=torch.bool), backend="triton"
    )
    assert value == 0
    assert (gradient == 0).all()


@pytest.mark.parametrize("distance", [1e-1, 1e-2, 1e-3])
@pytest.mark.parametrize("divergence", ["forward_kl", "reverse_kl"])
def test_near_convergence_it_keeps_its_digits_and_its_sign(divergence, distance):
    teacher = logits(4, 2000)
    student = teacher + distance * logits(4, 2000, seed=1)
    options = {"divergence": divergence, "reduction": "none"}
    student.requires_grad_()
    value = softmax_kl(student, teacher, backend="triton", **options)
    exact = softmax_kl(student.detach().double(), teacher.double(), **options)
    assert (value >= 0).all()
    torch.testing.assert_close(value.detach().double(), exact, rtol=1e-4, atol=1e-9)
