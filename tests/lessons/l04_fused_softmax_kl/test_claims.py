"""What lesson 04 claims, as it measured it."""

import pytest


@pytest.mark.claim("C04a")
def test_ones_own_kernels_touch_each_logit_five_times(claims):
    (own,) = claims("04")["C04a"]
    assert own.verdict == "holds"


@pytest.mark.claim("C04b")
def test_value_and_gradient_agree_with_fp64(claims):
    for found in claims("04")["C04b"]:
        assert found.verdict == "holds"


@pytest.mark.claim("C04c")
def test_the_one_pass_value_goes_negative_and_the_steady_sum_does_not(claims):
    below, steady, ratio, peaked = claims("04")["C04c"]
    assert below.verdict == "holds"
    assert steady.verdict == "holds"
    assert ratio.verdict == "holds"
    assert peaked.verdict == "holds"
