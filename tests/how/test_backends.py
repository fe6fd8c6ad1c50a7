"""What works on which backend: the table of `kd_lab.how.backends`, line by line, and not-a-numbers."""

import itertools
import subprocess
import sys

import pytest
import torch
from logit_pairs import (
    INFINITY,
    agree,
    every_backend,
    every_divergence,
    every_fast_backend,
    exact,
    needs_triton,
    pair,
    value_and_gradient,
)

from kd_lab.how import linear_softmax_kl, softmax_kl
from kd_lab.how.backends import choose_backend
from kd_lab.how.chunked import chunked_softmax_kl
from kd_lab.how.few_logits import few_softmax_kl
from kd_lab.how.reference import reference_softmax_kl

pytestmark = [
    pytest.mark.usefixtures("small_chunks"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning:triton"),  # NumPy's, about infinities that are meant
]


@every_fast_backend
def test_a_second_derivative_is_refused_and_the_reference_named(backend):
    """A gradient made in forward is a constant to autograd: a gradient penalty was half of itself, a Hessian 0."""
    student, teacher = pair(3, 80)
    student.requires_grad_()
    loss = softmax_kl(student, teacher, backend=backend)
    with pytest.raises(ValueError, match=r'backend="reference"'):
        torch.autograd.grad(loss, student, create_graph=True)
    with pytest.raises(ValueError, match=r'backend="reference"'):
        torch.autograd.functional.hessian(lambda logits: softmax_kl(logits, teacher, backend=backend), student)
    hessian = torch.autograd.functional.hessian(
        lambda logits: softmax_kl(logits, teacher[:1, :5], backend="reference"), student[:1, :5].detach()
    )
    assert hessian.abs().max() > 0


COMPILED = """
import torch
from functools import partial
from kd_lab.how import linear_softmax_kl, softmax_kl
student, teacher = torch.randn(4, 33, requires_grad=True), torch.randn(4, 33)
mask = torch.tensor([True, False, True, True])
options = {"divergence": "jsd", "temperature": 2.0, "mask": mask}
def loss(student, teacher, backend):
    return 3 * softmax_kl(2 * student, teacher, backend=backend, **options)
for dtype in (torch.float32, torch.bfloat16):
    x, y = student.detach().to(dtype).requires_grad_(), teacher.to(dtype)
    for backend in ("reference", "chunked", "triton"):
        for function in (loss, torch.compile(loss, backend="aot_eager", fullgraph=True)):
            value = function(x, y, backend)
            (gradient,) = torch.autograd.grad(value, x)
            print(value.item(), *gradient.double().norm(dim=-1).tolist())
    with torch.no_grad():
        print(torch.compile(loss, backend="aot_eager", fullgraph=True)(x, y, "chunked").item())
"""

MANY_TEMPERATURES = """
import sys
import torch
from kd_lab.how import linear_softmax_kl, softmax_kl
student, teacher = torch.randn(2, 4, 33)
def loss(student, temperature):
    return softmax_kl(student, teacher, divergence="jsd", temperature=temperature, backend=sys.argv[1])
compiled = torch.compile(loss, backend="aot_eager", fullgraph=True)
for step in range(12):
    leaves = student.clone().requires_grad_(), student.clone().requires_grad_()
    for leaf, function in zip(leaves, (loss, compiled)):
        value = function(leaf, 1 + 0.1 * step)
        value.backward(retain_graph=True)
        (2 * value).backward()
    assert torch.allclose(leaves[0].grad, leaves[1].grad, rtol=1e-4, atol=1e-7)
assert torch._dynamo.utils.counters["stats"]["unique_graphs"] <= 2, torch._dynamo.utils.counters
"""


@needs_triton
def test_under_torch_compile_fullgraph_every_backend_is_the_same():
    """In a process of its own: the checker of annotations, which runs in the tests, is nothing to compile."""
    run = subprocess.run([sys.executable, "-c", COMPILED], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    rows = [[float(number) for number in line.split()] for line in run.stdout.splitlines()]
    assert len(rows) == 14
    for dtype, tolerance in enumerate((1e-4, 1e-2)):
        first, *others, without_gradient = rows[7 * dtype : 7 * dtype + 7]
        assert first[2] == 0  # the masked row
        for row in others:
            assert row == pytest.approx(first, rel=tolerance, abs=1e-7)
        assert without_gradient == pytest.approx(first[:1], rel=tolerance)


@every_backend
def test_a_temperature_that_changes_makes_no_new_graph(backend):
    """At the ninth temperature torch.compile used to give up."""
    command = [sys.executable, "-c", MANY_TEMPERATURES, backend]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-2000:]


def test_triton_on_the_cpu_says_how_to_turn_it_on(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(ValueError, match="TRITON_INTERPRET=1" if has_triton() else "wheels for Linux"):
        softmax_kl(*pair(2, 3), backend="triton")


def test_without_triton_the_message_is_clear_and_auto_works(monkeypatch):
    monkeypatch.setattr("kd_lab.how.backends._HAS_TRITON", False)
    with pytest.raises(ValueError, match=r'not installed.*backend="auto"'):
        softmax_kl(*pair(2, 3), backend="triton")
    assert softmax_kl(*pair(2, 3)).isfinite()


def has_triton() -> bool:
    from kd_lab.how.backends import _HAS_TRITON

    return _HAS_TRITON


def test_auto_takes_the_formula_for_few_logits_and_for_all_that_only_it_can_do():
    cpu = torch.device("cpu")
    assert choose_backend("auto", cpu, torch.float32, 256 * 27) is few_softmax_kl
    assert choose_backend("auto", cpu, torch.float64, 256 * 27) is reference_softmax_kl
    assert choose_backend("auto", cpu, torch.float32, 64 * 50_257) is chunked_softmax_kl
    assert choose_backend("auto", cpu, torch.float32) is chunked_softmax_kl
    assert choose_backend("chunked", cpu, torch.float32, 256 * 27) is chunked_softmax_kl
    assert choose_backend("chunked", cpu, torch.float64) is reference_softmax_kl


@every_backend
def test_transforms_of_torch_func_and_forward_mode(backend):
    student, teacher = pair(3, 4, 90)
    mask = torch.arange(12).view(3, 4) % 3 != 1
    direction = torch.ones_like(student).cumsum(-1) / 90

    def loss(logits, teacher=teacher, mask=mask):
        return softmax_kl(logits, teacher, divergence="jsd", temperature=2.0, mask=mask, backend=backend)

    value, gradient = exact(student, teacher, divergence="jsd", temperature=2.0, mask=mask)
    agree(torch.func.grad_and_value(loss)(student)[::-1], (value, gradient))
    slope = (gradient * direction).sum()
    _, tangent = torch.func.jvp(loss, (student,), (direction,))
    torch.testing.assert_close(tangent.double(), slope, rtol=1e-4, atol=1e-7)
    with torch.autograd.forward_ad.dual_level():
        dual = loss(torch.autograd.forward_ad.make_dual(student, direction))
        torch.testing.assert_close(torch.autograd.forward_ad.unpack_dual(dual).tangent, tangent)
    each = torch.stack([loss(*rows) for rows in zip(student, teacher, mask, strict=True)])
    torch.testing.assert_close(torch.func.vmap(loss)(student, teacher, mask), each)
    per_text = torch.func.vmap(torch.func.grad(loss))(student, teacher, mask)
    assert per_text.shape == student.shape
    assert per_text[~mask].eq(0).all()


@every_backend
@pytest.mark.parametrize("default", [torch.bfloat16, torch.float64])
def test_the_default_dtype_is_not_that_of_the_arithmetic(backend, default):
    """Of a factor 1/3000 in bf16 two digits are left, and the loss was 0.14 % off."""
    student, teacher = pair(3, 60)
    head = torch.randn(50, 60, generator=torch.Generator().manual_seed(1))
    options = {"divergence": "jsd", "beta": 0.5, "temperature": 1.5, "normalizer": 3000.0}
    labels = {"labels": torch.tensor([3, 4, 5]), "label_weight": 1.0}

    def losses() -> tuple[torch.Tensor, torch.Tensor]:
        leaf = student.clone().requires_grad_()
        total = sum(softmax_kl(leaf, teacher, backend=backend, **options, **mixed) for mixed in ({}, labels))
        total = total + linear_softmax_kl(leaf, head, teacher, head, backend=backend, **options)
        if backend == "reference":  # "auto" takes this for few logits
            wide = (side.repeat(1, 100) for side in (leaf, teacher))
            rest = {"scale_by_t2": True, "mask": None, "reduction": "mean", "weights": None}
            total = total + few_softmax_kl(*wide, **options, **rest)
        return total.detach(), torch.autograd.grad(total, leaf)[0]

    wanted = losses()
    before = torch.get_default_dtype()
    torch.set_default_dtype(default)
    try:
        got = losses()
    finally:
        torch.set_default_dtype(before)
    torch.testing.assert_close(got, wanted, rtol=1e-6, atol=1e-9)


@every_divergence
@every_backend
def test_nan_and_infinity_are_what_the_formula_says(divergence, backend):
    """A where that swallows NaN makes a loss of NaN with a gradient of 0, which no one notices."""
    for of_student, of_teacher, same in itertools.product(
        (float("nan"), INFINITY, -INFINITY, None), (float("nan"), INFINITY, -INFINITY, None), (True, False)
    ):
        student, teacher = pair(3, 5)
        if of_student is not None:
            student[1, 0] = of_student
        if of_teacher is not None:
            teacher[1, 0 if same else 2] = of_teacher
        options = {"divergence": divergence, "temperature": 2.0, "reduction": "none"}
        got = value_and_gradient(student, teacher, backend=backend, **options)
        wanted = exact(student, teacher, **options)
        for mine, theirs in zip(got, wanted, strict=True):
            torch.testing.assert_close(mine.double(), theirs, rtol=1e-4, atol=1e-6, equal_nan=True)
        if student[1].isnan().any() or teacher[1].isnan().any():
            assert got[0][1].isnan()
            assert got[1][1].isnan().all()
