import numpy as np
import pytest

from kd_lab.lessons.l00_the_map.experiment import JUDGED, beliefs, contest, judged_names
from kd_lab.models import CachedTeacher, load_teacher
from kd_lab.worlds import surnames


@pytest.fixture(scope="module")
def names():
    return surnames().subset(40, seed=0)


@pytest.fixture(scope="module")
def reader():
    return CachedTeacher(load_teacher("surnames"))


def test_the_judged_names_are_drawn_and_not_the_first(names):
    one, same, other = (judged_names(names, seed).tokens for seed in (0, 0, 1))
    assert len(one) == JUDGED
    assert one.equal(same)
    assert not one.equal(other)


def test_a_contest_measures_both_recipes_at_the_same_steps(names, reader):
    curves = contest(names, reader, range(2), judged_names(names, 0)[:20], steps=80)
    assert {name: runs.shape for name, runs in curves.items()} == {"labels only": (2, 2), "word-level KD": (2, 2)}


def test_beliefs_are_distributions_that_move_toward_their_targets(names, reader):
    found = beliefs(names, reader, ["", "ma"], seed=0, every=40, steps=80)
    assert found["labels only"].shape == found["word-level KD"].shape == (3, 2, 27)
    for rows in found.values():
        np.testing.assert_allclose(rows.sum(-1), 1, atol=1e-5)
    aim = found["teacher"][0]
    gaps = [(aim * np.log(aim / now)).sum(-1) for now in found["word-level KD"]]
    assert (gaps[-1] < gaps[0]).all()


def test_labels_are_the_letters_that_followed(names, reader):
    texts = names.vocabulary.decode(names.train.tokens)
    row = beliefs(names, reader, [""], seed=0, every=1, steps=1)["labels"][0, 0]
    for letter in "ms":
        share = sum(text.startswith(letter) for text in texts) / len(texts)
        assert row[names.vocabulary.symbols.index(letter)] == pytest.approx(share)
