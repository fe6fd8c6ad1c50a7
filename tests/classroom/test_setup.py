from importlib import import_module

import pytest
import torch

from kd_lab.classroom.setup import missing, satisfies, setup


@pytest.fixture(autouse=True)
def same_threads():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_setup_says_what_a_learner_must_know(capsys):
    assert setup("42", seed=7) == 7
    text = capsys.readouterr().out
    for part in (
        "Lesson 42",
        "Python 3.",
        f"torch {torch.__version__}",
        "Device: CPU",
        "seed 7",
    ):
        assert part in text
    assert "pip install" not in text


def test_a_lesson_runs_on_one_thread_unless_it_asks_for_more(capsys):
    setup("42")
    assert torch.get_num_threads() == 1
    assert "CPU, 1 thread ·" in capsys.readouterr().out


def test_setup_names_the_remedy(monkeypatch, capsys):
    module = import_module("kd_lab.classroom.setup")
    monkeypatch.setattr(
        module,
        "requires",
        lambda name: ["torch>=99", "no-such-package>=1; extra == 'course'", "other>=9; extra == 'test'"],
    )
    setup("00")
    text = capsys.readouterr().out
    assert f"torch is {torch.__version__}, and the lessons need torch>=99" in text
    assert "no-such-package is not installed" in text
    assert "other" not in text


def test_what_is_installed_here_is_enough():
    assert missing() == []


@pytest.mark.parametrize(
    ("found", "range_", "inside"),
    [
        ("2.13.0", ">=2.9", True),
        ("2.8", ">=2.9", False),
        ("5.0.0", ">=4.4,<5", False),
        ("1.0", "", True),
        ("4.10", ">=4.4", True),
    ],
)
def test_versions_compare_as_numbers(found, range_, inside):
    assert satisfies(found, range_) is inside
