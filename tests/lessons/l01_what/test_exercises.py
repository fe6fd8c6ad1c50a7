"""Wrong answers to the exercises of lesson 01, written as a learner would write them."""

from itertools import combinations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from kd_lab.classroom.answers import close
from kd_lab.classroom.diagnosis import diagnose, find_exercise


@pytest.mark.parametrize("identifier", ["01.1", "01.2", "01.3", "01.4"])
def test_no_two_mistakes_give_the_same_answer_on_the_largest_case(identifier):
    """Otherwise a mistake would be called by another one's name."""
    exercise = find_exercise(identifier)
    case = exercise.cases[-1]
    answers = {mistake.name: mistake.function(*case.inputs()) for mistake in exercise.mistakes}
    for (one, first), (other, second) in combinations(answers.items(), 2):
        assert not close(first, second, exercise.tolerance), f"{one} and {other}"


def accepted(identifier, answer):
    return diagnose(find_exercise(identifier), answer) is None


# ---- 01.1


def test_soft_loss_names_the_missing_factor(assert_rejects):
    def bare(student_logits, teacher_logits, temperature):
        student_logp = F.log_softmax(student_logits / temperature, -1)
        return F.kl_div(student_logp, F.softmax(teacher_logits / temperature, -1), reduction="none").sum(-1)

    assert_rejects("01.1", bare, "without its factor")


def test_soft_loss_names_the_reversed_direction(assert_rejects):
    def reversed_kl(student_logits, teacher_logits, temperature):
        teacher_logp = F.log_softmax(teacher_logits / temperature, -1)
        gap = F.kl_div(teacher_logp, F.softmax(student_logits / temperature, -1), reduction="none").sum(-1)
        return gap * temperature * temperature

    assert_rejects("01.1", reversed_kl, "KL(q‖p)")


def test_soft_loss_names_the_sharp_student(assert_rejects):
    def one_sided(student_logits, teacher_logits, temperature):
        p = F.softmax(teacher_logits / temperature, -1)
        return temperature**2 * (p * (p.log() - F.log_softmax(student_logits, -1))).sum(-1)

    assert_rejects("01.1", one_sided, "compared unsoftened")


def test_soft_loss_names_the_cross_entropy(assert_rejects):
    def cross_entropy(student_logits, teacher_logits, temperature):
        p = F.softmax(teacher_logits / temperature, -1)
        return -(temperature**2) * (p * F.log_softmax(student_logits / temperature, -1)).sum(-1)

    assert_rejects("01.1", cross_entropy, "cross-entropy")


def test_soft_loss_takes_softened_log_probabilities():
    def by_log_probabilities(student_logits, teacher_logits, temperature):
        q = F.log_softmax(F.log_softmax(student_logits, -1) / temperature, -1)
        p = F.log_softmax(F.log_softmax(teacher_logits, -1) / temperature, -1)
        return temperature**2 * F.kl_div(q, p, log_target=True, reduction="none").sum(-1)

    assert diagnose(find_exercise("01.1"), by_log_probabilities) is None


def test_soft_loss_takes_a_loop_over_tokens_whose_sum_starts_at_zero():
    def loop(student_logits, teacher_logits, temperature):
        p, q = ((z / temperature).softmax(-1) for z in (teacher_logits, student_logits))
        total = 0
        for token in range(p.shape[-1]):
            total = total + p[..., token] * (p[..., token] / q[..., token]).log()
        return total * temperature * temperature

    assert accepted("01.1", loop)


def test_soft_loss_takes_numpy():
    def in_numpy(student_logits, teacher_logits, temperature):
        u, z = (np.asarray(x, dtype=np.float64) / temperature for x in (teacher_logits, student_logits))
        p, q = (np.exp(x) / np.exp(x).sum(-1, keepdims=True) for x in (u, z))
        return temperature**2 * (p * np.log(p / q)).sum(-1)

    assert accepted("01.1", in_numpy)


# ---- 01.2


def test_limit_gradient_names_what_the_softmax_forgets(assert_rejects):
    def uncentred(student_logits, teacher_logits):
        return (student_logits - teacher_logits) / student_logits.size(-1)

    assert_rejects("01.2", uncentred, "does not sum to zero")


