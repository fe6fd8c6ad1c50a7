"""Everything about fork is a sum over its texts: probabilities, losses, and the gradient that each text gives."""

import pytest
import torch

from kd_lab.lessons.l07_minillm.fork import (
    TEACHER_LOGP,
    chosen,
    descend,
    fork,
    measure,
    new_bigram,
    new_table,
    sequence_loss,
    share_of_words,
    student_at,
    teacher,
    text_probability,
    token_loss,
    word_loss,
)
from kd_lab.models import TabularModel


def plain(student):
    """The policy gradient of the sequence's reverse KL, every token credited with the whole text."""

    def terms(student_logp):
        log_q = chosen(student_logp)
        gap = (log_q - chosen(TEACHER_LOGP)).sum(1, keepdim=True).detach()
        return log_q * gap

    return terms, None


def token_wise(student):
    return lambda student_logp: (student_logp.exp() * (student_logp - TEACHER_LOGP)).sum(-1), None


def test_the_texts_are_all_that_can_be_written_and_most_of_the_teacher_s_are_words():
    for model in (teacher, new_bigram(0), new_table(0)):
        assert text_probability(model).sum().item() == pytest.approx(1)
    assert share_of_words(new_bigram(0)) < 0.2 < 0.8 < share_of_words(teacher)


def test_the_teacher_itself_is_the_zero_of_each_loss():
    for loss in (sequence_loss, token_loss, word_loss):
        assert loss(TabularModel(fork.logp)).item() == pytest.approx(0, abs=1e-9)
        assert loss(new_table(0)).item() > 0.1


def test_with_its_weights_held_fixed_the_token_loss_has_the_value_of_the_sequence_s_and_another_gradient():
    student = new_bigram(0)
    values, gradients = [], []
    for loss in (sequence_loss, token_loss):
        values.append(loss(student))
        gradients.append(torch.autograd.grad(values[-1], student.table)[0])
    torch.testing.assert_close(*values)
    assert (gradients[0] - gradients[1]).norm() > 0.1 * gradients[0].norm()


def test_a_stage_goes_on_from_the_one_before():
    path = descend(new_bigram(3), word_loss, steps=40)
    assert len(path) == 40
    assert path[-1] < path[0]
    word_level, committed = student_at("word-level", 3), student_at("committed", 3)
    assert word_loss(word_level) < path[-1] + 0.01
    assert sequence_loss(committed) < sequence_loss(word_level) < sequence_loss(student_at("fresh", 3))


def test_the_plain_policy_gradient_has_no_bias_and_the_token_wise_one_has():
    student = new_bigram(1)
    exact, biased = measure(plain, student), measure(token_wise, student)
    assert exact.bias == pytest.approx(0, abs=1e-9)
    assert biased.bias > 0.1
    assert exact.variance > 0
    torch.testing.assert_close(exact.moments[0], exact.truth)
