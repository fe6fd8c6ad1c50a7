"""A trainer's settings as somebody pasted them: which recipe they mean, and where it stands on the two dials."""

import re
from collections.abc import Callable, Mapping
from inspect import signature

from kd_lab.contracts import Where
from kd_lab.how import Divergence, PolicyGradient
from kd_lab.methods import Recipe
from kd_lab.methods.dialects import distillm, distillm_2, minillm_flags, nemo_rl, trl, trl_distillation, verl
from kd_lab.methods.served_dialects import ms_swift, ms_swift_advantage, tinker, tinker_off_policy
from kd_lab.where import Corpus, Mixture, StudentRollouts, TeacherRollouts


def swift_gkd(rlhf_type: str = "gkd", beta: float = 0.5, lmbda: float = 0.5, temperature: float = 0.9) -> Recipe:
    """ms-swift with `--rlhf_type gkd`.

    Raises:
        ValueError: the type is another, or a value that `ms_swift` refuses.
    """
    _only("gkd", rlhf_type)
    return ms_swift(beta, lmbda, temperature)


def swift_grpo(rlhf_type: str = "grpo", teacher_kl_coef: float = 1.0) -> Recipe:
    """ms-swift with `--rlhf_type grpo`, a teacher and no reward functions.

    Raises:
        ValueError: the type is another.
    """
    _only("grpo", rlhf_type)
    return ms_swift_advantage(teacher_kl_coef)


def _only(kind: str, given: str) -> None:
    if given != kind:
        raise ValueError(
            f"rlhf_type is {given!r}; expected {kind!r}, which this entry reads: ms-swift has one entry for gkd and "
            "one for grpo"
        )


PROJECTS: Mapping[str, tuple[Callable[..., Recipe], str]] = {
    "TRL GKDConfig": (trl, "GKDConfig(beta=0.5, lmbda=0.5, temperature=0.9)"),
    "TRL DistillationConfig": (trl_distillation, "DistillationConfig(beta=1.0, temperature=1.0)"),
    "DistiLLM": (distillm, "--type mixed-srkl --skew-alpha 0.1 --mixed-alpha 0.5"),
    "DistiLLM-2": (distillm_2, "loss_type: distillm_v2"),
    "MiniLLM": (minillm_flags, "--single-step-reg --length-norm --teacher-mixed-alpha 0.2"),
    "verl": (verl, "loss_mode: k3\nuse_policy_gradient: false"),
    "NeMo-RL": (nemo_rl, "kl_type: mixed\nmixed_kl_weight: 0.5"),
    "tinker": (tinker, "kl_penalty_coef=1.0 kl_discount_factor=0.0"),
    "tinker, off-policy": (tinker_off_policy, "train_off_policy.Config()"),
    "ms-swift, gkd": (swift_gkd, "--rlhf_type gkd --beta 0.5 --lmbda 0.5 --temperature 0.9"),
    "ms-swift, grpo": (swift_grpo, "--rlhf_type grpo --teacher_kl_coef 1.0"),
}
"""Project → the function that turns its settings into a recipe, and an example as its users write it."""

SPELLINGS = {"type": "kind", "gkd_beta": "beta", "lambda": "lmbda"}
"""A project's word for an argument, where the function has another."""

Value = bool | float | str


def settings_in(text: str) -> dict[str, Value]:
    """Every `name=value`, `name: value` and `--name value` of a text; a flag without a value is True.

    >>> settings_in("GKDConfig(beta=0.1, lmbda=1.0)")
    {'beta': 0.1, 'lmbda': 1.0}
    >>> settings_in("--type mixed-srkl --length-norm --skew-alpha 0.2")
    {'type': 'mixed-srkl', 'length_norm': True, 'skew_alpha': 0.2}
    """
    flags = re.findall(r"--([A-Za-z][\w-]*)(?:[= \t]+(?!-{2})([^\s,)]+))?", text)
    named = re.findall(r"(?<![\w-])([A-Za-z_]\w*)[ \t]*[=:][ \t]*([^\s,)]+)", re.sub(r"--[\w-]+", " ", text))
    return {name.replace("-", "_"): _value(value) for name, value in [*flags, *named]}


def _value(text: str) -> Value:
    text = text.strip("\"'")
    if text.lower() in ("", "true"):
        return True
    if text.lower() == "false":
        return False
    try:
        return float(text)
    except ValueError:
        return text


def read_configuration(project: str, text: str) -> tuple[Recipe, list[str]]:
    """The recipe that a project's settings mean, and the settings that say nothing about the two dials.

    Raises:
        ValueError: there is no such project, or a value that it would refuse.

    >>> recipe, others = read_configuration("TRL GKDConfig", "GKDConfig(beta=1, lmbda=1, temperature=1, lr=1e-5)")
    >>> print(recipe, others)
    TRL GKD: logits × reverse KL × mix, λ = 1 ['lr']
    """
    if project not in PROJECTS:
        raise ValueError(f"project is {project!r}; expected one of {', '.join(map(repr, PROJECTS))}")
    function, _ = PROJECTS[project]
    known = signature(function).parameters
    given = {SPELLINGS.get(name, name): value for name, value in settings_in(text).items()}
    for name in known.keys() & given.keys():
        default = known[name].default
        if default is not None and isinstance(default, bool | str) != isinstance(given[name], bool | str):
            raise ValueError(f"{name} is {given[name]!r}; expected something like {default!r}")
    recipe = function(**{name: value for name, value in given.items() if name in known})
    return recipe, [name for name in given if name not in known]


def share_of(where: Where) -> float:
    """λ: the share of the batches that the student writes itself.

    Raises:
        ValueError: nobody knows, since the texts come from a WHERE that is none of the library's.
    """
    if isinstance(where, Mixture):
        return where.on_policy_fraction
    if isinstance(where, StudentRollouts):
        return 1.0
    if isinstance(where, Corpus | TeacherRollouts):
        return 0.0
    raise ValueError(f"where is {where!r}; expected a corpus, rollouts or a mixture of both")


def places(recipe: Recipe, divergences: tuple[str, ...], fractions: tuple[float, ...]) -> list[tuple[int, int]]:
    """The cells of a grid (row, column) that stand nearest to a recipe, one per term that has a divergence."""
    found: list[tuple[int, int]] = []
    for term in recipe.terms:
        name = _divergence(term.how)
        if name in divergences:
            share = share_of(term.where)
            column = min(range(len(fractions)), key=lambda place: abs(fractions[place] - share))
            found.append((divergences.index(name), column))
    return list(dict.fromkeys(found))


def _divergence(how: object) -> str | None:
    if isinstance(how, PolicyGradient):
        return "reverse_kl"  # of whole texts
    return how.divergence if isinstance(how, Divergence) else None
