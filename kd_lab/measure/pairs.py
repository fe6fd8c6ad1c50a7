"""Two models of finite memory: expectations over all prefixes, of any length, as sums over pairs of states."""

import torch
from jaxtyping import Float
from torch import Tensor

from kd_lab.how import forward_kl
from kd_lab.measure.exact import Divergence
from kd_lab.models import FiniteStateModel


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

    >>> from kd_lab.models.finite_state import window_moves
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
