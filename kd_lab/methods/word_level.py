"""Word-level distillation: match the teacher's whole conditional at every position of a fixed set."""

from kd_lab.how import Divergence
from kd_lab.methods.recipe import Recipe
from kd_lab.what import Logits
from kd_lab.where import Corpus


def word_level(divergence: str = "forward_kl", temperature: float = 1.0) -> Recipe:
    """WHAT logits · HOW forward KL · WHERE a fixed set.

    Source: Kim & Rush (2016), arXiv:1606.07947, section 3.1.
    """
    return Recipe(
        "word-level KD", Logits(), Divergence(divergence, temperature=temperature), Corpus(), source="arXiv:1606.07947"
    )
