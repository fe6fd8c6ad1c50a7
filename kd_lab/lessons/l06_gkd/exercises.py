"""Exercises of lesson 06: reference solutions, and the mistakes that their checks name."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import tensor

from kd_lab.classroom.diagnosis import Case, Exercise, Misconception, Mistake
from kd_lab.how import forward_kl, jsd, masked_mean, reverse_kl, skew_kl
from kd_lab.models import FiniteStateModel
from kd_lab.models.exact_models import window_moves
from kd_lab.worlds import Batch

# ---- 06.1: one step of GKD -------------------------------------------------------------------------------------------


def gkd_step(student, teacher, read, write, share, coin, divergence):
    """The loss of one step, in nats per counted position. `read()` and `write()` give a batch; λ is `share`."""
    # The coin comes first: a rollout costs more than everything else in the step, and is made only if it is used.
    batch = write() if coin < share else read()
    with torch.no_grad():
        teacher_logp = teacher(batch.inputs).log_softmax(-1)
    student_logp = student(batch.inputs).log_softmax(-1)
    return masked_mean(divergence(student_logp, teacher_logp), batch.mask)


def step_by_table(student, teacher, read, write, share, coin, divergence):
    """The batch from a pair that the coin's comparison indexes; only the positions that count meet, as rows."""
    batch = (read, write)[int(share > coin)]()
    right = teacher(batch.inputs).detach()[batch.mask]
    return divergence(student(batch.inputs)[batch.mask].log_softmax(1), right.log_softmax(1)).mean()


def step_text_by_text(student, teacher, read, write, share, coin, divergence):
    """A sum and a count that start at 0; the models' scores in double precision."""
    batch = read() if coin >= share else write()
    total = count = 0
    for text, counted in zip(batch.inputs, batch.mask, strict=True):
        own, right = (model(text[None])[0].double().log_softmax(-1) for model in (student, teacher))
        total = total + (divergence(own, right.detach()) * counted).sum()
        count += counted.sum()
    return total / count


def _step(on_policy, student, teacher, read, write, share, coin, divergence, *, mean=masked_mean, labels=None):
    """GKD's step with a wrong choice of the batch, a wrong order of the models, or a wrong mean."""
    batch = write() if on_policy(share, coin) else read()
    student_logp, teacher_logp = (model(batch.inputs).log_softmax(-1) for model in (student, teacher))
    values = divergence(student_logp, teacher_logp) if labels is None else labels(student_logp, batch)
    return mean(values, batch.mask)


def _heads(share, coin):
    return coin < share


def _blend(student, teacher, read, write, share, coin, divergence):
    on, off = (
        gkd_step(student, teacher, read, write, always, 0.5, divergence) for always in (1.0, 0.0)
    )  # fmt: skip
    return share * on + (1 - share) * off


def _two_models():
    """Bigrams: each sees the last token only."""
    student = [[0.5, 1.5, 0.0], [1.0, -0.5, 0.5], [0.0, 0.3, 1.2]]
    teacher = [[-0.5, 0.4, 1.5], [0.2, 0.8, -1.0], [1.4, 0.0, 0.6]]
    return tuple(FiniteStateModel(tensor(table), window_moves(3, 1), context=3) for table in (student, teacher))


FIXED = ((0, 1, 1, 0), (0, 2, 0, 0))
WRITTEN = ((0, 2, 2, 1), (0, 1, 0, 0))


def _batch(rows):
    return Batch.from_tokens(tensor(rows), end=0)


def _certain_models():
    """As before, but after token 0 the student gives token 2 a probability of e⁻⁶⁰."""
    student, teacher = _two_models()
    with torch.no_grad():
        next(student.parameters())[0] = tensor([0.0, 0.0, -60.0])
    return student, teacher


def _step_inputs(share, coin, models=_two_models):
    def inputs():
        student, teacher = models()

        def read():
            return _batch(FIXED)

        def write():
            return _batch(WRITTEN)

        return student, teacher, read, write, share, coin, forward_kl

    return inputs


