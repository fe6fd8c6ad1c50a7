"""The six divergences of two softmaxes in a chunk, and their gradients in the place of q: no exponential more.

q = softmax(student/τ) and p = softmax(teacher/τ) come from `chunk_loss`, as it made them of the logits.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

TINY = 1e-3
"""Nats below which a KL is refined."""


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
    """The gradient that is wanted in place of q: factor·(∇D + lift·q + square·q² + sharp), with ∇ for student/τ.

    The labels' gradient is w·(softmax(student) − 1[label]). Its softmax is q itself at τ = 1 and q²/Σq² at τ = 2, a
    lift of each slope, for which it needs no exponential and no room of its own. Elsewhere it is a matrix.
    """

    factor: Float[Tensor, "R 1"]
    lift: float = 0.0
    square: Float[Tensor, "R 1"] | None = None
    sharp: tuple[Float[Tensor, "R V"], Float[Tensor, "R 1"]] | None = None  # and a factor on it

    def along(self, q: Tensor, slope: Tensor, mean: Float[Tensor, "R 1"], size: float = 1.0) -> None:
        """q becomes the gradient of a D with ∇D = size·q·(slope − mean)."""
        slope.sub_(mean - self.lift / size)
        if self.square is not None:
            slope.addcmul_(q, self.square / size)
        q.mul_(slope)
        if self.sharp is not None:
            q.addcmul_(self.sharp[0], self.sharp[1] / size)
        q.mul_(self.factor * size)


class Norm(NamedTuple):
    """The numbers of each row that made its softmax: inverse·2^(log₂e/τ·logit + lowered)."""

    lowered: Float[Tensor, "R 1"]
    inverse: Float[Tensor, "R 1"]


def chunk_divergence(
    q: Tensor,
    p: Tensor,
    difference: Tensor,
    norms: tuple[Norm, Norm],
    rests: list[Tensor | None],
    loss: Loss,
    pull: Pull | None,
    free: Tensor,
) -> Float[Tensor, " R"]:
    """D of each row; with a `pull`, the gradient takes the place of q."""
    (student_norm, teacher_norm), beta = norms, loss.beta
    match loss.divergence:
        case "forward_kl":
            log_ratio, residue = _log_ratio(difference, loss.temperature, teacher_norm, student_norm)
            values = _forward_kl(q, p, rests[0], log_ratio, residue, pull)
        case "reverse_kl":
            log_ratio, residue = _log_ratio(difference, loss.temperature, student_norm, teacher_norm)
            values = _reverse_kl(q, p, rests[1], log_ratio, residue, pull, free)
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


def fp32(number: float) -> float:
    """The number as a kernel on fp32 tensors takes it."""
    return float(np.float32(number))


def _log_ratio(
    difference: Tensor, temperature: float, norm: Norm, other: Norm
) -> tuple[Float[Tensor, "R V"], Float[Tensor, " R"]]:
    """log(a/b) from the difference of their logits, in its place, and what fp32 took from the normalisers.

    log(a/b) = (logit a − logit b)/τ − (log-normaliser of a − that of b). The bracket is made in fp64 from the very
    numbers that a and b were normalised with, rounding and all: only then do the errors in a·log(a/b) − a + b cancel.
    """
    inverse_temperature = fp32(1 / temperature)
    bracket = (
        other.lowered.double().sub_(norm.lowered).mul_(inverse_temperature / fp32(math.log2(math.e) / temperature))
    )
    bracket.add_(other.inverse.double().div_(norm.inverse).log_())
    rounded = bracket.float()
    torch.add(-rounded, difference, alpha=inverse_temperature, out=difference)
    return difference, bracket.neg_().add_(rounded).float().squeeze(-1)


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
    q: Tensor, p: Tensor, rest: Tensor | None, log_ratio: Tensor, residue: Tensor, pull: Pull | None
) -> Tensor:
    """KL(p‖q) = Σ (p·log(p/q) − p + q),  gradient q − p, where rest·q is the student."""
    lack = _minus(p, q, rest, out=q)
    terms = torch.addcmul(lack, p, log_ratio, value=-1, out=log_ratio)
    loss = terms.sum(-1)
    if not _is_finite(loss):  # at p = 0 it may be 0·∞, which is 0
        terms = torch.where(p == 0, lack, terms)
        loss = terms.sum(-1)
    loss = residue.sub_(loss)
    near = not loss.min().item() > TINY
    if near:
        loss = _refined(p, lack, terms)
    if pull is None:
        return loss
    if pull.sharp is not None:
        lack.addcmul_(*pull.sharp, value=-1).mul_(-pull.factor)
        return loss
    if near or pull.lift:
        # The gradient of a softmax sums to 0. What it sums to is the rounding of the two normalisers, which near q = p
        # is as large as the gradient of a likely token; q is gone, but there p is as good. lift·q is lift·(p − lack).
        excess = lack.sum(-1, keepdim=True).add_(pull.lift).div_(1 + pull.lift)
        lack.addcmul_(p, excess, value=-1)
    lack.mul_(pull.factor * -(1 + pull.lift))
    return loss


def _reverse_kl(
    q: Tensor,
    p: Tensor,
    rest: Tensor | None,
    log_ratio: Tensor,
    residue: Tensor,
    pull: Pull | None,
    free: Tensor,
) -> Tensor:
    """KL(q‖p) = Σ (q·log(q/p) − q + p),  gradient q·(log(q/p) − Σ q·log(q/p)), where rest·p is the teacher."""
    mean = torch.mul(q, log_ratio, out=free).sum(-1, keepdim=True)
    if not _is_finite(mean):  # at q = 0 it may be 0·∞, which is 0
        log_ratio.masked_fill_(q == 0, 0.0)
        mean = torch.mul(q, log_ratio, out=free).sum(-1, keepdim=True)
    excess = _minus(q, p, rest, out=p)
    loss = residue.add_(mean.squeeze(-1)).sub_(excess.sum(-1))
    if not loss.min().item() > TINY:
        loss = _refined(q, excess, torch.addcmul(excess, q, log_ratio, value=-1))
    if pull is not None:
        pull.along(q, log_ratio, mean)
    return loss


def _minus(a: Tensor, b: Tensor, rest: Tensor | None, out: Tensor) -> Float[Tensor, "R V"]:
    """a − rest·b."""
    return torch.sub(a, b, out=out) if rest is None else torch.addcmul(a, b, rest, value=-1, out=out)


def _is_finite(numbers: Tensor) -> bool:
    return math.isfinite(numbers.sum().item())


def _refined(a: Tensor, excess: Tensor, terms: Tensor) -> Float[Tensor, " R"]:
    """KL(a‖b) once more where it is so small that the rounding of a and b themselves, at 1e-8, can be seen in it.

    With log(a/b) taken from the a and b at hand, a·log(a/b) − a + b is the divergence of two numbers that are nearly
    right, and is wrong by a share of itself; with log(a/b) from the logits it is wrong by a share of a. The logits
    are kept for tokens on which a and b differ widely, where it is the other way round.

    Args:
        a, excess: a and a − b.
        terms: a − b − a·log(a/b) from the logits.
    """
    close = excess.abs() < a / 2
    return torch.where(close, torch.addcmul(excess, a, (-excess / a).log1p_()), terms).sum(-1).neg_()


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
