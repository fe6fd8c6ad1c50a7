"""softmax_kl on the CPU: a few rows at a time, loss and gradient in one visit while they are in the cache.

The plain formula writes five or more tensors as large as the logits to memory and reads them back. Here a chunk of rows
is brought into a small scratch once, softened, exponentiated (twice an element: once for each side), and turned into a
loss for each row and into the gradient, which is the only large tensor there is.
"""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from kd_lab.how.divergences import DIVERGENCES
from kd_lab.how.early_gradient import EarlyGradient

CHUNK = 2**18
"""Elements of a chunk, so that the four fp32 tensors of a thread are 4 MiB: its L2, and a slice of the L3."""

_HUGE = 2**22  # bytes from which numpy asks the system for huge pages


def chunked_softmax_kl(
    student_logits: Float[Tensor, "... V"],
    teacher_logits: Float[Tensor, "... V"],
    *,
    divergence: str,
    beta: float,
    temperature: float,
    scale_by_t2: bool,
    mask: Bool[Tensor, "..."] | None,
    expected_upstream: Float[Tensor, "..."],
) -> Float[Tensor, "..."]:
    """The loss at each position, with its gradient made in the same sweep; in fp32.

    Args:
        student_logits, teacher_logits: raw logits; the teacher's get no gradient.
        divergence, beta, temperature, scale_by_t2: as in `softmax_kl`, and valid.
        mask: True where a position counts; None counts them all.
        expected_upstream: the factor on the loss of each position on its way to the scalar that is minimised. A wrong
            guess costs time and never correctness.

    Returns:
        τ²·D(softmax(student/τ), softmax(teacher/τ)) at each position, in nats; without τ² for total variation.
    """
    training = torch.is_grad_enabled() and student_logits.requires_grad
    # As factors of a tensor and not as numbers, for which torch.compile would make a graph for each temperature.
    numbers = torch.stack(
        [factor * torch.ones((), dtype=torch.float64, device="cpu") for factor in (beta, temperature)]
    )
    return sweep_operator(
        student_logits,
        teacher_logits.detach(),
        mask,
        expected_upstream.detach(),
        numbers,
        divergence,
        scale_by_t2,
        training,
    )[0]


@torch.library.custom_op("kd_lab::softmax_kl_sweep", mutates_args=())
def sweep_operator(
    student: Tensor,
    teacher: Tensor,
    mask: Tensor | None,
    expected_upstream: Tensor,
    numbers: Tensor,
    divergence: str,
    scale_by_t2: bool,
    training: bool,
) -> tuple[Tensor, Tensor]:
    """`sweep` as one operator: losses, and the gradient, which is empty unless `training`."""
    upstream = expected_upstream if training else None
    losses, gradient = sweep(student, teacher, mask, upstream, *_options(numbers, divergence, scale_by_t2))
    return losses, student.new_empty(0) if gradient is None else gradient


@sweep_operator.register_fake
def _(student, teacher, mask, expected_upstream, numbers, divergence, scale_by_t2, training):
    losses = student.new_empty(student.shape[:-1], dtype=torch.float32)
    return losses, torch.empty(student.shape if training else 0, dtype=student.dtype, device=student.device)


@torch.library.custom_op("kd_lab::softmax_kl_sweep_again_", mutates_args=("gradient",))
def sweep_again_operator(
    gradient: Tensor,
    student: Tensor,
    teacher: Tensor,
    mask: Tensor | None,
    expected_upstream: Tensor | None,
    upstream: Tensor,
    numbers: Tensor,
    divergence: str,
    scale_by_t2: bool,
) -> None:
    """Turn the gradient for the upstream that was expected into that for the one that came; without an expected one
    make it.
    """
    if expected_upstream is not None:
        if torch.equal(upstream, expected_upstream):
            return
        nothing = expected_upstream == 0
        unforeseen = nothing & (upstream != 0) if mask is None else nothing & (upstream != 0) & mask
        # A half-precision gradient may have underflowed at the expected scale, so it is never scaled up afterwards.
        if gradient.dtype == torch.float32 and not unforeseen.any():
            gradient.mul_((upstream / expected_upstream).masked_fill_(nothing, 0.0).unsqueeze(-1))
            return
    sweep(student, teacher, mask, upstream, *_options(numbers, divergence, scale_by_t2), into=gradient)


