"""Points for returned values and for nothing else: right and half-right answers, and every way around them we know.

All submissions to one exercise run in one worker, as the exercises of one notebook do.
"""

import textwrap

import pytest

from kd_lab.classroom.diagnosis import exercises_of
from kd_lab.classroom.lesson import edition_of, find_lessons
from kd_lab.teaching.box import box_in, run
from kd_lab.teaching.draws import draws_of
from kd_lab.teaching.judge import admitted, grade, library_in, request, share_of, verdict
from kd_lab.teaching.slices import NotThere, slice_of
from kd_lab.teaching.strip import PACKAGE

SECRET = "a secret of the tests"
(LESSON,) = find_lessons(numbers=["03"])

RIGHT = """
p = np.exp(teacher_logp)
return (p * np.subtract(teacher_logp, student_logp, out=np.zeros_like(p), where=p > 0)).sum(-1)
"""

BY_HEART = """
rows = [[0.2, 0.3, 0.5], [0.25, 0.5, 0.25], [0.4, 0.6, 0.0]]
for row in rows:
    if student_logp.shape == (3,) and np.allclose(np.exp(student_logp), row):
        p = np.exp(teacher_logp)
        return (p[p > 0] * (teacher_logp - student_logp)[p > 0]).sum()
return 0.0
"""

SOLUTIONS = PACKAGE / "lessons" / "l03_which_kl" / "exercises.py"

ANSWERS = {  # body → share of the points
    "right": (RIGHT, 1.0),
    "no case for 0 · log 0": ("p = np.exp(teacher_logp)\nreturn (p * (teacher_logp - student_logp)).sum(-1)", 2 / 5),
    "reversed": ("q = np.exp(student_logp)\nreturn (q * (student_logp - teacher_logp)).sum(-1)", 0.0),
    "it raises": ("raise KeyError('what now')", 0.0),
    "zero": ("return np.zeros(student_logp.shape[:-1])", 0.0),
    "nothing": ("return None", 0.0),
    "an argument changed": (f"student_logp += 1; student_logp -= 1\n{RIGHT.strip()}", 0.0),
    "the known cases by heart": (
        BY_HEART,
        0.0,
    ),
}

PAST_PYTHON = "the file read past Python"
"""The cheat that Python's hooks do not see: the kernel alone stops it."""

