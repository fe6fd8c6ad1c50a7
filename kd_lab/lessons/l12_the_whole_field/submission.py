"""A submission to the tournament: a file with the name of a method and with settings, and without code.

    name = "half and half"
    method = "gkd"
    steps = 60

    [settings]
    divergence = "jsd"
    beta = 0.5
    on_policy_fraction = 0.5

The same as JSON is as good. `read` says what is wrong with a file in one sentence; nothing in a file is ever executed.
"""

import json
import math
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from inspect import signature
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_type_hints

from kd_lab.lessons.l12_the_whole_field.field import HOWS, WHATS, WHERES, compose
from kd_lab.methods import Recipe
from kd_lab.methods.dialects import distillm, distillm_2, nemo_rl, trl
from kd_lab.methods.recipes import METHODS as OF_THE_LIBRARY

MOST_BYTES, MOST_LETTERS = 10_000, 40
METHODS: Mapping[str, Callable[..., Recipe]] = {
    function.__name__: function for function in (*OF_THE_LIBRARY, trl, distillm, distillm_2, nemo_rl, compose)
}
"""The methods that a submission may name, with the settings that each takes as keywords."""

SIMPLE = (bool, int, float, str)


@dataclass(frozen=True)
class Budget:
    """The most that an entry may spend. The teacher's positions are counted while it trains."""

    steps: int = 60
    parameters: int = 30_000
    teacher_positions: int = 80_000


@dataclass(frozen=True)
class Entry:
    """A submission that was read and found to be legal."""

    name: str
    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    steps: int = 60
    learning_rate: float = 3e-3
    width: int = 32
    layers: int = 2

    @property
    def recipe(self) -> Recipe:
        return METHODS[self.method](**self.settings)


LIMITS: Mapping[str, tuple[float, float]] = {
    "steps": (1, math.inf),
    "learning_rate": (1e-5, 0.1),
    "width": (4, 256),
    "layers": (1, 8),
}
"""Field → least and largest value; the budget sets a further limit on steps and on the student's size."""

LARGEST = {"size": 4_096, "beam_width": 8}
"""Settings that cost memory before a step is counted."""


def read(path: Path, budget: Budget | None = None) -> Entry:
    """One submission.

    Raises:
        ValueError: begins with the file's name and says what is wrong, what came, and what was expected.
    """
    try:
        return checked_entry(parsed(path), budget or Budget())
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error


def parsed(path: Path) -> dict[str, Any]:
    """The table in a .json or .toml file.

    Raises:
        ValueError: another kind of file, too large, not UTF-8, or no valid JSON or TOML.
    """
    if path.suffix not in (".json", ".toml"):
        raise ValueError(f"the file ends in {path.suffix!r}; expected .json or .toml")
    if path.is_symlink() or not path.is_file():
        raise ValueError("this is no plain file; expected one that holds JSON or TOML")
    if (size := path.stat().st_size) > MOST_BYTES:
        raise ValueError(f"the file has {size:,} bytes; expected at most {MOST_BYTES:,}: a method and its settings")
    try:
        text = path.read_bytes().decode("utf-8")
        found = tomllib.loads(text) if path.suffix == ".toml" else json.loads(
            text, object_pairs_hook=_once, parse_constant=_no_number
        )  # fmt: skip
    except UnicodeDecodeError as error:
        raise ValueError(f"the file is not UTF-8 ({error.reason}); expected text") from error
    except RecursionError as error:
        raise ValueError("the file is nested too deeply; expected one table, and in it one of settings") from error
    except (json.JSONDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"no valid {path.suffix[1:].upper()}: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"the file holds a {type(found).__name__}; expected a table with name, method and settings")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{', '.join(map(repr, twice))} came twice; expected each name once")
    return dict(pairs)


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number; expected a finite one")


def checked_entry(found: Mapping[str, Any], budget: Budget) -> Entry:
    """An entry from a parsed file.

    Raises:
        ValueError: a field is missing, unknown, of another kind or out of range, or the library refuses the recipe.
    """
    known = tuple(Entry.__dataclass_fields__)
    if strange := sorted(set(found) - set(known)):
        raise ValueError(f"unknown: {_list(strange)}; expected some of {', '.join(known)}")
    if absent := [name for name in ("name", "method") if name not in found]:
        raise ValueError(f"{' and '.join(absent)} missing; expected both a name and a method")
    if found["method"] not in tuple(METHODS):
        raise ValueError(f"method is {found['method']!r:.60}; expected one of {', '.join(METHODS)}")
    fields = {"name": _name(found["name"]), "method": found["method"]}
    fields |= {name: _number(name, found[name]) for name in LIMITS if name in found}
    if "steps" not in found:
        fields["steps"] = budget.steps
    if fields["steps"] > budget.steps:
        raise ValueError(f"steps is {fields['steps']}; the budget is {budget.steps}")
    entry = Entry(**fields, settings=_settings(METHODS[found["method"]], found.get("settings", {})))
    try:
        _ = entry.recipe
    except ValueError as error:
        raise ValueError(f"{entry.method} refuses these settings: {error}") from error
    return entry


def _list(names: list[Any]) -> str:
    return ", ".join(f"{name!r:.40}" for name in names[:5])


def _name(name: Any) -> str:
    if not isinstance(name, str) or not re.fullmatch(rf"[\w .,:+'()=λτβα½-]{{1,{MOST_LETTERS}}}", name):
        raise ValueError(f"name is {name!r:.60}; expected 1 to {MOST_LETTERS} letters, digits, spaces and .,:+'()=-")
    if not name.strip():
        raise ValueError("name is blank; expected something to print on the board")
    return " ".join(name.split())


def _number(name: str, value: Any) -> int | float:
    low, high = LIMITS[name]
    whole = name != "learning_rate"
    kind = "a whole number" if whole else "a number"
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float) or not low <= value <= high:
        limits = f"from {low:g}" if high == math.inf else f"in {low:g} … {high:g}"
        raise ValueError(f"{name} is {value!r:.40}; expected {kind} {limits}")
    return value


def _settings(method: Callable[..., Recipe], settings: Any) -> dict[str, Any]:
    if not isinstance(settings, dict):
        raise ValueError(f"settings is a {type(settings).__name__}; expected a table of keywords of {method.__name__}")
    hints = get_type_hints(method)
    takes = {name: kinds for name in signature(method).parameters if (kinds := _kinds(hints[name]))}
    for name, value in settings.items():
        if name not in takes:
            known = ", ".join(takes) or "none"
            raise ValueError(f"{method.__name__} has no setting {name!r:.40}; expected some of {known}")
        kinds = takes[name]
        fits = type(value) in kinds or (type(value) is int and float in kinds)
        if not fits or (isinstance(value, float) and not math.isfinite(value)):
            wanted = " or ".join(kind.__name__ for kind in kinds)
            raise ValueError(f"setting {name} is {value!r:.40}; expected a {wanted}")
        if name in LARGEST and value > LARGEST[name]:
            raise ValueError(f"setting {name} is {value:,}; expected at most {LARGEST[name]:,}")
    if method is compose:
        _check_words(settings)
    return dict(settings)


def _kinds(hint: Any) -> tuple[type, ...]:
    """The simple types that an annotation allows."""
    kinds = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    return tuple(kind for kind in kinds if kind in SIMPLE and kind is not NoneType)


def _check_words(settings: Mapping[str, Any]) -> None:
    for name, words in (("what", WHATS), ("how", HOWS), ("where", WHERES)):
        if settings.get(name) not in tuple(words):
            raise ValueError(f"{name} is {settings.get(name)!r:.40}; expected one of {', '.join(map(repr, words))}")
