"""Students of marked text: mixtures, and z along a text."""

import math

import pytest
import torch

from kd_lab.lessons.l10b_what_is_passed_on import marks
from kd_lab.lessons.l10b_what_is_passed_on.marks import LENGTHS, green_share, mixed, z_by_length
from kd_lab.models.watermark import green_lists, watermark_z
from kd_lab.worlds import Batch


def text(rows, seed):
    tokens = torch.randint(1, 27, (rows, 15), generator=torch.Generator().manual_seed(seed))
    return Batch(tokens, torch.ones(rows, 14, dtype=torch.bool))


def test_z_at_the_full_length_is_the_librarys():
    batch, green = text(720, 0), green_lists(27, key=1)
    found = z_by_length(batch, green, base=0.45)
    assert len(found) == len(LENGTHS)
    counted = Batch(batch.tokens, torch.arange(720 * 14).view(720, 14) < LENGTHS[-1])
    assert found[-1] == pytest.approx(watermark_z(counted, green, 0.45), abs=1e-3)


def test_too_short_a_text_is_refused():
    with pytest.raises(ValueError, match="140 transitions"):
        z_by_length(text(10, 0), green_lists(27, key=1), base=0.5)


def test_mixtures_hold_their_share_of_marked_texts():
    marked, plain = text(20, 0), text(20, 1)
    for share in marks.SHARES:
        both = mixed(marked, plain, share)
        count = round(20 * share)
        assert len(both) == 20
        assert both.tokens[:count].equal(marked.tokens[:count])
        assert both.tokens[count:].equal(plain.tokens[count:])


def test_a_share_is_a_mean_over_counted_transitions():
    batch = Batch(torch.tensor([[0, 1, 1, 0]]), torch.tensor([[True, True, False]]))
    green = torch.tensor([[False, True], [True, False]])
    assert green_share(batch, green) == 0.5
    assert math.isclose(green_share(batch, ~green), 0.5)
