"""Measures on held-out texts, and students on disk."""

import pytest
import torch

pytest.importorskip("transformers", reason="transformers is not installed: make real")

from l13_tiny import BUDGET, teacher, texts

from kd_lab.how import softmax_kl
from kd_lab.lessons.l13_real_llm.arms import ARMS, teacher_of
from kd_lab.lessons.l13_real_llm.pruning import shallower
from kd_lab.lessons.l13_real_llm.study import MEASURES, Study, load_student, save_student


@pytest.fixture(scope="module")
def study() -> Study:
    return Study.of(teacher(), texts(), BUDGET)


def test_both_kinds_of_text_are_there_in_their_order(study) -> None:
    assert study.written == (6, 4)
    assert (len(study.world.train), len(study.world.held_out)) == (12, 8)
    decoded = study.world.vocabulary.decode(study.world.train.tokens[6:7])
    assert decoded[0] == texts()["passages"]["train"][0][: len(decoded[0])]
    assert len(study.spoken_world.train) == 6
    assert study.calibration.inputs.shape == (4, 6)


def test_a_text_measure_is_the_mean_over_its_counted_tokens(study) -> None:
    student = shallower(study.teacher, [0, 2, 4, 5])
    found = study.measure(student)
    assert set(found) == set(MEASURES)
    batch = study.world.held_out
    with torch.no_grad():
        for row in range(len(batch)):
            one = batch[row : row + 1]
            wanted = softmax_kl(student(one.inputs), study.teacher(one.inputs), mask=one.mask).item()
            assert found["forward_kl"][row] == pytest.approx(wanted, rel=1e-3, abs=2e-5)
    first = study.measure(student, rows=1)
    assert first["reverse_kl"] == [found["reverse_kl"][0], found["reverse_kl"][4]]


def test_a_student_comes_back_from_its_file_in_half_precision(study, tmp_path) -> None:
    student = shallower(study.teacher, [0, 3, 5])
    size = save_student(student, [0, 3, 5], tmp_path / "student.st")
    layers = sum(weight.numel() for weight in student.model.get_decoder().layers.parameters())
    assert 2 * layers < size < 2 * layers + 10_000
    back = load_student(study.teacher, [0, 3, 5], tmp_path / "student.st")
    tokens = study.world.held_out.inputs[:2]
    with torch.no_grad():
        torch.testing.assert_close(back(tokens), student(tokens), atol=0.05, rtol=0.01)


def test_arms_ask_for_no_more_of_the_teacher_than_they_say(study, tmp_path) -> None:
    for arm in ARMS:
        recipe = arm.recipe(study)
        if not arm.open_teacher:
            assert teacher_of(arm, study, tmp_path) is None
        elif arm.cache is None:
            recipe.fits(study.teacher)
    assert len({arm.name for arm in ARMS}) == len(ARMS)


def test_steps_read_about_the_tokens_that_were_asked_for(study) -> None:
    steps = study.steps(100)
    counted = study.world.train.mask.sum().item() / len(study.world.train)
    assert steps * BUDGET.batch_size * counted == pytest.approx(100, abs=BUDGET.batch_size * counted)
