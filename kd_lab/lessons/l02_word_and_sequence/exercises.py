"""Exercises of lesson 02: reference solutions, and the mistakes that their checks name."""

import numpy as np
import torch

from kd_lab.classroom.diagnosis import Case, Exercise, Mistake

END = 0  # begins, ends and pads a text in every vocabulary of the lesson

# ---- 02.1 --------------------------------------------------------------------------------------------------------


def word_level_loss(student_logits, teacher_logits, mask):
    """Forward KL, averaged over the positions that count, in nats: [B, T, V], [B, T, V], [B, T] -> []."""
    student_logp = student_logits.log_softmax(-1)
    teacher_logp = teacher_logits.log_softmax(-1)
    # The teacher weighs the terms, and the sum over V is an expectation already: only positions are averaged.
    gap = (teacher_logp.exp() * (teacher_logp - student_logp)).sum(-1)
    # Select before summing: 0 · inf at a padded position would be NaN.
    return gap[mask].sum() / mask.sum()


def _gaps(student_logits, teacher_logits):
    """KL(p‖q) at every position, [B, T]."""
    student_logp, teacher_logp = student_logits.log_softmax(-1), teacher_logits.log_softmax(-1)
    return (teacher_logp.exp() * (teacher_logp - student_logp)).sum(-1)


def _cross_entropy(student_logits, teacher_logits, mask):
    cross = -(teacher_logits.softmax(-1) * student_logits.log_softmax(-1)).sum(-1)
    return cross[mask].sum() / mask.sum()


def _no_softmax(student_logits, teacher_logits, mask):
    gap = (teacher_logits.exp() * (teacher_logits - student_logits)).sum(-1)
    return gap[mask].sum() / mask.sum()


def _softmax_over_positions(student_logits, teacher_logits, mask):
    student_logp, teacher_logp = student_logits.log_softmax(1), teacher_logits.log_softmax(1)
    gap = (teacher_logp.exp() * (teacher_logp - student_logp)).sum(-1)
    return gap[mask].sum() / mask.sum()


def _mean_of_text_means(student_logits, teacher_logits, mask):
    gap = torch.where(mask, _gaps(student_logits, teacher_logits), 0.0)
    return (gap.sum(1) / mask.sum(1)).mean()


def _one_position_at_a_time(student_logits, teacher_logits, mask):
    """In Python's own loops, with sums that start at 0."""
    total, count = 0, 0
    for student, teacher, counts in zip(student_logits, teacher_logits, mask, strict=True):
        for t in range(len(counts)):
            if counts[t]:
                p, q = teacher[t].softmax(0), student[t].softmax(0)
                total = total + (p * (p / q).log()).sum()
                count += 1
    return total / count


def _double_numpy(student_logits, teacher_logits, mask):
    """In numpy and double precision; a number comes back and no tensor."""
    student, teacher = (np.asarray(logits.detach(), dtype=np.float64) for logits in (student_logits, teacher_logits))
    student_logp, teacher_logp = (x - np.log(np.exp(x).sum(-1, keepdims=True)) for x in (student, teacher))
    gap = (np.exp(teacher_logp) * (teacher_logp - student_logp)).sum(-1)
    return float(gap[mask.numpy()].mean())


def _one_position():
    """p = (0.7, 0.2, 0.1) and q = (0.2, 0.2, 0.6), as logits that do not happen to be normalised."""
    student, teacher = torch.tensor([[[0.2, 0.2, 0.6]]]).log(), torch.tensor([[[0.7, 0.2, 0.1]]]).log()
    return student + 1.0, teacher - 0.5, torch.ones(1, 1, dtype=torch.bool)


def _two_texts():
    """Two texts of three and one counted positions; what stands at the padded positions is no small matter."""
    generator = torch.Generator().manual_seed(2)
    student, teacher = torch.randn(2, 2, 3, 4, generator=generator)
    return student, teacher * 2, torch.tensor([[True, True, True], [True, False, False]])


