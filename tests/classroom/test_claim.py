import json

import numpy as np
import pytest
import torch

from kd_lab.classroom.claim import Claim, claim


def test_a_claim_shows_its_value_interval_unit_and_verdict(capsys):
    result = claim("C00c", "The teacher helps.", [0.4, 0.44, 0.45], unit="bits", holds=True)
    assert (
        "C00c · The teacher helps.\n  Measured: 0.43 ± 0.066 bits (95 %, 3 seeds) — holds." in capsys.readouterr().out
    )
    assert result.low < 0.4 < result.mean < 0.45 < result.high


def test_a_claim_that_does_not_hold_says_so(capsys):
    claim("C00a", "All is small.", 7, holds=np.bool_(False))
    assert "Measured: 7 — does not hold here." in capsys.readouterr().out


@pytest.mark.parametrize("values", [np.array([1.0, 2.0, 3.0]), torch.tensor([1.0, 2.0, 3.0]), (1, 2, 3)])
def test_values_of_any_kind_become_plain_numbers(values):
    result = claim("C01a", "s", values, holds=True)
    assert result.values == (1.0, 2.0, 3.0)
    assert Claim.from_json(json.loads(json.dumps(result.to_json()))) == result


@pytest.mark.parametrize(
    ("values", "part"),
    [
        ([1.0, 2.0], "at least three seeds"),
        ([], "at least three seeds"),
        ([1.0, float("nan"), 2.0], "finite"),
        (np.ones((1, 1)), "shape"),
    ],
)
def test_values_that_make_no_claim_are_refused(values, part):
    with pytest.raises(ValueError, match=part):
        claim("C01a", "s", values, holds=True)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ((2e-9,), "2e-09 u"),
        ((12345.678,), "1.235e+04 u"),
        ((100.0, 101.0, 102.0), "101 ± 2.5 u (95 %, 3 seeds)"),
        ((1000.0, 1400.0, 1800.0), "1400 ± 9.9e+02 u (95 %, 3 seeds)"),
        ((0.00101, 0.00102, 0.00103), "0.00102 ± 2.5e-05 u (95 %, 3 seeds)"),
        ((5.0, 5.0, 5.0), "5 ± 0 u (95 %, 3 seeds)"),
        ((1.5e-10, 1.5e-10, 1.5e-10), "1.5e-10 ± 0 u (95 %, 3 seeds)"),  # the zero is one of the exponent
        ((2.5e20, 2.5e20, 2.5e20), "2.5e+20 ± 0 u (95 %, 3 seeds)"),
        ((-1.0, 0.0, 0.99), "0 ± 2.5 u (95 %, 3 seeds)"),
    ],
)
def test_digits_follow_the_interval(values, text):
    assert Claim("C", "", values, "u", "holds").measured() == text


@pytest.mark.parametrize(
    ("values", "limits", "verdict", "margin"),
    [
        ((1.0, 2.0, 3.0), {"above": -3}, "holds", 5 / 2.484),
        ((1.0, 2.0, 3.0), {"above": -2}, "open", 4 / 2.484),
        ((1.0, 2.0, 3.0), {"below": 2.1}, "open", 0.1 / 2.484),
        ((1.0, 2.0, 3.0), {"below": -3}, "does not hold", -5 / 2.484),
        ((1.0, 2.0, 3.0), {"above": -9, "below": 7}, "holds", 5 / 2.484),
        ((4.0, 4.0, 4.0), {"above": 4.0}, "open", 0.0),
        ((4.0, 4.0, 4.0), {"above": 3.9}, "holds", np.inf),
        ((5.0,), {"below": 6.0}, "holds", np.inf),
    ],
)
def test_a_verdict_needs_two_half_widths(values, limits, verdict, margin):
    result = claim("C01a", "s", values, **limits)
    assert result.verdict == verdict
    assert result.margin == pytest.approx(margin, rel=1e-3)


def test_ratios_are_read_on_a_log_scale():
    """Factors of 2 around 8: the mean is 8 and not 9.33, and the interval is a factor."""
    result = claim("C01a", "s", (4.0, 8.0, 16.0), above=1.0, unit="times", scale="log")
    assert result.mean == pytest.approx(8)
    assert result.low * result.high == pytest.approx(64)
    assert result.margin == pytest.approx(np.log(8) / (2.484 * np.log(2)), rel=1e-3)
    with pytest.raises(ValueError, match="above 0"):
        claim("C01a", "s", (4.0, 0.0, 16.0), above=1.0, scale="log")


@pytest.mark.parametrize("options", [{}, {"above": 0, "holds": True}])
def test_a_claim_has_thresholds_or_a_verdict_of_its_own(options):
    with pytest.raises(ValueError, match="thresholds where"):
        claim("C01a", "s", (1.0, 2.0, 3.0), **options)


def test_an_infinite_margin_survives_json():
    result = claim("C01a", "s", (4.0, 4.0, 4.0), above=3.9)
    assert Claim.from_json(json.loads(json.dumps(result.to_json(), allow_nan=False))).margin > 1e6


def test_values_of_one_student_over_texts_are_not_called_seeds(capsys):
    one = claim("C13b", "Texts differ.", (0.8, 1.1, 1.3), above=1, over="texts")
    assert "3 texts)" in one.measured()
    assert "open: the texts do not decide it" in capsys.readouterr().out
    assert Claim.from_json(one.to_json()) == one
