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
    ],
)
def test_digits_follow_the_interval(values, text):
    assert Claim("C", "", values, "u", True).measured() == text
