"""The explorers and figures of lesson 11b show what they are given."""

import numpy as np
import pytest

from kd_lab.lessons.l11b_few_steps.explorers import matching_explorer, steps_explorer
from kd_lab.lessons.l11b_few_steps.figures import (
    EXACT_STRAY,
    band_of,
    curve_steps,
    hook_figure,
    modes_table,
    networks_table,
    quality_figure,
    shade_of,
)
from kd_lab.lessons.l11b_few_steps.matching import COUNTS, GRADIENTS, STARTS, TEACHERS, Matched
from kd_lab.lessons.l11b_few_steps.results import load_results
from kd_lab.worlds.diffusion import ring

RESULTS, EIGHT = load_results(), ring(8)


@pytest.fixture(scope="module")
def runs():
    """Runs that went nowhere, but for one."""
    generator = np.random.default_rng(0)
    looks = len(COUNTS) + 1
    found = {
        (teacher, where, gradient): Matched(density, generator.normal(size=(looks, 5, 2)), np.ones((looks, 5)))
        for teacher, (density, _) in TEACHERS.items()
        for where in STARTS
        for gradient in GRADIENTS
    }
    one = found["eight equal", STARTS[0], "reverse KL, all noise"]
    one.kept[-1] = [8, 8, 7, 8, 8]
    return found


def test_the_teacher_alone_has_a_slider_alone():
    explorer = steps_explorer(RESULTS, EIGHT, samplers=("teacher",))
    assert [control.name for control in explorer.controls] == ["halvings, from 32 steps"]
    stray = RESULTS.sampler("teacher", 1, "stray").mean()
    assert f"a single step: {stray:.1%}" in explorer.draw(explorer.presets["1 step"]).sentence
    explorer.close()


def test_each_sampler_s_paths_are_drawn():
    explorer = steps_explorer(RESULTS, EIGHT)
    frame = explorer.draw(explorer.presets["consistency, 2 steps"])
    assert frame.sentence.startswith("Consistency, 2 steps")
    segments = explorer._artists.paths.lines.get_segments()
    np.testing.assert_allclose(np.moveaxis(np.array(segments), 0, 1), RESULTS.path("consistency", 2))
    assert "Before the first halving" in explorer.draw({"sampler": "progressive"}).sentence
    explorer.close()


def test_matching_shows_the_run_that_was_asked_for(runs):
    explorer = matching_explorer(runs)
    assert "keep 7.8 of 8 modes" in explorer.draw({}).sentence
    frame = explorer.draw({"training": 0, "data": "one heavy, from noise"})
    assert "after 0 steps the students keep 1.0 of 4 modes" in frame.sentence
    for preset in explorer.presets.values():
        assert explorer.draw(preset).sentence
    explorer.close()


def test_the_hook_does_not_show_where_the_teacher_lands_in_one_step():
    titles = [axes.get_title(loc="left") for axes in hook_figure(RESULTS, EIGHT).axes]
    assert titles == ["the teacher, 32 steps", "its student, 1 step"]


def test_quality_is_drawn_with_its_floor():
    left, right = quality_figure(RESULTS).axes
    assert [text.get_label() for text in left.get_lines()][:2] == ["teacher, exact", "progressive"]
    np.testing.assert_allclose(right.get_lines()[-1].get_ydata(), EXACT_STRAY)
    assert 32 not in curve_steps(RESULTS, "progressive")
    assert 32 in curve_steps(RESULTS, "teacher")


def test_the_band_holds_exact_samples():
    low, high = band_of(np.array([-1e-4, 0.0, 1e-4]))
    assert low == pytest.approx(-2e-4)
    assert high == pytest.approx(2e-4)


def test_a_light_mode_can_be_seen():
    shade = shade_of(ring(4, weights=(10, 1, 1, 1)))
    assert shade.max() == 1
    assert shade[80:].max() > 0.3  # the mode at the top


def test_tables_have_a_row_for_each_start_and_arm(runs):
    lines = modes_table(runs).splitlines()
    assert len(lines) == 2 + len(TEACHERS) * len(STARTS)
    assert "| eight equal | on one mode | 7.8 of 8 | 1.0 of 8 |" in lines[2]
    table = networks_table(RESULTS, "one heavy", ("all noise levels", "with regression"))
    assert len(table.splitlines()) == 4
