"""Compile the kernels for GPUs that are not here, and read registers, spills and vector loads off the result.

Run as `python -m kd_lab.how.kernels.audit.ahead_of_time`, without TRITON_INTERPRET: one JSON object per line.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from kd_lab.how.divergences import DIVERGENCES
from kd_lab.how.kernels.launch import (
    BLOCK,
    WARPS,
    held_tiles,
    resident_tiles,
    streaming_tiles,
    widest_resident,
)
from kd_lab.how.kernels.resident import resident
from kd_lab.how.kernels.rows import multiply_rows
from kd_lab.how.kernels.streaming import streaming_backward, streaming_forward

TARGETS = {
    "sm_80": GPUTarget("cuda", 80, 32),
    "sm_90": GPUTarget("cuda", 90, 32),
    "sm_100": GPUTarget("cuda", 100, 32),
    "gfx942": GPUTarget("hip", "gfx942", 64),
}
ITEMSIZE = {"bf16": 2, "fp16": 2, "fp32": 4}


@dataclass(frozen=True)
class Variant:
    """One kernel as one GPU would get it; with a mask and weights, which only add to it."""

    kernel: str  # "resident"; "forward", "training" or "backward", which stream; "upstream"
    divergence: str  # "any" for upstream
    student: str  # dtype of the student's logits and of the gradient
    teacher: str
    vocabulary: int  # decides the tiles, and whether 16 divides V
    target: str
    row_stride_padded: bool = True  # 16 divides the row strides
    labels: bool = False  # mixed in


@dataclass(frozen=True)
class Compiled:
    """The assembler's report on a variant."""

    registers: int  # per thread
    spills: int  # bytes per thread, stores and loads; registers on AMD
    vector_loads: int  # instructions that load 8 bytes or more per thread at once
    scalar_loads: int


def shipped_variants() -> Iterator[Variant]:
    """Everything with bf16 on every target; other dtypes and an unaligned V where the registers are fewest, on sm_90.

    Widths are the largest of each kernel: if nothing spills there, nothing spills below.
    """
    for target in TARGETS:
        for divergence in DIVERGENCES:
            yield from _kernels(divergence, "bf16", "bf16", target, odd=False)
            yield from _kernels(divergence, "bf16", "bf16", target, odd=False, labels=True)
        yield Variant("upstream", "any", "bf16", "bf16", 128_256, target)
    for student, teacher in (("fp32", "fp32"), ("fp16", "fp16"), ("bf16", "fp32")):
        for divergence in DIVERGENCES:
            yield from _kernels(divergence, student, teacher, "sm_90", odd=False, labels=True)
    for divergence in DIVERGENCES:
        yield from _kernels(divergence, "bf16", "bf16", "sm_90", odd=True)


def _kernels(
    divergence: str, student: str, teacher: str, target: str, odd: bool, labels: bool = False
) -> Iterator[Variant]:
    widest = widest_resident(divergence, max(ITEMSIZE[student], ITEMSIZE[teacher]), labels) - odd
    wide = 50_257 if odd else 128_256
    yield Variant("resident", divergence, student, teacher, widest, target, labels=labels)
    for kernel in ("forward", "training", "backward"):
        yield Variant(kernel, divergence, student, teacher, wide, target, labels=labels)


def compile_variant(variant: Variant) -> Compiled:
    """Compile one variant and assemble it once more with the assembler's report on."""
    function, constants, warps = _choices(variant)
    signature, hints = {}, {}
    for position, name in enumerate(function.arg_names):
        signature[name], aligned = _argument(name, variant, constants)
        if aligned:
            hints[(position,)] = [["tt.divisibility", 16]]
    source = ASTSource(function, signature, constants, hints)
    compiled = triton.compile(source, target=TARGETS[variant.target], options={"num_warps": warps})
    read = _read_amd if variant.target.startswith("gfx") else read_nvidia
    return read(compiled.asm)


