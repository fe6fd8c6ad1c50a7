"""Exercises of lesson 04: kernels in Triton, and the mistakes that their checks name.

Each mistake is the solution with one slip, so one kernel with a switch holds all slips of an exercise. `no_type_check`
keeps the tests' shape checker from wrapping what Triton has to read as source.
"""

from collections.abc import Callable
from typing import Any, no_type_check

import torch
from torch import Tensor, tensor

from kd_lab.classroom.diagnosis import Case, Exercise, Misconception, Mistake
from kd_lab.lessons.l04_fused_softmax_kl.triton_or_numpy import count_bytes, load_block, tl, triton

# ---- Solutions ------------------------------------------------------------------------------------------------------


@triton.jit
@no_type_check
def softmax(logits, probabilities, vocabulary, BLOCK: tl.constexpr):
    """softmax of logits [N, V] into probabilities [N, V]: program n reads row n three times."""
    row = tl.program_id(0) * vocabulary
    top, total = float("-inf"), 0.0
    for start in range(0, vocabulary, BLOCK):
        columns = start + tl.arange(0, BLOCK)
        x = tl.load(logits + row + columns, mask=columns < vocabulary, other=float("-inf"))
        top = tl.maximum(top, tl.max(x, 0))
    for start in range(0, vocabulary, BLOCK):
        columns = start + tl.arange(0, BLOCK)
        x = tl.load(logits + row + columns, mask=columns < vocabulary, other=float("-inf"))
        total += tl.sum(tl.exp(x - top), 0)  # a lane beyond the row adds e^−∞ = 0
    for start in range(0, vocabulary, BLOCK):
        columns = start + tl.arange(0, BLOCK)
        x = tl.load(logits + row + columns, mask=columns < vocabulary, other=float("-inf"))
        tl.store(probabilities + row + columns, tl.exp(x - top) / total, mask=columns < vocabulary)


@triton.jit
@no_type_check
def logsumexp(logits, lse, vocabulary, BLOCK: tl.constexpr):
    """log Σ e^x of logits [N, V] into lse [N]: program n takes row n and reads it once."""
    n = tl.program_id(0)
    top, total = float("-inf"), 0.0
    for start in range(0, vocabulary, BLOCK):
        x = load_block(logits + n * vocabulary, start, vocabulary, BLOCK)
        new_top = tl.maximum(top, tl.max(x, 0))
        # What was summed relative to the old maximum is restated relative to the new one.
        total = total * tl.exp(top - new_top) + tl.sum(tl.exp(x - new_top), 0)
        top = new_top
    tl.store(lse + n, top + tl.log(total))


@triton.jit
@no_type_check
def forward_kl(student, teacher, kl, student_lse, teacher_lse, vocabulary, temperature, BLOCK: tl.constexpr):
    """KL(p‖q) of rows of logits [N, V] into kl [N], and both lse [N]; each row is read once."""
    n = tl.program_id(0)
    top_s, top_t, total_s, total_t, excess = float("-inf"), float("-inf"), 0.0, 0.0, 0.0
    for start in range(0, vocabulary, BLOCK):
        x = load_block(student + n * vocabulary, start, vocabulary, BLOCK) / temperature
        y = load_block(teacher + n * vocabulary, start, vocabulary, BLOCK) / temperature
        new_s, new_t = tl.maximum(top_s, tl.max(x, 0)), tl.maximum(top_t, tl.max(y, 0))
        total_s = total_s * tl.exp(top_s - new_s) + tl.sum(tl.exp(x - new_s), 0)
        weight, shrink = tl.exp(y - new_t), tl.exp(top_t - new_t)
        total_t = total_t * shrink + tl.sum(weight, 0)
        # The teacher weighs, so the accumulator is relative to the teacher's maximum. Beyond the row y − x is
        # −∞ − (−∞), which is NaN, and a weight of 0 does not undo that.
        excess = excess * shrink + tl.sum(weight * tl.where(weight > 0, y - x, 0.0), 0)
        top_s, top_t = new_s, new_t
    tl.store(student_lse + n, top_s + tl.log(total_s))
    tl.store(teacher_lse + n, top_t + tl.log(total_t))
    tl.store(kl + n, excess / total_t - (top_t + tl.log(total_t) - top_s - tl.log(total_s)))


@triton.jit
@no_type_check
def forward_kl_backward(
    student, teacher, student_lse, teacher_lse, upstream, gradient, vocabulary, temperature, BLOCK: tl.constexpr
):
    """upstream [N] times ∂KL(p‖q)/∂(student's logits) into gradient [N, V], from both lse [N]."""
    n = tl.program_id(0)
    factor = tl.load(upstream + n) / temperature  # the chain rule through x = s/τ
    lse_s, lse_t = tl.load(student_lse + n), tl.load(teacher_lse + n)
    for start in range(0, vocabulary, BLOCK):
        x = load_block(student + n * vocabulary, start, vocabulary, BLOCK) / temperature
        y = load_block(teacher + n * vocabulary, start, vocabulary, BLOCK) / temperature
        slope = factor * (tl.exp(x - lse_s) - tl.exp(y - lse_t))
        columns = start + tl.arange(0, BLOCK)
        tl.store(gradient + n * vocabulary + columns, slope, mask=columns < vocabulary)


