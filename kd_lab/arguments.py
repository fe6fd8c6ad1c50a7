"""The one way in which public entry points refuse bad arguments: the signature is the check.

`@checked` compares what comes with the annotations of a function or a class before any work is done: kinds, dtypes,
shapes (an axis of one name has one length in all arguments), devices without values beside others, and the ranges that
`Annotated` states, such as `Count` and `Positive`. What only the function can know it checks itself, after that.
"""

import math
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, wraps
from inspect import Parameter, signature
from numbers import Integral, Real
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import numpy as np
from jaxtyping import AbstractArray

from kd_lab.optional_torch import Tensor, nn, torch

T = TypeVar("T")


def _has(value: Any, name: str) -> bool:
    try:
        return hasattr(value, name)
    except Exception:  # whatever a property does
        return False


@dataclass(frozen=True)
class That:
    """A condition on a value beyond its type, and the words for it."""

    words: str
    holds: Callable[[Any], bool]


Count = Annotated[int, That("a whole number of at least 1", lambda n: n >= 1)]
Positive = Annotated[float, That("a number above 0 that fp32 can hold", lambda x: 0 < x <= LARGEST)]
Model = Annotated[
    nn.Module,
    That("a language model, with vocab_size, context and end", lambda m: all(_has(m, n) for n in MEMBERS)),
]
MEMBERS = ("vocab_size", "context", "end")
LARGEST = float(np.finfo(np.float32).max)


def checked(thing: T) -> T:
    """Check the arguments of a function, or of a class's constructor, against its annotations.

    Raises:
        ValueError: an argument does not fit; the message names it and says what came, what was expected and how to fix
            it. A graph that torch.compile traces holds no check.

    >>> from jaxtyping import Float
    >>> @checked
    ... def soften(logits: Float[Tensor, "B V"], temperature: Positive = 1.0):
    ...     return logits / temperature
    >>> soften(torch.zeros(2, 3), temperature=-1.0)
    Traceback (most recent call last):
    ValueError: temperature is -1.0; expected a number above 0 that fp32 can hold
    """
    if isinstance(thing, type):
        thing.__init__ = checked(thing.__init__)  # type: ignore[misc]
        return thing
    function: Any = thing
    held: set[Any] = set()  # calls that were found right, which need no other look

    @wraps(function)
    def with_checks(*args: Any, **kwargs: Any) -> Any:
        if not torch.compiler.is_compiling():
            seen = _all_that_a_check_sees(args, kwargs)
            if seen is None or seen not in held:
                check(function, args, kwargs)
                if len(held) >= REMEMBERED:
                    held.clear()
                held.add(seen)
        return function(*args, **kwargs)

    return with_checks  # type: ignore[return-value]


REMEMBERED = 1024  # calls of each function
_PLAIN = frozenset({float, int, str, bool, type(None)})


