"""Exercises of lesson 00: reference solutions, and the mistakes that their checks name."""

import numpy as np
import torch
import torch.nn.functional as F

from kd_lab.classroom.diagnosis import Case, Exercise, Misconception, Mistake
from kd_lab.how import forward_kl, masked_mean
from kd_lab.models import TabularModel
from kd_lab.worlds import Batch

# ---- 00.1 --------------------------------------------------------------------------------------------------------


def text_logp(logits, tokens, mask):
    """log p of each text, in nats: logits [B, T, V], tokens [B, T + 1], mask [B, T] -> [B]."""
    logp = logits.log_softmax(-1)
    # Row t of the logits was computed after reading tokens 0 … t, so it predicts token t + 1.
    chosen = logp.gather(-1, tokens[:, 1:, None]).squeeze(-1)
    # The log of a product is a sum of logarithms; what comes after the end mark is padding, not an event.
    return (chosen * mask).sum(-1)


def _chosen(logits, tokens):
    return logits.log_softmax(-1).gather(-1, tokens[:, 1:, None]).squeeze(-1)


def _not_shifted(logits, tokens, mask):
    return (logits.log_softmax(-1).gather(-1, tokens[:, :-1, None]).squeeze(-1) * mask).sum(-1)


def _raw_logits(logits, tokens, mask):
    return (logits.gather(-1, tokens[:, 1:, None]).squeeze(-1) * mask).sum(-1)


def letter_by_letter(logits, tokens, mask):
    """Each text for itself, in numpy and double precision, its sum starting at 0; a list of numbers."""
    texts = []
    for scores, text, counted in zip(logits.detach().double().numpy(), tokens.numpy(), mask.numpy(), strict=True):
        total = 0
        for t in range(len(text) - 1):
            if counted[t]:
                total += scores[t, text[t + 1]] - np.logaddexp.reduce(scores[t])
        texts.append(float(total))
    return texts


def minus_cross_entropy(logits, tokens, mask):
    """torch's own loss, whose classes stand on the second axis; padding is overwritten in place."""
    lost = F.cross_entropy(logits.double().transpose(1, 2), tokens[:, 1:], reduction="none")
    lost[~mask] = 0
    return -lost.sum(dim=1)


def _logits_of(*rows):
    """Logits whose softmax is given, shifted by one so that they are no log-probabilities."""
    return torch.tensor(rows).log() + 1.0


def _one_text():
    """The text "b" and its end mark, V = 3: p = ¼ · ½."""
    return _logits_of([[0.5, 0.25, 0.25], [0.5, 0.3, 0.2]]), torch.tensor([[0, 2, 0]]), torch.ones(1, 2).bool()


def _two_texts():
    """ "ab" and "b"; the second is padded, and its padding is not certain."""
    logits = _logits_of(
        [[0.2, 0.5, 0.3], [0.1, 0.3, 0.6], [0.7, 0.2, 0.1]], [[0.2, 0.5, 0.3], [0.5, 0.4, 0.1], [0.4, 0.4, 0.2]]
    )
    batch = Batch.from_tokens(torch.tensor([[0, 1, 2, 0], [0, 2, 0, 0]]), end=0)
    return logits, batch.tokens, batch.mask


def _next_to_impossible():
    """The text "a" over V = 3, whose letter has the probability e⁻⁶⁰ / 2."""
    return torch.tensor([[[0.0, -60.0, 0.0], [0.0, 0.0, 0.0]]]), torch.tensor([[0, 1, 0]]), torch.ones(1, 2).bool()


