"""The students of a lesson: trained once, under a bar, and found again by all that they depend on."""

import numpy as np
import pytest
import torch

from kd_lab.classroom import students
from kd_lab.classroom.students import taught
from kd_lab.methods import distill, labels_only, word_level
from kd_lab.models import GPT, CachedTeacher, GPTConfig, TabularModel
from kd_lab.worlds import language

SPOKEN = language("brackets")
WORLD = SPOKEN.world(rows=24, seed=0)
SHAPE = GPTConfig(vocab_size=len(WORLD.vocabulary), context=WORLD.context, layers=1, heads=1, width=8)


def new(seed):
    return GPT(SHAPE, seed=seed)


def weights(model):
    return torch.cat([weight.flatten() for weight in model.parameters()])


@pytest.fixture
def teach(monkeypatch, tmp_path):
    monkeypatch.setenv("KD_LAB_CACHE", str(tmp_path))

    def run(recipe, seeds=(0, 1), steps=2):
        teacher = CachedTeacher(TabularModel(SPOKEN.logp))  # its memory is no part of what it answers
        return taught(
            "two words", new, seeds, teacher=teacher, world=WORLD, recipe=recipe, steps=steps, batch_size=8,
            evaluate=lambda model: model.head.norm().item(), evaluate_every=2,
        )  # fmt: skip

    return run


def test_one_student_per_seed_is_trained_and_then_read(teach, tmp_path, capsys):
    first = teach(word_level())
    files = {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    shown = capsys.readouterr()
    assert (
        "two words" in shown.out + shown.err
    )  # the bar, which a notebook's tqdm writes to the one, a terminal's to the other
    again = teach(word_level())
    assert {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()} == files
    assert len(files) == len(first) == 2
    for seed, (one, other) in enumerate(zip(first, again, strict=True)):
        assert torch.equal(weights(one.student), weights(other.student))
        assert not torch.equal(weights(one.student), weights(new(seed)))
        np.testing.assert_array_equal(one.curve, [np.nan, one.student.head.norm().item()])
        np.testing.assert_array_equal(other.curve, one.curve)


def test_another_recipe_and_other_steps_are_other_students(teach, tmp_path):
    teach(word_level(), seeds=(0,))
    teach(labels_only(), seeds=(0,))
    teach(word_level(), seeds=(0,), steps=3)
    assert len(list(tmp_path.iterdir())) == 3


def test_a_training_that_was_stopped_is_not_kept(teach, tmp_path, monkeypatch):
    """`distill` returns early where a learner presses stop; half a training must not be taken for a whole one."""

    def stop(model, **options):
        def press(row):
            raise KeyboardInterrupt

        return distill(model, on_step=press, **options)

    monkeypatch.setattr(students, "distill", stop)
    with pytest.raises(KeyboardInterrupt):
        teach(word_level(), seeds=(0,), steps=3)
    assert list(tmp_path.iterdir()) == []
