"""The machinery that runs lessons would notice what it is there to notice."""

import lesson_run
import pytest
from kernel_alone import KernelAlone
from lab_driver import own_places
from lesson_folder import EXERCISES, SOURCE, forget_lesson, write_lesson
from lesson_run import Run, contradict, errors, mixed, states

from kd_lab.classroom.build import write
from kd_lab.classroom.claim import Claim
from kd_lab.classroom.lesson import edition_of, find_lessons

EXPLORER = """
# %%
from kd_lab.viz import Explorer, Slider

def create(figure):
    axes = figure.subplots()
    axes.set(xlim=(0, 1), ylim=(0, 10))
    return axes.plot([0, 1], [0, 0])[0]

def update(line, height):
    line.set_ydata([0, height])
    return f"The line ends at {{10 / (FAR - height):.1f}}."

Explorer(name="line", controls=[Slider("height", 0.0, 9.0, 1.0, start=1.0)], create=create, update=update).show()
"""


@pytest.fixture
def run(tmp_path):
    sessions = []

    def build_and_run(source, exercises=EXERCISES):
        (lesson,) = find_lessons(write_lesson(tmp_path, source))
        (lesson.folder / "exercises.py").write_text(exercises, encoding="utf-8")
        write(edition_of(lesson, "unsolved"), lesson.notebook)
        places = own_places(tmp_path / "home", tmp_path / "cache")
        sessions.append(Run(lesson, lambda: KernelAlone(lesson.notebook, places)))
        return sessions[-1]

    yield build_and_run
    for session in sessions:
        session.end()
    forget_lesson(tmp_path)


TWICE = """
# %%
twice = double(1.5)

# %%
print(twice.hex())

# %%
print(double(2.5))
"""


def test_a_sound_lesson_runs_once_and_what_an_answer_changes_again(run):
    result = run(SOURCE + TWICE + EXPLORER.replace("FAR", "10"))
    assert errors(result.unsolved.cells) == []
    assert states(result.unsolved.cells) == {"97.1": ["not started"]}
    (claim,) = result.claims["C97a"]
    assert claim.values == (6.0,)

    answered = result.answered
    assert errors(answered.cells.cells) == []
    assert states(answered.cells.cells) == {"97.1": ["right", "right"]}  # the solution, and an unusual answer
    assert [cell.source.partition("\n")[0] for cell in answered.cells.cells] == [
        '@exercise("97.1")',
        "from kd_lab.classroom.diagnosis import find_exercise",
        'predict("97.a")',  # the cells that call the learner's function; what reads their numbers finds the same
        "twice = double(1.5)",
        "print(double(2.5))",
    ]
    assert answered.sweep.outputs[0].text.startswith("line: ")


WHOLE = """if x == 2.5:
        raise KeyError(x)
    return int(total)"""


def test_what_an_answer_breaks_and_a_sliders_end_are_caught(run):
    """The whole number 3 is as right as 3.0, and has no method `hex`; and one call stops although no case did."""
    exercises = EXERCISES.replace("return total", WHOLE)
    result = run(SOURCE + TWICE + EXPLORER.replace("FAR", "9"), exercises)
    assert errors(result.unsolved.cells) == []
    (error,) = errors(result.answered.cells.cells)
    assert "'int' object has no attribute 'hex'" in error
    assert states(result.answered.cells.cells) == {"97.1": ["right", "right", "stopped"]}
    assert "ZeroDivisionError" in "".join(errors([result.answered.sweep]))


def test_a_failing_cell_is_caught_and_stops_the_run(run):
    result = run(SOURCE + "\n# %%\nassert False\n" + EXPLORER.replace("FAR", "10"))
    assert "AssertionError" in "".join(errors(result.unsolved.cells))
    assert [cell.execution_count for cell in result.unsolved.cells if cell.cell_type == "code"][-1] is None


@pytest.mark.parametrize(
    ("before", "after", "contradicts"),
    [
        (("holds", 9.0), ("holds", 2.0), False),
        (("holds", 2.4), ("open", 1.9), False),  # a threshold is crossed by a small step
        (("open", 1.9), ("holds", 2.1), False),
        (("holds", 6.0), ("open", 1.9), True),
        (("open", 0.4), ("holds", 3.0), True),
        (("does not hold", -6.0), ("open", -1.0), True),
        (("holds", 2.0), ("does not hold", -2.0), True),
        (("holds", None), ("does not hold", None), True),
    ],
)
def test_a_verdict_that_opens_by_more_than_a_step_contradicts(monkeypatch, before, after, contradicts):
    claims = [Claim("C97a", "Five of 6.", (1.0,), "", *found) for found in (before, after)]
    monkeypatch.setattr(lesson_run, "mixed", set)
    assert contradict(*claims) == contradicts
    monkeypatch.setattr(lesson_run, "mixed", lambda: {("C97a", "Five of #")})
    assert contradict(*claims) == (contradicts and "open" not in (before[0], after[0]))


def test_claims_whose_machines_differ_are_known(monkeypatch):
    def made(machine, verdict):
        found = [
            Claim("C97a", "Five of 6.", (1.0,), "", verdict, 2.0),
            Claim("C97b", "Surely.", (1.0,), "", "holds", 9.0),
        ]
        claims = [{"part": 1, "timed": False, **claim.to_json()} for claim in found]
        return {"machine": machine, "claims": claims}

    runs = [made("native", "holds"), made("seeds from 1000", "open")]
    monkeypatch.setattr(lesson_run, "stored", lambda: {"runs": runs})
    assert mixed.__wrapped__() == {("C97a", "Five of #")}
