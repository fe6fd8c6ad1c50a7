"""Exercises of lesson 12: reference solutions, and the mistakes that their checks name."""

import numpy as np
import torch

from kd_lab.classroom.diagnosis import Case, Exercise, Misconception, Mistake
from kd_lab.measure import mean_interval

# ---- 12.1 ------------------------------------------------------------------------------------------------------------


def privileged_logits(teacher, tokens, hint):
    """The teacher's logits at the student's positions: teacher, [B, T] ids, [B, k] ids -> [B, T, V]."""
    with torch.no_grad():
        # The mark that begins a text stays first; the hint stands behind it, and all else moves on by k.
        logits = teacher(torch.cat([tokens[:, :1], hint, tokens[:, 1:]], 1))
    return logits[:, hint.shape[1] :]


def by_splitting(teacher, tokens, hint):
    mark, rest = tokens.split([1, tokens.shape[1] - 1], dim=1)
    with torch.no_grad():
        return teacher(torch.hstack((mark, hint, rest)))[:, -tokens.shape[1] :]


def by_writing(teacher, tokens, hint):
    batch, count = tokens.shape
    shown = tokens.new_empty(batch, count + hint.shape[1])
    shown[:, 0], shown[:, 1 : 1 + hint.shape[1]], shown[:, 1 + hint.shape[1] :] = tokens[:, 0], hint, tokens[:, 1:]
    places = torch.arange(count) + hint.shape[1]
    return teacher(shown).detach().index_select(1, places)


class CountingTeacher(torch.nn.Module):
    """Logits that depend on every token before them, and on their order: no two positions are alike."""

    def __init__(self, vocab_size, seed):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.table = torch.nn.Parameter(torch.randn(vocab_size, vocab_size, generator=generator))

    def forward(self, tokens):
        place = torch.arange(1, tokens.shape[1] + 1)[:, None]
        return torch.sin((self.table[tokens] * place).cumsum(1))


