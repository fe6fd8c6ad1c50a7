"""What lesson 07 found about the policy gradient of reverse KL, its baselines and its tamers: verdicts, not numbers."""

import pytest


@pytest.fixture
def measured(claims):
    return claims("07")


def holds(*claims):
    return all(claim.verdict == "holds" for claim in claims)


@pytest.mark.claim("C07a")
def test_token_wise_reverse_kl_drops_the_future(measured):
    cosine, length, stuck, harmless, sampled = measured["C07a"]
    assert holds(cosine, length), "another direction, and shorter"
    assert holds(stuck, sampled), "with exact gradients and with sampled ones"
    assert holds(harmless), "a student that can be its teacher needs no foresight"


@pytest.mark.claim("C07b")
def test_the_policy_gradient_has_no_bias(measured):
    listed, sampled = measured["C07b"]
    assert holds(listed, sampled)
    assert listed.mean < 1e-10


@pytest.mark.claim("C07c")
def test_single_step_helps_until_the_student_has_committed_and_a_baseline_always(measured):
    early, committed, exact_future, plain_baseline, single_baseline, both = measured["C07c"]
    assert holds(early, committed, exact_future)
    assert holds(plain_baseline, single_baseline, both)


@pytest.mark.claim("C07d")
def test_both_length_norms_trade_variance_for_bias(measured):
    future_calmer, future_bent, whole_calmer, whole_bent = measured["C07d"]
    assert holds(future_calmer, future_bent)
    assert holds(whole_calmer, whole_bent)


@pytest.mark.claim("C07e")
def test_teacher_mixed_sampling_depends_on_its_weights_and_on_the_student(measured):
    biased, token_early, token_late, text_early, text_late, per_decision, *_ = measured["C07e"]
    assert holds(biased, token_early, token_late, text_early, text_late, per_decision)
    assert token_early.low > 0.8, "a small gain, beside a bias of a third of the gradient"


@pytest.mark.claim("C07e")
def test_noise_need_not_be_paid_for_with_bias_until_the_student_has_committed(measured):
    variance, up_to, quieter_early, louder_late = measured["C07e"][6:10]
    assert holds(variance, up_to, quieter_early, louder_late)


@pytest.mark.claim("C07e")
def test_bias_loses_the_training_and_noise_costs_only_small_batches(measured):
    against_token_wise, against_single_step, future_norm, against_whole_norm, *unbiased = measured["C07e"][10:]
    less_noise, small_batch, baseline_alone = unbiased
    assert holds(against_token_wise, against_single_step, future_norm, against_whole_norm, less_noise, small_batch)
    assert baseline_alone.verdict != "does not hold"


@pytest.mark.claim("C07f")
def test_k1_is_nothing_k2_reverse_and_k3_forward_kl(measured):
    k2_too_large, k2_noisier, k3_calmer, k3_noisier, as_losses = measured["C07f"]
    assert holds(k2_too_large, k2_noisier, k3_calmer, k3_noisier)
    assert holds(as_losses)
    assert as_losses.mean < 1e-12
