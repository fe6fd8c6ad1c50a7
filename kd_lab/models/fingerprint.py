"""A hash of values that stays the same from run to run: a cached result is found by all that it depends on."""

import hashlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import is_dataclass
from functools import partial
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType

import numpy as np
import torch
from torch import Tensor, nn

WRITTEN_OUT = (bool, int, float, complex, str, Path, range, torch.dtype, torch.device, type(None), type(Ellipsis))
"""Types whose `repr` says all of a value."""

MADE_IN_PYTHON = 1 << 9
"""The flag of classes that a class statement made: their objects hold in `__dict__` what they are."""


def fingerprint(value: object) -> str:
    """Sixteen hexadecimal digits that stay the same from run to run and differ where the values differ.

    A tensor counts with type and shape, a model with its weights and settings, an object with its attributes. A
    function counts with its source text, its defaults, the variables that it closes over and the global variables of
    its module that it uses; functions of other modules, and classes, count with their names.

    Args:
        value: tensors, arrays, numbers, texts, dataclasses, models, functions, or containers and objects of them.

    Raises:
        ValueError: some part has no stable hash, such as a lock, an open file or a generator of random numbers.

    >>> fingerprint({"steps": 300}) == fingerprint({"steps": 300}) != fingerprint({"steps": 301})
    True
    >>> fingerprint(partial(max, 1)) == fingerprint(partial(max, 2))
    False
    """
    digest = hashlib.sha256()
    for piece in _pieces(value, ()):
        digest.update(len(piece).to_bytes(8, "big") + piece)
    return digest.hexdigest()[:16]


def source(function: Callable) -> str:
    """The source text of a function, so that an edited one does not find the old one's result; else its name."""
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):
        return getattr(function, "__qualname__", type(function).__name__)


def _pieces(value: object, above: tuple[int, ...]) -> Iterator[bytes]:
    """A value as bytes, each piece after its type, so that 1, "1" and [1] differ. `above` are those that hold it."""
    yield type(value).__name__.encode()
    if id(value) in above:
        yield str(above.index(id(value))).encode()  # a function that calls itself
        return
    above = (*above, id(value))
    if isinstance(value, Tensor):
        if value.layout is not torch.strided or value.is_meta:
            raise ValueError(f"a {value.layout} tensor on {value.device} has no stable hash; expected a dense one")
        value = value.detach().cpu().contiguous()
        yield f"{value.dtype} {tuple(value.shape)}".encode()
        yield value.reshape(-1).view(torch.uint8).numpy().tobytes()
    elif isinstance(value, np.ndarray):
        yield f"{value.dtype} {value.shape}".encode()
        yield np.ascontiguousarray(value).tobytes()
    elif isinstance(value, WRITTEN_OUT):
        yield repr(value).encode()
    elif isinstance(value, bytes):
        yield value
    elif isinstance(value, nn.Module):
        yield from _pieces(dict(value.state_dict()), above)
        yield from _settings(value, above)
    elif isinstance(value, (type, ModuleType)):
        yield _name(value)
    elif is_dataclass(value):
        yield from _pieces({name: getattr(value, name) for name in value.__dataclass_fields__}, above)
    elif isinstance(value, (Mapping, list, tuple)):
        yield str(len(value)).encode()
        for item in value.items() if isinstance(value, Mapping) else value:
            yield from _pieces(item, above)
    elif isinstance(value, (set, frozenset)):
        yield from sorted(fingerprint(item).encode() for item in value)
    elif isinstance(value, partial):
        yield from _pieces([value.func, value.args, value.keywords], above)
    elif isinstance(value, MethodType):
        yield from _pieces([value.__func__, value.__self__], above)
    elif isinstance(value, BuiltinFunctionType):
        yield _name(value)
    elif callable(value) and isinstance(inspect.unwrap(value), FunctionType):
        yield from _function(inspect.unwrap(value), above)
    elif type(value).__flags__ & MADE_IN_PYTHON and hasattr(value, "__dict__"):
        yield _name(type(value)) + source(type(value)).encode()
        yield from _pieces(vars(value), above)
    else:
        raise ValueError(
            f"a {type(value).__name__} has no stable hash; expected tensors, arrays, numbers, texts, dataclasses, "
            "models, functions, or lists, tuples, dicts and objects of them"
        )


def _function(function: FunctionType, above: tuple[int, ...]) -> Iterator[bytes]:
    """Source text, defaults, closure, and the global variables of its own module, of which functions count in full."""
    yield source(function).encode()
    yield from _pieces([function.__defaults__, function.__kwdefaults__], above)
    names = _names(function.__code__) & function.__globals__.keys()
    used = {name: function.__globals__[name] for name in sorted(names)}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        used[name] = cell.cell_contents
    for name, value in used.items():
        yield name.encode()
        if isinstance(value, FunctionType) and inspect.unwrap(value).__module__ != function.__module__:
            yield _name(value)
            continue
        try:
            yield from _pieces(value, above)
        except ValueError as error:
            raise ValueError(
                f"{function.__qualname__} uses {name!r}, and {error}; leave it out of the function, or pass as an "
                "argument what matters of it"
            ) from error


def _names(code: CodeType) -> set[str]:
    """The names that a function looks up outside of itself, those of the functions inside it among them."""
    inside = (constant for constant in code.co_consts if isinstance(constant, CodeType))
    return set(code.co_names).union(*map(_names, inside))


def _settings(model: nn.Module, above: tuple[int, ...]) -> Iterator[bytes]:
    """Class and plain attributes of each module: a slip or a share is part of a model and not of its weights."""
    for name, module in model.named_modules():
        yield name.encode() + _name(type(module))
        for attribute, value in vars(module).items():
            if attribute.startswith("_") or attribute == "training":
                continue
            try:
                pieces = list(_pieces(value, above))
            except ValueError:  # a tokenizer, say: the class and the weights stand for the model
                continue
            yield attribute.encode()
            yield from pieces


def _name(value: object) -> bytes:
    return f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', None) or value.__name__}".encode()
