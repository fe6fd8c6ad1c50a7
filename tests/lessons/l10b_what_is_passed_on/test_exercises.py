"""The checks of lesson 10b know a right answer from plausible wrong ones, and name what is wrong."""

import math

import numpy as np
import torch

from kd_lab.classroom.diagnosis import diagnose, find_exercise

# ---- 10b.1 -------------------------------------------------------------------------------------------------------


def multiplied(losses):
    left = [1.0]
    for loss in losses:
        left.append(left[-1] * (1 - loss))
    return np.array(left)


def test_the_law_is_what_a_simulation_finds():
    generator, p = np.random.default_rng(0), np.array([0.5, 0.3, 0.2])
    for accumulate in (False, True):
        seen = []
        for _ in range(4000):
            q, counts, ratios = p, np.zeros(3), []
            for _ in range(4):
                drawn = generator.multinomial(6, q)
                counts = counts + drawn if accumulate else drawn
                q = counts / counts.sum()
                ratios.append((1 - (q**2).sum()) / (1 - (p**2).sum()))
            seen.append(ratios)
        law = find_exercise("10b.1").reference(6, 4, accumulate)
        np.testing.assert_allclose(np.mean(seen, 0), law[1:], atol=0.02)


def test_the_law_names_added_losses(assert_rejects):
    def added(samples, generations, accumulate):
        k = np.arange(generations + 1)
        if not accumulate:
            return 1 - k / samples
        return 1 - np.concatenate([[0], np.cumsum(1 / np.arange(1, generations + 1) ** 2)]) / samples

    assert_rejects("10b.1", added, "factors multiply")


def test_the_law_names_the_share_that_is_not_squared(assert_rejects):
    def by_size(samples, generations, accumulate):
        sizes = [samples * k if accumulate else samples for k in range(1, generations + 1)]
        return multiplied([1 / size for size in sizes])

    assert_rejects("10b.1", by_size, "a k-th of the way")


def test_the_law_names_the_forgotten_first_draw(assert_rejects):
    def from_two(samples, generations, accumulate):
        return multiplied(
            [1 / samples / (k + 1) ** 2 if accumulate else 1 / samples for k in range(1, generations + 1)]
        )

    assert_rejects("10b.1", from_two, "first factor is missing")


def test_the_law_names_the_missing_beginning(assert_rejects):
    def later(samples, generations, accumulate):
        return [
            math.prod(1 - 1 / (samples * (j * j if accumulate else 1)) for j in range(1, k + 1))
            for k in range(1, generations + 1)
        ]

    assert_rejects("10b.1", later, "generations + 1")


def test_the_law_names_the_policy_that_is_not_read(assert_rejects):
    def always_replaced(samples, generations, accumulate):
        return multiplied([1 / samples] * generations)

    assert_rejects("10b.1", always_replaced, "changes nothing")


# ---- 10b.2 -------------------------------------------------------------------------------------------------------


def top(logp):
    return logp.argmax(-1)


def gap(of, to):
    return (np.exp(of) * (of - to)).sum(-1)


def test_fidelity_names_counted_padding(assert_rejects):
    def everywhere(student_logp, teacher_logp, mask):
        return (top(student_logp) == top(teacher_logp)).mean(), gap(teacher_logp, student_logp).mean()

    assert_rejects("10b.2", everywhere, "do not count")


def test_fidelity_names_the_wrong_divisor(assert_rejects):
    def zeroed(student_logp, teacher_logp, mask):
        same = (top(student_logp) == top(teacher_logp)) * mask
        return same.mean(), (gap(teacher_logp, student_logp) * mask).mean()

    assert_rejects("10b.2", zeroed, "still divided by")


def test_fidelity_names_the_direction(assert_rejects):
    def student_weighs(student_logp, teacher_logp, mask):
        same = (top(student_logp) == top(teacher_logp))[mask].mean()
        return same, gap(student_logp, teacher_logp)[mask].mean()

    assert_rejects("10b.2", student_weighs, "the student weighs")


def test_fidelity_names_the_mean_over_letters(assert_rejects):
    def all_means(student_logp, teacher_logp, mask):
        same = (top(student_logp) == top(teacher_logp))[mask].mean()
        return same, (np.exp(teacher_logp) * (teacher_logp - student_logp))[mask].mean()

    assert_rejects("10b.2", all_means, "V times")


def test_fidelity_names_the_cross_entropy(assert_rejects):
    def surprise(student_logp, teacher_logp, mask):
        same = (top(student_logp) == top(teacher_logp))[mask].mean()
        return same, -(np.exp(teacher_logp) * student_logp)[mask].sum(-1).mean()

    assert_rejects("10b.2", surprise, "entropy is missing")


# ---- 10b.3 -------------------------------------------------------------------------------------------------------


def z_of(hits, total, base):
    return (float(hits) - base * total) / math.sqrt(total * base * (1 - base))


def test_z_names_the_share_of_the_table(assert_rejects):
    def against_gamma(tokens, mask, green, base):
        seen = green[tokens[:, :-1], tokens[:, 1:]][mask]
        return z_of(seen.sum(), len(seen), float(green.float().mean()))

    assert_rejects("10b.3", against_gamma, "in place of `base`")


def test_z_names_counted_padding(assert_rejects):
    def all_transitions(tokens, mask, green, base):
        seen = green[tokens[:, :-1], tokens[:, 1:]]
        return z_of(seen.sum(), seen.numel(), base)

    assert_rejects("10b.3", all_transitions, "padding are counted")


def test_z_names_the_turned_table(assert_rejects):
    def next_first(tokens, mask, green, base):
        seen = green[tokens[:, 1:], tokens[:, :-1]][mask]
        return z_of(seen.sum(), len(seen), base)

    assert_rejects("10b.3", next_first, "[next, previous]")


def test_z_names_the_missing_root(assert_rejects):
    def by_variance(tokens, mask, green, base):
        seen = green[tokens[:, :-1], tokens[:, 1:]][mask]
        return (float(seen.sum()) - base * len(seen)) / (len(seen) * base * (1 - base))

    assert_rejects("10b.3", by_variance, "take the root")


def test_z_names_the_forgotten_length(assert_rejects):
    def shares(tokens, mask, green, base):
        return (green[tokens[:, :-1], tokens[:, 1:]][mask].float().mean().item() - base) / math.sqrt(base * (1 - base))

    assert_rejects("10b.3", shares, "without the √T")


def test_z_takes_a_text_at_a_time():
    def text_by_text(tokens, mask, green, base):
        hits = sum(
            int(green[row[:-1][counts], row[1:][counts]].sum()) for row, counts in zip(tokens, mask, strict=True)
        )
        return torch.tensor(z_of(hits, int(mask.sum()), base))

    assert diagnose(find_exercise("10b.3"), text_by_text) is None
