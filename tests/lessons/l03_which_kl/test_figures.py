"""Planes and token tables are drawn where the arrays say; every figure of the lesson is drawn when it runs."""

import numpy as np

from kd_lab.lessons.l03_which_kl.explorers import EQUAL
from kd_lab.lessons.l03_which_kl.figures import MEANS, WIDTHS, draw_plane, draw_token_tables, landscape
from kd_lab.measure.gaussian_student import moments
from kd_lab.viz import DIVERGENCES, course_style, new_figure
from kd_lab.worlds.densities import line

LOOKS = {name: DIVERGENCES[name] for name in ("forward_kl", "reverse_kl")}


def test_the_lowest_point_of_the_map_is_the_best_student():
    x, cell = line(-12, 12, 240)
    mean, width = moments(x, cell, EQUAL.logpdf(x))
    nats = landscape(EQUAL, "forward_kl")
    row, column = np.unravel_index(nats.argmin(), nats.shape)
    assert abs(MEANS[column] - mean) < 0.07
    assert abs(np.log(WIDTHS[row] / width)) < 0.03
    reverse = landscape(EQUAL, "reverse_kl")
    row, column = np.unravel_index(reverse.argmin(), reverse.shape)
    assert abs(abs(MEANS[column]) - 2) < 0.07
    assert abs(np.log(WIDTHS[row] / 0.5)) < 0.03


def test_rings_have_the_students_width():
    axes = new_figure().subplots()
    draw_plane(axes, np.ones((4, 4)), (-2, 2, -2, 2), [(0.5, -0.5, 0.4)], LOOKS["reverse_kl"])
    radii = [np.hypot(ring.get_xdata() - 0.5, ring.get_ydata() + 0.5) for ring in axes.lines]
    np.testing.assert_allclose([r.mean() for r in radii], [0.4, 0.8])


def test_tables_share_one_scale():
    figure = new_figure()
    with course_style():
        draw_token_tables(figure, {"teacher": np.eye(3), "student": np.full((3, 3), 1 / 3)}, top=0.8)
    images = [axes.images[0] for axes in figure.axes if axes.images]
    assert [image.get_clim() for image in images] == [(0, 0.8), (0, 0.8)]
    assert [axes.get_title(loc="left") for axes in figure.axes[:2]] == ["teacher", "student"]
