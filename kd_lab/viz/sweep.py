"""Move every explorer to its extremes and look at what it draws there.

    python -m kd_lab.viz.sweep lessons/03_which_kl.ipynb

runs a lesson, checks its explorers and writes their pictures to build/explorers/, one file per setting, for people to
look at. A browser is not needed: the pictures are the ones that the page would show.
"""

import argparse
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
from matplotlib.artist import Artist
from matplotlib.collections import Collection
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text
from nbclient import NotebookClient

from kd_lab.viz.explorer import EXPLORERS, Explorer
from kd_lab.viz.picture import SMALLEST_LETTER, drawn_texts, pixels, smallest_letter


def extreme_settings(explorer: Explorer) -> list[dict[str, Any]]:
    """Each control at its extremes with the others at their start, all controls at theirs together, and each preset."""
    alone = [{control.name: value} for control in explorer.controls for value in control.extremes]
    names = [control.name for control in explorer.controls]
    ends = [(control.extremes[0], control.extremes[-1]) for control in explorer.controls]
    together = [dict(zip(names, corner, strict=True)) for corner in product(*ends)]
    distinct = []
    for setting in [{}, *alone, *together, *explorer.presets.values()]:
        complete = explorer.start | dict(setting)
        if complete not in distinct:
            distinct.append(complete)
    return distinct


def complaints(explorer: Explorer) -> Iterator[str]:
    """The faults of the picture and the sentence that an explorer shows now."""
    if explorer.error is not None:
        yield f"update raised {type(explorer.error).__name__}: {explorer.error}"
        return
    if not pixels(explorer.figure).std():
        yield "the picture is blank"
    if re.search(r"\b(nan|inf)\b", explorer.sentence, re.IGNORECASE):
        yield f"the sentence holds a number that is not finite: {explorer.sentence!r}"
    for artist in explorer.figure.findobj(Artist):
        if artist.get_visible() and not np.isfinite(drawn_numbers(artist)).all():
            yield f"{artist} is drawn from numbers that are not finite; hide it by set_visible(False) where it has none"
    for text in texts_cut_off(explorer.figure):
        yield f"the text {text!r} reaches over the edge of the picture"
    if (size := smallest_letter(explorer.figure)) < SMALLEST_LETTER:
        yield f"there are letters of {size:g} points, smaller than {SMALLEST_LETTER:g}"


def repeated_presets(explorer: Explorer) -> Iterator[str]:
    """Presets that set what the start or an earlier preset sets: two buttons, one picture."""
    seen = {"Reset": explorer.start}
    for name, preset in explorer.presets.items():
        complete = explorer.start | dict(preset)
        for other, before in seen.items():
            if complete == before:
                yield f"the presets {other!r} and {name!r} set the same"
        seen[name] = complete


def drawn_numbers(artist: Artist) -> np.ndarray:
    """The numbers that an artist is drawn from, in data units, as one flat array."""
    if isinstance(artist, Line2D):
        parts = [artist.get_xdata(orig=False), artist.get_ydata(orig=False)]
    elif isinstance(artist, AxesImage):
        parts = [artist.get_array()]
    elif isinstance(artist, Collection):
        paths = artist.get_paths() if artist.axes is not None else []
        parts = [artist.get_offsets(), *(path.vertices for path in paths)]
    elif isinstance(artist, Patch):
        parts = [artist.get_transform().transform_path(artist.get_path()).vertices]
    elif isinstance(artist, Text):
        parts = [artist.get_unitless_position()]
    else:
        parts = []
    return np.concatenate([np.zeros(0), *(np.ravel(np.ma.getdata(part)).astype(float) for part in parts)])


def texts_cut_off(figure: Figure) -> Iterator[str]:
    """Texts that reach more than two pixels over the figure's edge and so are cut off."""
    renderer, page = figure.canvas.get_renderer(), figure.bbox
    for text in drawn_texts(figure):
        if text.get_clip_on():
            continue
        box = text.get_window_extent(renderer)
        if max(page.x0 - box.x0, box.x1 - page.x1, page.y0 - box.y0, box.y1 - page.y1) > 2:
            yield text.get_text()


def sweep(explorer: Explorer, folder: Path | None = None) -> int:
    """Move an explorer to all its extremes, as a reader would, and leave it at its start.

    Args:
        explorer: the explorer.
        folder: where to write one PNG per setting; nowhere by default.

    Returns:
        How many settings were looked at.

    Raises:
        ValueError: at some settings there was no picture, no sentence or a number that is not finite, with all of them.
    """
    found = list(repeated_presets(explorer))
    settings = extreme_settings(explorer)
    file_name = re.sub(r"[^\w-]+", "_", explorer.name)
    for i, setting in enumerate(settings):
        explorer.set(setting)
        found += [f"at {setting}: {complaint}" for complaint in complaints(explorer)]
        if folder is not None and explorer.error is None:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{file_name}_{i:02d}.png").write_bytes(explorer.frame.png)
    explorer.reset()
    if found:
        raise ValueError(f"explorer {explorer.name!r} fails at {len(found)} of its extremes:\n  " + "\n  ".join(found))
    return len(settings)


def sweep_all(folder: str | None = None) -> None:
    """Sweep every explorer of this session and print how many settings each was looked at."""
    for name, explorer in list(EXPLORERS.items()):
        print(f"{name}: {sweep(explorer, Path(folder) if folder else None)} settings")


def sweep_notebook(path: Path, folder: Path | None = None) -> str:
    """Run a notebook in its own folder and sweep what it registered; the file stays as it is.

    Returns:
        One line per explorer.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed, or the sweep did.
    """
    notebook = nbformat.read(path, as_version=4)
    target = repr(str(folder.resolve())) if folder else None
    cell = nbformat.v4.new_code_cell(f"from kd_lab.viz.sweep import sweep_all\nsweep_all({target})")
    notebook.cells.append(cell)
    resources = {"metadata": {"path": str(path.parent)}}
    client = NotebookClient(notebook, timeout=600, startup_timeout=600, kernel_name="python3", resources=resources)
    for left in (2, 1, 0):
        try:
            client.execute()
            break
        except RuntimeError as error:  # another program took a port before the kernel got there
            if not left or "died before replying" not in str(error):
                raise
    return "".join(output.text for output in notebook.cells[-1].outputs if output.output_type == "stream")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Check the explorers of lessons and write their pictures.")
    parser.add_argument("notebooks", nargs="+", type=Path)
    parser.add_argument("--folder", type=Path, default=Path("build/explorers"))
    arguments = parser.parse_args()
    for notebook in arguments.notebooks:
        place = arguments.folder / notebook.stem
        print(f"{notebook.name}, pictures in {place}:\n{sweep_notebook(notebook, place)}", end="")
