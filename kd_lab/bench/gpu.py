"""The fused softmax-KL on a GPU: time, bandwidth and memory beside eager torch, torch.compile and Liger.

Run as `python -m kd_lab.bench.gpu`; where no GPU is, it says so and ends.
"""

import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from kd_lab.bench.losses import TEMPERATURE, eager
from kd_lab.how import softmax_kl

SHAPES = ((8192, 16_384), (8192, 32_000), (4096, 50_257), (4096, 128_256))  # rows, vocabulary
DIVERGENCES = ("forward_kl", "reverse_kl", "jsd")
BYTES = 6  # that must move for each element of bf16: both logits read, the gradient written

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Timing:
    """Forward and backward of one loss on one shape."""

    rows: int
    vocabulary: int
    divergence: str
    method: str
    median: float  # milliseconds
    low: float  # 20th percentile
    high: float  # 80th percentile
    extra_memory: int  # bytes at the peak, beside the two tensors of logits

    def bandwidth(self) -> float:
        """Bytes that must move, by the time it took, in GB/s. A method that moves more has that against it."""
        return self.rows * self.vocabulary * BYTES / self.median / 1e6


def losses(divergence: str) -> dict[str, Loss]:
    """Every method that is here, as a mean over rows of raw logits."""

    def fused(student: Tensor, teacher: Tensor) -> Tensor:
        return softmax_kl(student, teacher, divergence=divergence, temperature=TEMPERATURE, backend="triton")

    def in_fp32(student: Tensor, teacher: Tensor) -> Tensor:
        return eager(student.float(), teacher.float(), divergence)

    methods = {"kd_lab": fused, "eager": in_fp32, "torch.compile": torch.compile(in_fp32, dynamic=False)}
    if importlib.util.find_spec("liger_kernel"):
        methods["Liger"] = _liger(divergence)
    return methods


def _liger(divergence: str) -> Loss:
    """Liger's JSD, which is forward KL at β = 0 and reverse KL at β = 1, on log-probabilities that torch makes."""
    from liger_kernel.transformers import LigerJSD

    jsd = LigerJSD(beta={"forward_kl": 0.0, "reverse_kl": 1.0, "jsd": 0.5}[divergence])

    def liger(student: Tensor, teacher: Tensor) -> Tensor:
        logp = [(logits.float() / TEMPERATURE).log_softmax(-1) for logits in (student, teacher)]
        return TEMPERATURE**2 * jsd(*logp)

    return liger


def measure() -> Iterator[Timing]:
    """Every method on every shape, in bf16; of a method that runs out of memory, a printed line instead.

    The gradient is taken from autograd and not left in `student.grad`: logits inside a model are no leaf, and a leaf
    copies a gradient whose rows are padded.
    """
    from triton.testing import do_bench

    for rows, vocabulary in SHAPES:
        student = torch.randn(rows, vocabulary, device="cuda", dtype=torch.bfloat16, requires_grad=True)
        teacher = torch.randn_like(student, requires_grad=False)
        for divergence in DIVERGENCES:
            torch.compiler.reset()  # after eight shapes and divergences it would give up compiling, without a word
            for method, loss in losses(divergence).items():

                def step(loss: Loss = loss, student: Tensor = student, teacher: Tensor = teacher) -> None:
                    torch.autograd.grad(loss(student, teacher), student)

                try:
                    step()  # compiles
                    extra = _extra_memory(step)
                    low, median, high = do_bench(step, quantiles=[0.2, 0.5, 0.8])
                except torch.cuda.OutOfMemoryError:
                    print(f"{rows:5} {vocabulary:7,} {divergence:11} {method:13} out of memory")
                    continue
                yield Timing(rows, vocabulary, divergence, method, median, low, high, extra)


def _extra_memory(step: Callable[[], None]) -> int:
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    step()
    return torch.cuda.max_memory_allocated() - before


def copy_bandwidth() -> float:
    """GB/s of a copy of 1 GiB, read and written: the most that a kernel bound by memory can hope for."""
    from triton.testing import do_bench

    source = torch.empty(2**30, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    return 2 * source.numel() / do_bench(lambda: target.copy_(source), return_mode="median") / 1e6


def why_not() -> str | None:
    """Why there is nothing to measure here, if so."""
    if not torch.cuda.is_available():
        return "no GPU: torch sees none"
    if importlib.util.find_spec("triton") is None:
        return "no Triton: it has no wheel for this machine"
    return None


def main() -> None:
    """Print the table, or the reason why there is none."""
    if reason := why_not():
        print(f"GPU benchmark skipped, {reason}.")
        return
    copy = copy_bandwidth()
    print(f"{torch.cuda.get_device_name()}, copy {copy:.0f} GB/s. bf16, forward + backward, temperature 2.")
    print(
        f"{'rows':>5} {'V':>7} {'divergence':11} {'method':13} {'median':>9} {'20–80 %':>15} {'GB/s':>6} "
        f"{'of copy':>7} {'extra':>9}"
    )
    for t in measure():
        share = t.bandwidth() / copy
        print(
            f"{t.rows:5} {t.vocabulary:7,} {t.divergence:11} {t.method:13} {t.median:6.2f} ms "
            f"{t.low:6.2f}–{t.high:5.2f} ms {t.bandwidth():6.0f} {share:7.0%} {t.extra_memory / 2**20:6.0f} MiB"
        )


if __name__ == "__main__":
    main()
