"""`kd-lab class package DIR`: a wheel for students, without solutions, beside the versions that were tested."""

import base64
import contextlib
import hashlib
import shutil
import tempfile
import zipfile
from importlib.metadata import distribution
from pathlib import Path

from kd_lab.classroom.lesson import ROOT
from kd_lab.teaching.box import fingerprint
from kd_lab.teaching.strip import strip

LOCAL = "class"
"""The first word of the wheel's local version, which pip shows behind a plus sign; its content's fingerprint follows.

To pip a wheel of the same version is installed already: without the fingerprint no update would reach a student.
"""

CONSTRAINTS = ROOT / "constraints.txt"
"""The versions that were tested. Only a checkout has the file; an installed package does not."""


def build_wheel(folder: Path) -> Path:
    """Build the package for students.

    It takes a minute: the answers of every known mistake of every exercise are computed for its cases.

    Args:
        folder: where the wheel goes; it is made if need be.

    Returns:
        The wheel, the only one of a class in its folder. Students install it through the constraints.txt beside it.

    Raises:
        ValueError: the folder cannot be written.
    """
    installed = distribution("kd_lab")
    kept = installed.read_text("METADATA") or installed.read_text("PKG-INFO") or ""  # the latter in a checkout
    metadata = kept.partition("\n\n")[0]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as place:
            root = Path(place) / "root"
            strip(root)
            version = version_of(root, metadata, installed.version)
            said = metadata.replace(f"\nVersion: {installed.version}\n", f"\nVersion: {version}\n")
            new = Path(place) / f"kd_lab-{version}-py3-none-any.whl"
            pack(root, describe(root, version, said), new)
            wheel = new.replace(folder / new.name)
        for other in set(folder.glob(f"kd_lab-*+{LOCAL}*.whl")) - {wheel}:  # a script that takes *.whl takes this one
            other.unlink()
        if CONSTRAINTS.exists():
            with contextlib.suppress(shutil.SameFileError):
                shutil.copyfile(CONSTRAINTS, folder / CONSTRAINTS.name)
    except OSError as error:
        raise ValueError(f"the wheel cannot be written to {str(folder)!r} ({error}); name another folder") from error
    return wheel


def version_of(root: Path, metadata: str, installed: str) -> str:
    """The version of a wheel, with eight digits of a hash of what it holds.

    A letter stands before them: of digits alone pip would strike the zeros at their head.
    """
    content = hashlib.sha256(f"{fingerprint(root)}\n{metadata}".encode()).hexdigest()
    return f"{installed}+{LOCAL}.g{content[:8]}"


def describe(root: Path, version: str, metadata: str) -> Path:
    """Write the folder in which a wheel says what it is."""
    info = root / f"kd_lab-{version}.dist-info"
    info.mkdir()
    files = {
        "METADATA": f"{metadata}\n",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: kd_lab\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "entry_points.txt": "[console_scripts]\nkd-lab = kd_lab.__main__:main\n",
    }
    for name, text in files.items():
        (info / name).write_text(text, encoding="utf-8")
    return info


def pack(root: Path, info: Path, wheel: Path) -> None:
    """Put all files under `root` into a wheel, with the list of their hashes."""
    lines = []
    record = info / "RECORD"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(file for file in root.rglob("*") if file.is_file()):
            name, data = file.relative_to(root).as_posix(), file.read_bytes()
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            lines.append(f"{name},sha256={digest},{len(data)}")
            archive.writestr(name, data)
        name = record.relative_to(root).as_posix()
        archive.writestr(name, "\n".join([*lines, f"{name},,", ""]))
