"""A step is timed between two entries of the run's own history."""

from kd_lab.bench.methods import seconds_per_step
from kd_lab.methods import word_level


def test_a_step_takes_time():
    assert 0 < seconds_per_step(word_level(), steps=3) < 60
