"""Exercises of lesson 05: reference solutions, and the mistakes that their checks name."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import tensor

from kd_lab.classroom.diagnosis import Case, Exercise, Misconception, Mistake

END = 0  # begins, ends and pads a text in every vocabulary of the lesson

# ---- 05.1: the student writes ---------------------------------------------------------------------------------------


def roll_out(model, prompts, new_tokens, pick):
    """The texts of `model` after prompts [B, P]: tokens [B, P + N], and which targets count, mask [B, P + N − 1]."""
    tokens, going = prompts, torch.ones(len(prompts), dtype=torch.bool)
    counts = [torch.zeros(len(prompts), prompts.shape[1] - 1, dtype=torch.bool)]  # what was given is not the student's
    for _ in range(new_tokens):
        new = pick(model(tokens)[:, -1]).where(going, END)
        tokens = torch.cat([tokens, new[:, None]], 1)
        # Taken before the new token is looked at: a chosen end mark counts, the padding after it does not.
        counts.append(going[:, None])
        going = going & (new != END)
    return tokens, torch.cat(counts, 1)


def only_open_rows(model, prompts, new_tokens, pick):
    """The model reads, and chance is drawn for, the rows alone that are still being written."""
    rows, given = prompts.shape
    tokens = torch.full((rows, given + new_tokens), END)
    tokens[:, :given] = prompts
    counts = torch.zeros(rows, given + new_tokens - 1)
    unfinished = torch.arange(rows)
    for place in range(given, given + new_tokens):
        if len(unfinished):
            new = pick(model(tokens[unfinished, :place])[:, -1])
            tokens[unfinished, place] = new
            counts[unfinished, place - 1] = 1
            unfinished = unfinished[new != END]
    return tokens, counts == 1


def row_by_row(model, prompts, new_tokens, pick):
    """One text after the other as a plain list, and a mask of zeros and ones."""
    texts, counts = [], []
    for prompt in prompts.tolist():
        text, counted = [*prompt], [0] * (len(prompt) - 1)
        ended = 0
        while len(text) < len(prompt) + new_tokens:
            counted += [1 - ended]
            text += [END if ended else int(pick(model(tensor([text]))[:, -1]))]
            ended = int(ended or text[-1] == END)
        texts, counts = [*texts, text], [*counts, counted]
    return [tensor(texts), tensor(counts)]


def parrot(tokens):
    """Logits [B, T, 4] of a model that counts on from what it last read: 1, 2, 3, end."""
    return 5.0 * torch.eye(4)[(tokens + 1) % 4]


def likeliest(logits):
    return logits.argmax(-1)


def _targets(tokens):
    return tokens[:, 1:]


def _no_end(*inputs):
    tokens, mask = roll_out(*inputs)
    return tokens, mask & (_targets(tokens) != END)


def _all_generated(model, prompts, new_tokens, pick):
    tokens, mask = roll_out(model, prompts, new_tokens, pick)
    return tokens, (torch.arange(mask.shape[1]) >= prompts.shape[1] - 1).expand_as(mask)


def _prompt_counted(model, prompts, new_tokens, pick):
    tokens, mask = roll_out(model, prompts, new_tokens, pick)
    return tokens, mask | (torch.arange(mask.shape[1]) < prompts.shape[1] - 1)


def _goes_on(model, prompts, new_tokens, pick):
    tokens = prompts
    for _ in range(new_tokens):
        tokens = torch.cat([tokens, pick(model(tokens)[:, -1])[:, None]], 1)
    return tokens, roll_out(model, prompts, new_tokens, pick)[1]


def _goes_on_and_counts(model, prompts, new_tokens, pick):
    return _goes_on(model, prompts, new_tokens, pick)[0], _all_generated(model, prompts, new_tokens, pick)[1]


def _mask_of_tokens(model, prompts, new_tokens, pick):
    tokens, mask = roll_out(model, prompts, new_tokens, pick)
    return tokens, torch.cat([torch.zeros(len(mask), 1, dtype=torch.bool), mask], 1)


def _mask_of_inputs(model, prompts, new_tokens, pick):
    tokens, mask = roll_out(model, prompts, new_tokens, pick)
    return tokens, torch.cat([torch.zeros(len(mask), 1, dtype=torch.bool), mask[:, :-1]], 1)


def _start_is_an_end(model, prompts, new_tokens, pick):
    tokens = torch.cat([prompts, torch.full((len(prompts), new_tokens), END)], 1)
    return tokens, torch.zeros(tokens.shape[0], tokens.shape[1] - 1, dtype=torch.bool)


ROLL_OUT = Exercise(
    reference=roll_out,
    unusual=(only_open_rows, row_by_row),
    entries=("tokens", "mask"),
    explanation=(
        "`going` knows which rows are still being written. It is used twice in each round: before the new token is "
        "looked at it is the mask, so that the end mark counts; afterwards it loses the rows that have just ended. "
        "The leading end mark is part of the prompt and ends nothing. Reading the whole text again for every token "
        "is slow; the library's `generate` keeps a cache and writes the same."
    ),
    cases=(
        Case(
            "a bare end mark as the prompt; the model writes 1, 2, 3, end",
            lambda: (parrot, tensor([[0]]), 5, likeliest),
        ),
        Case(
            "three prompts of two tokens; the rows end after three tokens, at once, and after two",
            lambda: (parrot, tensor([[0, 1], [0, 3], [0, 2]]), 5, likeliest),
        ),
    ),
    mistakes=(
        Mistake(
            "end mark not counted",
            "The mask leaves the end mark out. When to stop is the student's decision like any other, and a student "
            "that is never corrected there does not learn it.",
            _no_end,
        ),
        Mistake(
            "written on behind the end",
            "A row goes on after its end mark: what the model says there is no longer text. Fill with END.",
            _goes_on,
        ),
        Mistake(
            "written on and counted",
            "A row goes on after its end mark, and all of that is counted. A text is over at its first END; the rest "
            "of the row is padding.",
            _goes_on_and_counts,
        ),
        Mistake(
            "padding counted",
            "The mask counts the padding as well: positions that nobody chose would be trained on.",
            _all_generated,
        ),
        Mistake(
            "prompt counted",
            "The mask counts tokens of the prompt. They were given; the student did not write them.",
            _prompt_counted,
        ),
        Mistake(
            "mask of the tokens",
            "The mask has one entry too many: one for each token. It belongs to the targets `tokens[:, 1:]`, since the "
            "first token is nobody's target.",
            _mask_of_tokens,
        ),
        Mistake(
            "mask one place late",
            "The mask is shifted one place too far to the right. Its entry t belongs to the target `tokens[:, t + 1]`.",
            _mask_of_inputs,
        ),
        Mistake(
            "beginning taken for an end",
            "Nothing is written: the leading END is taken for the end of the text. It begins the text; only an END "
            "that the model writes ends it.",
            _start_is_an_end,
        ),
    ),
)


# ---- 05.2: the excess error -----------------------------------------------------------------------------------------


def excess(on_student, on_teacher):
    """ExAccErr at every length, from KL(p‖q) at each position on either one's prefixes: [L], [L] -> [L]."""
    # Both are sums up to a length: what is lost at one step stays lost.
    accumulated, expected = on_student.cumsum(0), on_teacher.cumsum(0)
    return (accumulated - expected) / expected


