"""The mathematics of one chunk, on buffers that are handed in."""

import pytest
import torch
from logit_pairs import every_divergence, exact, pair

from kd_lab.how.chunk_loss import Loss, chunk_loss, matrices_of_scratch


@every_divergence
@pytest.mark.parametrize("label_weight", [0.0, 0.3])
def test_the_gradient_may_take_the_place_of_the_logits(divergence, label_weight):
    student, teacher = pair(4, 50)
    labels, weight = torch.tensor([0, 49, 7, 7]), torch.tensor([1.0, -2.0, 0.5, 0.0])
    options = {
        "divergence": divergence,
        "beta": 0.3,
        "temperature": 2.0,
        "labels": labels,
        "label_weight": label_weight,
    }
    values, gradient = exact(student, teacher, reduction="none", upstream=weight, **options)
    loss = Loss(divergence, 0.3, 2.0, 1.0 if divergence == "total_variation" else 4.0, label_weight)
    place, scratch = student.clone(), list(torch.full((4, 4, 50), float("nan")))
    kept = teacher.clone()
    chosen = labels[:, None] if label_weight else None
    got = chunk_loss(
        place,
        teacher,
        loss,
        weight[:, None],
        place,
        scratch[: matrices_of_scratch(loss, label_weight > 0, False)],
        chosen,
    )
    torch.testing.assert_close(got.double(), values, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(place.double(), gradient, rtol=1e-4, atol=1e-6)
    assert torch.equal(teacher, kept)


def test_without_a_weight_there_is_a_loss_and_no_gradient():
    student, teacher = pair(2, 50)
    kept = student.clone()
    got = chunk_loss(
        student, teacher, Loss("jsd", 0.5, 1.0, 1.0), None, torch.empty(2, 50), list(torch.empty(3, 2, 50))
    )
    torch.testing.assert_close(got.double(), exact(student, teacher, divergence="jsd", reduction="none")[0])
    assert torch.equal(student, kept)
