"""One table of the kernels' cost and accuracy, against their budgets: `make kernels`.

Bytes and errors come from Triton's interpreter; registers, spills and vector loads from the compiler, for the GPUs in
`ahead_of_time.TARGETS`, in a process of its own.
"""

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from tqdm import tqdm

from kd_lab.how.divergences import DIVERGENCES
from kd_lab.how.kernels.launch import loss_sweeps

GAPS = {5e-1: 7e-7, 5e-3: 8e-7, 5e-5: 3e-5, 5e-7: 3e-5}
"""Nats between student and teacher: the relative error that the loss may then have.

It is the error in fp32 of Σ (p·d − p + q), d = log(p/q), at V = 128,256 with exact logsumexps."""


@dataclass(frozen=True)
class Row:
    """A way through the kernels, and its budgets."""

    divergence: str
    path: str  # as in `evidence.bytes_per_element`
    vocabulary: int
    bound: float  # bytes per element, bf16, forward and backward
    kernels: Sequence[str]  # `Variant.kernel` of what runs

    @property
    def name(self) -> str:
        way = {
            "early": "gradient in the forward pass",
            "labels": "the same with labels",
            "late": "gradient in the backward pass",
            "forward": "loss alone",
            "masked": "masked row",
        }[self.path]
        return f"{self.divergence.replace('_', ' ')}, V = {self.vocabulary:,}, {way}"


def rows() -> list[Row]:
    """Every path with its budget in bytes: its reads and writes, and 0.1 for the numbers kept per row."""
    table = []
    for divergence in DIVERGENCES:
        is_kl = loss_sweeps(divergence) == 1
        table += [
            Row(divergence, "early", 16_384 if is_kl else 8_192, 6.1, ("resident",)),
            Row(divergence, "early", 50_257, 10.1 if is_kl else 14.1, ("training",)),
            Row(divergence, "early", 128_256, 9.7 if is_kl else 14.1, ("training",)),
            Row(divergence, "labels", 128_256, 9.8 if is_kl else 14.1, ("training",)),
            Row(divergence, "late", 128_256, 10.1 if is_kl else 14.1, ("forward", "backward")),
            Row(divergence, "forward", 128_256, 4.1 if is_kl else 8.1, ("forward",)),
            Row(divergence, "masked", 128_256, 2.1, ("training",)),
        ]
    return table


def main() -> int:
    """Print the table; the exit status says whether every budget is met."""
    with _child("ahead_of_time", interpret=False) as compiler, _child("report", interpret=True) as interpreter:
        measured = _answers(interpreter, "interpreting")
        compiled = _answers(compiler, "compiling")
    return show([(Row(**row), moved, dict(errors)) for row, moved, errors in measured], compiled)


def _child(module: str, *, interpret: bool) -> subprocess.Popen:
    """A process that prints one JSON value per line: Triton decides at import whether it interprets."""
    environment = os.environ | {"TRITON_INTERPRET": str(int(interpret))}
    command = [sys.executable, "-m", f"kd_lab.how.kernels.audit.{module}", "--measure"]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def _answers(child: subprocess.Popen, doing: str) -> list:
    answers = [json.loads(line) for line in tqdm(child.stdout, desc=doing, unit=" kernels", leave=False)]
    if child.wait():
        sys.exit(f"{' '.join(child.args)} ended with status {child.returncode}")
    return answers


def measure() -> None:
    """Bytes, and the value's relative error at each distance, of every row, as JSON; run under TRITON_INTERPRET=1."""
    from kd_lab.how.kernels.audit.evidence import bytes_per_element, relative_errors

    warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"triton\.runtime\.interpreter")
    for row in rows():
        moved = bytes_per_element(row.divergence, row.vocabulary, row.path)
        errors = []
        if row.path == "early":  # the other paths compute the same loss
            errors = [(kl, relative_errors(row.divergence, row.vocabulary, kl)[0]) for kl in GAPS]
        print(json.dumps((asdict(row), moved, errors)), flush=True)


def show(measured: list[tuple[Row, float, dict[float, float]]], compiled: list[dict]) -> int:
    """Print the table and the verdict; 0 if all budgets are met."""
    missed = []
    print(
        f"{'variant':62} {'bytes':>6} {'bound':>6} {'registers':>9} {'spills':>6} {'vector loads':>12} {'max error':>9}"
    )
    for row, moved, errors in measured:
        labels = row.path == "labels"
        variants = [
            v
            for v in compiled
            if v["divergence"] == row.divergence and v["kernel"] in row.kernels and v["labels"] == labels
        ]
        registers, spills = max(v["registers"] for v in variants), max(v["spills"] for v in variants)
        vectors = min(v["vector_loads"] for v in variants)
        largest = f"{max(errors.values()):.1e}" if errors else "–"
        print(f"{row.name:62} {moved:6.2f} {row.bound:6.1f} {registers:9} {spills:6} {vectors:12} {largest:>9}")
        if moved > row.bound:
            missed.append(f"{row.name}: {moved:.2f} bytes per element, more than {row.bound}")
        for kl, error in errors.items():
            if error > GAPS[kl]:
                missed.append(f"{row.name}: relative error {error:.1e} at {kl:g} nats, more than {GAPS[kl]:.0e}")
    for variant in compiled:
        missed += [f"{_name(variant)}: {problem}" for problem in compile_problems(variant)]
    print(
        "\nBytes per element of bf16 logits, forward and backward. Registers and spills are the most, vector loads the "
        f"fewest,\nof {len(compiled)} kernels compiled for {', '.join(sorted({v['target'] for v in compiled}))}, in "
        "bf16, fp16, fp32 and mixed.\nThe rows of V = 50,257 are padded to a multiple of 16; packed rows lose "
        "the vectors.\nThe error is relative, fp32 against fp64, the largest for KL from 5e-1 to 5e-7."
    )
    print("\n".join(["", "Missed:", *missed]) if missed else "\nEvery budget is met.")
    return 1 if missed else 0


def compile_problems(variant: dict) -> list[str]:
    """The faults of a compiled kernel: spills, or loads that are not vectors outside the tile that V leaves over.

    That tile is 8 columns per thread of both models, in each sweep; where 16 divides V its loads are vectors too. A few
    single numbers per row remain.
    """
    sweeps = {"resident": 1, "backward": 1, "forward": 1, "training": 2, "upstream": 1}[variant["kernel"]]
    if variant["kernel"] in ("forward", "training"):
        sweeps += loss_sweeps(variant["divergence"]) - 1
    allowed = 5 + variant["labels"] + (0 if variant["vocabulary"] % 16 == 0 else 16 * sweeps)
    problems = []
    if variant["spills"]:
        problems.append(f"{variant['spills']} bytes spilled")
    if variant["vector_loads"] == 0 or variant["scalar_loads"] > allowed:
        problems.append(f"{variant['vector_loads']} vector loads and {variant['scalar_loads']} scalar ones")
    return problems


def _name(variant: dict) -> str:
    return "{kernel} {divergence} {student}/{teacher} V = {vocabulary} {target}".format(**variant) + (
        " with labels" if variant["labels"] else ""
    )


if __name__ == "__main__":
    sys.exit(measure() if "--measure" in sys.argv else main())