@triton.jit
@no_type_check
def steady_kl(student, teacher, student_lse, teacher_lse, kl, vocabulary, temperature, BLOCK: tl.constexpr):
    """Σ (p·d − p + q), d = log(p/q), of rows of logits [N, V] into kl [N], from both lse [N]."""
    n = tl.program_id(0)
    lse_s, lse_t, total = tl.load(student_lse + n), tl.load(teacher_lse + n), 0.0
    for start in range(0, vocabulary, BLOCK):
        x = load_block(student + n * vocabulary, start, vocabulary, BLOCK) / temperature - lse_s
        y = load_block(teacher + n * vocabulary, start, vocabulary, BLOCK) / temperature - lse_t
        p, q = tl.exp(y), tl.exp(x)
        total += tl.sum(tl.where(p > 0, p * (y - x), 0.0) - p + q, 0)
    tl.store(kl + n, total)


# ---- How a kernel is run and watched --------------------------------------------------------------------------------

BLOCK = 4  # so that rows of five and eight take two blocks
FENCE = 32  # elements behind each tensor that no kernel may touch
FENCE_VALUE = 7.0

NO_DECORATOR = (
    "`@triton.jit` is missing over the function: without it this is ordinary Python, which cannot be launched on a "
    "grid. It stands between `@exercise(…)` and `def`."
)
LOAD_WITHOUT_MASK = (
    "It reads beyond the end of the row: the last block has lanes that belong to no column, and what lies there is the "
    "next row, or somebody else's memory. The load needs a mask, and a value for the lanes that it leaves out."
)
LOW_MAXIMUM = (
    "The maximum starts at 0, and stays there if all logits are lower. Far below 0 every exp is then 0. The maximum of "
    "nothing is −∞."
)
STORE_WITHOUT_MASK = (
    "It writes beyond the end of the row. The last block has lanes that belong to no column; here they landed behind "
    "the tensor, on a GPU in whatever lies there. A store needs the same mask as a load."
)


def fenced(values: Tensor) -> Tensor:
    """A copy in memory that goes on after its end: what a kernel does there without a mask harms nobody and is seen."""
    memory = torch.full((values.numel() + FENCE,), FENCE_VALUE)
    memory[: values.numel()] = values.flatten()
    return memory[: values.numel()].view(values.shape)


def launch(kernel: Any, outputs: list[Tensor], rows: int, *arguments: Any) -> None:
    """Run a kernel once for each row.

    Raises:
        Misconception: it is no kernel, or it wrote behind one of its outputs.
    """
    if not hasattr(kernel, "fn"):
        raise Misconception(NO_DECORATOR, (f"your function is a {type(kernel).__name__}",))
    kernel[(rows,)](*arguments, BLOCK=BLOCK)
    for output in outputs:
        behind = output.as_strided((FENCE,), (1,), output.numel())
        if not torch.equal(behind, torch.full((FENCE,), FENCE_VALUE)):
            columns = arguments[0].shape[-1]
            first = (columns - 1) // BLOCK * BLOCK
            example = (
                f"case: V = {columns}, BLOCK = {BLOCK}: the last block holds columns {first} … {first + BLOCK - 1}"
            )
            raise Misconception(STORE_WITHOUT_MASK, (example,))


def unwritten(*shape: int) -> Tensor:
    return fenced(torch.full(shape, torch.nan))


def run_softmax(kernel: Any, logits: Tensor) -> Tensor:
    probabilities = unwritten(*logits.shape)
    launch(kernel, [probabilities], len(logits), fenced(logits), probabilities, logits.shape[1])
    return probabilities


def run_logsumexp(kernel: Any, logits: Tensor) -> Tensor:
    lse = unwritten(len(logits))
    launch(kernel, [lse], len(logits), fenced(logits), lse, logits.shape[1])
    return lse


def run_forward_kl(kernel: Any, student: Tensor, teacher: Tensor, temperature: float) -> dict[str, Tensor]:
    names = ("kl", "student_lse", "teacher_lse")
    outputs = [unwritten(len(student)) for _ in names]
    sides = fenced(student), fenced(teacher)
    launch(kernel, outputs, len(student), *sides, *outputs, student.shape[1], temperature)
    return dict(zip(names, outputs, strict=True))


def run_backward(kernel: Any, student: Tensor, teacher: Tensor, upstream: Tensor, temperature: float) -> Tensor:
    gradient = unwritten(*student.shape)
    lses = [fenced((logits / temperature).logsumexp(-1)) for logits in (student, teacher)]
    arguments = (fenced(student), fenced(teacher), *lses, fenced(upstream), gradient, student.shape[1], temperature)
    launch(kernel, [gradient], len(student), *arguments)
    return gradient


def run_steady_kl(
    kernel: Any, student: Tensor, teacher: Tensor, temperature: float, teacher_lse_error: float
) -> Tensor:
    kl = unwritten(len(student))
    lse_s, lse_t = ((logits / temperature).logsumexp(-1) for logits in (student, teacher))
    lses = fenced(lse_s), fenced(lse_t + teacher_lse_error)
    arguments = (fenced(student), fenced(teacher), *lses, kl, student.shape[1], temperature)
    launch(kernel, [kl], len(student), *arguments)
    return kl