def excess_step_by_step(on_student, on_teacher):
    """Two running sums that start at 0; a list of numbers."""
    own = theirs = 0
    found = []
    for one, other in zip(on_student.tolist(), on_teacher.tolist(), strict=True):
        own, theirs = own + one, theirs + other
        found.append(own / theirs - 1)
    return found


def excess_by_matrix(on_student, on_teacher):
    """Sums by a triangle of ones, in numpy."""
    triangle = np.tri(len(on_student))
    own, theirs = triangle @ np.asarray(on_student), triangle @ np.asarray(on_teacher)
    return np.divide(own - theirs, theirs, out=own)


EXCESS = Exercise(
    reference=excess,
    unusual=(excess_step_by_step, excess_by_matrix),
    explanation=(
        "Both curves are cumulative. The first position has no prefix yet, so both sums begin with the same number "
        "and the excess with 0. The denominator is the error that would accumulate without exposure bias, so that an "
        "excess of 1 reads “as much again”."
    ),
    cases=(
        Case("three positions", lambda: (tensor([0.5, 0.6, 0.9]), tensor([0.5, 0.2, 0.4]))),
        Case("five positions", lambda: (tensor([0.4, 0.2, 0.9, 0.4, 1.1]), tensor([0.4, 0.1, 0.3, 0.7, 0.2]))),
    ),
    mistakes=(
        Mistake(
            "not cumulative",
            "This compares position by position. The error up to a length is the sum of all gaps up to there.",
            lambda own, theirs: (own - theirs) / theirs,
        ),
        Mistake(
            "only one side summed",
            "Only the student's side is summed up; the other is the gap of one position.",
            lambda own, theirs: (own.cumsum(0) - theirs) / theirs,
        ),
        Mistake(
            "first token dropped",
            "The first position is left out of the sums. No prefix has gone wrong there yet, and its error counts on "
            "both sides: without it the excess looks larger than it is.",
            lambda own, theirs: torch.cat(
                [tensor([0.0]), excess(own[1:], theirs[1:])],
            ),
        ),
        Mistake(
            "divided by the student's side",
            "It is divided by what accumulates on the student's prefixes. That can never exceed 1; the measure is "
            "relative to the error without exposure bias.",
            lambda own, theirs: 1 - theirs.cumsum(0) / own.cumsum(0),
        ),
        Mistake(
            "sides exchanged",
            "The sides are exchanged: the excess is negative where the student's own prefixes are the worse ones.",
            lambda own, theirs: excess(theirs, own),
        ),
        Mistake(
            "ratio, not excess",
            "This is the ratio of the two sums. Without exposure bias the excess should be 0, and this is 1.",
            lambda own, theirs: own.cumsum(0) / theirs.cumsum(0),
        ),
        Mistake(
            "in percent",
            "This is the excess in percent. Return the ratio itself: an excess of 1 reads “as much again”.",
            lambda own, theirs: 100 * excess(own, theirs),
        ),
        Mistake(
            "only the last length",
            "This is the excess at the full length alone. Return one number for every length up to it.",
            lambda own, theirs: excess(own, theirs)[-1],
        ),
        Mistake(
            "divided by one position",
            "The difference is summed up to each length, the denominator is the gap of one position. Sum both.",
            lambda own, theirs: (own - theirs).cumsum(0) / theirs,
        ),
        Mistake(
            "not relative",
            "This is the excess in nats. Divide by the error that would have accumulated anyway.",
            lambda own, theirs: (own - theirs).cumsum(0),
        ),
    ),
)