def _all_that_a_check_sees(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """Types, shapes and devices of tensors, and plain values with their types; None where there is anything else."""
    seen: list[Any] = [len(args)]
    for value in (*args, *kwargs, *kwargs.values()):
        kind = type(value)
        if kind is Tensor or kind is nn.Parameter:
            seen += (value.dtype, value.shape, value.layout, value.device)
        elif kind in _PLAIN:
            seen += (kind, value)
        else:
            return None
    return tuple(seen)


def check(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Refuse arguments that do not fit the function's annotations."""
    positional, annotations = _signature(function)
    axes: dict[str, tuple[Any, str]] = {}  # name of an axis → its length, and the argument that set it
    given = [*zip(positional, args, strict=False), *kwargs.items()]
    without_values = [name for name, value in given if isinstance(value, Tensor) and value.is_meta]
    if without_values and any(_device(value) not in ("meta", None) for _, value in given):
        raise ValueError(
            f"{without_values[0]} stands on the device meta, which holds no values, and another argument does not; "
            "expected all on one device: move it to the device of the others"
        )
    for name, value in given:
        annotation = annotations.get(name, object)
        if not _fits(value, annotation):
            raise ValueError(f"{name} is {_said(value)}; expected {_words(annotation)}{_remedy(value, annotation)}")
        if isinstance(value, Tensor):
            _check_axes(name, value, annotation, axes)


@cache
def _signature(function: Callable[..., Any]) -> tuple[tuple[str, ...], dict[str, Any]]:
    """The names of positional parameters, and the annotation of each parameter as a type."""
    parameters = signature(function).parameters.values()
    known = getattr(function, "__globals__", {})
    positional = [p.name for p in parameters if p.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)]
    annotations = {p.name: p.annotation for p in parameters if p.annotation is not Parameter.empty}
    # a name that is a string is imported for type checkers alone
    return tuple(positional), {n: known.get(a, Any) if isinstance(a, str) else a for n, a in annotations.items()}


def _device(value: Any) -> str | None:
    """The kind of device of a tensor or a model; None for anything else, and for a model that has no parameters yet."""
    made = isinstance(value, nn.Module) and "_parameters" in vars(value)
    first = next(value.parameters(), None) if made else value
    return first.device.type if isinstance(first, Tensor) else None


def _is_array(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, AbstractArray)


def _fits(value: Any, annotation: Any) -> bool:
    """Whether a value is of a type, and in the ranges that it states. Unknown kinds of types hold nothing back."""
    if annotation in (Any, object):
        return True
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return any(_fits(value, one) for one in inside)
    if origin is Annotated:
        conditions = [one for one in inside[1:] if isinstance(one, That)]
        return _fits(value, inside[0]) and all(one.holds(value) for one in conditions)
    if origin is Literal:
        return any(type(value) is type(one) and value == one for one in inside)
    if annotation is None or annotation is type(None):
        return value is None
    if annotation is bool:
        return isinstance(value, bool | np.bool_)
    if annotation is int:
        return isinstance(value, Integral) and not isinstance(value, bool) and -(1 << 63) <= int(value) < 1 << 63
    if annotation is float:
        is_number = isinstance(value, Real) and not isinstance(value, bool)
        return is_number and (_fits(value, int) if isinstance(value, Integral) else not math.isnan(value))
    if _is_array(annotation) or annotation is Tensor:
        return isinstance(value, Tensor) and value.layout is torch.strided and _has_dtype(value, annotation)
    if origin is type or annotation is type:
        return isinstance(value, type)
    if origin is Callable or annotation is Callable:
        return callable(value)
    if isinstance(origin, type) and isinstance(value, type):
        return False
    if isinstance(origin, type) and issubclass(origin, Iterable):
        if isinstance(value, Tensor) or (isinstance(value, str | bytes) and inside) or not isinstance(value, origin):
            return False
        return _items_fit(value, inside)
    kind = origin if isinstance(origin, type) else annotation
    if isinstance(kind, type):
        return not isinstance(value, type) and _is_instance(value, kind)
    return True


def _is_instance(value: Any, kind: type) -> bool:
    try:
        return isinstance(value, kind)
    except Exception:  # a protocol asks the value for its members, and a class of theirs may refuse in any way
        return False


def _items_fit(value: Any, inside: tuple[Any, ...]) -> bool:
    if not inside:
        return True
    if isinstance(value, Mapping):
        return all(_fits(key, inside[0]) and _fits(item, inside[1]) for key, item in value.items())
    if isinstance(value, tuple) and inside[-1] is not Ellipsis and get_origin(inside[0]) is None and len(inside) > 1:
        return len(value) == len(inside) and all(map(_fits, value, inside))
    if not isinstance(value, Sequence):  # a generator would be used up
        return True
    # a NaN among others is for the function to name, with its place
    return all(_fits(item, inside[0]) for item in value if not (isinstance(item, float) and math.isnan(item)))


@cache
def _dtypes(annotation: Any) -> frozenset[str] | None:
    names = getattr(annotation, "dtypes", None)
    return frozenset(names) if isinstance(names, list | tuple) else None  # None: any


def _has_dtype(value: Tensor, annotation: Any) -> bool:
    dtypes = _dtypes(annotation)
    return not value.is_quantized and (dtypes is None or str(value.dtype).removeprefix("torch.") in dtypes)


def _check_axes(name: str, value: Tensor, annotation: Any, axes: dict[str, tuple[Any, str]]) -> None:
    """Refuse a number of axes, or a length, that does not fit; remember lengths by the name of their axis."""
    arrays = [one for one in (annotation, *get_args(annotation)) if _is_array(one)]
    if len(arrays) != 1:
        return
    names = arrays[0].dim_str.split()
    variadic = [i for i, axis in enumerate(names) if axis.startswith("*") or axis == "..."]
    shape, wanted = tuple(value.shape), f"[{', '.join(names)}]"
    if len(shape) < len(names) - len(variadic) or (not variadic and len(shape) != len(names)):
        raise ValueError(f"{name} has shape {shape}; expected {wanted}, {len(names)} axes{' or more' * bool(variadic)}")
    if variadic:
        at, more = variadic[0], len(shape) - len(names) + 1
        shape = (*shape[:at], shape[at : at + more], *shape[at + more :])
    for axis, length in zip(names, shape, strict=True):
        if axis.isdigit() and int(axis) != length:
            raise ValueError(f"{name} has shape {tuple(value.shape)}; expected {wanted}")
        if not axis.removeprefix("*").isidentifier() or axis.removeprefix("*").startswith("_"):
            continue  # a sum of axes, or one that is not named
        known, setter = axes.setdefault(axis, (length, name))
        if known != length:
            raise ValueError(
                f"{name} has shape {tuple(value.shape)}; expected {wanted} with {axis} = {known} as in {setter}; "
                "nothing is broadcast here"
            )


def _said(value: Any) -> str:
    """The value that came, in a few words, whatever it is."""
    if isinstance(value, type):
        return f"the class {value.__name__} itself"
    if isinstance(value, Tensor):
        kind = "" if value.layout is torch.strided else f" with layout {value.layout}"
        return f"a tensor of {value.dtype}, shape {tuple(value.shape)}{kind}"
    if value is None or isinstance(value, bool | Real | str):
        return f"{value!r:.80}"
    return f"{'an' if type(value).__name__[0] in 'AEIOUaeiou' else 'a'} {type(value).__name__}"


KINDS = {"float": "floating point numbers", "int": "integers", "bool": "booleans"}


def _words(annotation: Any) -> str:
    """The expectation that an annotation states, in words."""
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(map(_words, inside)))
    if origin is Annotated:
        return " and ".join([one.words for one in inside[1:] if isinstance(one, That)] or [_words(inside[0])])
    if origin is Literal:
        return "one of " + ", ".join(map(repr, inside))
    if annotation is None or annotation is type(None):
        return "None"
    if _is_array(annotation):
        dtypes = _dtypes(annotation) or frozenset()
        kinds = [words for stem, words in KINDS.items() if any(dtype.startswith(stem) for dtype in dtypes)]
        of = f" of {' or '.join(kinds)}" if kinds and len(kinds) < len(KINDS) else ""
        return f"a tensor{of} [{', '.join(annotation.dim_str.split())}]"
    if origin is Callable or annotation is Callable:
        return "a function"
    simple = {bool: "True or False", int: "a whole number", float: "a number", str: "a string", Tensor: "a tensor"}
    if annotation in simple:
        return simple[annotation]
    if isinstance(origin, type) and inside:
        return f"{origin.__name__} of {' and '.join(_words(one) for one in inside if one is not Ellipsis)}"
    name = getattr(annotation, "__name__", str(annotation))
    return f"{'an' if name[0] in 'AEIOU' else 'a'} {name}"


def _remedy(value: Any, annotation: Any) -> str:
    """The remedy, where it can be told from what came."""
    arrays = [one for one in (annotation, *get_args(annotation)) if _is_array(one) or one is Tensor]
    if isinstance(value, type):
        return f"; make one first, {value.__name__}(…)"
    if arrays and isinstance(value, Tensor):
        if value.layout is not torch.strided:
            return "; write .to_dense()"
        dtypes = _dtypes(arrays[0]) or frozenset()
        casts = {"float": "float32", "long": "int64", "bool": "bool"}
        wanted = next((call for call, dtype in casts.items() if dtype in dtypes), "")
        return f"; write .{wanted}() if that is what you mean" if wanted else ""
    if arrays and isinstance(value, list | tuple | np.ndarray | int | float):
        return "; write torch.tensor(…)"
    if isinstance(value, str) and any(get_origin(one) is Sequence for one in (annotation, *get_args(annotation))):
        return "; write [text] for a single one"
    if isinstance(value, float) and value.is_integer() and _fits(int(value), annotation):
        return f"; write {int(value)}"
    return ""
