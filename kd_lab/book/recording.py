"""Recordings for pages without a kernel: the pictures of a lesson's explorers, and how its predictions came out.

An explorer is a function from few settings to a picture and a sentence. Where all combinations are few they are all
recorded; else every control is moved alone, from the start and from each preset and each choice.
"""

import hashlib
import io
import json
import tempfile
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

from nbformat.v4 import new_code_cell
from PIL import Image

from kd_lab.classroom.build import execute
from kd_lab.classroom.lesson import Lesson, edition_of
from kd_lab.classroom.questions import asked
from kd_lab.models.files import cache_folder, write_file
from kd_lab.viz.controls import Choice, Control, Slider
from kd_lab.viz.explorer import EXPLORERS, Explorer
from kd_lab.viz.picture import pixels

FRAMES = 70  # per explorer
POSITIONS = (25, 17, 13, 9, 7, 5)  # of a slider, the most first, until the frames are few enough
BUDGET = 3 * 2**20  # bytes of all pictures of a lesson
SHARPEST = 1.5  # pixels per CSS pixel: letters stay clean in some 15 KB
RUNGS = ((60, 1.5), (60, 1.25), (45, 1.25), (45, 1.0), (30, 1.0))  # quality of WebP, and pixels per CSS pixel
FILE = "recording.json"

Places = tuple[int, ...]  # one per control: which of its recorded values


def recording_of(lesson: Lesson, folder: Path) -> dict[str, Any]:
    """The recording of a lesson: from `folder`, or from a run of the lesson now where it is not there yet.

    A run reads what a learner has trained on this machine, and keeps what it trains.

    Args:
        lesson: which.
        folder: where recordings are kept, one folder per lesson and state of its folder, so that a build that was
            stopped goes on where it was. After a change of the library, delete it: a recording does not see that.

    Raises:
        BuildError: a cell of the lesson failed.
    """
    place = folder / f"{lesson.name}-{state_of(lesson)}"
    if not (place / FILE).exists():
        notebook = edition_of(lesson, "unsolved")
        record = f"from kd_lab.book.recording import record\nrecord({str(place.resolve())!r})"
        notebook.cells.append(new_code_cell(record))
        with tempfile.TemporaryDirectory() as scratch:  # nobody's progress: only what was trained is read and kept
            own = {"KD_LAB_PROGRESS": str(Path(scratch) / "progress.json")}
            execute(notebook, lesson, cache_folder(), environment=own)
    return json.loads((place / FILE).read_text(encoding="utf-8")) | {"folder": place}


