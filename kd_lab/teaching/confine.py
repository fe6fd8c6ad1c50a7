"""A process that runs a stranger's function: it reads no file but the libraries', writes only in one folder, and stays.

On Linux from 5.13 the kernel enforces which files can be read and written (Landlock) and, from 6.7, that no connection
is opened. Everywhere Python's audit hooks refuse other processes, connections, foreign code and files. They see what
goes through Python: a library that opens a file by itself passes them by, as one line of torch does
(`torch.from_file`), and so does machine code. Where the kernel enforces nothing, on macOS and on Windows, only a
container that runs Linux keeps the solutions from a class that is out for them.
"""

import ctypes
import os
import platform
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

REFUSED = (
    "subprocess.",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "os.fork",
    "os.startfile",
    "os.kill",
    "os.chmod",
    "os.chown",
    "pty.",
    "socket.",
    "ftplib.",
    "smtplib.",
    "urllib.",
    "webbrowser.",
    "ctypes.",
    "gc.get_",
    "sys.setprofile",
    "resource.",
    "signal.pthread_kill",
    "shutil.",
    "mmap.",
)
"""Audit events that no answer to an exercise raises."""

LOOKS = ("open", "os.listdir", "os.scandir", "os.chdir", "os.walk", "glob.glob", "pathlib.Path.glob")
CHANGES = ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate")

MEMORY = 6 * 2**30
"""Bytes of memory that a submission may fill."""

FILE = 2**26
"""Bytes of the largest file that it may write."""


def places(forbidden: Iterable[Path]) -> list[Path]:
    """The files that a process needs: Python, its packages and the system's libraries, without forbidden folders."""
    roots = {Path(one).resolve() for one in (sys.prefix, sys.base_prefix, sys.exec_prefix)}
    roots |= {Path(one) for one in ("/usr", "/lib", "/lib64", "/etc", "/opt/conda", "/System", "/Library")}
    roots |= {Path(one).resolve() for one in sys.path if one}
    hidden = {one.resolve() for one in forbidden}
    found = [place for root in sorted(roots) if root.exists() for place in around(root, hidden)]
    return [*found, *(Path(one) for one in ("/dev/null", "/dev/urandom", "/dev/zero") if Path(one).exists())]


def around(folder: Path, hidden: set[Path]) -> list[Path]:
    """A folder, or what it holds beside the hidden ones."""
    if folder in hidden:
        return []
    if not any(folder in one.parents for one in hidden):
        return [folder]
    return [place for child in sorted(folder.iterdir()) if not child.is_symlink() for place in around(child, hidden)]


def confine(readable: Sequence[Path], writable: Path) -> str:
    """Bind this process, for good.

    Args:
        readable: files and folders that may be read.
        writable: the one folder that may be written as well.

    Returns:
        "kernel" where the system enforces it, else "hooks": Python alone does, for what goes through Python.
    """
    limit_memory()
    enforced = landlock(readable, writable)
    sys.addaudithook(hook([str(one) for one in readable], str(writable.resolve())))
    return "kernel" if enforced else "hooks"


def limit_memory() -> None:
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE, FILE))
    if platform.system() == "Linux":
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))


def hook(readable: Sequence[str], writable: str) -> Any:
    """The audit hook; it holds on to what it uses, so that nothing that is patched later reaches it."""
    allowed, join, real, error, text, path = (
        [*readable, writable],
        os.sep,
        os.path.realpath,
        PermissionError,
        str,
        os.fspath,
    )
    writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

    def inside(name: str, folders: Sequence[str]) -> bool:
        where = real(name)
        return any(where == one or where.startswith(one.rstrip(join) + join) for one in folders)

    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        if event.startswith(REFUSED):
            raise error(f"an answer to an exercise does not need {event}")
        if event in LOOKS or event in CHANGES:
            name = arguments[0] if arguments else None
            if name is None or isinstance(name, int):
                return
            name = path(name) if not isinstance(name, bytes) else name.decode("utf-8", "replace")
            writes = event in CHANGES or (
                event == "open"
                and (
                    bool((arguments[2] or 0) & writing)
                    or (isinstance(arguments[1], text) and set(arguments[1]) & set("wax+"))
                )
            )
            if not inside(name, [writable] if writes else allowed):
                raise error(f"an answer to an exercise does not need the file {name}")

    return refuse


# ---- Landlock --------------------------------------------------------------------------------------------------------

CREATE, ADD, RESTRICT = 444, 445, 446  # system calls, the same on every architecture
READ_FILE, READ_FOLDER, EXECUTE = 1 << 2, 1 << 3, 1 << 0
FILES = (1 << 13) - 1  # all rights of the first version
REFER, TRUNCATE = 1 << 13, 1 << 14
NETWORK = 3  # bind and connect
NO_NEW_PRIVILEGES = 38


class Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64))


class Beneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("rights", ctypes.c_uint64), ("parent", ctypes.c_int32))


def landlock(readable: Iterable[Path], writable: Path) -> bool:
    """Let the kernel enforce it. False where it cannot; nothing has changed then."""
    if platform.system() != "Linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(CREATE, None, 0, 1)
    if version < 1:
        return False
    every = FILES | (REFER if version >= 2 else 0) | (TRUNCATE if version >= 3 else 0)
    rules = Ruleset(every, NETWORK if version >= 4 else 0)
    size = ctypes.sizeof(rules) if version >= 4 else 8
    handle = libc.syscall(CREATE, ctypes.byref(rules), size, 0)
    if handle < 0:
        return False
    for place in readable:
        allow(libc, handle, place, READ_FILE | EXECUTE | (READ_FOLDER if place.is_dir() else 0))
    allow(libc, handle, writable, every)
    done = libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0) == 0 and libc.syscall(RESTRICT, handle, 0) == 0
    os.close(handle)
    return done


def allow(libc: Any, handle: int, place: Path, rights: int) -> None:
    try:
        opened = os.open(place, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    rule = Beneath(rights, opened)
    libc.syscall(ADD, handle, 1, ctypes.byref(rule), 0)
    os.close(opened)