TEXT_LOGP = Exercise(
    reference=text_logp,
    unusual=(letter_by_letter, minus_cross_entropy),
    explanation=(
        "`logits[:, t]` was computed after reading tokens 0 … t, so its distribution is that of token t + 1: the "
        "tokens are shifted by one, once. The text's probability is the product of the probabilities on its path, the "
        "end mark included, so its logarithm is a sum; the mask keeps the padding out of it."
    ),
    cases=(
        Case("the text “b” over the symbols . a b, nothing padded", _one_text),
        Case("the texts “ab” and “b”, the second one padded", _two_texts),
        Case("the text “a”, to which the model gives next to no probability: e⁻⁶⁰ / 2 · ⅓", _next_to_impossible),
    ),
    mistakes=(
        Mistake(
            "shift by one",
            "Each distribution is asked for the token that was read last. At position t the model has read tokens "
            "0 … t: which token does it predict?",
            _not_shifted,
        ),
        Mistake(
            "end mark forgotten",
            "The end mark is missing from the sum. That a text ends here, and not later, is one of its events and has "
            "a probability of its own; without it “ab” and the beginning of “abba” would be equally likely.",
            lambda logits, tokens, mask: (_chosen(logits, tokens) * (tokens[:, 1:] != 0)).sum(-1),
        ),
        Mistake(
            "padding counted",
            "Positions after the end mark are added too. After its end a text makes no more choices: whatever the "
            "model predicts there is no part of it.",
            lambda logits, tokens, mask: _chosen(logits, tokens).sum(-1),
        ),
        Mistake(
            "mean, not sum",
            "This averages over the positions. That is the log-probability per token, good for comparing models; the "
            "probability of a text is a product of all its factors.",
            lambda logits, tokens, mask: (_chosen(logits, tokens) * mask).sum(-1) / mask.sum(-1),
        ),
        Mistake(
            "raw logits",
            "These are sums of logits, which are log-probabilities only up to a constant that differs from position "
            "to position. What turns a row of logits into a distribution?",
            _raw_logits,
        ),
        Mistake(
            "probability, no logarithm",
            "This is the probability itself. For a text of 200 tokens it is too small for a float, which is why "
            "everyone keeps its logarithm.",
            lambda logits, tokens, mask: text_logp(logits, tokens, mask).exp(),
        ),
        Mistake(
            "sign",
            "This is −log p, the loss of a text. Asked for is log p itself, which is never above 0.",
            lambda logits, tokens, mask: -text_logp(logits, tokens, mask),
        ),
        Mistake(
            "a small number inside the logarithm",
            "A small number is added inside the logarithm, and then no text can be less likely than that number. "
            "`log_softmax` needs no such help: it never forms the probability.",
            lambda logits, tokens, mask: (
                (logits.softmax(-1).gather(-1, tokens[:, 1:, None]).squeeze(-1) + 1e-8).log() * mask
            ).sum(-1),
        ),
        Mistake(
            "sum over the batch",
            "The texts of the batch are added up. Each row is a text of its own and keeps its own number.",
            lambda logits, tokens, mask: text_logp(logits, tokens, mask).sum(),
        ),
    ),
)

# ---- 00.2 --------------------------------------------------------------------------------------------------------


def tree_kl(student, teacher):
    """KL between two trees, in nats; student and teacher are lists of tables [V**t, V] of log-probabilities."""
    total, path_logp = 0.0, torch.zeros(1)  # one prefix of no tokens, and it is certain
    for student_table, teacher_table in zip(student, teacher, strict=True):
        # The teacher walks: a node counts as often as the teacher reaches it.
        total = total + (path_logp.exp() * forward_kl(student_table, teacher_table)).sum()
        path_logp = (path_logp[:, None] + teacher_table).flatten()
    return total


def text_by_text(student, teacher):
    """No node is visited for itself: all texts are listed, each with its two probabilities, and summed from 0."""
    total, size = 0, teacher[0].shape[-1]
    for text in np.ndindex(*[size] * len(teacher)):
        log_p = log_q = node = 0
        for token, p, q in zip(text, teacher, student, strict=True):
            log_p, log_q = log_p + p[node, token].item(), log_q + q[node, token].item()
            node = node * size + token
        if log_p > -np.inf:  # what the teacher never writes adds nothing
            total += np.exp(log_p) * (log_p - log_q)
    return total