def state_of(lesson: Lesson) -> str:
    """Changes whenever a file does that the lesson may read: its text, its explorers, its stored results and weights.

    Its measured seconds and its teaching notes do not count, nor what Python and Jupyter keep for themselves. A change
    elsewhere in kd_lab is not seen.
    """
    digest = hashlib.sha256()
    for file in sorted(lesson.folder.rglob("*")):
        inner = file.relative_to(lesson.folder)
        own = any(part.startswith((".", "__pycache__")) for part in inner.parts)
        if file.is_file() and not own and inner.as_posix() not in ("measured.json", "teaching.md"):
            digest.update(f"{inner.as_posix()}\n{file.stat().st_size}\n".encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def record(folder: str | Path) -> None:
    """Record every explorer and every prediction of this session; called in the lesson's kernel."""
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    pictures: dict[str, bytes] = {}
    explorers = {name: record_explorer(explorer, pictures) for name, explorer in EXPLORERS.items()}
    for name, packed in pack(pictures).items():
        (place / name).write_bytes(packed)
    predictions = {
        name: {"question": one.question, "options": one.options, "right": one.right, "because": one.because}
        for name, one in asked.items()
    }
    text = json.dumps({"explorers": explorers, "predictions": predictions}, ensure_ascii=False, indent=1)
    write_file(place / FILE, (text + "\n").encode())  # the last, and whole: with it the recording is done


def record_explorer(explorer: Explorer, pictures: dict[str, bytes]) -> dict[str, Any]:
    """The frames of one explorer; its pictures are added to `pictures`, equal ones once."""
    values, settings = plan(explorer)
    frames = {}
    for places in settings:
        chosen = {c.name: options[i] for c, options, i in zip(explorer.controls, values, places, strict=True)}
        try:
            frame = explorer.draw(chosen)
        except ValueError:
            continue  # settings that the explorer itself refuses, such as two texts that do not go together
        name = take(explorer, pictures)
        frames[",".join(map(str, places))] = [name, frame.sentence]
    explorer.reset()
    return {
        "controls": [
            {"name": control.name, "kind": type(control).__name__, "values": [str(one) for one in options]}
            for control, options in zip(explorer.controls, values, strict=True)
        ],
        "start": places_of(explorer, values, {}),
        "presets": {name: places_of(explorer, values, preset) for name, preset in explorer.presets.items()},
        "size": list(explorer.size),
        "frames": frames,
    }


def take(explorer: Explorer, pictures: dict[str, bytes]) -> str:
    """Keep the picture that an explorer shows as a PNG, and return its name, which depends on its pixels alone."""
    kept = io.BytesIO()
    width, height = (round(SHARPEST * side) for side in explorer.size)
    picture = Image.fromarray(pixels(explorer.figure)).convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
    picture.save(kept, "PNG", compress_level=1)
    name = hashlib.sha256(kept.getvalue()).hexdigest()[:16] + ".webp"
    pictures[name] = kept.getvalue()
    return name


def pack(pictures: Mapping[str, bytes], budget: int = BUDGET) -> dict[str, bytes]:
    """The pictures as WebP, on the first of the `RUNGS` on which all of them keep to the budget, or on the last."""
    for quality, scale in RUNGS:
        packed: dict[str, bytes] = {}
        for name, png in pictures.items():
            packed[name] = as_webp(png, quality, scale)
            if sum(map(len, packed.values())) > budget and (quality, scale) != RUNGS[-1]:
                break
        else:
            break
    return packed


def as_webp(png: bytes, quality: int, scale: float) -> bytes:
    picture, packed = Image.open(io.BytesIO(png)), io.BytesIO()
    width, height = (round(side * scale / SHARPEST) for side in picture.size)
    picture.resize((width, height), Image.Resampling.LANCZOS).save(packed, "WEBP", quality=quality, method=4)
    return packed.getvalue()


def plan(explorer: Explorer) -> tuple[list[list[Any]], list[Places]]:
    """The recorded values of each control, and the settings to record as places in them.

    The finest positions are taken whose frames are at most `FRAMES`; the coarsest where none are.
    """
    for most in POSITIONS:
        values = [values_of(control, explorer, most) for control in explorer.controls]
        settings = list(dict.fromkeys(settings_of(explorer, values)))
        if len(settings) <= FRAMES:
            break
    return values, settings


def values_of(control: Control, explorer: Explorer, most: int) -> list[Any]:
    """The values of one control in their order: at most some `most` of a slider, and all that a preset names."""
    named = [preset[control.name] for preset in explorer.presets.values() if control.name in preset]
    if isinstance(control, Choice):
        return list(control.options)
    if isinstance(control, Slider):
        last = control.position(control.high)
        even = [control.at(round(i * last / (most - 1))) for i in range(most)]
        return sorted({*even, control.start, *named})
    return list(dict.fromkeys([control.start, *named]))


def places_of(explorer: Explorer, values: list[list[Any]], settings: Any) -> Places:
    complete = explorer.start | dict(settings)
    return tuple(
        options.index(complete[control.name]) for control, options in zip(explorer.controls, values, strict=True)
    )


def settings_of(explorer: Explorer, values: list[list[Any]]) -> Iterator[Places]:
    """All combinations where they are few, else lines through the start, the presets and each choice."""
    sizes = [range(len(options)) for options in values]
    grid = list(product(*sizes))
    if len(grid) <= FRAMES:
        yield from grid
        return
    start = places_of(explorer, values, {})
    presets = [places_of(explorer, values, preset) for preset in explorer.presets.values()]
    choices = [sizes[i] if isinstance(c, Choice) else [start[i]] for i, c in enumerate(explorer.controls)]
    yield from [start, *presets]
    for base in product(*choices):
        for moved, places in enumerate(sizes):
            yield from ((*base[:moved], place, *base[moved + 1 :]) for place in places)
