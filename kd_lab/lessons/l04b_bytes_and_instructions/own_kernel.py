"""Compile a kernel that was just written, for a GPU that is not here, and read the compiler's report.

The process that wrote it interprets its kernels, and an interpreted kernel cannot be compiled; so its source goes to a
process of its own, this file run as a module, which answers with one JSON object for each variant.
"""

import importlib.util
import inspect
import json
import os
import re
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kd_lab.classroom.panel import Panel, show

HEADER = "from kd_lab.lessons.l04b_bytes_and_instructions.triton_here import load_block, tl, triton\n\n\n@triton.jit\n"


@dataclass(frozen=True)
class Compilation:
    """The compiler's and the assembler's report on a kernel."""

    ptx: str
    registers: int  # per thread
    spills: int  # bytes per thread, stores and loads
    vector_loads: int  # instructions that load 8 bytes or more at once
    scalar_loads: int


def compile_own_kernel(
    kernel: Any,
    types: Mapping[str, str],
    variants: Sequence[Mapping[str, Any]],
    target: str = "sm_90",
) -> list[Compilation]:
    """Compile the kernel that `@triton.jit` made, once for each variant.

    Args:
        kernel: uses `tl`, `load_block` and nothing else from outside.
        types: of its arguments, in Triton's words, such as {"logits": "*bf16", "vocabulary": "i32"}.
        variants: values of its compile-time constants, of "num_warps", and of arguments whose divisibility by 16 the
            compiler may know, such as {"BLOCK": 4096, "num_warps": 8, "vocabulary": 128_256}.
        target: "sm_80", "sm_90" or "sm_100".

    Returns:
        One report for each variant, in order. Pointers are taken to be multiples of 16, as torch's are.

    Raises:
        ValueError: the kernel does not compile; with the compiler's last lines.
    """
    source = textwrap.dedent(inspect.getsource(kernel.fn))
    order = {"name": kernel.fn.__name__, "types": dict(types), "variants": list(map(dict, variants)), "target": target}
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "own_kernel.py"
        file.write_text(HEADER + source[re.search(r"^def ", source, re.MULTILINE).start() :], encoding="utf-8")
        command = [sys.executable, "-m", __name__, str(file), json.dumps(order)]
        run = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if run.returncode:
        last = "\n".join(run.stderr.strip().splitlines()[-12:])
        raise ValueError(f"the kernel {kernel.fn.__name__} does not compile for {target}; the compiler says:\n{last}")
    return [Compilation(**json.loads(line)) for line in run.stdout.splitlines()]


def compile_or_fall_back(
    kernel: Any,
    fallback: Any,
    types: Mapping[str, str],
    variants: Sequence[Mapping[str, Any]],
    target: str = "sm_90",
) -> list[Compilation]:
    """The reports on a learner's kernel, or a panel that says why it does not compile, and those on the fallback.

    A kernel that is right in the interpreter can fail here: the interpreter takes a sum that starts at the integer 0,
    the compiler wants a variable of a loop to keep its type.
    """
    try:
        return compile_own_kernel(kernel, types, variants, target)
    except (ValueError, OSError) as error:
        heading = "This kernel does not compile. The cells below go on with the reference's."
        hint = "What the interpreter forgives and the compiler does not: a sum that starts at `0` instead of `0.0`."
        said = [line for line in str(error).splitlines() if line.strip() and "site-packages" not in line]
        show(Panel(heading, (hint,), tuple(said[-3:]), tone="attention"))
        return compile_own_kernel(fallback, types, variants, target)


def main(file: str, order: str) -> None:
    import triton
    from triton.compiler import ASTSource

    from kd_lab.how.kernels.audit.ahead_of_time import TARGETS, read_nvidia

    what = json.loads(order)
    specification = importlib.util.spec_from_file_location("own_kernel", file)
    module = importlib.util.module_from_spec(specification)
    sys.modules["own_kernel"] = module
    specification.loader.exec_module(module)
    function = getattr(module, what["name"])
    for variant in what["variants"]:
        warps = variant.pop("num_warps")
        signature = {name: what["types"].get(name, "constexpr") for name in function.arg_names}
        constants = {name: value for name, value in variant.items() if signature[name] == "constexpr"}
        aligned = [
            position
            for position, name in enumerate(function.arg_names)
            if signature[name].startswith("*")
            or (name in variant and name not in constants and variant[name] % 16 == 0)
        ]
        hints = {(position,): [["tt.divisibility", 16]] for position in aligned}
        source = ASTSource(function, signature, constants, hints)
        compiled = triton.compile(source, target=TARGETS[what["target"]], options={"num_warps": warps})
        print(json.dumps({"ptx": compiled.asm["ptx"], **asdict(read_nvidia(compiled.asm))}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
