"""The logits of a head, all of them by the formula, or those of a few rows in memory that is there already."""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor

from kd_lab.contracts import Head


def head_logits(head: Head, dtype: torch.dtype) -> Float[Tensor, "... V"]:
    """All the logits in `dtype`, under autocast too; differentiable.

    >>> head = Head(torch.tensor([[1.0, 2.0]]), torch.eye(2), logit_scale=0.5, softcap=1.0)
    >>> head_logits(head, torch.float32)  # tanh ½, tanh 1
    tensor([[0.4621, 0.7616]])
    """
    bias = None if head.bias is None else head.bias.to(dtype)
    with torch.autocast(head.hidden.device.type, enabled=False):
        logits = torch.nn.functional.linear(head.hidden.to(dtype), head.weight.to(dtype), bias) * head.logit_scale
    return logits if head.softcap is None else head.softcap * (logits / head.softcap).tanh()


def logits_of_rows(head: Head, rows: slice | Int[Tensor, " N"], room: Float[Tensor, "R V"]) -> Float[Tensor, "N V"]:
    """The logits of some rows of a matrix of hidden states, in fp32 from the first product on, made in `room`."""
    inputs = head.hidden[rows].float()
    logits = room[: len(inputs)]
    for block, part in parts(head.weight):
        torch.mm(inputs, part.T, out=logits[:, block])
    if head.bias is not None:
        logits.add_(head.bias)
    if head.logit_scale != 1:
        logits.mul_(head.logit_scale)
    if head.softcap is not None:
        logits.div_(head.softcap).tanh_().mul_(head.softcap)
    return logits


def slope(head: Head, logits: Float[Tensor, "N V"], room: Float[Tensor, "R V"]) -> Float[Tensor, "N V"] | float:
    """The derivative of a logit with respect to its hidden @ weightᵀ + bias: scale·(1 − tanh²), made in `room`."""
    if head.softcap is None:
        return head.logit_scale
    squared = torch.square(logits, out=room[: len(logits)])
    return squared.mul_(-head.logit_scale / head.softcap**2).add_(head.logit_scale)


def parts(weight: Float[Tensor, "V d"]) -> Iterator[tuple[slice, Float[Tensor, "block d"]]]:
    """The weight in fp32, in parts of a few MiB if it has to be converted and as a whole if not."""
    size = len(weight) if weight.dtype == torch.float32 else max(1, 2**21 // weight.shape[1])
    for start in range(0, len(weight), size):
        block = slice(start, min(start + size, len(weight)))
        yield block, weight[block].float()
