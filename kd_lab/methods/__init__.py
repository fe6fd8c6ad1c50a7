"""Methods of distillation, each a recipe of three choices, and the one loop that trains them."""

from kd_lab.methods.dialects import (
    dialect_table,
    distillm,
    distillm_2,
    distillm_divergence,
    minillm_flags,
    trl,
    trl_divergence,
)
from kd_lab.methods.distill import NonFiniteLoss, Result, distill
from kd_lab.methods.fitnets import fitnets
from kd_lab.methods.gkd import gkd
from kd_lab.methods.hinton import hinton
from kd_lab.methods.labels_only import labels_only
from kd_lab.methods.minillm import minillm
from kd_lab.methods.on_policy import on_policy
from kd_lab.methods.recipe import Recipe
from kd_lab.methods.rkd import rkd
from kd_lab.methods.sequence_level import sequence_level
from kd_lab.methods.word_level import word_level

METHODS = (labels_only, hinton, fitnets, rkd, word_level, sequence_level, on_policy, gkd, minillm)
"""Every method of the library, in the order of the three-knob table."""

__all__ = [
    "METHODS",
    "NonFiniteLoss",
    "Recipe",
    "Result",
    "dialect_table",
    "distill",
    "distillm",
    "distillm_2",
    "distillm_divergence",
    "fitnets",
    "gkd",
    "hinton",
    "labels_only",
    "minillm",
    "minillm_flags",
    "on_policy",
    "rkd",
    "sequence_level",
    "trl",
    "trl_divergence",
    "word_level",
]
