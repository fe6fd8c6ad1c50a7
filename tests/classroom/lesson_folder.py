"""A tiny lesson with an exercise, in a folder of its own, for tests of the builder."""

import sys
from pathlib import Path
from types import ModuleType

from kd_lab.classroom import exercises

EXERCISES = '''
from kd_lab.classroom.check import Case, Exercise, Mistake


def double(x: float) -> float:
    """Twice x."""
    # Why not x + x: a product says what is meant.
    twice = 2 * x
    return twice


EXERCISES = {
    "97.1": Exercise(
        reference=double,
        explanation="A product with $2$.",
        cases=(Case("x = 3", lambda: (3.0,)),),
        mistakes=(Mistake("squared", "That is the square.", lambda x: x * x),),
    )
}
'''

SOURCE = '''
# %% [markdown]
# # 97 · Doubling
#
# You will double numbers.

# %% [markdown] tags=["card"]
# **Time:** 5 minutes to read and do. {{{{measured}}}}

# %%
import kd_lab.classroom.exercises as exercises
exercises.__path__.append({path!r})
from kd_lab.classroom import claim, exercise, predict, setup
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
guess = predict("Is 2 · 3 six?", ["yes", "no"])
claim("C97a", "Doubling 3 gives 6.", double(3), unit="units", holds=double(3) == 6)
'''


def write_lesson(folder: Path, source: str = SOURCE) -> Path:
    """A lessons folder with lesson 97 and the package of its exercise; the caller restores `exercises.__path__`."""
    package = folder / "exercises"
    package.mkdir()
    (package / "lesson_97.py").write_text(EXERCISES.lstrip(), encoding="utf-8")
    (folder / "lessons" / "source").mkdir(parents=True)
    text = source.lstrip().format(path=str(package))
    (folder / "lessons" / "source" / "97_doubling.py").write_text(text, encoding="utf-8")
    exercises.__path__.append(str(package))
    return folder / "lessons"


def forget_lesson(folder: Path) -> None:
    exercises.__path__.remove(str(folder / "exercises"))
    loaded: ModuleType | None = sys.modules.pop("kd_lab.classroom.exercises.lesson_97", None)
    if loaded is not None:
        del exercises.lesson_97
