"""The explorers of lesson 02 say in their sentence what was found, budgets and readings of names included."""

import pytest
import torch

from kd_lab.lessons.l02_word_and_sequence.explorers import (
    LEAST_LIKELY,
    SAMPLED,
    TRUNCATED,
    Searched,
    beam_explorer,
    best_student,
    cache_explorer,
    penalty_explorer,
    place_labels,
)
from kd_lab.models import TabularModel, load_teacher
from kd_lab.viz import new_figure
from kd_lab.worlds import language, surnames

NAMES = surnames().vocabulary
P = torch.tensor([0.5, 0.25, 0.125, 0.0625, 0.0625], dtype=torch.float64)
DRAWS = torch.multinomial(P, 200 * 4, True, generator=torch.Generator().manual_seed(0)).view(200, 4)


@pytest.fixture(scope="module")
def teacher():
    return load_teacher("surnames")


def swept(explorer):
    """Every preset and the end of every control: their sentences."""
    settings = [*explorer.presets.values()]
    settings += [{control.name: value} for control in explorer.controls for value in control.extremes]
    for setting in settings:
        explorer.set(explorer.start | setting)
        assert explorer.error is None, setting
        yield explorer.sentence


def test_the_beam_explorer_compares_with_greedy_decoding_and_not_with_a_beam_of_one(teacher):
    echo = language("echo")
    trees = {
        "echo": Searched(TabularModel(echo.logp), torch.tensor([0]), echo.vocabulary),
        "names": Searched(teacher, NAMES.encode(["mar"])[0, :4], NAMES),
    }
    explorer = beam_explorer(trees, name="beam under test")
    assert explorer.sentence.startswith("Greedy decoding ends with “axxa”")
    explorer.set({"tree": "names", "paths kept K": 4})
    assert "“mark”" in explorer.sentence
    assert "Greedy decoding writes “martin” with −5.26" in explorer.sentence
    assert all(swept(explorer))


def test_the_penalty_explorer_reads_a_name_as_people_write_it(teacher):
    explorer = penalty_explorer(teacher, NAMES, name="penalty under test")
    assert "“mark”, 2 tokens" in explorer.sentence
    explorer.set({"beginning": "Ó'Néi"})
    assert explorer.sentence.startswith("“Ó'Néi” is read as “onei”.")
    explorer.set({"length penalty α": 1.0, "beginning": "mar"})
    assert "“mark”" not in explorer.sentence.partition("Greedy")[0]
    assert all(swept(explorer))


def test_the_penalty_explorer_refuses_what_the_model_cannot_read(teacher):
    explorer = penalty_explorer(teacher, NAMES, name="penalty under test")
    explorer.set({"beginning": "Ωmega"})
    assert "Latin letters" in str(explorer.error)
    explorer.set({"beginning": "a" * 14})
    assert "expected at most 12" in str(explorer.error)


def test_four_ids_stored_once_are_not_two_hundred_visits():
    once, often = (best_student(P, DRAWS, SAMPLED, 4, visits) for visits in (1, 200))
    assert set((once * 4).tolist()) <= {0.0, 1.0, 2.0, 3.0, 4.0}
    assert (often - P).abs().sum() < 0.2 < (once - P).abs().sum()
    assert best_student(P, DRAWS, TRUNCATED, 2, 1).tolist() == pytest.approx([2 / 3, 1 / 3, 0, 0, 0])


def test_the_cache_explorer_states_its_budget():
    explorer = cache_explorer(P, DRAWS, list("■abcd"), after="x")
    explorer.set({"k": 3, "kept": SAMPLED, "visits": 50})
    assert explorer.sentence.startswith("3 × 50 visits = 150 draws from the teacher")
    assert all(swept(explorer))


def test_a_text_below_the_axis_has_no_label_outside_the_picture():
    texts = [new_figure().subplots().text(0, 0, "") for _ in range(3)]
    place_labels(texts, [(3, -5.0, "seen"), (9, LEAST_LIKELY - 1, "unseen"), (3, -5.1, "pushed down")])
    assert [text.get_text() for text in texts if text.get_visible()] == ["seen", "pushed down"]
    assert texts[1].get_position()[1] < -5.5
