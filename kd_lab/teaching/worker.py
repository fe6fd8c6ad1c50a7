"""The process in which a submission runs: it has no solutions, and sends back what the functions returned.

`python -I worker.py BOX SCRATCH`: BOX holds the package without solutions (`strip`), SCRATCH a file `request.json`, and
this process leaves there one file for each answer. It judges nothing.
"""

import json
import sys
from importlib import import_module
from pathlib import Path
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

LIBRARY = ("worlds", "models", "what", "how", "where", "methods", "measure", "compress")
"""The parts of the package in which an answer could be found ready-made."""


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
    """Take the library's modules out of sight, but for those that a lesson uses; what holds on to them still works."""
    for name in [name for name in sys.modules if name.startswith("kd_lab.") and name.split(".")[1] in LIBRARY]:
        if not any(f"{one}.".startswith(f"{name}.") or f"{name}.".startswith(f"{one}.") for one in allowed):
            parent, _, child = name.rpartition(".")
            del sys.modules[name]
            if parent in sys.modules:
                vars(sys.modules[parent]).pop(child, None)


def main(box: str, scratch: str) -> None:
    sys.meta_path[:] = [one for one in sys.meta_path if "ditable" not in getattr(one, "__name__", type(one).__name__)]
    sys.path.insert(0, box)
    folder = Path(scratch)
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))

    import torch

    torch.set_num_threads(1)
    from kd_lab.classroom.diagnosis import exercises_of
    from kd_lab.teaching import draws  # noqa: F401  `answer` needs it
    from kd_lab.teaching.confine import confine, places

    exercises = exercises_of(request["lesson"])
    for one in request["answers"].values():
        load(one["library"])
        for case in exercises[one["exercise"]].cases:
            case.inputs()  # loads what torch loads late, such as the compiler that an optimizer asks for
    # From here on the box itself cannot be read: what the exercises and their answers need of the library is loaded.
    hide({name for one in request["answers"].values() for name in one["library"]})
    data = [Path(box).resolve() / "kd_lab" / one for one in DATA]
    confinement = confine([*places(Path(one) for one in (*request["forbidden"], box)), *data], folder)
    (folder / "ready").touch()
    for identifier, one in request["answers"].items():
        said = answer(one, exercises[one["exercise"]]) | {"confinement": confinement}
        (folder / f"{identifier}.part").write_text(json.dumps(said), encoding="utf-8")
        (folder / f"{identifier}.part").replace(folder / f"{identifier}.json")


if __name__ == "__main__":
    main(*sys.argv[1:])