def reads_once(run: Callable[..., Any], case: Case, sides: int) -> Callable[[Any], None]:
    """A check that a kernel loads each of its logits once."""

    def check(kernel: Any) -> None:
        inputs = case.inputs()
        with count_bytes() as traffic:
            run(kernel, *inputs)
        needed = sides * inputs[0].nbytes
        if traffic.loaded > needed:
            raise Misconception(
                "The value is right, but the row is read more than once. One visit to each block has to be enough: "
                "what is known of the blocks before must fit into a few numbers.",
                (f"case: {case.description}", f"bytes loaded {traffic.loaded}, of logits there are {needed}"),
            )

    return check


class Slip:
    """A kernel whose switch SLIP is set: launched, or called from another kernel, like any other."""

    def __init__(self, kernel: Any, slip: str):
        self.kernel, self.slip, self.fn = kernel, slip, kernel.fn

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., None]:
        return lambda *arguments, **options: self.kernel[grid](*arguments, SLIP=self.slip, **options)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self.kernel(*arguments, SLIP=self.slip, **options)


def slips(kernel: Any, messages: dict[str, str]) -> tuple[Mistake, ...]:
    return tuple(Mistake(name, message, Slip(kernel, name)) for name, message in messages.items())


# ---- Slips ----------------------------------------------------------------------------------------------------------


@triton.jit
@no_type_check
def softmax_with(logits, probabilities, vocabulary, BLOCK: tl.constexpr, SLIP: tl.constexpr):
    row = 0 if SLIP == "row 0 only" else tl.program_id(0) * vocabulary
    beyond = 0.0 if SLIP == "lanes beyond count as logits of 0" else float("-inf")
    readable = vocabulary + BLOCK if SLIP == "load without a mask" else vocabulary
    top, total = 0.0 if SLIP == "the maximum starts at 0" else float("-inf"), 0.0
    for start in range(0, vocabulary, BLOCK):
        columns = start + tl.arange(0, BLOCK)
        x = tl.load(logits + row + columns, mask=columns < readable, other=beyond)
        if SLIP == "no maximum":
            top = 0.0
        elif SLIP == "maximum of the last block":
            top = tl.max(x, 0)
        else:
            top = tl.maximum(top, tl.max(x, 0))
    for start in range(0, vocabulary, BLOCK):
        columns = start + tl.arange(0, BLOCK)
        x = tl.load(logits + row + columns, mask=columns < readable, other=beyond)
        if SLIP == "sum of the last block":
            total = 0.0
        total += tl.sum(tl.exp(x - top), 0)
    for start in range(0, vocabulary, BLOCK):
        columns = start + tl.arange(0, BLOCK)
        x = tl.load(logits + row + columns, mask=columns < readable, other=beyond)
        if SLIP == "a softmax per block":
            top = tl.max(x, 0)
            total = tl.sum(tl.exp(x - top), 0)
        inside = columns < (vocabulary + BLOCK if SLIP == "store without a mask" else vocabulary)
        tl.store(probabilities + row + columns, tl.exp(x - top) / total, mask=inside)


@triton.jit
@no_type_check
def logsumexp_with(logits, lse, vocabulary, BLOCK: tl.constexpr, SLIP: tl.constexpr):
    n = tl.program_id(0)
    top, total = 0.0 if SLIP == "the maximum starts at 0" else float("-inf"), 0.0
    for start in range(0, vocabulary, BLOCK):
        readable = vocabulary + BLOCK if SLIP == "load without a mask" else vocabulary
        x = load_block(logits + n * vocabulary, start, readable, BLOCK)
        new_top = tl.max(x, 0) if SLIP == "maximum of the last block" else tl.maximum(top, tl.max(x, 0))
        shrink = tl.exp(new_top - top) if SLIP == "factor upside down" else tl.exp(top - new_top)
        block = tl.sum(tl.exp(x - new_top), 0)
        if SLIP == "not rescaled":
            total = total + block
        elif SLIP == "the new block rescaled too":
            total = (total + block) * shrink
        elif SLIP == "no maximum":
            total = total + tl.sum(tl.exp(x), 0)
        else:
            total = total * shrink + block
        top = 0.0 if SLIP == "no maximum" else new_top
    tl.store(lse + n, tl.log(total) if SLIP == "maximum not added back" else top + tl.log(total))


@triton.jit
@no_type_check
def forward_kl_with(
    student, teacher, kl, student_lse, teacher_lse, vocabulary, temperature, BLOCK: tl.constexpr, SLIP: tl.constexpr
):
    n = tl.program_id(0)
    top_s, top_t, total_s, total_t, excess = float("-inf"), float("-inf"), 0.0, 0.0, 0.0
    if SLIP == "temperature ignored":
        temperature = 1.0
    for start in range(0, vocabulary, BLOCK):
        x = load_block(student + n * vocabulary, start, vocabulary, BLOCK) / temperature
        y = load_block(teacher + n * vocabulary, start, vocabulary, BLOCK) / temperature
        new_s, new_t = tl.maximum(top_s, tl.max(x, 0)), tl.maximum(top_t, tl.max(y, 0))
        shrink_s, shrink_t = tl.exp(top_s - new_s), tl.exp(top_t - new_t)
        weight_s, weight_t = tl.exp(x - new_s), tl.exp(y - new_t)
        total_s = total_s * shrink_s + tl.sum(weight_s, 0)
        total_t = total_t * shrink_t + tl.sum(weight_t, 0)
        weight, shrink = weight_t, shrink_t
        if SLIP == "the student weighs":
            weight, shrink = weight_s, shrink_s
        if SLIP == "the student's factor":
            shrink = shrink_s
        if SLIP == "accumulator not rescaled":
            shrink = 1.0
        difference = y - x if SLIP == "NaN beyond the row" else tl.where(weight > 0, y - x, 0.0)
        excess = excess * shrink + tl.sum(weight * difference, 0)
        top_s, top_t = new_s, new_t
    lse_s, lse_t = top_s + tl.log(total_s), top_t + tl.log(total_t)
    if SLIP == "normalisers exchanged":
        tl.store(student_lse + n, lse_t)
        tl.store(teacher_lse + n, lse_s)
    elif SLIP == "maxima missing in what is stored":
        tl.store(student_lse + n, tl.log(total_s))
        tl.store(teacher_lse + n, tl.log(total_t))
    elif SLIP != "normalisers not stored":
        tl.store(student_lse + n, lse_s)
        tl.store(teacher_lse + n, lse_t)
    mean = excess / (total_s if SLIP == "the student weighs" else total_t)
    if SLIP == "not divided by the sum":
        mean = excess
    gap = lse_t - lse_s
    if SLIP == "normalisers left out":
        gap = 0.0
    if SLIP == "normalisers added":
        gap = lse_s - lse_t
    tl.store(kl + n, gap - mean if SLIP == "the student weighs" else mean - gap)


