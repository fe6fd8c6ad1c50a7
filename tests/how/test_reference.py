"""The formula itself: its derivatives, and the rows that it leaves out."""

from functools import partial

import torch
from logit_pairs import pair

from kd_lab.how import DIVERGENCES, softmax_kl
from kd_lab.how.reference import counted_rows, in_place_of_rows, reference_likelihood


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
