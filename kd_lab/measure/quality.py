"""Quality beyond the bits: whether confidence is earned, whether texts repeat themselves, where gradients point."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from kd_lab.models import next_token_logp
from kd_lab.worlds import Batch


@torch.no_grad()
def calibration_error(model: nn.Module, batch: Batch, bins: int = 10) -> float:
    """ECE = Σ_b (n_b/n)·|accuracy_b − confidence_b| of the likeliest next token, over bins of equal width.

    Args:
        batch: texts; every counted position is one prediction.
        bins: of confidence between 0 and 1.

    Returns:
        A number between 0 and 1; 0 where tokens predicted with 70 % are right 70 times in 100.

    Source: Guo et al. (2017), arXiv:1706.04599, equation 3.
    """
    if bins < 1:
        raise ValueError(f"bins is {bins}; expected at least 1")
    logp = next_token_logp(model, batch.inputs)
    batch = batch.to(logp.device)
    largest, predicted = logp[batch.mask].max(-1)
    confidence, right = largest.exp(), (predicted == batch.targets[batch.mask]).double()
    index = (confidence * bins).long().clamp_max(bins - 1)
    excess = torch.zeros(bins, dtype=torch.float64, device=right.device)
    excess = excess.index_add(0, index, right - confidence.double())
    return (excess.abs().sum() / len(right)).item()


def distinct(texts: Sequence[str], n: int = 2) -> float:
    """Different character n-grams ÷ all n-grams of the texts: 1 where nothing repeats, near 0 where all say the same.

    It falls with the number of texts, so compare sets of one size only.

    Raises:
        ValueError: no text is n characters long.

    Source: Li et al. (2016), arXiv:1510.03055, section 5.1, there for words.

    >>> distinct(["abab"], n=2)  # ab, ba, ab
    0.6666666666666666
    """
    grams = [text[i : i + n] for text in texts for i in range(len(text) - n + 1)]
    if not grams:
        raise ValueError(f"none of {len(texts)} texts has {n} characters; expected longer texts, or a smaller n")
    return len(set(grams)) / len(grams)


def gradient_angle(one: Float[Tensor, " P"], other: Float[Tensor, " P"]) -> float:
    """The cosine between two gradients: 1 where they pull the same way, 0 where they have nothing in common.

    Raises:
        ValueError: one of them is zero and points nowhere.
    """
    norms = one.norm() * other.norm()
    if norms == 0:
        raise ValueError("a gradient is zero and has no direction; expected two that are not: has training converged?")
    return (one @ other / norms).item()


def gradient_of(loss: Float[Tensor, ""], model: nn.Module, retain_graph: bool = False) -> Float[Tensor, " P"]:
    """The gradient of a loss by all parameters of a model that train, as one vector; `.grad` stays untouched."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    parts = torch.autograd.grad(loss, parameters, retain_graph=retain_graph, allow_unused=True)
    return torch.cat(
        [
            (torch.zeros_like(parameter) if part is None else part).flatten()
            for parameter, part in zip(parameters, parts, strict=True)
        ]
    )
