"""softmax_kl where no rank holds a whole row: the vocabulary is sharded over a process group.

With x and y the logits divided by τ, rank r holds x_v and y_v for the tokens v of its shard, and

    log q_v = x_v − max x − log Σ exp(x − max x)        max and Σ over all shards
    D = Σ over ranks of the shard's part of D(q, p)     every divergence is a sum over the vocabulary
    ∂D/∂x_v = g_v − q_v·Σ g,  g_v = ∂D/∂log q_v         Σ over all shards

Three all-reduces of two numbers per counted position make it: MAX for the two maxima, SUM for the two normalisers, SUM
for D and Σ g. The backward pass sends nothing.

On NCCL a message is 8 bytes per counted position in fp32, so the three cost latency and hardly bandwidth. They wait for
one another, and for a rank that comes late: ranks that disagree on how many positions count hang there, as with any
collective. The tests run on gloo, over two processes.

Source: Shoeybi et al., "Megatron-LM", 1909.08053, section 3, for the parallel cross-entropy that this generalises.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.distributed as dist
from jaxtyping import Bool, Float
from torch import Tensor
from torch.autograd.function import FunctionCtx
from torch.distributed import ProcessGroup

from kd_lab.arguments import checked
from kd_lab.how.checks import check_options, check_pair, check_positions
from kd_lab.how.divergences import DIVERGENCES
from kd_lab.how.early_gradient import refuse_a_second_derivative
from kd_lab.how.reduction import reduce
from kd_lab.how.reference import in_transform

LOGITS = 2**23
"""Logits of one side that are worked on at once, so that what is made on the way does not grow with the batch."""


@checked
def vocab_parallel_softmax_kl(
    student_logits_shard: Float[Tensor, "... V_shard"],
    teacher_logits_shard: Float[Tensor, "... V_teacher_shard"],
    *,
    group: ProcessGroup | None = None,
    divergence: str = "forward_kl",
    beta: float = 0.5,
    temperature: float = 1.0,
    mask: Bool[Tensor, "..."] | None = None,
    reduction: str = "mean",
    normalizer: float | Tensor | None = None,
    scale_by_t2: bool = True,
) -> Float[Tensor, "..."]:
    """`softmax_kl` of logits whose last axis is sharded over the ranks of a group, as a column-parallel head leaves it.

    Every rank calls with the same positions, mask and options, gets the same loss, and its own part of the gradient;
    the teacher is sharded as the student is. A replicated hidden state receives the sum of what the shards of the head
    send back, which is the business of that head, as with any column-parallel layer.

    Args:
        student_logits_shard: [..., V/R], this rank's tokens; shards may differ in size. Or a DTensor of the whole
            logits with placement Shard(-1) on one dimension of its mesh, whose group is then used; along the other
            dimensions each rank has its own positions, as with data parallel training.
        teacher_logits_shard: of the same shape; the dtype may differ.
        group: the ranks over which the vocabulary is sharded; None: all of them.
        divergence, beta, temperature, mask, reduction, normalizer, scale_by_t2: as in `softmax_kl`. The mask is that
            of this rank's positions.

    Returns:
        Nats: a scalar, or [...] with reduction "none", the same on each rank of the group.

    Raises:
        ValueError: as in `softmax_kl`, there is no process group, a DTensor is not sharded over its last axis, or
            torch.func or forward mode looks on.

    >>> dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)  # one rank holds all of it
    >>> student, teacher = torch.tensor([[0.0, 0.0, 0.0]]), torch.tensor([[2.0, 0.0, -1.0]])
    >>> vocab_parallel_softmax_kl(student, teacher, divergence="reverse_kl", temperature=2.0)
    tensor(0.7964)
    >>> dist.destroy_process_group()
    """
    check_options(divergence, beta, temperature, reduction, normalizer)
    student, own_group = _local("student", student_logits_shard)
    teacher, _ = _local("teacher", teacher_logits_shard)
    check_pair(student, teacher, "logits_shard")
    mask = check_positions(mask, student.shape[:-1], student.device)
    group = _group(own_group if group is None else group)
    _leave_transforms()
    rows = [side if mask is None else side[mask] for side in (student, teacher)]
    gap = _Gap(divergence, beta, temperature, group)
    losses = _VocabParallel.apply(*(side.reshape(-1, side.shape[-1]) for side in rows), gap)
    losses = losses * DIVERGENCES[divergence].scale(temperature, scale_by_t2)
    if mask is None:
        losses = losses.view(student.shape[:-1])
    else:
        losses = torch.zeros(mask.shape, dtype=losses.dtype, device=mask.device).masked_scatter(mask, losses)
    return reduce(losses, mask, reduction, normalizer)


@dataclass(frozen=True)
class _Gap:
    """A divergence with its options, and the ranks that it is a sum over."""

    divergence: str
    beta: float
    temperature: float
    group: ProcessGroup

    def all_reduce(self, pairs: Float[Tensor, "2 N"], op: dist.ReduceOp.RedOpType) -> Float[Tensor, "2 N"]:
        dist.all_reduce(pairs, op, group=self.group)
        return pairs

    def part(
        self, student_logp: Float[Tensor, "R V"], teacher_logp: Float[Tensor, "R V"], differentiate: bool
    ) -> tuple[Float[Tensor, " R"], Float[Tensor, "R V"] | None]:
        """The shard's part of the divergence of each row, and its gradient for `student_logp`."""
        with torch.set_grad_enabled(differentiate):
            student_logp = student_logp.detach().requires_grad_(differentiate)
            loss = DIVERGENCES[self.divergence](student_logp, teacher_logp, self.beta)
            gradient = torch.autograd.grad(loss.sum(), student_logp)[0] if differentiate else None
        return loss.detach(), gradient

    def shift(self, logits: Float[Tensor, "N V"], highest: Float[Tensor, " N"], rows: slice) -> Float[Tensor, "R V"]:
        """logits/τ below their maximum over all shards."""
        return logits[rows].to(highest.dtype) / self.temperature - highest[rows, None]

    def log_softmax(
        self, sides: tuple[Tensor, Tensor], norms: Float[Tensor, "maximum_and_log_sum 2 N"], rows: slice
    ) -> list[Float[Tensor, "R V"]]:
        """The shard's log-probabilities of some rows, the student's and the teacher's.

        The maximum goes first: added to the logarithm it would take the last digits of it along.
        """
        highest, log_total = norms
        return [self.shift(side, highest[i], rows).sub_(log_total[i, rows, None]) for i, side in enumerate(sides)]


