"""Doctored targets: as soft as a teacher, and without some of its knowledge."""

import torch
from jaxtyping import Float
from torch import Tensor


def entropy(p: Float[Tensor, "... V"]) -> Float[Tensor, "..."]:
    """−Σ p·log p, in nats.

    >>> round(entropy(torch.tensor([0.5, 0.5, 0.0])).item(), 4)
    0.6931
    """
    return torch.special.entr(p).sum(-1)


def top_and(p: Float[Tensor, "... V"], rest: Float[Tensor, " V"]) -> Float[Tensor, "... V"]:
    """The likeliest token keeps its probability; all others share what remains in proportion to `rest`.

    >>> top_and(torch.tensor([0.2, 0.6, 0.2]), torch.tensor([1.0, 1.0, 3.0]))
    tensor([0.1000, 0.6000, 0.3000])
    """
    most, top = p.max(-1, keepdim=True)
    others = rest.expand_as(p).scatter(-1, top, 0.0)
    return (others / others.sum(-1, keepdim=True) * (1 - most)).scatter(-1, top, most)


def as_sure_as(p: Float[Tensor, "... V"], teacher: Float[Tensor, "... V"]) -> Float[Tensor, "... V"]:
    """`p` at the temperature, one per position, that gives it the teacher's entropy; found by halving an interval.

    >>> flat, sharp = torch.tensor([0.5, 0.25, 0.25]), torch.tensor([0.1, 0.8, 0.1])
    >>> entropy(as_sure_as(flat, sharp)).allclose(entropy(sharp), atol=1e-4)
    True
    """
    wanted, logp = entropy(teacher), p.clamp_min(1e-9).log()
    low, high = torch.full_like(wanted, -4.0), torch.full_like(wanted, 4.0)  # of log τ
    for _ in range(30):
        middle = (low + high) / 2
        soft = entropy((logp / middle.exp()[..., None]).softmax(-1)) > wanted
        low, high = torch.where(soft, low, middle), torch.where(soft, middle, high)
    return (logp / low.exp()[..., None]).softmax(-1)
