"""The process in which a submission runs: it has no solutions, and sends back what the functions returned.

`python -I worker.py BOX SCRATCH`: BOX holds the package without solutions (`strip`), SCRATCH a file `request.json`, and
this process leaves there one file for each answer. It judges nothing.
"""

import json
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any


def answer(request: dict[str, Any], exercise: Any) -> dict[str, Any]:
    """Run one submission on its draws.

    Args:
        request: "exercise", "source", "name", "seconds", and "draws", each with "case", "seed", "bold" and "seconds".
        exercise: of the package without solutions.

    Returns:
        {"answers": [{"value": …, "after": …} or {"error": …}]}, or {"error": …} where the source itself stops.
    """
    from kd_lab.classroom.diagnosis import asked, line_of, said_by, time_limit
    from kd_lab.classroom.guard import Endless
    from kd_lab.classroom.recorded import encode
    from kd_lab.teaching.draws import inputs

    scope: dict[str, Any] = {"__name__": "__main__"}
    register(request["source"])
    try:
        with time_limit(request["seconds"]):
            exec(compile(request["source"], SUBMISSION, "exec"), scope)
        candidate = scope[request["name"]]
    except BaseException as error:
        return {"error": said_by(error)}
    found: list[dict[str, Any]] = []
    endless = 0
    for one in request["draws"]:
        if endless >= 2:
            found.append({"error": "not called: it did not end twice", "endless": True})
            continue
        try:
            arguments = inputs(exercise.cases[one["case"]], one["seed"], one["bold"])
            with time_limit(one["seconds"]):
                value = asked(exercise, candidate)(*arguments)
            found.append({"value": encode(value), "after": [encode(after) for after in arguments]})
        except Endless:
            endless += 1
            found.append({"error": f"it did not end within {one['seconds']:.3g} seconds", "endless": True})
        except BaseException as error:
            if type(error).__name__ == "InterpreterError" and error.__cause__ is not None:
                error = error.__cause__  # Triton's interpreter wraps what happened in the kernel
            found.append({"error": said_by(error) + (line_of(error, candidate) or "")})
    return {"answers": found} | ({} if endless else checked(exercise, candidate, request["seconds"]))


def checked(exercise: Any, candidate: Any, seconds: float) -> dict[str, Any]:
    """The word of the exercise's own check; where it asks more than values, this process has to be believed."""
    from kd_lab.classroom.diagnosis import Misconception, said_by, time_limit

    if exercise.check is None:
        return {}
    try:
        with time_limit(seconds):
            exercise.check(candidate)
    except Misconception as misconception:
        return {"check": misconception.message}
    except BaseException as error:
        return {"check": f"What it returns cannot be used: {said_by(error)}."}
    return {"check": ""}


SUBMISSION = "<submission>"

DATA = ("worlds/data", "models/weights")
"""The folders of the box that hold texts and weights, and no code."""

LIBRARY = ("worlds", "models", "what", "how", "where", "methods", "measure", "compress", "lessons", "viz")
"""The parts of the package in which an answer could be found ready-made."""


PLACE = ("__file__", "__loader__", "__package__", "__path__", "__spec__")


def register(source: str) -> None:
    """Let tracebacks, and Triton's interpreter, which reads a kernel's source, find these lines."""
    import linecache

    linecache.cache[SUBMISSION] = (len(source), None, source.splitlines(keepends=True), SUBMISSION)


def load(names: list[str]) -> None:
    """Import the parts of the course's library that a lesson puts into one's hands, such as "kd_lab.worlds.Batch"."""
    for name in names:
        try:
            import_module(name)
        except ModuleNotFoundError:  # a name in a module
            import_module(name.rpartition(".")[0])


def hide(allowed: set[str]) -> None:
    """Take the library out of sight, but for the names that a lesson puts into one's hands.

    In the place of a module that holds such names, or modules with them, stands one that holds nothing else. What holds
    on to the modules themselves still works.
    """
    import kd_lab

    given = {name: named(name) for name in allowed}
    names = [name for name in sys.modules if is_library(name)]
    shown = {name: shell_of(name) for name in names if any(one.startswith(f"{name}.") for one in allowed)}
    shown |= {name: value for name, value in given.items() if sys.modules.get(name) is value}
    for name in names:
        del sys.modules[name]
        vars(kd_lab).pop(name.split(".")[1], None)
    sys.modules.update(shown)
    for name, value in (shown | given).items():
        module, _, child = name.rpartition(".")
        setattr(sys.modules[module], child, value)


def shell_of(name: str) -> ModuleType:
    """A module of this name that holds nothing but where it lies, from which a package reads its data."""
    shell = ModuleType(name)
    vars(shell).update({one: value for one, value in vars(sys.modules[name]).items() if one in PLACE})
    return shell


def named(name: str) -> Any:
    """The module `kd_lab.worlds` for "kd_lab.worlds", the class of `from kd_lab.worlds import Batch` for the longer."""
    module, _, child = name.rpartition(".")
    return getattr(import_module(module), child)


def is_library(name: str) -> bool:
    return name.startswith("kd_lab.") and name.split(".")[1] in LIBRARY


def prepared(request: dict[str, Any]) -> dict[str, Any]:
    """The exercises, with all that they and their answers need of the library loaded and out of sight.

    Behind it the box itself need not be read.
    """
    from kd_lab.classroom.diagnosis import exercises_of
    from kd_lab.teaching import draws  # noqa: F401  `answer` needs it

    exercises = exercises_of(request["lesson"])
    for one in request["answers"].values():
        load(one["library"])
        for case in exercises[one["exercise"]].cases:
            case.inputs()  # loads what torch loads late, such as the compiler that an optimizer asks for
    hide({name for one in request["answers"].values() for name in one["library"]})
    return exercises


def main(box: str, scratch: str) -> None:
    sys.meta_path[:] = [one for one in sys.meta_path if "ditable" not in getattr(one, "__name__", type(one).__name__)]
    sys.path.insert(0, box)
    folder = Path(scratch)
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))

    import torch

    torch.set_num_threads(1)
    torch.ones(64, dtype=torch.float16).float()  # asks what the processor can do, which nobody may ask once confined
    from kd_lab.teaching.confine import confine, places

    exercises = prepared(request)
    data = [Path(box).resolve() / "kd_lab" / one for one in DATA]
    confinement = confine([*places(Path(one) for one in (*request["forbidden"], box)), *data], folder)
    (folder / "ready").touch()
    for identifier, one in request["answers"].items():
        said = answer(one, exercises[one["exercise"]]) | {"confinement": confinement}
        (folder / f"{identifier}.part").write_text(json.dumps(said), encoding="utf-8")
        (folder / f"{identifier}.part").replace(folder / f"{identifier}.json")


if __name__ == "__main__":
    main(*sys.argv[1:])
