"""Exposure bias: how much faster the error grows on the student's own prefixes than on the teacher's."""

import torch
from jaxtyping import Float
from torch import Tensor

from kd_lab.arguments import Model, checked
from kd_lab.how import forward_kl
from kd_lab.measure.exact import Divergence, Tables, gap_by_position
from kd_lab.models import FiniteStateModel, next_token_logp
from kd_lab.worlds import Batch


@checked
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


@checked
def exact_excess_error(student: Tables, teacher: Tables, end: int = 0) -> Float[Tensor, " L"]:
    """ExAccErr at every length by enumeration, from two tables of `conditionals`. See `excess_error`."""
    return excess_error(
        gap_by_position(student, teacher, visited=student, end=end),
        gap_by_position(student, teacher, visited=teacher, end=end),
    )


@checked
@torch.no_grad()
def sampled_gap_by_position(student: Model, teacher: Model, texts: Batch) -> Float[Tensor, " T"]:
    """Σ over texts of KL(p‖q) at each position ÷ the number of texts: `gap_by_position`, estimated from rollouts.

    Args:
        texts: written by the student or by the teacher; that is the whole difference. They are read on each model's own
            device, and the result lies on the student's.
    """
    student_logp = next_token_logp(student, texts.inputs)
    teacher_logp = next_token_logp(teacher, texts.inputs).to(student_logp.device)
    return forward_kl(student_logp, teacher_logp).where(texts.mask.to(student_logp.device), 0.0).mean(0)


@checked
@torch.no_grad()
def pair_reach(writer: FiniteStateModel, reader: FiniteStateModel, length: int) -> Float[Tensor, "L S R"]:
    """The probability that a text goes on after t tokens with its writer in state s and its reader in state r.

    There are V^t prefixes of t tokens and only S·R pairs of states; the next token of both depends on the pair alone,
    so that nothing has to be listed or sampled. Texts that have ended are left out, as in `reach`.

    Args:
        writer: draws the tokens.
        reader: reads along.
        length: L, for t = 0 … L − 1.

    Raises:
        ValueError: the vocabularies differ, or length is below 1.

    >>> from kd_lab.models.exact_models import window_moves
    >>> coin = FiniteStateModel(torch.zeros(2, 2), window_moves(2, 1))  # ends with probability ½ at every step
    >>> pair_reach(coin, coin, 3).sum((1, 2)).tolist()
    [1.0, 0.5, 0.25]
    """
    if (writer.vocab_size, writer.end) != (reader.vocab_size, reader.end):
        raise ValueError(
            f"the models have vocabularies of {writer.vocab_size} and {reader.vocab_size} ids that end with "
            f"{writer.end} and {reader.end}; expected the same ids on both"
        )
    if length < 1:
        raise ValueError(f"length is {length}; expected at least 1 token")
    probability, readers = writer.logp().exp(), len(reader.table)
    probability[:, writer.end] = 0  # a text that ends leaves
    goal = writer.moves[:, None, :] * readers + reader.moves[None, :, :]
    here = probability.new_zeros(len(writer.table), readers)
    here[0, 0] = 1
    steps = [here]
    for _ in range(length - 1):
        moving = here[:, :, None] * probability[:, None, :]
        here = torch.zeros_like(here).flatten().index_add(0, goal.flatten(), moving.flatten()).view_as(here)
        steps.append(here)
    return torch.stack(steps)


@checked
@torch.no_grad()
def gap_by_pair(
    student: FiniteStateModel, teacher: FiniteStateModel, divergence: Divergence = forward_kl
) -> Float[Tensor, "S R"]:
    """The divergence, in nats, of the two next-token distributions, for each pair of their states.

    Weighed with `pair_reach` it is `gap_by_position`, without a list of prefixes.
    """
    students, teachers = len(student.table), len(teacher.table)
    student_logp = student.logp()[:, None].expand(-1, teachers, -1)
    return divergence(student_logp, teacher.logp()[None].expand(students, -1, -1))
