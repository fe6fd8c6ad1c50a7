"""From a loss at every position to one number: the only place in the library that averages over positions."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from kd_lab.arguments import checked
from kd_lab.how.checks import check_normalizer, check_positions


@checked
def masked_mean(
    values: Float[Tensor, "..."], mask: Bool[Tensor, "..."] | None = None, normalizer: float | Tensor | None = None
) -> Float[Tensor, ""]:
    """The sum of `values` over the positions that count, divided by how many count.

    Σ mask·values / Σ mask, or Σ mask·values / normalizer.

    The token mean is not the mean of sequence means: here every token weighs the same, whichever row it stands in.

    Gradient accumulation: pass as `normalizer` the number of positions that count in the whole step. The sum over the
    parts is then the mean over the whole.

    Data parallel training: DistributedDataParallel averages the ranks' gradients, so a loss that is divided by the
    count of all ranks comes out too small by the number of ranks. Pass that count ÷ world size.

    Args:
        values: one number for each position, in nats if it is a divergence.
        mask: True where a position counts; None counts them all. What stands at a masked position never matters, be
            it infinite or NaN, and no gradient reaches it.
        normalizer: divide by this and not by the number of counted positions. A tensor may live on any device, and its
            value is not looked at: no GPU is waited for, and a graph stays whole. If it is 0, nothing counts in the
            whole step, and the loss is 0.

    Returns:
        The mean, in fp32 at least. Where nothing counts it is 0, with a gradient of 0, and not 0/0.

    Raises:
        ValueError: `mask` is not boolean or has another shape than `values`; `normalizer` has several elements or is a
            number that is not positive.

    >>> masked_mean(torch.tensor([1.0, 3.0, float("nan")]), torch.tensor([True, True, False]))
    tensor(2.)
    >>> masked_mean(torch.tensor([1.0, 3.0]), normalizer=8)
    tensor(0.5000)
    """
    check_normalizer(normalizer)
    mask = check_positions(mask, values.shape, values.device)
    return reduce(values if mask is None else torch.where(mask, values, 0.0), mask, "mean", normalizer)


def reduce(
    losses: Float[Tensor, "..."],
    mask: Bool[Tensor, "..."] | None,
    reduction: str,
    normalizer: float | Tensor | None,
    weights: Float[Tensor, "..."] | None = None,
) -> Float[Tensor, "..."]:
    """One loss per position, 0 where masked, to the "mean", "sum" or "none" of them; nothing is checked any more."""
    if weights is not None:
        losses = losses * weights
    if reduction == "none":
        return losses
    # a sum in fp16 overflows above 65,504, and one in bf16 keeps three digits
    total = losses.sum(dtype=torch.promote_types(losses.dtype, torch.float32))
    return total if reduction == "sum" else total / denominator_of(losses, mask, normalizer)


def position_weights(
    shape: torch.Size,
    mask: Bool[Tensor, "..."] | None,
    reduction: str,
    normalizer: float | Tensor | None,
    weights: Float[Tensor, "..."] | None = None,
    device: torch.device | str = "cpu",
) -> Float[Tensor, "..."]:
    """The factor on each position's loss in the reduced loss, 0 where masked: the gradient that will reach it.

    A backend that makes the gradient together with the loss needs it beforehand.

    >>> position_weights(torch.Size([3]), torch.tensor([True, False, True]), "mean", None)
    tensor([0.5000, 0.0000, 0.5000])
    """
    device = device if mask is None else mask.device
    counted = torch.ones(shape, dtype=torch.float32, device=device) if mask is None else mask.float()
    if reduction == "mean":
        counted = counted / denominator_of(counted, mask, normalizer)
    return counted if weights is None else counted * weights


def denominator_of(losses: Tensor, mask: Tensor | None, normalizer: float | Tensor | None) -> float | Tensor:
    """The number by which the sum is divided for a mean."""
    if isinstance(normalizer, Tensor):
        dtype = torch.promote_types(losses.dtype, torch.float32)
        normalizer = normalizer.detach().reshape(()).to(losses.device, dtype)
        return torch.where(normalizer == 0, torch.inf, normalizer)  # nothing counts, and 0/∞ is 0
    if normalizer is not None:
        return normalizer
    return max(losses.numel(), 1) if mask is None else mask.sum().clamp_min(1)
