import numpy as np
import torch
import torch.nn.functional as F

from kd_lab.lessons.l04b_bytes_and_instructions.ledger import Ledger


def test_the_backward_pass_is_written_down_too():
    x = torch.ones(100, requires_grad=True)
    with Ledger() as ledger:
        (x * x).sum().backward()
    names = [step.name for step in ledger.steps]
    assert names[:2] == ["mul", "sum"]
    assert names.count("mul") == 3


def test_views_are_free_and_in_place_work_is_not():
    x = torch.ones(10, 10)
    with Ledger() as ledger:
        x.T.reshape(10, 10).unsqueeze(0)
        x.add_(1)
    assert [(step.name, step.read + step.written) for step in ledger.steps if step.read] == [("add_", 800)]
    assert ledger.peak == 0  # nothing was made


def test_what_is_saved_for_the_backward_pass_counts_as_held_and_what_is_gone_does_not():
    x = torch.ones(1000, requires_grad=True)
    with Ledger() as ledger:
        y = x.exp().exp()  # both results are saved
        held = ledger.steps[-1].held
        y.sum().backward()
        del y
        torch.zeros(1)
    assert held == 8000
    assert ledger.steps[-1].held == 4000 + 4  # x.grad, and the zero
    assert ledger.peak >= 12000


def test_softmax_kl_of_sixteen_bit_logits_takes_122_bytes_an_element():
    student = torch.randn(32, 1000).bfloat16().requires_grad_()
    teacher = torch.randn(32, 1000).bfloat16()
    with Ledger() as ledger:
        student_logp = F.log_softmax(student.float() / 2, -1)
        teacher_logp = F.log_softmax(teacher.float() / 2, -1)
        F.kl_div(student_logp, teacher_logp, log_target=True, reduction="none").sum(-1).mean().backward()
    assert round(ledger.moved / student.numel()) == 122


def test_memory_of_numpy_is_held_from_its_first_use_where_the_given_tensors_are_named():
    given = torch.ones(1000)
    with Ledger(given=[given]) as ledger:
        foreign = torch.from_numpy(np.zeros(2000, dtype=np.float32))
        foreign[:1000] = given
    assert ledger.peak == 8000
    with Ledger() as ledger:
        foreign[:1000] = given
    assert ledger.peak == 0
