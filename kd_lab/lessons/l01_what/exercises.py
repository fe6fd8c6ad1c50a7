"""Exercises of lesson 01: reference solutions, and the mistakes that their checks name."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import tensor

from kd_lab.classroom.diagnosis import Case, Exercise, Misconception, Mistake

# ---- 01.1: soft targets ---------------------------------------------------------------------------------------------


def soft_loss(student_logits, teacher_logits, temperature):
    """τ²·KL(p‖q) with both sides softened by τ, in nats: [..., V], [..., V], a number -> [...]."""
    student_logp = (student_logits / temperature).log_softmax(-1)
    teacher_logp = (teacher_logits / temperature).log_softmax(-1)
    gap = (teacher_logp.exp() * (teacher_logp - student_logp)).sum(-1)
    # The gap shrinks as 1/τ² when both sides flatten; τ² gives it its size back.
    return temperature**2 * gap


def soft_in_numpy(student_logits, teacher_logits, temperature):
    """Double precision and numpy, on copies that are changed in place."""
    q, p = (np.array(logits, dtype=np.float64) for logits in (student_logits, teacher_logits))
    for side in (q, p):
        side /= temperature
        side -= np.logaddexp.reduce(side, axis=-1, keepdims=True)
    return temperature * temperature * (np.exp(p) * (p - q)).sum(-1)


def soft_from_logp(student_logits, teacher_logits, temperature):
    """Log-probabilities are divided and normalised again, and torch's own KL is summed token by token from 0."""
    q, p = ((logits.log_softmax(-1) / temperature).log_softmax(-1) for logits in (student_logits, teacher_logits))
    terms = F.kl_div(q, p, reduction="none", log_target=True)
    return temperature**2 * sum(terms[..., token] for token in range(terms.shape[-1]))


def _batchmean(student, teacher, tau):
    q, p = (student / tau).log_softmax(-1), (teacher / tau).log_softmax(-1)
    return tau**2 * F.kl_div(q, p, reduction="batchmean", log_target=True)


def _soft(student, teacher, tau, *, student_tau=None, teacher_tau=None, power=2, entropy=True):
    q = (student / (student_tau or tau)).log_softmax(-1)
    p = (teacher / (teacher_tau or tau)).log_softmax(-1)
    return tau**power * (p.exp() * (p - q if entropy else -q)).sum(-1)


