"""Fresh cases for a grade: the cases of an exercise with other numbers, drawn from a seed that no student has.

A case that knows how to draw itself does so (`Case.drawn`). Any other is redrawn by what its arguments look like:
log-probabilities stay log-probabilities, zeros stay zeros, numbers between 0 and 1 stay there, masks and ids stay as
they are unless nothing else can change.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from kd_lab.classroom.diagnosis import Case

SPREAD = 0.3
"""The standard deviation of the logarithm of the factor by which a positive number changes."""


def draw(case: Case, seed: int, bold: bool = False) -> tuple[Any, ...]:
    """The arguments of a case, drawn anew; the same for the same seed, in any process.

    Args:
        case: of an exercise.
        seed: of the draw.
        bold: whether whole numbers, masks and ids change as well.

    >>> case = Case("two rows", lambda: (torch.tensor([0.25, 0.75]).log(), 3))
    >>> logp, count = draw(case, seed=1)
    >>> round(logp.exp().sum().item(), 4), logp.equal(case.inputs()[0]), count
    (1.0, False, 3)
    """
    generator = np.random.default_rng(seed)
    if case.drawn is not None:
        return case.drawn(generator)
    return tuple(redrawn(value, generator, bold) for value in case.inputs())


def redrawn(value: Any, generator: np.random.Generator, bold: bool) -> Any:
    """Another value of the same kind; what is neither a number nor holds any is returned as it is."""
    if isinstance(value, torch.Tensor):
        if value.is_complex():
            return value
        new = torch.from_numpy(np.array(redrawn(value.detach().double().numpy(), generator, bold)))
        if not value.is_floating_point():
            new = torch.from_numpy(np.array(redrawn(value.numpy(), generator, bold)))
        return new.to(value.dtype).requires_grad_(value.requires_grad)
    if isinstance(value, torch.nn.Module):
        with torch.no_grad():
            for parameter in value.parameters():
                parameter.copy_(redrawn(parameter, generator, bold))
        return value
    if isinstance(value, np.ndarray):
        if value.dtype.kind == "f" and not (bold and np.isin(value, (0, 1)).all()):
            return redrawn_array(value, generator).astype(value.dtype)
        return redrawn_whole(value, generator) if bold and value.dtype.kind in "biuf" else value
    if isinstance(value, float):
        return type(value)(redrawn_numbers(np.array([value]), generator)[0])
    if bold and type(value) is int:
        return int(max(0, value + generator.integers(-2, 4)))
    if isinstance(value, Mapping):
        return {key: redrawn(entry, generator, bold) for key, entry in value.items()}
    if type(value) in (list, tuple):
        return type(value)(redrawn(entry, generator, bold) for entry in value)
    return value


def redrawn_array(array: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Rows of log-probabilities or of probabilities stay such, with their zeros; other numbers are disturbed."""
    if array.ndim and array.shape[-1] > 1 and array.size:
        for logarithms in (True, False):
            with np.errstate(all="ignore"):
                p = np.exp(array) if logarithms else array
                if p.min() >= 0 and np.allclose(p.sum(-1), 1, atol=1e-4):
                    weights = np.where(p > 0, np.exp(generator.normal(size=array.shape)), 0)
                    new = weights / weights.sum(-1, keepdims=True)
                    return np.log(new) if logarithms else new
    return redrawn_numbers(array, generator)


def redrawn_numbers(array: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Numbers in (0, 1) stay there, positive ones positive; 0, 1 and infinities stay where all are of one sign."""
    noise, finite = generator.normal(size=array.shape), np.isfinite(array)
    inside = array[finite]
    if inside.size == 0:
        return array
    with np.errstate(all="ignore"):
        if inside.min() >= 0 and inside.max() <= 1:
            new = 1 / (1 + np.exp(-(np.log(array / (1 - array)) + noise)))
            return np.where((array > 0) & (array < 1), new, array)
        if inside.min() >= 0 or inside.max() <= 0:
            return np.where(finite, array * np.exp(SPREAD * noise), array)
        return np.where(finite, array + max(SPREAD * float(inside.std()), 0.1) * noise, array)


def redrawn_whole(array: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Truth values, and zeros and ones, in another order; whole numbers anew between their least and their largest."""
    if array.dtype.kind in "bf":
        return generator.permutation(array.ravel()).reshape(array.shape)
    return (
        generator.integers(array.min(), array.max() + 1, size=array.shape).astype(array.dtype) if array.size else array
    )


def zero_like(value: Any) -> Any:
    """An answer of the same form that anyone can give: zeros."""
    if isinstance(value, torch.Tensor):
        return torch.zeros_like(value)
    if isinstance(value, np.ndarray | np.generic):
        return np.zeros_like(value)
    if isinstance(value, Mapping):
        return {key: zero_like(entry) for key, entry in value.items()}
    if type(value) in (list, tuple):
        return type(value)(zero_like(entry) for entry in value)
    return type(value)() if isinstance(value, bool | int | float | str) else value