# ---- 05.3: the on-policy loss ---------------------------------------------------------------------------------------


def on_policy_loss(student, teacher, tokens, mask):
    """KL(p‖q) on texts that the student wrote, in nats per counted position: tokens [B, T + 1], mask [B, T] -> []."""
    inputs = tokens[:, :-1]
    # The prefixes are the student's; the labels are what the teacher would have said there, whole distributions.
    with torch.no_grad():
        teacher_logp = teacher(inputs).log_softmax(-1)
    student_logp = student(inputs).log_softmax(-1)
    gap = (teacher_logp.exp() * (teacher_logp - student_logp)).sum(-1)
    return gap[mask].mean()


def on_policy_by_torch(student, teacher, tokens, mask):
    """torch's own divergence on the positions that count; its "batchmean" divides by how many those are."""
    own, right = (model(tokens[:, :-1])[mask].log_softmax(dim=1) for model in (student, teacher))
    return F.kl_div(own, right.detach(), reduction="batchmean", log_target=True)


def on_policy_by_entropies(student, teacher, tokens, mask):
    """The cross-entropy less the teacher's entropy, in double precision, text by text from 0."""
    total = count = 0
    for text, counted in zip(tokens, mask, strict=True):
        p = teacher(text[None, :-1])[0].detach().double().softmax(-1)
        own = student(text[None, :-1])[0].double().log_softmax(-1)
        per_position = -(p * own).sum(-1) - torch.special.entr(p).sum(-1)
        total = total + per_position[counted].sum()
        count += int(counted.sum())
    return total / count


