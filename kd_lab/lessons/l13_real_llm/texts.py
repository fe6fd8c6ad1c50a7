"""Two kinds of text that need no download: what the teacher writes, and what a Python installation brings along.

The teacher writes behind an HTTP endpoint, as a text teacher that one may not look into: a question goes in, text comes
out. Docstrings and licences come from the installed packages; whole modules are held out, not single texts.
"""

import hashlib
import importlib
import inspect
import re
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from importlib.metadata import distributions
from itertools import product
from pathlib import Path
from typing import NamedTuple

from kd_lab.models.hugging_face_tokenizer import HuggingFaceTokenizer
from kd_lab.where import TextTeacher
from kd_lab.where.endpoint import Completion

FORMS = (
    "Explain {} to a child.",
    "What is {}? Answer in three sentences.",
    "Write a short story about {}.",
    "Give me three facts about {}.",
    "Why does {} matter?",
    "Write a polite letter about {}.",
    "Describe {} in plain words.",
    "What should a beginner know about {}?",
)
TOPICS = (
    "the moon", "bread", "a river", "chess", "rain", "the heart", "a library", "bees", "gravity", "money", "a bridge",
    "sleep", "music", "the sea", "a bicycle", "snow", "a garden", "the alphabet", "electricity", "a lighthouse", "salt",
    "the telephone", "a forest", "time zones", "glass", "a volcano", "friendship", "paper", "the wind", "a clock",
    "tea", "an orchestra", "the heart of a city", "a map", "steel", "a harvest", "the post office", "a desert",
    "fractions", "a compass",
)  # fmt: skip
MODULES = (
    "argparse", "ast", "asyncio", "base64", "bisect", "calendar", "collections", "configparser", "contextlib", "copy",
    "csv", "dataclasses", "datetime", "decimal", "difflib", "email", "enum", "fractions", "functools", "gettext",
    "glob", "heapq", "html", "http.client", "inspect", "io", "ipaddress", "itertools", "json", "linecache", "locale",
    "logging", "math", "mimetypes", "numbers", "operator", "os", "pathlib", "pickle", "platform", "pprint", "queue",
    "random", "re", "sched", "secrets", "selectors", "shelve", "shlex", "shutil", "smtplib", "socket", "sqlite3",
    "statistics", "string", "subprocess", "tarfile", "tempfile", "textwrap", "threading", "timeit", "tokenize", "types",
    "typing", "unittest", "urllib.parse", "urllib.request", "uuid", "warnings", "wave", "weakref", "zipfile",
)  # fmt: skip
SHORTEST = 300  # characters: shorter documentation is skipped
REFUSAL = re.compile(
    r"\b(i('m| am) sorry|i can(no|')t|i('m| am) (not able|unable)|as an ai|i do(n't| not) have the ability)\b", re.I
)


def questions() -> list[str]:
    """All questions in an order that mixes topics and forms and is the same everywhere."""
    asked = [form.format(topic) for form, topic in product(FORMS, TOPICS)]
    return sorted(asked, key=lambda text: hashlib.sha256(text.encode()).digest())


def as_prompt(question: str) -> str:
    """A question in SmolLM2's own chat format, without its system prompt.

    >>> as_prompt("Why?")
    '<|im_start|>user\\nWhy?<|im_end|>\\n<|im_start|>assistant\\n'
    """
    return f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"


class Written(NamedTuple):
    """The answers that a text teacher gave, with what was left out and why."""

    pairs: list[tuple[str, str]]  # prompt and answer
    unfinished: int  # cut off at the longest answer: they stay, without an end
    refused: int  # "I'm sorry, but": left out, since a student would learn to refuse harmless questions
    empty: int  # left out


def is_refusal(answer: str) -> bool:
    """Whether the first sentence declines to answer.

    >>> is_refusal("I'm sorry, but I can't."), is_refusal("Bees make honey. I'm sorry for them.")
    (True, False)
    """
    return REFUSAL.search(re.split(r"(?<=[.!?])\s", answer.strip(), maxsplit=1)[0]) is not None


def sort_answers(prompts: Sequence[str], answers: Sequence[Completion]) -> Written:
    """Keep what can teach, count the rest."""
    pairs, refused, empty = [], 0, 0
    for prompt, answer in zip(prompts, answers, strict=True):
        if not answer.text.strip():
            empty += 1
        elif is_refusal(answer.text):
            refused += 1
        else:
            pairs.append((prompt, answer.text))
    return Written(pairs, sum(not answer.finished for answer in answers), refused, empty)


def ask(teacher: TextTeacher, prompts: Sequence[str], most_tokens: int, seed: int) -> Written:
    """Ask a text teacher all prompts, at temperature 1.

    Args:
        teacher: who answers.
        prompts: as a student will read them.
        most_tokens: of an answer.
        seed: of the server's draws, where it takes one.
    """
    return sort_answers(prompts, teacher.completions(prompts, most_tokens, 1.0, seed))


def documentation(tokenizer: HuggingFaceTokenizer, length: int) -> tuple[list[str], list[str]]:
    """Passages of at most `length` tokens from docstrings and licences: for training, and from held-out sources.

    Returns:
        (training, held out), each in a mixed order that is the same for the same versions of Python and packages.
    """
    parts: tuple[list[str], list[str]] = ([], [])
    seen = set()
    for source, text in _sources():
        held_out = hashlib.sha256(source.encode()).digest()[0] < 256 // 6
        ids = tokenizer.ids(text)
        for start in range(0, len(ids), length):
            passage = tokenizer.backend.decode(ids[start : start + length], clean_up_tokenization_spaces=False)
            if len(passage) >= SHORTEST and passage not in seen:
                seen.add(passage)
                parts[held_out].append(passage)
    return tuple(sorted(part, key=lambda text: hashlib.sha256(text.encode()).digest()) for part in parts)


def _sources() -> Iterator[tuple[str, str]]:
    """(where it is from, text): a docstring, or a licence."""
    for name in MODULES:
        module = importlib.import_module(name)
        yield name, inspect.getdoc(module) or ""
        for member in sorted(name for name in vars(module) if not name.startswith("_")):
            thing = getattr(module, member)
            if inspect.isclass(thing) or inspect.isroutine(thing):
                yield name, inspect.getdoc(thing) or ""
    licence = Path(sysconfig.get_path("stdlib")) / "LICENSE.txt"
    if licence.is_file():
        yield f"python {sys.version_info.minor}", licence.read_text(encoding="utf-8", errors="replace")
    for package in sorted(distributions(), key=lambda one: one.metadata["Name"] or ""):
        if package.metadata["Name"] in ("torch", "numpy", "matplotlib", "ipywidgets", "tqdm", "safetensors"):
            for file in package.files or ():
                if file.name.upper().startswith(("LICENSE", "COPYING")) and (found := Path(file.locate())).is_file():
                    yield package.metadata["Name"], found.read_text(encoding="utf-8", errors="replace")[:20_000]