def _options(numbers: Tensor, divergence: str, scale_by_t2: bool) -> tuple[str, float, float, float]:
    beta, temperature = numbers.tolist()
    return divergence, beta, temperature, DIVERGENCES[divergence].scale(temperature, scale_by_t2)


def _meet(gradients, inputs, upstream):
    student, teacher, mask, expected_upstream, *options, _ = inputs
    sweep_again_operator(gradients[0], student, teacher, mask, expected_upstream, upstream, *options)
    return gradients


def _anew(inputs, _, upstream):
    student, teacher, mask, _, *options, _ = inputs
    gradient = _empty(student.shape, student.dtype, student.device)
    sweep_again_operator(gradient, student, teacher, mask, None, upstream, *options)
    return (gradient,)


_RULE = EarlyGradient("softmax_kl", early=lambda _, others: others, meet=_meet, anew=_anew)
sweep_operator.register_autograd(_RULE.backward, setup_context=_RULE.setup_context)


def sweep(
    student: Float[Tensor, "... V"],
    teacher: Float[Tensor, "... V"],
    mask: Bool[Tensor, "..."] | None,
    upstream: Float[Tensor, "..."] | None,
    divergence: str,
    beta: float,
    temperature: float,
    scale: float,
    into: Float[Tensor, "... V"] | None = None,
) -> tuple[Float[Tensor, "..."], Float[Tensor, "... V"] | None]:
    """The loss of each position, and (where `upstream` is given) the gradient of Σ upstream·loss.

    Positions that do not count are never read: their loss is 0 and so is their gradient. The gradient is made in
    `into`, if that is given; it must be contiguous, and may be the student's logits themselves.
    """
    vocabulary, device = student.shape[-1], student.device
    losses = torch.zeros(student.shape[:-1], dtype=torch.float32, device=device)
    gradient = into
    if gradient is None and upstream is not None:
        gradient = _empty(student.shape, student.dtype, device)
    if gradient is not None and mask is not None:
        as_matrix(gradient)[~mask.flatten()] = 0
    weights = None if upstream is None else upstream.to(torch.float32).reshape(-1, 1)
    sides = as_matrix(student), as_matrix(teacher)
    threads = 1 if device.type != "cpu" or student.numel() <= CHUNK else torch.get_num_threads()
    pending = iter(row_chunks(mask, losses.numel(), rows_of_a_chunk(vocabulary, losses.numel(), threads)))

    def work() -> None:
        scratch = None
        for rows in pending:
            x, y = (take(side, rows) for side in sides)
            if scratch is None or len(x) > scratch.shape[1]:
                scratch = torch.empty(4, *x.shape, dtype=torch.float32, device=device)
            *free, out = scratch[:, : len(x)]
            direct = gradient is not None and gradient.dtype == torch.float32 and isinstance(rows, slice)
            if direct:
                out = as_matrix(gradient)[rows]
            weight = None if weights is None else weights[rows]
            losses.view(-1)[rows] = chunk_loss(x, y, divergence, beta, temperature, scale, weight, out, free)
            if gradient is not None and not direct:
                as_matrix(gradient)[rows] = out.to(gradient.dtype)

    in_threads(work, threads)
    return losses, gradient


def in_threads(work: Callable[[], None], threads: int) -> None:
    """Run `work` in so many threads at once, each of which computes alone.

    Torch's own threads meet at a barrier after every operation. Twenty operations a chunk make thousands of barriers,
    and where another process wants the cores too each of them waits for the scheduler. Threads that take whole chunks
    from one list meet once, at the end.
    """
    if threads == 1:
        with torch.no_grad():
            work()
        return
    guard = torch.inference_mode if torch.is_inference_mode_enabled() else torch.no_grad  # both are thread-local
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            for done in [pool.submit(guard()(work)) for _ in range(threads)]:
                done.result()
    finally:
        # A thread's count is its own, but torch also keeps the last one set as the default of threads to come.
        torch.set_num_threads(threads)


