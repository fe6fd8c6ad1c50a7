"""The machinery that runs lessons would notice what it is there to notice."""

import pytest
from lesson_folder import SOURCE, forget_lesson, write_lesson
from lesson_run import run_lesson, states

from kd_lab.classroom.build import build
from kd_lab.classroom.lesson import find_lessons

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
    def build_and_run(source):
        (lesson,) = find_lessons(write_lesson(tmp_path, source))
        build(lesson)
        folder = tmp_path / "run"
        folder.mkdir()
        return run_lesson(lesson, folder, tmp_path / "cache")

    yield build_and_run
    forget_lesson(tmp_path)


def test_a_sound_lesson_passes_and_brings_its_claims_back(run):
    checked = '\n# %% tags=["nbval-check-output"]\nprint("always the same")\n'
    result = run(SOURCE + EXPLORER.replace("FAR", "10") + checked)
    assert result.failures == ""
    assert states(result.solved) == {"97.1": ["right", "right"]}  # the solution, and an unusual answer
    (claim,) = result.claims["C97a"]
    assert claim.values == (6.0,)
    assert result.sweep.outputs[0].text.startswith("line: ")


BREAKS = """
# %% tags=["nbval-check-output"]
import os
print(os.environ.get("NBVAL_OUTPUTS", "while it was built"))

# %%
assert "NBVAL_OUTPUTS" not in os.environ
"""


def test_a_failing_cell_another_output_and_a_sliders_end_are_caught(run):
    failures = run(SOURCE + BREAKS + EXPLORER.replace("FAR", "9")).failures
    assert 'assert "NBVAL_OUTPUTS" not in os.environ' in failures
    assert "Cell outputs differ" in failures
    assert "ZeroDivisionError" in failures
