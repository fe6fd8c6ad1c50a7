"""All that the public losses refuse, in words that say what came, what was expected and how to fix it."""

import math

import torch
from torch import Tensor

from kd_lab.how.divergences import DIVERGENCES
from kd_lab.how.log_probabilities import is_traced

HOTTEST = 1e9  # its square, a factor of the loss, is still a number in fp32
REDUCTIONS = ("mean", "sum", "none")


def check_options(
    divergence: str, beta: float, temperature: float, reduction: str, normalizer: float | Tensor | None
) -> None:
    """Refuse unknown names and impossible numbers.

    Raises:
        ValueError: naming the option, what came and what was expected.
    """
    if divergence not in DIVERGENCES:
        raise ValueError(f"divergence is {divergence!r}; expected one of {', '.join(map(repr, DIVERGENCES))}")
    DIVERGENCES[divergence].check_beta(beta)
    if not 0 < temperature <= HOTTEST:
        raise ValueError(
            f"temperature is {temperature}; expected a positive number up to {HOTTEST:g}; 1.0 leaves the logits as "
            "they are"
        )
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction is {reduction!r}; expected one of {', '.join(map(repr, REDUCTIONS))}")
    check_normalizer(normalizer)
    if normalizer is not None and reduction != "mean":
        raise ValueError(
            f'a normalizer came with reduction={reduction!r}; expected reduction="mean", whose denominator it '
            'replaces; drop the normalizer, or write reduction="mean"'
        )


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
    if mask.dtype != torch.bool:
        raise ValueError(
            f"mask has dtype {mask.dtype}; expected torch.bool, True where a position counts; write mask.bool() for "
            "0/1 integers; labels go into labels=…, where ignore_index does not count"
        )
    if mask.shape != positions:
        raise ValueError(
            f"mask has shape {tuple(mask.shape)}; expected {tuple(positions)}, one entry for each position; "
            "nothing is broadcast here, so write mask.expand(…) where you mean it"
        )
    return mask.to(device)


def check_weights(weights: Tensor | None, student_logits: Tensor, mask: Tensor | None) -> Tensor | None:
    """Refuse factors that do not fit the positions; return them on their device, in the dtype of the losses.

    Where a position does not count they are 0: 0 times the ratio of two paddings, which may be NaN, is not 0.

    Raises:
        ValueError: they are not floating point or have another shape.
    """
    if weights is None:
        return None
    positions = student_logits.shape[:-1]
    if not weights.is_floating_point() or weights.shape != positions:
        raise ValueError(
            f"weights has dtype {weights.dtype} and shape {tuple(weights.shape)}; expected floating point numbers, "
            f"{tuple(positions)}, one factor for each position; what does not count at all goes into mask"
        )
    weights = weights.detach().to(student_logits.device, torch.promote_types(student_logits.dtype, torch.float32))
    return weights if mask is None else weights.masked_fill(~mask, 0)


def check_labels(
    labels: Tensor | None, label_weight: float, ignore_index: int, mask: Tensor | None, student: Tensor, vocabulary: int
) -> tuple[Tensor | None, Tensor | None]:
    """Refuse labels that do not fit; return them, None where they weigh nothing, and the mask without the ignored.

    `student` is what stands at the positions: logits or hidden states.

    Raises:
        ValueError: no labels for a weight, a weight that is no share, another shape, or ids outside the vocabulary.
    """
    if not 0 <= label_weight <= 1:
        raise ValueError(f"label_weight is {label_weight}; expected a share between 0 and 1")
    if labels is None:
        if label_weight:
            raise ValueError(f"label_weight is {label_weight} and there are no labels; expected labels=…, or weight 0")
        return None, mask
    positions = student.shape[:-1]
    if labels.is_floating_point() or labels.dtype == torch.bool or labels.shape != positions:
        raise ValueError(
            f"labels have shape {tuple(labels.shape)} and dtype {labels.dtype}; expected {tuple(positions)} and "
            "integers, one token for each position: shift labels and logits against each other first"
        )
    labels = labels.to(student.device)
    counts = labels != ignore_index
    mask = counts if mask is None else mask & counts
    # A graph cannot look at numbers, and looking would make a GPU wait. A gather asserts there; Triton's kernels, which
    # "auto" takes on a GPU, make the row NaN.
    if labels.device.type == "cpu" and not is_traced(labels):
        counted = labels[mask]
        if counted.numel() and not 0 <= counted.min() <= counted.max() < vocabulary:
            raise ValueError(
                f"labels run from {counted.min()} to {counted.max()}; expected 0 … {vocabulary - 1}, or {ignore_index} "
                "(ignore_index) where a position does not count"
            )
    return labels.masked_fill(~mask, 0).long() if label_weight else None, mask


def check_normalizer(normalizer: float | Tensor | None) -> None:
    """Refuse a normalizer that is not one positive number. The value of a tensor is not looked at.

    Raises:
        ValueError: it has more than one element, or is a number that is not positive and finite.
    """
    if isinstance(normalizer, Tensor):
        if normalizer.numel() != 1:
            raise ValueError(
                f"normalizer has shape {tuple(normalizer.shape)}; expected one number, such as the count of positions "
                "that count in the whole step; write .sum() if these are counts of the parts"
            )
    elif normalizer is not None and not 0 < normalizer < math.inf:
        raise ValueError(
            f"normalizer is {normalizer}; expected a positive number, such as the count of positions that count in "
            "the whole step; skip the step if that count is 0, or pass it as a tensor, which makes the loss 0"
        )


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
