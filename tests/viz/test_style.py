"""One look for each name, told apart without colour; the reader's own settings come back."""

import matplotlib

from kd_lab.how import divergences
from kd_lab.viz.style import BASELINE, DIVERGENCES, STUDENT, TEACHER, course_style, new_figure


def test_looks_differ_in_more_than_colour():
    for looks in ([TEACHER, STUDENT, BASELINE], list(DIVERGENCES.values())):
        for feature in ("color", "linestyle", "marker", "hatch", "label"):
            assert len({getattr(look, feature) for look in looks}) == len(looks), feature


def test_every_divergence_of_the_library_that_figures_show_has_its_look():
    assert set(DIVERGENCES) <= set(divergences.DIVERGENCES)


def test_the_style_ends_with_its_block():
    before = matplotlib.rcParams["axes.spines.top"]
    with course_style():
        assert matplotlib.rcParams["axes.spines.top"] is False
    assert matplotlib.rcParams["axes.spines.top"] == before


def test_a_figure_has_its_size_in_css_pixels_and_does_not_pile_up():
    from matplotlib import pyplot

    figure = new_figure(300, 200)
    figure.canvas.draw()
    assert figure.canvas.get_width_height() == (600, 400)  # two device pixels for each
    assert pyplot.get_fignums() == []
