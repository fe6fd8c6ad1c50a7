import pytest
import torch

from kd_lab.models import GPT, GPTConfig
from kd_lab.worlds import Batch


@pytest.fixture
def shape():
    return GPTConfig(vocab_size=11, context=12, layers=3, heads=4, width=16)


@pytest.fixture
def model(shape):
    return GPT(shape, seed=1).double().eval()


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(1, 11, (16, 13), generator=generator)
    tokens[:, 0] = 0
    tokens[::2, 9:] = 0  # every second text is shorter
    return Batch.from_tokens(tokens, end=0)
