"""The explorers of lesson 03b: one family of divergences on two hills and on a real LLM, and temperature both ways."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
from jaxtyping import Float, Int

from kd_lab.lessons.l03b_between_the_kls.hills import FIRST, WAYS, X, fit, soften, softened_fit
from kd_lab.measure.gaussian_student import DIVERGENCES as SMOOTH
from kd_lab.measure.gaussian_student import modes_kept
from kd_lab.viz import Choice, Explorer, Slider
from kd_lab.viz.fits import draw_fits, move_fits
from kd_lab.viz.plots import letter_bars
from kd_lab.viz.real_tokens import (
    PROMPTS,
    RealNode,
    likeliest,
    move_tokens,
    percent,
    prompt_choice,
    real_node,
    root_axis,
    spelled,
    token_bars,
)
from kd_lab.viz.style import DIVERGENCES, FAINT, STUDENT, TEACHER
from kd_lab.worlds.densities import two_hills

FORMULAS = {
    "forward_kl": "p·log(p/q)",
    "reverse_kl": "q·log(q/p)",
    "jsd": "β·p·log(p/m) + (1−β)·q·log(q/m)",
    "skew_kl": "p·log(p/m)",
}
KLS = ("forward_kl", "reverse_kl")
LIMITS = {"xlim": (-7, 9), "density_top": 0.95, "integrand_limits": (-0.3, 0.8)}
HEIGHTS = {"jsd": (-0.04, 0.16), "skew_kl": (-0.3, 1.0)}
"""The lower panel's limits where a divergence needs its own: JSD's integrand is a fifth as tall as the KLs'."""

TICKS = {"jsd": (0.0, 0.05, 0.1, 0.15)}

FAMILY = {DIVERGENCES[name].label: name for name in SMOOTH}


def family_explorer() -> Explorer:
    """One divergence at a time, its β, and the second mode's place: the best student, and what it pays where."""
    return Explorer(
        name="one family of divergences",
        controls=[
            Choice("divergence", list(FAMILY), start=DIVERGENCES["jsd"].label),
            Slider("β", 0.02, 0.98, 0.02, start=0.5),
            Slider("second mode at", -2.0, 5.0, 0.05, start=1.0),
        ],
        create=lambda figure: draw_fits(
            figure,
            {name: DIVERGENCES[name] for name in SMOOTH},
            integrand_labels={name: FORMULAS.get(name, "q·log(q/m)") for name in SMOOTH},
            one_at_a_time=True,
            **LIMITS | {"integrand_limits": HEIGHTS["jsd"]},
        ),
        update=_family,
        presets={
            "JSD(½), farther": {"second mode at": 2.5},
            "JSD(0.1), farther": {"β": 0.1, "second mode at": 2.5},
            "skew KL(0.1)": {"divergence": "skew KL", "β": 0.1, "second mode at": 4.0},
            "skew reverse KL(0.9)": {"divergence": "skew reverse KL", "β": 0.9},
        },
        size=(760, 470),
    )


def _family(artists: SimpleNamespace, label: str, beta: float, second: float) -> str:
    name, teacher = FAMILY[label], two_hills(second)
    student, density, charge = fit(teacher, name, beta)
    lower = artists.integrands[name].axes
    if lower.get_ylim() != HEIGHTS.get(name, LIMITS["integrand_limits"]):
        lower.set_ylim(HEIGHTS.get(name, LIMITS["integrand_limits"]))
        lower.set_yticks(TICKS.get(name, (0.0, 0.5)))
    move_fits(artists, X, np.exp(teacher.logpdf(X)), {name: (density, charge)})
    shown = label if name in KLS else f"{label} with β = {beta:.2f}"
    unread = " (which reads no β)" if name in KLS else ""
    verdict = "covers both modes" if modes_kept(X, density, teacher).all() else "has let the second mode go"
    return (
        f"Under {shown}{unread}, modes {second - FIRST:.3g} apart, the student has width {student.width:.2f} and "
        f"{verdict}; the divergence left is {max(student.gap, 0):.3f} nats."
    )


def heat_explorer() -> Explorer:
    """Temperature, the second mode's place, and who is softened: the best student in either direction."""
    return Explorer(
        name="temperature and direction",
        controls=[
            Slider("temperature τ", 0.7, 8.0, 0.1, start=1.0),
            Slider("second mode at", 0.0, 5.0, 0.1, start=2.0),
            Choice("softened", list(WAYS), start=WAYS[0]),
        ],
        create=lambda figure: draw_fits(
            figure,
            {name: DIVERGENCES[name] for name in KLS},
            integrand_labels={name: FORMULAS[name] for name in KLS},
            original=True,
            **LIMITS | {"density_top": 1.0, "integrand_limits": (-0.3, 1.0)},
        ),
        update=_heat,
        presets={
            "τ = 2": {"temperature τ": 2.0},
            "τ = 4": {"temperature τ": 4.0},
            "τ = 4, far apart": {"temperature τ": 4.0, "second mode at": 4.0},
            "τ = 4, both softened": {"temperature τ": 4.0, "softened": WAYS[1]},
        },
        size=(760, 440),
    )


