"""The autograd rule of an operator whose forward pass makes its gradient, on one that is easily derived: Σ x²."""

import pytest
import torch
from torch import Tensor

from kd_lab.how.early_gradient import EarlyGradient

CALLS = []


@torch.library.custom_op("kd_lab_tests::squares", mutates_args=())
def squares(x: Tensor, constant: Tensor, expected: Tensor, name: str) -> tuple[Tensor, Tensor, Tensor]:
    """Σ constant·x² of each row, a number that is kept, and the gradient for the upstream that is expected."""
    return (constant * x * x).sum(-1), constant.clone(), 2 * constant * x * expected[:, None]


@squares.register_fake
def _(x, constant, expected, name):
    return x.new_empty(x.shape[:-1]), torch.empty_like(constant), torch.empty_like(x)


def meet(gradients, inputs, upstream):
    CALLS.append("meet")
    factor = (upstream / inputs[2]).unique()
    return None if len(factor) > 1 else [gradients[0].mul_(factor)]


def anew(inputs, kept, upstream):
    CALLS.append("anew")
    x, _, _, name = inputs
    assert name == "squares"
    return [2 * kept[0] * x * upstream[:, None]]


RULE = EarlyGradient(
    "squares", early=lambda _, others: others[1:], meet=meet, anew=anew, keep=lambda others: others[:1]
)
squares.register_autograd(RULE.backward, setup_context=RULE.setup_context)


def loss_of(x: Tensor, expected: float = 1.0) -> Tensor:
    return squares(x, torch.tensor(3.0), torch.full((2,), expected), "squares")[0]


def leaf() -> Tensor:
    return torch.tensor([[1.0, 2.0], [-1.0, 0.5]], requires_grad=True)


@pytest.mark.parametrize(("upstream", "calls"), [([2.0, 2.0], ["meet"]), ([1.0, -2.0], ["meet", "anew"])])
def test_the_gradient_meets_the_upstream_or_is_made_anew(upstream, calls):
    CALLS.clear()
    x, upstream = leaf(), torch.tensor(upstream)
    loss_of(x, expected=0.5).backward(upstream)
    torch.testing.assert_close(x.grad, 6 * x.detach() * upstream[:, None])
    assert calls == CALLS


def test_it_is_handed_over_once_without_a_copy_and_made_anew_after():
    CALLS.clear()
    x = leaf()
    losses, _, gradient = squares(x, torch.tensor(3.0), torch.ones(2), "squares")
    address = gradient.data_ptr()
    del gradient
    losses.sum().backward(retain_graph=True)
    assert x.grad.data_ptr() == address
    losses.sum().backward(retain_graph=True)
    losses.sum().backward()
    torch.testing.assert_close(x.grad, 18 * x.detach())
    assert CALLS == ["meet", "anew", "anew"]
    with pytest.raises(RuntimeError, match="second time"):
        losses.sum().backward()


def test_logits_that_were_overwritten_are_noticed():
    x = leaf()
    y = 2 * x
    losses = loss_of(y)
    y.mul_(2)
    with pytest.raises(RuntimeError, match="inplace"):
        losses.sum().backward()


def test_a_derivative_of_the_gradient_is_refused_also_where_it_looks_constant():
    x = leaf()
    for use in (
        lambda: torch.autograd.grad(loss_of(x).sum(), x, create_graph=True),
        lambda: torch.autograd.functional.hessian(lambda x: loss_of(x).sum(), x),
    ):
        with pytest.raises(ValueError, match=r"squares.*create_graph.*backend=\"reference\""):
            use()
