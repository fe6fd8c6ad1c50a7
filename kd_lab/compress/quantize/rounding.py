"""Rounding a matrix to a few bits: a grid for each group of weights, the nearest point of it for each weight.

A weight of `bits` bits is a code c in 0 … 2^bits − 1, and stands for w ≈ s·(c − z) with a scale s and a zero point z
that a group of weights shares. Scales are float16, as they are stored, and the codes are chosen for those.
"""

from dataclasses import dataclass
from typing import Literal, NoReturn

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float16, UInt8
from torch import Tensor

from kd_lab.arguments import checked

Group = int | Literal["channel", "tensor"]
SMALLEST_SCALE = 2.0**-24
"""The smallest float16 above zero: a group of zeros alone has a scale, too."""
LARGEST_SCALE = torch.finfo(torch.float16).max


@checked
@dataclass(frozen=True)
class Scheme:
    """The grid: bits per code, the weights that share a scale, and where zero lies.

    >>> Scheme(bits=4, group=32)
    Scheme(bits=4, group=32, symmetric=True)

    Raises:
        ValueError: bits outside 2 … 8, or a group that is neither a positive number nor one of the two names.
    """

    bits: int  # of one code, 2 … 8
    group: Group = 32  # neighbouring inputs of one output that share a scale; or "channel", or "tensor"
    symmetric: bool = True  # the grid reaches equally far on both sides of zero; else from the smallest to the largest

    def __post_init__(self) -> None:
        if isinstance(self.bits, bool) or not isinstance(self.bits, int) or not 2 <= self.bits <= 8:
            raise ValueError(f"bits is {self.bits!r}; expected a whole number from 2 to 8")
        named = self.group in ("channel", "tensor")
        if not named and (isinstance(self.group, bool) or not isinstance(self.group, int) or self.group < 1):
            raise ValueError(
                f"group is {self.group!r}; expected a number of neighbouring inputs, as 32, or 'channel' or 'tensor'"
            )

    @property
    def middle(self) -> int:
        """The code of zero on a symmetric grid. Code 0 is left out there, so that it reaches as far down as up."""
        return 2 ** (self.bits - 1)

    def scale_shape(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Shape of the scales of a matrix [outputs, inputs]: rows, and groups in a row; the last group may be shorter.

        >>> Scheme(4, group=32).scale_shape((10, 70)), Scheme(4, "channel").scale_shape((10, 70))
        ((10, 3), (10, 1))
        """
        outputs, inputs = shape
        if self.group == "tensor":
            return 1, 1
        return outputs, 1 if self.group == "channel" else -(-inputs // self.group)


@checked
@dataclass(frozen=True)
class QuantizedMatrix:
    """A matrix as codes and the grids that they count on."""

    codes: UInt8[Tensor, "O I"]
    scale: Float16[Tensor, "R G"]  # one per group, in the layout of `Scheme.scale_shape`
    zero_point: UInt8[Tensor, "R G"] | None  # None on symmetric grids, where it is always the middle
    scheme: Scheme

    def dequantize(self) -> Float[Tensor, "O I"]:
        """s·(c − z) in float32."""
        zero_point = self.scheme.middle
        if self.zero_point is not None:
            zero_point = _spread(self.zero_point, self.codes, self.scheme.group).float()
        return _spread(self.scale, self.codes, self.scheme.group).float() * (self.codes.float() - zero_point)

    @property
    def stored_bits(self) -> int:
        """Bits in a file: codes and zero points at `scheme.bits`, scales at 16."""
        zeros = 0 if self.zero_point is None else self.zero_point.numel()
        return self.scheme.bits * (self.codes.numel() + zeros) + 16 * self.scale.numel()


@checked
def round_matrix(weight: Float[Tensor, "O I"], scheme: Scheme) -> QuantizedMatrix:
    """Each weight becomes the nearest point of its group's grid.

    symmetric: s = max|w| / (2^(bits−1) − 1), z = 2^(bits−1);  asymmetric: s = (max − min) / (2^bits − 1),
    z = round(−min / s), where max and min count zero in, so that a zero stays one;  c = clip(round(w / s) + z).

    Args:
        weight: a row is an output, a column an input, as in `nn.Linear`.
        scheme: bits, and the weights that share a grid.

    Raises:
        ValueError: a weight is NaN or infinite, or too large for a scale in float16.

    >>> row = torch.tensor([[0.0, 1.0, 2.0, -3.5]])
    >>> round_matrix(row, Scheme(bits=3, group=4)).dequantize()  # steps of 3.5 / 3
    tensor([[ 0.0000,  1.1670,  2.3340, -3.5010]])

    Source: Jacob et al. (2018), arXiv:1712.05877, equation 1.
    """
    scale, zero = scale_and_zero_point(weight, scheme)
    codes = to_codes(
        weight,
        _spread(scale, weight, scheme.group).float(),
        scheme.middle if zero is None else _spread(zero, weight, scheme.group),
        scheme,
    )
    return QuantizedMatrix(codes, scale, zero, scheme)


def fake_quantize(weight: Float[Tensor, "O I"], scheme: Scheme) -> Float[Tensor, "O I"]:
    """`round_matrix(weight, scheme).dequantize()` to the last bit, without the codes between: for training.

    Raises:
        ValueError: as `round_matrix`.
    """
    scale, zero = scale_and_zero_point(weight, scheme)
    groups, scale = _groups(weight.detach(), scheme.group), scale.float()[..., None]
    middle = scheme.middle if zero is None else zero.float()[..., None]
    codes = ((groups / scale).round() + middle).clamp(1 if scheme.symmetric else 0, 2**scheme.bits - 1)
    points = scale * (codes - middle)
    return points.view_as(weight) if scheme.group == "tensor" else points.flatten(1)[:, : weight.shape[1]]


def scale_and_zero_point(
    weight: Float[Tensor, "O I"], scheme: Scheme
) -> tuple[Float16[Tensor, "R G"], UInt8[Tensor, "R G"] | None]:
    """Scale and zero point of every group, so that its grid covers all of its weights.

    Raises:
        ValueError: as `round_matrix`.
    """
    if not weight.numel():
        raise ValueError(f"weight has shape {tuple(weight.shape)}; expected at least one row and one column")
    if weight.is_meta:
        raise ValueError("weight lies on the meta device, which holds no numbers; expected those of a loaded model")
    groups = _groups(weight.detach(), scheme.group)
    if scheme.symmetric:
        reach, steps = groups.abs().amax(-1), 2 ** (scheme.bits - 1) - 1
    else:
        lowest = groups.amin(-1).clamp(max=0)
        reach, steps = groups.amax(-1).clamp(min=0) - lowest, 2**scheme.bits - 1
    if not reach.max() <= LARGEST_SCALE * steps:  # one comparison, which NaN fails too
        _refuse(weight, scheme, steps)
    scale = (reach / steps).clamp(min=SMALLEST_SCALE).half()
    if scheme.symmetric:
        return scale, None
    return scale, (-lowest / scale.float()).round().clamp(0, steps).to(torch.uint8)


def _refuse(weight: Tensor, scheme: Scheme, steps: int) -> NoReturn:
    if not weight.isfinite().all():
        raise ValueError("a weight is NaN or infinite; expected finite ones: look at the training that they come from")
    raise ValueError(
        f"a weight is as large as {weight.abs().max():g} and its scale does not fit into float16; expected weights "
        f"below {LARGEST_SCALE * steps:g} at {scheme.bits} bits: rescale the layer"
    )


def to_codes(weight: Float[Tensor, "*N"], scale: Tensor, zero: Tensor | int, scheme: Scheme) -> UInt8[Tensor, "*N"]:
    """clip(round(w / s) + z); scale and zero spread over the weights, or of a shape that does so by itself."""
    lowest = 1 if scheme.symmetric else 0
    return ((weight.detach() / scale).round() + zero).clamp(lowest, 2**scheme.bits - 1).to(torch.uint8)


def _groups(weight: Float[Tensor, "O I"], group: Group) -> Float[Tensor, "R G K"]:
    """The weights that share a grid along the last axis. Zeros fill up a short last group; every grid holds zero."""
    if group == "tensor":
        return weight.reshape(1, 1, -1)
    width = weight.shape[1] if group == "channel" else group
    return F.pad(weight, (0, -weight.shape[1] % width)).unflatten(1, (-1, width))


def _spread(per_group: Tensor, weight: Tensor, group: Group) -> Tensor:
    """A number per group as one per weight, or one that broadcasts to it."""
    if group in ("channel", "tensor"):
        return per_group
    return per_group.repeat_interleave(group, dim=1)[:, : weight.shape[1]]