SOFT_LOSS = Exercise(
    reference=soft_loss,
    unusual=(soft_in_numpy, soft_from_logp),
    explanation=(
        "Temperature divides the logits on both sides: the softened student has to match the softened teacher. "
        "Dividing log-probabilities by τ and normalising again gives the same, since the softmax ignores a constant "
        "added to all logits. The factor τ² is no part of the KL; it keeps the loss's weight beside other terms while "
        "you change τ. If you reach for torch's `F.kl_div(input, target)`: it computes "
        "KL(target‖input) from the *log*-probabilities of the input, so the student stands first, and its "
        '`reduction="mean"` divides by V too.'
    ),
    cases=(
        Case(
            "one position, three tokens, τ = 2",
            lambda: (tensor([1.0, 0.0, -1.0]), tensor([0.0, 2.0, -2.0]), 2.0),
        ),
        Case(
            "the student gives the second token e⁻⁶⁰, τ = 2",
            lambda: (tensor([0.0, -120.0, 0.0]), tensor([0.0, 0.0, 0.0]), 2.0),
        ),
        Case(
            "two positions, τ = 4",
            lambda: (
                tensor([[1.0, 0.0, -1.0], [0.5, 0.5, 3.0]]),
                tensor([[0.0, 2.0, -2.0], [1.0, -1.0, 0.0]]),
                4.0,
            ),
        ),
    ),
    mistakes=(
        Mistake(
            "sign",
            "The sign is reversed: a KL is never negative, and minimising this would drive the student away.",
            lambda q, p, tau: -_soft(q, p, tau),
        ),
        Mistake(
            "batchmean",
            'With `reduction="batchmean"` torch adds up all and divides by the length of the first axis. Here each '
            "position keeps its own number: only the tokens are summed.",
            _batchmean,
        ),
        Mistake(
            "a small number inside the logarithm",
            "A small number is added inside a logarithm. To rule out a token that the teacher does not rule out is "
            "the costliest mistake there is, and this caps its price. `log_softmax` needs no such help.",
            lambda q, p, tau: (
                tau**2
                * ((p / tau).softmax(-1) * ((p / tau).log_softmax(-1) - ((q / tau).softmax(-1) + 1e-8).log())).sum(-1)
            ),
        ),
        Mistake(
            "no τ²",
            "This is the KL of the softened sides without its factor: at τ = 10 it would weigh a hundredth beside "
            "any other term of a loss.",
            lambda q, p, tau: _soft(q, p, tau, power=0),
        ),
        Mistake(
            "τ once",
            "The factor here is τ. One τ is lost where the logits are divided, and another because the two softened "
            "distributions come closer: the loss needs both back.",
            lambda q, p, tau: _soft(q, p, tau, power=1),
        ),
        Mistake(
            "only the teacher softened",
            "The student is compared unsoftened with a softened teacher. Used at τ = 1 later, it would then be as flat "
            "as its targets were.",
            lambda q, p, tau: _soft(q, p, tau, student_tau=1.0),
        ),
        Mistake(
            "only the student softened",
            "The teacher is not softened here: its small probabilities stay as small as they were.",
            lambda q, p, tau: _soft(q, p, tau, teacher_tau=1.0),
        ),
        Mistake(
            "direction reversed",
            "This is τ²·KL(q‖p): here the student's probabilities weigh the terms. They should be the teacher's.",
            lambda q, p, tau: _soft(p, q, tau),
        ),
        Mistake(
            "cross-entropy",
            "This is the cross-entropy: its gradient is right and its value is not zero where student and teacher "
            "agree. The teacher's entropy is still in it.",
            lambda q, p, tau: _soft(q, p, tau, entropy=False),
        ),
        Mistake(
            "mean over V",
            "The terms are averaged over the vocabulary. A sum over tokens weighed by p is an average already.",
            lambda q, p, tau: _soft(q, p, tau) / q.shape[-1],
        ),
        Mistake(
            "multiplied by τ",
            "The logits are multiplied by τ, which sharpens. Which operation brings them closer together?",
            lambda q, p, tau: tau**2 * _soft(q, p, 1 / tau, power=0),
        ),
    ),
)


# ---- 01.2: where the gradient goes ----------------------------------------------------------------------------------


def limit_gradient(student_logits, teacher_logits):
    """The limit of the gradient of τ²·KL with respect to the student's logits as τ → ∞: [..., V] -> [..., V]."""
    difference = student_logits - teacher_logits
    # A constant added to all logits changes no distribution, so the gradient cannot depend on it.
    return (difference - difference.mean(-1, keepdim=True)) / difference.shape[-1]


def limit_in_numpy(student_logits, teacher_logits):
    """In numpy and double precision, centred in place on a copy."""
    difference = student_logits.detach().numpy().astype(np.float64) - teacher_logits.detach().numpy()
    difference -= difference.mean(axis=-1, keepdims=True)
    return difference / difference.shape[-1]


def limit_by_matrix(student_logits, teacher_logits):
    """The Hessian of log-sum-exp where all is flat, as a matrix: diag(1/V) − 1/V²."""
    size = student_logits.shape[-1]
    hessian = torch.full((size, size), -1 / size**2, dtype=student_logits.dtype)
    hessian.diagonal().add_(1 / size)
    return student_logits @ hessian - teacher_logits @ hessian


