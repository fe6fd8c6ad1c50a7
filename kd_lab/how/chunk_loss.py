"""The loss and the gradient of a few rows: all the mathematics of the chunked path.

Everything happens in place, in four or five fp32 matrices that stay in the cache, with two exponentials per element:
one for each side. q = softmax(student/τ) and p = softmax(teacher/τ).
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from kd_lab.how.chunk_divergences import Loss, Norm, Pull, chunk_divergence, fp32

LARGE = 2**20
"""Logits, or exponents of 2 made of them at a low τ, whose last bit, in fp32, is no longer a small share of a nat."""


def chunk_loss(
    student: Float[Tensor, "R V"],
    teacher: Float[Tensor, "R V"],
    loss: Loss,
    weight: Float[Tensor, "R 1"] | None,
    out: Float[Tensor, "R V"],
    scratch: list[Float[Tensor, "R V"]],
    labels: Int[Tensor, "R 1"] | None = None,
    statistics: Float[Tensor, "R 4"] | None = None,
) -> Float[Tensor, " R"]:
    """The loss of each row of one chunk. With a `weight`, `out` then holds the weighted gradient, else nothing of use.

    `out` may be the storage of `student` itself; `scratch` is `matrices_of_scratch` fp32 tensors of the same shape.
    `statistics` is filled if it is given: student entropy, teacher entropy, agreement and acceptance.
    """
    q, (p, free, other, *spare) = out, scratch
    # Half precision is widened before anything else: a rounded log-probability is off by more than the gradient.
    x = student if student.dtype == torch.float32 else q.copy_(student)
    y = teacher if teacher.dtype == torch.float32 else p.copy_(teacher)
    highest, teacher_highest = _highest(x, y, statistics)
    below = None if labels is None else highest - x.gather(-1, labels)
    if loss.divergence == "forward_kl":
        torch.sub(y, x, out=other)  # before q and p may take the place of x and y
    elif loss.divergence == "reverse_kl":
        torch.sub(x, y, out=other)
    place = _place_of_sharp(loss, labels is not None, statistics is not None)
    sharp = None if place is None else (*spare, free)[place]
    norms = _powers(x, highest, loss, q, sharp), _powers(y, teacher_highest, loss, p)
    total = None if labels is None else _total(q, norms[0], loss, sharp)
    rests = _normalise(q, p, norms, loss, statistics)
    if statistics is not None:
        _collect(statistics, q, p, free)
    if labels is None:
        pull = None if weight is None else Pull(weight * (loss.share / loss.temperature))
        return chunk_divergence(q, p, other, norms, rests, loss, pull, free).mul_(loss.share)
    if loss.label_weight == 1:  # and not 0·∞, where the divergence is infinite
        if weight is not None:
            _likelihood_alone(q, rests[0], norms[0], weight / total, loss, sharp)
        values = torch.zeros(len(x), dtype=torch.float32, device=x.device)
    else:
        pull = None if weight is None else _pull_with_labels(loss, weight, total, norms[0], sharp)
        values = chunk_divergence(q, p, other, norms, rests, loss, pull, free).mul_(loss.share)
    if weight is not None:
        out.scatter_add_(-1, labels, weight * -loss.label_weight)
    total = total.div_(_unit(highest, norms[0], loss)).clamp_min_(1)  # the term of the highest alone
    surprise = below.add_(total.log_())  # the logarithm last: it has fewer digits
    return values.add_(surprise.squeeze(-1), alpha=loss.label_weight)


def matrices_of_scratch(loss: Loss, labels: bool, statistics: bool) -> int:
    """The fp32 matrices that `chunk_loss` needs beside `out`."""
    return 4 if _place_of_sharp(loss, labels, statistics) == 0 else 3


def _place_of_sharp(loss: Loss, labels: bool, statistics: bool) -> int | None:
    """The place of e^(logit − highest) for the labels: 0, a fourth matrix; −1, the one that is free; or None.

    It is q at τ = 1, and where q is kept to the end it can be squared at τ = 2. Forward KL alone does not keep it, and
    alone leaves a matrix free.
    """
    if not labels or loss.temperature == 1:
        return None
    if loss.divergence == "forward_kl" and loss.label_weight < 1:
        return 0 if statistics else -1
    return None if loss.temperature == 2 else 0


def _total(q: Tensor, norm: Norm, loss: Loss, sharp: Tensor | None) -> Float[Tensor, "R 1"]:
    """Σ e^(logit − highest), whose terms at τ = 1 and at τ = 2 are q and q² as `_powers` left it."""
    if sharp is not None:
        return sharp.sum(-1, keepdim=True)
    if loss.temperature == 1:
        return norm.inverse.reciprocal()
    return torch.linalg.vector_norm(q, dim=-1, keepdim=True).square_()


def _unit(highest: Float[Tensor, "R 1"], norm: Norm, loss: Loss) -> Float[Tensor, "R 1"] | float:
    """The term of the highest logit in `_total`. `_powers` makes it 2^(ετ), where ε is the rounding of highest·rate."""
    if norm.lowered.dtype == torch.float64:  # the highest was subtracted first
        return 1.0
    return torch.add(norm.lowered, highest, alpha=_rate(loss)).mul_(loss.temperature).exp2_()


def _rate(loss: Loss) -> float:
    """e^(z/τ) is 2^(rate·z)."""
    return fp32(math.log2(math.e) / loss.temperature)


def _pull_with_labels(loss: Loss, weight: Tensor, total: Tensor, norm: Norm, sharp: Tensor | None) -> Pull:
    """The pull of both terms, in which the labels' softmax is q, or q²/Σq², or sharp/Σsharp."""
    factor, share = weight * (loss.share / loss.temperature), loss.label_weight * loss.temperature / loss.share
    if sharp is not None:
        return Pull(factor, sharp=(sharp, share / total))
    if loss.temperature == 1:
        return Pull(factor, lift=share)
    return Pull(factor, square=share / (total * norm.inverse.square()))


