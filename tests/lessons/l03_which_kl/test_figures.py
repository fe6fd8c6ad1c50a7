"""Densities, integrands and token tables are drawn where the arrays say."""

import numpy as np

from kd_lab.lessons.l03_which_kl.figures import draw_fits, draw_plane, draw_token_tables, move_fits
from kd_lab.viz import DIVERGENCES, course_style, new_figure

X = np.linspace(-1, 1, 21)
LOOKS = {name: DIVERGENCES[name] for name in ("forward_kl", "reverse_kl")}
LIMITS = {"xlim": (-1, 1), "density_top": 1.0, "integrand_limits": (-1, 1)}


def test_curves_move_to_the_arrays_and_areas_close_at_zero():
    artists = draw_fits(new_figure(), LOOKS, **LIMITS)
    hump, charge = 1 - X**2, X**3
    move_fits(artists, X, hump, dict.fromkeys(LOOKS, (hump / 2, charge)))
    np.testing.assert_array_equal(artists.outline.get_ydata(), hump)
    np.testing.assert_array_equal(artists.students["forward_kl"].get_ydata(), hump / 2)
    np.testing.assert_array_equal(artists.integrands["reverse_kl"].get_ydata(), charge)
    outline = artists.areas["reverse_kl"].get_xy()
    assert tuple(outline[0]) == (-1, 0)
    assert (1, 0) in [tuple(corner) for corner in outline]


def test_a_student_that_is_not_named_is_hidden_and_comes_back():
    artists = draw_fits(new_figure(), LOOKS, one_at_a_time=True, **LIMITS)
    flat = np.zeros_like(X)
    move_fits(artists, X, flat, {"forward_kl": (flat, flat)})
    shown = [artists.students, artists.integrands, artists.areas]
    assert all(group["forward_kl"].get_visible() and not group["reverse_kl"].get_visible() for group in shown)
    assert not any(name.get_visible() for name in artists.names["reverse_kl"])
    move_fits(artists, X, flat, {"reverse_kl": (flat, flat)})
    assert all(group["reverse_kl"].get_visible() for group in shown)


def test_limits_do_not_follow_the_data():
    figure = new_figure()
    artists = draw_fits(figure, LOOKS, original=True, **LIMITS)
    move_fits(artists, X * 9, 7 + X, dict.fromkeys(LOOKS, (X, X)), before=X)
    assert [axes.get_xlim() for axes in figure.axes] == [(-1, 1), (-1, 1)]
    assert figure.axes[0].get_ylim() == (0, 1)
    np.testing.assert_array_equal(artists.before.get_ydata(), X)


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
