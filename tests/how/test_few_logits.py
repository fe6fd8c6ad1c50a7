"""Few logits: the formula to the last bit, its second derivative, and its answer where something is infinite."""

import math

import pytest
import torch
from logit_pairs import every_divergence, exact, pair, value_and_gradient

from kd_lab.how import few_logits, softmax_kl
from kd_lab.how.divergences import DIVERGENCES

SHAPES = [(7, 5), (64, 27), (4, 13, 27), (5, 1)]


def options(shape: tuple[int, ...], divergence: str, temperature: float, masked: bool) -> dict:
    mask = torch.rand(shape[:-1], generator=torch.Generator().manual_seed(1)) > 0.4 if masked else None
    return {"divergence": divergence, "beta": 0.3, "temperature": temperature, "mask": mask}


@every_divergence
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("temperature", [1.0, 2.0])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_it_is_the_formula_to_the_last_bit(divergence, shape, temperature, masked, reduction, monkeypatch):
    """So that a run gives the same weights whichever of the two its losses came from."""
    student, teacher = pair(*shape)
    given = options(shape, divergence, temperature, masked) | {"reduction": reduction}
    given["weights"] = torch.rand(shape[:-1], generator=torch.Generator().manual_seed(2)) if masked else None
    wanted = value_and_gradient(student, teacher, upstream=0.7, backend="reference", **given)
    called = []
    kept = few_logits._Formula.backward
    monkeypatch.setattr(few_logits._Formula, "backward", lambda *a: called.append(a) or kept(*a))
    for mine, theirs in zip(value_and_gradient(student, teacher, upstream=0.7, **given), wanted, strict=True):
        assert torch.equal(mine, theirs)
    assert called, "the formula itself answered"


@pytest.mark.parametrize("divergence", [name for name, entry in DIVERGENCES.items() if entry.is_mixture])
@pytest.mark.parametrize("masked", [False, True])
def test_one_chunk_is_the_chunked_path_to_the_last_bit(divergence, masked):
    shape = (64, 12, 27)
    student, teacher = pair(*shape)
    given = options(shape, divergence, 2.0, masked)
    for upstream in (1.0, 0.3):
        mine, theirs = (
            value_and_gradient(student, teacher, upstream=upstream, backend=backend, **given)
            for backend in ("auto", "chunked")
        )
        for one, other in zip(mine, theirs, strict=True):
            assert torch.equal(one, other)


@every_divergence
@pytest.mark.parametrize("rows", [2**13 // 32, 2**13 // 32 + 1, 2**17 // 32, 2**17 // 32 + 1])
@pytest.mark.parametrize("normalizer", [None, torch.tensor(0)])
def test_where_no_position_counts_value_and_gradient_are_zero(divergence, rows, normalizer):
    """On both sides of the two sizes at which other code takes over."""
    student, teacher = pair(rows, 32)
    given = {"divergence": divergence, "mask": torch.zeros(rows, dtype=torch.bool), "normalizer": normalizer}
    value, gradient = value_and_gradient(student, teacher, **given)
    assert value == 0
    assert gradient.eq(0).all()


@every_divergence
def test_the_second_derivative_is_that_of_the_formula(divergence):
    for shape in ((3, 5), (320, 27)):
        student, teacher = pair(*shape, spread=1.0)
        given = options(shape, divergence, 2.0, True)
        found = []
        for backend in ("auto", "reference"):
            leaf = student.clone().requires_grad_()
            loss = softmax_kl(leaf, teacher, backend=backend, **given)
            (gradient,) = torch.autograd.grad(loss, leaf, create_graph=True)
            found.append(torch.autograd.grad(gradient.square().sum(), leaf)[0])
        assert found[1].any() or divergence == "total_variation"
        torch.testing.assert_close(*found, rtol=1e-4, atol=1e-9)


@every_divergence
def test_a_retained_graph_gives_its_gradient_twice(divergence):
    for shape in ((3, 5), (320, 27)):
        student, teacher = pair(*shape)
        leaf = student.clone().requires_grad_()
        loss = softmax_kl(leaf, teacher, divergence=divergence)
        once = torch.autograd.grad(loss, leaf, retain_graph=True)[0].clone()
        loss.backward(retain_graph=True)
        loss.backward()
        torch.testing.assert_close(leaf.grad, 2 * once)
        with pytest.raises(RuntimeError, match="second time"):
            loss.backward()


@every_divergence
def test_what_is_infinite_is_left_to_the_formula(divergence):
    student, teacher = pair(6, 27)
    student[:, 3] = teacher[:, 3] = -math.inf  # a masked vocabulary
    student[5], mask = math.nan, torch.arange(6) < 5
    given = {"divergence": divergence, "temperature": 2.0, "mask": mask}
    value, gradient = value_and_gradient(student, teacher, **given)
    exact_value, exact_gradient = exact(student, teacher, **given)
    torch.testing.assert_close(value.double(), exact_value, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(gradient.double(), exact_gradient, rtol=1e-4, atol=1e-7)
    assert gradient[5].eq(0).all()


@every_divergence
@pytest.mark.parametrize("backend", ["auto", "reference", "chunked"])
@pytest.mark.parametrize("rows", [2**13 // 32, 2**13 // 32 + 1, 2**17 // 32, 2**17 // 32 + 1])
def test_a_normalizer_of_zero_makes_value_and_gradient_zero(divergence, backend, rows):
    """On both sides of the sizes at which another path takes over. Nothing counts in the step: 0, and not 0/0."""
    student, teacher = pair(rows, 32)
    nothing = torch.zeros(rows)
    given = {"divergence": divergence, "weights": nothing, "normalizer": nothing.sum(), "backend": backend}
    for upstream in (1.0, 0.3):
        value, gradient = value_and_gradient(student, teacher, upstream=upstream, **given)
        assert value == 0
        assert gradient.eq(0).all()
