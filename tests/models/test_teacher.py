"""The teacher that ships: its file says how good it is, and it is."""

import math

import pytest
import torch
import torch.nn.functional as F

from kd_lab.models import generate, load_teacher
from kd_lab.models.saved import WEIGHTS, facts
from kd_lab.models.train_teacher import bits_per_character
from kd_lab.worlds import surnames

FILE = WEIGHTS / "surnames.safetensors"


def test_its_held_out_loss_is_what_the_file_says():
    """Measured again, by the formula and text by text, so that no padding can slip in."""
    world, teacher = surnames(), load_teacher("surnames")
    nats = characters = 0.0
    with torch.no_grad():
        logp = teacher(world.held_out.inputs).log_softmax(-1)
    for row, text in enumerate(world.vocabulary.decode(world.held_out.tokens)):
        length = len(text) + 1
        nats += F.nll_loss(logp[row, :length], world.held_out.targets[row, :length], reduction="sum").item()
        characters += length
    measured = nats / characters / math.log(2)
    assert measured == pytest.approx(facts(FILE)["held_out_bits_per_character"], abs=1e-3)
    assert measured == pytest.approx(bits_per_character(teacher, world.held_out), abs=1e-5)
    assert measured < 3.02


def test_it_is_small():
    parameters = sum(weight.numel() for weight in load_teacher("surnames").parameters())
    assert parameters == facts(FILE)["parameters"] < 1_500_000
    assert FILE.stat().st_size < 4 * 2**20


def test_it_writes_names():
    world = surnames()
    tokens = generate(
        load_teacher("surnames"), torch.zeros(500, 1, dtype=torch.long), 14, generator=torch.Generator().manual_seed(0)
    )
    texts = world.vocabulary.decode(tokens)
    assert 5 < sum(map(len, texts)) / 500 < 8
    known = set(world.vocabulary.decode(world.train.tokens)) | set(world.vocabulary.decode(world.held_out.tokens))
    assert 0.05 < sum(text in known for text in texts) / 500 < 0.9  # it knows names, and invents some
