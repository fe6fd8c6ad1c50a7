"""MiniLLM: the policy gradient of the sequence-level reverse KL, with three tamers of its variance."""

from kd_lab.how import PolicyGradient
from kd_lab.methods.recipe import Recipe
from kd_lab.what import Paths
from kd_lab.where import StudentRollouts


def minillm(
    single_step: bool = True, length_norm: bool = True, teacher_mix: float = 0.2, importance: str = "token"
) -> Recipe:
    """WHAT whole texts with their logits · HOW reverse KL by policy gradient · WHERE the student, teacher-mixed.

    Args:
        single_step: the immediate term as an expectation over the vocabulary.
        length_norm: the future as a mean and not as a sum.
        teacher_mix: α, the teacher's share in drawing each token.
        importance: "token" corrects α at each token alone, as the paper does; "sequence" corrects it exactly.

    Left out are the paper's clipping of the ratio over several updates on one batch (here each batch is used once) and
    its added language-modelling loss on a pre-training corpus.

    Source: Gu et al. (2024), arXiv:2306.08543, equations 2 to 7.
    """
    how = PolicyGradient(single_step=single_step, length_norm=length_norm, importance=importance)
    return Recipe("MiniLLM", Paths(), how, StudentRollouts(teacher_mix=teacher_mix), source="arXiv:2306.08543")