def from_the_leaves(student, teacher):
    """Backwards in double precision: a node's gap is its own and the mean gap of what follows it."""
    below = 0
    for q, p in zip(reversed(student), reversed(teacher), strict=True):
        own = F.kl_div(q.double(), p.double(), reduction="none", log_target=True).nan_to_num(nan=0)  # 0 · log 0
        if torch.is_tensor(below):
            own += p.double().exp() * below.view_as(p)
        below = own.sum(1)
    return below[0]


def _weighted(student, teacher, weigh):
    """Σ over depths of Σ weight · KL, with `weigh(depth, log-probabilities of the paths so far)`."""
    total, path_logp = 0.0, torch.zeros(1)
    for depth, (student_table, teacher_table) in enumerate(zip(student, teacher, strict=True)):
        total = total + (weigh(depth, path_logp) * forward_kl(student_table, teacher_table)).sum()
        path_logp = (path_logp[:, None] + teacher_table).flatten()
    return total


def _student_walks(student, teacher):
    total, path_logp = 0.0, torch.zeros(1)
    for student_table, teacher_table in zip(student, teacher, strict=True):
        total = total + (path_logp.exp() * forward_kl(student_table, teacher_table)).sum()
        path_logp = (path_logp[:, None] + student_table).flatten()
    return total


def _with_nan(student, teacher):
    total, reach = 0.0, torch.ones(1)
    for q, p in zip(student, teacher, strict=True):
        total = total + (reach[:, None] * p.exp() * (p - q)).sum()
        reach = (reach[:, None] * p.exp()).flatten()
    return total


def _last_step_only(student, teacher):
    total, weight = 0.0, torch.ones(1)
    for student_table, teacher_table in zip(student, teacher, strict=True):
        total = total + (weight * forward_kl(student_table, teacher_table)).sum()
        weight = teacher_table.exp().flatten()
    return total


def _reversed_at_nodes(student, teacher):
    total, path_logp = 0.0, torch.zeros(1)
    for student_table, teacher_table in zip(student, teacher, strict=True):
        total = total + (path_logp.exp() * forward_kl(teacher_table, student_table)).sum()
        path_logp = (path_logp[:, None] + teacher_table).flatten()
    return total


def _two_letters():
    """V = 2, L = 2. They differ at the root and after the second symbol."""
    student = [torch.tensor([[0.4, 0.6]]).log(), torch.tensor([[0.5, 0.5], [0.5, 0.5]]).log()]
    teacher = [torch.tensor([[0.75, 0.25]]).log(), torch.tensor([[0.5, 0.5], [0.9, 0.1]]).log()]
    return student, teacher


def _three_letters():
    """V = 3, L = 3, every conditional its own."""
    generator = torch.Generator().manual_seed(0)
    return tuple([(2 * torch.randn(3**t, 3, generator=generator)).log_softmax(-1) for t in range(3)] for _ in range(2))


def _one_road():
    """V = 2, L = 2; the teacher's first symbol is certain, its second a toss of a coin."""
    half = torch.tensor([[0.5, 0.5]]).log()
    student = [torch.tensor([[0.75, 0.25]]).log(), torch.tensor([[0.75, 0.25], [0.5, 0.5]]).log()]
    return student, [torch.tensor([[0.0, -torch.inf]]), half.repeat(2, 1)]


def _one_step():
    """V = 2, L = 1; the student gives the second symbol e⁻⁶⁰, the teacher a half."""
    return [torch.tensor([[0.0, -60.0]])], [torch.tensor([[0.5, 0.5]]).log()]


