"""The mathematics of one chunk, on buffers that are handed in."""

import pytest
import torch
from logit_pairs import every_divergence, exact, pair

from kd_lab.how.chunk_divergences import Loss
from kd_lab.how.chunk_loss import chunk_loss, matrices_of_scratch
from kd_lab.how.divergences import DIVERGENCES


@every_divergence
@pytest.mark.parametrize("label_weight", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("temperature", [1.0, 2.0, 3.0])
@pytest.mark.parametrize("with_statistics", [False, True])
def test_the_gradient_may_take_the_place_of_the_logits(divergence, label_weight, temperature, with_statistics):
    """With as much scratch as is said to be needed, and labels at a τ where their softmax is q, q² or its own."""
    student, teacher = pair(4, 50)
    labels, weight = torch.tensor([0, 49, 7, 7]), torch.tensor([1.0, -2.0, 0.5, 0.0])
    options = {"divergence": divergence, "beta": 0.3, "temperature": temperature}
    options |= {"labels": labels, "label_weight": label_weight}
    values, gradient = exact(student, teacher, reduction="none", upstream=weight, **options)
    loss = Loss(divergence, 0.3, temperature, DIVERGENCES[divergence].scale(temperature), label_weight)
    place, kept = student.clone(), teacher.clone()
    matrices = matrices_of_scratch(loss, label_weight > 0, with_statistics)
    scratch = list(torch.full((matrices, 4, 50), float("nan")))
    chosen, statistics = labels[:, None] if label_weight else None, torch.empty(4, 4) if with_statistics else None
    got = chunk_loss(place, teacher, loss, weight[:, None], place, scratch, chosen, statistics)
    torch.testing.assert_close(got.double(), values, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(place.double(), gradient, rtol=1e-4, atol=1e-6)
    assert torch.equal(teacher, kept)


@pytest.mark.parametrize("divergence", ["forward_kl", "reverse_kl", "jsd"])
@pytest.mark.parametrize("label_weight", [0.3, 1.0])
@pytest.mark.parametrize("temperature", [1.0, 2.0, 3.0])
def test_a_student_sure_of_its_label_keeps_the_digits_of_its_surprise(divergence, label_weight, temperature):
    """−log q of a logit of ninety thousand above zeros is 0, and it was −2e-3."""
    highest = torch.tensor([120.5, 1234.567, 98_765.43, 300.3])
    student = torch.zeros(4, 50)
    student[:, 7] = highest
    student[3, 8] = highest[3] - 6
    loss = Loss(divergence, 0.3, temperature, 1.0, label_weight)
    scratch = list(torch.empty(4, 4, 50))
    got = chunk_loss(student.clone(), student, loss, None, torch.empty(4, 50), scratch, torch.full((4, 1), 7))
    wanted = label_weight * (student.double().logsumexp(-1) - student[:, 7].double())
    assert (got >= 0).all()
    torch.testing.assert_close(got.double(), wanted, rtol=5e-5, atol=2e-7)


@pytest.mark.parametrize("divergence", ["forward_kl", "reverse_kl"])
@pytest.mark.parametrize("highest", [1e4, 1e5, 1e6])
def test_a_low_temperature_makes_large_exponents_of_small_logits(divergence, highest):
    student, teacher = pair(3, 50, spread=1.0)
    student[:, 7], teacher[:, 9] = highest / 3, highest / 7
    loss = Loss(divergence, 0.5, 1e-6, 1.0, 0.0)
    scratch = list(torch.empty(3, 3, 50))
    got = chunk_loss(student, teacher, loss, None, torch.empty(3, 50), scratch)
    options = {"temperature": 1e-6, "reduction": "none", "scale_by_t2": False, "backend": "reference"}
    wanted, _ = exact(student, teacher, divergence=divergence, **options)
    torch.testing.assert_close(got.double(), wanted, rtol=1e-5, atol=0)


def test_only_labels_at_other_temperatures_than_1_and_2_take_a_matrix():
    def matrices(divergence, temperature, labels=True):
        return matrices_of_scratch(Loss(divergence, 0.5, temperature, 1.0, 0.1), labels, False)

    assert [matrices("jsd", temperature) for temperature in (1.0, 2.0, 3.0)] == [3, 3, 4]
    assert [matrices("forward_kl", temperature) for temperature in (1.0, 2.0, 3.0)] == [3, 3, 3]
    assert matrices("jsd", 3.0, labels=False) == 3


def test_without_a_weight_there_is_a_loss_and_no_gradient():
    student, teacher = pair(2, 50)
    kept = student.clone()
    got = chunk_loss(
        student, teacher, Loss("jsd", 0.5, 1.0, 1.0), None, torch.empty(2, 50), list(torch.empty(3, 2, 50))
    )
    torch.testing.assert_close(got.double(), exact(student, teacher, divergence="jsd", reduction="none")[0])
    assert torch.equal(student, kept)
