"""Hinton's knowledge distillation: the softened logits, forward KL with τ², the fixed set of texts."""

from kd_lab.how import Divergence
from kd_lab.methods.recipe import Recipe
from kd_lab.what import Logits
from kd_lab.where import Corpus


def hinton(temperature: float = 2.0, label_weight: float = 0.1) -> Recipe:
    """WHAT logits · HOW forward KL at temperature τ, mixed with the labels · WHERE a fixed set.

    Source: Hinton, Vinyals & Dean (2015), arXiv:1503.02531, section 2.
    """
    how = Divergence("forward_kl", temperature=temperature, label_weight=label_weight)
    return Recipe("Hinton KD", Logits(), how, Corpus(), source="arXiv:1503.02531")