LIMIT_GRADIENT = Exercise(
    reference=limit_gradient,
    unusual=(limit_in_numpy, limit_by_matrix),
    explanation=(
        "At large τ, $e^{z/\\tau}\\approx 1+z/\\tau$, so a softmax is $\\frac1V\\big(1+(z-\\bar z)/\\tau\\big)$. The "
        "difference of two is $\\frac{1}{V\\tau}$ times the difference of the centred logits, and the gradient is τ "
        "times that. It is the gradient of half the squared distance between centred logits, over V: very soft "
        "distillation is regression on logits."
    ),
    cases=(
        Case("three tokens", lambda: (tensor([1.0, 0.0, -1.0]), tensor([0.0, 2.0, -5.0]))),
        Case(
            "two positions of four tokens",
            lambda: (
                tensor([[1.0, 0.0, -1.0, 2.0], [0.5, 0.5, 3.0, 0.0]]),
                tensor([[0.0, 2.0, -2.0, 5.0], [1.0, -1.0, 0.0, -7.0]]),
            ),
        ),
    ),
    mistakes=(
        Mistake(
            "sign",
            "The sign is reversed: a step against this gradient would lower the logits that the teacher has higher.",
            lambda q, p: -limit_gradient(q, p),
        ),
        Mistake(
            "not centred",
            "This gradient does not sum to zero over the tokens. Add 5 to all of the teacher's logits: no distribution "
            "changes, and this answer does.",
            lambda q, p: (q - p) / q.shape[-1],
        ),
        Mistake(
            "V missing",
            "The size is V times too large: each softmax is near 1/V when everything is flat.",
            lambda q, p: limit_gradient(q, p) * q.shape[-1],
        ),
        Mistake(
            "neither centred nor divided",
            "This is the bare difference of logits. What does the softmax forget about its logits, and how large is "
            "each probability when everything is flat?",
            lambda q, p: q - p,
        ),
        Mistake(
            "probabilities",
            "This is q − p at τ = 1, the gradient of the unsoftened loss. In the limit the logits themselves remain.",
            lambda q, p: q.softmax(-1) - p.softmax(-1),
        ),
    ),
)


# ---- 01.3: a hint ---------------------------------------------------------------------------------------------------


def hint_loss(student_hidden, projector, teacher_hidden, mask):
    """Mean over counted positions of ½‖W·h − g‖²: [B, T, S], [G, S], [B, T, G], [B, T] -> []."""
    # The teacher is a fixed target; without detach a shared graph would move it toward the student.
    difference = student_hidden @ projector.T - teacher_hidden.detach()
    return (difference.square().sum(-1) / 2)[mask].mean()


def hint_by_position(student_hidden, projector, teacher_hidden, mask):
    """One position after the other, with a sum and a count that start at 0."""
    total = count = 0
    for text, t in mask.nonzero().tolist():
        miss = projector @ student_hidden[text, t] - teacher_hidden[text, t].detach()
        total = total + miss @ miss
        count += 1
    return total / (2 * count)


def hint_by_torch(student_hidden, projector, teacher_hidden, mask):
    """torch's squared error, summed in double precision over the positions that count."""
    guessed = F.linear(student_hidden[mask], projector).double()
    return F.mse_loss(guessed, teacher_hidden[mask].detach().double(), reduction="sum") / mask.sum() / 2


def _hint(student, projector, teacher, mask, *, scale=0.5, norm=lambda d: d.square().sum(-1), masked=True):
    values = scale * norm(student @ projector.T - teacher)
    return values[mask].mean() if masked else values.mean()


def _hint_case(rows=slice(None)):
    # 2 texts of 5 positions, 7 of which count, widths 2 and 3: no two of these divisors can be confused
    student = tensor(
        [
            [[1.0, 0.0], [2.0, -1.0], [0.0, 1.0], [1.0, 1.0], [-1.0, 2.0]],
            [[0.0, 3.0], [1.0, -2.0], [9.0, 9.0], [7.0, 8.0], [6.0, -9.0]],
        ]
    )
    teacher = tensor(
        [
            [[1.0, 2.0, 0.0], [0.0, -2.0, 1.0], [1.0, 0.0, 1.0], [2.0, 2.0, 0.0], [0.0, 3.0, 1.0]],
            [[4.0, 1.0, 1.0], [1.0, -3.0, 2.0], [-5.0, 0.0, 5.0], [6.0, 0.0, 0.0], [0.0, 8.0, 0.0]],
        ]
    )
    projector = tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
    mask = tensor([[True, True, True, True, True], [True, True, False, False, False]])
    return student[rows], projector, teacher[rows], mask[rows]


def _check_hint_gradients(candidate):
    """Values cannot show where the gradient flows."""
    student, projector, teacher, mask = _hint_case()
    for tensor_ in (student, projector, teacher):
        tensor_.requires_grad_()
    loss = candidate(student, projector, teacher, mask)
    if not loss.requires_grad:
        raise Misconception(
            "The value is right and no gradient leaves it: neither student nor projector would learn.",
            ("loss.requires_grad is False", "expected: True"),
        )
    gradients = torch.autograd.grad(loss, (student, projector, teacher), allow_unused=True)
    for name, gradient in zip(("student's hidden states", "projector"), gradients[:2], strict=True):
        if gradient is None:
            raise Misconception(
                f"The value is right, but no gradient reaches the {name}: student and projector both have to learn.",
                (f"gradient of the loss with respect to the {name}: none", "expected: one of its shape"),
            )
    if gradients[2] is not None and gradients[2].abs().sum() > 0:
        raise Misconception(
            "The value is right, but a gradient flows to the teacher: with a teacher that can learn, the two would "
            "meet half-way.",
            ("teacher_hidden requires a gradient and gets one", "expected: it gets none"),
        )


