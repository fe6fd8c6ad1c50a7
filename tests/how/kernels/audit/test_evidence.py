"""Bytes that the kernels move, counted in Triton's interpreter, against their budgets."""

import os

import pytest
import torch

pytest.importorskip("triton", reason="Triton has wheels for Linux only")
if os.environ.get("TRITON_INTERPRET") != "1":
    pytest.skip("Triton came without its interpreter: set TRITON_INTERPRET=1", allow_module_level=True)

from kd_lab.how.kernels import ops, triton_softmax_kl
from kd_lab.how.kernels.audit.evidence import bytes_per_element, count_bytes, logits_at, relative_errors
from kd_lab.how.kernels.audit.report import rows
from kd_lab.how.kernels.ops import multiply_rows_, softmax_kl_rows

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
NUMBERS = torch.tensor([0.5, 1.0, 0.0], dtype=torch.float64)  # β, τ and the weight of labels
# skew KL and total variation take JSD's way through the kernels; `make kernels` counts theirs as well
ROWS = [row for row in rows() if row.divergence in ("forward_kl", "reverse_kl", "jsd", "skew_reverse_kl")]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_bytes_are_within_the_budget(row):
    moved = bytes_per_element(row.divergence, row.vocabulary, row.path)
    least = {"forward": 4, "masked": 2}.get(row.path, 6)
    assert least <= moved <= row.bound


def test_the_count_counts():
    """Two fp32 factors and one row read, that row written: a row whose factor is 1 is let be."""
    gradient = torch.ones(2, 70)
    with count_bytes() as traffic:
        multiply_rows_(gradient, None, torch.tensor([1.0, 3.0]))
    assert (traffic.loaded, traffic.stored) == (2 * 4 + 70 * 4, 70 * 4)
    assert gradient[:, 0].tolist() == [1.0, 3.0]


def test_masked_rows_cost_no_loads():
    """A masked row writes zeros, and reads the byte of its mask."""
    student, teacher = logits_at(0.5, 4096, torch.bfloat16)
    student.requires_grad_()
    with count_bytes() as traffic:
        loss = triton_softmax_kl(student, teacher, divergence="jsd", mask=torch.tensor([False]))
        loss.sum().backward()
    assert traffic.loaded == 2  # forward and backward
    assert traffic.stored == 2 * 4096 + 4


def test_backward_of_the_loss_itself_is_free_where_the_gradient_is_made_already():
    student, teacher = logits_at(0.5, 4096, torch.bfloat16)
    student.requires_grad_()
    loss = triton_softmax_kl(student, teacher, divergence="forward_kl", weight=torch.tensor(1.0)).sum()
    with count_bytes() as traffic:
        loss.backward()
    assert traffic.moved == 4  # the factor, which is 1


def test_what_the_backward_pass_needs_is_at_most_12_bytes_a_row():
    student, teacher = logits_at(0.5, 20_000, torch.bfloat16)
    _, statistics, gradient = softmax_kl_rows(student, teacher, None, None, None, NUMBERS, "jsd", True, "statistics")
    assert statistics.numel() * statistics.itemsize == 12
    assert gradient.numel() == 0


def test_no_gradient_is_made_where_none_is_needed():
    student, teacher = logits_at(0.5, 4096, torch.bfloat16)
    student.requires_grad_()
    with torch.no_grad(), count_bytes() as traffic:
        triton_softmax_kl(student, teacher, divergence="forward_kl", weight=torch.tensor(1.0))
    assert traffic.stored == 4


def test_gradient_rows_are_padded_so_that_their_stores_are_vectors():
    student, teacher = torch.randn(3, 21, requires_grad=True), torch.randn(3, 21)
    triton_softmax_kl(student, teacher, divergence="forward_kl").sum().backward()
    _, _, gradient = softmax_kl_rows(student, teacher, None, None, None, NUMBERS, "jsd", True, "gradient")
    assert gradient.stride() == (32, 1)
    assert student.grad.shape == (3, 21)


def test_the_error_is_that_of_the_kernel_whose_bytes_stand_beside_it(monkeypatch):
    """Of the gradient in the forward pass, which rows with a known weight take."""
    saved = []

    def spy(*arguments):
        saved.append(arguments[-1])
        return softmax_kl_rows(*arguments)

    monkeypatch.setattr(ops, "softmax_kl_rows", spy)
    relative_errors("forward_kl", 100, 0.5, draws=1)
    assert saved == ["gradient"]