def chunk_loss(
    student: Float[Tensor, "R V"],
    teacher: Float[Tensor, "R V"],
    divergence: str,
    beta: float,
    temperature: float,
    scale: float,
    weight: Float[Tensor, "R 1"] | None,
    out: Float[Tensor, "R V"],
    scratch: list[Float[Tensor, "R V"]],
) -> Float[Tensor, " R"]:
    """The loss of each row of one chunk. With a `weight`, `out` then holds the weighted gradient, else nothing of use.

    `out` may be the storage of `student` itself; `scratch` is three more fp32 tensors of the same shape.
    """
    q, (p, free, other) = out, scratch
    # Half precision is widened before anything else: a rounded log-probability is off by more than the gradient.
    x = student if student.dtype == torch.float32 else q.copy_(student)
    y = teacher if teacher.dtype == torch.float32 else p.copy_(teacher)
    if divergence == "forward_kl":
        difference = torch.sub(y, x, out=other)  # before q and p may take the place of x and y
    elif divergence == "reverse_kl":
        difference = torch.sub(x, y, out=other)
    student_norm = _softmax(x, temperature, q)
    teacher_norm = _softmax(y, temperature, p)
    factor = None if weight is None else weight * (scale / temperature)
    match divergence:
        case "forward_kl":
            log_ratio, residue = _log_ratio(difference, temperature, teacher_norm, student_norm, p)
            loss = _forward_kl(q, p, log_ratio, residue, factor, free)
        case "reverse_kl":
            log_ratio, residue = _log_ratio(difference, temperature, student_norm, teacher_norm, q)
            loss = _reverse_kl(q, p, log_ratio, residue, factor, free)
        case "jsd":
            loss = _jsd(q, p, beta, factor, _excess(q, p, beta, other, free), free)
        case "skew_kl":
            loss = _skew_kl(q, p, beta, factor, _excess(q, p, beta, other, free), free)
        case "skew_reverse_kl":
            loss = _skew_reverse_kl(q, p, beta, factor, _excess(q, p, beta, other, free), free)
        case "total_variation":
            loss = _total_variation(q, p, factor, other, free)
    # No divergence is negative; what rounding left below 0 near q = p is nearer to the truth at 0.
    return loss.clamp_min_(0).mul_(scale)


def _softmax(logits: Tensor, temperature: float, out: Tensor) -> tuple[Float[Tensor, "R 1"], Float[Tensor, "R 1"]]:
    """softmax(logits/τ) into `out`; returns the two numbers a row that normalised it: the maximum and 1/Σ.

    2^(z·log₂e) is e^z at half the price, and takes up τ on the way.
    """
    highest = logits.amax(-1, keepdim=True)
    torch.sub(logits, highest, out=out).mul_(math.log2(math.e) / temperature).exp2_()
    inverse = out.sum(-1, keepdim=True).reciprocal_()
    out.mul_(inverse)
    return highest, inverse


def _log_ratio(
    difference: Tensor,
    temperature: float,
    norm: tuple[Tensor, Tensor],
    other_norm: tuple[Tensor, Tensor],
    weighted_by: Tensor,
) -> tuple[Float[Tensor, "R V"], Float[Tensor, " R"]]:
    """log(a/b) from the difference of their logits, in its place, and what fp32 took from the normalisers.

    log(a/b) = (logit a − logit b)/τ − (log-normaliser of a − that of b). The bracket is made in fp64 from the very
    numbers that a and b were normalised with, rounding and all: only then do the errors in a·log(a/b) − a + b cancel.
    Where `weighted_by`, which is a, is 0 the ratio is 0 too, if anything infinite is about: 0·∞ must not arise.
    """
    inverse_temperature = float(torch.tensor(1 / temperature, dtype=torch.float32))
    (highest, inverse), (other_highest, other_inverse) = norm, other_norm
    bracket = (highest.double() - other_highest.double()) * inverse_temperature
    bracket += other_inverse.double().log() - inverse.double().log()
    rounded = bracket.float()
    if temperature != 1:
        difference.mul_(inverse_temperature)
    log_ratio = difference.sub_(rounded)
    if not log_ratio.sum().isfinite():
        log_ratio.masked_fill_(weighted_by == 0, 0.0)
    return log_ratio, (rounded - bracket).float().squeeze(-1)


