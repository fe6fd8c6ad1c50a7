"""Quantization-aware training: forward passes see rounded weights, and the optimiser moves the full-precision ones.

A rounded weight is a staircase function of its original: flat nearly everywhere, so that its gradient is zero. The
straight-through estimator takes the gradient of the identity instead. The student is still a `GPT`, and `distill`
trains it by any recipe: with labels alone, or with the full-precision model as its teacher.

Source: Bengio et al. (2013), arXiv:1308.3432; Jacob et al. (2018), arXiv:1712.05877, section 3.
"""

from copy import deepcopy

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parametrize

from kd_lab.arguments import checked
from kd_lab.compress.quantize.model import QuantizedModel, as_quantized, matrix_layers
from kd_lab.compress.quantize.rounding import Group, Scheme, fake_quantize, round_matrix
from kd_lab.models import GPT


@checked
def straight_through(weight: Float[Tensor, "O I"], scheme: Scheme) -> Float[Tensor, "O I"]:
    """The rounded weight, with the gradient of the weight itself.

    Nothing is clipped, since the grid covers all weights of its group, and so no gradient is stopped.

    >>> import torch
    >>> weight = torch.tensor([[0.1, 1.0, 2.0, -3.5]], requires_grad=True)
    >>> straight_through(weight, Scheme(bits=3, group=4)).sum().backward()
    >>> weight.grad
    tensor([[1., 1., 1., 1.]])
    """
    return weight + (fake_quantize(weight, scheme) - weight).detach()


class _FakeQuantize(nn.Module):
    """From the stored weight of a layer to the rounded one that it multiplies with."""

    def __init__(self, scheme: Scheme) -> None:
        super().__init__()
        self.scheme = scheme

    def forward(self, weight: Tensor) -> Tensor:
        return straight_through(weight, self.scheme)


@checked
def prepare_qat(model: GPT, bits: int, group: Group = 32, symmetric: bool = True) -> GPT:
    """A copy of a model that computes with rounded weights and can be trained: a student for `distill`.

    Args:
        model: is read and stays as it is, so that it can be the teacher.
        bits, group, symmetric: as in `round_to_nearest`.

    Raises:
        ValueError: a number is out of range, or the model is prepared already.

    >>> from kd_lab.models import GPTConfig
    >>> student = prepare_qat(GPT(GPTConfig(vocab_size=3, context=4, layers=1, heads=1, width=8)), bits=2)
    >>> convert_qat(student).bits_per_weight > 2
    True
    """
    scheme, student = Scheme(bits, group, symmetric), deepcopy(model)
    for name, layer in matrix_layers(student):
        if parametrize.is_parametrized(layer, "weight"):
            raise ValueError(
                f"{name} computes with a changed weight already; expected a plain GPT: "
                "call convert_qat(model).dequantize() first"
            )
        parametrize.register_parametrization(layer, "weight", _FakeQuantize(scheme))
    return student


@checked
def convert_qat(student: GPT) -> QuantizedModel:
    """The codes that a trained student computes with; `.dequantize()` gives the same logits as a plain GPT.

    Raises:
        ValueError: the model did not come from `prepare_qat`.
    """
    rounded = {}
    for name, layer in matrix_layers(student):
        if not parametrize.is_parametrized(layer, "weight"):
            raise ValueError(f"{name} is not rounded while it computes; expected a model from prepare_qat(model, bits)")
        original = layer.parametrizations.weight
        rounded[f"{name}.weight"] = round_matrix(original.original.detach(), original[0].scheme)
    return as_quantized(student, original[0].scheme, rounded)