def _choices(variant: Variant) -> tuple[triton.JITFunction, dict[str, object], int]:
    """The kernel's function, its compile-time constants and its warps, as `launch` would choose them."""
    if variant.kernel == "upstream":
        return multiply_rows, {"BLOCK": BLOCK}, WARPS
    constants: dict[str, object] = {"DIVERGENCE": variant.divergence} | ({} if variant.labels else {"labels": None})
    if variant.kernel == "resident":
        constants |= resident_tiles(variant.vocabulary) | {"WITH_GRADIENT": True}
        function = resident
    else:
        itemsize = max(ITEMSIZE[variant.student], ITEMSIZE[variant.teacher])
        constants |= streaming_tiles(itemsize, on_amd=variant.target.startswith("gfx"))
        function = streaming_backward
        if variant.kernel != "backward":
            save = "gradient" if variant.kernel == "training" else "statistics"
            constants |= {"SAVE": save, "HELD": held_tiles(variant.divergence, itemsize, save, variant.labels)}
            function = streaming_forward
    warps = constants.pop("num_warps")
    return function, constants, warps


def _argument(name: str, variant: Variant, constants: dict[str, object]) -> tuple[str, bool]:
    """Triton's type of an argument, and whether 16 is known to divide it."""
    if name in constants:
        return "constexpr", False
    match name:
        case "student" | "gradient":
            return f"*{variant.student}", True
        case "teacher":
            return f"*{variant.teacher}", True
        case "mask":
            return "*i1", True
        case "labels":
            return "*i64", True
        case "weight" | "upstream" | "loss" | "statistics":
            return "*fp32", True
        case "inner_rows":
            return "i32", False
        case "vocabulary":
            return "i32", variant.vocabulary % 16 == 0
        case "inverse_temperature" | "beta" | "scale" | "label_weight":
            return "fp32", False
        case _:  # strides
            return "i32", variant.row_stride_padded


def read_nvidia(asm: dict[str, str]) -> Compiled:
    ptx = asm["ptx"]
    architecture = re.search(r"\.target (sm_\w+)", ptx)[1]
    assembler = "ptxas-blackwell" if architecture.startswith("sm_10") else "ptxas"
    path = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / assembler
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "kernel.ptx"
        source.write_text(ptx)
        # --regAllocOptLevel=2 is how Triton calls its assembler.
        command = [path, "-v", "--regAllocOptLevel=2", f"--gpu-name={architecture}", source, "-o", f"{folder}/kernel.o"]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    spills = re.findall(r"(\d+) bytes spill (?:stores|loads)", said)
    # A pipelined load copies straight to shared memory: cp.async with its width in bytes as the last number.
    copies = [
        int(width) for width in re.findall(r"cp\.async\.c[ag]\.shared\.global \[[^]]+\], \[[^]]+\], (?:0x)?(\w+)", ptx)
    ]
    plain = re.findall(r"ld\.global[\w.:]*?(?:\.v(\d))?\.[bu](\d+) ", ptx)
    widths = copies + [int(count or 1) * int(bits) // 8 for count, bits in plain]
    return Compiled(
        registers=int(re.search(r"Used (\d+) registers", said)[1]),
        spills=sum(map(int, spills)),
        vector_loads=sum(width >= 8 for width in widths),
        scalar_loads=sum(width < 8 for width in widths),
    )


def _read_amd(asm: dict[str, str]) -> Compiled:
    text = asm["amdgcn"]
    loads = re.findall(r"(?:global|buffer)_load_(\w+)", text)
    wide = sum(kind.startswith("dwordx") for kind in loads)
    return Compiled(
        registers=int(re.search(r"\.vgpr_count:\s+(\d+)", text)[1]),
        spills=sum(int(count) for count in re.findall(r"\.[sv]gpr_spill_count:\s+(\d+)", text)),
        vector_loads=wide,
        scalar_loads=len(loads) - wide,
    )


def compile_all(variants: list[Variant]) -> Iterator[tuple[Variant, Compiled]]:
    """Each variant with its report, in order, on all cores."""
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        yield from zip(variants, pool.map(compile_variant, variants), strict=True)


def main() -> None:
    if os.environ.get("TRITON_INTERPRET") == "1":
        sys.exit("TRITON_INTERPRET is 1, and an interpreted kernel cannot be compiled; unset it for this process")
    for variant, compiled in compile_all(list(shipped_variants())):
        print(json.dumps(asdict(variant) | asdict(compiled)), flush=True)


if __name__ == "__main__":
    main()
