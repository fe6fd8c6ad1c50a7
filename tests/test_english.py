"""The English of code, messages, lessons and documents: idiomatic, at the board."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CODE = sorted(file for file in (ROOT / "kd_lab").rglob("*.py") if file.name != "lesson.py")
LESSONS = sorted((ROOT / "kd_lab").rglob("lesson.py"))
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "kd_lab").rglob("*.md")])

COUNTED = (
    "(?:nats?|bits?|bytes?|tokens?|names?|steps?|rows?|curves?|exponentials?|dollars?|cents?|flops?|[mnµ]?s|ms|"
    "seconds?|minutes?|milliseconds?|microseconds?|[KMGT]i?B)"
)
WHOLE = (
    "(?:position|character|prefix|token|letter|word|text|sequence|name|row|column|batch|step|seed|run|group|option|"
    "method|recipe|point|symbol|look|lesson|explorer|setting|exercise|file|path|side|layer|head|block|tensor|element|"
    "parameter|weight|channel|second|minute|question|answer|request|prompt|seat|line|curve|student|teacher|class)"
)
SMALL = "(?:and|as|at|by|for|if|in|is|of|on|or|than|to|under|when|where|with)"
DISTRIBUTIVE = re.compile(
    (
        rf"\b(?:{COUNTED} an? {WHOLE}|(?:one|two|three|four|\d+|an?) (?!{SMALL}\b)[\w-]+ an? {WHOLE}|"
        rf"expected one an? {WHOLE})\b(?! that\b)"
    ).replace(" an? ", r"\s+an?\s+")
)
"""The "a" of "a penny a piece": per, or for each, is plainer."""

LOST = re.compile(r"\b(?:dear|dearer|gladly|mend|mends|mended|whoever|whomever)\b", re.IGNORECASE)
BORROWED = re.compile(
    r"\b(?:behind (?:it is|its end|a fallen|the letters|the first that)|belongs? into|before (?:both|two|a) judges?|"
    r"(?:held|holds?) (?:[\w-]+ ){0,4}?against (?:one another|each other|the))\b"
)
"""Turns of phrase taken over from German, which a reader has to read twice."""

MACHINE = re.compile(r"(?<![\w/.:])/(?:home|root|work|Users)/\w+")
OPENING = re.compile(r"\s*(?:What|Whoever|How)\b(?! much| many)")


def where(file: Path, text: str, at: int) -> str:
    return f"{file.relative_to(ROOT)}:{text.count(chr(10), 0, at) + 1}"


def found(pattern: re.Pattern, files: list[Path]) -> list[str]:
    """ "file:line  the words" of every match."""
    hits = []
    for file in files:
        text = file.read_text(encoding="utf-8")
        hits += [f"{where(file, text, hit.start())}  {hit[0]!r}" for hit in pattern.finditer(text)]
    return hits


def docstrings(file: Path) -> list[tuple[int, str]]:
    """Line and text of every string that stands alone: docstrings, and those under a name."""
    nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
    alone = [node.value for node in nodes if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)]
    return [(node.lineno, node.value) for node in alone if isinstance(node.value, str)]


def test_per_and_for_each_instead_of_a():
    hits = found(DISTRIBUTIVE, CODE + LESSONS + DOCUMENTS)
    assert not hits, "write “per” or “for each”:\n  " + "\n  ".join(hits)


def test_a_docstring_names_the_thing():
    hits = [
        f"{file.relative_to(ROOT)}:{line}  {text.strip().splitlines()[0]!r}"
        for file in CODE
        for line, text in docstrings(file)
        if text.strip() and OPENING.match(text)
    ]
    assert not hits, "opens with What, Whoever or How; name the thing:\n  " + "\n  ".join(hits)


def test_lost_words_stay_lost():
    hits = found(LOST, CODE + LESSONS + DOCUMENTS)
    assert not hits, "write costly, readily, fix, anyone who:\n  " + "\n  ".join(hits)


def test_no_turn_of_phrase_is_borrowed():
    hits = found(BORROWED, CODE + LESSONS + DOCUMENTS)
    assert not hits, "write after, belongs in, under, compared with:\n  " + "\n  ".join(hits)


def test_no_path_of_one_machine():
    hits = found(MACHINE, CODE + LESSONS + DOCUMENTS)
    assert not hits, "a path of one machine:\n  " + "\n  ".join(hits)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("0.4 nats a position", True),
        ("one row a prefix", True),
        ("bits a character", True),
        ("a curve a method", True),
        ("nats per position", False),
        ("a number for each token", False),
        ("it is 0 where a token ends", False),
        ("a loss that a student minimises", False),
    ],
)
def test_the_distributive_a_is_told_from_the_article(text, is_one):
    assert bool(DISTRIBUTIVE.search(text)) is is_one