def _excess(q: Tensor, p: Tensor, beta: float, out: Tensor, free: Tensor) -> Float[Tensor, "R V"]:
    """u = (p − q)/m, with m = βp + (1−β)q kept above 0, so that u is 0 where both sides underflow or are masked.

    p/m = 1 + (1−β)u and q/m = 1 − βu: near q = p their logarithms keep every digit that p − q has.
    """
    m = torch.lerp(q, p, beta, out=free).clamp_min_(torch.finfo(torch.float32).tiny)
    return torch.sub(p, q, out=out).div_(m)


def _log1p(u: Tensor, factor: float, out: Tensor) -> Float[Tensor, "R V"]:
    """log(1 + factor·u), finite where the true value is −∞: there it is multiplied by a probability of 0."""
    return torch.mul(u, factor, out=out).clamp_min_(-1 + 2**-24).log1p_()


def _forward_kl(
    q: Tensor, p: Tensor, log_ratio: Tensor, residue: Tensor, factor: Tensor | None, free: Tensor
) -> Tensor:
    """KL(p‖q) = Σ (p·log(p/q) − p + q),  gradient q − p."""
    gap = q.sub_(p)
    loss = torch.addcmul(gap, p, log_ratio, out=free).sum(-1).add_(residue)
    loss = _refine(loss, p, gap, log_ratio)
    if factor is not None:
        # The gradient of a softmax sums to 0. What it sums to is the rounding of the two normalisers, which near q = p
        # is as large as the gradient of a likely token; q is gone, but there p is as good.
        gap.addcmul_(p, gap.sum(-1, keepdim=True), value=-1).mul_(factor)
    return loss


def _reverse_kl(
    q: Tensor, p: Tensor, log_ratio: Tensor, residue: Tensor, factor: Tensor | None, free: Tensor
) -> Tensor:
    """KL(q‖p) = Σ (q·log(q/p) − q + p),  gradient q·(log(q/p) − Σ q·log(q/p))."""
    mean = torch.mul(q, log_ratio, out=free).sum(-1, keepdim=True)
    gap = p.sub_(q)
    loss = gap.sum(-1).add_(mean.squeeze(-1)).add_(residue)
    loss = _refine(loss, q, gap, log_ratio)
    if factor is not None:
        q.mul_(log_ratio.sub_(mean)).mul_(factor)
    return loss


def _refine(loss: Tensor, a: Tensor, gap: Tensor, log_ratio: Tensor) -> Float[Tensor, " R"]:
    """KL(a‖b) once more where it is so small that the rounding of a and b themselves, at 1e-8, can be seen in it.

    With log(a/b) taken from the a and b at hand, a·log(a/b) − a + b is the divergence of two numbers that are nearly
    right, and is wrong by a share of itself; with log(a/b) from the logits it is wrong by a share of a. The logits
    are kept for tokens on which a and b differ widely, where it is the other way round.
    """
    if loss.min() > 1e-3:
        return loss
    close = gap.abs() < a / 2
    return torch.addcmul(gap, a, torch.where(close, (gap / a).log1p_().neg_(), log_ratio)).sum(-1)


def _jsd(q: Tensor, p: Tensor, beta: float, factor: Tensor | None, u: Tensor, free: Tensor) -> Tensor:
    """β·KL(p‖m) + (1−β)·KL(q‖m),  gradient (1−β)·q·(log(q/m) − KL(q‖m))."""
    teacher_part = p.mul_(_log1p(u, 1 - beta, free)).sum(-1)
    log_ratio = _log1p(u, -beta, u)
    student_part = torch.mul(q, log_ratio, out=free).sum(-1, keepdim=True)
    if factor is not None:
        q.mul_(log_ratio.sub_(student_part)).mul_(factor * (1 - beta))
    return teacher_part.mul_(beta).add_(student_part.squeeze(-1), alpha=1 - beta)