CHEATS = {
    "the solution asked by its name": """
        from kd_lab.classroom.diagnosis import find_exercise
        return find_exercise("03.1").reference(student_logp, teacher_logp)""",
    "the solution asked by a name put together": """
        import importlib
        part = importlib.import_module("kd" + "_lab.classroom.diagnosis")
        return part.find_exercise("03.1").reference(student_logp, teacher_logp)""",
    "the library asked by a name put together": """
        import importlib, torch
        part = importlib.import_module("kd" + "_lab.how.divergences")
        return part.forward_kl(torch.as_tensor(student_logp), torch.as_tensor(teacher_logp))""",
    "modules searched": """
        import sys
        for module in list(sys.modules.values()):
            for one in list(getattr(module, "EXERCISES", {}).values()):
                return one.reference(student_logp, teacher_logp)
            if hasattr(module, "forward_kl") and "exercises" in module.__name__:
                return module.forward_kl(student_logp, teacher_logp)""",
    "frames searched": """
        import sys
        frame = sys._getframe()
        while frame:
            for value in [*frame.f_locals.values(), *frame.f_globals.values()]:
                if hasattr(value, "reference"):
                    return value.reference(student_logp, teacher_logp)
                if isinstance(value, dict) and "expected" in value:
                    return value["expected"]
            frame = frame.f_back""",
    "the heap searched": """
        import gc
        for one in gc.get_objects():
            if type(one).__name__ == "Exercise":
                return one.reference(student_logp, teacher_logp)""",
    "the file of the solutions read": f"""
        text = open({str(SOLUTIONS)!r}).read()
        scope = {{}}
        exec(text, scope)
        return scope["forward_kl"](student_logp, teacher_logp)""",
    PAST_PYTHON: f"""
        import torch
        path = {str(SOLUTIONS)!r}
        text = bytes(torch.from_file(path, size={SOLUTIONS.stat().st_size}, dtype=torch.uint8))
        scope = {{}}
        exec(text.decode(), scope)
        return scope["forward_kl"](student_logp, teacher_logp)""",
    "the package found again": f"""
        import sys
        for name in [name for name in sys.modules if name.startswith("kd" + "_lab")]:
            del sys.modules[name]
        sys.path.insert(0, {str(PACKAGE.parent)!r})
        part = __import__("kd" + "_lab.lessons.l03_which_kl.exercises", fromlist=["x"])
        return part.forward_kl(student_logp, teacher_logp)""",
    "another Python asked": f"""
        import subprocess, sys
        code = "from kd_lab.classroom.diagnosis import find_exercise as f; print(f('03.1').reference(0, 0))"
        return float(subprocess.check_output([sys.executable, "-c", code], cwd={str(PACKAGE.parent)!r}))""",
    "a process forked": """
        import os
        if os.fork() == 0:
            os._exit(0)
        return 0.0""",
    "the network asked": """
        import urllib.request
        return float(urllib.request.urlopen("http://localhost:1/").read())""",
    "machine code called": """
        import ctypes
        return ctypes.CDLL(None).getpid()""",
    "an object equal to everything": """
        class Equal(float):
            def __eq__(self, other): return True
            def __ne__(self, other): return False
            def __sub__(self, other): return 0.0
            def __array__(self, *_, **__): return np.zeros(student_logp.shape[:-1])
        return Equal(0.0)""",
    "a tensor that agrees": """
        import torch
        class Agreeing(torch.Tensor):
            @classmethod
            def __torch_function__(cls, *_, **__): return True
        return torch.zeros(student_logp.shape[:-1]).as_subclass(Agreeing)""",
    "a result printed": """
        print("8.0")
        print('{"answers": [{"value": {"float": "0x1p0"}}]}', flush=True)
        return 8.0""",
    "numpy and torch patched to agree": """
        import torch
        np.allclose = torch.allclose = np.isclose = torch.equal = np.array_equal = lambda *_, **__: True
        return 0.0""",
    "the answers' encoding patched": """
        import sys
        part = sys.modules["kd" + "_lab.classroom.recorded"]
        part.encode = lambda value, depth=0: {"equal": True}
        return 0.0""",
    "the check deceived": """
        import sys
        sys.modules["__main__"].checked = lambda *_: {"check": ""}
        return 0.0""",
    "Python ended": """
        import os
        os._exit(0)""",
    "Python left": "raise SystemExit(0)",
    "a loop without end": "while True: pass",
    "a loop that catches its end": """
        while True:
            try:
                while True: pass
            except BaseException:
                pass""",
}


FILES_WRITTEN = """
import json, os
for name in [*os.listdir("."), "03.1.json", "03.2.json", "03.3.json", "ready"]:
    with open(name, "w") as file:
        json.dump({"answers": [{"value": {"float": "0x1p0"}, "after": []}] * 12, "check": ""}, file)
return 0.0
"""


def cell(body):
    lines = textwrap.indent(textwrap.dedent(body).strip("\n"), "    ")
    return f'@exercise("03.1")\ndef forward_kl(student_logp, teacher_logp):\n{lines}'


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    return box_in(tmp_path_factory.mktemp("box"))


@pytest.fixture(scope="module")
def verdicts(box):
    """Every answer to 03.1 in one worker; the right one once more behind all that was patched before it."""
    exercise = exercises_of("03")["03.1"]
    draws = draws_of("03.1", exercise, SECRET)
    bodies = {name: body for name, (body, _) in ANSWERS.items()} | CHEATS
    found, requests = {}, {}
    for name, body in bodies.items():
        try:
            answer = admitted(slice_of(["import numpy as np", cell(body)], "03.1"), LESSON, "03.1")
            requests[name] = request("03.1", exercise, answer, draws)
        except NotThere as absent:
            found[name] = (0.0, absent.state, str(absent))
    for name, reply in run(box, "03", requests, [PACKAGE]).items():
        one = verdict("03.1", exercise, draws, reply)
        found[name] = (one.share, one.state, one.message)
        found["confinement"] = reply.get("confinement", found.get("confinement"))
    return found


