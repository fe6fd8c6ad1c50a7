"""On-policy distillation: the student writes, the teacher judges every step, the student is corrected there."""

from kd_lab.how import Divergence
from kd_lab.methods.recipe import Recipe
from kd_lab.what import Logits
from kd_lab.where import StudentRollouts


def on_policy(divergence: str = "reverse_kl", beta: float = 0.5, temperature: float = 1.0) -> Recipe:
    """WHAT logits · HOW reverse KL at every token · WHERE the student's own texts.

    No gradient flows through the choice of the tokens: this is DAgger with a teacher as the expert, and not the
    gradient of the sequence-level reverse KL, for which see `minillm`.

    Args:
        divergence: any of `softmax_kl`.
        beta: the teacher's share of the mixture, read by the divergences that have one.
        temperature: τ of the divergence; the student always writes at 1.

    Source: Agarwal et al. (2024), arXiv:2306.13649, equation 3; Ross, Gordon & Bagnell (2011), arXiv:1011.0686.
    """
    how = Divergence(divergence, beta=beta, temperature=temperature)
    return Recipe("on-policy KD", Logits(), how, StudentRollouts(), source="arXiv:2306.13649")