def _check_step(candidate):
    """The part that values cannot show: how often the student had to write, and where a gradient flows."""
    written = []

    def write():
        written.append(1)
        return _batch(WRITTEN)

    def read():
        return _batch(FIXED)

    for coin, expected in ((0.9, 0), (0.1, 1)):
        written.clear()
        student, teacher = _two_models()
        loss = candidate(student, teacher, read, write, 0.5, coin, reverse_kl)
        if len(written) != expected:
            raise Misconception(
                "The loss is right, but the student is asked to write "
                + ("although its text is not used" if expected == 0 else "more than once")
                + ". Writing is the costly part of the step: toss the coin first.",
                (f"share = 0.5, coin = {coin}", f"write() was called {len(written)} times, expected {expected}"),
            )
        loss.backward()
        if any(parameter.grad is not None for parameter in teacher.parameters()):
            raise Misconception(
                "The loss is right, but a gradient flows into the teacher. The teacher is the yardstick: it learns "
                "nothing, and its graph only takes up memory.",
                ("after loss.backward() the teacher's parameters have a gradient", "expected: none"),
            )


GKD_STEP = Exercise(
    reference=gkd_step,
    unusual=(step_by_table, step_text_by_text),
    explanation=(
        "Only the prefixes depend on the coin; student, teacher and divergence treat them alike. A loss "
        "blended from both batches has the same expectation and less variance, and costs a rollout at every step: "
        "at λ = 0.25 four times as many. The mask counts each text up to its end, in either batch."
    ),
    cases=(
        Case("share = 0.75, coin = 0.5, two texts of three tokens and of two", _step_inputs(0.75, 0.5)),
        Case("share = 0.25, coin = 0.5: the fixed batch", _step_inputs(0.25, 0.5)),
        Case("share = 0: the student never writes, not even for a coin of 0", _step_inputs(0.0, 0.0)),
        Case(
            "share = 0.5, coin = 0.9; after the start the student gives the third token a probability of e⁻⁶⁰",
            _step_inputs(0.5, 0.9, _certain_models),
        ),
    ),
    check=_check_step,
    mistakes=(
        Mistake(
            "λ = 0 still writes",
            "At λ = 0 and a coin of exactly 0 the student writes. Coins lie in 0 ≤ coin < 1; which comparison never "
            "holds for λ = 0?",
            lambda *inputs: _step(lambda share, coin: coin <= share, *inputs),
        ),
        Mistake(
            "coin turned over",
            "The student writes where the fixed batch should be read, and the other way round: λ is the share of the "
            "student's own texts.",
            lambda *inputs: _step(lambda share, coin: coin >= share, *inputs),
        ),
        Mistake(
            "coin turned over, and strictly",
            "The student writes where the fixed batch should be taken, and the other way round. Of many coins, the "
            "share λ lies below λ: those are the student's.",
            lambda *inputs: _step(lambda share, coin: coin > share, *inputs),
        ),
        Mistake(
            "both blended",
            "Both batches are judged and their losses blended. The expectation is the same, but then the student "
            "writes at every step. One coin chooses one batch.",
            _blend,
        ),
        Mistake(
            "direction reversed",
            "The divergence was given the teacher where it expects the student. Student first, teacher second.",
            lambda student, teacher, *rest: _step(_heads, teacher, student, *rest),
        ),
        Mistake(
            "padding counted",
            "Positions after the end of a text are counted. The batch has a mask.",
            lambda *inputs: _step(_heads, *inputs, mean=lambda values, mask: values.mean()),
        ),
        Mistake(
            "batchmean",
            "The sum over the positions is divided by the number of texts: a batch of long texts makes a larger step. "
            "Divide by the number of positions that count.",
            lambda *inputs: _step(_heads, *inputs, mean=lambda values, mask: (values * mask).sum() / len(mask)),
        ),
        Mistake(
            "mask in the sum only",
            "Padding is set to zero and still counted in the mean: a batch with more padding has a smaller loss.",
            lambda *inputs: _step(_heads, *inputs, mean=lambda values, mask: (values * mask).mean()),
        ),
        Mistake(
            "sign",
            "The sign is reversed: minimising this drives the student away from its teacher.",
            lambda *inputs: -_step(_heads, *inputs),
        ),
        Mistake(
            "mean over texts",
            "Each text is averaged on its own first, so a token of a short text weighs more than one of a long "
            "text. Here every counted token weighs the same.",
            lambda *inputs: _step(
                _heads, *inputs, mean=lambda values, mask: ((values * mask).sum(1) / mask.sum(1)).mean()
            ),
        ),
        Mistake(
            "trained on its own tokens",
            "This is −log q of the batch's tokens, with no teacher in it. It is the teacher's whole distribution "
            "that should judge each prefix, on the student's own texts too.",
            lambda *inputs: _step(
                _heads,
                *inputs,
                labels=lambda logp, batch: -logp.gather(-1, batch.targets[..., None])[..., 0],
            ),
        ),
    ),
)


