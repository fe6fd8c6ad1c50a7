"""Settings of public trainers against ours: each project's loss is written out here from its own definition."""

import pytest
import torch

from kd_lab.methods.dialects import (
    DIALECTS,
    dialect_table,
    distillm,
    distillm_2,
    distillm_divergence,
    minillm_flags,
    nemo_rl,
    trl,
    trl_distillation,
    trl_divergence,
    verl,
)
from kd_lab.where import Corpus, Mixture, StudentRollouts, TeacherRollouts
from kd_lab.worlds import Batch

B, T, V = 3, 5, 7
LENGTHS = torch.tensor([5, 2, 3])
MASK = torch.arange(T) < LENGTHS[:, None]


def logits(seed):
    return 2 * torch.randn(B, T, V, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


TEACHER, STUDENT = logits(0), logits(1).requires_grad_()
BATCH = Batch(torch.randint(1, V, (B, T + 1), generator=torch.Generator().manual_seed(2)), MASK)
p, log_p = TEACHER.softmax(-1), TEACHER.log_softmax(-1)
q, log_q = STUDENT.softmax(-1), STUDENT.log_softmax(-1)


def gradient(loss):
    return torch.autograd.grad(loss, STUDENT, retain_graph=True)[0]


def assert_same(ours, theirs, value_too=True):
    loss = ours(STUDENT, TEACHER, BATCH)
    torch.testing.assert_close(gradient(loss), gradient(theirs))
    if value_too:
        torch.testing.assert_close(loss, theirs)


def over_tokens(values):
    """Sum over counted tokens ÷ their number, over the whole batch."""
    return (values * MASK).sum() / MASK.sum()


def over_texts(values):
    """The mean over texts of the mean over each text's tokens."""
    return ((values * MASK).sum(1) / MASK.sum(1)).mean()


def kl(a, b):
    return (a * (a.log() - b.log())).sum(-1)


# ---- TRL: kl_div(input, target) is KL(target‖input); the mixture is (1−β)·student + β·teacher ------------------------


@pytest.mark.parametrize("beta", [0, 0.1, 0.5, 0.9, 1])
def test_trl_beta(beta):
    kl_div = torch.nn.functional.kl_div
    if beta == 0:
        values = kl_div(log_q, log_p, reduction="none", log_target=True).sum(-1)
    elif beta == 1:
        values = kl_div(log_p, log_q, reduction="none", log_target=True).sum(-1)
    else:
        log_m = ((1 - beta) * q + beta * p).log()
        to_teacher = kl_div(log_m, log_p, reduction="none", log_target=True)
        to_student = kl_div(log_m, log_q, reduction="none", log_target=True)
        values = (beta * to_teacher + (1 - beta) * to_student).sum(-1)
    # "batchmean" there divides by the number of labels that are not ignored, and not by the batch
    assert_same(trl_divergence(beta), over_tokens(values))


def test_trl_beta_jumps_at_its_ends():
    near, at = (gradient(trl_divergence(beta)(STUDENT, TEACHER, BATCH)).norm() for beta in (0.001, 0.0))
    assert near < 0.002 * at


def test_trl_temperature_is_the_students_while_it_writes():
    recipe = trl(temperature=0.9)
    assert recipe.how.temperature == 1
    assert recipe.where == Mixture(0.5, otherwise=Corpus(), temperature=0.9)
    assert trl(seq_kd=True, lmbda=0.0).where == Mixture(0.0, otherwise=TeacherRollouts(), temperature=0.9)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
@pytest.mark.parametrize("beta", [0, 0.3, 1.0])
def test_trl_distillation_softens_both_sides_without_a_factor_and_writes_as_softly(beta, temperature):
    soft_p, soft_q = ((x / temperature).softmax(-1) for x in (TEACHER, STUDENT))
    mixture = (1 - beta) * soft_q + beta * soft_p
    between = beta * kl(soft_p, mixture) + (1 - beta) * kl(soft_q, mixture)
    theirs = {0: kl(soft_p, soft_q), 1: kl(soft_q, soft_p)}.get(beta, between)
    (term,) = trl_distillation(beta, temperature).terms
    assert_same(lambda *signals: term.weight * term.how(*signals), over_tokens(theirs))
    assert term.where == StudentRollouts(temperature)
    assert str(trl_distillation().how) == "reverse KL"


# ---- verl: one drawn token per position, here in expectation over all that could have been drawn ---------------------


@pytest.mark.parametrize(
    ("loss_mode", "loss"),
    [
        ("k2", lambda log_ratio: log_ratio.square() / 2),
        ("k3", lambda log_ratio: log_ratio.exp() - log_ratio - 1),
        ("low_var_kl", lambda log_ratio: log_ratio.exp() - log_ratio - 1),
    ],
)
def test_verl_estimators_as_losses(loss_mode, loss):
    expected = over_tokens((q.detach() * loss(log_p - log_q)).sum(-1))
    assert_same(verl(loss_mode).how, expected, value_too=False)


def test_verl_k1_as_a_reward():
    advantage = -(log_q - log_p).detach()
    ratio = (log_q - log_q.detach()).exp()
    expected = over_tokens((q.detach() * -advantage * ratio).sum(-1))
    assert_same(verl("k1", use_policy_gradient=True).how, expected, value_too=False)


def test_verl_abs_as_a_loss_has_twice_the_gradient_of_total_variation():
    """Its value, the mean of |log q − log p|, is another."""
    (term,) = verl("abs").terms
    expected = over_tokens((q.detach() * (log_q - log_p).abs()).sum(-1))
    assert_same(lambda *signals: term.weight * term.how(*signals), expected, value_too=False)
    assert term.where == StudentRollouts()


def test_verl_k3_as_a_reward_is_reverse_less_forward_kl_and_refused():
    k3 = (log_p - log_q).exp() - (log_p - log_q) - 1
    reward = over_tokens((q.detach() * k3.detach() * log_q).sum(-1))
    torch.testing.assert_close(gradient(reward), gradient(over_tokens(kl(q, p))) - gradient(over_tokens(kl(p, q))))
    for loss_mode, use_policy_gradient in (("k3", True), ("abs", True), ("k1", False)):
        with pytest.raises(ValueError, match="the gradient of no divergence"):
            verl(loss_mode, use_policy_gradient)


# ---- NeMo-RL with all tokens among the top k -------------------------------------------------------------------------


@pytest.mark.parametrize(("kl_type", "forward"), [("forward", 1.0), ("reverse", 0.0), ("mixed", 0.3)])
def test_nemo_rl_is_a_weighted_sum(kl_type, forward):
    recipe = nemo_rl(kl_type, mixed_kl_weight=0.3)

    def ours(*signals):
        return sum(term.weight * term.how(*signals) for term in recipe.terms)

    assert_same(ours, over_tokens(forward * kl(p, q) + (1 - forward) * kl(q, p)))
    assert {term.where for term in recipe.terms} == {StudentRollouts()}


# ---- DistiLLM: everything is a sum over labels that are not ignored ÷ their number -----------------------------------


@pytest.mark.parametrize(
    ("kind", "values", "value_too"),
    [
        ("kd", -(p * log_q).sum(-1), False),
        ("adaptive-fkl", -(p * log_q).sum(-1), False),
        ("rkl", -(q * log_p - q * log_q).sum(-1), True),
        ("sfkl", -(p * (0.1 * p + 0.9 * q).log()).sum(-1), False),
        ("mixed-srkl", -(q * (0.9 * p + 0.1 * q).log() - q * log_q).sum(-1), True),
        ("jsd", 0.9 * kl(q, 0.1 * p + 0.9 * q) + 0.1 * kl(p, 0.1 * p + 0.9 * q), True),
        ("tvd", 0.5 * (p - q).abs().sum(-1), True),
    ],
)
def test_distillm_losses(kind, values, value_too):
    assert_same(distillm_divergence(kind), over_tokens(values), value_too)


def test_distillm_cross_entropies_are_larger_by_the_teachers_entropy():
    entropy = over_tokens(-(p * log_p).sum(-1))
    theirs = over_tokens(-(p * log_q).sum(-1))
    torch.testing.assert_close(distillm_divergence("fkl")(STUDENT, TEACHER, BATCH) + entropy, theirs)


def test_distillm_skew_alpha_is_the_teachers_share_in_one_and_the_students_in_the_other():
    assert_same(distillm_divergence("sfkl", skew_alpha=0.3), over_tokens(kl(p, 0.3 * p + 0.7 * q)))
    assert_same(distillm_divergence("srkl", skew_alpha=0.3), over_tokens(kl(q, 0.7 * p + 0.3 * q)))


def test_distillm_kd_ratio_mixes_with_the_labels():
    surprise = -log_q.gather(-1, BATCH.targets[..., None])[..., 0]
    theirs = 0.75 * over_tokens(kl(q, p)) + 0.25 * over_tokens(surprise)
    assert_same(distillm_divergence("rkl", kd_ratio=0.75), theirs)


def test_distillm_jsd_is_not_trls_of_the_same_number():
    theirs = gradient(distillm_divergence("jsd")(STUDENT, TEACHER, BATCH))
    same_number = gradient(trl_divergence(0.9)(STUDENT, TEACHER, BATCH))
    assert (theirs - same_number).norm() > 0.5 * theirs.norm()


def test_distillm_types_say_where_the_texts_come_from():
    assert distillm("sfkl").where == Corpus()
    assert distillm("mixed-sfkl", mixed_alpha=0.25).where == Mixture(0.25)
    with pytest.raises(ValueError, match="changes λ while it trains"):
        distillm("adaptive-srkl")
    with pytest.raises(ValueError, match="names no loss"):
        distillm("hinton")
    assert str(distillm("srkl", kd_ratio=0.75).how) == "skew reverse KL(0.9) + 0.25 labels"


# ---- DistiLLM-2: a mean over each text first -------------------------------------------------------------------------

SKEW = kl(p, 0.1 * p + 0.9 * q)
SKEW_REVERSE_HELD = kl(q, 0.9 * p + 0.1 * q.detach())
JSD_09 = 0.9 * kl(p, 0.9 * p + 0.1 * q) + 0.1 * kl(q, 0.9 * p + 0.1 * q)


@pytest.mark.parametrize(
    ("loss_type", "on_teacher_texts", "on_student_texts"),
    [
        ("distillm_v2", SKEW, SKEW_REVERSE_HELD),
        ("distillm_v1", SKEW_REVERSE_HELD, SKEW_REVERSE_HELD),
        ("gkd", JSD_09, JSD_09),
    ],
)
def test_distillm_2_losses(loss_type, on_teacher_texts, on_student_texts):
    recipe = distillm_2(loss_type)
    assert [term.where for term in recipe.terms] == [TeacherRollouts(), StudentRollouts()]
    for term, values in zip(recipe.terms, (on_teacher_texts, on_student_texts), strict=True):
        assert term.weight == 1
        assert_same(term.how, over_tokens(values))


def test_distillm_2_averages_over_texts_which_is_another_objective():
    ours = distillm_2("gkd").terms[0].how(STUDENT, TEACHER, BATCH)
    assert not torch.isclose(ours, over_texts(JSD_09), rtol=0.01)


def test_a_held_mixture_changes_the_gradient_and_not_the_value():
    free = over_tokens(kl(q, 0.9 * p + 0.1 * q))
    held = over_tokens(SKEW_REVERSE_HELD)
    torch.testing.assert_close(free, held)
    assert not torch.allclose(gradient(free), gradient(held), rtol=0.01)


# ---- MiniLLM: a PPO step whose ratio is 1, without discount, whitening and clipping ----------------------------------


def chosen(logp):
    return logp.gather(-1, BATCH.targets[..., None])[..., 0]


@pytest.mark.parametrize("length_norm_flag", [False, True])
@pytest.mark.parametrize("alpha", [None, 0.2])
def test_minillm_flags_without_single_step(alpha, length_norm_flag):
    rewards = (chosen(log_p) - chosen(log_q)).detach() * MASK
    returns = torch.stack([rewards[:, t:].sum(1) for t in range(T)], 1)
    remaining = torch.stack([MASK[:, t:].sum(1) for t in range(T)], 1).clamp_min(1)
    written = 0.2 * p + 0.8 * q if alpha else q
    weights = (chosen(q) / chosen(written)).detach()
    ratio = (chosen(log_q) - chosen(log_q).detach()).exp() * weights
    theirs = over_tokens(-(returns / remaining) * ratio)
    recipe = minillm_flags(length_norm=length_norm_flag, teacher_mixed_alpha=alpha)
    batch = BATCH if alpha is None else Batch(BATCH.tokens, MASK, chosen(written).log().detach())
    torch.testing.assert_close(gradient(recipe.how(STUDENT, TEACHER, batch)), gradient(theirs))
    assert recipe.where == StudentRollouts(teacher_mix=alpha or 0.0)


def test_minillm_single_step_is_the_papers_immediate_term():
    rewards = (chosen(log_p) - chosen(log_q)).detach() * MASK
    after = torch.stack([rewards[:, t + 1 :].sum(1) for t in range(T)], 1)
    steps = torch.stack([MASK[:, t + 1 :].sum(1) for t in range(T)], 1).clamp_min(1)
    paper = over_tokens(kl(q, p) - after / steps * chosen(log_q))
    recipe = minillm_flags(single_step_reg=True)
    torch.testing.assert_close(gradient(recipe.how(STUDENT, TEACHER, BATCH)), gradient(paper))


# ---- the table -------------------------------------------------------------------------------------------------------


def test_every_dialect_is_a_row():
    lines = dialect_table().splitlines()
    assert len(lines) == 2 + len(DIALECTS)
    assert {one.project for one in DIALECTS} == {"TRL", "DistiLLM", "DistiLLM-2", "MiniLLM", "verl", "NeMo-RL"}
    assert all(line.count("|") == 5 for line in lines)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: trl(beta=1.5), "beta is 1.5"),
        (lambda: trl(lmbda=-0.1), "lmbda is -0.1"),
        (lambda: distillm_2("dpkd"), "loss_type is 'dpkd'"),
        (lambda: nemo_rl("both"), "kl_type is 'both'"),
        (lambda: nemo_rl(mixed_kl_weight=2.0), r"mixed_kl_weight is 2\.0"),
    ],
)
def test_settings_out_of_range_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()
