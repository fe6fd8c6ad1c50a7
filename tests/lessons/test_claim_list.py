"""The claims that the course owes, each made in its lesson and asserted by a test marked with its number."""

import ast
from collections import Counter
from functools import cache
from pathlib import Path

from lesson_run import contradictions
from nbformat import read

from kd_lab.classroom.claims import claims_in

CLAIMS = {
    "00": "abc", "01": "abcd", "02": "abcdefg", "03": "abcd", "03b": "efg", "04": "abc", "04b": "ad", "05": "abc",
    "06": "abcd", "07": "abcdef", "08": "abcdefgh", "09": "ab", "09b": "cd", "10": "abc", "10b": "def", "11": "abc",
    "11b": "def", "12": "abcdefg", "13": "abcdef",
}  # fmt: skip


def owed(number):
    """The claims of a lesson; halves of one number, such as 03 and 03b, share its claims between them."""
    return {f"C{number[:2]}{letter}" for letter in CLAIMS[number]}


@cache
def asserted():
    """Claim -> the tests that bear its mark and assert something, read from their source."""
    found: dict[str, list[str]] = {}
    for file in Path(__file__).parents[1].rglob("test_*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.FunctionDef) or not any(
                isinstance(inner, ast.Assert) for inner in ast.walk(node)
            ):
                continue
            for mark in node.decorator_list:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.claim":
                    found.setdefault(ast.literal_eval(mark.args[0]), []).append(node.name)
    return found


def test_the_lesson_makes_every_claim_it_owes_and_no_other(lesson):
    assert {claim.id for claim in claims_in(read(lesson.notebook, as_version=4))} == owed(lesson.number)


def test_every_claim_of_the_lesson_has_a_test(lesson):
    assert owed(lesson.number) - set(asserted()) == set()


def test_no_test_bears_the_mark_of_a_claim_that_does_not_exist():
    assert set(asserted()) - {claim for number in CLAIMS for claim in owed(number)} == set()


FEWEST = 5  # of seeds, texts or prompts
FEWER = {  # claim and part → values, and why there are no more
    ("C05c", 5): (4, "the seeds of a stored table"),
    ("C05c", 6): (4, "the seeds of a stored table"),
    ("C07a", 3): (3, "exact gradients, which the seeds hardly move"),
    ("C07a", 4): (3, "exact gradients, which the seeds hardly move"),
    ("C08g", 4): (3, "the seeds of forty stored rungs"),
    ("C13f", 1): (4, "the prompts that a stored run of a real LLM was timed on"),
}


def test_a_claim_that_chance_enters_has_five_values_or_more(lesson):
    """An exception that no longer is one fails too."""
    seen, few = Counter(), {}
    for claim in claims_in(read(lesson.notebook, as_version=4)):
        seen[claim.id] += 1
        if 1 < len(claim.values) < FEWEST:
            few[claim.id, seen[claim.id]] = len(claim.values)
    assert few == {key: count for key, (count, _) in FEWER.items() if key[0] in owed(lesson.number)}


def test_a_second_run_makes_the_same_claims(lesson, run_of):
    """Claims hold or fail by their data, not by the luck of the run that was saved. Seconds are the machine's own."""
    saved = read(lesson.notebook, as_version=4)
    assert contradictions(saved, run_of(lesson).unsolved) == []