class _VocabParallel(torch.autograd.Function):
    """The divergence of each row of [N, V/R]; the graph keeps the logits and five numbers per row."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, student: Float[Tensor, "N V"], teacher: Float[Tensor, "N V"], gap: _Gap
    ) -> Float[Tensor, " N"]:
        dtype = torch.promote_types(torch.promote_types(student.dtype, teacher.dtype), torch.float32)
        sides = (student, teacher)
        highest = torch.stack([side.amax(-1).to(dtype) / gap.temperature for side in sides])
        highest = gap.all_reduce(highest, dist.ReduceOp.MAX)
        total, result = (torch.zeros_like(highest) for _ in range(2))
        for rows in _chunks(student):
            for i, side in enumerate(sides):
                total[i, rows] = gap.shift(side, highest[i], rows).exp_().sum(-1)
        norms = torch.stack([highest, gap.all_reduce(total, dist.ReduceOp.SUM).log_()])
        for rows in _chunks(student):
            result[0, rows], gradient = gap.part(*gap.log_softmax(sides, norms, rows), ctx.needs_input_grad[0])
            if gradient is not None:
                result[1, rows] = gradient.sum(-1)
        losses, gradient_sum = gap.all_reduce(result, dist.ReduceOp.SUM)
        ctx.gap = gap
        ctx.save_for_backward(student, teacher, norms, gradient_sum)
        return losses

    @staticmethod
    def backward(ctx: FunctionCtx, upstream: Float[Tensor, " N"]) -> tuple[Float[Tensor, "N V"], None, None]:
        remedy = 'take softmax_kl(…, backend="reference") where a rank holds whole rows'
        refuse_a_second_derivative("vocab_parallel_softmax_kl", remedy)
        student, teacher, norms, gradient_sum = ctx.saved_tensors
        to_logits = torch.empty_like(student)
        weight = upstream / ctx.gap.temperature
        for rows in _chunks(student):
            student_logp, teacher_logp = ctx.gap.log_softmax((student, teacher), norms, rows)
            _, gradient = ctx.gap.part(student_logp, teacher_logp, differentiate=True)
            gradient -= student_logp.exp_() * gradient_sum[rows, None]
            to_logits[rows] = gradient.mul_(weight[rows, None]).to(student.dtype)
        return to_logits, None, None


def _chunks(logits: Float[Tensor, "N V"]) -> Iterator[slice]:
    step = max(1, LOGITS // logits.shape[1])
    return (slice(start, start + step) for start in range(0, len(logits), step))


def _local(side: str, logits: Tensor) -> tuple[Tensor, ProcessGroup | None]:
    """This rank's shard, and the group that holds the others where a DTensor knows it."""
    from torch.distributed.tensor import DTensor  # late: it takes a while, and `kd_lab.how` is imported by all

    if not isinstance(logits, DTensor):
        return logits, None
    over = [i for i, placement in enumerate(logits.placements) if placement.is_shard(logits.dim() - 1)]
    if len(over) != 1 or any(placement.is_partial() for placement in logits.placements):
        raise ValueError(
            f"{side}_logits_shard is a DTensor placed as {logits.placements}; expected Shard(-1) on one dimension of "
            "its mesh and no partial sums: call .redistribute(placements=[Shard(-1)])"
        )
    return logits.to_local(), logits.device_mesh.get_group(over[0])


def _leave_transforms() -> None:
    if in_transform():
        raise ValueError(
            "vocab_parallel_softmax_kl came under torch.func or forward mode, which do not reach over ranks; expected "
            "plain autograd: call .backward(), or take softmax_kl where one rank holds all logits"
        )
    if torch.compiler.is_compiling():
        torch._dynamo.graph_break("vocab_parallel_softmax_kl talks to other ranks: leave fullgraph=True out")


def _group(group: ProcessGroup | None) -> ProcessGroup:
    if group is not None:
        return group
    if not dist.is_initialized():
        raise ValueError(
            "there is no process group; expected the ranks that share the vocabulary: call "
            "torch.distributed.init_process_group under torchrun, or take softmax_kl where one rank holds all logits"
        )
    return dist.group.WORLD
