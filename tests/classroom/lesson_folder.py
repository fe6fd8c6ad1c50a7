"""A tiny lesson with an exercise, in a folder of its own, for tests of the builder."""

import sys
from pathlib import Path

from kd_lab import lessons

EXERCISES = '''
from kd_lab.classroom.diagnosis import Case, Exercise, Mistake


def double(x: float) -> float:
    """Twice x."""
    # Why not x + x: a product says what is meant.
    twice = 2 * x
    return twice


def counted(x: float) -> float:
    total = 0
    for _ in range(2):
        total += x
    return total


EXERCISES = {
    "97.1": Exercise(
        reference=double,
        explanation="A product with $2$.",
        cases=(Case("x = 3", lambda: (3.0,)),),
        mistakes=(Mistake("squared", "That is the square.", lambda x: x * x),),
        unusual=(counted,),
    )
}
'''

QUESTIONS = """
from kd_lab.classroom.questions import Prediction, Question

PREDICTIONS = {"97.a": Prediction("Is 2 · 3 six?", ("yes", "no"), "yes", "Twice three.")}
QUIZ = (Question("Is 2 · 2 four?", {"yes": "It is.", "no": "It is."}, "yes"),)
"""

SOURCE = '''
# %% [markdown]
# # 97 · Doubling
#
# You will double numbers.

# %% [markdown] tags=["card"]
# **Time:** 5 minutes to read and do. {{{{measured}}}}

# %%
import kd_lab.lessons
kd_lab.lessons.__path__.append({path!r})
from kd_lab.classroom import claim, exercise, predict, reveal, setup
seed = setup("97")

# %% [markdown]
# ### Exercise 97.1 · Double (●○○, 2 minutes)

# %%
@exercise("97.1")
def double(x):
    """Twice x."""
    ...

# %% [markdown] tags=["solution:97.1"]
# solution

# %% [markdown] tags=["teacher"]
# Expected answer: six.

# %% tags=["timing"]
import time
print(time.perf_counter_ns())

# %%
import sys
import ipywidgets
from tqdm.auto import tqdm
for i in tqdm(range(3)):
    print(f"step {{i}}", end="\\r")
print("done")
print("a warning", file=sys.stderr)
print("\\r100%|####| 3/3", file=sys.stderr)
ipywidgets.IntSlider()

# %%
predict("97.a")
reveal("97.a")
claim("C97a", "Doubling 3 gives 6.", double(3), unit="units", holds=double(3) == 6)
'''


def write_lesson(root: Path, source: str = SOURCE) -> Path:
    """A checkout with lesson 97 alone; the caller restores `kd_lab.lessons.__path__` with `forget_lesson`."""
    packages = root / "kd_lab" / "lessons"
    folder = packages / "l97_doubling"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "exercises.py").write_text(EXERCISES.lstrip(), encoding="utf-8")
    (folder / "questions.py").write_text(QUESTIONS.lstrip(), encoding="utf-8")
    (folder / "lesson.py").write_text(source.lstrip().format(path=str(packages)), encoding="utf-8")
    (root / "lessons").mkdir()
    lessons.__path__.append(str(packages))
    return root


def forget_lesson(root: Path) -> None:
    lessons.__path__.remove(str(root / "kd_lab" / "lessons"))
    for name in [name for name in sys.modules if name.startswith("kd_lab.lessons.l97_")]:
        del sys.modules[name]
    vars(lessons).pop("l97_doubling", None)
