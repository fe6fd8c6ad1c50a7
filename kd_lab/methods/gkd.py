"""Generalized knowledge distillation: two dials, the divergence and the share of the student's own texts."""

from kd_lab.how import Divergence
from kd_lab.methods.recipe import Recipe
from kd_lab.what import Logits
from kd_lab.where import Corpus, Mixture, TeacherRollouts


def gkd(
    beta: float = 0.5,
    on_policy_fraction: float = 0.5,
    divergence: str = "jsd",
    temperature: float = 1.0,
    otherwise: Corpus | TeacherRollouts | None = None,
) -> Recipe:
    """WHAT logits · HOW any divergence, JSD(β) by default · WHERE the student with probability λ, else a fixed set.

    λ = 0 with forward KL is word-level distillation, λ = 1 with reverse KL is on-policy reverse KL.

    Args:
        beta: β of JSD or skew KL, the teacher's share in the mixture.
        on_policy_fraction: λ; one coin a batch.
        divergence: any of `softmax_kl`.
        temperature: τ of the divergence.
        otherwise: whose texts are visited with probability 1 − λ; the world's own by default.

    Source: Agarwal et al. (2024), arXiv:2306.13649, algorithm 1.
    """
    where = Mixture(on_policy_fraction, otherwise=otherwise or Corpus())
    how = Divergence(divergence, beta=beta, temperature=temperature)
    return Recipe("GKD", Logits(), how, where, source="arXiv:2306.13649")
