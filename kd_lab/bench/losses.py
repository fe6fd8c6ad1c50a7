"""Forward and backward of a loss: the eager formula, torch.compile of it, and ours, in turns in one process.

    python -m kd_lab.bench.losses
    python -m kd_lab.bench.losses --divergence jsd --vocabulary 50257 --dtype bfloat16  # one line of it
    python -m kd_lab.bench.losses --temperature 1 --no-compile  # where the labels share the divergence's softmax

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
LOGITS = 512 * 50_257
"""Of one side; a larger vocabulary has fewer rows."""
LABEL_WEIGHT = 0.1
SMALL, SMALL_CALLS = (768, 27), 200
"""A batch of 64 surnames, and the calls that are timed as one."""


def eager(
    student: Float[Tensor, "N V"], teacher: Float[Tensor, "N V"], divergence: str, temperature: float = TEMPERATURE
) -> Float[Tensor, ""]:
    """The formula as it is usually written, in operations on whole tensors; mixtures at β = ½."""
    student_logp = (student / temperature).log_softmax(-1)
    teacher_logp = (teacher / temperature).log_softmax(-1)
    return EAGER[divergence](student_logp, teacher_logp).sum(-1).mean() * temperature**2


def _kl(logp: Float[Tensor, "N V"], logq: Float[Tensor, "N V"]) -> Float[Tensor, "N V"]:
    return logp.exp() * (logp - logq)


def _mixture(student_logp: Float[Tensor, "N V"], teacher_logp: Float[Tensor, "N V"]) -> Float[Tensor, "N V"]:
    return torch.logaddexp(student_logp, teacher_logp) - math.log(2)


def _jsd(student_logp: Float[Tensor, "N V"], teacher_logp: Float[Tensor, "N V"]) -> Float[Tensor, "N V"]:
    mixture_logp = _mixture(student_logp, teacher_logp)
    return (_kl(teacher_logp, mixture_logp) + _kl(student_logp, mixture_logp)) / 2


EAGER = {  # from log q and log p
    "forward_kl": lambda q, p: _kl(p, q),
    "reverse_kl": _kl,
    "jsd": _jsd,
    "skew_kl": lambda q, p: _kl(p, _mixture(q, p)),
    "skew_reverse_kl": lambda q, p: _kl(q, _mixture(q, p)),
}


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
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # Linux: forget the peak so far
        before = _status("VmRSS")
        run()
        return _status("VmHWM") - before
    except OSError:
        return None


def table(title: str, paths: dict[str, Callable[[], object]], unit: int, rounds: int) -> str:
    """One line per path: seconds, how often they go into the first path's, and peak memory in `unit` bytes.

    Where the last path is that before it with labels, another line compares the two.
    """
    costs = in_turns(paths, measure, rounds)
    first = next(iter(paths))
    lines = []
    for name, run in paths.items():
        ratio, cpu_ratio = _ratios(costs[first], costs[name])
        peak = peak_memory(run)
        lines.append(
            f"{title:<28} {name:<14} {median(c.seconds for c in costs[name]):8.4f} s {ratio:7.2f} ×"
            f" {median(c.cpu_seconds for c in costs[name]):8.4f} s {cpu_ratio:7.2f} ×"
            f" {'not known' if peak is None else f'{peak / unit:9.2f}'}"
        )
    *_, alone, last = paths
    if last == "+ labels":
        ratio, cpu_ratio = _ratios(costs[last], costs[alone])
        lines.append(f"{title:<28} labels make it {ratio:.2f} times as long, {cpu_ratio:.2f} in CPU seconds")
    return "\n".join(lines)


def _ratios(slow: list[Cost], fast: list[Cost]) -> tuple[float, float]:
    """The medians of the rounds' ratios, in wall and in CPU seconds."""
    pairs = list(zip(slow, fast, strict=True))
    return median(a.seconds / b.seconds for a, b in pairs), median(a.cpu_seconds / b.cpu_seconds for a, b in pairs)


