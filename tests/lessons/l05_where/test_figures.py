"""The tables of lesson 05."""

import numpy as np

from kd_lab.lessons.l05_where.figures import surnames_table


def test_a_negative_excess_has_a_minus_sign():
    *_, row = surnames_table({"on-policy": np.array([[3.75, 3.59, -0.05]])}).splitlines()
    assert row == "| on-policy | 3.75 | 3.59 | −0.05 |"
