"""Answers to exercises: compared entry by entry, and shown in one short line."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from numbers import Number
from typing import Any

import numpy as np

from kd_lab.optional_torch import torch


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


def unchanged(before: Any, after: Any) -> bool:
    """Whether an argument still holds the values that it came with, and so do the lists, dicts and records in it.

    Args:
        before: an equal argument that nobody touched. Functions, models and generators in it are not compared: two of
            them are never equal.
        after: the argument.

    >>> unchanged(["a", [1.0]], ["a", [1.0]]), unchanged(["a", [1.0]], ["a", [2.0]])
    (True, False)
    """
    if isinstance(before, Mapping):
        return before.keys() == after.keys() and all(unchanged(before[key], after[key]) for key in before)
    if isinstance(before, list | tuple):
        return len(before) == len(after) and all(map(unchanged, before, after))
    if is_dataclass(before):
        return all(unchanged(getattr(before, one.name), getattr(after, one.name)) for one in fields(before))
    values = isinstance(before, torch.Tensor | np.ndarray | Number | str | bytes | set | type(None))
    return not values or close(after, before, 0.0)


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


def alike(got: Any, form: Any, dtype: torch.dtype | None = None) -> Any:
    """A right answer in the form of another one: a tensor, an array, a number, a list or a tuple of such.

    Args:
        got: the answer. Tensors keep their gradients; what cannot take the form stays as it is.
        form: an answer to another question.
        dtype: of floating-point tensors; by default they keep their own.

    >>> alike(0.5, torch.zeros(()), torch.float32), alike([1.0, torch.tensor(2.0)], (0.0, 0.0))
    (tensor(0.5000), (1.0, 2.0))
    """
    if isinstance(form, Mapping) and isinstance(got, Mapping) and got.keys() == form.keys():
        return {key: alike(got[key], form[key], dtype) for key in form}
    if isinstance(form, tuple) and isinstance(got, list | tuple) and len(got) == len(form):
        return tuple(alike(one, other, dtype) for one, other in zip(got, form, strict=True))
    if isinstance(form, list) and form and isinstance(got, list | tuple | np.ndarray | torch.Tensor):
        return [alike(one, form[0], dtype) for one in got]
    if isinstance(form, str | bool | Mapping | tuple | list) or (array := as_array(got)) is None:
        return got
    if isinstance(form, torch.Tensor):
        tensor = got if isinstance(got, torch.Tensor) else torch.as_tensor(array)
        wanted = (dtype or tensor.dtype) if form.is_floating_point() else form.dtype
        return tensor.to(wanted if wanted.is_floating_point == form.is_floating_point() else form.dtype)
    if isinstance(form, np.ndarray):
        return got if isinstance(got, np.ndarray) else array.astype(form.dtype)
    return array.item() if isinstance(form, Number) and not isinstance(got, Number) and array.size == 1 else got


def precision(arguments: Sequence[Any]) -> torch.dtype | None:
    """The dtype of the first tensor of floating-point numbers among the arguments of a call; None without one.

    >>> precision((2, torch.tensor([0, 1]), torch.zeros(2, dtype=torch.float64)))
    torch.float64
    """
    tensors = (one for one in arguments if isinstance(one, torch.Tensor) and one.is_floating_point())
    return next((one.dtype for one in tensors), None)


def finite(value: Any) -> bool:
    """Whether every number in an answer is finite.

    >>> finite({"kl": torch.ones(2)}), finite((1.0, float("nan"))), finite("a word")
    (True, False, True)
    """
    if isinstance(value, Mapping):
        return all(map(finite, value.values()))
    if (array := as_array(value)) is not None:
        return bool(np.isfinite(array).all())
    return not isinstance(value, list | tuple) or all(map(finite, value))


def difference(got: Any, expected: Any, tolerance: float = 1e-5, names: Sequence[str] = ()) -> str:
    """A sentence for an answer that no known mistake explains.

    Args:
        got, expected: two answers that are not close.
        tolerance: within which entries of a dict or tuple count as right.
        names: of the entries of a tuple; by default they are counted.

    >>> difference({"kl": 1.0, "lse": 2.0}, {"kl": 1.5, "lse": 2.0})
    '`kl` differs; `lse` is right. The value differs in this case. Work it out by hand ...'
    """
    if got is None:
        return "It returns None: the return statement is missing, or this case does not reach it."
    if (parts := entries_of(expected, names)) is not None:
        return difference_of_entries(got, parts, tolerance, names)
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


def entries_of(answer: Any, names: Sequence[str]) -> dict[str, Any] | None:
    """The entries of a dict, or of a tuple that is no plain row of numbers, by name; None for any other answer."""
    if isinstance(answer, Mapping):
        return {str(key): value for key, value in answer.items()}
    if not isinstance(answer, tuple) or (not names and as_array(answer) is not None):
        return None
    return dict(zip(names if len(names) == len(answer) else map(str, range(1, len(answer) + 1)), answer, strict=True))


def difference_of_entries(got: Any, expected: Mapping[str, Any], tolerance: float, names: Sequence[str]) -> str:
    """Which entries are right, which are not, and what is the matter with the first of those."""
    listed = in_words([f"`{name}`" for name in expected])
    own = entries_of(tuple(got) if isinstance(got, list) else got, names)
    if own is None:
        return f"It returns {article(got)}; this case has an answer of {len(expected)} entries: {listed}."
    if list(own) != list(expected) and own.keys() != expected.keys():
        return f"It returns {len(own)} entries, {in_words([f'`{name}`' for name in own])}; asked for are {listed}."
    wrong = [name for name in expected if not close(own[name], expected[name], tolerance)]
    right = [f"`{name}`" for name in expected if name not in wrong]
    sentence = f"{in_words([f'`{name}`' for name in wrong])} {'differs' if len(wrong) == 1 else 'differ'}"
    if right:
        sentence += f"; {in_words(right)} {'is' if len(right) == 1 else 'are'} right"
    return f"{sentence}. {difference(own[wrong[0]], expected[wrong[0]], tolerance)}"


def in_words(things: Sequence[str]) -> str:
    """
    >>> in_words(["a"]), in_words(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return f"{', '.join(things[:-1])} and {things[-1]}" if len(things) > 1 else "".join(things)


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


# ---- of functions in NumPy -------------------------------------------------------------------------------------------


def logs(*rows: Any) -> np.ndarray:
    """Log-probabilities of one distribution or several; a probability of 0 becomes −inf without a warning.

    >>> logs([1.0, 0.0]), logs([1.0, 0.0], [0.5, 0.5]).shape
    (array([  0., -inf]), (2, 2))
    """
    p = np.asarray(rows[0] if len(rows) == 1 else rows, dtype=float)
    return np.log(p, out=np.full_like(p, -np.inf), where=p > 0)


def quiet(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function without NumPy's warnings: a mistake's NaN is to be diagnosed, not announced."""

    def called(*arguments: Any) -> Any:
        with np.errstate(all="ignore"):
            return function(*arguments)

    return called
