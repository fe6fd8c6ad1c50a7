"""Which cells of a lesson call the learner's functions, and so run again when an exercise gets another answer."""

import ast
import symtable
from collections.abc import Sequence

from nbformat import NotebookNode

from kd_lab.classroom.lesson import exercise_function, exercise_of


def names_of(source: str) -> tuple[set[str], set[str]]:
    """The names that a cell reads, wherever it stands in it, and those that it binds for the cells below.

    >>> reads, binds = names_of("def double(x): return factor * x\\nfour = double(2)")
    >>> sorted(reads), sorted(binds)
    (['double', 'factor'], ['double', 'four'])
    """
    reads, binds = set(), set()

    def walk(table: symtable.SymbolTable, top: bool) -> None:
        for symbol in table.get_symbols():
            if symbol.is_referenced() and (top or symbol.is_global()):
                reads.add(symbol.get_name())
            if top and (symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace()):
                binds.add(symbol.get_name())
        for child in table.get_children():
            walk(child, False)

    walk(symtable.symtable(source, "cell", "exec"), True)
    return reads, binds


def handed_on(source: str, functions: set[str]) -> set[str]:
    """The names that a cell binds to something that will call one of these functions later.

    >>> sorted(handed_on("a = f(1)\\nb = train(f)\\nc = lambda x: f(x)\\ndef d(): return f(2)", {"f"}))
    ['b', 'c', 'd']
    """

    def loads(node: ast.AST) -> list[ast.Name]:
        return [one for one in ast.walk(node) if isinstance(one, ast.Name) and one.id in functions]

    def keeps(node: ast.AST) -> bool:
        called = {id(one.func) for one in ast.walk(node) if isinstance(one, ast.Call)}
        later = [one for one in ast.walk(node) if isinstance(one, ast.Lambda | ast.FunctionDef | ast.ClassDef)]
        return any(map(loads, later)) or any(id(one) not in called for one in loads(node))

    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assign) and keeps(node.value):
            targets = [one for target in node.targets for one in ast.walk(target)]
            found |= {one.id for one in targets if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)}
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and keeps(node):
            found.add(node.name)
    return found & names_of(source)[1]


def callers(cells: Sequence[NotebookNode], identifiers: set[str]) -> list[int]:
    """The cells that call the functions of these exercises, or something that was given one of them.

    Args:
        cells: all of the notebook's.
        identifiers: such as {"02.1"}.

    Returns:
        Their indices in order, without the cells of the exercises.
    """
    functions: set[str] = set()
    found = []
    for index, cell in enumerate(cells):
        if cell.cell_type != "code":
            continue
        if identifier := exercise_of(cell):
            if identifier in identifiers:
                functions.add(exercise_function(cell.source).name)
        elif names_of(cell.source)[0] & functions:
            found.append(index)
            functions |= handed_on(cell.source, functions)
    return found


def readers(cells: Sequence[NotebookNode], names: set[str]) -> list[int]:
    """The cells that read one of these names and hold no exercise."""
    return [
        index for index, cell in enumerate(cells)
        if cell.cell_type == "code" and not exercise_of(cell) and names_of(cell.source)[0] & names
    ]  # fmt: skip


def bound_there_alone(cells: Sequence[NotebookNode], places: Sequence[int]) -> set[str]:
    """The names that these cells bind and that no other cell binds."""
    code = {index: names_of(cell.source)[1] for index, cell in enumerate(cells) if cell.cell_type == "code"}
    elsewhere = {name for index, names in code.items() if index not in places for name in names}
    return {name for index in places for name in code[index]} - elsewhere
