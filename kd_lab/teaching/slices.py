"""The part of a submitted notebook that one exercise needs: the function, and what its lines read.

A grade runs neither the lesson nor anything else in the notebook, so that neither a slow cell nor a hostile one counts.
"""

import ast
import builtins
import re
import symtable
from collections.abc import Sequence
from dataclasses import dataclass

MAGIC = re.compile(r"^\s*[%!?].*$", re.MULTILINE)
"""Lines that IPython alone understands."""


class NotThere(Exception):
    """An exercise that a notebook does not answer. The message says why; `state` is that of a report."""

    def __init__(self, state: str, message: str):
        super().__init__(message)
        self.state = state


@dataclass(frozen=True)
class Slice:
    """The part of a notebook that one exercise needs."""

    name: str  # of the function
    source: str  # all that has to run before it can be called, the function last


def slice_of(cells: Sequence[str], identifier: str) -> Slice:
    """Cut the answer to an exercise out of the code cells of a notebook.

    Where several cells answer it, the last counts that has a body: so a copied cell is found, and an untouched one
    beside it does no harm.

    Args:
        cells: the source of each code cell, in their order.
        identifier: of the exercise, such as "03.1".

    Raises:
        NotThere: no cell answers it, or only one that Python cannot read.

    >>> cell = '@exercise("03.1")\\ndef twice(x):\\n    return two * x'
    >>> print(slice_of(["two = 2; print(two)", cell], "03.1").source)
    two = 2
    def twice(x):
        return two * x
    """
    statements, broken, untouched = [], None, False
    chosen = None
    for cell in cells:
        try:
            parsed = ast.parse(MAGIC.sub("", cell)).body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            if asks(cell, identifier):
                broken = error
            continue
        for node in parsed:
            if answers(node, identifier):
                if is_open(node):
                    untouched = True
                    continue
                chosen = len(statements)
            statements.append(node)
    if chosen is None:
        raise missing(broken, untouched)
    function = statements[chosen]
    assert isinstance(function, ast.FunctionDef)
    needed = needed_by(chosen, statements)
    lines = [ast.unparse(without_decorator(statements[index])) for index in [*needed, chosen]]
    return Slice(function.name, "\n".join(lines))


def missing(broken: Exception | None, untouched: bool) -> NotThere:
    if broken is not None:
        where = f", line {broken.lineno}" if isinstance(broken, SyntaxError) and broken.lineno else ""
        return NotThere("syntax error", f"Python cannot read the cell{where}: {getattr(broken, 'msg', broken)}.")
    if untouched:
        return NotThere("not started", "The cell was left as it was.")
    return NotThere("missing", "No cell of the notebook defines the function under its @exercise.")


def asks(cell: str, identifier: str) -> bool:
    return re.search(rf"@exercise\(\s*[\"']{re.escape(identifier)}[\"']", cell) is not None


def answers(node: ast.stmt, identifier: str) -> bool:
    """Whether a statement is the function under `@exercise(identifier)`."""
    return isinstance(node, ast.FunctionDef) and any(
        isinstance(mark, ast.Call)
        and ast.unparse(mark.func).rpartition(".")[2] == "exercise"
        and [ast.unparse(one) for one in mark.args] == [repr(identifier)]
        for mark in node.decorator_list
    )


def is_open(node: ast.stmt) -> bool:
    """Whether a function's body is nothing but docstring, `...`, `pass` and NotImplementedError."""
    assert isinstance(node, ast.FunctionDef)
    return all(
        isinstance(one, ast.Pass)
        or (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))
        or (isinstance(one, ast.Raise) and one.exc is not None and "NotImplementedError" in ast.unparse(one.exc))
        for one in node.body
    )


def without_decorator(node: ast.stmt) -> ast.stmt:
    """A function without its `@exercise`; other decorators, such as `@triton.jit`, stay."""
    if isinstance(node, ast.FunctionDef):
        node.decorator_list = [one for one in node.decorator_list if "exercise" not in ast.unparse(one)]
    return node


def needed_by(chosen: int, statements: Sequence[ast.stmt]) -> list[int]:
    """The statements that bind what a function reads, and what they read in turn, in their order.

    A name that is bound before the function counts as it is there; one bound only later, as it is then. Imports of
    other packages are always kept.
    """
    found = {index for index, node in enumerate(statements[:chosen]) if imports_others(node)}
    seen = set(bound(statements[chosen]))
    ahead = [*reads(without_decorator(statements[chosen]))]
    while ahead:
        name = ahead.pop()
        if name in seen or hasattr(builtins, name):
            continue
        seen.add(name)
        binding = [index for index, node in enumerate(statements) if index != chosen and name in bound(node)]
        before = [index for index in binding if index < chosen]
        for index in before or binding:
            if index not in found:
                found.add(index)
                ahead += reads(without_decorator(statements[index]))
    return sorted(found)


def imports_others(node: ast.stmt) -> bool:
    modules = [given.name for given in node.names] if isinstance(node, ast.Import) else []
    modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
    return bool(modules) and all(module.partition(".")[0] != "kd_lab" for module in modules)


def reads(node: ast.stmt) -> set[str]:
    """The names that a statement takes from the module around it."""
    table = symtable.symtable(ast.unparse(node), "<cell>", "exec")
    names: set[str] = set()
    ahead = [table]
    while ahead:
        scope = ahead.pop()
        ahead += scope.get_children()
        for symbol in scope.get_symbols():
            if symbol.is_referenced() and (symbol.is_global() or scope is table):
                names.add(symbol.get_name())
    return names


def bound(node: ast.stmt) -> set[str]:
    """The names that a statement binds, or changes a part of."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {(given.asname or given.name).partition(".")[0] for given in node.names}
    names = set()
    for one in ast.walk(node):
        if isinstance(one, ast.Name | ast.Attribute | ast.Subscript) and isinstance(one.ctx, ast.Store):
            while isinstance(one, ast.Attribute | ast.Subscript):
                one = one.value
            if isinstance(one, ast.Name):
                names.add(one.id)
    return names
