"""The divergence of two softmaxes, from raw logits to one number: checks, the choice of a backend, the reduction."""

from inspect import unwrap
from typing import Any, TypedDict, Unpack

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from kd_lab.arguments import check, checked
from kd_lab.how.backends import choose_backend
from kd_lab.how.checks import check_labels, check_options, check_pair, check_positions, check_weights
from kd_lab.how.chunked import chunked_softmax_kl
from kd_lab.how.divergences import DIVERGENCES
from kd_lab.how.few_logits import FEW_OF_MIXTURE, few_softmax_kl
from kd_lab.how.reduction import position_weights, reduce
from kd_lab.how.reference import Statistics, reference_likelihood, reference_softmax_kl, reference_statistics


@checked
def softmax_kl(
    student_logits: Float[Tensor, "... V"],
    teacher_logits: Float[Tensor, "... V_teacher"],
    *,
    divergence: str = "forward_kl",
    beta: float = 0.5,
    temperature: float = 1.0,
    mask: Bool[Tensor, "..."] | None = None,
    reduction: str = "mean",
    normalizer: float | Tensor | None = None,
    scale_by_t2: bool = True,
    backend: str = "auto",
    labels: Int[Tensor, "..."] | None = None,
    label_weight: float = 0.0,
    ignore_index: int = -100,
    weights: Float[Tensor, "..."] | None = None,
) -> Float[Tensor, "..."]:
    """The gap between what a student and a teacher say next, as a loss for the student.

    (1 − w)·τ²·D(q, p) + w·CE(labels),  q = softmax(student_logits/τ),  p = softmax(teacher_logits/τ)

    The gradient flows to the student alone and carries the same τ², which keeps its size as τ grows; total variation
    shrinks as 1/τ and carries no factor. The cross-entropy is taken at τ = 1 in the same sweep, or alone at w = 1.

    Args:
        student_logits: any floating dtype and any strides. The arithmetic is fp32, or fp64 for fp64 logits.
        teacher_logits: of the same shape; the dtype may differ.
        divergence: "forward_kl" KL(p‖q), "reverse_kl" KL(q‖p), "jsd", "skew_kl", "skew_reverse_kl" or
            "total_variation"; the functions of these names say where each is zero and infinite.
        beta: the teacher's share of the mixture m, 0 < β < 1; read by "jsd" and the skew divergences.
        temperature: τ > 0, softens both sides.
        mask: True where a position counts. What stands elsewhere is never read into the loss or the gradient.
        reduction: "mean" over the positions that count, 0 where none does; "sum" over them; or "none": one loss each.
        normalizer: with "mean", divide by this instead: see `masked_mean` for accumulation and data parallel training.
        scale_by_t2: carry τ².
        backend: "reference", the plain formula; "chunked", rows in pieces that fit the CPU's cache; "triton", the fused
            kernel; "auto", the one for this device and size. A table in `kd_lab.how.backends` says what each can do.
        labels: the id that stands at each position, shifted as the logits are.
        label_weight: w, the share of the cross-entropy with the labels, from 0 to 1.
        ignore_index: the label of a position that does not count, as if masked.
        weights: a constant factor on each position's loss. The mean still divides by the number of positions that
            count; pass `normalizer=weights.sum()` for a weighted mean.

    Returns:
        Nats: a scalar, or [...] with reduction "none", 0 where masked. Reverse KL is infinite where the teacher alone
        is −inf, and its gradient is not finite there.

    Raises:
        ValueError: shapes, dtypes, devices or options do not fit, or the backend cannot run here.

    Source: Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 1503.02531, section 2.

    >>> student, teacher = torch.tensor([[0.0, 0.0, 0.0]]), torch.tensor([[2.0, 0.0, -1.0]])
    >>> softmax_kl(student, teacher, divergence="reverse_kl", temperature=2.0)
    tensor(0.7964)
    """
    gap = {"divergence": divergence, "beta": beta, "temperature": temperature, "scale_by_t2": scale_by_t2}
    reducing = {"mask": mask, "reduction": reduction, "normalizer": normalizer, "weights": weights}
    supervision = {"labels": labels, "label_weight": label_weight, "ignore_index": ignore_index}
    return _evaluate(student_logits, teacher_logits, backend=backend, **gap, **reducing, **supervision)[0]


