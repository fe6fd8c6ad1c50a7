"""The formula itself: its derivatives, the rows that it leaves out, and figures per position on every backend."""

from functools import partial

import pytest
import torch
from logit_pairs import every_backend, every_divergence, pair

from kd_lab.how import softmax_kl, softmax_kl_with_statistics
from kd_lab.how.divergences import DIVERGENCES
from kd_lab.how.reference import counted_rows, in_place_of_rows, reference_likelihood

pytestmark = [
    pytest.mark.usefixtures("small_chunks"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning:triton"),  # NumPy's, about infinities that are meant
]
MASK = torch.arange(24).view(4, 6) % 5 != 2


def test_gradcheck_of_the_reference():
    student, teacher = pair(2, 4, dtype=torch.float64)
    for divergence in DIVERGENCES:
        function = partial(softmax_kl, teacher_logits=teacher, divergence=divergence, temperature=1.7)
        assert torch.autograd.gradcheck(function, student.clone().requires_grad_())


def test_rows_that_count_go_out_and_come_back():
    values, mask = torch.arange(6.0).view(2, 3), torch.tensor([[True, False, True], [False, True, False]])
    assert counted_rows(values, mask).tolist() == [0, 2, 4]
    assert in_place_of_rows(counted_rows(values, mask), mask).tolist() == [[0, 0, 2], [0, 4, 0]]
    assert counted_rows(values, None) is values

    def there_and_back(values):
        return in_place_of_rows(counted_rows(values, mask), mask)

    assert torch.func.vmap(there_and_back)(values[None]).tolist() == [[[0, 0, 2], [0, 4, 0]]]


def test_the_likelihood_of_labels_is_cross_entropy_in_full_precision():
    student, _ = pair(2, 3, 50, dtype=torch.bfloat16)
    labels, mask = torch.arange(6).view(2, 3), torch.tensor([[True, False, True], [True, True, True]])
    expected = torch.nn.functional.cross_entropy(student.float().view(6, 50), labels.flatten(), reduction="none")
    torch.testing.assert_close(reference_likelihood(student, labels, mask), expected.view(2, 3) * mask)


@every_divergence
@every_backend
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_figures_and_loss_are_those_of_the_formulas(divergence, backend, dtype):
    student, teacher = pair(4, 6, 90, dtype=dtype)
    student[0, 0, :3] = teacher[0, 0, :3] = -torch.inf
    options = {"divergence": divergence, "temperature": 2.0, "mask": MASK, "backend": backend}
    weights = torch.linspace(0, 1, 24).view(4, 6)
    leaf = student.clone().requires_grad_()
    loss, statistics = softmax_kl_with_statistics(leaf, teacher, **options, weights=weights)
    plain = student.clone().requires_grad_()
    expected = softmax_kl(plain, teacher, **options, weights=weights)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(torch.autograd.grad(loss, leaf)[0], torch.autograd.grad(expected, plain)[0])

    q, p = ((side.double() / 2).softmax(-1) for side in (student, teacher))
    by_formula = {
        "loss": softmax_kl(student, teacher, **options, reduction="none"),
        "student_entropy": torch.special.entr(q).sum(-1).where(MASK, 0),
        "teacher_entropy": torch.special.entr(p).sum(-1).where(MASK, 0),
        "agreement": ((student.argmax(-1) == teacher.argmax(-1)) & MASK).float(),
        "acceptance": torch.minimum(p, q).sum(-1).where(MASK, 0),
    }
    for name, values in by_formula.items():
        got = getattr(statistics, name)
        assert not got.requires_grad
        torch.testing.assert_close(got.float(), values.float(), rtol=1e-5, atol=1e-6)
        assert statistics.means()[name] == pytest.approx((values.sum() / MASK.sum()).item(), rel=1e-5, abs=1e-7)
    assert statistics.counted == MASK.sum()
    assert torch.equal(statistics.mask, MASK)


def test_without_a_mask_every_position_counts_and_labels_may_be_mixed_in():
    student, teacher = pair(3, 90)
    options = {"labels": torch.tensor([1, 2, 3]), "label_weight": 0.5}
    loss, statistics = softmax_kl_with_statistics(student, teacher, **options)
    torch.testing.assert_close(loss, softmax_kl(student, teacher, **options))
    torch.testing.assert_close(statistics.loss.mean(), loss)
    assert statistics.counted == 3


def test_an_option_that_does_not_exist_is_refused():
    with pytest.raises(TypeError, match="tau"):
        softmax_kl_with_statistics(*pair(2, 3), tau=2.0)
