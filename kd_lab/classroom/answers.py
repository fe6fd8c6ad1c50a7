"""Answers to exercises: compared entry by entry, and shown in one short line."""

from collections.abc import Mapping
from numbers import Number
from typing import Any

import numpy as np
import torch


def close(got: Any, expected: Any, tolerance: float) -> bool:
    """Equal within a tolerance, entry by entry: numbers and arrays by value and shape, containers by their entries.

    >>> close(torch.tensor([1.0, 2.0]), [1.0, 2.0 + 1e-9], 1e-5), close(1.0, [1.0], 1e-5)
    (True, False)
    """
    if isinstance(expected, Mapping):
        return (
            isinstance(got, Mapping)
            and got.keys() == expected.keys()
            and all(close(got[key], expected[key], tolerance) for key in expected)
        )
    got_array, expected_array = as_array(got), as_array(expected)
    if got_array is not None and expected_array is not None:
        return got_array.shape == expected_array.shape and np.allclose(
            got_array, expected_array, rtol=tolerance, atol=tolerance, equal_nan=True
        )
    if isinstance(expected, list | tuple):
        return (
            isinstance(got, list | tuple)
            and len(got) == len(expected)
            and all(close(g, e, tolerance) for g, e in zip(got, expected, strict=True))
        )
    try:  # by the rules of what was expected: an answer that calls itself equal to everything is none
        return isinstance(got, type(expected)) and type(expected).__eq__(expected, got) is True
    except Exception:  # an answer whose comparison breaks is no equal answer
        return False


def as_array(value: Any) -> np.ndarray | None:
    """Numbers, tensors and rectangular lists of numbers as one float64 array; None for everything else."""
    if isinstance(value, torch.Tensor):
        if value.is_meta or value.is_complex():  # without values, or with more than a real number each
            return None
        return value.detach().to_dense().cpu().double().numpy()
    plain = Number | list | tuple | np.ndarray  # anything else with a length would be taken apart by numpy
    if isinstance(value, list | tuple) and not all(isinstance(entry, plain) for entry in value):
        return None
    try:
        array = np.asarray(value)
    except ValueError:  # ragged lists
        return None
    return array.astype(np.float64) if array.dtype.kind in "biuf" else None


def difference(got: Any, expected: Any) -> str:
    """A sentence for an answer that no known mistake explains."""
    if got is None:
        return "It returns None: the return statement is missing, or this case does not reach it."
    got_array, expected_array = as_array(got), as_array(expected)
    if got_array is None or expected_array is None:
        return f"It returns {article(got)} where this case has another answer."
    if got_array.shape != expected_array.shape:
        return (
            f"The shape is {tuple(got_array.shape)}; this case has an answer of shape {tuple(expected_array.shape)}. "
            "Ask which axes are summed or averaged away, and which stay."
        )
    if not np.isfinite(got_array).all() and np.isfinite(expected_array).all():
        return "The answer holds a NaN or an infinity where the mathematics is finite."
    return "The value differs in this case. Work it out by hand and see where your lines part from it."


def brief(value: Any) -> str:
    """A value in one short line, numbers to four digits.

    >>> brief(torch.tensor([0.5, 1 / 3])), brief(torch.zeros(3, 50))
    ('[0.5, 0.3333]', 'a Tensor of shape (3, 50)')
    """
    array = None if isinstance(value, str | bool) else as_array(value)
    if array is not None:
        if array.size > 24:
            return f"{article(value)} of shape {tuple(array.shape)}"
        return nested(array.tolist())
    if callable(value):
        name = getattr(value, "__name__", None)
        return name if isinstance(name, str) else article(value)
    if isinstance(value, list) and value and all(isinstance(entry, torch.Tensor) for entry in value):
        parts = [brief(entry) for entry in value]
        return f"[{', '.join(parts)}]" if len(parts) <= 4 else f"a list of {len(parts)} tensors"
    try:
        text = repr(value)
    except Exception:  # a learner's class
        return article(value)
    return text if len(text) <= 120 and " at 0x" not in text else article(value)


def nested(value: Any) -> str:
    return f"[{', '.join(map(nested, value))}]" if isinstance(value, list) else f"{value:.4g}"


def article(value: Any) -> str:
    name = type(value).__name__
    return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"