WORD_LEVEL = Exercise(
    reference=word_level_loss,
    explanation=(
        "The sum over the vocabulary is an expectation under the teacher, so it is a sum and no mean. What is averaged "
        "is positions: each counted token weighs the same, in whichever text it stands, and padding weighs nothing."
    ),
    cases=(
        Case("one position, p = (0.7, 0.2, 0.1), q = (0.2, 0.2, 0.6)", _one_position),
        Case("two texts of three and one counted positions, V = 4", _two_texts),
    ),
    unusual=(_one_position_at_a_time, _double_numpy),
    mistakes=(
        Mistake(
            "direction reversed",
            "This is KL(q‖p): the student weighs the terms. Word-level KD asks what the teacher would say, and "
            "whether the student is ready for it. Whose probabilities should weigh?",
            lambda student_logits, teacher_logits, mask: word_level_loss(teacher_logits, student_logits, mask),
        ),
        Mistake(
            "mean over V",
            "The terms are averaged over the vocabulary. Their weights p already sum to 1: the sum over outcomes is "
            "an expectation, and dividing it by V makes the loss weaker the larger the vocabulary.",
            lambda student_logits, teacher_logits, mask: (
                word_level_loss(student_logits, teacher_logits, mask) / student_logits.shape[-1]
            ),
        ),
        Mistake(
            "cross-entropy",
            "This is the cross-entropy −Σ p log q. It has the right gradient and the wrong value: at q = p it is the "
            "teacher's entropy and not 0. What is missing inside the sum?",
            _cross_entropy,
        ),
        Mistake(
            "no softmax",
            "The logits are used as if they were log-probabilities. Their exponentials need not sum to 1: normalise "
            "both sides first.",
            _no_softmax,
        ),
        Mistake(
            "softmax over positions",
            "The softmax runs over the positions. A distribution is over the next token: which axis is V?",
            _softmax_over_positions,
        ),
        Mistake(
            "divided by B",
            "The sum is divided by the number of texts B, which is what torch's reduction='batchmean' does on "
            "[B, T, V]. The loss then grows with the length of the texts. Count positions.",
            lambda student_logits, teacher_logits, mask: (
                torch.where(mask, _gaps(student_logits, teacher_logits), 0.0).sum() / mask.shape[0]
            ),
        ),
        Mistake(
            "mask ignored",
            "Padding is averaged in. A position that the mask leaves out belongs neither into the sum nor into the "
            "count.",
            lambda student_logits, teacher_logits, mask: _gaps(student_logits, teacher_logits).mean(),
        ),
        Mistake(
            "mask only in the sum",
            "The sum leaves padding out and the divisor counts it: B·T instead of the number of True in the mask. The "
            "same text then weighs less in a batch with a longer one.",
            lambda student_logits, teacher_logits, mask: torch.where(
                mask, _gaps(student_logits, teacher_logits), 0.0
            ).mean(),
        ),
        Mistake(
            "sum over positions",
            "The positions are added and not averaged: a larger batch would have a larger loss. Which number turns a "
            "sum over the positions that count into nats per position?",
            lambda student_logits, teacher_logits, mask: _gaps(student_logits, teacher_logits)[mask].sum(),
        ),
        Mistake(
            "mean of the texts' means",
            "Each text is averaged first, and then the texts: a token of a short text weighs more than one of a long "
            "text. That is another objective. Here every counted token weighs the same.",
            _mean_of_text_means,
        ),
    ),
)

# ---- 02.2 --------------------------------------------------------------------------------------------------------


def sequence_nll(logits, tokens):
    """−log q(text) in nats, one number per text: [B, T, V], [B, T + 1] -> [B]."""
    # logits[:, t] has read tokens[:, : t + 1] and bets on tokens[:, t + 1]: this is the only shift.
    targets = tokens[:, 1:]
    surprise = -logits.log_softmax(-1).gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    ends = (targets == END).long()
    # END closes a text and pads it. The first one is part of the text; what has an END before it is padding.
    padding = ends.cumsum(1) - ends > 0
    return surprise.masked_fill(padding, 0.0).sum(1)


