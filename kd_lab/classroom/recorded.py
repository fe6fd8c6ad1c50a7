"""Answers as data: carried from one process to another, or kept in a class's package in place of the solutions.

A package for students holds no reference solution. Its exercises know the answers to their cases, and what the known
mistakes answer there, from a file; the name of a solution is bound to a stand-in, which is the learner's own function
from the moment at which that is right.
"""

import base64
import json
import math
from collections.abc import Callable, Sequence
from inspect import Parameter, Signature
from pathlib import Path
from typing import Any

import numpy as np

from kd_lab.optional_torch import nn, torch

FILE = "recorded.json"
DEPTH = 30
"""The deepest nesting of an answer."""

KINDS = {"bool": "?", "int": "<i8", "float": "<f8"}
"""The kinds of arrays that are carried, and numpy's name of each."""


class Opaque:
    """An answer that is no value: a function perhaps, or an object of the learner's own class. It equals nothing."""

    def __init__(self, name: str):
        self.name = name

    def __repr__(self) -> str:
        return f"an object of the type {self.name}"

    def __eq__(self, _: object) -> bool:
        return False

    __hash__ = object.__hash__


def encode(value: Any, depth: int = 0) -> Any:
    """A value as JSON: numbers, text, arrays, tensors, and lists, tuples and dicts of such.

    Whatever else it holds is replaced by the name of its type: no code of another process is run to read it.

    >>> decode(encode((1.5, [torch.arange(3)], {"a": None})))
    (1.5, [tensor([0, 1, 2])], {'a': None})
    >>> decode(encode(print))
    an object of the type builtin_function_or_method
    """
    kind = type(value)
    if value is None or kind in (bool, str) or (kind is int and abs(value) < 2**63):
        return value
    if kind is float:
        return {"float": value.hex()}
    if depth < DEPTH:
        if kind in (list, tuple):
            return {kind.__name__: [encode(entry, depth + 1) for entry in value]}
        if kind is dict:
            return {"dict": [[encode(key, depth + 1), encode(entry, depth + 1)] for key, entry in value.items()]}
    if kind in (torch.Tensor, nn.Parameter) and not (value.is_meta or value.is_complex() or value.is_quantized):
        dense = value.detach().to_dense().cpu()
        exact = dense.double() if dense.is_floating_point() else dense
        return array_as_json(exact.numpy(), str(dense.dtype).removeprefix("torch."))
    if isinstance(value, np.ndarray | np.generic) and np.asarray(value).dtype.kind in "biuf":
        return array_as_json(np.asarray(value), None)
    return {"opaque": kind.__name__}


def array_as_json(array: np.ndarray, dtype: str | None) -> dict[str, Any]:
    """An array of numbers; `dtype` is that of the tensor that it was, None for an array of numpy's."""
    kind = {"b": "bool", "f": "float"}.get(array.dtype.kind, "int")
    data = np.ascontiguousarray(array, dtype=KINDS[kind]).tobytes()
    return {"array": kind, "shape": list(array.shape), "data": base64.b64encode(data).decode(), "tensor": dtype}


def decode(data: Any) -> Any:
    """The value that `encode` turned into JSON.

    Raises:
        ValueError: this is nothing that `encode` returns.
    """
    if data is None or type(data) in (bool, int, str):
        return data
    try:
        if "array" in data:
            return decode_array(data)
        ((kind, inside),) = data.items()
        if kind == "dict":
            return {decode(key): decode(entry) for key, entry in inside}
        return {
            "float": lambda: float.fromhex(inside),
            "list": lambda: [decode(entry) for entry in inside],
            "tuple": lambda: tuple(decode(entry) for entry in inside),
            "opaque": lambda: Opaque(str(inside)[:60]),
        }[kind]()
    except (AttributeError, KeyError, TypeError, RecursionError, OverflowError) as error:
        raise ValueError(f"this is no encoded answer ({error}); expected what `encode` returns") from error


def decode_array(data: dict[str, Any]) -> Any:
    shape = [int(size) for size in data["shape"]]
    content = base64.b64decode(data["data"])
    if min(shape, default=0) < 0 or len(content) != math.prod(shape) * np.dtype(KINDS[data["array"]]).itemsize:
        raise ValueError(f"an array of shape {shape} came with {len(content)} bytes")
    array = np.frombuffer(content, dtype=KINDS[data["array"]]).reshape(shape).copy()
    if data["tensor"] is None:
        return array
    dtype = getattr(torch, data["tensor"], None)
    return torch.from_numpy(array).to(dtype if isinstance(dtype, torch.dtype) else None)


class Unsolved(RuntimeError):
    """A cell called a function that its exercise still asks for."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]  # IPython shows these lines, and no traceback through this file


class Replay:
    """The answers of a function that is not here: one for each case of its exercise, in their order."""

    def __init__(self, answers: Sequence[Any] = ()):
        self.answers = tuple(answers)

    def __call__(self, *_: Any, **__: Any) -> Any:
        raise Unsolved("The function is not here; its answers to the cases of its exercise are.")


class StandIn(Replay):
    """The place of a reference solution in a package that holds none: the learner's own function once it is right.

    >>> square = StandIn("square", "x")
    >>> square(3)
    Traceback (most recent call last):
    kd_lab.classroom.recorded.Unsolved: This cell needs `square`, which its exercise asks you to write. ...
    >>> square.solved = lambda x: x * x
    >>> square(3)
    9
    """

    def __init__(self, name: str, *parameters: str, answers: Sequence[Any] = ()):
        super().__init__(answers)
        self.__name__ = name
        self.__signature__ = Signature([Parameter(one, Parameter.POSITIONAL_OR_KEYWORD) for one in parameters])
        self.solved: Callable[..., Any] | None = None

    def own(self) -> Any:
        if self.solved is None:
            raise Unsolved(
                f"This cell needs `{self.__name__}`, which its exercise asks you to write. Solve the exercise and run "
                "this cell again; the cells that do not need it run without."
            )
        return self.solved

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self.own()(*arguments, **named)

    def __getitem__(self, grid: Any) -> Any:
        return self.own()[grid]  # a kernel is launched as kernel[grid](…)


def stand_in(module: str, name: str, *parameters: str) -> StandIn:
    """The stand-in for a solution, with its recorded answers where the folder of `module` has them."""
    kept = recorded(module).get(name)
    return StandIn(name, *parameters, answers=[decode(answer) for answer in kept["expected"]] if kept else ())


def replayed(module: str, name: str) -> list[tuple[str, str, Replay]]:
    """Name, message and answers of each known mistake of an exercise, by the name of its solution."""
    kept = recorded(module).get(name, {"mistakes": []})
    return [
        (one["name"], one["message"], Replay([decode(answer) for answer in one["answers"]])) for one in kept["mistakes"]
    ]


def recorded(module: str) -> dict[str, Any]:
    """The contents of `FILE` beside a module; nothing where there is none."""
    file = Path(module).with_name(FILE)
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