def hinted(batch, length, hint, vocab_size, seed):
    """A teacher, texts [batch, length] that begin with the mark 0, and hints [batch, hint]."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(1, vocab_size, (batch, length), generator=generator)
    tokens[:, 0] = 0
    return CountingTeacher(vocab_size, seed), tokens, torch.randint(1, vocab_size, (batch, hint), generator=generator)


def _read(teacher, *parts):
    with torch.no_grad():
        return teacher(torch.cat(parts, 1))


def is_a_label(candidate):
    """Values cannot show whether a gradient leads back into the teacher."""
    teacher, tokens, hint = hinted(1, 3, 2, 5, 0)
    if getattr(candidate(teacher, tokens, hint), "requires_grad", False):
        raise Misconception(
            "The values are right, but a gradient leads from them into the teacher: with the same weights on both "
            "sides, training would move the label towards the student. Cut it off.",
            ("case: one text of three ids, a hint of two", "the result has requires_grad = True"),
        )


# ---- 12.2 ------------------------------------------------------------------------------------------------------------


def letter_logp(pair_logp, first):
    """Letters from pairs: [N, V, V] log p(xy), [N] ids of x -> [N, V] log p(x), [N, V] log p(y | x)."""
    # The first letter is any y's: a sum of probabilities, so a logsumexp of logs.
    before = torch.logsumexp(pair_logp, -1)
    row = pair_logp[torch.arange(len(first)), first]
    return before, row - torch.logsumexp(row, -1, keepdim=True)


def by_probabilities(pair_logp, first):
    p = pair_logp.double().exp()
    before = p.sum(2)
    after = torch.stack([p[i, x] / p[i, x].sum() for i, x in enumerate(first.tolist())])
    return before.log().to(pair_logp.dtype), after.log().to(pair_logp.dtype)


def by_gathering(pair_logp, first):
    index = first.view(-1, 1, 1).expand(-1, 1, pair_logp.shape[-1])
    return pair_logp.logsumexp(dim=2), pair_logp.gather(1, index).squeeze(1).log_softmax(-1)


def pair_case(count, vocab_size, seed):
    generator = torch.Generator().manual_seed(seed)
    logits = 1.5 * torch.randn(count, vocab_size**2, generator=generator)
    first = torch.randint(vocab_size, (count,), generator=generator)
    return logits.log_softmax(-1).view(count, vocab_size, vocab_size), first


def two_letters():
    """Four pairs over the letters a and b: aa 0.1, ab 0.3, ba 0.2, bb 0.4; the first letter was a."""
    return torch.tensor([[[0.1, 0.3], [0.2, 0.4]]]).log(), torch.tensor([0])


# ---- 12.3 ------------------------------------------------------------------------------------------------------------


def tied_with_best(scores):
    """Which entries cannot be told apart from the best: [E, S] scores, lower is better -> [E] of True and False."""
    best = scores.mean(1).argmin()
    tied = []
    for entry in scores:
        # Column s of every row began with the same student: what they share cancels in the difference.
        mean, half_width = mean_interval(entry - scores[best])
        tied.append(mean <= half_width)
    return np.array(tied)


T_95 = {2: 12.706204736, 3: 4.302652730, 4: 3.182446305, 5: 2.776445105, 6: 2.570581836, 7: 2.446911849}


def by_formula(scores):
    gap = scores - scores[scores.mean(1).argsort()[0]]
    count = gap.shape[1]
    return gap.mean(1) <= T_95[count] * gap.std(1, ddof=1) / np.sqrt(count)


def by_lower_ends(scores):
    best = min(range(len(scores)), key=lambda i: scores[i].sum())
    ends = [np.subtract(*mean_interval(row - scores[best])) for row in scores]
    return [bool(end <= 0) for end in ends]


def _each(scores, tied):
    best = scores.mean(1).argmin()
    return np.array([tied(row, scores[best]) for row in scores])


def _overlap(row, best):
    (one, half), (other, own) = mean_interval(row), mean_interval(best)
    return one - half <= other + own


def _inside(row, best):
    mean, half = mean_interval(best)
    return row.mean() <= mean + half


def _deviation(row, best):
    gap = row - best
    return gap.mean() <= gap.std(ddof=1)


def _population_deviation(row, best):
    gap = row - best
    return gap.mean() <= T_95[len(gap)] * gap.std() / np.sqrt(len(gap))


def one_beginning_is_harder():
    """Two entries from three beginnings, of which the second is hard for both; the second entry is always behind."""
    return (np.array([[1.0, 3.0, 1.4], [1.2, 3.1, 1.6]]),)


def boards(entries, seeds, seed):
    generator = np.random.default_rng(seed)
    beginnings = generator.normal(0, 1.0, seeds)
    strength = np.linspace(0, 0.6, entries)[generator.permutation(entries), None]
    return (5 + strength + beginnings + generator.normal(0, 0.16, (entries, seeds)),)


def a_close_call():
    """Differences 0.12, 0.22, 0.32: an interval of 0.22 ± 0.25, and ± 0.20 with n in place of n − 1."""
    return (np.array([[1.0, 3.0, 1.4], [1.12, 3.22, 1.72]]),)


def one_lucky_beginning():
    """Three entries from four beginnings: the last has the lowest single score and the highest mean."""
    return (np.array([[2.0, 3.0, 2.5, 2.2], [2.1, 3.1, 2.7, 2.3], [1.5, 4.4, 3.9, 3.6]]),)


EXERCISES = {
    "12.1": Exercise(
        reference=privileged_logits,
        explanation=(
            "Position t of an answer predicts token t + 1. What the student reads up to position t the teacher reads "
            "up to position t + k, the k ids of the hint more. So the first k positions of the teacher's answer are "
            "left out, and the last one is kept: T positions remain, and each predicts the same token on both sides. A "
            "label is no place for a gradient."
        ),
        cases=(
            Case("one text of three ids, a hint of two", lambda: hinted(1, 3, 2, 5, 0)),
            Case("two texts of five ids, hints of three", lambda: hinted(2, 5, 3, 7, 1)),
            Case("three texts of seven ids, hints of one", lambda: hinted(3, 7, 1, 4, 2)),
        ),
        unusual=(by_splitting, by_writing),
        mistakes=(
            Mistake(
                "first positions",
                "These are the first T positions of the teacher. There it has not read as far as the student has: "
                "compare positions at which both predict the same token.",
                lambda teacher, tokens, hint: _read(teacher, tokens[:, :1], hint, tokens[:, 1:])[:, : tokens.shape[1]],
            ),
            Mistake(
                "one too early",
                "This is off by one: at these positions the teacher predicts the token that the student has just read. "
                "How many ids has it read more than the student?",
                lambda teacher, tokens, hint: _read(teacher, tokens[:, :1], hint, tokens[:, 1:])[
                    :, hint.shape[1] - 1 : -1
                ],
            ),
            Mistake(
                "no hint",
                "The teacher has not read the hint at these positions: it answers as the student would, and there is "
                "nothing to learn. (A causal model reads none of a hint that stands behind the text.)",
                lambda teacher, tokens, hint: _read(teacher, tokens),
            ),
            Mistake(
                "hint before the mark",
                "The hint stands before the mark here. A text begins with its mark: the teacher has never seen one "
                "that does not.",
                lambda teacher, tokens, hint: _read(teacher, hint, tokens)[:, hint.shape[1] :],
            ),
            Mistake(
                "another's hint",
                "Each text is judged with the hint of another. That is the control of the experiment below; the method "
                "gives each text its own.",
                lambda teacher, tokens, hint: privileged_logits(teacher, tokens, hint.roll(1, 0)),
            ),
            Mistake(
                "hint at the end",
                "The hint stands behind the text here. A causal model that predicts a token has read what stands "
                "before it, and nothing else.",
                lambda teacher, tokens, hint: _read(teacher, tokens, hint)[:, hint.shape[1] :],
            ),
        ),
        check=is_a_label,
    ),
    "12.2": Exercise(
        reference=letter_logp,
        explanation=(
            "A pair xy is one event, and the event “the first letter is x” is the union of all pairs that begin with "
            "x. So p(x) is a row's sum. Given x, only that row is left, and it has to be normalised anew. Both are "
            "exact: the product p(x)·p(y | x) is the pair's probability again."
        ),
        cases=(
            Case("aa 0.1, ab 0.3, ba 0.2, bb 0.4; the first letter was a", two_letters),
            Case("three positions, four letters", lambda: pair_case(3, 4, 0)),
            Case("two positions, seven letters", lambda: pair_case(2, 7, 1)),
        ),
        unusual=(by_probabilities, by_gathering),
        entries=("log p(x)", "log p(y | x)"),
        mistakes=(
            Mistake(
                "sum of logs",
                "Logs are summed here, which multiplies the probabilities. The pairs that begin with x exclude one "
                "another: their probabilities add up.",
                lambda pair_logp, first: (
                    pair_logp.sum(-1).log_softmax(-1),
                    letter_logp(pair_logp, first)[1],
                ),
            ),
            Mistake(
                "wrong letter summed",
                "This sums over the first letter and leaves the second. Row x holds the pairs that begin with x.",
                lambda pair_logp, first: (pair_logp.logsumexp(1), letter_logp(pair_logp, first)[1]),
            ),
            Mistake(
                "not normalised",
                "The second part is log p(xy), which does not sum to 1 over y. Once x is known, its row is all there "
                "is.",
                lambda pair_logp, first: (
                    letter_logp(pair_logp, first)[0],
                    pair_logp[torch.arange(len(first)), first],
                ),
            ),
            Mistake(
                "column for row",
                "The second part is a column: the pairs that *end* with x. After the letter x come the pairs that "
                "begin with it.",
                lambda pair_logp, first: (
                    letter_logp(pair_logp, first)[0],
                    pair_logp[torch.arange(len(first)), :, first].log_softmax(-1),
                ),
            ),
            Mistake(
                "second letter unconditional",
                "The second part is p(y) whatever came first. It has to depend on the letter that the text has.",
                lambda pair_logp, first: (letter_logp(pair_logp, first)[0], pair_logp.logsumexp(1)),
            ),
            Mistake(
                "likeliest pair",
                "This keeps the likeliest pair of each letter instead of all its pairs: a bias towards letters that "
                "have one strong pair.",
                lambda pair_logp, first: (
                    pair_logp.max(-1).values.log_softmax(-1),
                    letter_logp(pair_logp, first)[1],
                ),
            ),
        ),
    ),
    "12.3": Exercise(
        reference=tied_with_best,
        explanation=(
            "Some beginnings are easier than others, for all entries alike. Two separate intervals contain that common "
            "part twice and hide small but certain differences; the interval of the *difference* does not contain it "
            "at all. The best entry's difference to itself is 0 with a half width of 0: it ties with itself."
        ),
        cases=(
            Case("two entries from three beginnings, one of them hard for both", one_beginning_is_harder),
            Case("two entries from three beginnings, a close call", a_close_call),
            Case("three entries from four beginnings, one entry lucky once", one_lucky_beginning),
            Case("seven entries, five beginnings", lambda: boards(7, 5, 24)),
            Case("five entries, four beginnings", lambda: boards(5, 4, 24)),
            Case("eleven entries, six beginnings", lambda: boards(11, 6, 0)),
        ),
        unusual=(by_formula, by_lower_ends),
        mistakes=(
            Mistake(
                "intervals overlap",
                "This asks whether two separate intervals overlap. Entries from the same beginnings are pairs: much of "
                "what makes their intervals wide is common to both, and cancels in the difference.",
                lambda scores: _each(scores, _overlap),
            ),
            Mistake(
                "inside the best's interval",
                "This asks whether a mean lies within the best entry's own interval, which is wide because beginnings "
                "differ. Take the interval of the difference, seed by seed.",
                lambda scores: _each(scores, _inside),
            ),
            Mistake(
                "deviation for interval",
                "This compares the mean difference with its standard deviation. How sure the *mean* is depends on the "
                "number of seeds, too: take `mean_interval` of the differences.",
                lambda scores: _each(scores, _deviation),
            ),
            Mistake(
                "equal means",
                "Only entries of equal means tie here. Means of a few seeds are never equal; the question is whether "
                "the difference could be chance.",
                lambda scores: scores.mean(1) == scores.mean(1).min(),
            ),
            Mistake(
                "highest is best",
                "This takes the entry of the highest mean for the best. The score is a distance: lower is better.",
                lambda scores: tied_with_best(-scores),
            ),
            Mistake(
                "n for n − 1",
                "These intervals are too narrow: the deviation of a few numbers is estimated with n − 1. "
                "`mean_interval` does that.",
                lambda scores: _each(scores, _population_deviation),
            ),
            Mistake(
                "luckiest entry",
                "The best entry is chosen here by its single lowest score. One lucky beginning makes no best entry: "
                "compare the means.",
                lambda scores: np.array(
                    [mean <= half for mean, half in map(mean_interval, scores - scores[scores.min(1).argmin()])]
                ),
            ),
            Mistake(
                "one beginning decides",
                "An entry counts as tied here once it is ahead in a single beginning. That will happen to many, given "
                "enough beginnings.",
                lambda scores: _each(scores, lambda row, best: (row <= best).any()),
            ),
        ),
    ),
}