def _surprise(logits, targets):
    return -logits.log_softmax(-1).gather(-1, targets.unsqueeze(-1)).squeeze(-1)


def _is_padding(targets):
    ends = (targets == END).long()
    return ends.cumsum(1) - ends > 0


def _end_dropped(logits, tokens):
    targets = tokens[:, 1:]
    return _surprise(logits, targets).masked_fill(targets == END, 0.0).sum(1)


def _shifted_twice(logits, tokens):
    targets = tokens[:, 2:]
    return _surprise(logits[:, :-1], targets).masked_fill(_is_padding(targets), 0.0).sum(1)


def _shifted_twice_forward(logits, tokens):
    targets = tokens[:, 1:-1]
    return _surprise(logits[:, 1:], targets).masked_fill(_is_padding(targets), 0.0).sum(1)


def _not_shifted(logits, tokens):
    return _surprise(logits, tokens[:, :-1]).masked_fill(_is_padding(tokens[:, 1:]), 0.0).sum(1)


def _first_dropped(logits, tokens):
    targets = tokens[:, 1:]
    return _surprise(logits, targets).masked_fill(tokens[:, :-1] == END, 0.0).sum(1)


def _mean_of_a_text(logits, tokens):
    return sequence_nll(logits, tokens) / (~_is_padding(tokens[:, 1:])).sum(1)


def _raw_logits(logits, tokens):
    targets = tokens[:, 1:]
    return -logits.gather(-1, targets.unsqueeze(-1)).squeeze(-1).masked_fill(_is_padding(targets), 0.0).sum(1)


def _probabilities_added(logits, tokens):
    targets = tokens[:, 1:]
    chosen = logits.softmax(-1).gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    return -chosen.masked_fill(_is_padding(targets), 0.0).sum(1).log()


def _text_by_text(logits, tokens):
    """A loop that stops at the first end mark, with sums that start at 0."""
    prices = []
    for row, text in zip(logits, tokens, strict=True):
        price = 0
        for t, target in enumerate(text[1:].tolist()):
            price = price - row[t].log_softmax(0)[target]
            if target == END:
                break
        prices.append(price)
    return torch.stack(prices)


def _cross_entropy_by_position(logits, tokens):
    """torch's cross-entropy in double precision, times a mask of floats that is made by a product."""
    targets = tokens[:, 1:].clone()
    each = torch.nn.functional.cross_entropy(logits.double().transpose(1, 2), targets, reduction="none")
    going = torch.ones_like(each)
    going[:, 1:] = (targets != END).double().cumprod(1)[:, :-1]
    return (each * going).sum(1)


def _one_letter_text():
    """q(a) = ½, then q(END) = ¼ and, after the end, logits that nobody should read. The text "a", padded once."""
    logits = torch.tensor([[[0.25, 0.5, 0.25], [0.25, 0.25, 0.5], [0.1, 0.3, 0.6]]]).log() + 1.0
    return logits, torch.tensor([[END, 1, END, END]])


def _two_lengths():
    generator = torch.Generator().manual_seed(4)
    logits = torch.randn(2, 4, 5, generator=generator)
    return logits, torch.tensor([[END, 3, 1, 4, END], [END, 2, END, END, END]])


