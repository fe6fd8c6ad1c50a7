"""What the public losses refuse, and how they say so."""

import math

import torch
from torch import Tensor

from kd_lab.how.divergences import DIVERGENCES
from kd_lab.how.reduction import check_mask, check_normalizer

REDUCTIONS = ("mean", "sum", "none")


def check_options(
    divergence: str, beta: float, temperature: float, reduction: str, normalizer: float | Tensor | None
) -> None:
    """Refuse unknown names and impossible numbers.

    Raises:
        ValueError: naming the option, what came and what was expected.
    """
    check_divergence(divergence, beta)
    if not 0 < temperature < math.inf:
        raise ValueError(f"temperature is {temperature}; expected a positive number; 1.0 leaves the logits as they are")
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction is {reduction!r}; expected one of {', '.join(map(repr, REDUCTIONS))}")
    if normalizer is not None:
        check_normalizer(normalizer)
        if reduction != "mean":
            raise ValueError(
                f'a normalizer came with reduction={reduction!r}; expected reduction="mean", whose denominator it '
                'replaces; drop the normalizer, or write reduction="mean"'
            )


def check_divergence(divergence: str, beta: float) -> None:
    """Refuse a name that is not in the table, and a share of the mixture that makes no mixture.

    Raises:
        ValueError: with the names that there are, or the divergence that stands at this end of β's interval.
    """
    if divergence not in DIVERGENCES:
        raise ValueError(f"divergence is {divergence!r}; expected one of {', '.join(map(repr, DIVERGENCES))}")
    DIVERGENCES[divergence].check_beta(beta)


def check_pair(student: Tensor, teacher: Tensor, what: str = "logits") -> None:
    """Refuse two tensors of logits that do not belong together, naming the axis that differs.

    Raises:
        ValueError: an axis, the dtype or the device does not fit.
    """
    for side, tensor in (("student", student), ("teacher", teacher)):
        if not tensor.is_floating_point():
            raise ValueError(
                f"{side}_{what} has dtype {tensor.dtype}; expected floating point numbers, one for each token of the "
                "vocabulary; token ids are not logits"
            )
        if tensor.dim() == 0 or tensor.shape[-1] == 0:
            raise ValueError(
                f"{side}_{what} has shape {tuple(tensor.shape)}; expected [..., V] with the vocabulary (V ≥ 1) last"
            )
    check_vocabulary(student.shape[-1], teacher.shape[-1], f"{what}[..., :V]")
    if student.shape != teacher.shape:
        raise ValueError(
            f"student_{what} has shape {tuple(student.shape)} and teacher_{what} {tuple(teacher.shape)}; expected the "
            "same positions; nothing is broadcast here, so write .expand_as(…) where you mean one for many"
        )
    if student.device != teacher.device:
        raise ValueError(
            f"student_{what} is on {student.device} and teacher_{what} on {teacher.device}; expected one device; "
            f"move the teacher's with .to({str(student.device)!r})"
        )


def check_vocabulary(student: int, teacher: int, cut: str) -> None:
    """Refuse two vocabularies of different size; `cut` is how to shorten one to V.

    Raises:
        ValueError: the sizes differ.
    """
    if student != teacher:
        raise ValueError(
            f"the student's vocabulary has {student} entries and the teacher's {teacher}; expected the same tokens in "
            f"the same order; if the longer one is padded, cut it to the tokens that both know, {cut} with "
            f"V = {min(student, teacher)} at most (zeros as padding would be phantom mass)"
        )


def check_positions(mask: Tensor | None, positions: torch.Size, device: torch.device) -> Tensor | None:
    """Refuse a mask that does not fit the positions; return it on their device.

    Raises:
        ValueError: the mask is not boolean or has another shape.
    """
    if mask is None:
        return None
    check_mask(mask, positions)
    return mask.to(device)


def check_head(side: str, hidden: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    """Refuse a head that cannot read these hidden states.

    Raises:
        ValueError: a shape, the dtype or the device does not fit.
    """
    for name, tensor in (("hidden", hidden), ("weight", weight), ("bias", bias)):
        if tensor is None:
            continue
        if not tensor.is_floating_point():
            raise ValueError(f"{side}_{name} has dtype {tensor.dtype}; expected floating point numbers")
        if tensor.device != hidden.device:
            raise ValueError(
                f"{side}_{name} is on {tensor.device} and {side}_hidden on {hidden.device}; expected one device"
            )
    if weight.dim() != 2 or hidden.dim() == 0 or weight.shape[1] != hidden.shape[-1]:
        raise ValueError(
            f"{side}_weight has shape {tuple(weight.shape)} and {side}_hidden {tuple(hidden.shape)}; expected [V, d] "
            "for [..., d], as in torch.nn.Linear; transpose a weight that is stored as [d, V]"
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(
            f"{side}_bias has shape {tuple(bias.shape)}; expected ({weight.shape[0]},), one number for each row of "
            f"{side}_weight"
        )