@triton.jit
@no_type_check
def backward_with(
    student, teacher, student_lse, teacher_lse, upstream, gradient, vocabulary, temperature,
    BLOCK: tl.constexpr, SLIP: tl.constexpr,
):  # fmt: skip
    n = tl.program_id(0)
    factor = 1.0 if SLIP == "upstream ignored" else tl.load(upstream + (0 if SLIP == "row 0's upstream" else n))
    if SLIP == "τ multiplied":
        factor = factor * temperature
    elif SLIP != "1/τ missing":
        factor = factor / temperature
    lse_s, lse_t = tl.load(student_lse + n), tl.load(teacher_lse + n)
    if SLIP == "softened once more":
        lse_s, lse_t = lse_s / temperature, lse_t / temperature
    softening = 1.0 if SLIP == "logits not softened" else temperature
    for start in range(0, vocabulary, BLOCK):
        x = load_block(student + n * vocabulary, start, vocabulary, BLOCK) / softening
        y = load_block(teacher + n * vocabulary, start, vocabulary, BLOCK) / softening
        slope = factor * (tl.exp(x - lse_s) - tl.exp(y - lse_t))
        columns = start + tl.arange(0, BLOCK)
        inside = columns < (vocabulary + BLOCK if SLIP == "store without a mask" else vocabulary)
        tl.store(gradient + n * vocabulary + columns, -slope if SLIP == "sign" else slope, mask=inside)


@triton.jit
@no_type_check
def steady_kl_with(
    student, teacher, student_lse, teacher_lse, kl, vocabulary, temperature, BLOCK: tl.constexpr, SLIP: tl.constexpr
):
    n = tl.program_id(0)
    lse_s, lse_t, total = tl.load(student_lse + n), tl.load(teacher_lse + n), 0.0
    for start in range(0, vocabulary, BLOCK):
        x = load_block(student + n * vocabulary, start, vocabulary, BLOCK) / temperature - lse_s
        y = load_block(teacher + n * vocabulary, start, vocabulary, BLOCK) / temperature - lse_t
        p, q = tl.exp(y), tl.exp(x)
        terms = p * (y - x) if SLIP == "NaN beyond the row" else tl.where(p > 0, p * (y - x), 0.0)
        if SLIP == "Σ p·d alone":
            total += tl.sum(terms, 0)
        elif SLIP == "signs of p and q":
            total += tl.sum(terms + p - q, 0)
        elif SLIP == "ratio upside down":
            total += tl.sum(-terms - p + q, 0)
        else:
            total += tl.sum(terms - p + q, 0)
    tl.store(kl + n, total)


# ---- Right answers that look different ------------------------------------------------------------------------------


@triton.jit
@no_type_check
def softmax_in_log_space(logits, probabilities, vocabulary, BLOCK: tl.constexpr):
    row = logits + tl.program_id(0) * vocabulary
    top = tl.full([], float("-inf"), tl.float32)
    for start in range(0, vocabulary, BLOCK):
        top = tl.maximum(top, tl.max(load_block(row, start, vocabulary, BLOCK), 0))
    total = tl.zeros([BLOCK], tl.float32)  # one sum per lane, added up at the end
    for start in range(0, vocabulary, BLOCK):
        total += tl.exp(load_block(row, start, vocabulary, BLOCK) - top)
    log_total = tl.log(tl.sum(total, 0))
    for start in range(0, vocabulary, BLOCK):
        lanes = start + tl.arange(0, BLOCK)
        values = tl.exp(load_block(row, start, vocabulary, BLOCK) - top - log_total)
        tl.store(probabilities + tl.program_id(0) * vocabulary + lanes, values, mask=lanes < vocabulary)