def _skew_kl(q: Tensor, p: Tensor, beta: float, factor: Tensor | None, u: Tensor, free: Tensor) -> Tensor:
    """KL(p‖m) = Σ (p·log(p/m) − p + m),  gradient (1−β)·q·(Σ q·p/m − p/m) = (1−β)²·q·(Σ q·u − u)."""
    log_ratio = _log1p(u, 1 - beta, free)
    loss = log_ratio.mul_(p).sub_(p.sub_(q), alpha=1 - beta).sum(-1)  # p − m = (1−β)(p − q)
    if factor is not None:
        mean = torch.mul(q, u, out=free).sum(-1, keepdim=True)
        q.mul_(u.sub_(mean)).mul_(factor * -((1 - beta) ** 2))
    return loss


def _skew_reverse_kl(q: Tensor, p: Tensor, beta: float, factor: Tensor | None, u: Tensor, free: Tensor) -> Tensor:
    """KL(q‖m) = Σ (q·log(q/m) − q + m),  gradient q·(h − Σ q·h) with h = log(q/m) − (1−β)·q/m, or + β(1−β)·u."""
    log_ratio = _log1p(u, -beta, free)
    loss = torch.addcmul(p.sub_(q).mul_(beta), q, log_ratio, out=p).sum(-1)  # m − q = β(p − q)
    if factor is not None:
        slope = u.mul_(beta * (1 - beta)).add_(log_ratio)
        mean = torch.mul(q, slope, out=free).sum(-1, keepdim=True)
        q.mul_(slope.sub_(mean)).mul_(factor)
    return loss


def _total_variation(q: Tensor, p: Tensor, factor: Tensor | None, sign: Tensor, free: Tensor) -> Tensor:
    """½·Σ|q − p|,  gradient ½·q·(sign(q − p) − Σ q·sign(q − p))."""
    torch.sub(q, p, out=sign)
    loss = torch.abs(sign, out=free).sum(-1).div_(2)
    if factor is not None:
        sign.sign_()
        mean = torch.mul(q, sign, out=free).sum(-1, keepdim=True)
        q.mul_(sign.sub_(mean)).mul_(factor / 2)
    return loss


def row_chunks(mask: Tensor | None, positions: int, step: int) -> list[slice | Int[Tensor, " R"]]:
    """The numbers of the rows that count, in row-major order, a chunk at a time: a slice where they are neighbours."""
    if mask is None:
        return [slice(start, min(start + step, positions)) for start in range(0, positions, step)]
    chunks = mask.flatten().nonzero().squeeze(-1).split(step)
    return [
        slice(rows[0].item(), rows[-1].item() + 1) if rows[-1] - rows[0] == len(rows) - 1 else rows
        for rows in chunks
        if len(rows)
    ]


def rows_of_a_chunk(vocabulary: int, positions: int, threads: int) -> int:
    """As many rows as fit `CHUNK`, but with many threads fewer: all of their scratch is ⅛ of the gradient at most.

    >>> rows_of_a_chunk(50_257, positions=1024, threads=2), rows_of_a_chunk(50_257, positions=1024, threads=16)
    (5, 2)
    """
    rows = max(1, CHUNK // vocabulary)
    return rows if threads == 1 else max(1, min(rows, positions // (32 * threads)))


def as_matrix(logits: Tensor) -> Tensor:
    """[N, V] where strides allow it without a copy, else the logits as they are."""
    try:
        return logits.view(logits.shape[:-1].numel(), logits.shape[-1])
    except RuntimeError:
        return logits


def take(logits: Tensor, rows: slice | Tensor) -> Float[Tensor, "R V"]:
    """Rows by number, in row-major order over the positions, whatever the strides."""
    if logits.dim() == 2:
        return logits[rows]
    if isinstance(rows, slice):
        rows = torch.arange(rows.start, rows.stop, device=logits.device)
    return logits[torch.unravel_index(rows, logits.shape[:-1])]


def _empty(shape: torch.Size, dtype: torch.dtype, device: torch.device) -> Tensor:
    """An uninitialised tensor. A large one on the CPU comes through numpy, which asks the system for huge pages.

    First touching 200 MB in pages of 4 KiB takes half as long as the whole sweep.
    """
    size = shape.numel() * dtype.itemsize
    if device.type != "cpu" or size < _HUGE:
        return torch.empty(shape, dtype=dtype, device=device)
    return torch.from_numpy(np.empty(size, np.uint8)).view(dtype).view(shape)