class LastToken(torch.nn.Module):
    """A model of three tokens whose logits depend on the last one."""

    def __init__(self, *rows):
        super().__init__()
        self.table = torch.nn.Parameter(tensor(rows).log())

    def forward(self, tokens):
        return self.table[tokens]


def _pair():
    student = LastToken((0.2, 0.5, 0.3), (0.3, 0.3, 0.4), (0.6, 0.2, 0.2))
    return student, LastToken((0.1, 0.6, 0.3), (0.5, 0.1, 0.4), (0.2, 0.2, 0.6))


def _certain_pair():
    """The student gives the third token 10⁻³⁷ after the first, where the teacher gives it 0.3."""
    return LastToken((0.4, 0.6, 1e-37), (0.3, 0.3, 0.4), (0.6, 0.2, 0.2)), _pair()[1]


def _both(student, teacher, inputs):
    return student(inputs).log_softmax(-1), teacher(inputs).log_softmax(-1).detach()


def _own_labels(student, teacher, tokens, mask):
    logp = student(tokens[:, :-1]).log_softmax(-1)
    return -logp.gather(-1, tokens[:, 1:, None])[..., 0][mask].mean()


def _log_ratio(student, teacher, tokens, mask):
    q, p = _both(student, teacher, tokens[:, :-1])
    return (q - p).gather(-1, tokens[:, 1:, None])[..., 0][mask].mean()


def _gap(student, teacher, inputs, reverse=False):
    q, p = _both(student, teacher, inputs)
    return ((q.exp() if reverse else p.exp()) * ((q - p) if reverse else (p - q))).sum(-1)


def _helped_logarithm(student, teacher, tokens, mask):
    q, p = _both(student, teacher, tokens[:, :-1])
    return (p.exp() * (p - (q.exp() + 1e-8).log())).sum(-1)[mask].mean()


def _per_text(student, teacher, tokens, mask):
    return (_gap(student, teacher, tokens[:, :-1]) * mask).sum(1).mean()


def _cross_entropy(student, teacher, tokens, mask):
    q, p = _both(student, teacher, tokens[:, :-1])
    return -(p.exp() * q).sum(-1)[mask].mean()


def _mean_over_vocabulary(student, teacher, tokens, mask):
    q, p = _both(student, teacher, tokens[:, :-1])
    return (p.exp() * (p - q)).mean(-1)[mask].mean()


def _check_gradient(candidate):
    """Values cannot show whom the loss moves."""
    student, teacher = _pair()
    loss = candidate(student, teacher, tensor([[0, 1, 2, 0]]), tensor([[True, True, True]]))
    if not loss.requires_grad:
        raise Misconception(
            "The value is right, but no gradient reaches the student: only the teacher's part belongs under no_grad.",
            ("loss.requires_grad is False", "expected: True"),
        )
    loss.backward()
    if teacher.table.grad is not None:
        raise Misconception(
            "The value is right, but the teacher gets a gradient as well: it gives the labels and is not trained.",
            ("the gradient of the teacher's table is not None", "expected: None"),
        )