TREE_KL = Exercise(
    reference=tree_kl,
    unusual=(text_by_text, from_the_leaves),
    explanation=(
        "log p(y) is a sum over the path, so KL(P‖Q) = E_{y∼P}[log P(y) − log Q(y)] is a sum over depths t of "
        "E[log p(y_t | y_<t) − log q(y_t | y_<t)]. Given the prefix, that expectation over y_t is the KL of one node; "
        "what is left is the expectation over prefixes, and they are the teacher's, since y came from P."
    ),
    cases=(
        Case(
            "V = 2, L = 2; student: 0.4, 0.6, then ½, ½ in any case; teacher: ¾, ¼, after 0: ½, ½, after 1: 0.9, 0.1",
            _two_letters,
        ),
        Case("V = 3, L = 3, all conditionals different", _three_letters),
        Case("V = 2, L = 2; the teacher never writes the second symbol first", _one_road),
        Case("V = 2, L = 1; the student gives the second symbol a probability of e⁻⁶⁰, the teacher ½", _one_step),
    ),
    mistakes=(
        Mistake(
            "no weights",
            "Every node counts the same here, even those that the teacher hardly ever reaches. How often does a text "
            "of the teacher pass through a node?",
            lambda student, teacher: _weighted(student, teacher, lambda depth, path_logp: 1.0),
        ),
        Mistake(
            "mean over nodes",
            "The nodes of a depth are averaged, as if all were visited equally often. The teacher does not walk "
            "through them evenly.",
            lambda student, teacher: _weighted(student, teacher, lambda depth, path_logp: 1 / len(path_logp)),
        ),
        Mistake(
            "student's prefixes",
            "The nodes are weighted by how often the student reaches them. KL(P‖Q) is an expectation over texts of the "
            "teacher. (On the student's own prefixes it is another quantity, and a later lesson is about it.)",
            _student_walks,
        ),
        Mistake(
            "direction reversed",
            "At each node this is KL(q‖p). In kd_lab, as in torch's losses, the student comes first and the teacher "
            "second: look at the order of the arguments.",
            _reversed_at_nodes,
        ),
        Mistake(
            "last step only",
            "A node is weighted by the probability of its last token alone. To reach it the teacher has to make every "
            "choice on the way.",
            _last_step_only,
        ),
        Mistake(
            "log-probability as weight",
            "The weights are log-probabilities, so the root counts nothing and the rest counts negatively. An "
            "expectation is weighted by probabilities.",
            lambda student, teacher: _weighted(student, teacher, lambda depth, path_logp: path_logp),
        ),
        Mistake(
            "mean over depths",
            "The depths are averaged. Each depth adds its own gap to the whole; dividing by L gives the gap per token "
            "instead.",
            lambda student, teacher: tree_kl(student, teacher) / len(student),
        ),
        Mistake(
            "sign",
            "This is −KL(P‖Q): the two logarithms are subtracted the wrong way round. A KL is never negative.",
            lambda student, teacher: -tree_kl(student, teacher),
        ),
        Mistake(
            "0 · log 0",
            "Where the teacher gives a symbol no probability, 0 · (−∞) is no number. Such a term is 0: what never "
            "comes costs nothing.",
            _with_nan,
        ),
        Mistake(
            "root only",
            "Only the root is counted. The texts go on, and so do their gaps.",
            lambda student, teacher: forward_kl(student[0], teacher[0]).sum(),
        ),
    ),
)

# ---- 00.3 --------------------------------------------------------------------------------------------------------


def distill_by_hand(student, teacher, batches, optimizer):
    """Train the student by word-level distillation, one step per batch; return the losses in nats per position."""
    losses = []
    for batch in batches:
        with torch.no_grad():  # the teacher is read, not taught
            teacher_logp = teacher(batch.inputs).log_softmax(-1)
        student_logp = student(batch.inputs).log_softmax(-1)
        loss = masked_mean(forward_kl(student_logp, teacher_logp), batch.mask)
        optimizer.zero_grad()  # else the gradients of earlier batches would still be there
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def by_torch(student, teacher, batches, optimizer):
    """torch's own divergence on the positions that count; "batchmean" divides by how many those are."""
    losses = []
    for batch in batches:
        mine, right = (model(batch.inputs)[batch.mask].log_softmax(-1) for model in (student, teacher))
        student.zero_grad()
        loss = F.kl_div(mine, right.detach(), reduction="batchmean", log_target=True)
        loss.backward()
        optimizer.step()
        losses += [loss.detach()]
    return losses