def test_limit_gradient_names_the_sign(assert_rejects):
    def toward(student_logits, teacher_logits):
        gap = teacher_logits - student_logits
        return (gap - gap.mean(-1, keepdim=True)) / gap.size(-1)

    assert_rejects("01.2", toward, "sign is reversed")


def test_limit_gradient_names_the_vocabulary(assert_rejects):
    def centred(student_logits, teacher_logits):
        return (
            student_logits
            - student_logits.mean(-1, keepdim=True)
            - teacher_logits
            + teacher_logits.mean(-1, keepdim=True)
        )

    assert_rejects("01.2", centred, "V times too large")


def test_limit_gradient_is_what_a_very_high_temperature_gives():
    exercise = find_exercise("01.2")
    student, teacher = (tensor.double().requires_grad_() for tensor in exercise.cases[1].inputs())
    loss = find_exercise("01.1").reference(student, teacher, 1e5).sum()
    (gradient,) = torch.autograd.grad(loss, student)
    torch.testing.assert_close(gradient, exercise.reference(student, teacher), rtol=1e-3, atol=1e-4)


def test_limit_gradient_takes_a_centring_matrix_and_other_dtypes():
    def by_matrix(student_logits, teacher_logits):
        size = student_logits.shape[-1]
        centre = torch.eye(size, dtype=torch.float64) - torch.full((size, size), 1 / size, dtype=torch.float64)
        return (student_logits - teacher_logits).double() @ centre / size

    assert accepted("01.2", by_matrix)


def test_limit_gradient_takes_numpy_and_work_in_place():
    def in_place(student_logits, teacher_logits):
        gap = student_logits.numpy() - teacher_logits.numpy()
        gap -= gap.mean(-1, keepdims=True)
        gap /= gap.shape[-1]
        return gap

    assert accepted("01.2", in_place)


# ---- 01.3


def test_hint_loss_names_the_mask_that_is_only_in_the_sum(assert_rejects):
    def half_masked(student_hidden, projector, teacher_hidden, mask):
        halves = 0.5 * (student_hidden @ projector.T - teacher_hidden.detach()).pow(2).sum(-1)
        return (halves * mask).mean()

    assert_rejects("01.3", half_masked, "left out of the sum")


def test_hint_loss_takes_a_loop_over_texts():
    def loop(student_hidden, projector, teacher_hidden, mask):
        total, positions = 0, 0
        for h, g, counts in zip(student_hidden, teacher_hidden.detach(), mask, strict=True):
            total = total + (F.linear(h[counts], projector) - g[counts]).norm(dim=-1).square().sum() / 2
            positions += int(counts.sum())
        return total / positions

    assert accepted("01.3", loop)


def test_hint_loss_takes_torchs_summed_error():
    def summed(student_hidden, projector, teacher_hidden, mask):
        seen = torch.einsum("bts,gs->btg", student_hidden, projector)
        where = mask.unsqueeze(-1).expand_as(seen)
        return F.mse_loss(seen[where], teacher_hidden[where].detach(), reduction="sum") / (2 * mask.sum())

    assert accepted("01.3", summed)


def test_hint_loss_names_torchs_mean_squared_error(assert_rejects):
    def mean_squared_error(student_hidden, projector, teacher_hidden, mask):
        return F.mse_loss((student_hidden @ projector.T)[mask], teacher_hidden[mask])

    assert_rejects("01.3", mean_squared_error, "mse_loss")


def test_hint_loss_names_the_padding(assert_rejects):
    def unmasked(student_hidden, projector, teacher_hidden, mask):
        return 0.5 * (F.linear(student_hidden, projector) - teacher_hidden).pow(2).sum(-1).mean()

    assert_rejects("01.3", unmasked, "Padding is counted")


def test_hint_loss_names_the_missing_half(assert_rejects):
    def whole(student_hidden, projector, teacher_hidden, mask):
        return (F.linear(student_hidden, projector) - teacher_hidden).pow(2).sum(-1)[mask].mean()

    assert_rejects("01.3", whole, "twice the loss")


