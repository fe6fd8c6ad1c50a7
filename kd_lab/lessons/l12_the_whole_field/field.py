"""The whole field: every legal choice on the three knobs, and the methods that have a name.

A choice is composed of three words, one per knob; τ stands with HOW, and λ with WHERE. The library says which choices
are legal: `compose` lets its ValueError pass.
"""

from collections.abc import Mapping
from functools import cache
from itertools import product

from kd_lab.contracts import How, What, Where
from kd_lab.how import Divergence, NegativeLogLikelihood, PolicyGradient
from kd_lab.how.feature_losses import RelationalHuber, SquaredError
from kd_lab.lessons.l12_the_whole_field.adaptive import AdaptiveKL
from kd_lab.lessons.l12_the_whole_field.pairs import uld
from kd_lab.methods import (
    Recipe,
    fitnets,
    gkd,
    hinton,
    labels_only,
    minillm,
    on_policy,
    rkd,
    sequence_level,
    word_level,
)
from kd_lab.methods.dialects import distillm, distillm_2, nemo_rl
from kd_lab.what import Features, Logits, Paths, Relations, Sequences
from kd_lab.where import Corpus, Mixture, StudentRollouts, TeacherRollouts

WHATS: Mapping[str, What] = {
    "tokens": Sequences(),
    "logits": Logits(),
    "features": Features(),
    "relations": Relations(),
    "whole texts": Paths(),
}

HOWS: Mapping[str, How] = {
    "likelihood": NegativeLogLikelihood(),
    "forward KL": Divergence("forward_kl"),
    "forward KL, τ = 2": Divergence("forward_kl", temperature=2.0),
    "skew KL": Divergence("skew_kl", beta=0.1),
    "JSD": Divergence("jsd"),
    "reverse KL": Divergence("reverse_kl"),
    "reverse KL, τ = 2": Divergence("reverse_kl", temperature=2.0),
    "adaptive KL": AdaptiveKL(),
    "squared error": SquaredError(),
    "relational Huber": RelationalHuber(),
    "policy gradient": PolicyGradient(),
}

WHERES: Mapping[str, Where] = {
    "fixed set, λ = 0": Corpus(),
    "half the student's, λ = ½": Mixture(0.5),
    "the student's, λ = 1": StudentRollouts(),
    "teacher's samples": TeacherRollouts(),
}


def compose(what: str, how: str, where: str) -> Recipe:
    """The recipe of three words.

    Raises:
        ValueError: the library's own, where the three do not fit together.

    >>> print(compose("logits", "JSD", "half the student's, λ = ½"))
    composed: logits × JSD(0.5) × mix, λ = 0.5
    >>> compose("tokens", "reverse KL", "fixed set, λ = 0")
    Traceback (most recent call last):
    ValueError: WHAT = sequences gives tokens and HOW = reverse KL compares ...
    """
    return Recipe("composed", WHATS[what], HOWS[how], WHERES[where])


@cache
def legal_cells() -> tuple[tuple[str, str, str], ...]:
    """Every choice that the library does not refuse."""
    return tuple(cell for cell in product(WHATS, HOWS, WHERES) if refusal(*cell) is None)


def refusal(what: str, how: str, where: str) -> str | None:
    """The reason why a choice is illegal, in the library's words; None if it is legal."""
    try:
        compose(what, how, where)
    except ValueError as error:
        return str(error)
    return None


METHODS: Mapping[str, Recipe] = {
    "labels only": labels_only(),
    "Hinton KD": hinton(),
    "FitNets": fitnets(),
    "RKD": rkd(),
    "word level": word_level(),
    "sequence level, sampled": sequence_level(),
    "sequence level, beam": sequence_level(decode="beam"),
    "on-policy": on_policy(),
    "GKD": gkd(),
    "MiniLLM": minillm(),
    "DistiLLM, skewed": distillm("mixed-srkl"),
    "DistiLLM-2": distillm_2(),
    "NeMo-RL, mixed KL": nemo_rl(),
    "adaptive KL": Recipe("adaptive KL", Logits(), AdaptiveKL(), Corpus(), source="arXiv:2404.02657"),
}
"""Row of the field's table → recipe; the teacher is the shipped one."""

OTHER_TOKENS: Mapping[str, Recipe] = {
    "exact marginals": word_level(),
    "its texts": sequence_level(),
    "ULD, by index": uld("index"),
    "ULD, by letter": uld("letter"),
}
"""Row → recipe; the teacher's tokens are pairs of letters."""


def key_of(recipe: Recipe) -> str:
    """The name of a recipe's run: what it does, whatever it is called. Two names of one recipe share their runs.

    >>> key_of(word_level()) == key_of(compose("logits", "forward KL", "fixed set, λ = 0"))
    True
    """
    return " + ".join(f"{term}" for term in recipe.terms) + _hidden(recipe)


def _hidden(recipe: Recipe) -> str:
    """The settings that a recipe's words do not show."""
    notes = [
        f"norm {term.how.length_norm}, step {term.how.single_step}"
        for term in recipe.terms
        if isinstance(term.how, PolicyGradient)
    ]
    return f" ({'; '.join(notes)})" if notes else ""