def position_by_position(student, teacher, batches, optimizer):
    """One KL after the other, with a sum and a count that start at 0."""
    losses = []
    for batch in batches:
        total = count = 0
        mine, right = student(batch.inputs).log_softmax(-1), teacher(batch.inputs).detach().log_softmax(-1)
        for text, t in batch.mask.nonzero().tolist():
            total = total + right[text, t].exp() @ (right[text, t] - mine[text, t])
            count += 1
        optimizer.zero_grad(set_to_none=False)
        (total / count).backward()
        optimizer.step()
        losses.append(float(total.detach() / count))
    return losses


def _trained(student, teacher, batches, optimizer, loss_of, zero=True, update=True):
    losses = []
    for batch in batches:
        loss = loss_of(student(batch.inputs), teacher(batch.inputs).detach(), batch)
        if zero:
            optimizer.zero_grad()
        loss.backward()
        if update:
            optimizer.step()
        losses.append(loss.item())
    return losses


def _kl_loss(student_logits, teacher_logits, batch):
    return masked_mean(forward_kl(student_logits.log_softmax(-1), teacher_logits.log_softmax(-1)), batch.mask)


def _mistaken(loss_of, **how):
    return lambda student, teacher, batches, optimizer: _trained(student, teacher, batches, optimizer, loss_of, **how)


def _label_loss(student_logits, teacher_logits, batch):
    return masked_mean(-student_logits.log_softmax(-1).gather(-1, batch.targets[..., None]).squeeze(-1), batch.mask)


def _soft_cross_entropy(student_logits, teacher_logits, batch):
    return masked_mean(-(teacher_logits.softmax(-1) * student_logits.log_softmax(-1)).sum(-1), batch.mask)


def _reversed_loss(student_logits, teacher_logits, batch):
    return _kl_loss(teacher_logits, student_logits, batch)


def _unmasked_loss(student_logits, teacher_logits, batch):
    return _kl_loss(student_logits, teacher_logits, Batch(batch.tokens, torch.ones_like(batch.mask)))


def _summed_loss(student_logits, teacher_logits, batch):
    return _kl_loss(student_logits, teacher_logits, batch) * batch.mask.sum()


def _batchmean_loss(student_logits, teacher_logits, batch):
    logp = student_logits.log_softmax(-1), teacher_logits.log_softmax(-1)
    return F.kl_div(*logp, reduction="batchmean", log_target=True)


def _minus_loss(student_logits, teacher_logits, batch):
    return -_kl_loss(student_logits, teacher_logits, batch)


def _mean_over_symbols(student_logits, teacher_logits, batch):
    return _kl_loss(student_logits, teacher_logits, batch) / student_logits.shape[-1]


def _pupils():
    """V = 3, two tokens deep, as logits: q = (½, ¼, ¼) and p = (¾, ⅛, ⅛) at the root, and anything below it."""
    generator = torch.Generator().manual_seed(3)
    below = torch.randn(2, 3, 3, generator=generator)
    student = TabularModel([torch.tensor([[0.5, 0.25, 0.25]]).log() + 1, below[0]])
    return student, TabularModel([torch.tensor([[0.75, 0.125, 0.125]]).log() - 1, 2 * below[1]])


def _certain_pupil():
    """As before, but the student gives the third symbol e⁻⁶⁰ at the root."""
    student, teacher = _pupils()
    return TabularModel([torch.tensor([[0.0, 0.0, -60.0]]), list(student.parameters())[1].detach()]), teacher


def _steps(*texts, pupils=_pupils):
    student, teacher = pupils()
    batches = [Batch.from_tokens(torch.tensor(rows), end=0) for rows in texts]
    return student, teacher, batches, torch.optim.SGD(student.parameters(), lr=0.5)