def test_hint_loss_names_the_teacher_that_moves(assert_rejects):
    def moving(student_hidden, projector, teacher_hidden, mask):
        return 0.5 * (F.linear(student_hidden, projector) - teacher_hidden).pow(2).sum(-1)[mask].mean()

    assert_rejects("01.3", moving, "flows to the teacher")


def test_hint_loss_names_the_frozen_projector(assert_rejects):
    def frozen(student_hidden, projector, teacher_hidden, mask):
        gap = F.linear(student_hidden, projector.detach()) - teacher_hidden.detach()
        return 0.5 * gap.pow(2).sum(-1)[mask].mean()

    assert_rejects("01.3", frozen, "no gradient reaches the projector")


def test_hint_loss_names_a_loss_without_gradient(assert_rejects):
    def number(student_hidden, projector, teacher_hidden, mask):
        with torch.no_grad():
            return 0.5 * (F.linear(student_hidden, projector) - teacher_hidden).pow(2).sum(-1)[mask].mean()

    assert_rejects("01.3", number, "no gradient leaves it")


# ---- 01.4


def pooled(hidden, mask):
    return torch.stack([row[counts].mean(0) for row, counts in zip(hidden, mask, strict=True)])


def test_distance_relation_names_the_diagonal(assert_rejects):
    def plain_mean(hidden, mask):
        distances = torch.cdist(pooled(hidden, mask), pooled(hidden, mask))
        return distances / distances.mean()

    assert_rejects("01.4", plain_mean, "diagonal")


def test_distance_relation_names_the_missing_root(assert_rejects):
    def squares(hidden, mask):
        texts = pooled(hidden, mask)
        squared = (texts.unsqueeze(0) - texts.unsqueeze(1)).pow(2).sum(2)
        return squared / squared[squared > 0].mean()

    assert_rejects("01.4", squares, "squared distances")


def test_distance_relation_names_the_missing_unit(assert_rejects):
    def raw(hidden, mask):
        return torch.cdist(pooled(hidden, mask), pooled(hidden, mask))

    assert_rejects("01.4", raw, "units of the features")


def test_distance_relation_names_the_padding(assert_rejects):
    def padded(hidden, mask):
        distances = torch.cdist(hidden.mean(1), hidden.mean(1))
        return distances / distances[distances > 0].mean()

    assert_rejects("01.4", padded, "runs over its padding")


def test_distance_relation_takes_the_mean_of_the_positive_entries():
    def positive(hidden, mask):
        distances = torch.cdist(pooled(hidden, mask), pooled(hidden, mask))
        return distances / distances[distances > 0].mean()

    assert diagnose(find_exercise("01.4"), positive) is None


def test_distance_relation_takes_numpy_in_double_precision():
    def in_numpy(hidden, mask):
        texts = np.stack([np.asarray(h)[np.asarray(m)].mean(0) for h, m in zip(hidden, mask, strict=True)])
        distances = np.linalg.norm((texts[:, None] - texts[None]).astype(np.float64), axis=-1)
        return distances / distances[~np.eye(len(texts), dtype=bool)].mean()

    assert accepted("01.4", in_numpy)


def test_distance_relation_takes_the_mean_of_the_upper_triangle():
    def upper(hidden, mask):
        texts = pooled(hidden, mask)
        condensed = torch.pdist(texts)
        square = torch.zeros(len(texts), len(texts))
        rows, columns = torch.triu_indices(len(texts), len(texts), 1)
        square[rows, columns] = condensed / condensed.mean()
        return square + square.T

    assert accepted("01.4", upper)


@pytest.mark.parametrize("small", [1e-6, 1e-8, 1e-12, 1e-20])
def test_soft_loss_does_not_pass_with_a_small_number_inside_the_logarithm(small):
    def helped(student_logits, teacher_logits, temperature):
        q, p = (student_logits / temperature).softmax(-1), (teacher_logits / temperature).softmax(-1)
        return temperature**2 * (p * (p / (q + small)).log()).sum(-1)

    assert not accepted("01.1", helped)
