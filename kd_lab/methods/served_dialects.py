"""Dialects of trainers whose teacher is often a server: tinker and ms-swift.

A server returns the log-probability of the token that was written, or of a few. So these projects can hand the
teacher's judgement to a policy gradient, as the advantage of each token: log p − log q, which is −k1. In expectation
that is the gradient of reverse KL at each position, as long as no later token is added.

Read from tinker-cookbook 53aaf8d (train_on_policy), 2005828 (train_off_policy) and ms-swift 06f4936 (gkd_trainer) with
its Distillation.md at 02c2581.
"""

from kd_lab.how import Divergence, PolicyGradient
from kd_lab.methods.dialects import Dialect, trl_divergence
from kd_lab.methods.recipe import Recipe, Term
from kd_lab.what import Logits, Paths
from kd_lab.where import Corpus, Mixture, StudentRollouts


def tinker(kl_penalty_coef: float = 1.0, kl_discount_factor: float = 0.0) -> Recipe:
    """tinker's on-policy distillation as a recipe, without task rewards; the defaults are those of its `Config`.

    Args:
        kl_penalty_coef: the weight of the teacher's judgement. With Adam and no other reward it changes nothing.
        kl_discount_factor: γ of the later tokens' judgements that are added to a token's own. 0 adds none, which is
            token-wise reverse KL in expectation; 1 adds all, the plain policy gradient of the sequences' reverse KL.

    Raises:
        ValueError: γ lies between 0 and 1, where the gradient is that of no objective here; or the weight is not
            positive.

    >>> print(tinker())
    tinker: logits × reverse KL × on-policy (student)
    >>> print(tinker(kl_discount_factor=1.0))
    tinker: sequences, with logits × reverse KL (PG) × on-policy (student)
    """
    if kl_penalty_coef <= 0:
        raise ValueError(f"kl_penalty_coef is {kl_penalty_coef}; expected a positive weight: at 0 no teacher is asked")
    if kl_discount_factor not in (0, 1):
        raise ValueError(
            f"kl_discount_factor is {kl_discount_factor}; expected 0 (no later tokens) or 1 (all of them): a share of "
            "the future has the gradient of no divergence"
        )
    if kl_discount_factor:
        how = PolicyGradient(single_step=False, length_norm=False)
        term = Term(Paths(), how, StudentRollouts(), weight=kl_penalty_coef)
    else:
        term = Term(Logits(), Divergence("reverse_kl"), StudentRollouts(), weight=kl_penalty_coef)
    return Recipe("tinker", terms=(term,))


def tinker_off_policy() -> Recipe:
    """tinker's off-policy distillation: forward KL on fixed texts, there from the teacher's 20 likeliest tokens alone.

    >>> print(tinker_off_policy())
    tinker, off-policy: logits × forward KL × fixed set
    """
    return Recipe("tinker, off-policy", Logits(), Divergence("forward_kl"), Corpus())


def ms_swift(beta: float = 0.5, lmbda: float = 0.5, temperature: float = 0.9) -> Recipe:
    """ms-swift's `--rlhf_type gkd` as a recipe, with its defaults.

    Args:
        beta: as in TRL: 0 is forward KL, 1 reverse KL, in between stands JSD(β).
        lmbda: λ; one coin per batch.
        temperature: of the student while it writes *and* of both sides in the loss, which carries no τ² there.

    Raises:
        ValueError: β or λ is outside 0 … 1.

    >>> print(ms_swift(beta=1.0, lmbda=1.0, temperature=1.0))
    ms-swift: logits × reverse KL × mix, λ = 1
    """
    divergence = trl_divergence(beta)
    how = Divergence(divergence.divergence, beta=divergence.beta, temperature=temperature)
    where = Mixture(lmbda, temperature=temperature)
    return Recipe("ms-swift", terms=(Term(Logits(), how, where, weight=temperature**-2),), source="arXiv:2306.13649")


def ms_swift_advantage(teacher_kl_coef: float = 1.0) -> Recipe:
    """ms-swift's `--rlhf_type grpo` with a teacher and no reward functions: the teacher's log-ratio as an advantage.

    >>> print(ms_swift_advantage())
    ms-swift, OPD-RL: logits × reverse KL × on-policy (student)
    """
    term = Term(Logits(), Divergence("reverse_kl"), StudentRollouts(), weight=teacher_kl_coef)
    return Recipe("ms-swift, OPD-RL", terms=(term,))


_ONE_TOKEN = "there one drawn token per position"
SERVED = (
    Dialect("tinker", "train_on_policy.Config()", tinker(), f"{_ONE_TOKEN}, with importance weights"),
    Dialect("tinker", "kl_discount_factor=1.0", tinker(kl_discount_factor=1.0), "neither single-step nor length norm"),
    Dialect("tinker", "train_off_policy.Config()", tinker_off_policy(),
            "there the teacher's top 20, renormalised: its optimum puts all mass on them"),
    Dialect("ms-swift", "--rlhf_type gkd", ms_swift(), "τ = 0.9 in the loss and in the writing; the loss lacks τ²"),
    Dialect("ms-swift", "--rlhf_type gkd --lmbda 1 --beta 1", ms_swift(beta=1.0, lmbda=1.0), "the same τ"),
    Dialect("ms-swift", "--rlhf_type grpo --teacher_model …", ms_swift_advantage(),
            f"{_ONE_TOKEN}; rewards may be added"),
)  # fmt: skip
"""The settings of these projects, and their meaning here."""
