"""Gradients as estimates: bias and variance by enumeration, the error of a mean over samples, angles."""

from math import hypot, sqrt

import torch
from jaxtyping import Float
from torch import Tensor, nn

from kd_lab.arguments import checked


@checked
def mean_and_variance(
    gradients: Float[Tensor, "S P"], probabilities: Float[Tensor, " S"]
) -> tuple[Float[Tensor, " P"], float]:
    """Expectation and total variance of a gradient estimate that takes the value `gradients[s]` with a probability.

    E g = Σ_s w_s g_s,  Var g = E‖g − E g‖² = Σ_s w_s ‖g_s − E g‖², the trace of the covariance

    Args:
        gradients: one estimate for each possible sample, such as each text of an exact language.
        probabilities: of each sample under its writer; they sum to 1.

    Returns:
        The expectation, and the variance in the squared unit of the gradient. The mean over N independent samples has
        the variance divided by N.

    Raises:
        ValueError: the probabilities do not sum to 1.

    >>> import torch
    >>> mean, variance = mean_and_variance(torch.tensor([[0.0, 2.0], [0.0, -2.0]]), torch.tensor([0.75, 0.25]))
    >>> mean.tolist(), variance
    ([0.0, 1.0], 3.0)
    """
    total = probabilities.sum().item()
    if abs(total - 1) > 1e-6:
        raise ValueError(f"the probabilities sum to {total:g}; expected 1: does the list hold every sample, and once?")
    mean = probabilities @ gradients
    return mean, (probabilities @ (gradients - mean).square().sum(1)).item()


@checked
def root_mean_square_error(bias: float, variance: float, samples: int) -> float:
    """√(bias² + variance ÷ samples): the typical distance of the mean over that many samples from the truth.

    More samples take away the second term and never the first.

    Raises:
        ValueError: `samples` is below 1.

    >>> root_mean_square_error(bias=3.0, variance=64.0, samples=4)
    5.0
    """
    if samples < 1:
        raise ValueError(f"samples is {samples}; expected at least 1")
    return hypot(bias, sqrt(variance / samples))


@checked
def gradient_angle(one: Float[Tensor, " P"], other: Float[Tensor, " P"]) -> float:
    """The cosine between two gradients: 1 where they pull the same way, 0 where they have nothing in common.

    Raises:
        ValueError: one of them is zero and points nowhere.
    """
    norms = one.norm() * other.norm()
    if norms == 0:
        raise ValueError("a gradient is zero and has no direction; expected two that are not: has training converged?")
    return (one @ other / norms).item()


@checked
def gradient_of(loss: Float[Tensor, ""], model: nn.Module, retain_graph: bool = False) -> Float[Tensor, " P"]:
    """The gradient of a loss by all parameters of a model that train, as one vector; `.grad` stays untouched."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not parameters or not loss.requires_grad:
        raise ValueError(
            f"{len(parameters)} parameters train and the loss {'has' if loss.requires_grad else 'has no'} graph; "
            "expected a loss that was computed from the model with gradients on"
        )
    parts = torch.autograd.grad(loss, parameters, retain_graph=retain_graph, allow_unused=True)
    return torch.cat(
        [
            (torch.zeros_like(parameter) if part is None else part).flatten()
            for parameter, part in zip(parameters, parts, strict=True)
        ]
    )