class SoftmaxKLOptions(TypedDict, total=False):
    """The options of `softmax_kl`, for functions that hand them on."""

    divergence: str
    beta: float
    temperature: float
    mask: Bool[Tensor, "..."] | None
    reduction: str
    normalizer: float | Tensor | None
    scale_by_t2: bool
    backend: str
    labels: Int[Tensor, "..."] | None
    label_weight: float
    ignore_index: int
    weights: Float[Tensor, "..."] | None


@checked
def softmax_kl_with_statistics(
    student_logits: Float[Tensor, "... V"],
    teacher_logits: Float[Tensor, "... V_teacher"],
    **options: Unpack[SoftmaxKLOptions],
) -> tuple[Float[Tensor, "..."], Statistics]:
    """`softmax_kl`, and the figures that its one pass over the logits can give besides.

    The one pass is that of the CPU. On a GPU the loss comes from the kernel, and labels and figures from the formula.

    Args:
        student_logits, teacher_logits, options: as in `softmax_kl`.

    Returns:
        The loss, and at each position its value, both entropies, top-1 agreement and acceptance.

    Raises:
        ValueError: as `softmax_kl`.

    >>> student, teacher = torch.tensor([[0.0, 0.0], [2.0, 0.0]]), torch.tensor([[0.0, 0.0], [0.0, 2.0]])
    >>> loss, statistics = softmax_kl_with_statistics(student, teacher)
    >>> {name: round(value, 3) for name, value in statistics.means().items()}
    {'loss': 0.762, 'student_entropy': 0.529, 'teacher_entropy': 0.529, 'agreement': 0.5, 'acceptance': 0.619}
    """
    check(unwrap(softmax_kl), (), options)
    complete = unwrap(softmax_kl).__kwdefaults__ | options
    return _evaluate(student_logits, teacher_logits, with_statistics=True, **complete)


def _evaluate(
    student: Tensor,
    teacher: Tensor,
    *,
    mask: Tensor | None,
    reduction: str,
    normalizer: float | Tensor | None,
    backend: str,
    labels: Tensor | None,
    label_weight: float,
    ignore_index: int,
    weights: Tensor | None,
    with_statistics: bool = False,
    **gap: Any,
) -> tuple[Tensor, Statistics | None]:
    check_options(gap["divergence"], gap["beta"], gap["temperature"], reduction, normalizer)
    check_pair(student, teacher)
    mask = check_positions(mask, student.shape[:-1], student.device)
    labels, mask = check_labels(labels, label_weight, ignore_index, mask, student, student.shape[-1])
    weights = check_weights(weights, student, mask)
    dtype = torch.promote_types(student.dtype, teacher.dtype)
    per_position = choose_backend(backend, student.device, dtype, student.numel())
    if per_position is few_softmax_kl:
        of_formula = not DIVERGENCES[gap["divergence"]].is_mixture or student.numel() <= FEW_OF_MIXTURE
        plain = not label_weight and not with_statistics
        if plain and (of_formula or (reduction != "none" and dtype == teacher.dtype == torch.float32)):
            options = {"mask": mask, "reduction": reduction, "normalizer": normalizer, "weights": weights}
            return few_softmax_kl(student, teacher, **gap, **options), None
        per_position = reference_softmax_kl if of_formula else chunked_softmax_kl
    by_formula = per_position is reference_softmax_kl
    figures, supervision = None, {"labels": labels, "label_weight": label_weight}
    if not by_formula:  # the gradient can be made in the same visit, by the factor that the reduction will bring
        factor = position_weights(student.shape[:-1], mask, reduction, normalizer, weights, student.device)
    if per_position is chunked_softmax_kl:
        losses, figures = chunked_softmax_kl(
            student, teacher, **gap, mask=mask, expected_upstream=factor, statistics=with_statistics, **supervision
        )
    elif by_formula or label_weight == 1 or with_statistics:
        losses = per_position(student, teacher, **gap, mask=mask) if label_weight < 1 else 0.0
        if label_weight:
            losses = (1 - label_weight) * losses + label_weight * reference_likelihood(student, labels, mask)
        if with_statistics:
            figures = reference_statistics(student, teacher, gap["temperature"], mask)
    else:
        if reduction != "none":
            return per_position(student, teacher, **gap, mask=mask, weight=factor, **supervision).sum(), None
        losses = per_position(student, teacher, **gap, mask=mask, **supervision)
    loss = reduce(losses, mask, reduction, normalizer, weights)
    if not with_statistics:
        return loss, None
    mask = torch.ones(losses.shape, dtype=torch.bool, device=losses.device) if mask is None else mask
    return loss, Statistics(losses.detach(), mask, *figures.unbind(-1))