def _check_teacher(candidate):
    """Values cannot show whether a gradient was sent to the teacher, or whether the student was trained in place."""
    student, teacher, batches, optimizer = _steps([[0, 1, 2], [0, 2, 0]], [[0, 2, 0], [0, 1, 1]])
    teacher_before = [weight.detach().clone() for weight in teacher.parameters()]
    candidate(student, teacher, batches, optimizer)
    if any(weight.grad is not None for weight in teacher.parameters()):
        raise Misconception(
            "The losses are right, but backward() also went through the teacher: its weights carry gradients now. "
            "That costs a second backward pass and, with an optimizer over both models, would teach the teacher.",
            ("afterwards some parameter of the teacher has a .grad", "expected: None for every one of them"),
        )
    if any((weight != before).any() for weight, before in zip(teacher.parameters(), teacher_before, strict=True)):
        raise Misconception(
            "The teacher's weights have changed. It stays as it is; only the student learns.",
            ("afterwards a parameter of the teacher differs from what it was", "expected: no change"),
        )


DISTIL = Exercise(
    reference=distill_by_hand,
    unusual=(by_torch, position_by_position),
    explanation=(
        "All of knowledge distillation is in the line of the loss: where a language model is usually given the token "
        "that came, this student is given the teacher's whole distribution over the tokens that could have come. The "
        "rest is the usual training loop."
    ),
    cases=(
        Case(
            "one step on the empty text; q = (½, ¼, ¼) and p = (¾, ⅛, ⅛) at its one position", lambda: _steps([[0, 0]])
        ),
        Case("one step on “ab” and the empty text, which is padded", lambda: _steps([[0, 1, 2], [0, 0, 0]])),
        Case(
            "three steps on the texts “a”, “b” and “a” again",
            lambda: _steps([[0, 1, 0]], [[0, 2, 0]], [[0, 1, 0]]),
        ),
        Case(
            "one step on the empty text; the student gives the third symbol a probability of e⁻⁶⁰",
            lambda: _steps([[0, 0]], pupils=_certain_pupil),
        ),
    ),
    mistakes=(
        Mistake(
            "direction reversed",
            "This measures KL(q‖p), whose terms the student weighs. forward_kl takes the student first, as torch's "
            "losses take their input before their target.",
            _mistaken(_reversed_loss),
        ),
        Mistake(
            "labels, no teacher",
            "This is the loss of training on the text's own next tokens; the teacher's distribution has no say in it.",
            _mistaken(_label_loss),
        ),
        Mistake(
            "cross-entropy, no KL",
            "This is the cross-entropy against the teacher's distribution. It has the same gradient, but at best it "
            "falls to the teacher's entropy and not to zero, so it does not say how much there is left to learn.",
            _mistaken(_soft_cross_entropy),
        ),
        Mistake(
            "mean over V",
            "The loss is divided by the size of the vocabulary too. The sum over symbols is an expectation already; "
            "only positions are averaged.",
            _mistaken(_mean_over_symbols),
        ),
        Mistake(
            "padding counted",
            "Positions after the end of a text count here as well. batch.mask says which ones should.",
            _mistaken(_unmasked_loss),
        ),
        Mistake(
            "sum over positions",
            "The positions are summed, not averaged, so the step grows with the number of tokens in the batch.",
            _mistaken(_summed_loss),
        ),
        Mistake(
            "sum over positions, mean over texts",
            "The sum is divided by the number of texts, as torch's `batchmean` does on [B, T, V]: a long text counts "
            "more than a short one, and padding may count as well. What is averaged is the positions that count.",
            _mistaken(_batchmean_loss),
        ),
        Mistake(
            "sign",
            "The sign is reversed: the step would take the student away from the teacher. A KL is never negative.",
            _mistaken(_minus_loss),
        ),
        Mistake(
            "gradients pile up",
            "The first losses are right and a later one is not: backward() adds to the gradients that are there, and "
            "those of the earlier steps are still there.",
            _mistaken(_kl_loss, zero=False),
        ),
        Mistake(
            "no update",
            "The student never moves: gradients are computed, but no step is taken.",
            _mistaken(_kl_loss, update=False),
        ),
    ),
    check=_check_teacher,
)

EXERCISES = {"00.1": TEXT_LOGP, "00.2": TREE_KL, "00.3": DISTIL}