SEQUENCE_NLL = Exercise(
    reference=sequence_nll,
    explanation=(
        "By the chain rule −log q(text) is the sum of −log q(token | prefix) over the text's tokens, its end mark "
        "among them: a model that never ends would otherwise be called perfect. Because one mark ends and pads, "
        "`targets != END` cannot be the mask; what counts is everything up to and including the first end mark."
    ),
    cases=(
        Case("the text “a”, q(a) = ½ and then q(END) = ¼, one END of padding", _one_letter_text),
        Case("texts of three letters and of one, V = 5", _two_lengths),
    ),
    unusual=(_text_by_text, _cross_entropy_by_position),
    mistakes=(
        Mistake(
            "end mark dropped",
            "The end mark is left out together with the padding, since both have the same id. A student trained so "
            "never learns where to stop. The first END of a text is a token like any other.",
            _end_dropped,
        ),
        Mistake(
            "padding counted",
            "Every END counts, also those that only fill the row. The same text then costs more in a wider batch.",
            lambda logits, tokens: _surprise(logits, tokens[:, 1:]).sum(1),
        ),
        Mistake(
            "first token dropped",
            "The first token of each text is left out, since what it follows is an END. That one begins the text and "
            "does not end it: the model has to pay for the first letter as well.",
            _first_dropped,
        ),
        Mistake(
            "shifted twice",
            "Logits and tokens are shifted against each other twice: position t is compared with the token after the "
            "next. `logits` came from `tokens[:, :-1]`, so one shift is all there is to do.",
            _shifted_twice,
        ),
        Mistake(
            "shifted back",
            "Position t is compared with a token that it has already read: logits were cut as well as tokens. "
            "`logits` came from `tokens[:, :-1]`, so one shift of the tokens is all there is to do.",
            _shifted_twice_forward,
        ),
        Mistake(
            "not shifted",
            "Each position is asked for the token that it has just read. logits[:, t] bets on tokens[:, t + 1].",
            _not_shifted,
        ),
        Mistake(
            "mean of the text",
            "This is the mean over the text's tokens. The log-probability of a text is the sum over them: a mean "
            "would call a long text as likely as a short one.",
            _mean_of_a_text,
        ),
        Mistake(
            "sign",
            "This is log q(text), which grows as the student improves. A loss has to fall.",
            lambda logits, tokens: -sequence_nll(logits, tokens),
        ),
        Mistake(
            "no softmax",
            "The logits are used as if they were log-probabilities: normalise over V first.",
            _raw_logits,
        ),
        Mistake(
            "probabilities added",
            "The probabilities of the tokens are added, and the logarithm is taken of their sum. Along a path they "
            "multiply: which sum do the logarithms make?",
            _probabilities_added,
        ),
    ),
)

# ---- 02.3 --------------------------------------------------------------------------------------------------------


def extend(scores, logp, width):
    """One step of beam search: [K], [K, V] -> (scores, parents, tokens), each [width], best first."""
    # A path's score is its parent's plus the log-probability of one more token; all K · V children compete.
    children = scores[:, None] + logp
    best, place = children.flatten().topk(width)
    # flatten() lays the children out row by row, a row of V for each parent.
    return best, place // logp.shape[1], place % logp.shape[1]


def _each_parent_its_best(scores, logp, width):
    best, token = (scores[:, None] + logp).max(-1)
    order = best.argsort(descending=True)[:width]
    return best[order], order, token[order]


def _parents_forgotten(scores, logp, width):
    return extend(torch.zeros_like(scores), logp, width)


def _divided_by_beams(scores, logp, width):
    best, place = (scores[:, None] + logp).flatten().topk(width)
    return best, place // len(scores), place % len(scores)


def _probabilities_summed(scores, logp, width):
    best, place = (scores.exp()[:, None] + logp.exp()).flatten().topk(width)
    return best.log(), place // logp.shape[1], place % logp.shape[1]


def _swapped(scores, logp, width):
    best, parent, token = extend(scores, logp, width)
    return best, token, parent


def _as_many_as_before(scores, logp, width):
    return extend(scores, logp, len(scores))


def _worst_first(scores, logp, width):
    best, parent, token = extend(scores, logp, width)
    return best.flip(0), parent.flip(0), token.flip(0)


