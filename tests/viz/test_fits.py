"""Densities and integrands are drawn where the arrays say."""

import numpy as np

from kd_lab.viz import DIVERGENCES, new_figure
from kd_lab.viz.fits import draw_fits, move_fits

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
