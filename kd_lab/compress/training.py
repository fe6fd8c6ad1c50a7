"""Quantization-aware training: every forward pass sees rounded weights, the optimiser moves the ones behind them.

A rounded weight is a staircase of its original: flat nearly everywhere, so its gradient is zero. The straight-through
estimator takes the gradient of the identity instead. What is trained is a `GPT` still, so that `distill` trains it by
any recipe: with labels alone, or with the full-precision model as its teacher.

Source: Bengio et al. (2013), arXiv:1308.3432; Jacob et al. (2018), arXiv:1712.05877, section 3.
"""

from copy import deepcopy

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parametrize

from kd_lab.compress.quantize import Quantized, as_quantized, matrix_layers
from kd_lab.compress.rounding import Group, Scheme, nearest_points, round_to_nearest
from kd_lab.models import GPT


def straight_through(weight: Float[Tensor, "O I"], scheme: Scheme) -> Float[Tensor, "O I"]:
    """The rounded weight, with the gradient of the weight itself.

    Nothing is clipped, since the grid reaches over all weights of its group; so no gradient needs to be stopped.

    >>> import torch
    >>> weight = torch.tensor([[0.1, 1.0, 2.0, -3.5]], requires_grad=True)
    >>> straight_through(weight, Scheme(bits=3, group=4)).sum().backward()
    >>> weight.grad
    tensor([[1., 1., 1., 1.]])
    """
    return weight + (nearest_points(weight, scheme) - weight).detach()


class _Rounding(nn.Module):
    """What stands between the stored weight of a layer and the weight that it multiplies with."""

    def __init__(self, scheme: Scheme) -> None:
        super().__init__()
        self.scheme = scheme

    def forward(self, weight: Tensor) -> Tensor:
        return straight_through(weight, self.scheme)


def rounding(model: GPT, bits: int, group: Group = 32, symmetric: bool = True) -> GPT:
    """A copy of a model that computes with rounded weights and can be trained: a student for `distill`.

    Args:
        model: is read and stays as it is, so that it can be the teacher.
        bits, group, symmetric: as in `quantize`.

    Raises:
        ValueError: a number is out of range, or the model is one of these already.

    >>> from kd_lab.models import GPTConfig
    >>> student = rounding(GPT(GPTConfig(vocab_size=3, context=4, layers=1, heads=1, width=8)), bits=2)
    >>> settled(student).bits_per_weight > 2
    True
    """
    scheme, student = Scheme(bits, group, symmetric), deepcopy(model)
    for name, layer in matrix_layers(student):
        if parametrize.is_parametrized(layer, "weight"):
            raise ValueError(f"{name} computes with a changed weight already; expected a plain GPT: settle it first")
        parametrize.register_parametrization(layer, "weight", _Rounding(scheme))
    return student


def settled(student: GPT) -> Quantized:
    """The codes that a trained `rounding` model computes with; `.restore()` gives its logits as a plain GPT.

    Raises:
        ValueError: the model did not come from `rounding`.
    """
    rounded = {}
    for name, layer in matrix_layers(student):
        if not parametrize.is_parametrized(layer, "weight"):
            raise ValueError(f"{name} is not rounded while it computes; expected a model from rounding(model, bits)")
        original = layer.parametrizations.weight
        rounded[f"{name}.weight"] = round_to_nearest(original.original.detach(), original[0].scheme)
    return as_quantized(student, original[0].scheme, rounded)