def _heat(artists: SimpleNamespace, temperature: float, second: float, way: str) -> str:
    teacher = two_hills(second)
    softened = np.exp(soften(teacher.logpdf(X), temperature))
    found = {name: softened_fit(teacher, name, temperature, way) for name in KLS}
    drawn = {name: (np.exp(student.logpdf(X)), charge) for name, (student, charge) in found.items()}
    move_fits(artists, X, softened, drawn, before=np.exp(teacher.logpdf(X)))
    wide, narrow = found["forward_kl"][0], found["reverse_kl"][0]
    where = "between the modes" if abs(narrow.mean - (FIRST + second) / 2) < (second - FIRST) / 4 else "on one mode"
    return (
        f"At τ = {temperature:.2g}, softening {way}, modes {second - FIRST:.3g} apart: forward KL's student has width "
        f"{wide.width:.2f}; reverse KL's has width {narrow.width:.2f} and stands {where}."
    )


REAL_TOKENS = 12  # drawn one by one
MEMBERS = {
    "forward KL": ("forward_kl", 0.0, (1, 0)),
    "skew KL(0.1)": ("skew_kl", 0.1, (1, 0)),
    "JSD(0.1)": ("jsd", 0.1, (0.1, 0.9)),
    "JSD(½)": ("jsd", 0.5, (0.5, 0.5)),
    "JSD(0.9)": ("jsd", 0.9, (0.9, 0.1)),
    "skew reverse KL(0.9)": ("skew_reverse_kl", 0.9, (0, 1)),
    "reverse KL": ("reverse_kl", 1.0, (0, 1)),
}
"""Label → name of the look, β of the mixture m, and the weights of p·log(p/m) and q·log(q/m). The KLs' m is q or p."""

CHARGES = {"": ((-0.4, 2.4), (0, 1, 2)), "jsd": ((-0.04, 0.24), (0.0, 0.1, 0.2))}
"""The lower panel's limits and ticks: JSD's again are a tenth of the KLs'."""


def charged(label: str, p: Float[np.ndarray, " E"], q: Float[np.ndarray, " E"]) -> Float[np.ndarray, " E"]:
    """The share of each token in one of the `MEMBERS`, in nats; they add up to the divergence.

    >>> charged("reverse KL", np.array([0.5, 0.5]), np.array([0.8, 0.2])).round(3)
    array([ 0.376, -0.183])
    """
    _, beta, (of_teacher, of_student) = MEMBERS[label]
    mixture = beta * p + (1 - beta) * q
    return of_teacher * p * np.log(p / mixture) + of_student * q * np.log(q / mixture)


def real_pair_explorer() -> Explorer:
    """Teacher and student of a real LLM at one prompt, and beneath them what a divergence charges for each token."""
    nodes = {prompt: real_node(prompt) for prompt in PROMPTS}
    pairs = {prompt: (node.p("teacher"), node.p("healed")) for prompt, node in nodes.items()}

    def create(figure) -> SimpleNamespace:
        above, below = figure.subplots(2, 1, height_ratios=(3, 2), sharex=True)
        pair = letter_bars(above, [""] * (REAL_TOKENS + 1), (TEACHER, STUDENT))
        root_axis(above)
        above.legend(loc="upper right", ncols=2)
        artists = token_bars(below, (replace(DIVERGENCES["jsd"], hatch=""),), REAL_TOKENS)
        below.set(ylabel="nats", ylim=(-0.8, 2.4))
        below.axhline(0, color=FAINT, linewidth=0.8)
        artists.bars = [*pair, *artists.bars]
        return artists

    def update(artists: SimpleNamespace, prompt: str, label: str) -> str:
        name = MEMBERS[label][0]
        node, (p, q) = nodes[prompt], pairs[prompt]
        paid = charged(label, p, q)
        shown = likeliest(np.maximum(p, q), REAL_TOKENS)
        move_tokens(artists, node, shown, p, q, paid)
        for bar in artists.bars[-1]:
            bar.set_facecolor(DIVERGENCES[name].color)
        limits, ticks = CHARGES.get(name, CHARGES[""])
        below = artists.bars[-1][0].axes
        if below.get_ylim() != limits:
            below.set_ylim(limits)
            below.set_yticks(ticks)
        return _told(label, node, shown, paid, p, q)

    return Explorer(
        name="real pair",
        controls=[prompt_choice(), Choice("divergence", list(MEMBERS), start="forward KL")],
        create=create,
        update=update,
        presets={
            "reverse KL": {"divergence": "reverse KL"},
            "JSD(½)": {"divergence": "JSD(½)"},
            "JSD(0.9)": {"divergence": "JSD(0.9)"},
            "two digits": {"real prompt": list(PROMPTS)[3]},
            "two digits, reverse KL": {"real prompt": list(PROMPTS)[3], "divergence": "reverse KL"},
        },
        size=(760, 440),
    )


def _told(
    label: str,
    node: RealNode,
    shown: Int[np.ndarray, " N"],
    paid: Float[np.ndarray, " E"],
    p: Float[np.ndarray, " E"],
    q: Float[np.ndarray, " E"],
) -> str:
    """The sentence of a real pair: the divergence, and the drawn tokens that are charged most and least."""
    most, least = (int(shown[at]) for at in (paid[shown].argmax(), paid[shown].argmin()))

    def told(place: int) -> str:
        shares = f"teacher {percent(p[place])}, student {percent(q[place])}"
        return f"“{spelled(node.pieces[place])}” ({shares}) {paid[place]:+.3f}".replace("-", "−")

    others = f"{paid.sum() - paid[shown].sum():+.3f}".replace("-", "−")
    return (
        f"{label}: {paid.sum():.3f} nats in all. Charged most is {told(most)}, least {told(least)}; "
        f"all that is not drawn, {others}."
    )
