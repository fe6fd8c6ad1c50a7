"""The same methods under other names: what the settings of public trainers mean here.

β is the teacher's share of the mixture here, in GKD, in TRL and in DistiLLM-2; in DistiLLM's JSD λ is the student's.
A "forward KL" may be a cross-entropy: its gradient, another value. "Temperature" may soften loss, writing, or both.

Each function turns settings as the project spells them into a recipe or a divergence; `DIALECTS` lists what still
differs. Read from TRL 1.16.0, DistiLLM d47e77f, DistiLLM-2 fe4cf9b, LMOps 4f2a9de, verl 1dda039, NeMo-RL 7ea279a.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from kd_lab.arguments import checked
from kd_lab.how import Divergence
from kd_lab.methods.recipe import Recipe, Term
from kd_lab.methods.recipes import minillm
from kd_lab.what import Logits
from kd_lab.where import Corpus, Mixture, StudentRollouts, TeacherRollouts


def trl_divergence(beta: float = 0.5) -> Divergence:
    """TRL's `beta`, of both trainers: 0 is forward KL, 1 reverse KL, and in between stands JSD(β) as in the paper.

    The loss jumps at both ends, since JSD(β) goes to 0 there: TRL's two ends are special cases. At β = 0.01 the
    gradient is about a hundredth of that at β = 0.

    Raises:
        ValueError: β is outside 0 … 1.

    >>> [str(trl_divergence(beta)) for beta in (0, 0.1, 1)]
    ['forward KL', 'JSD(0.1)', 'reverse KL']
    """
    ends = {0: "forward_kl", 1: "reverse_kl"}
    return Divergence(ends[beta]) if beta in ends else Divergence("jsd", beta=_share("beta", beta))


def trl(beta: float = 0.5, lmbda: float = 0.5, temperature: float = 0.9, seq_kd: bool = False) -> Recipe:
    """TRL's experimental `GKDConfig` as a recipe, with TRL's defaults.

    Args:
        beta: see `trl_divergence`.
        lmbda: λ; one coin per batch.
        temperature: of the student while it writes, and of nothing else; the loss is taken at τ = 1. At TRL's 0.9 the
            texts are a little more likely than the student's own.
        seq_kd: the texts of the other batches are the teacher's. (TRL lets it write anew at every step and at the same
            temperature; here it writes one set, at 1.)

    Raises:
        ValueError: β or λ is outside 0 … 1.

    >>> print(trl(beta=0.1, lmbda=1.0, temperature=1.0))
    TRL GKD: logits × JSD(0.1) × mix, λ = 1
    """
    otherwise = TeacherRollouts() if seq_kd else Corpus()
    where = Mixture(_share("lmbda", lmbda), otherwise=otherwise, temperature=temperature)
    return Recipe("TRL GKD", Logits(), trl_divergence(beta), where, source="arXiv:2306.13649")


def trl_distillation(beta: float = 1.0, temperature: float = 1.0) -> Recipe:
    """TRL's stable `DistillationConfig` as a recipe, with TRL's defaults. Every text is the student's own.

    Args:
        beta: see `trl_divergence`.
        temperature: τ of the student while it writes, and of both sides in the loss, which carries no τ² there. At a
            τ other than 1 the student is trained on other texts than it will write once it is deployed.

    Raises:
        ValueError: β is outside 0 … 1.

    >>> print(trl_distillation())
    TRL distillation: logits × reverse KL × on-policy (student)
    """
    how = replace(trl_divergence(beta), temperature=temperature)
    term = Term(Logits(), how, StudentRollouts(temperature), weight=temperature**-2)
    return Recipe("TRL distillation", terms=(term,), source="arXiv:2306.13649")


def verl(loss_mode: str = "k3", use_policy_gradient: bool = False) -> Recipe:
    """verl's `distillation_loss` as a recipe, without its task rewards; the defaults are those of its YAML file.

    The estimators look at the token that the student drew and at no other; the recipe has their gradient in
    expectation. k2 as a loss has that of reverse KL, and so has k1 as a reward. k3 as a loss, the default, has that of
    *forward* KL, although its value estimates reverse KL. abs as a loss has twice that of total variation.

    Args:
        loss_mode: "k1", "k2" or "k3", by any of their names, "abs" or "forward_kl_topk".
        use_policy_gradient: the loss is the negative reward of its own token; rewards of later tokens are not added.

    Raises:
        ValueError: the gradient is that of no divergence: k3 as a reward has ∇KL(q‖p) − ∇KL(p‖q), k1 as a loss has 0.

    >>> print(verl("k3"))
    verl: logits × forward KL × on-policy (student)
    """
    reverse, forward = Divergence("reverse_kl"), Divergence("forward_kl")
    if use_policy_gradient:
        gradients = {"k1": reverse, "kl": reverse}
    else:
        gradients = {"k2": reverse, "mse": reverse, "k3": forward, "low_var_kl": forward, "forward_kl_topk": forward}
        gradients["abs"] = Divergence("total_variation")  # half of E_q ∇|log q − log p| = Σ sign(q − p)·∇q
    if loss_mode not in gradients:
        raise ValueError(
            f"loss_mode is {loss_mode!r} with use_policy_gradient={use_policy_gradient}; expected one of "
            f"{', '.join(gradients)}: the others have the gradient of no divergence"
        )
    term = Term(Logits(), gradients[loss_mode], StudentRollouts(), weight=2.0 if loss_mode == "abs" else 1.0)
    return Recipe("verl", terms=(term,))


def nemo_rl(kl_type: str = "mixed", mixed_kl_weight: float = 0.5) -> Recipe:
    """NeMo-RL's `loss_fn` of on-policy distillation as a recipe, with NeMo-RL's defaults.

    Args:
        kl_type: "forward", "reverse" or "mixed", the weighted sum of both.
        mixed_kl_weight: the weight of the forward KL.

    Raises:
        ValueError: the type is another, or the weight no share.

    >>> print(nemo_rl(mixed_kl_weight=0.75))
    NeMo-RL: 0.75 · logits × forward KL × on-policy (student) + 0.25 · logits × reverse KL × on-policy (student)
    """
    shares = {"forward": 1.0, "reverse": 0.0, "mixed": _share("mixed_kl_weight", mixed_kl_weight)}
    if kl_type not in shares:
        raise ValueError(f"kl_type is {kl_type!r}; expected one of {', '.join(map(repr, shares))}")
    weights = {"forward_kl": shares[kl_type], "reverse_kl": 1 - shares[kl_type]}
    terms = (Term(Logits(), Divergence(name), StudentRollouts(), weight) for name, weight in weights.items() if weight)
    return Recipe("NeMo-RL", terms=terms)


def distillm_divergence(kind: str, skew_alpha: float = 0.1, kd_ratio: float = 1.0) -> Divergence:
    """The loss that DistiLLM's `--type` names; what else stands in the type, such as "adaptive-", is about the texts.

    Its names are looked for inside the type in this order: sfkl, srkl, jsd, tvd, fkl (or the type "kd"), rkl. Forward
    and skew KL are cross-entropies there: larger by the teacher's entropy, with the same gradient. λ of its JSD is
    fixed at 0.9 and is the student's share: our β is 0.1.

    Args:
        kind: such as "srkl" or "adaptive-sfkl".
        skew_alpha: `--skew-alpha`, in "sfkl" the teacher's share of the mixture and in "srkl" the student's.
        kd_ratio: `--kd-ratio`; 1 − kd_ratio weighs the cross-entropy with the texts' own tokens, by any author.

    Raises:
        ValueError: the type names no loss, or `kd_ratio` is no share.

    >>> [str(distillm_divergence(kind)) for kind in ("jsd", "sfkl", "adaptive-srkl", "kd")]
    ['JSD(0.1)', 'skew KL(0.1)', 'skew reverse KL(0.9)', 'forward KL']
    """
    losses = {
        "sfkl": Divergence("skew_kl", beta=skew_alpha),
        "srkl": Divergence("skew_reverse_kl", beta=round(1 - skew_alpha, 10)),
        "jsd": Divergence("jsd", beta=0.1),  # 1 − λ; λ = 0.9 is the default of its js_distance, which no flag reaches
        "tvd": Divergence("total_variation"),
        "fkl": Divergence("forward_kl"),
        "rkl": Divergence("reverse_kl"),
    }
    name = "fkl" if kind == "kd" else next((name for name in losses if name in kind), None)
    if name is None:
        raise ValueError(f"type {kind!r} names no loss of DistiLLM; expected {', '.join(losses)} in it, or 'kd'")
    return replace(losses[name], label_weight=round(1 - _share("kd_ratio", kd_ratio), 10))


def distillm(
    kind: str = "mixed-srkl", skew_alpha: float = 0.1, mixed_alpha: float = 0.5, kd_ratio: float = 1.0
) -> Recipe:
    """DistiLLM's `--type` as a recipe, with `--student-gen` where the type asks for it.

    Args:
        kind, skew_alpha, kd_ratio: see `distillm_divergence`.
        mixed_alpha: `--mixed-alpha`, λ of a type with "mixed" in it. A type without is off-policy.

    Raises:
        ValueError: the type is adaptive. There λ rises with the validation loss and old texts are drawn again from a
            buffer; no recipe with one λ does that.

    >>> print(distillm("mixed-sfkl", mixed_alpha=0.25))
    DistiLLM: logits × skew KL(0.1) × mix, λ = 0.25
    """
    if "adaptive" in kind:
        raise ValueError(
            f"type {kind!r} changes λ while it trains and draws old texts from a buffer; expected a type with one λ, "
            'such as "mixed-srkl"'
        )
    where = Mixture(_share("mixed_alpha", mixed_alpha)) if "mixed" in kind else Corpus()
    how = distillm_divergence(kind, skew_alpha, kd_ratio)
    return Recipe("DistiLLM", Logits(), how, where, source="arXiv:2402.03898")


def distillm_2(loss_type: str = "distillm_v2", alpha_1: float = 0.1, alpha_2: float = 0.1) -> Recipe:
    """DistiLLM-2 as a recipe: a loss on the teacher's texts and another on the student's, added up.

    Args:
        loss_type: "distillm_v2" (skew KL there, skew reverse KL with a held mixture here), "distillm_v1" (the latter on
            both) or "gkd" (JSD on both, its α fixed at 0.9 and, unlike in DistiLLM, the teacher's share).
        alpha_1: the teacher's share in the mixture of skew KL.
        alpha_2: the student's share in that of skew reverse KL.

    Raises:
        ValueError: the loss type is another.

    >>> [str(term.how) for term in distillm_2().terms]
    ['skew KL(0.1)', 'skew reverse KL(0.9), mixture held']
    """
    reverse = Divergence("skew_reverse_kl", beta=round(1 - alpha_2, 10), hold_mixture=True)
    both = {
        "distillm_v2": (Divergence("skew_kl", beta=alpha_1), reverse),
        "distillm_v1": (reverse, reverse),
        "gkd": (Divergence("jsd", beta=0.9),) * 2,
    }
    if loss_type not in both:
        raise ValueError(f"loss_type is {loss_type!r}; expected one of {', '.join(map(repr, both))}")
    terms = map(Term, (Logits(), Logits()), both[loss_type], (TeacherRollouts(), StudentRollouts()))
    return Recipe("DistiLLM-2", terms=terms, source="arXiv:2503.07067")


def minillm_flags(
    single_step_reg: bool = False, length_norm: bool = False, teacher_mixed_alpha: float | None = None
) -> Recipe:
    """MiniLLM's command line as a recipe.

    Args:
        single_step_reg: `--single-step-reg`.
        length_norm: `--length-norm`. In the code this flag changes what is logged and nothing else: the return is
            always divided by the number of tokens that it sums over. So it changes nothing here.
        teacher_mixed_alpha: `--teacher-mixed-alpha`, α of the writing; None is the student alone. The weight is that of
            each token.

    >>> print(minillm_flags(teacher_mixed_alpha=0.2).where)
    on-policy (student, 0.2 teacher)
    """
    del length_norm  # the loss does not read it
    return minillm(single_step=single_step_reg, length_norm=True, teacher_mix=teacher_mixed_alpha or 0.0)


def _share(name: str, value: float) -> float:
    if not 0 <= value <= 1:
        raise ValueError(f"{name} is {value}; expected a share between 0 and 1")
    return value


@dataclass(frozen=True)
class Dialect:
    """One setting of a project, its meaning here, and the differences that remain."""

    project: str
    setting: str
    ours: Recipe | Divergence
    differs: str = ""

    def __str__(self) -> str:
        if isinstance(self.ours, Divergence):
            return str(self.ours)
        terms = (("" if t.weight == 1 else f"{t.weight:g} · ") + f"{t.how} × {t.where}" for t in self.ours.terms)
        return " + ".join(terms)


_CROSS_ENTROPY = "there a cross-entropy: larger by the teacher's entropy, same gradient"

DIALECTS = (
    Dialect("TRL", "beta=0", trl_divergence(0)),
    Dialect("TRL", "beta=0.1", trl_divergence(0.1)),
    Dialect("TRL", "beta=1", trl_divergence(1)),
    Dialect("TRL", "DistillationConfig()", trl_distillation()),
    Dialect("TRL", "DistillationConfig(temperature=2)", trl_distillation(temperature=2.0),
            "the student writes at τ = 2 too; its loss carries no τ², which the weight takes out"),
    Dialect("TRL", "GKDConfig()", trl(), "the student writes at τ = 0.9 and is trained without dropout; a sum over "
            "what was written is divided by the tokens of the data, and on n processes by n once more"),
    Dialect("TRL", "GKDConfig(lmbda=0, seq_kd=True)", trl(lmbda=0.0, seq_kd=True),
            "there the teacher writes anew, at τ = 0.9; else as above"),
    Dialect("DistiLLM", "kd, fkl", distillm_divergence("kd"), _CROSS_ENTROPY),
    Dialect("DistiLLM", "rkl", distillm_divergence("rkl")),
    Dialect("DistiLLM", "jsd (λ = 0.9)", distillm_divergence("jsd"), "λ is the student's share"),
    Dialect("DistiLLM", "sfkl", distillm_divergence("sfkl"), _CROSS_ENTROPY),
    Dialect("DistiLLM", "srkl", distillm_divergence("srkl"), "skew_alpha is the student's share"),
    Dialect("DistiLLM", "tvd", distillm_divergence("tvd")),
    Dialect("DistiLLM", "mixed-sfkl", distillm("mixed-sfkl"), "there drawn from a buffer of the student's texts"),
    Dialect("DistiLLM-2", "gkd (α = 0.9)", distillm_2("gkd"), "mean over texts of means over tokens"),
    Dialect("DistiLLM-2", "distillm_v2", distillm_2(), "mean over texts of means over tokens"),
    Dialect("MiniLLM", "--teacher-mixed-alpha 0.2", minillm_flags(teacher_mixed_alpha=0.2),
            "length norm always on; discount 0.95, whitened and clipped; a loss on plain text is added"),
    Dialect("verl", "loss_mode=k3", verl("k3"), "there one drawn token per position; the value is reverse KL's"),
    Dialect("verl", "loss_mode=k2", verl("k2"), "there one drawn token per position"),
    Dialect("verl", "loss_mode=k1, use_policy_gradient", verl("k1", use_policy_gradient=True),
            "there one drawn token per position, and a clipped ratio"),
    Dialect("verl", "loss_mode=forward_kl_topk", verl("forward_kl_topk"),
            "there on the teacher's top k without the rest: its optimum puts all mass on them"),
    Dialect("NeMo-RL", "kl_type=mixed", nemo_rl(), "there on the teacher's top 64, both sides renormalised"),
)  # fmt: skip
"""The settings of the projects, and their meaning here."""


@checked
def dialect_table(dialects: Sequence[Dialect] = DIALECTS) -> str:
    """Dialects in Markdown, `DIALECTS` by default.

    >>> print(dialect_table().splitlines()[2])
    | TRL | `beta=0` | forward KL |  |
    """
    head = ["| project | setting | here | still different |", "|---|---|---|---|"]
    return "\n".join(head + [f"| {one.project} | `{one.setting}` | {one} | {one.differs} |" for one in dialects])
