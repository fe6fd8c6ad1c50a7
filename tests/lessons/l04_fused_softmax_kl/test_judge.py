import torch

from kd_lab.how import softmax_kl
from kd_lab.lessons.l04_fused_softmax_kl.exercises import EXERCISES
from kd_lab.lessons.l04_fused_softmax_kl.judge import against_fp64, own_loss, rows_at


def formula(student, teacher):
    return softmax_kl(student, teacher, temperature=2.0, reduction="none")


def test_the_references_make_a_loss_that_fp64_agrees_with():
    student, teacher = torch.randn(2, 3, 41, generator=torch.Generator().manual_seed(0))
    loss = own_loss(EXERCISES["04.3"].reference, EXERCISES["04.4"].reference, temperature=2.0, block=16)
    assert max(against_fp64(loss, formula, student, teacher, torch.tensor([1.0, 0.5, 3.0]))) < 1e-5


def test_a_loss_without_its_upstream_is_found_out():
    student, teacher = torch.randn(2, 3, 41, generator=torch.Generator().manual_seed(0))
    loss = own_loss(EXERCISES["04.3"].reference, EXERCISES["04.4"].reference, temperature=2.0, block=16)

    def ignoring(q, p):
        return loss(q, p).detach() + (loss(q, p) - loss(q, p).detach()) * torch.tensor([1.0, 2.0, 1.0])

    assert against_fp64(ignoring, formula, student, teacher, torch.tensor([1.0, 0.5, 3.0]))[1] > 0.5


def test_rows_stand_near_the_level_that_was_asked_for():
    student, teacher = rows_at(5e-3, torch.Generator().manual_seed(0), spread=2)
    found = softmax_kl(student.double(), teacher.double(), reduction="none")
    assert 4e-3 < found.mean() < 6e-3