ON_POLICY_LOSS = Exercise(
    reference=on_policy_loss,
    unusual=(on_policy_by_torch, on_policy_by_entropies),
    explanation=(
        "Only the inputs come from the student. What it chose there, `tokens[:, 1:]`, is no label at all; it merely "
        "decides which prefix comes next. That is why the loss can correct a mistake and training on one's own tokens "
        "cannot."
    ),
    cases=(
        Case(
            "one text of four tokens, cut off before its end",
            lambda: (*_pair(), tensor([[0, 1, 2, 2, 1]]), tensor([[True, True, True, True]])),
        ),
        Case(
            "two texts, the second with padding",
            lambda: (
                *_pair(),
                tensor([[0, 1, 2, 2, 1, 0], [0, 2, 0, 0, 0, 0]]),
                tensor([[True, True, True, True, True], [True, True, False, False, False]]),
            ),
        ),
        Case(
            "one text of two tokens; after the first the student gives the third token 10⁻³⁷",
            lambda: (*_certain_pair(), tensor([[0, 1, 2]]), tensor([[True, True]])),
        ),
    ),
    mistakes=(
        Mistake(
            "a small number inside the logarithm",
            "A small number is added inside a logarithm: it caps the price of ruling out a token that the teacher "
            "might say, and that is the costliest mistake there is. Subtract log-probabilities.",
            _helped_logarithm,
        ),
        Mistake(
            "batchmean",
            "The sum over all positions, padding too, is divided by the number of texts: so does torch's `batchmean` "
            "on [B, T, V]. Asked for is the mean over the positions that count.",
            lambda s, t, tokens, mask: _gap(s, t, tokens[:, :-1]).sum() / len(tokens),
        ),
        Mistake(
            "own tokens as labels",
            "The student's own tokens serve as labels: it is praised for whatever it wrote, mistakes included. Who "
            "should say what comes next at these prefixes?",
            _own_labels,
        ),
        Mistake(
            "log ratio of the drawn tokens",
            "This is log q − log p of the tokens that were drawn. As a reading its mean is KL(q‖p); as a loss its "
            "expected gradient is zero. Compare whole distributions at each prefix.",
            _log_ratio,
        ),
        Mistake(
            "direction reversed",
            "This is KL(q‖p). It is used on-policy too, but here only WHERE should change: weigh by the teacher, as "
            "at word level.",
            lambda s, t, tokens, mask: _gap(s, t, tokens[:, :-1], reverse=True)[mask].mean(),
        ),
        Mistake(
            "sign",
            "The sign is reversed: this is −KL(p‖q), and minimising it drives the student away from the teacher.",
            lambda s, t, tokens, mask: -_gap(s, t, tokens[:, :-1])[mask].mean(),
        ),
        Mistake(
            "cross-entropy",
            "This is the cross-entropy −Σ p log q. Its gradient is the right one, but it is not zero where the two "
            "agree: the teacher's entropy is missing.",
            _cross_entropy,
        ),
        Mistake(
            "mean over the vocabulary",
            "The terms of a KL are averaged over the vocabulary. They are added up: the probabilities are the weights.",
            _mean_over_vocabulary,
        ),
        Mistake(
            "read one token too far",
            "Both models have read the token that they should predict. Position t reads the tokens before its target.",
            lambda s, t, tokens, mask: _gap(s, t, tokens[:, 1:])[mask].mean(),
        ),
        Mistake(
            "padding counted",
            "Positions after the end of a text are averaged in. The mask says which positions count.",
            lambda s, t, tokens, mask: _gap(s, t, tokens[:, :-1]).mean(),
        ),
        Mistake(
            "masked, and averaged over all",
            "Padding is set to zero but still counted in the mean. Divide by the number of positions that count.",
            lambda s, t, tokens, mask: (_gap(s, t, tokens[:, :-1]) * mask).mean(),
        ),
        Mistake(
            "sum over the text",
            "The gaps of a text are summed and the texts averaged. Take the mean over all positions that count.",
            _per_text,
        ),
    ),
    check=_check_gradient,
)


# ---- 05.4: DAgger ---------------------------------------------------------------------------------------------------


def dagger(student, texts, rounds, write, fit):
    """Write, add, train, `rounds` times: a student and a list of texts -> the last student and all the texts."""
    for _ in range(rounds):
        # This round's student writes; what earlier ones wrote stays, so that old lessons are not unlearned.
        texts = texts + write(student)
        student = fit(student, texts)
    return student, texts


