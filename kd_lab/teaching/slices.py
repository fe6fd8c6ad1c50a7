"""The part of a submitted notebook that one exercise needs: the function, and what its lines read.

A grade runs neither the lesson nor anything else in the notebook, so that neither a slow cell nor a hostile one counts.
"""

import ast
import builtins
import re
import symtable
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from IPython.core.inputtransformer2 import TransformerManager

NO_CODE = re.compile(r"\A(?:[ \t]*(?:%%.*)?(?:\n|\Z))+")
"""The lines before a cell's code: blank ones, and magics such as %%time that hold for all of it."""


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


def slice_of(cells: Sequence[str], identifier: str, narrow: bool = True) -> Slice:
    """Cut the answer to an exercise out of the code cells of a notebook.

    Where several cells answer it, the last counts that has a body: so a copied cell is found, and an untouched one
    beside it does no harm.

    Args:
        cells: the source of each code cell, in their order.
        identifier: of the exercise, such as "03.1".
        narrow: whether an import of several names keeps only those that are read.

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
            parsed = parse(cell)
        except Exception as error:  # a parser also stops with other errors than SyntaxError
            if asks(cell, identifier):
                broken = error
            continue
        for node in parsed:
            answer, flaw = answers(node, identifier), flaw_of(node)
            if answer and flaw is None and is_open(node):
                untouched = True
            elif flaw is None:
                chosen = len(statements) if answer else chosen
                statements.append(node)
            elif answer:
                broken = flaw
    if chosen is None:
        raise missing(broken, untouched)
    function = statements[chosen]
    assert isinstance(function, ast.FunctionDef)
    needed, names = needed_by(chosen, statements)
    kept = [narrowed(statements[index], names) if narrow else statements[index] for index in needed]
    lines = [ast.unparse(without_decorator(node)) for node in [*kept, function]]
    return Slice(function.name, "\n".join(sorted(lines, key=lambda line: not line.startswith(FUTURE))))


FUTURE = "from __future__ import"
"""An import that Python reads before all else."""


def parse(cell: str) -> list[ast.stmt]:
    """The statements of a cell, where IPython's own lines, such as `%time`, may stand between them.

    They are looked for only where Python cannot read the cell: a line of Python may begin with an operator.

    >>> [ast.unparse(node) for node in parse("%matplotlib inline\\nrest = (first\\n    % size)")][1]
    'rest = first % size'
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(cell).body
        except SyntaxError:
            code = NO_CODE.sub(lambda lines: "#\n" * lines[0].count("\n"), cell)  # as many lines, which errors count
            return ast.parse(TransformerManager().transform_cell(code)).body


def flaw_of(node: ast.stmt) -> Exception | None:
    """The error with which Python compiles a statement that it can parse, such as a `nonlocal` at its top."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            compile(ast.Module([node], []), "<cell>", "exec", dont_inherit=True)
            reads(node)
        except Exception as error:
            return error
    return None


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


def needed_by(chosen: int, statements: Sequence[ast.stmt]) -> tuple[list[int], set[str]]:
    """The statements that bind what a function reads, and what they read in turn, in their order; and all these names.

    A name that is bound before the function counts as it is there; one bound only later, as it is then. An import that
    binds none of them is left out, since it may fail where this runs; one of all names of a module might bind some.
    """
    imported = {name for node in statements if isinstance(node, ast.Import | ast.ImportFrom) for name in bound(node)}
    binds = [bound(node) | (called_on(node) - imported) for node in statements]
    found = {index for index, node in enumerate(statements[:chosen]) if is_future(node) or imports_all(node)}
    seen = set(binds[chosen])
    ahead = [*reads(without_decorator(statements[chosen]))]
    while ahead:
        name = ahead.pop()
        if name in seen:
            continue
        seen.add(name)
        binding = [index for index, names in enumerate(binds) if index != chosen and name in names]
        before = [index for index in binding if index < chosen]
        for index in before or ([] if hasattr(builtins, name) else binding):
            if index not in found:
                found.add(index)
                ahead += reads(without_decorator(statements[index]))
    return sorted(found), seen


def is_future(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"


def imports_all(node: ast.stmt) -> bool:
    """Whether a statement imports all names of a module other than the course's own."""
    return (
        isinstance(node, ast.ImportFrom)
        and [given.name for given in node.names] == ["*"]
        and (node.module or "").partition(".")[0] != "kd_lab"
    )


def narrowed(node: ast.stmt, names: set[str]) -> ast.stmt:
    """An import without the names that nothing reads, since they may not be there; any other statement as it is.

    >>> ast.unparse(narrowed(parse("import numpy as np, pandas as pd")[0], {"np"}))
    'import numpy as np'
    """
    if imports_all(node):
        (attempt,) = parse("try:\n    pass\nexcept Exception:\n    pass")
        assert isinstance(attempt, ast.Try)
        attempt.body = [node]
        return attempt
    if isinstance(node, ast.Import):
        return ast.Import(read_of(node.names, names))
    if isinstance(node, ast.ImportFrom) and not is_future(node):
        return ast.ImportFrom(node.module, read_of(node.names, names), node.level)
    return node


def read_of(given: Iterable[ast.alias], names: set[str]) -> list[ast.alias]:
    return [one for one in given if (one.asname or one.name).partition(".")[0] in names]


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
    symbols = symtable.symtable(ast.unparse(node), "<cell>", "exec").get_symbols()
    names = {one.get_name() for one in symbols if one.is_assigned() or one.is_imported()}
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return names
    parts = (one for one in ast.walk(node) if isinstance(one, ast.Attribute | ast.Subscript))
    return names | {root_of(one) for one in parts if isinstance(one.ctx, ast.Store)}


def called_on(node: ast.stmt) -> set[str]:
    """The names of which a statement calls a method and drops what it returns, so that it may change them.

    >>> called_on(parse("for k in range(3):\\n    powers.append(base ** k)")[0])
    {'powers'}
    """
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return set()
    calls = [one.value for one in ast.walk(node) if isinstance(one, ast.Expr) and isinstance(one.value, ast.Call)]
    return {root_of(one.func) for one in calls if isinstance(one.func, ast.Attribute)} - {""}


def root_of(node: ast.expr) -> str:
    """The name whose part, of whatever depth, an expression is; "" where it is part of no name."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""