def logits_paths(
    divergence: str,
    n: int,
    v: int,
    compiled: bool,
    dtype: torch.dtype = torch.float32,
    temperature: float = TEMPERATURE,
) -> dict[str, Callable[[], object]]:
    """Forward and backward from the same logits, by each path; torch.compile where it works, or a printed reason.

    All compute in fp32 from logits of `dtype`.
    """
    generator = torch.Generator().manual_seed(0)
    student = 3 * torch.randn(n, v, generator=generator)
    teacher = (student + torch.randn(n, v, generator=generator)).to(dtype)
    student, labels = student.to(dtype), torch.randint(v, (n,), generator=generator)

    def step(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
        loss(student.detach().requires_grad_(), teacher).backward()

    def formula(student: Tensor, teacher: Tensor) -> Tensor:
        return eager(student.float(), teacher.float(), divergence, temperature)

    ours = partial(softmax_kl, divergence=divergence, temperature=temperature, backend="chunked")
    paths = {"eager": partial(step, formula)}
    if compiled:
        torch.compiler.reset()
        path = partial(step, torch.compile(formula))
        try:
            start = time.perf_counter()
            path()
            print(f"{divergence:<12} torch.compile took {time.perf_counter() - start:.0f} s to compile and run once")
            paths["torch.compile"] = path
        except Exception as error:  # no compiler, or one that fails: nothing that the others depend on
            print(f"{divergence:<12} torch.compile is left out: {type(error).__name__}: {str(error).splitlines()[0]}")
    mixed = partial(ours, labels=labels, label_weight=LABEL_WEIGHT)
    return paths | {"chunked": partial(step, ours), "+ labels": partial(step, mixed)}


def small_paths(
    divergence: str, n: int, v: int, calls: int, temperature: float = TEMPERATURE
) -> dict[str, Callable[[], object]]:
    """So many calls with few logits, where a call's own overhead counts.

    The formula as it is usually written; the reference, which is the formula with care for zeros and near equality and
    takes about twice as many operations; and ours as it chooses.
    """
    generator = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(n, v, generator=generator) for _ in range(2))

    def steps(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
        for _ in range(calls):
            loss(student.detach().requires_grad_(), teacher).backward()

    ours = partial(softmax_kl, divergence=divergence, temperature=temperature)
    losses = {
        "eager": partial(eager, divergence=divergence, temperature=temperature),
        "reference": partial(ours, backend="reference"),
    }
    return {name: partial(steps, loss) for name, loss in (losses | {"auto": ours}).items()}


def linear_paths(n: int, v: int, width: int, temperature: float = TEMPERATURE) -> dict[str, Callable[[], object]]:
    """Forward and backward from hidden states and head weights, logits as a whole and in parts."""
    generator = torch.Generator().manual_seed(0)
    hidden, teacher_hidden = (torch.randn(n, width, generator=generator) for _ in range(2))
    weight, teacher_weight = (torch.randn(v, width, generator=generator) / width**0.5 for _ in range(2))
    labels = torch.randint(v, (n,), generator=generator)

    def step(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
        loss(hidden.detach().requires_grad_(), weight.detach().requires_grad_()).backward()

    def unfused(h: Tensor, w: Tensor) -> Tensor:
        return softmax_kl(h @ w.T, teacher_hidden @ teacher_weight.T, temperature=temperature)

    def fused(h: Tensor, w: Tensor) -> Tensor:
        return linear_softmax_kl(h, w, teacher_hidden, teacher_weight, temperature=temperature)

    def mixed(h: Tensor, w: Tensor) -> Tensor:
        options = {"temperature": temperature, "labels": labels, "label_weight": LABEL_WEIGHT}
        return linear_softmax_kl(h, w, teacher_hidden, teacher_weight, **options)

    return {"unfused": partial(step, unfused), "linear": partial(step, fused), "+ labels": partial(step, mixed)}


def _status(field: str) -> int:
    """A size from the system's account of this process, in bytes."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {field}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="turns of all paths; what is shown is the median of them")
    parser.add_argument("--threads", type=int, help="CPU threads; torch's own choice if left out")
    parser.add_argument("--divergence", choices=EAGER, help="this one alone; then the linear and small losses are out")
    parser.add_argument("--vocabulary", type=int, nargs="+", default=[50_257, 151_936])
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--temperature", type=float, default=TEMPERATURE, help=f"{TEMPERATURE:g} if left out")
    parser.add_argument("--rows", type=int, help=f"rows of logits; if left out, as many as {LOGITS:,} logits have")
    parser.add_argument("--width", type=int, default=256, help="width of the hidden states of the linear loss")
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out, which compiles for minutes")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    temperature, threads = arguments.temperature, torch.get_num_threads()
    print(f"torch {torch.__version__}, {threads} threads, τ = {temperature:g}, β = ½, forward + backward")
    print(f"{'loss':<28} {'path':<14} {'seconds':>10} {'ratio':>9} {'CPU seconds':>11} {'ratio':>8} {'peak':>10}")
    divergences = [arguments.divergence] if arguments.divergence else list(EAGER)
    for v in arguments.vocabulary:
        n = arguments.rows or LOGITS // v
        for dtype in (getattr(torch, name) for name in arguments.dtype):
            for divergence in divergences:
                paths = logits_paths(divergence, n, v, not arguments.no_compile, dtype, temperature)
                title = f"{divergence} {n} × {v} {'bf16' if dtype.itemsize == 2 else 'fp32'}"
                print(table(title, paths, dtype.itemsize * n * v, arguments.rounds), flush=True)
                del paths
    if arguments.divergence:
        return
    n, v = 4 * (arguments.rows or LOGITS // arguments.vocabulary[0]), arguments.vocabulary[0]
    paths = linear_paths(n, v, arguments.width, temperature)
    print(table(f"linear {n} × {v}", paths, 4 * n * v, arguments.rounds), flush=True)
    n, v = SMALL
    for divergence in divergences:
        title = f"{divergence} {n} × {v}, {SMALL_CALLS} calls"
        paths = small_paths(divergence, n, v, SMALL_CALLS, temperature)
        print(table(title, paths, 4 * n * v, arguments.rounds), flush=True)


if __name__ == "__main__":
    main()
