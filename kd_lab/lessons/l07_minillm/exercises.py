"""Exercises of lesson 07: reference solutions, and the mistakes that their checks name."""

import math

import numpy as np
import torch
from torch import tensor

from kd_lab.classroom.diagnosis import Case, Exercise, Misconception, Mistake

# ---- 07.1: what is still to come ------------------------------------------------------------------------------------


def future_return(rewards, mask):
    """Σ of the rewards after each position, 0 at padding: [B, T], [B, T] -> [B, T]."""
    counted = rewards.where(mask, 0.0)
    # A sum from here to the end is a running sum of the reversed row.
    from_here = counted.flip(1).cumsum(1).flip(1)
    return from_here - counted


def future_from_the_end(rewards, mask):
    """From the last position to the first, with a running sum that starts at 0; a list of lists."""
    found = []
    for row, counted in zip(rewards.tolist(), mask.tolist(), strict=True):
        ahead, running = [], 0
        for reward, counts in zip(reversed(row), reversed(counted), strict=True):
            ahead.insert(0, running)
            running += reward if counts else 0
        found.append(ahead)
    return found


def future_by_matrix(rewards, mask):
    """A product with a triangle of ones below the diagonal, in numpy and double precision."""
    counted = np.array(rewards.detach(), dtype=np.float64)
    counted[~mask.numpy()] = 0
    return counted @ np.tri(counted.shape[1], k=-1)


def _no_mask(rewards, mask):
    return future_return(rewards, torch.ones_like(mask)).where(mask, 0.0)


FUTURE_RETURN = Exercise(
    reference=future_return,
    unusual=(future_from_the_end, future_by_matrix),
    explanation=(
        "Reversing a row turns “from here to the end” into “from the beginning to here”, which `cumsum` computes. "
        "The position's own reward is subtracted at the end, because it is not in the future. Padding is set to zero "
        "before anything is summed; otherwise a short text would be paid for what stands after its end."
    ),
    cases=(
        Case("one text of three tokens", lambda: (tensor([[1.0, 10.0, 100.0]]), tensor([[True, True, True]]))),
        Case(
            "two texts, the second ends after two tokens and a number stands in its padding",
            lambda: (
                tensor([[-1.0, 2.0, -4.0], [3.0, -5.0, 7.0]]),
                tensor([[True, True, True], [True, True, False]]),
            ),
        ),
        Case(
            "three texts of up to five tokens, one of them a single token",
            lambda: (
                tensor([[1.0, -2.0, 4.0, 0.5, -8.0], [2.0, 3.0, -1.0, 5.0, 9.0], [6.0, 7.0, 7.0, 7.0, 7.0]]),
                tensor([[True] * 5, [True, True, True, False, False], [True] + [False] * 4]),
            ),
        ),
    ),
    mistakes=(
        Mistake(
            "own reward included",
            "The reward of the position itself is counted as future. The immediate term already pays for it.",
            lambda rewards, mask: future_return(rewards, mask) + rewards.where(mask, 0.0),
        ),
        Mistake(
            "past summed",
            "These are the rewards before each position. A choice cannot change what was said before it. In which "
            "direction does cumsum run?",
            lambda rewards, mask: rewards.where(mask, 0.0).cumsum(1) - rewards.where(mask, 0.0),
        ),
        Mistake(
            "past and present summed",
            "This is the running sum from the beginning up to and including each position. Sum what comes after it.",
            lambda rewards, mask: rewards.where(mask, 0.0).cumsum(1),
        ),
        Mistake(
            "order left reversed",
            "The sums are right but in reversed order: the row was flipped once and not flipped back.",
            lambda rewards, mask: future_return(rewards, mask).flip(1),
        ),
        Mistake(
            "padding counted",
            "Whatever stands in the padding is counted as future of the short text. The mask says where a text has "
            "ended.",
            _no_mask,
        ),
        Mistake(
            "whole text",
            "Every position gets the sum over its whole text, its past included.",
            lambda rewards, mask: rewards.where(mask, 0.0).sum(1, keepdim=True).expand_as(rewards),
        ),
    ),
)


