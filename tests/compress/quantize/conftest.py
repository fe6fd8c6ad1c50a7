import pytest

from kd_lab.models import GPT, GPTConfig


@pytest.fixture
def model():
    return GPT(GPTConfig(vocab_size=7, context=6, layers=2, heads=2, width=24), seed=3).eval()


@pytest.fixture
def uneven():
    """As pruning leaves it: fewer heads, and channels that no group of 32 divides."""
    return GPT(GPTConfig(vocab_size=7, context=6, layers=1, heads=1, width=24, head_width=12, channels=50)).eval()
