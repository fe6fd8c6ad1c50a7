"""Exposure bias: how much faster the error grows on the student's own prefixes than on the teacher's."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from kd_lab.how import forward_kl
from kd_lab.measure.exact import gap_by_position
from kd_lab.models import next_token_logp
from kd_lab.worlds import Batch


def excess_error(
    on_student_prefixes: Float[Tensor, " L"], on_teacher_prefixes: Float[Tensor, " L"]
) -> Float[Tensor, " L"]:
    """ExAccErr(l) = (R(l) − l·ε(l)) / (l·ε(l)): the share of the error up to length l that exposure bias has added.

    R(l) is the sum of the first l gaps on prefixes that the student wrote and l·ε(l) that on prefixes that the teacher
    wrote. The first token counts; there is no prefix yet, so both sums begin alike and the curve begins at 0.

    Args:
        on_student_prefixes: KL(p‖q) at each position in nats per text, averaged over the student's prefixes.
        on_teacher_prefixes: the same over the teacher's.

    Returns:
        The excess up to each length; 0.5 says that half as much again has accumulated.

    Raises:
        ValueError: the student equals the teacher up to some length, so that there is no error to exceed.

    Source: Arora et al. (2022), "Why exposure bias matters", arXiv:2204.01171, equations 9 to 11.

    >>> excess_error(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 1.0, 1.0]))
    tensor([0.0000, 0.5000, 1.0000])
    """
    expected = on_teacher_prefixes.cumsum(0)
    if not (expected > 0).all():
        raise ValueError(
            f"the error on the teacher's prefixes sums to {expected.min().item():g}; expected a positive number at "
            "every length, since the excess is relative to it: a student that equals its teacher has no exposure bias"
        )
    return on_student_prefixes.cumsum(0) / expected - 1


def exact_excess_error(
    student: list[Float[Tensor, "_ V"]], teacher: list[Float[Tensor, "_ V"]], end: int = 0
) -> Float[Tensor, " L"]:
    """ExAccErr at every length by enumeration, from two tables of `conditionals`. See `excess_error`."""
    return excess_error(
        gap_by_position(student, teacher, visited=student, end=end),
        gap_by_position(student, teacher, visited=teacher, end=end),
    )


@torch.no_grad()
def sampled_gap_by_position(student: nn.Module, teacher: nn.Module, texts: Batch) -> Float[Tensor, " T"]:
    """Σ over texts of KL(p‖q) at each position ÷ the number of texts: `gap_by_position`, estimated from rollouts.

    Args:
        texts: written by the student or by the teacher; that is the whole difference. They are read on each model's own
            device, and the result lies on the student's.
    """
    student_logp = next_token_logp(student, texts.inputs)
    teacher_logp = next_token_logp(teacher, texts.inputs).to(student_logp.device)
    return forward_kl(student_logp, teacher_logp).where(texts.mask.to(student_logp.device), 0.0).mean(0)