def _sorted_in_python(scores, logp, width):
    """A list of all children, sorted; lists come back."""
    children = [
        (float(score) + float(value), parent, token)
        for parent, (score, row) in enumerate(zip(scores, logp, strict=True))
        for token, value in enumerate(row)
    ]
    best = sorted(children, reverse=True)[:width]
    return [one[0] for one in best], [one[1] for one in best], [one[2] for one in best]


def _argsort_and_unravel(scores, logp, width):
    """In numpy: argsort and unravel_index; arrays come back."""
    children = np.asarray(scores)[:, None] + np.asarray(logp.detach())
    order = np.argsort(-children, axis=None, kind="stable")[:width]
    parents, tokens = np.unravel_index(order, children.shape)
    return children[parents, tokens], parents, tokens


def _two_parents():
    """After “a” (0.5) the way forks in three; after “c” (0.4) it does not: the best child comes from the second."""
    return (
        torch.tensor([0.5, 0.4]).log(),
        torch.tensor([[0.40, 0.32, 0.28], [0.02, 0.96, 0.02]]).log(),
        2,
    )


def _first_step():
    """A search begins with one hypothesis, so that the beam is wider than what it comes from."""
    return torch.tensor([1.0]).log(), torch.tensor([[0.2, 0.45, 0.05, 0.3]]).log(), 3


def _one_family():
    """Both survivors have the same parent."""
    return torch.tensor([0.3, 0.1]).log(), torch.tensor([[0.45, 0.15, 0.1, 0.3], [0.1, 0.2, 0.6, 0.1]]).log(), 2


EXTEND = Exercise(
    reference=extend,
    explanation=(
        "All K · V children compete in one list, by the log-probability of the whole path. Two survivors may share a "
        "parent, and a parent may die out: that is how a beam leaves a path that began well and led nowhere."
    ),
    cases=(
        Case("width 2, two hypotheses of probability 0.5 and 0.4, V = 3", _two_parents),
        Case("the first step: one hypothesis of probability 1, width 3, V = 4", _first_step),
        Case("width 2, hypotheses of probability 0.3 and 0.1, V = 4", _one_family),
    ),
    unusual=(_sorted_in_python, _argsort_and_unravel),
    entries=("scores", "parents", "tokens"),
    mistakes=(
        Mistake(
            "one child each",
            "Every hypothesis keeps its own best child: these are K greedy searches side by side. In a beam all "
            "children compete with one another, and two survivors may share a parent.",
            _each_parent_its_best,
        ),
        Mistake(
            "parent's score forgotten",
            "The children are ranked by their last token alone. A path is as likely as all its tokens together: what "
            "does `scores` hold?",
            _parents_forgotten,
        ),
        Mistake(
            "divided by the beam",
            "The survivors are right and their addresses are not: the flat list has one row of V children for each "
            "parent. By how many entries does the next parent's row begin later?",
            _divided_by_beams,
        ),
        Mistake(
            "probabilities added",
            "The probabilities of parent and token are added. Along a path they multiply; logarithms add.",
            _probabilities_summed,
        ),
        Mistake(
            "parents and tokens swapped",
            "The second entry should say which hypothesis was continued and the third by which token; here they are "
            "the other way round.",
            _swapped,
        ),
        Mistake(
            "as many as before",
            "As many children are kept as there were hypotheses. A search begins with one of them: how many should it "
            "keep after its first step?",
            _as_many_as_before,
        ),
        Mistake("worst first", "The survivors are right, and their order is not: best first.", _worst_first),
    ),
)

# ---- 02.4 --------------------------------------------------------------------------------------------------------


