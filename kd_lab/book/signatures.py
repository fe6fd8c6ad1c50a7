"""Signatures as they stand in the source, so that shapes and ranges read in the reference as they do there."""

import ast
import inspect
import textwrap
from typing import Any


def signature_of(one: Any) -> tuple[str, str] | None:
    """Arguments and result of a function, or of a class's constructor; None where no source says them.

    >>> from kd_lab.how import masked_mean
    >>> print(*signature_of(masked_mean), sep=" → ")
    (values: Float[Tensor, '...'], mask: Bool[Tensor, '...'] | None=None, ...) → Float[Tensor, '']
    """
    try:
        node = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(one)))).body[0]
    except (OSError, TypeError, SyntaxError):  # compiled, or made while the program runs
        return None
    if isinstance(node, ast.ClassDef):
        return constructor(node)
    return written(node) if isinstance(node, ast.FunctionDef) else None


def parameters_of(one: Any) -> set[str]:
    """The names of what something takes when it is called; empty for a property and for all that has no signature."""
    try:
        return set(inspect.signature(one).parameters)
    except (TypeError, ValueError):
        return set()


def written(node: ast.FunctionDef) -> tuple[str, str]:
    first = (node.args.posonlyargs or node.args.args)[:1]
    if first and first[0].arg in ("self", "cls"):
        (node.args.posonlyargs or node.args.args).pop(0)
    return f"({ast.unparse(node.args)})", ast.unparse(node.returns) if node.returns else ""


def constructor(node: ast.ClassDef) -> tuple[str, str] | None:
    """The arguments of a class: those of its `__init__`, or the fields of a dataclass."""
    for part in node.body:
        if isinstance(part, ast.FunctionDef) and part.name == "__init__":
            return written(part)[0], ""
    if not any("dataclass" in ast.unparse(one) for one in node.decorator_list):
        return None
    fields = [part for part in node.body if isinstance(part, ast.AnnAssign) and "ClassVar" not in ast.unparse(part)]
    return f"({', '.join(map(field, fields))})", ""


def field(part: ast.AnnAssign) -> str:
    said = f"{ast.unparse(part.target)}: {ast.unparse(part.annotation)}"
    if part.value is None:
        return said
    made = isinstance(part.value, ast.Call) and ast.unparse(part.value.func) == "field"
    return f"{said} = {'...' if made else ast.unparse(part.value)}"
