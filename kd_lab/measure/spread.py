"""The error of an estimated gradient: bias and variance by enumeration, and the error of a mean over samples."""

from math import sqrt

from jaxtyping import Float
from torch import Tensor


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
    return sqrt(bias**2 + variance / samples)
