import torch

from kd_lab.how import softmax_kl
from kd_lab.lessons.l04b_bytes_and_instructions.figures import large_steps, staircase_figure
from kd_lab.lessons.l04b_bytes_and_instructions.plain import ELEMENTS, count, eager_forward_kl, eager_jsd, held


def test_the_plain_losses_are_the_library_s():
    student, teacher = torch.randn(2, 3, 11, generator=torch.Generator().manual_seed(0), dtype=torch.float64).float()
    for name, loss in (("forward_kl", eager_forward_kl), ("jsd", eager_jsd)):
        wanted = softmax_kl(student, teacher, divergence=name, temperature=2.0, reduction="none", backend="reference")
        torch.testing.assert_close(loss(student, teacher, 2.0), wanted)


def test_fp32_logits_move_less_than_16_bit_ones():
    sixteen, thirty_two = count(eager_forward_kl, torch.bfloat16), count(eager_forward_kl, torch.float32)
    assert round(sixteen.moved / ELEMENTS) == 122
    assert round(thirty_two.moved / ELEMENTS) == 104
    assert [step.name for step in sixteen.steps].count("_to_copy") == 3


def test_the_staircase_ends_at_the_total():
    ledger = count(eager_forward_kl, torch.bfloat16)
    (axes,) = staircase_figure(ledger).axes
    assert "122" in {text.get_text() for text in axes.texts}
    assert len(axes.get_xticks()) == len(large_steps(ledger)) == 15


def test_a_product_holds_its_result_and_the_gradient():
    student, teacher = torch.ones(2, 10, requires_grad=True), torch.ones(2, 10)
    assert held(lambda q, p: (q * p).sum(), student, teacher) >= 1
    assert student.grad is not None