# ---- 06.2: the generalised Jensen–Shannon divergence -----------------------------------------------------------------


def generalised_jsd(student_logp, teacher_logp, beta):
    """β·KL(p‖m) + (1−β)·KL(q‖m), m = βp + (1−β)q, in nats: [..., V], [..., V] -> [...]."""
    # The mixture of probabilities, but in logarithms: e⁻²⁰⁰ is 0 in fp32, and log 0 times 0 is no number.
    mixture_logp = torch.logaddexp(teacher_logp + math.log(beta), student_logp + math.log(1 - beta))
    to_teacher = (teacher_logp.exp() * (teacher_logp - mixture_logp)).sum(-1)
    to_student = (student_logp.exp() * (student_logp - mixture_logp)).sum(-1)
    return beta * to_teacher + (1 - beta) * to_student


def jsd_by_entropies(student_logp, teacher_logp, beta):
    """The entropy of the mixture less the mean of the entropies, in numpy and double precision."""
    q, p = (logp.detach().double().numpy() for logp in (student_logp, teacher_logp))
    mixture = np.logaddexp(p + np.log(beta), q + np.log1p(-beta))
    entropies = [-(np.exp(one) * one).sum(axis=-1) for one in (mixture, p, q)]
    return entropies[0] - beta * entropies[1] - (1 - beta) * entropies[2]


def jsd_by_torch(student_logp, teacher_logp, beta):
    """torch's own KLs, summed from 0, against a log-sum-exp of two shifted rows."""
    weighted = ((beta, teacher_logp), (1 - beta, student_logp))
    mixture = torch.stack([logp + math.log(weight) for weight, logp in weighted]).logsumexp(0)
    total = 0
    for weight, logp in weighted:
        total = total + weight * F.kl_div(mixture, logp, reduction="none", log_target=True).sum(-1)
    return total


def _jsd(q, p, beta, *, inner=None, outer=None, mixture=None, parts=(1, 1), reverse=False):
    inner, outer = (beta if share is None else share for share in (inner, outer))
    m = torch.logaddexp(p + math.log(inner), q + math.log(1 - inner)) if mixture is None else mixture
    teacher_gap, student_gap = (
        (m.exp() * (m - side) if reverse else side.exp() * (side - m)).sum(-1) for side in (p, q)
    )
    return parts[0] * outer * teacher_gap + parts[1] * (1 - outer) * student_gap


def _geometric(q, p, beta):
    return beta * p + (1 - beta) * q


