"""Wrong answers to the exercises of lesson 06, written as a learner would write them."""

import math

import pytest
import torch
from torch.nn.functional import kl_div

from kd_lab.classroom.diagnosis import diagnose, find_exercise

# ---- 06.1


def gap_on(batch, student, teacher, divergence):
    return divergence(student(batch.inputs).log_softmax(-1), teacher(batch.inputs).detach().log_softmax(-1))


def test_gkd_step_names_the_turned_coin(assert_rejects):
    def turned(student, teacher, read, write, share, coin, divergence):
        batch = write() if coin > share else read()
        return gap_on(batch, student, teacher, divergence)[batch.mask].mean()

    assert_rejects("06.1", turned, "the other way round")


def test_gkd_step_names_the_coin_that_writes_at_zero(assert_rejects):
    def inclusive(student, teacher, read, write, share, coin, divergence):
        batch = write() if coin <= share else read()
        return gap_on(batch, student, teacher, divergence)[batch.mask].mean()

    assert_rejects("06.1", inclusive, "coin of exactly 0")


def test_gkd_step_names_the_blend(assert_rejects):
    def blended(student, teacher, read, write, share, coin, divergence):
        losses = [gap_on(b, student, teacher, divergence)[b.mask].mean() for b in (write(), read())]
        return share * losses[0] + (1 - share) * losses[1]

    assert_rejects("06.1", blended, "their losses blended")


def test_gkd_step_names_the_reversed_direction(assert_rejects):
    def reversed_models(student, teacher, read, write, share, coin, divergence):
        batch = write() if coin < share else read()
        return gap_on(batch, teacher, student, divergence)[batch.mask].mean()

    assert_rejects("06.1", reversed_models, "Student first")


def test_gkd_step_names_counted_padding(assert_rejects):
    def unmasked(student, teacher, read, write, share, coin, divergence):
        batch = write() if coin < share else read()
        return gap_on(batch, student, teacher, divergence).mean()

    assert_rejects("06.1", unmasked, "after the end")


def test_gkd_step_names_training_on_own_tokens(assert_rejects):
    def likelihood(student, teacher, read, write, share, coin, divergence):
        batch = write() if coin < share else read()
        logp = student(batch.inputs).log_softmax(-1)
        return -torch.gather(logp, 2, batch.targets.unsqueeze(2)).squeeze(2)[batch.mask].mean()

    assert_rejects("06.1", likelihood, "no teacher in it")


def test_gkd_step_sees_the_needless_rollout(assert_rejects):
    def always_writes(student, teacher, read, write, share, coin, divergence):
        own = write()
        batch = own if coin < share else read()
        return gap_on(batch, student, teacher, divergence)[batch.mask].mean()

    assert_rejects("06.1", always_writes, "toss the coin first")


def test_gkd_step_sees_a_gradient_in_the_teacher(assert_rejects):
    def attached(student, teacher, read, write, share, coin, divergence):
        batch = write() if coin < share else read()
        gaps = divergence(student(batch.inputs).log_softmax(-1), teacher(batch.inputs).log_softmax(-1))
        return gaps[batch.mask].mean()

    assert_rejects("06.1", attached, "flows into the teacher")


def test_gkd_step_takes_a_plain_right_answer():
    def plain(student, teacher, read, write, share, coin, divergence):
        batch = read()
        if share > coin:
            batch = write()
        return gap_on(batch, student, teacher, divergence)[batch.mask].mean()

    assert diagnose(find_exercise("06.1"), plain) is None


# ---- 06.2


def mixed(student_logp, teacher_logp, beta):
    return torch.logaddexp(math.log(beta) + teacher_logp, math.log1p(-beta) + student_logp)


def test_generalised_jsd_names_swapped_outer_weights(assert_rejects):
    def swapped(student_logp, teacher_logp, beta):
        m = mixed(student_logp, teacher_logp, beta)
        p_m = kl_div(m, teacher_logp, reduction="none", log_target=True).sum(-1)
        q_m = kl_div(m, student_logp, reduction="none", log_target=True).sum(-1)
        return (1 - beta) * p_m + beta * q_m

    assert_rejects("06.2", swapped, "weights of the two KLs are exchanged")


def test_generalised_jsd_names_the_swapped_mixture(assert_rejects):
    def swapped(student_logp, teacher_logp, beta):
        m = mixed(teacher_logp, student_logp, beta)
        p_m = kl_div(m, teacher_logp, reduction="none", log_target=True).sum(-1)
        q_m = kl_div(m, student_logp, reduction="none", log_target=True).sum(-1)
        return beta * p_m + (1 - beta) * q_m

    assert_rejects("06.2", swapped, "student has the share β of the mixture")