@triton.jit
@no_type_check
def softmax_from_integers(logits, probabilities, vocabulary, BLOCK: tl.constexpr):
    logits += tl.program_id(0) * vocabulary  # the pointers themselves move to the row
    probabilities += tl.program_id(0) * vocabulary
    top, total = -1000000, 0  # integers; a sum relative to any bound of the block's maxima would do
    for start in range(0, vocabulary, BLOCK):
        inside = start + tl.arange(0, BLOCK) < vocabulary
        x = tl.load(logits + start + tl.arange(0, BLOCK), mask=inside, other=-1e30)
        top = tl.maximum(top, tl.max(x, 0))
    for start in range(0, vocabulary, BLOCK):
        inside = start + tl.arange(0, BLOCK) < vocabulary
        x = tl.load(logits + start + tl.arange(0, BLOCK), mask=inside, other=-1e30)
        total = total + tl.sum(tl.where(inside, tl.exp(x - top), 0.0), 0)
    for start in range(0, vocabulary, BLOCK):
        inside = start + tl.arange(0, BLOCK) < vocabulary
        x = tl.load(logits + start + tl.arange(0, BLOCK), mask=inside, other=0.0)
        tl.store(probabilities + start + tl.arange(0, BLOCK), tl.exp(x - top) * (1 / total), mask=inside)


@triton.jit
@no_type_check
def logsumexp_by_lanes(logits, lse, vocabulary, BLOCK: tl.constexpr):
    row = logits + tl.program_id(0) * vocabulary
    top, total = float("-inf"), tl.zeros([BLOCK], tl.float32)
    for start in range(0, vocabulary, BLOCK):
        x = load_block(row, start, vocabulary, BLOCK)
        before, top = top, tl.maximum(top, tl.max(x, 0))
        total = total * tl.exp(before - top) + tl.exp(x - top)
    tl.store(lse + tl.program_id(0), top + tl.log(tl.sum(total, 0)))


@triton.jit
@no_type_check
def logsumexp_of_logsumexps(logits, lse, vocabulary, BLOCK: tl.constexpr):
    result = float("-inf")
    for start in range(0, vocabulary, BLOCK):
        x = load_block(logits + tl.program_id(0) * vocabulary, start, vocabulary, BLOCK)
        block = tl.max(x, 0) + tl.log(tl.sum(tl.exp(x - tl.max(x, 0)), 0))  # the block's own, then the two together
        larger = tl.maximum(result, block)
        result = larger + tl.log(tl.exp(result - larger) + tl.exp(block - larger))
    tl.store(lse + tl.program_id(0), result)


@triton.jit
@no_type_check
def forward_kl_from_integers(
    student, teacher, kl, student_lse, teacher_lse, vocabulary, temperature, BLOCK: tl.constexpr
):
    n = tl.program_id(0)
    top_s, top_t, total_s, total_t, excess = float("-inf"), float("-inf"), 0, 0, 0  # the interpreter takes integers
    for start in range(0, vocabulary, BLOCK):
        x = load_block(student + n * vocabulary, start, vocabulary, BLOCK) / temperature
        y = load_block(teacher + n * vocabulary, start, vocabulary, BLOCK) / temperature
        new_s, new_t = tl.maximum(top_s, tl.max(x, 0)), tl.maximum(top_t, tl.max(y, 0))
        total_s = total_s * tl.exp(top_s - new_s) + tl.sum(tl.exp(x - new_s), 0)
        weight, shrink = tl.exp(y - new_t), tl.exp(top_t - new_t)
        total_t = total_t * shrink + tl.sum(weight, 0)
        excess = excess * shrink + tl.sum(weight * tl.where(weight > 0, y - x, 0.0), 0)
        top_s, top_t = new_s, new_t
    tl.store(student_lse + n, top_s + tl.log(total_s))
    tl.store(teacher_lse + n, top_t + tl.log(total_t))
    tl.store(kl + n, excess / total_t - (top_t + tl.log(total_t) - top_s - tl.log(total_s)))


@triton.jit
@no_type_check
def forward_kl_in_another_order(
    student, teacher, kl, student_lse, teacher_lse, vocabulary, temperature, BLOCK: tl.constexpr
):
    n = tl.program_id(0)
    top_s, total_s = float("-inf"), 0.0
    top_t, total_t, excess = float("-inf"), 0.0, 0.0
    for start in range(0, vocabulary, BLOCK):
        x = load_block(student + n * vocabulary, start, vocabulary, BLOCK) / temperature
        y = load_block(teacher + n * vocabulary, start, vocabulary, BLOCK) / temperature
        before, top_s = top_s, tl.maximum(top_s, tl.max(x, 0))
        total_s = total_s * tl.exp(before - top_s) + tl.sum(tl.exp(x - top_s), 0)
        before, top_t = top_t, tl.maximum(top_t, tl.max(y, 0))
        total_t *= tl.exp(before - top_t)
        excess *= tl.exp(before - top_t)
        total_t += tl.sum(tl.exp(y - top_t), 0)
        excess += tl.sum(tl.where(y > float("-inf"), tl.exp(y - top_t) * (y - x), 0.0), 0)
    lse_s, lse_t = top_s + tl.log(total_s), top_t + tl.log(total_t)
    tl.store(student_lse + n, lse_s)
    tl.store(teacher_lse + n, lse_t)
    tl.store(kl + n, excess / total_t + lse_s - lse_t)