GENERALISED_JSD = Exercise(
    reference=generalised_jsd,
    unusual=(jsd_by_entropies, jsd_by_torch),
    explanation=(
        "β occurs twice, both times with the teacher: as its share of the mixture and as the weight of its KL. So "
        "JSD(β) goes to 0 at both ends, and only JSD(β)/β and JSD(β)/(1−β) tend to the KLs. `logaddexp` adds two "
        "probabilities that are known by their logarithms, without ever forming a probability that underflows."
    ),
    cases=(
        Case(
            "q = (½, ¼, ¼), p = (⅛, ⅛, ¾), β = 0.1",
            lambda: (tensor([0.5, 0.25, 0.25]).log(), tensor([0.125, 0.125, 0.75]).log(), 0.1),
        ),
        Case(
            "two positions, β = 0.7",
            lambda: (
                tensor([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]]).log(),
                tensor([[0.125, 0.125, 0.75], [0.3, 0.6, 0.1]]).log(),
                0.7,
            ),
        ),
        Case(
            "a third token that both give e⁻²⁰⁰, which is 0 in fp32, β = 0.1",
            lambda: (
                tensor([math.log(0.5), math.log(0.5), -200.0]),
                tensor([math.log(0.9), math.log(0.1), -200.0]),
                0.1,
            ),
        ),
    ),
    mistakes=(
        Mistake(
            "outer weights swapped",
            "The mixture is right, but the weights of the two KLs are exchanged. That is a different divergence, which "
            "tends to forward KL at β = 0 and to reverse KL at β = 1; GKD's does not.",
            lambda q, p, beta: _jsd(q, p, beta, outer=1 - beta),
        ),
        Mistake(
            "mixture swapped",
            "The weights are right, but the student has the share β of the mixture. m is βp + (1−β)q, p the teacher.",
            lambda q, p, beta: _jsd(q, p, beta, inner=1 - beta),
        ),
        Mistake(
            "β is the student's",
            "β goes with the student throughout: this is JSD(1−β). DistiLLM counts its λ so; here β is the teacher's.",
            lambda q, p, beta: _jsd(q, p, 1 - beta),
        ),
        Mistake(
            "logarithms mixed",
            "Here the log-probabilities are averaged, which is a geometric mixture and does not even sum to 1. A "
            "mixture adds probabilities.",
            lambda q, p, beta: _jsd(q, p, beta, mixture=_geometric(q, p, beta)),
        ),
        Mistake(
            "logarithms mixed, then normalised",
            "The mixture is the softmax of averaged log-probabilities, a geometric one. A mixture adds probabilities.",
            lambda q, p, beta: _jsd(q, p, beta, mixture=_geometric(q, p, beta).log_softmax(-1)),
        ),
        Mistake(
            "KLs reversed",
            "The two KLs run from the mixture, KL(m‖p) and KL(m‖q). They have to run from p and from q to m, which "
            "keeps them finite. (F.kl_div(input, target) is KL(target‖input).)",
            lambda q, p, beta: _jsd(q, p, beta, reverse=True),
        ),
        Mistake(
            "sign",
            "The sign is reversed: both logarithms are subtracted the wrong way round. A divergence is never negative.",
            lambda q, p, beta: -_jsd(q, p, beta),
        ),
        Mistake(
            "half of it",
            "Only the teacher's half is there: β·KL(p‖m).",
            lambda q, p, beta: _jsd(q, p, beta, parts=(1, 0)),
        ),
        Mistake(
            "the other half",
            "Only the student's half is there: (1−β)·KL(q‖m).",
            lambda q, p, beta: _jsd(q, p, beta, parts=(0, 1)),
        ),
        Mistake(
            "mean over V",
            "The terms are averaged over the vocabulary; a sum over outcomes is an expectation already.",
            lambda q, p, beta: _jsd(q, p, beta) / q.shape[-1],
        ),
    ),
)


# ---- 06.3: recognise a loss by what it does --------------------------------------------------------------------------


def recognise(theirs, candidates, student_logits, teacher_logits):
    """The name of the candidate that trains as `theirs` does, or None: two functions of (logits, logits) -> []."""

    def gradient(loss):
        logits = student_logits.clone().requires_grad_()
        return torch.autograd.grad(loss(logits, teacher_logits), logits)[0]

    # By the gradient: a loss may lack the teacher's entropy, which no student can change, and train alike.
    wanted = gradient(theirs)
    for name, loss in candidates.items():
        if torch.allclose(gradient(loss), wanted, rtol=1e-4, atol=1e-6):
            return name
    return None


def recognise_by_func(theirs, candidates, student_logits, teacher_logits):
    """torch.func's gradients in double precision; the nearest one, if it is near."""
    q, p = student_logits.double(), teacher_logits.double()
    wanted = torch.func.grad(theirs)(q, p)
    apart = {name: float((torch.func.grad(loss)(q, p) - wanted).abs().max()) for name, loss in candidates.items()}
    nearest = min(apart, key=apart.get, default=None)
    return nearest if apart and apart[nearest] < 1e-6 else None


def recognise_by_backward(theirs, candidates, student_logits, teacher_logits):
    """`backward` of a difference of losses: where they train alike, its gradient is zero."""
    for name in candidates:
        logits = student_logits.detach().clone().requires_grad_(True)
        (candidates[name](logits, teacher_logits) - theirs(logits, teacher_logits)).backward()
        if all(abs(slope) < 1e-6 for slope in logits.grad.flatten().tolist()):
            return name
    return None


def _gradient(loss, student_logits, teacher_logits):
    logits = student_logits.clone().requires_grad_()
    return torch.autograd.grad(loss(logits, teacher_logits), logits)[0]


def _first(same):
    return lambda theirs, candidates, q, p: next(
        (n for n, loss in candidates.items() if same(theirs, loss, q, p)), None
    )


def _nearest(theirs, candidates, q, p):
    wanted = _gradient(theirs, q, p)
    return min(candidates, key=lambda name: (_gradient(candidates[name], q, p) - wanted).norm())


def _same_value(theirs, loss, q, p):
    return torch.allclose(theirs(q, p), loss(q, p), rtol=1e-4, atol=1e-6)


