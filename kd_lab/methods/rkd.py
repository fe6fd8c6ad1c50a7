"""Relational distillation: the texts of a batch stand to one another as they do in the teacher."""

from kd_lab.how import RelationalHuber
from kd_lab.methods.recipe import Recipe
from kd_lab.what import Relations
from kd_lab.where import Corpus


def rkd(
    student_layer: int = -1, teacher_layer: int = -1, distance_weight: float = 25.0, angle_weight: float = 50.0
) -> Recipe:
    """WHAT distances and angles between texts · HOW Huber beside the labels · WHERE a fixed set.

    Source: Park et al. (2019), arXiv:1904.05068, equations 6, 7 and 10.
    """
    what = Relations(student_layer=student_layer, teacher_layer=teacher_layer)
    how = RelationalHuber(distance_weight=distance_weight, angle_weight=angle_weight)
    return Recipe("RKD", what, how, Corpus(), source="arXiv:1904.05068")
