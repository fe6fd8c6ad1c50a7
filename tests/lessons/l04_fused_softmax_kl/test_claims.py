"""What lesson 04 claims, as it measured it."""

import pytest


@pytest.mark.claim("C04a")
def test_bytes_counted_are_the_budget(claims):
    library, eager, own = claims("04")["C04a"]
    assert library.holds
    assert library.mean <= 0  # bytes a logit above the budget, the worst of seven kernels
    assert eager.holds
    assert 11 < eager.mean < 14  # 122 bytes against 10
    assert own.holds
    assert 5 <= own.mean < 5.02


@pytest.mark.claim("C04b")
def test_value_and_gradient_agree_with_fp64(claims):
    own, library = claims("04")["C04b"]
    for found in (own, library):
        assert found.holds
        assert len(found.values) == 3
        assert 0 < max(found.values) < 3e-6  # a few units in the last place of fp32


@pytest.mark.claim("C04c")
def test_the_one_pass_value_goes_negative_and_the_steady_sum_does_not(claims):
    below, lowest, ratio, peaked = claims("04")["C04c"]
    assert below.holds
    assert 0 < below.mean < 0.9  # near zero its sign is a matter of chance
    assert lowest.holds
    assert min(lowest.values) > 0.5  # of the true value, which is itself spread around 5e-7
    assert ratio.holds
    assert min(ratio.values) > 20
    assert peaked.holds
    assert max(peaked.values) < 1e-3


@pytest.mark.claim("C04d")
def test_the_chunked_path_holds_and_takes_a_fraction_of_eager(claims):
    forward, jsd, faster = claims("04")["C04d"]
    assert forward.holds
    assert forward.mean > 3
    assert jsd.holds
    assert jsd.mean > 5
    assert faster.holds
    assert faster.mean > 1.3