def _same_at_equality(theirs, loss, q, p):
    return torch.allclose(_gradient(theirs, p, p), _gradient(loss, p, p), atol=1e-5)


def _same_direction(theirs, loss, q, p):
    one, other = _gradient(theirs, q, p).flatten(), _gradient(loss, q, p).flatten()
    return bool(one @ other > 0.99999 * one.norm() * other.norm())


def _mean(divergence, **options):
    def loss(student_logits, teacher_logits):
        return divergence(student_logits.log_softmax(-1), teacher_logits.log_softmax(-1), **options).mean()

    return loss


OURS = {
    "forward KL": _mean(forward_kl),
    "skew KL(0.1)": _mean(skew_kl, beta=0.1),
    "JSD(0.9)": _mean(jsd, beta=0.9),
    "JSD(0.1)": _mean(jsd, beta=0.1),
}


def _cross_entropy(student_logits, teacher_logits):
    return -(teacher_logits.softmax(-1) * student_logits.log_softmax(-1)).sum(-1).mean()


def _twice(student_logits, teacher_logits):
    return 2 * OURS["JSD(0.9)"](student_logits, teacher_logits)


def _student_share(student_logits, teacher_logits):
    q, p = student_logits.softmax(-1), teacher_logits.softmax(-1)
    m = 0.1 * p + 0.9 * q
    return (0.1 * (p * (p / m).log()) + 0.9 * (q * (q / m).log())).sum(-1).mean()


def _recognise_inputs(theirs):
    def inputs():
        student = tensor([[1.0, 0.0, -1.0], [0.5, -2.0, 1.0]])
        teacher = tensor([[-1.0, 1.5, 0.0], [2.0, 0.0, 0.3]])
        return theirs, dict(OURS), student, teacher

    return inputs


def _recognise_drawn(theirs):
    """For a grade: the candidates in another order and under other names, at other logits."""

    def drawn(generator):
        order = generator.permutation(len(OURS))
        candidates = {f"candidate {letter}": list(OURS.values())[at] for letter, at in zip("ABCD", order, strict=True)}
        student, teacher = generator.normal(size=(2, 2, 3))
        return theirs, candidates, tensor(student.tolist()), tensor(teacher.tolist())

    return drawn


def _recognise_case(description, theirs):
    return Case(description, _recognise_inputs(theirs), _recognise_drawn(theirs))


def _named(function, name):
    function.__name__ = name
    return function


RECOGNISE = Exercise(
    reference=recognise,
    unusual=(recognise_by_func, recognise_by_backward),
    explanation=(
        "Training sees gradients and nothing else, so two losses are one if their gradients agree on generic "
        "logits: away from q = p, where every divergence has gradient zero, and with more than one position. A "
        "factor is a difference (it changes the step under SGD, the clipping, and the weight beside another loss); a "
        "constant is none. And where no candidate agrees, the answer is None."
    ),
    cases=(
        _recognise_case("a JSD whose λ = 0.9 is the student's share", _named(_student_share, "student_share")),
        _recognise_case("a cross-entropy with the teacher's distribution", _named(_cross_entropy, "cross_entropy")),
        _recognise_case("reverse KL, which is no candidate", _named(_mean(reverse_kl), "reverse_KL")),
        _recognise_case("JSD(0.9), twice", _named(_twice, "twice_JSD")),
    ),
    mistakes=(
        Mistake(
            "values compared",
            "It compares values. A cross-entropy is larger than forward KL by the teacher's entropy, which no student "
            "can change: it trains in the same way.",
            _first(_same_value),
        ),
        Mistake(
            "direction only",
            "It compares directions only. Twice the loss is another setting: it weighs double beside any other loss.",
            _first(_same_direction),
        ),
        Mistake(
            "the nearest",
            "It names the nearest candidate, however far away. Where none trains in the same way, the answer is None.",
            _nearest,
        ),
        Mistake(
            "at equality",
            "It compares gradients where student and teacher agree. There every divergence has the gradient 0, and the "
            "first candidate passes. Use the logits of the student.",
            _first(_same_at_equality),
        ),
        Mistake(
            "never",
            "It recognises nothing here. Equal gradients that were computed in different ways differ by rounding: "
            "compare with a tolerance.",
            lambda theirs, candidates, q, p: candidates.get(None),
        ),
    ),
)

EXERCISES = {"06.1": GKD_STEP, "06.2": GENERALISED_JSD, "06.3": RECOGNISE}
