"""Students of low rank: what rank allows, and that training is descent on the divergence."""

import numpy as np
import pytest

from kd_lab.measure.low_rank_student import implausible_mass, log_softmax, peaked_teacher, train_low_rank


def forward_gradient(student_logp, teacher_logp):
    return np.exp(student_logp) - np.exp(teacher_logp)


@pytest.fixture(scope="module")
def teachers():
    return np.stack([peaked_teacher(np.random.default_rng([0, s]), 6, 7, 2) for s in range(3)])


def test_a_teacher_gives_its_plausible_tokens_all_but_the_rest(teachers):
    np.testing.assert_allclose(np.exp(teachers).sum(-1), 1)
    np.testing.assert_allclose(implausible_mass(teachers, teachers), 0.04)
    with pytest.raises(ValueError, match="expected at least 1"):
        peaked_teacher(np.random.default_rng(0), peaks=20)


def test_logits_have_the_rank_that_was_asked_for(teachers):
    student, _ = train_low_rank(teachers, forward_gradient, rank=2, steps=200)
    logits = student - student.mean(-1, keepdims=True)  # without the normaliser of each row
    centred = logits - logits.mean(1, keepdims=True)  # without the bias
    assert np.linalg.svd(centred, compute_uv=False)[:, 2:].max() < 1e-9


def test_a_student_of_full_rank_copies(teachers):
    student, _ = train_low_rank(teachers, forward_gradient, rank=7, steps=5000, rate=1.0)
    np.testing.assert_allclose(np.exp(student), np.exp(teachers), atol=2e-3)


def test_the_first_norm_is_the_gradients_and_the_start_is_the_seeds(teachers):
    still, first = train_low_rank(teachers, forward_gradient, rank=2, steps=1, rate=0.0)
    generator = np.random.default_rng(0)
    states = 0.3 * generator.standard_normal((3, 6, 2))
    embeddings = 0.3 * generator.standard_normal((3, 2, 7))
    np.testing.assert_allclose(still, log_softmax(states @ embeddings))
    slope = forward_gradient(still, teachers) / 6
    parts = [slope @ embeddings.swapaxes(1, 2), states.swapaxes(1, 2) @ slope, slope.sum(1)]
    np.testing.assert_allclose(first, np.sqrt(sum((one.reshape(3, -1) ** 2).sum(1) for one in parts)))
