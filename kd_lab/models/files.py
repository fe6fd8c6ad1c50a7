"""Files that are written whole or not at all, and the folder in which trained models are kept between runs."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

MODEL = 0o644
"""The mode of a model's file, whatever the umask: a model need not be private."""

PATIENCE = 1.0
"""Seconds for which a file waits to be moved while Windows says that another process reads what was there before."""


def cache_folder() -> Path:
    """The folder that keeps trained models between runs: `$KD_LAB_CACHE` if it is set, else the user's cache folder.

    Raises:
        ValueError: no folder is named, and the package that knows the user's is not installed.
    """
    if named := os.environ.get("KD_LAB_CACHE"):
        return Path(named)
    try:
        from platformdirs import user_cache_dir  # comes with the course
    except ImportError as error:
        raise ValueError(
            "KD_LAB_CACHE is not set, and the user's cache folder is not known without platformdirs; set KD_LAB_CACHE "
            "to a folder, or install kd_lab[course]"
        ) from error

    return Path(user_cache_dir("kd_lab", appauthor=False))


def write_file(path: Path, content: bytes, mode: int | None = None) -> None:
    """All of the content or none of it: see `whole_file`."""
    with whole_file(path, mode) as part:
        part.write_bytes(content)


@contextmanager
def whole_file(path: Path, mode: int | None = None) -> Iterator[Path]:
    """A place beside `path` to write to. At the end it is moved to `path` in one step; after an error nothing is left.

    Args:
        path: of the file.
        mode: who may read and write it, such as 0o600; by default what the umask leaves.

    Raises:
        ValueError: the folder does not exist.
    """
    if "\0" in str(path) or not path.name or path.is_dir():
        raise ValueError(f"path is {str(path)!r:.200}; expected the name of a file, in a folder that exists")
    if not path.parent.is_dir():
        raise ValueError(f"there is no folder {str(path.parent)!r} to write {path.name!r} into; make it first")
    with TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as folder:
        part = Path(folder) / path.name
        yield part
        if mode is not None:
            os.chmod(part, mode)
        _move(part, path)


def _move(part: Path, path: Path) -> None:
    """Put a file in the place of another, as soon as no other process holds that open."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return os.replace(part, path)
        except PermissionError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)