def test_generalised_jsd_names_the_students_share(assert_rejects):
    def students(student_logp, teacher_logp, beta):
        p, q = teacher_logp.exp(), student_logp.exp()
        m = (1 - beta) * p + beta * q
        return (1 - beta) * (p * (p / m).log()).sum(-1) + beta * (q * (q / m).log()).sum(-1)

    assert_rejects("06.2", students, "this is JSD(1−β)")


def test_generalised_jsd_names_averaged_logarithms(assert_rejects):
    def geometric(student_logp, teacher_logp, beta):
        m = torch.lerp(student_logp, teacher_logp, beta)
        p_m = (teacher_logp.exp() * (teacher_logp - m)).sum(-1)
        return beta * p_m + (1 - beta) * (student_logp.exp() * (student_logp - m)).sum(-1)

    assert_rejects("06.2", geometric, "adds probabilities")


def test_generalised_jsd_names_kls_from_the_mixture(assert_rejects):
    def wrong_way(student_logp, teacher_logp, beta):
        m = mixed(student_logp, teacher_logp, beta)
        m_p = kl_div(teacher_logp, m, reduction="none", log_target=True).sum(-1)
        m_q = kl_div(student_logp, m, reduction="none", log_target=True).sum(-1)
        return beta * m_p + (1 - beta) * m_q

    assert_rejects("06.2", wrong_way, "run from the mixture")


def test_generalised_jsd_in_probabilities_underflows(assert_rejects):
    def in_probabilities(student_logp, teacher_logp, beta):
        p, q = teacher_logp.exp(), student_logp.exp()
        m = beta * p + (1 - beta) * q
        return beta * (p * (p / m).log()).sum(-1) + (1 - beta) * (q * (q / m).log()).sum(-1)

    assert_rejects("06.2", in_probabilities, "NaN")


# ---- 06.3


def slope(loss, student_logits, teacher_logits):
    student_logits = student_logits.detach().clone().requires_grad_(True)
    loss(student_logits, teacher_logits).backward()
    return student_logits.grad


def test_recognise_names_compared_values(assert_rejects):
    def by_value(theirs, candidates, student_logits, teacher_logits):
        for name, loss in candidates.items():
            if abs(theirs(student_logits, teacher_logits) - loss(student_logits, teacher_logits)) < 1e-4:
                return name
        return None

    assert_rejects("06.3", by_value, "compares values")


def test_recognise_names_the_point_of_equality(assert_rejects):
    def at_the_teacher(theirs, candidates, student_logits, teacher_logits):
        wanted = slope(theirs, teacher_logits, teacher_logits)
        hits = [
            n
            for n, f in candidates.items()
            if torch.allclose(slope(f, teacher_logits, teacher_logits), wanted, atol=1e-5)
        ]
        return hits[0] if hits else None

    assert_rejects("06.3", at_the_teacher, "where student and teacher agree")


def test_recognise_names_the_nearest(assert_rejects):
    def nearest(theirs, candidates, student_logits, teacher_logits):
        wanted = slope(theirs, student_logits, teacher_logits)
        distances = {n: torch.dist(slope(f, student_logits, teacher_logits), wanted) for n, f in candidates.items()}
        return min(distances, key=distances.get)

    assert_rejects("06.3", nearest, "however far away")


def test_recognise_names_the_direction_alone(assert_rejects):
    def by_angle(theirs, candidates, student_logits, teacher_logits):
        wanted = slope(theirs, student_logits, teacher_logits).flatten()
        for name, loss in candidates.items():
            own = slope(loss, student_logits, teacher_logits).flatten()
            if torch.cosine_similarity(own, wanted, dim=0) > 1 - 1e-5:
                return name
        return None

    assert_rejects("06.3", by_angle, "directions only")


def test_recognise_takes_backward_instead_of_grad():
    def with_backward(theirs, candidates, student_logits, teacher_logits):
        wanted = slope(theirs, student_logits, teacher_logits)
        for name, loss in candidates.items():
            if (slope(loss, student_logits, teacher_logits) - wanted).abs().max() < 1e-5:
                return name
        return None

    assert diagnose(find_exercise("06.3"), with_backward) is None


@pytest.mark.parametrize("small", [1e-6, 1e-8, 1e-12, 1e-20])
def test_gkd_step_does_not_pass_with_a_small_number_inside_the_logarithm(small):
    def helped(student, teacher, read, write, share, coin, divergence):
        batch = write() if coin < share else read()
        student_logp, teacher_logp = ((m(batch.inputs).softmax(-1) + small).log() for m in (student, teacher))
        return divergence(student_logp, teacher_logp.detach())[batch.mask].mean()

    assert diagnose(find_exercise("06.1"), helped) is not None