# ---- 07.2: a loss whose gradient is the policy gradient -------------------------------------------------------------


def policy_loss(student_logp, teacher_logp, tokens, mask):
    """A number whose gradient estimates ∇KL(Q‖P): [B, T, V], [B, T, V], [B, T], [B, T] -> []."""
    own, other = (logp.gather(-1, tokens[..., None]).squeeze(-1) for logp in (student_logp, teacher_logp))
    # The return says how good a token was. It is a number by which the push is scaled, and is not itself pushed.
    rewards = (other - own).detach().where(mask, 0.0)
    from_here = rewards + future_return(rewards, mask)
    return -(from_here * own).where(mask, 0.0).sum(1).mean()


def policy_loss_backwards(student_logp, teacher_logp, tokens, mask):
    """Column by column from the end: the return grows from 0, and the loss with it."""
    loss = ahead = 0
    rows = torch.arange(len(tokens))
    for t in reversed(range(tokens.shape[1])):
        own, other = student_logp[rows, t, tokens[:, t]], teacher_logp[rows, t, tokens[:, t]]
        ahead = ahead + torch.where(mask[:, t], other.detach() - own.detach(), 0)
        loss = loss - torch.where(mask[:, t], ahead * own, 0)
    return loss.sum() / len(rows)


def policy_loss_by_weights(student_logp, teacher_logp, tokens, mask):
    """The push on each entry of the table as numbers in numpy, whose product with log q is the loss."""
    own, other = (
        np.take_along_axis(logp.detach().double().numpy(), tokens.numpy()[..., None], -1)[..., 0]
        for logp in (student_logp, teacher_logp)
    )
    rewards = np.where(mask.numpy(), other - own, 0)
    returns = np.cumsum(rewards[:, ::-1], axis=1)[:, ::-1]
    push = np.where(mask.numpy(), returns, 0)[..., None] * np.eye(student_logp.shape[-1])[tokens.numpy()]
    return -(torch.tensor(push) * student_logp).sum((1, 2)).mean()


def _surrogate(student_logp, teacher_logp, tokens, mask, *, detach=True, sign=-1, scale=lambda r, m: r, masked=True):
    own, other = (logp.gather(-1, tokens[..., None]).squeeze(-1) for logp in (student_logp, teacher_logp))
    rewards = other - own.detach() if detach else other - own
    if not masked:
        mask = torch.ones_like(mask)
    rewards = rewards.where(mask, 0.0)
    return sign * (scale(rewards, mask) * own).where(mask, 0.0).sum(1).mean()


def _from_here(rewards, mask):
    return rewards + future_return(rewards, mask)


def _mistaken(**how):
    return lambda *inputs: _surrogate(*inputs, **({"scale": _from_here} | how))


def gradient_of_loss(function, student_logits, teacher_logits, tokens, mask):
    """The effect of a loss and not its value: its gradient with respect to the student's logits."""
    student_logits = student_logits.clone().requires_grad_()
    loss = function(student_logits.log_softmax(-1), teacher_logits.log_softmax(-1), tokens, mask)
    if isinstance(loss, torch.Tensor) and loss.shape == () and not loss.requires_grad:
        raise Misconception(
            "No gradient reaches the student: everything in this loss is cut off from the graph. One factor has to "
            "stay in.",
            ("loss.requires_grad is False", "expected: True"),
        )
    return torch.autograd.grad(loss, student_logits)[0]


def _texts(*, rows=slice(None)):
    student = tensor([[[0.5, 0.25, 0.25], [0.2, 0.5, 0.3]], [[0.5, 0.25, 0.25], [0.25, 0.25, 0.5]]]).log()
    teacher = tensor([[[0.25, 0.5, 0.25], [0.7, 0.1, 0.2]], [[0.25, 0.5, 0.25], [0.4, 0.5, 0.1]]]).log()
    tokens, mask = tensor([[1, 2], [0, 0]]), tensor([[True, True], [True, False]])
    return student[rows], teacher[rows], tokens[rows], mask[rows]


