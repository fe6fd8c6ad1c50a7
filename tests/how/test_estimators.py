"""k1, k2 and k3 by enumeration: what each is on average, as a number and as a loss."""

import torch

from kd_lab.how import forward_kl, k1, k2, k3, reverse_kl

X = torch.tensor([0.7, -0.4, 0.1, 1.2], dtype=torch.float64, requires_grad=True)
Y = torch.tensor([0.2, 0.5, -1.0, 0.9], dtype=torch.float64)


def test_values_by_hand():
    """q(x) = ½ and p(x) = ¼: r = −ln 2."""
    student, teacher = torch.tensor(0.5).log(), torch.tensor(0.25).log()
    ln2 = torch.tensor(2.0).log()
    torch.testing.assert_close(k1(student, teacher), ln2)
    torch.testing.assert_close(k2(student, teacher), ln2**2 / 2)
    torch.testing.assert_close(k3(student, teacher), ln2 - 0.5)


def expectation(estimator) -> torch.Tensor:
    """E over x ~ q, with the drawing itself held fixed: exactly what a sampled loss differentiates on average."""
    q = X.detach().softmax(-1)
    return (q * estimator(X.log_softmax(-1), Y.log_softmax(-1))).sum()


def gradient(loss: torch.Tensor) -> torch.Tensor:
    return torch.autograd.grad(loss, X)[0]


def test_as_values_k1_and_k3_are_unbiased_and_k2_is_not():
    kl = reverse_kl(X.log_softmax(-1), Y.log_softmax(-1))
    torch.testing.assert_close(expectation(k1), kl)
    torch.testing.assert_close(expectation(k3), kl)
    assert 1e-3 < (expectation(k2) - kl).abs() < kl / 2


def test_as_losses_their_gradients_are_nothing_reverse_kl_and_forward_kl():
    teacher = Y.log_softmax(-1)
    torch.testing.assert_close(gradient(expectation(k1)), torch.zeros_like(X), rtol=0, atol=1e-15)
    torch.testing.assert_close(gradient(expectation(k2)), gradient(reverse_kl(X.log_softmax(-1), teacher)))
    torch.testing.assert_close(gradient(expectation(k3)), gradient(forward_kl(X.log_softmax(-1), teacher)))


def test_k2_and_k3_are_never_negative_and_k1_is():
    student, teacher = X.detach().log_softmax(-1), Y.log_softmax(-1)
    assert k1(student, teacher).min() < 0
    assert k2(student, teacher).min() >= 0
    assert k3(student, teacher).min() >= 0
