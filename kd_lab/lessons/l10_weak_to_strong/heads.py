"""Linear heads on what a language model reads, trained in several runs at once."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from kd_lab.lessons.l10_weak_to_strong.exercises import confidence_loss

STEPS, RATE, BATCH = 300, 0.03, 64
WARM_UP = 0.2  # share of the steps over which α rises from 0
REMEMBERED = 8  # batches whose answers set the threshold

Loss = Callable[[Float[Tensor, " B"], Float[Tensor, " B"], float, float | Float[Tensor, " B"]], Float[Tensor, ""]]


def with_constant(features: Float[Tensor, "R N K"]) -> Float[Tensor, "R N K+1"]:
    return torch.cat([features, torch.ones_like(features[..., :1])], dim=-1)


def train_heads(
    features: Float[Tensor, "R N K"],
    labels: Float[Tensor, "R N"],
    alpha: float = 0.0,
    loss: Loss = confidence_loss,
    seed: int = 0,
) -> Float[Tensor, "R K+1"]:
    """Heads that learn from labels by the confidence loss, one per run; α = 0 is plain cross-entropy.

    The threshold is the quantile of the student's answers to the last eight batches above which as large a share lies
    as the labels call names. One batch of 64 would make it jump.

    Args:
        features: what the student reads.
        labels: its teacher's probabilities, or true labels.
        alpha: the final share of the student's own answer, reached after a fifth of the steps.
        loss: as in exercise 10.3.
        seed: of the batches, which are the same for every arm.
    """
    features, chance = with_constant(features), torch.Generator().manual_seed(seed)
    runs, texts, width = features.shape
    weights = torch.zeros(runs, width, requires_grad=True)
    optimizer, answers, called = torch.optim.Adam([weights], lr=RATE), [], 1 - labels.mean(1)
    rows = torch.arange(runs)[:, None]
    for step in range(1, STEPS + 1):
        chosen = torch.randint(texts, (runs, BATCH), generator=chance)
        logits = torch.einsum("rbk,rk->rb", features[rows, chosen], weights)
        answers = [*answers, logits.detach().sigmoid()][-REMEMBERED:]
        share = alpha * min(1.0, step / (WARM_UP * STEPS))
        cuts = _cuts(torch.cat(answers, 1), called).repeat_interleave(BATCH)
        answered, taught = logits.flatten(), labels[rows, chosen].flatten()
        mean = loss(answered, taught, share, cuts) if alpha else cross_entropy(answered, taught)
        optimizer.zero_grad()
        (runs * mean).backward()  # each run has the gradient of the mean over its own texts
        optimizer.step()
    return weights.detach()


def cross_entropy(logits: Float[Tensor, " B"], labels: Float[Tensor, " B"]) -> Float[Tensor, ""]:
    """CE in nats against probabilities of yes."""
    return -(labels * F.logsigmoid(logits) + (1 - labels) * F.logsigmoid(-logits)).mean()


def _cuts(answers: Float[Tensor, "R M"], levels: Float[Tensor, " R"]) -> Float[Tensor, " R"]:
    """The quantile of each row at its own level."""
    ranks = (levels * (answers.shape[1] - 1)).round().long()
    return answers.sort(1).values.gather(1, ranks[:, None])[:, 0]


def fit_teacher(features: Float[Tensor, "R N K"], truth: Float[Tensor, "R N"], ridge: float = 0.03) -> Tensor:
    """Heads with few labels and a weight penalty, at the minimum of their loss: logistic regression by Newton's method.

    Returns:
        Weights [R, K + 1], the constant's last.
    """
    x, y = with_constant(features).double(), truth.double()
    weights = torch.zeros(len(x), x.shape[-1], dtype=torch.float64)
    for _ in range(10):
        p = torch.einsum("rnk,rk->rn", x, weights).sigmoid()
        slope = torch.einsum("rn,rnk->rk", p - y, x) / x.shape[1] + ridge * weights
        curve = torch.einsum("rnk,rn,rnl->rkl", x, p * (1 - p), x) / x.shape[1]
        weights -= torch.linalg.solve(curve + ridge * torch.eye(x.shape[-1], dtype=torch.float64), slope)
    return weights.float()


def answer(features: Float[Tensor, "R N K"], weights: Float[Tensor, "R K+1"]) -> Float[Tensor, "R N"]:
    """The heads' probability of a name."""
    return torch.einsum("rnk,rk->rn", with_constant(features), weights).sigmoid()


def accuracy(answers: Float[Tensor, "R N"], truth: Float[Tensor, "R N"]) -> Float[Tensor, " R"]:
    """The share of right answers, cut at one half, in each run."""
    return ((answers > 0.5) == (truth > 0.5)).double().mean(1)
