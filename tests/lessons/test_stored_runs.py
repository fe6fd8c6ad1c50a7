"""The stored runs of every lesson: made with the settings of the code as it is, whole, and written as they are read."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import kd_lab.lessons
from kd_lab.classroom import long_runs

FOLDER = Path(kd_lab.lessons.__file__).parent
OF_A_MACHINE = ("date", "python", "torch")
OWN_FORM = {"l09_reasoning_traces", "l10b_what_is_passed_on"}  # an order, and problems above the runs
OWN_TESTS = {"l08_stacking", "l13_real_llm"}  # rungs and parts, which their own commands make

LESSONS = sorted(file.parent.name for file in FOLDER.glob("*/results.json"))


@dataclass(frozen=True)
class Stored:
    """A lesson's file and the module that writes it."""

    file: Path
    made_by: ModuleType

    @property
    def content(self) -> dict[str, Any]:
        return json.loads(self.file.read_text(encoding="utf-8"))

    @property
    def save(self) -> Callable[[Path, Any, Any], None]:
        return self.made_by.write if self.file.parent.name in OWN_FORM else long_runs.write

    def missing(self, runs: Any) -> list[Any]:
        return list(self.made_by.missing(runs))


@pytest.fixture(params=[name for name in LESSONS if name not in OWN_TESTS])
def stored(request):
    return Stored(FOLDER / request.param / "results.json", import_module(f"kd_lab.lessons.{request.param}.experiment"))


def test_its_settings_are_those_of_the_code(stored):
    about, now = stored.content["about"], stored.made_by.about()
    assert list(now)[:4] == ["command", *OF_A_MACHINE]
    assert now | {name: about[name] for name in OF_A_MACHINE} == about, "a setting has changed: run the command"


def test_no_run_is_missing_and_one_that_is_taken_away_is(stored):
    runs = stored.content["runs"]
    assert stored.missing(runs) == []
    if isinstance(runs, dict):
        first = next(iter(runs))
        assert ["/".join(map(str, job)) for job in stored.missing({k: v for k, v in runs.items() if k != first})] == [
            first
        ]
    elif stored.missing(runs[1:]):
        assert len(stored.missing(runs[1:])) == 1
    else:  # a seed is made as a whole
        seed = runs[0]["seed"]
        assert stored.missing([run for run in runs if run["seed"] != seed]) == [seed]


def test_what_was_read_is_written_to_the_byte(stored, tmp_path):
    content = stored.content
    stored.save(tmp_path / "again.json", content["about"], content["runs"])
    assert (tmp_path / "again.json").read_bytes() == stored.file.read_bytes()
