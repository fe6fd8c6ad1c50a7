"""The loss and the gradient of a few rows: all the mathematics of the chunked path.

Everything happens in place, in four or five fp32 matrices that stay in the cache, with two exponentials per element:
one for each side. q = softmax(student/τ) and p = softmax(teacher/τ).
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Loss:
    """(1 − w)·scale·D(τ) + w·CE(labels), with w = 0 if there are no labels."""

    divergence: str
    beta: float
    temperature: float
    scale: float  # τ² or 1
    label_weight: float = 0.0  # w

    @property
    def share(self) -> float:
        """The factor on D."""
        return self.scale * (1 - self.label_weight)


class Pull(NamedTuple):
    """The gradient that is wanted in place of q: factor·(∇D + lift·q), with ∇ for student/τ.

    At τ = 1 the labels' gradient is w·(q − 1[label]), and its part in q comes for nothing as a lift of each slope.
    """

    factor: Float[Tensor, "R 1"]
    lift: float

    def along(self, q: Tensor, slope: Tensor, mean: Float[Tensor, "R 1"], size: float = 1.0) -> None:
        """q becomes the gradient of a D with ∇D = size·q·(slope − mean)."""
        q.mul_(slope.sub_(mean - self.lift / size)).mul_(self.factor * size)


def chunk_loss(
    student: Float[Tensor, "R V"],
    teacher: Float[Tensor, "R V"],
    loss: Loss,
    weight: Float[Tensor, "R 1"] | None,
    out: Float[Tensor, "R V"],
    scratch: list[Float[Tensor, "R V"]],
    labels: Int[Tensor, " R"] | None = None,
    statistics: Float[Tensor, "R 4"] | None = None,
) -> Float[Tensor, " R"]:
    """The loss of each row of one chunk. With a `weight`, `out` then holds the weighted gradient, else nothing of use.

    `out` may be the storage of `student` itself; `scratch` is three more fp32 tensors of the same shape, or four with
    labels. `statistics` is filled if it is given: student entropy, teacher entropy, agreement and acceptance.
    """
    q, (p, free, other, *hard) = out, scratch
    # Half precision is widened before anything else: a rounded log-probability is off by more than the gradient.
    x = student if student.dtype == torch.float32 else q.copy_(student)
    y = teacher if teacher.dtype == torch.float32 else p.copy_(teacher)
    highest, teacher_highest = _highest(x, y, statistics)
    below = None if labels is None else highest - x.gather(-1, labels[:, None])
    if loss.divergence == "forward_kl":
        difference = torch.sub(y, x, out=other)  # before q and p may take the place of x and y
    elif loss.divergence == "reverse_kl":
        difference = torch.sub(x, y, out=other)
    else:
        difference = other  # room for (p − q)/m
    sharp = None if labels is None or loss.temperature == 1 else hard[0]
    norms = (
        _softmax(x, highest, loss.temperature, q, sharp),
        _softmax(y, teacher_highest, loss.temperature, p),
    )
    if statistics is not None:
        _collect(statistics, q, p, free)
    if labels is None:
        pull = None if weight is None else Pull(weight * (loss.share / loss.temperature), 0.0)
        return _divergence(q, p, difference, norms, loss, pull, free).mul_(loss.share)
    total = norms[0][1].reciprocal() if sharp is None else sharp.sum(-1, keepdim=True)
    surprise = below.add_(total.log()).squeeze(-1)  # the logarithm last: it has fewer digits
    pulled = None if weight is None else weight * loss.label_weight
    if loss.label_weight == 1:  # and not 0·∞, where the divergence is infinite
        if weight is not None:
            torch.mul(q if sharp is None else sharp, pulled if sharp is None else pulled / total, out=out)
            out.scatter_add_(-1, labels[:, None], -pulled)
        return surprise
    lift = loss.label_weight / loss.share if sharp is None else 0.0
    pull = None if weight is None else Pull(weight * (loss.share / loss.temperature), lift)
    values = _divergence(q, p, difference, norms, loss, pull, free).mul_(loss.share)
    if weight is not None:
        if sharp is not None:
            out.addcmul_(sharp, pulled / total)
        out.scatter_add_(-1, labels[:, None], -pulled)
    return values.add_(surprise, alpha=loss.label_weight)


def _divergence(
    q: Tensor,
    p: Tensor,
    difference: Tensor,
    norms: tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]],
    loss: Loss,
    pull: Pull | None,
    free: Tensor,
) -> Float[Tensor, " R"]:
    """D of each row; with a `pull`, the gradient takes the place of q."""
    (student_norm, teacher_norm), beta = norms, loss.beta
    match loss.divergence:
        case "forward_kl":
            log_ratio, residue = _log_ratio(difference, loss.temperature, teacher_norm, student_norm, p)
            values = _forward_kl(q, p, log_ratio, residue, pull, free)
        case "reverse_kl":
            log_ratio, residue = _log_ratio(difference, loss.temperature, student_norm, teacher_norm, q)
            values = _reverse_kl(q, p, log_ratio, residue, pull, free)
        case "jsd":
            values = _jsd(q, p, beta, pull, _excess(q, p, beta, difference, free), free)
        case "skew_kl":
            values = _skew_kl(q, p, beta, pull, _excess(q, p, beta, difference, free), free)
        case "skew_reverse_kl":
            values = _skew_reverse_kl(q, p, beta, pull, _excess(q, p, beta, difference, free), free)
        case "total_variation":
            values = _total_variation(q, p, pull, difference, free)
        case _:
            raise AssertionError(loss.divergence)  # the checks know the names
    # No divergence is negative; what rounding left below 0 near q = p is nearer to the truth at 0.
    return values.clamp_min_(0)


def _highest(x: Tensor, y: Tensor, statistics: Tensor | None) -> tuple[Float[Tensor, "R 1"], Float[Tensor, "R 1"]]:
    if statistics is None:
        return x.amax(-1, keepdim=True), y.amax(-1, keepdim=True)
    (highest, likeliest), (teacher_highest, teacher_likeliest) = x.max(-1, keepdim=True), y.max(-1, keepdim=True)
    statistics[:, 2:3] = likeliest == teacher_likeliest
    return highest, teacher_highest


def _collect(statistics: Float[Tensor, "R 4"], q: Tensor, p: Tensor, free: Tensor) -> None:
    for column, side in enumerate((q, p)):
        torch.clamp_min(side, torch.finfo(torch.float32).tiny, out=free).log2_()  # 0·log 0 is 0
        statistics[:, column] = free.mul_(side).sum(-1).mul_(-math.log(2))
    statistics[:, 3] = torch.minimum(p, q, out=free).sum(-1)


def _softmax(
    logits: Tensor, highest: Float[Tensor, "R 1"], temperature: float, out: Tensor, sharp: Tensor | None = None
) -> tuple[Float[Tensor, "R 1"], Float[Tensor, "R 1"]]:
    """softmax(logits/τ) into `out`, and e^(logits − maximum) into `sharp`, which is the same at τ = 1 but for its sum.

    2^(z·log₂e) is e^z at half the price, and takes up τ on the way. Returns the two numbers per row that normalised
    `out`: the maximum and 1/Σ.
    """
    torch.sub(logits, highest, out=out).mul_(math.log2(math.e) / temperature)
    if sharp is not None and temperature != 2:
        torch.mul(out, temperature, out=sharp).exp2_()
    out.exp2_()
    if sharp is not None and temperature == 2:
        torch.mul(out, out, out=sharp)
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


def _forward_kl(q: Tensor, p: Tensor, log_ratio: Tensor, residue: Tensor, pull: Pull | None, free: Tensor) -> Tensor:
    """KL(p‖q) = Σ (p·log(p/q) − p + q),  gradient q − p."""
    gap = q.sub_(p)
    loss = torch.addcmul(gap, p, log_ratio, out=free).sum(-1).add_(residue)
    loss = _refine(loss, p, gap, log_ratio)
    if pull is not None:
        # The gradient of a softmax sums to 0. What it sums to is the rounding of the two normalisers, which near q = p
        # is as large as the gradient of a likely token; q is gone, but there p is as good. lift·q is lift·(gap + p).
        grown = 1 + pull.lift
        gap.addcmul_(p, (pull.lift - gap.sum(-1, keepdim=True)) / grown).mul_(pull.factor * grown)
    return loss


def _reverse_kl(q: Tensor, p: Tensor, log_ratio: Tensor, residue: Tensor, pull: Pull | None, free: Tensor) -> Tensor:
    """KL(q‖p) = Σ (q·log(q/p) − q + p),  gradient q·(log(q/p) − Σ q·log(q/p))."""
    mean = torch.mul(q, log_ratio, out=free).sum(-1, keepdim=True)
    gap = p.sub_(q)
    loss = gap.sum(-1).add_(mean.squeeze(-1)).add_(residue)
    loss = _refine(loss, q, gap, log_ratio)
    if pull is not None:
        pull.along(q, log_ratio, mean)
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


def _jsd(q: Tensor, p: Tensor, beta: float, pull: Pull | None, u: Tensor, free: Tensor) -> Tensor:
    """β·KL(p‖m) + (1−β)·KL(q‖m),  gradient (1−β)·q·(log(q/m) − KL(q‖m))."""
    teacher_part = p.mul_(_log1p(u, 1 - beta, free)).sum(-1)
    log_ratio = _log1p(u, -beta, u)
    student_part = torch.mul(q, log_ratio, out=free).sum(-1, keepdim=True)
    if pull is not None:
        pull.along(q, log_ratio, student_part, 1 - beta)
    return teacher_part.mul_(beta).add_(student_part.squeeze(-1), alpha=1 - beta)


def _skew_kl(q: Tensor, p: Tensor, beta: float, pull: Pull | None, u: Tensor, free: Tensor) -> Tensor:
    """KL(p‖m) = Σ (p·log(p/m) − p + m),  gradient (1−β)·q·(Σ q·p/m − p/m) = (1−β)²·q·(Σ q·u − u)."""
    log_ratio = _log1p(u, 1 - beta, free)
    loss = log_ratio.mul_(p).sub_(p.sub_(q), alpha=1 - beta).sum(-1)  # p − m = (1−β)(p − q)
    if pull is not None:
        pull.along(q, u, torch.mul(q, u, out=free).sum(-1, keepdim=True), -((1 - beta) ** 2))
    return loss


def _skew_reverse_kl(q: Tensor, p: Tensor, beta: float, pull: Pull | None, u: Tensor, free: Tensor) -> Tensor:
    """KL(q‖m) = Σ (q·log(q/m) − q + m),  gradient q·(h − Σ q·h) with h = log(q/m) − (1−β)·q/m, or + β(1−β)·u."""
    log_ratio = _log1p(u, -beta, free)
    loss = torch.addcmul(p.sub_(q).mul_(beta), q, log_ratio, out=p).sum(-1)  # m − q = β(p − q)
    if pull is not None:
        slope = u.mul_(beta * (1 - beta)).add_(log_ratio)
        pull.along(q, slope, torch.mul(q, slope, out=free).sum(-1, keepdim=True))
    return loss


def _total_variation(q: Tensor, p: Tensor, pull: Pull | None, sign: Tensor, free: Tensor) -> Tensor:
    """½·Σ|q − p|,  gradient ½·q·(sign(q − p) − Σ q·sign(q − p))."""
    torch.sub(q, p, out=sign)
    loss = torch.abs(sign, out=free).sum(-1).div_(2)
    if pull is not None:
        sign.sign_()
        mean = torch.mul(q, sign, out=free).sum(-1, keepdim=True)
        mean += (0 * loss).unsqueeze(-1)  # the sign of NaN is 0
        pull.along(q, sign, mean, 0.5)
    return loss
