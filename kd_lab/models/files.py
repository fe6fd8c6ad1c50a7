"""Files that are written whole or not at all, and the folder in which trained models are kept between runs."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory


def cache_folder() -> Path:
    """The folder that keeps trained models between runs: `$KD_LAB_CACHE` if it is set, else the user's cache folder."""
    if named := os.environ.get("KD_LAB_CACHE"):
        return Path(named)
    from platformdirs import user_cache_dir  # comes with the course

    return Path(user_cache_dir("kd_lab", appauthor=False))


def write_file(path: Path, content: bytes) -> None:
    """All of the content or none of it: see `whole_file`."""
    with whole_file(path) as part:
        part.write_bytes(content)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A place beside `path` to write to. At the end it is moved to `path` in one step; after an error nothing is left.

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
        os.chmod(part, 0o644)  # whatever the umask: a model need not be private
        os.replace(part, path)
