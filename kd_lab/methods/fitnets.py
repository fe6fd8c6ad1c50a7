"""FitNets: the student's hidden states are guided by the teacher's, through a projector."""

from kd_lab.how import SquaredError
from kd_lab.methods.recipe import Recipe
from kd_lab.what import Features
from kd_lab.where import Corpus


def fitnets(student_layer: int = -1, teacher_layer: int = -1, weight: float = 0.01) -> Recipe:
    """WHAT features of one layer · HOW squared distance beside the labels · WHERE a fixed set.

    Source: Romero et al. (2015), arXiv:1412.6550, equation 3.
    """
    what = Features(student_layer=student_layer, teacher_layer=teacher_layer)
    return Recipe("FitNets", what, SquaredError(weight), Corpus(), source="arXiv:1412.6550")
