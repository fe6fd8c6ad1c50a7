"""Both laws bound the exact curve, and meet it where their assumptions hold."""

import numpy as np
import pytest
import torch

from kd_lab.lessons.l05_where.slips import LONGEST, laws, off_the_road, slip_explorer, slipping_student
from kd_lab.lessons.l05_where.tunes import LOST, NOTES, tunes
from kd_lab.viz.sweep import sweep
from kd_lab.where import rollout
from kd_lab.worlds import Batch, World


def test_by_hand_four_tokens():
    """Lost at token 3 after a slip at token 2, at token 4 after one at token 2 or 3; back at once with recovery 1."""
    assert off_the_road(0.1, 0.0, 4) == pytest.approx([0, 0, 0.1, 0.1 + 0.9 * 0.1])
    assert off_the_road(0.1, 1.0, 4) == pytest.approx([0, 0, 0.1, 0.9 * 0.1])


def test_the_exact_curve_is_what_texts_show():
    student, teacher = slipping_student(0.05, 0.2), tunes()
    start = torch.zeros(4000, 1, dtype=torch.long)
    world = World("prompts", NOTES, *[Batch.from_tokens(torch.zeros(1, 25, dtype=torch.long), end=0)] * 2)
    texts = rollout(student, world, start, torch.Generator().manual_seed(0))
    seen = (teacher.states(texts.inputs) == LOST).double().mean(0)[:24].numpy()
    assert np.abs(seen - off_the_road(0.05, 0.2, 24)).max() < 0.03  # four standard errors of 4,000 texts


@pytest.mark.parametrize(("slip", "recovery"), [(0.0025, 0.0), (0.0125, 0.1), (0.05, 0.5), (0.05, 1.0)])
def test_both_laws_bound_it(slip, recovery):
    total = off_the_road(slip, recovery).cumsum()
    quadratic, linear = laws(slip, recovery, np.arange(1, LONGEST + 1))
    assert (total <= quadratic + 1e-12).all()
    assert linear is None if recovery == 0 else (total <= linear + 1e-12).all()


def test_growth_turns_from_the_square_to_the_length():
    """With recovery 0.1 the laws cross at 21 tokens: far below growth is steep, far above it is linear."""
    total = off_the_road(0.0025, 0.1).cumsum()
    forever = off_the_road(0.0025, 0.0).cumsum()
    assert total[95] / total[47] == pytest.approx(2, abs=0.35)
    assert forever[95] / forever[47] > 3.6


def test_its_extremes_and_its_sentence():
    explorer = slip_explorer("slips-under-test")
    try:
        sweep(explorer)
        assert "u = 10 steps" in explorer.sentence
        assert "back after" not in explorer.draw(explorer.presets["lost for good"]).sentence
        assert not explorer._artists["linear"].get_visible()
        sentences = {explorer.draw(preset).sentence for preset in [{}, *explorer.presets.values()]}
        assert len(sentences) == 1 + len(explorer.presets)
    finally:
        explorer.close()
