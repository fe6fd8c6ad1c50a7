"""From a loss at every position to one number: the only place in the library that averages."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def masked_mean(
    values: Float[Tensor, "..."], mask: Bool[Tensor, "..."] | None = None, normalizer: float | Tensor | None = None
) -> Float[Tensor, ""]:
    """The sum of `values` over the positions that count, divided by how many count.

    Σ mask·values / Σ mask, or Σ mask·values / normalizer.

    The token mean is not the mean of sequence means: here every token weighs the same, whichever row it stands in. For
    gradient accumulation or data parallel training, pass `normalizer`, the number of positions that count in the
    whole step: the sum over the parts then equals the mean over the whole.

    Args:
        values: one number for each position, in nats if it is a divergence.
        mask: True where a position counts; None counts them all. What stands at a masked position never matters, be
            it infinite or NaN, and no gradient reaches it.
        normalizer: divide by this and not by the number of counted positions.

    Returns:
        The mean. Where nothing counts it is 0, with a gradient of 0, and not 0/0.

    Raises:
        ValueError: `mask` is not boolean or has another shape than `values`; `normalizer` is not positive.

    >>> masked_mean(torch.tensor([1.0, 3.0, float("nan")]), torch.tensor([True, True, False]))
    tensor(2.)
    >>> masked_mean(torch.tensor([1.0, 3.0]), normalizer=8)
    tensor(0.5000)
    """
    if normalizer is not None:
        check_normalizer(normalizer)
    if mask is None:
        return values.sum() / (max(values.numel(), 1) if normalizer is None else normalizer)
    check_mask(mask, values.shape)
    total = torch.where(mask, values, 0.0).sum()
    return total / (mask.sum().clamp_min(1) if normalizer is None else normalizer)


def reduce(
    losses: Float[Tensor, "..."], mask: Bool[Tensor, "..."] | None, reduction: str, normalizer: float | Tensor | None
) -> Float[Tensor, "..."]:
    """One loss a position, 0 where masked, to what `reduction` ("mean", "sum" or "none") asks for."""
    match reduction:
        case "none":
            return losses
        case "sum":
            return losses.sum()
    return masked_mean(losses, mask, normalizer)


def position_weights(
    shape: torch.Size, mask: Bool[Tensor, "..."] | None, reduction: str, normalizer: float | Tensor | None
) -> Float[Tensor, "..."]:
    """What each position's loss is multiplied with in the reduced loss: the gradient that will reach it.

    A backend that makes the gradient together with the loss needs it beforehand.

    >>> position_weights(torch.Size([3]), torch.tensor([True, False, True]), "mean", None)
    tensor([0.5000, 0.0000, 0.5000])
    """
    counted = torch.ones(shape) if mask is None else mask.float()
    if reduction != "mean":
        return counted
    return counted / (counted.sum().clamp_min(1) if normalizer is None else normalizer)


def check_mask(mask: Tensor, shape: torch.Size) -> None:
    """Refuse a mask that is not boolean, or that would broadcast.

    Raises:
        ValueError: the dtype is not bool, or the shape differs.
    """
    if mask.dtype != torch.bool:
        raise ValueError(
            f"mask has dtype {mask.dtype}; expected torch.bool, True where a position counts; write mask.bool() for "
            "0/1 integers, and labels != ignore_index for labels"
        )
    if mask.shape != shape:
        raise ValueError(
            f"mask has shape {tuple(mask.shape)}; expected {tuple(shape)}, one entry for each position; "
            "nothing is broadcast here, so write mask.expand(…) where you mean it"
        )


def check_normalizer(normalizer: float | Tensor) -> None:
    """Refuse a normalizer that is not one positive number.

    Raises:
        ValueError: it has more than one element, or is not positive and finite.
    """
    if isinstance(normalizer, Tensor) and normalizer.numel() != 1:
        raise ValueError(
            f"normalizer has shape {tuple(normalizer.shape)}; expected one number, such as the count of positions "
            "that count in the whole step; write .sum() if these are counts of the parts"
        )
    if torch.compiler.is_compiling() and isinstance(normalizer, Tensor):
        return  # a compiled graph cannot look at a number
    if not 0 < float(normalizer) < float("inf"):
        raise ValueError(
            f"normalizer is {float(normalizer)}; expected a positive number, such as the count of positions that "
            "count in the whole step; skip the step if that count is 0"
        )