@triton.jit
@no_type_check
def gradient_from_the_end(
    student, teacher, student_lse, teacher_lse, upstream, gradient, vocabulary, temperature, BLOCK: tl.constexpr
):
    row = tl.program_id(0) * vocabulary
    for start in range(0, vocabulary, BLOCK):
        columns = (vocabulary - 1) // BLOCK * BLOCK - start + tl.arange(0, BLOCK)  # the last block first
        inside = columns < vocabulary
        x = tl.load(student + row + columns, mask=inside, other=0.0) / temperature
        y = tl.load(teacher + row + columns, mask=inside, other=0.0) / temperature
        q = tl.exp(x - tl.load(student_lse + tl.program_id(0)))
        p = tl.exp(y - tl.load(teacher_lse + tl.program_id(0)))
        tl.store(gradient + row + columns, tl.load(upstream + tl.program_id(0)) * (q - p) / temperature, mask=inside)


@triton.jit
@no_type_check
def gradient_of_log_ratios(
    student, teacher, student_lse, teacher_lse, upstream, gradient, vocabulary, temperature, BLOCK: tl.constexpr
):
    n = tl.program_id(0)
    for start in range(0, vocabulary, BLOCK):
        columns = start + tl.arange(0, BLOCK)
        log_q = load_block(student + n * vocabulary, start, vocabulary, BLOCK) / temperature - tl.load(student_lse + n)
        log_p = load_block(teacher + n * vocabulary, start, vocabulary, BLOCK) / temperature - tl.load(teacher_lse + n)
        slope = tl.exp(log_q) * (1 - tl.exp(log_p - log_q))  # NaN beyond the row, where nothing is stored
        tl.store(gradient + n * vocabulary + columns, tl.load(upstream + n) * slope / temperature, columns < vocabulary)


@triton.jit
@no_type_check
def steady_kl_by_phi(student, teacher, student_lse, teacher_lse, kl, vocabulary, temperature, BLOCK: tl.constexpr):
    n = tl.program_id(0)
    total = 0.0
    for start in range(0, vocabulary, BLOCK):
        x = load_block(student + n * vocabulary, start, vocabulary, BLOCK) / temperature - tl.load(student_lse + n)
        y = load_block(teacher + n * vocabulary, start, vocabulary, BLOCK) / temperature - tl.load(teacher_lse + n)
        d = tl.where(y > float("-inf"), y - x, 0.0)
        total += tl.sum(tl.exp(y) * (tl.exp(-d) - 1 + d), 0)
    tl.store(kl + n, total)


@triton.jit
@no_type_check
def steady_kl_by_lanes(student, teacher, student_lse, teacher_lse, kl, vocabulary, temperature, BLOCK: tl.constexpr):
    n = tl.program_id(0)
    terms = tl.zeros([BLOCK], tl.float32)
    for start in range(0, vocabulary, BLOCK):
        inside = start + tl.arange(0, BLOCK) < vocabulary
        x = load_block(student + n * vocabulary, start, vocabulary, BLOCK) / temperature - tl.load(student_lse + n)
        y = load_block(teacher + n * vocabulary, start, vocabulary, BLOCK) / temperature - tl.load(teacher_lse + n)
        terms += tl.where(inside, tl.exp(x) - tl.exp(y) * (1 - y + x), 0.0)
    tl.store(kl + n, tl.sum(terms, 0))


# ---- Cases ----------------------------------------------------------------------------------------------------------


def case(description: str, *inputs: Any) -> Case:
    return Case(description, lambda: tuple(value.clone() if isinstance(value, Tensor) else value for value in inputs))


def steps(*rows: list[float]) -> Tensor:
    return tensor(rows)


FOUR = [0.0, 1.0, 2.0, 3.0]
RISING = [0.0, 1.0, 0.0, 1.0, 3.0, 2.0, 4.0, 3.0]
FALLING = [5.0, 4.0, 3.0, 2.0, 1.0, 0.0, 1.0, 0.0]
FIVE = [1.0, 0.0, 2.0, 1.0, 3.0]
OTHER_FIVE = [0.5, 1.0, 0.0, 2.0, 1.0]
ONE_ROW = case("one row of eight, two blocks of four, the maximum in the second", steps(RISING))
TWO_ROWS = case("two rows of five: the second block has one column", steps(FIVE, OTHER_FIVE))

KL_RISING = (steps([1.0, 0.0, 1.0, 0.5, 2.0, 2.0, 2.5, 3.5]), steps(RISING))
KL_FIVE = (steps(OTHER_FIVE, FIVE), steps(FIVE, OTHER_FIVE))