POLICY_LOSS = Exercise(
    reference=policy_loss,
    unusual=(policy_loss_backwards, policy_loss_by_weights),
    explanation=(
        "The value of this loss means nothing; only its gradient −R·∇log q does. Left in the graph, R would add a "
        "term of its own, whose expectation is minus the gradient of the entropies along the way: the student would "
        "be paid for being unsure. Rewards from before a position are left out because no choice can change them; "
        "with them in, the expectation is the same and the noise larger."
    ),
    run=gradient_of_loss,
    cases=(
        Case("one text of two tokens; the answer is the gradient of your loss", lambda: _texts(rows=slice(1))),
        Case("the same and a text of one token, padded; the answer is the gradient of your loss", _texts),
    ),
    mistakes=(
        Mistake(
            "sign",
            "The gradient points the other way: this loss falls when the student does more of what the teacher "
            "dislikes. It should fall when return × log q rises.",
            _mistaken(sign=1),
        ),
        Mistake(
            "return not detached",
            "The gradient flows through the return as well, which contains the student's log-probability again. The "
            "return only scales the push; for the gradient it is a constant.",
            _mistaken(detach=False),
        ),
        Mistake(
            "own reward missing",
            "Only what comes after a token scales it; the token's own reward is missing, so the last token of a text "
            "is never judged.",
            _mistaken(scale=future_return),
        ),
        Mistake(
            "future missing",
            "Every token is scaled by its own reward alone. What follows from it is forgotten.",
            _mistaken(scale=lambda rewards, mask: rewards),
        ),
        Mistake(
            "future missing and no reward detached",
            "Every token is scaled by its own reward alone, and the gradient flows through that as well.",
            _mistaken(scale=lambda rewards, mask: rewards, detach=False),
        ),
        Mistake(
            "sum over texts",
            "The texts are added. Each of them is a sample, and an expectation is estimated by the mean of samples.",
            lambda *inputs: _mistaken()(*inputs) * len(inputs[3]),
        ),
        Mistake(
            "past included",
            "Every token is scaled by the return of the whole text. The expectation is right, but what was said before "
            "the token adds noise and nothing else.",
            _mistaken(scale=lambda rewards, mask: rewards.sum(1, keepdim=True).expand_as(rewards)),
        ),
        Mistake(
            "padding counted",
            "Positions after the end of a text are pushed too. Nobody drew those tokens.",
            _mistaken(masked=False),
        ),
        Mistake(
            "mean over tokens",
            "The sum is divided by the number of tokens. KL(Q‖P) is a sum over the text; only the texts are averaged.",
            lambda *inputs: _mistaken()(*inputs) * len(inputs[3]) / inputs[3].sum(),
        ),
    ),
)


# ---- 07.3: the weight of a token that two have drawn ----------------------------------------------------------------


def token_weight(student_logp, teacher_logp, share):
    """q/p̃ of drawn tokens, where p̃ = share·p + (1 − share)·q: [B, T], [B, T] -> [B, T]."""
    # In logarithms throughout: a probability of 1e-50 underflows to 0 in fp32, its logarithm does not.
    mixed_logp = torch.logaddexp(teacher_logp + math.log(share), student_logp + math.log(1 - share))
    return (student_logp - mixed_logp).exp().detach()


def weight_by_sigmoid(student_logp, teacher_logp, share):
    """q/p̃ is a logistic function of the log ratio, divided by the student's share."""
    return torch.sigmoid(student_logp - teacher_logp + math.log((1 - share) / share)).detach() / (1 - share)


def weight_in_numpy(student_logp, teacher_logp, share):
    """Numerator and denominator divided by q, in numpy and double precision."""
    ratio = np.exp(teacher_logp.detach().double().numpy() - student_logp.detach().double().numpy())
    return 1 / (share * ratio + (1 - share))


