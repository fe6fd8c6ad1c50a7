"""A student that cannot copy: softmax logits of low rank, for a teacher with a few plausible tokens in each context.

logits [C, V] = states [C, R] @ embeddings [R, V] + bias [V], as in a language model whose hidden states are R wide.
NumPy alone, and a leading axis for teachers that are learned side by side.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

REST = 0.04  # of the teacher's probability, shared by all implausible tokens

Gradient = Callable[[Float[np.ndarray, "S C V"], Float[np.ndarray, "S C V"]], Float[np.ndarray, "S C V"]]
"""(student_logp, teacher_logp) → the gradient of a divergence with respect to the student's logits."""


def log_softmax(logits: Float[np.ndarray, "*N V"]) -> Float[np.ndarray, "*N V"]:
    """log softmax over the last axis, in nats."""
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def peaked_teacher(
    generator: np.random.Generator, contexts: int = 20, vocabulary: int = 20, peaks: int = 3
) -> Float[np.ndarray, "C V"]:
    """log p: after each context a few tokens, the plausible ones, share 96 %; the others share the rest evenly.

    >>> teacher = peaked_teacher(np.random.default_rng(0))
    >>> (np.exp(teacher) > 0.04).sum(1).tolist() == 20 * [3]
    True
    """
    if not 0 < peaks < vocabulary:
        raise ValueError(f"peaks is {peaks} for a vocabulary of {vocabulary}; expected at least 1 and fewer than that")
    p = np.full((contexts, vocabulary), REST / (vocabulary - peaks))
    for row in p:
        row[generator.choice(vocabulary, peaks, replace=False)] = (1 - REST) * generator.dirichlet(np.full(peaks, 8.0))
    return np.log(p)


def train_low_rank(
    teacher_logp: Float[np.ndarray, "S C V"],
    gradient: Gradient,
    rank: int,
    *,
    steps: int = 1000,
    rate: float | Float[np.ndarray, " S"] = 4.0,
    seed: int = 0,
) -> tuple[Float[np.ndarray, "S C V"], Float[np.ndarray, " S"]]:
    """Gradient descent on the mean divergence over contexts, one student per teacher.

    Args:
        teacher_logp: log p of each teacher.
        gradient: of the divergence, in logits.
        rank: R, the width of the student's states.
        steps: of gradient descent.
        rate: the step length, one for all or one per teacher.
        seed: of the start, so that students of one rank start alike under every divergence.

    Returns:
        log q of each student, and the norm of its first gradient over all parameters.
    """
    seeds, contexts, vocabulary = teacher_logp.shape
    generator = np.random.default_rng(seed)
    states = 0.3 * generator.standard_normal((seeds, contexts, rank))
    embeddings, bias = 0.3 * generator.standard_normal((seeds, rank, vocabulary)), np.zeros((seeds, 1, vocabulary))
    rate = np.broadcast_to(rate, seeds)[:, None, None]
    first = np.zeros(seeds)
    for step in range(steps):
        slope = gradient(log_softmax(states @ embeddings + bias), teacher_logp) / contexts
        slopes = slope @ embeddings.swapaxes(1, 2), states.swapaxes(1, 2) @ slope, slope.sum(1, keepdims=True)
        if step == 0:
            first = np.sqrt(sum((one**2).sum((1, 2)) for one in slopes))
        states, embeddings, bias = (
            weights - rate * one for weights, one in zip((states, embeddings, bias), slopes, strict=True)
        )
    return log_softmax(states @ embeddings + bias), first


def implausible_mass(
    student_logp: Float[np.ndarray, "S C V"], teacher_logp: Float[np.ndarray, "S C V"]
) -> Float[np.ndarray, " S"]:
    """The mass on tokens that the teacher finds implausible, mean over contexts; the teacher's own is 0.04."""
    return np.where(teacher_logp > np.log(REST), 0, np.exp(student_logp)).sum(-1).mean(-1)