EXERCISES = {
    "04.1": Exercise(
        reference=softmax,
        run=run_softmax,
        explanation=(
            "A program owns a row, so it begins at `tl.program_id(0) * vocabulary`. A block is as long as the "
            "compiler was told, a row is as long as the vocabulary, so the last block has lanes without a column: the "
            "mask keeps them from reading and writing, and `other=-inf` makes them count as tokens of probability 0. "
            "Subtracting the maximum leaves the quotient as it is and keeps `exp` below its overflow near 88.7. Three "
            "visits, as long as the sum waits for the maximum; section 2 saves one of them."
        ),
        cases=(
            case("one row of four", steps(FOUR)),
            ONE_ROW,
            TWO_ROWS,
            case("logits near 100", steps([100.0, 99.0, 98.0, 100.0, 97.0, 100.0])),
            case("100 in the first block, 0 in the second", steps([100.0, 99.0, 98.0, 97.0, 0.0, 1.0])),
            case("logits near −200", steps([-200.0, -201.0, -199.0, -200.0, -202.0, -201.0])),
        ),
        mistakes=slips(
            softmax_with,
            {
                "the maximum starts at 0": LOW_MAXIMUM,
                "lanes beyond count as logits of 0": (
                    "The lanes beyond the row count as logits of 0, and each adds e⁰ to the sum. What must such a lane "
                    "hold to add nothing, and never to be the maximum?"
                ),
                "row 0 only": (
                    "Every program works on row 0. `tl.program_id(0)` says which row is this program's, and row n "
                    "begins n · V elements after the first."
                ),
                "maximum of the last block": (
                    "This is the maximum of the last block and not of the row. The quotient forgives that until a "
                    "logit stands 89 above it; then exp overflows."
                ),
                "no maximum": (
                    "exp overflows: e⁸⁹ does not fit into fp32. Subtract the row's maximum first; the quotient does "
                    "not change."
                ),
                "sum of the last block": (
                    "The sum starts anew in every block, so the row is divided by the sum of its last block only."
                ),
                "a softmax per block": (
                    "Each block is normalised by itself, so that a row of two blocks sums to 2. Maximum and sum belong "
                    "to the row: both loops have to end before the first quotient."
                ),
                "load without a mask": LOAD_WITHOUT_MASK,
                "store without a mask": STORE_WITHOUT_MASK,
            },
        ),
        unusual=(softmax_in_log_space, softmax_from_integers),
    ),
    "04.2": Exercise(
        reference=logsumexp,
        run=run_logsumexp,
        check=reads_once(run_logsumexp, ONE_ROW, sides=1),
        explanation=(
            "After each block `total` is Σ e^(x − top) over all columns so far. When the maximum moves from `top` to "
            "`new_top`, each of these terms is e^(top − new_top) times what it was, and so is their sum: one "
            "multiplication instead of a second visit. Before the first block `top` is −∞ and the factor e^−∞ = 0 "
            "meets a sum of 0."
        ),
        cases=(
            case("one row of four, one block", steps(FOUR)),
            ONE_ROW,
            case("one row of eight, the maximum in the first block", steps(FALLING)),
            TWO_ROWS,
            case("0 in the first block, 100 in the second", steps([0.0, 1.0, 0.0, 1.0, 100.0, 99.0])),
            case("200 in the first block, 0 in the second", steps([200.0, 199.0, 198.0, 197.0, 0.0, 1.0])),
            case("logits near −200", steps([-200.0, -201.0, -199.0, -200.0, -202.0, -201.0])),
        ),
        mistakes=slips(
            logsumexp_with,
            {
                "the maximum starts at 0": LOW_MAXIMUM,
                "not rescaled": (
                    "The sum is not rescaled. What was added up relative to the old maximum and what is added relative "
                    "to the new one are in different units as soon as the maximum moves."
                ),
                "factor upside down": (
                    "The factor is upside down. When the maximum rises, the old terms, seen from the new maximum, "
                    "shrink; and before the first block, from −∞, they must shrink to nothing."
                ),
                "the new block rescaled too": (
                    "The factor falls on the new block as well. Its terms are already relative to the new maximum; "
                    "only what was there before has to shrink."
                ),
                "maximum of the last block": (
                    "The maximum is the last block's and not the largest so far. On paper the rescaling corrects that; "
                    "in fp32 the factor overflows when a block lies 89 below the one before it."
                ),
                "no maximum": (
                    "exp overflows: e⁸⁹ does not fit into fp32. The sum has to be relative to the largest logit so "
                    "far, and be rescaled when that changes."
                ),
                "load without a mask": LOAD_WITHOUT_MASK,
                "maximum not added back": (
                    "This is log Σ e^(x − top). The maximum that was taken out inside the logarithm has to come back "
                    "outside."
                ),
            },
        ),
        unusual=(logsumexp_by_lanes, logsumexp_of_logsumexps),
    ),
    "04.3": Exercise(
        reference=forward_kl,
        run=run_forward_kl,
        check=reads_once(run_forward_kl, case("one row of eight, τ = 1", *KL_RISING, 1.0), sides=2),
        explanation=(
            "Three sums are relative to two maxima: `total_s` to the student's, `total_t` and `excess` to the "
            "teacher's. Each shrinks when its own maximum rises. At the end excess/total_t is Σ p·(y − x), "
            "the mean difference of the logits under the teacher, and the two normalisers turn it into Σ p·(log p − "
            "log q). The softened logits are made at the load, so that everything after it is at τ = 1."
        ),
        cases=(
            case("one row of four, one block, τ = 1", steps([3.0, 1.0, 2.0, 0.0]), steps(FOUR), 1.0),
            case("one row of eight, the maximum in the second block, τ = 1", *KL_RISING, 1.0),
            case("two rows of five, τ = 1", *KL_FIVE, 1.0),
            case("two rows of five, τ = 2", *KL_FIVE, 2.0),
        ),
        mistakes=slips(
            forward_kl_with,
            {
                "accumulator not rescaled": (
                    "You rescaled the sum and not the KL accumulator. Its terms carry the same e^(y − top) as the "
                    "sum's, so they shrink with it when the teacher's maximum moves."
                ),
                "the student's factor": (
                    "The KL accumulator is rescaled with the student's factor. Its weights are the teacher's, e^(y − "
                    "top of y), so it must follow the teacher's maximum."
                ),
                "the student weighs": (
                    "This is KL(q‖p), the reverse KL: the weights in the accumulator are the student's. In forward KL "
                    "the teacher weighs."
                ),
                "not divided by the sum": (
                    "The accumulator is not divided by the teacher's sum: its weights e^(y − top) are not yet "
                    "probabilities."
                ),
                "normalisers left out": (
                    "This is the mean of y − x under the teacher. Logits are log-probabilities only up to a constant "
                    "for each side: both normalisers are missing."
                ),
                "normalisers added": (
                    "The normalisers have the wrong sign: log p = y − lse(y), so that log p − log q = (y − x) − "
                    "(lse(y) − lse(x))."
                ),
                "NaN beyond the row": (
                    "There is a NaN from the lanes beyond the row: there y − x is −∞ − (−∞), and 0 · NaN is NaN. "
                    "Take the difference only where the weight is positive, before you multiply."
                ),
                "temperature ignored": "τ is not used: both sides are softened at the load, x = s/τ and y = t/τ.",
                "normalisers not stored": (
                    "`kl` is right. The two lse are missing: the backward pass will want one number per row of each."
                ),
                "normalisers exchanged": (
                    "`kl` is right. The two lse are exchanged: `student_lse` belongs to x, `teacher_lse` to y."
                ),
                "maxima missing in what is stored": (
                    "`kl` is right. What is stored as lse is the logarithm of the sum alone; the maximum that was "
                    "taken out of it belongs to it."
                ),
            },
        ),
        unusual=(forward_kl_from_integers, forward_kl_in_another_order),
    ),
    "04.4": Exercise(
        reference=forward_kl_backward,
        run=run_backward,
        explanation=(
            "With both log Σ e^x kept from the forward pass, q and p are one exponential each, and no maximum is "
            "needed: x − lse(x) is never above 0. The gradient of KL(p‖q) in x is q − p (lesson 01); x = s/τ brings "
            "the factor 1/τ, and whatever comes from above multiplies the row. The τ² of the loss comes from above "
            "too."
        ),
        cases=(
            case("one row of four, upstream 1, τ = 1", steps([3.0, 1.0, 2.0, 0.0]), steps(FOUR), tensor([1.0]), 1.0),
            case("two rows of five, upstream 2 and 3, τ = 1", *KL_FIVE, tensor([2.0, 3.0]), 1.0),
            case("two rows of five, upstream 2 and 3, τ = 2", *KL_FIVE, tensor([2.0, 3.0]), 2.0),
        ),
        mistakes=slips(
            backward_with,
            {
                "sign": "This is p − q, the way downhill. A gradient points uphill; the optimiser supplies the minus.",
                "1/τ missing": (
                    "The factor 1/τ is missing: q depends on s through x = s/τ, and the chain rule brings in dx/ds."
                ),
                "τ multiplied": (
                    "The gradient is multiplied by τ where dx/ds = 1/τ divides it. (With the τ² that multiplies the "
                    "loss it would be τ; here that τ² arrives in `upstream`.)"
                ),
                "upstream ignored": (
                    "What comes from above is ignored. A loss that is summed, averaged or weighted sends its factor "
                    "for each row through `upstream`."
                ),
                "row 0's upstream": (
                    "Every row is multiplied by row 0's upstream: `upstream` points to N numbers, and program n needs "
                    "the n-th."
                ),
                "logits not softened": (
                    "The logits are not divided by τ, while both lse are those of the softened ones: e^(s − lse) is "
                    "not a probability."
                ),
                "softened once more": (
                    "Both lse are of the softened logits already, log Σ e^(s/τ): divided by τ again, they no longer "
                    "normalise anything."
                ),
                "store without a mask": STORE_WITHOUT_MASK,
            },
        ),
        unusual=(gradient_from_the_end, gradient_of_log_ratios),
    ),
    "04.5": Exercise(
        reference=steady_kl,
        run=run_steady_kl,
        explanation=(
            "If the normaliser of the teacher is off by ε, every p is e^−ε times what it should be and every d is ε "
            "too small. Σ p·d loses ε. In Σ (p·d − p + q) the −p gives ε back, and what is left is ε·KL to first "
            "order, which vanishes with the KL, and ε²/2, which does not: for an ε of 10⁻⁶ that is 5·10⁻¹³. Each term "
            "is p·(e^−d − 1 + d), which is never negative, for any p and q and not only for probabilities."
        ),
        cases=(
            case("one row of four, τ = 1", steps([3.0, 1.0, 2.0, 0.0]), steps(FOUR), 1.0, 0.0),
            case("two rows of five, τ = 2", *KL_FIVE, 2.0, 0.0),
            case("one row of four, the teacher's lse 0.01 too large", steps(FIVE[:4]), steps(FOUR), 1.0, 0.01),
        ),
        mistakes=slips(
            steady_kl_with,
            {
                "Σ p·d alone": (
                    "This is Σ p·d: right on paper, but it inherits the full error of the normalisers. On paper Σ p "
                    "and Σ q are equal, so −p + q adds nothing; in fp32 it cancels that error."
                ),
                "signs of p and q": (
                    "The signs of p and q are exchanged: the error of the normalisers is doubled instead of cancelled."
                ),
                "ratio upside down": "The ratio is upside down: d = log(p/q) = log p − log q.",
                "NaN beyond the row": (
                    "There is a NaN from the lanes beyond the row, where p is 0 and d is ∞ − ∞. Select before you add: "
                    "where p is 0 the product counts as 0."
                ),
            },
        ),
        unusual=(steady_kl_by_phi, steady_kl_by_lanes),
    ),
}