def _likelihood_alone(
    q: Tensor, rest: Tensor | None, norm: Norm, pulled: Tensor, loss: Loss, sharp: Tensor | None
) -> None:
    """pulled·e^(logit − highest) takes the place of q."""
    if sharp is not None:
        torch.mul(sharp, pulled, out=q)
        return
    if rest is None:  # q is normalised
        q.div_(norm.inverse)
    if loss.temperature == 2:
        q.mul_(q)
    q.mul_(pulled)


def _normalise(
    q: Tensor, p: Tensor, norms: tuple[Norm, Norm], loss: Loss, statistics: Tensor | None
) -> list[Float[Tensor, "R 1"] | None]:
    """Normalise in place the sides that have to be now, and return the factors that both still lack.

    A KL takes up that of its second argument while it subtracts.
    """
    later = {"forward_kl": q, "reverse_kl": p}.get(loss.divergence) if statistics is None else None
    for side, norm in zip((q, p), norms, strict=True):
        if side is not later:
            side.mul_(norm.inverse)
    return [norm.inverse if side is later else None for side, norm in zip((q, p), norms, strict=True)]


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


def _powers(
    logits: Tensor, highest: Float[Tensor, "R 1"], loss: Loss, out: Tensor, sharp: Tensor | None = None
) -> Norm:
    """e^((logits − highest)/τ) into `out`, and the same at τ = 1 into `sharp`.

    2^(z·log₂e) is e^z at half the price, and takes up τ on the way. The KLs know by which number their exponents were
    lowered, and need not have the highest at 0 to the last bit: they make them in one visit, unless the logits are so
    large that the last bit is large.
    """
    rate = _rate(loss)
    # Of no rows there is no norm.
    largest = torch.linalg.vector_norm(highest, math.inf).item() * max(rate, 1.0) if len(highest) else 0.0
    if loss.divergence in ("forward_kl", "reverse_kl") and largest < LARGE:
        lowered = highest * -rate
        torch.add(lowered, logits, alpha=rate, out=out)
    else:
        lowered = highest.double() * -rate
        torch.sub(logits, highest, out=out).mul_(rate)
    if sharp is not None and loss.temperature != 2:
        torch.mul(out, loss.temperature, out=sharp).exp2_()
    inverse = out.exp2_().sum(-1, keepdim=True).reciprocal_()
    if sharp is not None and loss.temperature == 2:
        torch.mul(out, out, out=sharp)
    return Norm(lowered, inverse)
