"""Lesson 02, word level and sequence level: what the lesson measured, held against what it says."""

import pytest


@pytest.fixture
def found(claims):
    return claims("02")


def one(claims, words):
    """The claim of a group whose sentence holds these words."""
    (match,) = [claim for claim in claims if words in claim.sentence]
    return match


@pytest.mark.claim("C02a")
def test_word_level_takes_one_pass_and_a_number_a_token_of_the_vocabulary(found):
    (numbers,) = found["C02a"]
    assert numbers.holds
    assert numbers.values == (27.0,)


@pytest.mark.claim("C02b")
def test_the_sampled_loss_is_unbiased_and_its_error_falls_like_one_over_root_n(found):
    bias, slope = one(found["C02b"], "without bias"), one(found["C02b"], "1/√N")
    assert bias.holds
    assert len(bias.values) == 60
    assert bias.low <= 0 <= bias.high
    assert bias.half_width < 0.05  # nats, of a loss of about nine
    assert slope.holds
    assert slope.mean == pytest.approx(-0.5, abs=0.1)


@pytest.mark.claim("C02c")
def test_hard_sequence_level_kd_is_sft_on_the_mode(found):
    (apart,) = found["C02c"]
    assert apart.holds
    assert apart.mean < 1e-6


@pytest.mark.claim("C02d")
def test_text_over_http_teaches_what_text_in_process_teaches(found):
    (difference,) = found["C02d"]
    assert difference.holds
    assert len(difference.values) >= 3
    assert max(abs(difference.low), abs(difference.high)) < 0.06  # bits per character; probabilities add about 0.12


@pytest.mark.claim("C02e")
def test_storage_falls_from_logits_to_token_ids(found):
    sizes = {claim.sentence.rpartition(": ")[2].rstrip("."): claim.mean for claim in found["C02e"]}
    assert all(claim.holds for claim in found["C02e"])
    assert sizes["all logits"] == pytest.approx(2 * 50.257, rel=1e-3)  # kB; the others in bytes
    assert 1000 * sizes["all logits"] > 1000 * sizes["top k"]
    assert sizes["top k"] == pytest.approx(sizes["k sampled"], rel=0.05)
    assert sizes["token ids"] == pytest.approx(2, abs=0.5)


@pytest.mark.claim("C02f")
def test_after_training_on_modes_greedy_decoding_is_close_to_beam_search(found):
    (rest,) = found["C02f"]
    assert rest.holds
    assert len(rest.values) >= 3
    assert max(rest.values) < 0.25


@pytest.mark.claim("C02g")
def test_only_the_truncated_cache_empties_the_tail(found):
    truncated, bucket, sampled = (
        one(found["C02g"], words) for words in ("truncated top-k", "tail bucket", "Sampled ids")
    )
    assert truncated.holds
    assert max(truncated.values) < 0.005
    assert bucket.holds
    assert max(bucket.values) < 1e-3
    assert sampled.holds
    assert len(sampled.values) >= 3
    assert sampled.low <= 0 <= sampled.high