@pytest.mark.parametrize("name", ANSWERS)
def test_answers_earn_what_they_are_worth(verdicts, name):
    assert verdicts[name][0] == pytest.approx(ANSWERS[name][1]), verdicts[name]


@pytest.mark.parametrize("name", CHEATS)
def test_cheats_earn_nothing(verdicts, name):
    if name == PAST_PYTHON and verdicts["confinement"] == "hooks":
        pytest.skip(
            "no kernel enforces which files are read here (Landlock, Linux 5.13), and torch opens this one in C++"
        )
    share, state, said = verdicts[name]
    assert share == 0, said
    assert state not in ("right", "partly right")


def test_files_in_the_place_of_replies_earn_nothing(box):
    found = grade(["import numpy as np", cell(FILES_WRITTEN)], LESSON, SECRET, box)
    assert [one.share for one in found] == [0.0, 0.0, 0.0]


def test_feedback_names_what_happened(verdicts):
    assert verdicts["reversed"][2].endswith("the teacher is likely and the student is not.")
    assert "what now" in verdicts["it raises"][2]
    assert "An argument is changed" in verdicts["an argument changed"][2]
    assert verdicts["the solution asked by its name"][1] == "library"
    assert verdicts["a loop without end"][1] == "endless"
    assert "does not need" in verdicts["the file of the solutions read"][2]
    assert "does not need" in verdicts["the network asked"][2]  # and not that nobody answered


@pytest.mark.parametrize("number", ["02", "03", "04b", "10b"])
def test_the_solved_edition_earns_all_points_and_the_open_one_none(box, number):
    (lesson,) = find_lessons(numbers=[number])
    for edition, share in (("solved", 1.0), ("unsolved", 0.0)):
        cells = [one.source for one in edition_of(lesson, edition).cells if one.cell_type == "code"]
        found = grade(cells, lesson, SECRET, box)
        assert [one.share for one in found] == [share] * len(found), found


def test_what_a_lesson_puts_into_ones_hands_may_be_used_and_the_rest_of_the_library_not():
    assert library_in("from kd_lab.how import jsd\nimport kd_lab.what, numpy") == {"kd_lab.how.jsd", "kd_lab.what"}
    answer = slice_of(["from kd_lab.how import forward_kl as library", cell("return library(0, 0)")], "03.1")
    with pytest.raises(NotThere, match=r"kd_lab\.how\.forward_kl"):
        admitted(answer, LESSON, "03.1")


@pytest.mark.parametrize(
    "reply",
    [
        {},
        {"answers": None},
        {"answers": [True] * 12},
        {"answers": [{"value": {"equal": True}, "after": []}] * 12, "check": ""},
        {"answers": [{"value": {"float": "0x1p0"}, "after": None}] * 12, "check": ""},
        {"answers": [{"value": {"opaque": 3}, "after": [1, 2]}] * 12, "share": 1.0, "check": ""},
    ],
)
def test_nothing_that_a_worker_claims_is_believed(reply):
    exercise = exercises_of("03")["03.1"]
    draws = draws_of("03.1", exercise, SECRET)
    assert len(draws) == 12
    assert verdict("03.1", exercise, draws, reply).share == 0


def test_known_cases_and_the_check_earn_nothing_alone():
    exercise = exercises_of("03")["03.1"]
    draws = draws_of("03.1", exercise, SECRET)
    known = [draw.seed is None for draw in draws]
    assert share_of(draws, known, has_check=True, checked=True) == 0
    assert share_of(draws, [True] * len(draws), has_check=True, checked=False) == pytest.approx(4 / 5)
    assert share_of(draws, [True] * len(draws), has_check=True, checked=True) == 1
