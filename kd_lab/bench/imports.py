"""The weight of the library before it does anything: seconds of an import, and MiB of an installation.

    python -m kd_lab.bench.imports

Each import is timed in a process of its own, in turns with the others; the disk's cache is warm after the first.
"""

import argparse
import io
import re
import subprocess
import sys
import zipfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from statistics import median

import kd_lab
from kd_lab.measure.clock import in_turns

MODULES = ("torch", "kd_lab.how", "kd_lab.methods")
TIMED = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"


def import_seconds(module: str) -> float:
    """Seconds that a fresh process takes for the import."""
    run = subprocess.run([sys.executable, "-c", TIMED.format(module)], capture_output=True, text=True, check=True)
    return float(run.stdout)


def installed_sizes(name: str = "kd_lab", without: str = "torch") -> dict[str, int]:
    """Bytes on disk of the distributions that `name` needs, and of those that they need, `without` one and its own.

    >>> "numpy" in installed_sizes() and "torch" not in installed_sizes()
    True
    """
    sizes: dict[str, int] = {}
    waiting = needed(name)
    while waiting:
        one = waiting.pop()
        if one in sizes or one == without:
            continue
        try:
            files = distribution(one).files or []
        except PackageNotFoundError:  # of another platform
            continue
        sizes[one] = sum(path.stat().st_size for file in files if (path := Path(file.locate())).is_file())
        waiting += needed(one)
    return sizes


def needed(name: str) -> list[str]:
    """The distributions that one always needs: its requirements without those of its extras."""
    requirements = distribution(name).requires or []
    return [re.match(r"[\w.-]+", one)[0].lower() for one in requirements if "extra ==" not in one]


def package_size() -> tuple[int, int]:
    """Bytes of kd_lab's own files, as they lie and packed as a wheel packs them."""
    root, packed = Path(kd_lab.__file__).parent, io.BytesIO()
    files = [file for file in root.rglob("*") if file.is_file() and "__pycache__" not in file.parts]
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.write(file, file.relative_to(root))
    return sum(file.stat().st_size for file in files), packed.tell()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    for module in MODULES:
        import_seconds(module)  # compiles what has no bytecode yet
    paths = {module: (lambda module=module: import_seconds(module)) for module in MODULES}
    seconds = in_turns(paths, lambda run: run(), arguments.rounds)
    for module in MODULES:
        beyond = median(own - torch for own, torch in zip(seconds[module], seconds["torch"], strict=True))
        print(f"import {module:<15} {median(seconds[module]):6.2f} s, {beyond:6.2f} s beyond torch")
    sizes = installed_sizes()
    for name, size in sorted(sizes.items(), key=lambda item: -item[1]):
        print(f"installed {name:<18} {size / 2**20:8.1f} MiB")
    whole, packed = package_size()
    print(f"installed kd_lab             {whole / 2**20:8.1f} MiB, packed {packed / 2**20:.1f} MiB")
    print(f"core install without torch   {(whole + sum(sizes.values())) / 2**20:8.1f} MiB")


if __name__ == "__main__":
    main()