HINT_LOSS = Exercise(
    reference=hint_loss,
    unusual=(hint_by_position, hint_by_torch),
    explanation=(
        "The projector turns a student's vector into one of the teacher's width, so that they can be subtracted. The "
        "sum runs over the features of a position, the mean over positions that count. W is learned and thrown away "
        "after training: the student may keep its own axes, as long as the teacher's can be read off them."
    ),
    cases=(
        Case("one text of five positions", lambda: _hint_case(slice(0, 1))),
        Case("two texts, the second ends after two positions", _hint_case),
    ),
    mistakes=(
        Mistake(
            "half missing",
            "This is twice the loss: the ½ that makes its gradient the plain difference is missing.",
            lambda *inputs: _hint(*inputs, scale=1.0),
        ),
        Mistake(
            "mean over features",
            "The squares are averaged over the teacher's features. A teacher of twice the width would count half.",
            lambda *inputs: _hint(*inputs, norm=lambda d: d.square().mean(-1)),
        ),
        Mistake(
            "mean over features without the half",
            "This is torch's mse_loss over the counted positions: it averages over the features too. The hint is half "
            "the sum of squares of a position.",
            lambda *inputs: _hint(*inputs, norm=lambda d: d.square().mean(-1), scale=1.0),
        ),
        Mistake(
            "padding counted",
            "Padding is counted: the student would copy the teacher's features from behind the end of a name.",
            lambda *inputs: _hint(*inputs, masked=False),
        ),
        Mistake(
            "mask only in the sum",
            "Padding is left out of the sum but still counted in the divisor: a batch with more padding would have a "
            "smaller loss.",
            lambda student, projector, teacher, mask: _hint(student, projector, teacher, mask) * mask.float().mean(),
        ),
        Mistake(
            "not squared",
            "This is the distance and not its square: near the target its gradient would keep its full length.",
            lambda *inputs: _hint(*inputs, norm=lambda d: d.square().sum(-1).sqrt()),
        ),
        Mistake(
            "mean over texts",
            "Each text is averaged first, then the texts, so that a position of a short name weighs more than one of "
            "a long name. Every position that counts weighs the same.",
            lambda student, projector, teacher, mask: (
                ((student @ projector.T - teacher).square().sum(-1) / 2 * mask).sum(1) / mask.sum(1)
            ).mean(),
        ),
        Mistake(
            "divided by the number of texts",
            "The positions are summed and divided by the number of texts: long names weigh more. Divide by the number "
            "of positions that count.",
            lambda student, projector, teacher, mask: (
                ((student @ projector.T - teacher).square().sum(-1) / 2 * mask).sum(1).mean()
            ),
        ),
        Mistake(
            "sum over positions",
            "The positions are added and not averaged, so a batch of longer names would count for more.",
            lambda student, projector, teacher, mask: _hint(student, projector, teacher, mask) * mask.sum(),
        ),
    ),
    check=_check_hint_gradients,
)


# ---- 01.4: relations ------------------------------------------------------------------------------------------------


def distance_relation(hidden, mask):
    """Distances between texts in units of their mean: [B, T, W], [B, T] -> [B, B]."""
    weights = mask[..., None].to(hidden.dtype)
    texts = (hidden * weights).sum(1) / weights.sum(1)
    distances = (texts[:, None] - texts[None]).square().sum(-1).sqrt()
    # B·(B − 1) ordered pairs of two different texts: the zeros of the diagonal are no distances.
    return distances / (distances.sum() / (len(texts) * (len(texts) - 1)))


def relation_pair_by_pair(hidden, mask):
    """Two loops over texts in numpy, and a mean over pairs that is summed from 0; a list of lists."""
    texts = [states[counted].mean(0) for states, counted in zip(hidden.double().numpy(), mask.numpy(), strict=True)]
    rows = [[float(np.linalg.norm(one - other)) for other in texts] for one in texts]
    total = 0
    for row in rows:
        total += sum(row)
    mean = total / (len(texts) ** 2 - len(texts))
    return [[distance / mean for distance in row] for row in rows]


