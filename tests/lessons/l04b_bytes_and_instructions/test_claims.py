"""What lesson 04b claims, as it measured it."""

import pytest


@pytest.mark.claim("C04a")
def test_bytes_counted_are_the_budget(claims):
    library, eager = claims("04b")["C04a"]
    assert library.verdict == "holds"
    assert eager.verdict == "holds"


@pytest.mark.claim("C04d")
def test_the_chunked_path_holds_and_takes_a_fraction_of_eager(claims):
    forward, jsd, *faster = claims("04b")["C04d"]
    assert forward.verdict == "holds"
    assert jsd.verdict == "holds"
    assert len(faster) == 2
    assert all(one.verdict != "does not hold" for one in faster)  # seconds are the machine's own
