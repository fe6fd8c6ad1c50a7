"""Forward and backward of a loss: the eager formula, torch.compile of it, and ours, in turns in one process.

    python -m kd_lab.bench.losses

Seconds are medians of the rounds and ratios are medians of the rounds' ratios, so that whatever else the machine does
falls on all. CPU seconds count the work of all threads and hardly see the neighbours. Peak memory is what the process
held above its state before, in units of the gradient of the logits (of one side's logits, for the linear loss).
"""

import argparse
import gc
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import torch
from jaxtyping import Float
from torch import Tensor

from kd_lab.how import linear_softmax_kl, softmax_kl
from kd_lab.measure.clock import in_turns

TEMPERATURE = 2.0


def eager(student: Float[Tensor, "N V"], teacher: Float[Tensor, "N V"], divergence: str) -> Float[Tensor, ""]:
    """The formula as it is usually written, in operations on whole tensors."""
    student_logp = (student / TEMPERATURE).log_softmax(-1)
    teacher_logp = (teacher / TEMPERATURE).log_softmax(-1)
    match divergence:
        case "forward_kl":
            terms = teacher_logp.exp() * (teacher_logp - student_logp)
        case "reverse_kl":
            terms = student_logp.exp() * (student_logp - teacher_logp)
        case "jsd":
            mixture = torch.logaddexp(student_logp, teacher_logp) - math.log(2)
            terms = teacher_logp.exp() * (teacher_logp - mixture) + student_logp.exp() * (student_logp - mixture)
            terms = terms / 2
    return terms.sum(-1).mean() * TEMPERATURE**2


@dataclass(frozen=True)
class Cost:
    """The cost of one round of one path."""

    seconds: float
    cpu_seconds: float


def measure(run: Callable[[], object]) -> Cost:
    """Wall and CPU seconds of one call, after one that is not counted.

    Gigabytes that the path before has just given back are still being cleared by the system, at the cost of
    the next call that asks for memory.
    """
    run()
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return Cost(time.perf_counter() - wall, time.process_time() - cpu)


def peak_memory(run: Callable[[], object]) -> int | None:
    """Bytes of the process's peak above where it stood, by the system's own count; None where it keeps none."""
    gc.collect()
    try:
        Path("/proc/self/clear_refs").write_text("5")  # Linux: forget the peak so far
        before = _status("VmRSS")
        run()
        return _status("VmHWM") - before
    except OSError:
        return None


def table(title: str, paths: dict[str, Callable[[], object]], unit: int, rounds: int) -> str:
    """One line per path: seconds, how often they go into the first path's, and peak memory in `unit` bytes."""
    costs = in_turns(paths, measure, rounds)
    first = next(iter(paths))
    lines = []
    for name, run in paths.items():
        ratio = median(a.seconds / b.seconds for a, b in zip(costs[first], costs[name], strict=True))
        cpu_ratio = median(a.cpu_seconds / b.cpu_seconds for a, b in zip(costs[first], costs[name], strict=True))
        peak = peak_memory(run)
        lines.append(
            f"{title:<12} {name:<14} {median(c.seconds for c in costs[name]):8.3f} s {ratio:7.2f} ×"
            f" {median(c.cpu_seconds for c in costs[name]):8.3f} s {cpu_ratio:7.2f} ×"
            f" {'not known' if peak is None else f'{peak / unit:9.2f}'}"
        )
    return "\n".join(lines)


def logits_paths(divergence: str, n: int, v: int, compiled: bool) -> dict[str, Callable[[], object]]:
    """Forward and backward from the same logits, by each path; torch.compile where it works, or a printed reason."""
    generator = torch.Generator().manual_seed(0)
    student = 3 * torch.randn(n, v, generator=generator)
    teacher = student + torch.randn(n, v, generator=generator)

    def step(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
        loss(student.detach().requires_grad_(), teacher).backward()

    formula = partial(eager, divergence=divergence)
    ours = partial(softmax_kl, divergence=divergence, temperature=TEMPERATURE, backend="chunked")
    paths = {"eager": partial(step, formula), "chunked": partial(step, ours)}
    if compiled:
        torch.compiler.reset()
        path = partial(step, torch.compile(formula))
        try:
            start = time.perf_counter()
            path()
            print(f"{divergence:<12} torch.compile took {time.perf_counter() - start:.0f} s to compile and run once")
            paths = {"eager": paths["eager"], "torch.compile": path, "chunked": paths["chunked"]}
        except Exception as error:  # no compiler, or one that fails: nothing that the others depend on
            print(f"{divergence:<12} torch.compile is left out: {type(error).__name__}: {str(error).splitlines()[0]}")
    return paths


def linear_paths(n: int, v: int, width: int) -> dict[str, Callable[[], object]]:
    """Forward and backward from hidden states and head weights, logits as a whole and in parts."""
    generator = torch.Generator().manual_seed(0)
    hidden, teacher_hidden = (torch.randn(n, width, generator=generator) for _ in range(2))
    weight, teacher_weight = (torch.randn(v, width, generator=generator) / width**0.5 for _ in range(2))

    def step(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
        loss(hidden.detach().requires_grad_(), weight.detach().requires_grad_()).backward()

    def unfused(h: Tensor, w: Tensor) -> Tensor:
        return softmax_kl(h @ w.T, teacher_hidden @ teacher_weight.T, temperature=TEMPERATURE)

    def fused(h: Tensor, w: Tensor) -> Tensor:
        return linear_softmax_kl(h, w, teacher_hidden, teacher_weight, temperature=TEMPERATURE)

    return {"unfused": partial(step, unfused), "linear": partial(step, fused)}


def _status(field: str) -> int:
    """A size from the system's account of this process, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {field}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="turns of all paths; what is shown is the median of them")
    parser.add_argument("--threads", type=int, help="CPU threads; torch's own choice if left out")
    parser.add_argument(
        "--rows", type=int, default=1024, help="rows of logits; the linear loss takes four times as many"
    )
    parser.add_argument("--vocabulary", type=int, default=50_257)
    parser.add_argument("--width", type=int, default=256, help="width of the hidden states of the linear loss")
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out, which compiles for minutes")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    n, v = arguments.rows, arguments.vocabulary
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, fp32, τ = {TEMPERATURE:g}, forward + backward"
    )
    print(f"{'loss':<12} {'path':<14} {'seconds':>10} {'ratio':>9} {'CPU seconds':>11} {'ratio':>8} {'peak':>10}")
    for divergence in ("forward_kl", "reverse_kl", "jsd"):
        paths = logits_paths(divergence, n, v, not arguments.no_compile)
        print(table(divergence, paths, 4 * n * v, arguments.rounds), flush=True)
        del paths
    paths = linear_paths(4 * n, v, arguments.width)
    print(table(f"linear {4 * n}", paths, 4 * 4 * n * v, max(1, arguments.rounds // 2)), flush=True)


if __name__ == "__main__":
    main()