def _mixed_logp(student_logp, teacher_logp, share):
    return torch.logaddexp(teacher_logp + math.log(share), student_logp + math.log(1 - share))


def _helped_weight(student_logp, teacher_logp, share):
    q, p = student_logp.exp(), teacher_logp.exp()
    return q / (share * p + (1 - share) * q + 1e-8)


def _check_detached(candidate):
    """Values cannot show whether the weight carries a gradient."""
    student_logp = tensor([[0.5, 0.1]]).log().requires_grad_()
    if torch.as_tensor(candidate(student_logp, tensor([[0.25, 0.4]]).log(), 0.2)).requires_grad:
        raise Misconception(
            "The value is right, but the weight carries a gradient: minimising would then push on the weight as well. "
            "It corrects for who drew the token, and is a constant.",
            (
                "student_logp = log [0.5, 0.1] requires a gradient",
                "afterwards the weight requires one; expected: it does not",
            ),
        )


TOKEN_WEIGHT = Exercise(
    reference=token_weight,
    unusual=(weight_by_sigmoid, weight_in_numpy),
    explanation=(
        "Σ p̃·(q/p̃)·f = Σ q·f for any f: a token that the mixture draws too often counts for less. The weight is below "
        "1 where the teacher likes the token better than the student does, and never above 1/(1 − share), since "
        "p̃ ≥ (1 − share)·q."
    ),
    cases=(
        Case(
            "one token with q = ½ and p = ¼, share = 0.2",
            lambda: (tensor([[0.5]]).log(), tensor([[0.25]]).log(), 0.2),
        ),
        Case(
            "two tokens, q = (½, 0.1) and p = (¼, 0.4), share = 0.5",
            lambda: (tensor([[0.5, 0.1]]).log(), tensor([[0.25, 0.4]]).log(), 0.5),
        ),
        Case(
            "a token that the teacher forbids: its log-probability is -inf, share = 0.2",
            lambda: (tensor([[0.5]]).log(), tensor([[-torch.inf]]), 0.2),
        ),
        Case(
            "a token that both hold for next to impossible, log q = −60 and log p = −61, share = 0.2",
            lambda: (tensor([[-60.0]]), tensor([[-61.0]]), 0.2),
        ),
    ),
    mistakes=(
        Mistake(
            "ratio inverted",
            "This is p̃/q: tokens that were drawn too often would count even more. Which of the two should the "
            "average be over?",
            lambda q, p, share: (_mixed_logp(q, p, share) - q).exp(),
        ),
        Mistake(
            "teacher in the denominator",
            "This is q/p, the weight of a token that the teacher drew alone. Here both had a share in the draw.",
            lambda q, p, share: (q - p).exp(),
        ),
        Mistake(
            "teacher in the numerator",
            "This is p/p̃: it makes the average one over the teacher's tokens. The reverse KL is an average over the "
            "student's.",
            lambda q, p, share: (p - _mixed_logp(q, p, share)).exp(),
        ),
        Mistake(
            "shares exchanged",
            "The shares are exchanged: `share` is the teacher's.",
            lambda q, p, share: token_weight(q, p, 1 - share),
        ),
        Mistake(
            "logarithms mixed",
            "Here the log-probabilities are mixed; a mixture adds probabilities.",
            lambda q, p, share: (q - (share * p + (1 - share) * q)).exp(),
        ),
        Mistake(
            "logarithm returned",
            "This is the logarithm of the weight.",
            lambda q, p, share: q - _mixed_logp(q, p, share),
        ),
        Mistake(
            "a small number in the denominator",
            "A small number in the denominator gives a rare token the weight 0. Stay in "
            "logarithms until the ratio is taken: it is of ordinary size.",
            _helped_weight,
        ),
    ),
    check=_check_detached,
)


# ---- 07.4: three estimators -----------------------------------------------------------------------------------------