def dagger_by_recursion(student, texts, rounds, write, fit):
    """The rounds that are left are a DAgger of their own."""
    if not rounds:
        return student, texts
    grown = [*texts, *write(student)]
    return dagger_by_recursion(fit(student, grown), grown, rounds - 1, write, fit)


def dagger_on_a_copy(student, texts, rounds, write, fit):
    """A copy grows in place; the answer is a list."""
    kept = list(texts)
    while rounds > 0:
        kept.extend(write(student))
        student = fit(student, list(kept))
        rounds -= 1
    return [student, kept]


def _scribe(student):
    """Two "texts" (numbers here) that tell which student wrote them."""
    return [10.0 * student, 10.0 * student + 1]


def _mean_learner(student, texts):
    """A "student" (a number) half-way to the mean of the texts."""
    return (student + sum(texts) / len(texts)) / 2


def _replaced(student, texts, rounds, write, fit):
    for _ in range(rounds):
        texts = write(student)
        student = fit(student, texts)
    return student, texts


def _without_the_first(student, texts, rounds, write, fit):
    return dagger(student, [], rounds, write, fit)


def _first_writes(student, texts, rounds, write, fit):
    first = student
    for _ in range(rounds):
        texts = texts + write(first)
        student = fit(student, texts)
    return student, texts


def _train_first(student, texts, rounds, write, fit):
    for _ in range(rounds):
        student = fit(student, texts)
        texts = texts + write(student)
    return student, texts


def _new_ones_only(student, texts, rounds, write, fit):
    for _ in range(rounds):
        new = write(student)
        student, texts = fit(student, new), texts + new
    return student, texts


def _train_once(student, texts, rounds, write, fit):
    for _ in range(rounds):
        texts = texts + write(student)
    return fit(student, texts), texts


def _check_callers_list(candidate):
    texts = [1.0, 2.0]
    candidate(1.0, texts, 2, _scribe, _mean_learner)
    if texts != [1.0, 2.0]:
        raise Misconception(
            "The answer is right, but the caller's list of texts has changed on the way: `+=` and `append` work in "
            "place. Make a new list.",
            ("texts = [1, 2] before the call", f"afterwards texts has {len(texts)} entries"),
        )


DAGGER = Exercise(
    reference=dagger,
    unusual=(dagger_by_recursion, dagger_on_a_copy),
    entries=("the student", "the texts"),
    explanation=(
        "The data set only grows: each round trains on the teacher's first texts and on what every student so far has "
        "written. With fresh texts alone, a round could unlearn what the one before had taught; that would be "
        "on-policy distillation in large steps."
    ),
    cases=(
        Case(
            "two rounds; texts and students are numbers here", lambda: (1.0, [4.0, 6.0, 9.0], 2, _scribe, _mean_learner)
        ),
        Case("no rounds at all", lambda: (1.0, [4.0, 6.0], 0, _scribe, _mean_learner)),
    ),
    mistakes=(
        Mistake(
            "replaced",
            "The new texts replace the old ones. DAgger aggregates: nothing that was written is thrown away.",
            _replaced,
        ),
        Mistake(
            "trained on the new ones only",
            "All texts are kept, but the student is trained on the new ones alone. Train on the whole set.",
            _new_ones_only,
        ),
        Mistake(
            "teacher's texts forgotten",
            "The first texts are gone. They show the road itself, and stay in the set.",
            _without_the_first,
        ),
        Mistake(
            "trained before writing",
            "Each round trains first and writes afterwards: the last texts are never learned from, and the first round "
            "repeats what the student already knows.",
            _train_first,
        ),
        Mistake(
            "the first student writes",
            "The first student writes in every round. Its successors make other mistakes, and those need labels.",
            _first_writes,
        ),
        Mistake(
            "trained once",
            "The student is trained only once, at the end: the same one writes in every round.",
            _train_once,
        ),
    ),
    check=_check_callers_list,
)

EXERCISES = {"05.1": ROLL_OUT, "05.2": EXCESS, "05.3": ON_POLICY_LOSS, "05.4": DAGGER}
