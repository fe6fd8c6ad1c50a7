"""The explorers, figures and tables of lesson 09b show the stored runs."""

import pytest

from kd_lab.lessons.l09b_imitation.explorers import evolution_explorer, imitation_explorer
from kd_lab.lessons.l09b_imitation.figures import imitation_figure, recipes_figure, recipes_table
from kd_lab.lessons.l09b_imitation.judges import strong_judge, weak_judge
from kd_lab.lessons.l09b_imitation.recipes import MOST_MOVES, ROUNDS
from kd_lab.lessons.l09b_imitation.results import load_runs


@pytest.fixture(scope="module")
def runs():
    return load_runs()


def test_an_answer_is_judged_as_the_judges_judge(runs):
    explorer = imitation_explorer(runs)
    try:
        for power, size in enumerate(runs.sizes, 1):
            sentence = explorer.draw({"examples, power of ten": power, "answer": 2}).sentence
            text = runs.texts(size)["covered"][1]
            assert f"the weak judge {'accepts' if weak_judge(text) else 'refuses'}" in sentence
            assert f"the strong judge {'accepts' if strong_judge(text) else 'refuses'}" in sentence
            assert f"After {size:,} examples" in sentence
        for kind, problems in (("additions", "covered"), ("multiplications too", "uncovered")):
            explorer.draw({"problems": kind})
            shown = explorer._artists.lines["strong"].get_ydata()
            wanted = [runs.value("imitation", size, f"strong {problems}").mean() for size in runs.sizes]
            assert list(shown) == pytest.approx(wanted), "the curves are those of the chosen problems"
    finally:
        explorer.close()


def test_problems_get_harder_from_round_to_round():
    explorer = evolution_explorer()
    try:
        heights = []
        for rounds in range(ROUNDS + 1):
            explorer.draw({"rounds": rounds})
            bars = [bar.get_height() for bar in explorer._artists["bars"]]
            assert sum(bars) == pytest.approx(1)
            heights.append(sum(moves * share for moves, share in enumerate(bars, 1)))
        assert heights == sorted(heights)
        assert heights[-1] < MOST_MOVES
        assert [line.get_text() != "" for line in explorer._artists["lines"]] == [True] * (ROUNDS + 1)
    finally:
        explorer.close()


def test_the_hook_shows_style_alone(runs):
    (axes,) = imitation_figure(runs, ["covered"], ["weak"]).axes
    (line,) = axes.get_lines()
    assert "style" in line.get_label()


def test_two_judges_are_drawn_in_two_panels(runs):
    for axes in imitation_figure(runs).axes:
        assert [len(line.get_xdata()) for line in axes.get_lines()] == [len(runs.sizes)] * 2


def test_every_recipe_has_its_seeds_and_its_row(runs):
    (axes,) = recipes_figure(runs).axes
    assert sum(len(line.get_xdata()) for line in axes.get_lines()) == 2 * len(runs.recipes) * len(runs.seeds)
    assert recipes_table(runs).count("\n") == 1 + len(runs.recipes)