def estimators(student_logp, teacher_logp):
    """(k1, k2, k3) of tokens x ~ q, from log q(x) and log p(x): [N], [N] -> three [N], in nats."""
    log_ratio = teacher_logp - student_logp
    # The correction e^r − 1 averages to zero under q. Adding it keeps the mean and makes every sample non-negative.
    return -log_ratio, log_ratio.square() / 2, torch.expm1(log_ratio) - log_ratio


def estimators_in_numpy(student_logp, teacher_logp):
    """In numpy and double precision; a list of arrays."""
    q, p = (np.asarray(logp.detach(), dtype=np.float64) for logp in (student_logp, teacher_logp))
    ratio = np.exp(p - q)
    return [q - p, 0.5 * (q - p) ** 2, ratio - 1 + (q - p)]


def estimators_sample_by_sample(student_logp, teacher_logp):
    """One sample after the other in plain Python; three lists."""
    k1, k2, k3 = [], [], []
    for q, p in zip(student_logp.flatten().tolist(), teacher_logp.flatten().tolist(), strict=True):
        k1.append(q - p)
        k2.append((q - p) * (q - p) / 2)
        k3.append(math.expm1(p - q) - (p - q))
    return k1, k2, k3


def _estimators(q, p, k1=lambda r: -r, k2=lambda r: r.square() / 2, k3=lambda r: r.exp() - 1 - r):
    return k1(p - q), k2(p - q), k3(p - q)


ESTIMATORS = Exercise(
    reference=estimators,
    unusual=(estimators_in_numpy, estimators_sample_by_sample),
    entries=("k1", "k2", "k3"),
    explanation=(
        "With r = log p − log q, the mean of −r over the student's tokens is the reverse KL by definition. "
        "Σ q·(p/q − 1) = Σ p − Σ q = 0, so k3 = −r + (e^r − 1) has the same mean; and e^r − 1 ≥ r makes every sample "
        "non-negative. `expm1` keeps the digits of e^r − 1 where r is small."
    ),
    cases=(
        Case("one token with q = ½ and p = ¼", lambda: (tensor([0.5]).log(), tensor([0.25]).log())),
        Case(
            "three tokens, q = (½, 0.1, 0.3) and p = (¼, 0.4, 0.3)",
            lambda: (tensor([0.5, 0.1, 0.3]).log(), tensor([0.25, 0.4, 0.3]).log()),
        ),
    ),
    mistakes=(
        Mistake(
            "k3's ratio inverted",
            "In k3 the ratio is inverted: with x ~ q its mean is then no KL at all. Which of q/p and p/q averages to "
            "1 under q?",
            lambda q, p: _estimators(q, p, k3=lambda r: (-r).exp() - 1 + r),
        ),
        Mistake(
            "k1's sign",
            "k1 has the wrong sign: its mean over the student's tokens is minus a KL.",
            lambda q, p: _estimators(q, p, k1=lambda r: r),
        ),
        Mistake(
            "everything reversed",
            "Student and teacher are exchanged throughout. With x ~ q, KL(q‖p) is the one that a mean can estimate.",
            lambda q, p: _estimators(p, q),
        ),
        Mistake(
            "half missing",
            "k2 lacks its factor: near q = p it would be twice the KL.",
            lambda q, p: _estimators(q, p, k2=lambda r: r.square()),
        ),
        Mistake(
            "k3 without −1",
            "k3 should be zero where q(x) = p(x), and this one is 1 there.",
            lambda q, p: _estimators(q, p, k3=lambda r: r.exp() - r),
        ),
        Mistake(
            "r counted with the wrong sign in k3",
            "In k3 the two parts have the same sign, so it is not tangent to zero at r = 0 and becomes negative.",
            lambda q, p: _estimators(q, p, k3=lambda r: r.exp() - 1 + r),
        ),
    ),
)

EXERCISES = {"07.1": FUTURE_RETURN, "07.2": POLICY_LOSS, "07.3": TOKEN_WEIGHT, "07.4": ESTIMATORS}
