"""`kd-lab class package DIR`: a wheel for students, without solutions, beside the versions that were tested."""

import base64
import hashlib
import shutil
import tempfile
import zipfile
from importlib.metadata import distribution
from pathlib import Path

from kd_lab.classroom.lesson import ROOT
from kd_lab.teaching.strip import strip

LOCAL = "class"
"""The local part of the wheel's version: pip shows it behind a plus sign."""

CONSTRAINTS = ROOT / "constraints.txt"
"""The versions that were tested. Only a checkout has the file; an installed package does not."""


def build_wheel(folder: Path) -> Path:
    """Build the package for students.

    It takes a minute: the answers of every known mistake of every exercise are computed for its cases.

    Args:
        folder: where the wheel goes; it is made if need be.

    Returns:
        The wheel. Beside it lies constraints.txt, through which students install it.

    Raises:
        ValueError: the folder cannot be written.
    """
    installed = distribution("kd_lab")
    version = f"{installed.version}+{LOCAL}"
    wheel = folder / f"kd_lab-{version}-py3-none-any.whl"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as place:
            root = Path(place)
            strip(root)
            info = root / f"kd_lab-{version}.dist-info"
            info.mkdir()
            kept = installed.read_text("METADATA") or installed.read_text("PKG-INFO") or ""  # the latter in a checkout
            metadata = kept.partition("\n\n")[0]
            said = metadata.replace(f"\nVersion: {installed.version}\n", f"\nVersion: {version}\n")
            (info / "METADATA").write_text(f"{said}\n", encoding="utf-8")
            (info / "WHEEL").write_text(
                "Wheel-Version: 1.0\nGenerator: kd_lab\nRoot-Is-Purelib: true\nTag: py3-none-any\n", encoding="utf-8"
            )
            (info / "entry_points.txt").write_text(
                "[console_scripts]\nkd-lab = kd_lab.__main__:main\n", encoding="utf-8"
            )
            pack(root, info, wheel)
        if CONSTRAINTS.exists():
            shutil.copyfile(CONSTRAINTS, folder / CONSTRAINTS.name)
    except OSError as error:
        raise ValueError(f"the wheel cannot be written to {str(folder)!r} ({error}); name another folder") from error
    return wheel


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