def bucket_loss(student_logits, kept_ids, kept_logp):
    """KL over the K kept tokens and one bucket for all the others, in nats: [N, V], [N, K], [N, K] -> [N]."""
    student_logp = student_logits.log_softmax(-1)
    student_kept = student_logp.gather(-1, kept_ids)
    # What the kept tokens leave over. For the student it is summed, which stays exact where 1 − Σ would cancel.
    teacher_rest = 1 - kept_logp.exp().sum(-1)
    student_rest_logp = student_logp.scatter(-1, kept_ids, -torch.inf).logsumexp(-1)
    kept = (kept_logp.exp() * (kept_logp - student_kept)).sum(-1)
    return kept + teacher_rest * (teacher_rest.log() - student_rest_logp)


def _tail_forgotten(student_logits, kept_ids, kept_logp):
    student_kept = student_logits.log_softmax(-1).gather(-1, kept_ids)
    return (kept_logp.exp() * (kept_logp - student_kept)).sum(-1)


def _teacher_renormalised(student_logits, kept_ids, kept_logp):
    return _tail_forgotten(student_logits, kept_ids, kept_logp.log_softmax(-1))


def _both_renormalised(student_logits, kept_ids, kept_logp):
    student_kept = student_logits.gather(-1, kept_ids).log_softmax(-1)
    teacher_kept = kept_logp.log_softmax(-1)
    return (teacher_kept.exp() * (teacher_kept - student_kept)).sum(-1)


def _tail_spread_evenly(student_logits, kept_ids, kept_logp):
    student_logp, V, K = student_logits.log_softmax(-1), student_logits.shape[-1], kept_ids.shape[-1]
    each = ((1 - kept_logp.exp().sum(-1, keepdim=True)) / (V - K)).log()
    teacher_logp = each.expand_as(student_logp).scatter(-1, kept_ids, kept_logp)
    return (teacher_logp.exp() * (teacher_logp - student_logp)).sum(-1)


def _bucket_reversed(student_logits, kept_ids, kept_logp):
    student_logp = student_logits.log_softmax(-1)
    student_kept = student_logp.gather(-1, kept_ids)
    teacher_rest_logp = (1 - kept_logp.exp().sum(-1)).log()
    student_rest_logp = student_logp.scatter(-1, kept_ids, -torch.inf).logsumexp(-1)
    kept = (student_kept.exp() * (student_kept - kept_logp)).sum(-1)
    return kept + student_rest_logp.exp() * (student_rest_logp - teacher_rest_logp)


def _cross_entropy_with_bucket(student_logits, kept_ids, kept_logp):
    rest = 1 - kept_logp.exp().sum(-1)
    entropy = -(kept_logp.exp() * kept_logp).sum(-1) - rest * rest.log()
    return bucket_loss(student_logits, kept_ids, kept_logp) + entropy


def _first_columns(student_logits, kept_ids, kept_logp):
    positions = torch.arange(kept_ids.shape[-1]).expand_as(kept_ids)
    return bucket_loss(student_logits, positions, kept_logp)


def _bucket_as_one_more_token(student_logits, kept_ids, kept_logp):
    """Both sides as distributions over K + 1 outcomes, compared by torch's kl_div."""
    q = student_logits.softmax(-1)
    kept = torch.zeros_like(q).scatter(-1, kept_ids, 1.0).bool()
    q_rest = q.masked_fill(kept, 0.0).sum(-1, keepdim=True)
    p_rest = 1 - kept_logp.exp().sum(-1, keepdim=True)
    student = torch.cat([q.gather(-1, kept_ids), q_rest], -1).log()
    teacher = torch.cat([kept_logp, p_rest.log()], -1)
    return torch.nn.functional.kl_div(student, teacher, log_target=True, reduction="none").sum(-1)


def _position_by_position(student_logits, kept_ids, kept_logp):
    """A loop over positions in double precision; the student's rest is 1 less its kept probabilities."""
    losses = []
    for logits, ids, logp in zip(student_logits.double(), kept_ids, kept_logp.double(), strict=True):
        q, p = logits.softmax(0)[ids], logp.exp()
        rest_p, rest_q = 1 - p.sum(), 1 - q.sum()
        losses.append((p * (p / q).log()).sum() + rest_p * (rest_p / rest_q).log())
    return torch.stack(losses)


