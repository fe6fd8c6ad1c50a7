"""softmax_kl from hidden states and head weights: the logits are made a few rows at a time and never all exist.

    logits = softcap·tanh(logit_scale·(hidden @ weightᵀ + bias) / softcap)

without the tanh where there is no softcap; Gemma 2 caps at 30, Cohere and muP scale. Logits are fp32 whatever the dtype
of their factors, under autocast too (fp64 if one factor is), and rows that do not count are never read
(the formula multiplies zeros in their place).

How exactly fp32 is multiplied is torch's own setting, which is left as it is: in fp32 by default, and on a GPU in TF32,
with 10 bits of mantissa in place of 23, after `torch.set_float32_matmul_precision("high")`.
"""

import math
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint

from kd_lab.arguments import checked
from kd_lab.contracts import Head
from kd_lab.how import linear_sweep
from kd_lab.how.backends import choose_backend
from kd_lab.how.checks import (
    check_head,
    check_labels,
    check_options,
    check_positions,
    check_vocabulary,
    check_weights,
)
from kd_lab.how.chunked import chunked_softmax_kl
from kd_lab.how.reduction import position_weights, reduce
from kd_lab.how.reference import in_transform, reference_softmax_kl


@checked
def linear_softmax_kl(
    student_hidden: Float[Tensor, "... student_width"],
    student_weight: Float[Tensor, "V student_in"],
    teacher_hidden: Float[Tensor, "... teacher_width"],
    teacher_weight: Float[Tensor, "V_teacher teacher_in"],
    *,
    student_bias: Float[Tensor, " _"] | None = None,
    teacher_bias: Float[Tensor, " _"] | None = None,
    student_logit_scale: float = 1.0,
    teacher_logit_scale: float = 1.0,
    student_softcap: float | None = None,
    teacher_softcap: float | None = None,
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
    """`softmax_kl` of two heads' logits, without the memory for them.

    softmax_kl(student_hidden @ student_weightᵀ + student_bias, teacher_hidden @ teacher_weightᵀ + teacher_bias)

    Args:
        student_hidden, teacher_hidden: [..., d] and [..., d′], the inputs of the heads; the teacher's are detached.
        student_weight, teacher_weight: [V, d] and [V, d′], as in `torch.nn.Linear`; with a tied head, the embedding.
        student_bias, teacher_bias: [V], where a head has one.
        student_logit_scale, teacher_logit_scale, student_softcap, teacher_softcap: as the model's configuration says.
        divergence, beta, temperature, mask, reduction, normalizer, scale_by_t2, backend: as in `softmax_kl`;
            "reference" makes its few rows again in the backward pass, and alone has a second derivative.
        labels, label_weight, ignore_index, weights: as in `softmax_kl`.

    Returns:
        Nats: a scalar, or [...] with reduction "none".

    Raises:
        ValueError: as in `softmax_kl`, or a weight, bias, label, scale or softcap does not fit.

    >>> hidden, weight = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0], [2.0, 0.0], [1.0, 1.0]])
    >>> linear_softmax_kl(hidden, weight, hidden, weight.flip(0))
    tensor(0.1547)
    """
    check_options(divergence, beta, temperature, reduction, normalizer)
    student = Head(student_hidden, student_weight, student_bias, student_logit_scale, student_softcap)
    teacher = Head(teacher_hidden, teacher_weight, teacher_bias, teacher_logit_scale, teacher_softcap)
    _check_heads(student, teacher)
    mask = check_positions(mask, student_hidden.shape[:-1], student_hidden.device)
    labels, mask = check_labels(labels, label_weight, ignore_index, mask, student_hidden, len(student_weight))
    weights = check_weights(weights, student_hidden, mask)
    positions, device = student_hidden.shape[:-1], student_hidden.device
    factors = position_weights(positions, mask, reduction, normalizer, weights, device)
    gap = {"divergence": divergence, "beta": beta, "temperature": temperature, "scale_by_t2": scale_by_t2}
    losses = _losses(student, teacher, labels, mask, factors, backend, label_weight, **gap)
    return reduce(losses, mask, reduction, normalizer, weights)


def _losses(
    student: Head,
    teacher: Head,
    labels: Int[Tensor, "..."] | None,
    mask: Bool[Tensor, "..."] | None,
    factors: Float[Tensor, "..."],
    backend: str,
    label_weight: float,
    **gap: Any,
) -> Float[Tensor, "..."]:
    """The loss of each position, 0 where it does not count."""
    tensors = [*student[:3], *(None if tensor is None else tensor.detach() for tensor in teacher[:3])]
    wide = any(tensor is not None and tensor.dtype == torch.float64 for tensor in tensors)
    dtype = torch.float64 if wide else torch.float32
    per_position = choose_backend(backend, student.hidden.device, dtype)
    if per_position is reference_softmax_kl:
        return _by_the_formula(student, teacher._replace(hidden=tensors[3]), labels, mask, label_weight, dtype, **gap)
    caps = (math.inf if head.softcap is None else head.softcap for head in (student, teacher))
    numbers = (gap["beta"], gap["temperature"], label_weight, student.logit_scale, teacher.logit_scale, *caps)
    one = torch.ones((), dtype=torch.float64, device="cpu")
    return linear_sweep.linear_sweep(
        *tensors,
        mask,
        labels,
        factors.detach().float(),
        # As factors of a tensor and not as numbers, for which torch.compile would make a graph for each temperature.
        torch.stack([number * one for number in numbers]),
        gap["divergence"],
        gap["scale_by_t2"],
        "chunked" if per_position is chunked_softmax_kl else "triton",
        [torch.is_grad_enabled() and tensor is not None and tensor.requires_grad for tensor in tensors[:3]],
    )[0]


def _by_the_formula(
    student: Head,
    teacher: Head,
    labels: Int[Tensor, "..."] | None,
    mask: Bool[Tensor, "..."] | None,
    label_weight: float,
    dtype: torch.dtype,
    **gap: Any,
) -> Float[Tensor, "..."]:
    """The loss of each position by autograd, a few rows at a time, which the backward pass makes again."""
    positions = student.hidden.shape[:-1]

    def rows(tensor: Tensor) -> list[Tensor]:
        tensor = tensor.reshape(positions.numel(), *tensor.shape[len(positions) :])
        return list(tensor.split(max(1, linear_sweep.LOGITS // len(student.weight))))

    def losses(h: Tensor, h_teacher: Tensor, chosen: Tensor | None = None) -> Tensor:
        logits = student._replace(hidden=h).logits(dtype)
        teacher_logits = teacher._replace(hidden=h_teacher).logits(dtype)
        apart = reference_softmax_kl(logits, teacher_logits, **gap, mask=None)
        if chosen is None:
            return apart
        surprise = cross_entropy(logits, chosen, reduction="none")
        return torch.lerp(apart, surprise, label_weight) if label_weight < 1 else surprise

    sides = [student.hidden, teacher.hidden]
    if mask is not None:
        sides = [torch.where(mask.unsqueeze(-1), side, 0.0) for side in sides]
    chunks = zip(*map(rows, sides if labels is None else [*sides, labels]), strict=True)
    if in_transform():  # which knows no checkpoints
        made = [losses(*chunk) for chunk in chunks]
    else:
        made = [checkpoint(losses, *chunk, use_reentrant=False, preserve_rng_state=False) for chunk in chunks]
    result = torch.cat(made).view(positions)
    return result if mask is None else torch.where(mask, result, 0.0)


def _check_heads(student: Head, teacher: Head) -> None:
    """Refuse heads that do not belong together, and numbers that are no scale or cap."""
    for side, head in (("student", student), ("teacher", teacher)):
        check_head(side, *head[:3])
        if not (math.isfinite(head.logit_scale) and head.logit_scale != 0):
            raise ValueError(f"{side}_logit_scale is {head.logit_scale}; expected a finite number other than 0")
        if head.softcap is not None and not 0 < head.softcap < math.inf:
            raise ValueError(f"{side}_softcap is {head.softcap}; expected a positive number, or None for no cap")
    check_vocabulary(len(student.weight), len(teacher.weight), "weight[:V]")
    (hidden, *_), (teacher_hidden, *_) = student, teacher
    if hidden.shape[:-1] != teacher_hidden.shape[:-1] or hidden.device != teacher_hidden.device:
        raise ValueError(
            f"student_hidden has shape {tuple(hidden.shape)} on {hidden.device} and teacher_hidden "
            f"{tuple(teacher_hidden.shape)} on {teacher_hidden.device}; expected the same positions on one device"
        )