def relation_by_pdist(hidden, mask):
    """The pairs above the diagonal alone, in double precision, put into both halves of the matrix."""
    kept = hidden.double() * mask.unsqueeze(2)
    pairs = torch.pdist(kept.sum(1) / mask.sum(1, keepdim=True))
    matrix = torch.zeros(len(hidden), len(hidden), dtype=torch.float64)
    above = torch.triu_indices(len(hidden), len(hidden), 1)
    matrix[above[0], above[1]] = pairs / pairs.mean()
    return matrix + matrix.mT


def _relation(hidden, mask, *, pool=None, square=False, diagonal=False, unit=lambda d, mean: d / mean):
    weights = mask[..., None].to(hidden.dtype)
    texts = (hidden * weights).sum(1) / weights.sum(1) if pool is None else pool(hidden, weights)
    distances = (texts[:, None] - texts[None]).square().sum(-1)
    distances = distances if square else distances.sqrt()
    pairs = len(texts) ** 2 if diagonal else len(texts) * (len(texts) - 1)
    return unit(distances, distances.sum() / pairs)


def _last(hidden, weights):
    ends = weights[..., 0].sum(1).long() - 1
    return hidden[torch.arange(len(hidden)), ends]


def _relation_case():
    hidden = tensor([[[0.0, 0.0], [0.0, 2.0]], [[4.0, 1.0], [8.0, 1.0]], [[1.0, 9.0], [7.0, 7.0]]])
    return hidden, tensor([[True, True], [True, True], [True, False]])


DISTANCE_RELATION = Exercise(
    reference=distance_relation,
    unusual=(relation_pair_by_pair, relation_by_pdist),
    explanation=(
        "A text is the mean of the states that count, so that long and short names can be compared. Dividing by the "
        "mean distance takes the unit out: a student whose features are all ten times as large, turned or shifted has "
        "the same relations. That is why no projector is needed, and the widths may differ. Training "
        "through it takes one precaution: the root is infinitely steep at zero, so the library keeps its argument "
        "slightly above."
    ),
    cases=(
        Case(
            "three texts of one position each: a triangle with the sides 3, 4 and 5",
            lambda: (
                tensor([[[0.0, 0.0]], [[3.0, 0.0]], [[0.0, 4.0]]]),
                tensor([[True], [True], [True]]),
            ),
        ),
        Case("three texts of two positions, the last position of the third is padding", _relation_case),
    ),
    mistakes=(
        Mistake(
            "diagonal in the mean",
            "The mean runs over all B² entries, the diagonal among them: a text's distance from itself is always zero, "
            "and counting it makes the mean depend on the batch size.",
            lambda hidden, mask: _relation(hidden, mask, diagonal=True),
        ),
        Mistake(
            "squared distance",
            "These are squared distances: far pairs count for more than they should. A root is missing.",
            lambda hidden, mask: _relation(hidden, mask, square=True),
        ),
        Mistake(
            "no unit",
            "The distances are still in the units of the features. A teacher of another width or scale could not be "
            "copied.",
            lambda hidden, mask: _relation(hidden, mask, unit=lambda d, mean: d),
        ),
        Mistake(
            "largest distance as the unit",
            "The unit is the largest distance. One outlier in the batch would shrink all others; take the mean.",
            lambda hidden, mask: _relation(hidden, mask, unit=lambda d, mean: d / d.max()),
        ),
        Mistake(
            "padding pooled",
            "The mean of a text runs over its padding as well. The mask says which states belong to it.",
            lambda hidden, mask: _relation(hidden, mask, pool=lambda h, w: h.mean(1)),
        ),
        Mistake(
            "sum instead of a mean",
            "The states of a text are added, or divided by the padded length: a long name lies far from a short one by "
            "its length alone. Divide by how many positions count.",
            lambda hidden, mask: _relation(hidden, mask, pool=lambda h, w: (h * w).sum(1)),
        ),
        Mistake(
            "last state only",
            "Only the last state of each text is used. Here a text is the mean of all of its states that count.",
            lambda hidden, mask: _relation(hidden, mask, pool=_last),
        ),
    ),
)

EXERCISES = {"01.1": SOFT_LOSS, "01.2": LIMIT_GRADIENT, "01.3": HINT_LOSS, "01.4": DISTANCE_RELATION}