def _one_position_kept():
    """p = (0.2, 0.5, 0.3), of which the last two are kept; q = (0.05, 0.5, 0.45) is too sure of them."""
    kept = torch.tensor([[0.5, 0.3]]).log()
    return torch.tensor([[0.05, 0.5, 0.45]]).log() + 1.0, torch.tensor([[1, 2]]), kept


def _two_positions_kept():
    student = torch.tensor([[0.30, 0.05, 0.15, 0.10, 0.40], [0.1, 0.2, 0.3, 0.15, 0.25]]).log()
    return student - 0.7, torch.tensor([[4, 0], [2, 1]]), torch.tensor([[0.45, 0.25], [0.5, 0.3]]).log()


BUCKET = Exercise(
    reference=bucket_loss,
    explanation=(
        "Kept tokens and bucket together are a distribution again, so this is a KL: never negative, and zero where "
        "the student gives the teacher's probability to every kept token and to the rest as a whole. How the rest is "
        "shared out the cache has forgotten, and the loss does not pretend to know."
    ),
    cases=(
        Case("V = 3, p = (0.2, 0.5, 0.3), kept: the last two; q = (0.05, 0.5, 0.45)", _one_position_kept),
        Case("two positions, V = 5, two tokens kept at each", _two_positions_kept),
    ),
    unusual=(_bucket_as_one_more_token, _position_by_position),
    mistakes=(
        Mistake(
            "tail forgotten",
            "This is the truncated sum over the kept tokens. It is no divergence: it goes below 0 as the student "
            "takes mass away from everything that was not kept, and is smallest where nothing is left there.",
            _tail_forgotten,
        ),
        Mistake(
            "negative clamped",
            "The truncated sum is negative here and is clamped to 0: the gradient dies at the positions where the "
            "student is too sure of the kept tokens, which are the ones to correct. Find what makes the sum negative.",
            lambda student_logits, kept_ids, kept_logp: _tail_forgotten(student_logits, kept_ids, kept_logp).clamp_min(
                0
            ),
        ),
        Mistake(
            "absolute value",
            "The truncated sum is negative here and its sign is dropped. A loss built so has its minimum where the "
            "sum crosses 0, at no distribution in particular. Find what makes the sum negative.",
            lambda student_logits, kept_ids, kept_logp: _tail_forgotten(student_logits, kept_ids, kept_logp).abs(),
        ),
        Mistake(
            "teacher renormalised",
            "The kept probabilities are blown up until they sum to 1. That tells the student that the teacher never "
            "says anything else, and the optimum has no tail at all.",
            _teacher_renormalised,
        ),
        Mistake(
            "both renormalised",
            "Both sides are renormalised over the kept tokens. Then only their proportions are compared, and the "
            "student may give any mass to the rest without being told.",
            _both_renormalised,
        ),
        Mistake(
            "tail spread evenly",
            "The teacher's rest is shared out evenly among the tokens that were not kept. The cache does not know "
            "that: compare the rest as one outcome.",
            _tail_spread_evenly,
        ),
        Mistake(
            "direction reversed",
            "This is KL(q‖p) with a bucket: the student weighs the terms. Here the teacher weighs.",
            _bucket_reversed,
        ),
        Mistake(
            "cross-entropy",
            "This is a cross-entropy over the kept tokens and the bucket. Its gradient is right, and where the student "
            "agrees with the teacher it is the teacher's entropy and not 0. What does a KL compare with log q?",
            _cross_entropy_with_bucket,
        ),
        Mistake(
            "first K columns",
            "The student is read at its first K columns. The kept tokens are named by `kept_ids`, which differ from "
            "position to position.",
            _first_columns,
        ),
    ),
)

EXERCISES = {"02.1": WORD_LEVEL, "02.2": SEQUENCE_NLL, "02.3": EXTEND, "02.4": BUCKET}
