"""The verdicts of lesson 02 about word level and sequence level: the same on another machine and with other seeds."""

import pytest


@pytest.fixture
def measured(claims):
    return claims("02")


def all_hold(measured, number, *parts):
    """Whether the claims under this number that have one of the parts hold; each part must be there once."""
    found = [[one for one in measured[number] if part in one.sentence] for part in parts]
    assert [len(group) for group in found] == [1] * len(parts), parts
    return {one.verdict for (one,) in found} == {"holds"}


@pytest.mark.claim("C02a")
def test_word_level_takes_one_pass_per_step_and_a_number_for_each_token_of_the_vocabulary(measured):
    assert all_hold(measured, "C02a", "one teacher pass per step")
    assert measured["C02a"][0].values == (27.0,)


@pytest.mark.claim("C02b")
def test_the_sampled_loss_is_unbiased_and_its_error_falls_like_one_over_root_n(measured):
    assert all_hold(measured, "C02b", "without bias", "1/√N")


@pytest.mark.claim("C02b")
def test_tokens_carry_the_same_expectation_with_more_noise_than_probabilities(measured):
    assert all_hold(measured, "C02b", "twice as noisy")


@pytest.mark.claim("C02c")
def test_hard_sequence_level_kd_is_sft_on_the_mode(measured):
    assert all_hold(measured, "C02c", "token for token")
    assert measured["C02c"][0].mean < 1e-6


@pytest.mark.claim("C02d")
def test_text_over_http_teaches_what_text_in_process_teaches_and_probabilities_teach_more(measured):
    assert all_hold(measured, "C02d", "text-only endpoint", "What the endpoint withholds")


@pytest.mark.claim("C02e")
def test_storage_falls_from_logits_to_token_ids(measured):
    assert all_hold(measured, "C02e", "all logits", "top k", "k sampled", "token ids")
    sizes = {claim.sentence.rpartition(": ")[2].rstrip("."): claim.mean for claim in measured["C02e"]}
    assert sizes["all logits"] == pytest.approx(2 * 50.257, rel=1e-3)  # kB; the others in bytes
    assert sizes["top k"] == pytest.approx(sizes["k sampled"] + 2, abs=1)
    assert sizes["token ids"] == pytest.approx(2, abs=0.5)


@pytest.mark.claim("C02f")
def test_after_training_on_modes_and_not_on_samples_greedy_decoding_is_close_to_beam_search(measured):
    assert all_hold(measured, "C02f", "comes close to beam search", "It is the modes that do it", "The price")


@pytest.mark.claim("C02g")
def test_only_the_truncated_cache_empties_the_tail(measured):
    assert all_hold(measured, "C02g", "truncated top k", "tail bucket", "Sampled ids are unbiased")


@pytest.mark.claim("C02g")
def test_sampled_ids_that_are_stored_once_are_far_from_the_teacher(measured):
    assert all_hold(measured, "C02g", "Unbiased is not close")
