import pytest

from kd_lab.viz import EXPLORERS


@pytest.fixture(autouse=True)
def _no_explorers_left_over():
    """Close what a test opened, and nothing older: explorers of other tests may belong to an earlier comm manager."""
    before = dict(EXPLORERS)
    yield
    for name, explorer in list(EXPLORERS.items()):
        if before.get(name) is not explorer:
            explorer.close()
