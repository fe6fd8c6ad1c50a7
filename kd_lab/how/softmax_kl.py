"""The divergence of two softmaxes, from raw logits to one number: checks, the choice of a backend, the reduction."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from kd_lab.how.backends import choose_backend
from kd_lab.how.checks import check_options, check_pair, check_positions
from kd_lab.how.chunked import chunked_softmax_kl
from kd_lab.how.reduction import position_weights, reduce
from kd_lab.how.reference import reference_softmax_kl


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
) -> Float[Tensor, "..."]:
    """The gap between what a student and a teacher say next, as a loss for the student.

    τ²·D(q, p),  q = softmax(student_logits/τ),  p = softmax(teacher_logits/τ)

    Value and gradient carry the same τ², which keeps the gradient of one size as τ grows. Total variation shrinks as
    1/τ and not as 1/τ², so it carries no factor. To mix in hard labels, write
    `(1 - w) * softmax_kl(…) + w * cross_entropy(…)`.

    The gradient flows to the student alone; the teacher's logits are detached.

    Args:
        student_logits: [..., V], any floating dtype and any strides. The arithmetic is fp32, or fp64 for fp64 logits.
        teacher_logits: [..., V], of the same shape; the dtype may differ.
        divergence: "forward_kl" KL(p‖q), "reverse_kl" KL(q‖p), "jsd", "skew_kl", "skew_reverse_kl" or
            "total_variation"; the functions of these names say where each is zero and infinite.
        beta: the teacher's share of the mixture m, read by "jsd", "skew_kl" and "skew_reverse_kl" only; strictly
            between 0 and 1.
        temperature: τ > 0, softens both sides.
        mask: [...], True where a position counts. What stands elsewhere is never read into the loss or the gradient.
        reduction: "mean" over the positions that count, "sum" over them, or "none" for one loss a position, 0 where
            masked. The mean of nothing is 0.
        normalizer: with "mean", divide the sum by this instead: the count of the whole step, for gradient
            accumulation and data parallel training.
        scale_by_t2: carry τ².
        backend: "reference" for the plain formula, "chunked" for rows in pieces that fit the CPU's cache, "triton" for
            the fused kernel; "auto" is Triton on a GPU and chunked on the CPU. fp64 logits always take the reference.

    Returns:
        Nats: a scalar, or [...] with reduction "none". Reverse KL where the teacher is −inf and the student is not is
        infinite, and its gradient is not finite there.

    Raises:
        ValueError: shapes, dtypes, devices or options do not fit, or the backend cannot run here.

    Source: Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 1503.02531, section 2.

    >>> student, teacher = torch.tensor([[0.0, 0.0, 0.0]]), torch.tensor([[2.0, 0.0, -1.0]])
    >>> softmax_kl(student, teacher, divergence="reverse_kl", temperature=2.0)
    tensor(0.7964)
    """
    check_options(divergence, beta, temperature, reduction, normalizer)
    check_pair(student_logits, teacher_logits)
    mask = check_positions(mask, student_logits.shape[:-1], student_logits.device)
    options = {
        "divergence": divergence,
        "beta": beta,
        "temperature": temperature,
        "scale_by_t2": scale_by_t2,
        "mask": mask,
    }
    dtype = torch.promote_types(student_logits.dtype, teacher_logits.dtype)
    per_position = choose_backend(backend, student_logits.device, dtype)
    if per_position is reference_softmax_kl:
        return reduce(per_position(student_logits, teacher_logits, **options), mask, reduction, normalizer)
    # The fast backends can make the gradient in the same visit if they know what the reduction will multiply it with.
    weights = position_weights(student_logits.shape[:-1], mask, reduction, normalizer).to(student_logits.device)
    if per_position is chunked_softmax_kl:
        losses = chunked_softmax_kl(student_logits, teacher_logits, **options, expected_upstream=weights)
        return reduce(losses, mask, reduction, normalizer)
    if reduction == "none":
        return per_position(student_logits, teacher_logits, **options)
    return per_position(student_logits, teacher_logits, **options, weight=weights).sum()
