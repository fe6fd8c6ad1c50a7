"""Methods of distillation, each a recipe of three choices, and the one loop that trains them."""

from kd_lab.methods.dialects import dialect_table
from kd_lab.methods.distill import distill
from kd_lab.methods.grpo import group_advantages, grpo
from kd_lab.methods.recipe import Recipe, Term
from kd_lab.methods.recipes import (
    METHODS,
    fitnets,
    gkd,
    hinton,
    labels_only,
    minillm,
    on_policy,
    rkd,
    sequence_level,
    word_level,
)
from kd_lab.methods.training import NonFiniteLoss, Result

__all__ = [
    "METHODS",
    "NonFiniteLoss",
    "Recipe",
    "Result",
    "Term",
    "dialect_table",
    "distill",
    "fitnets",
    "gkd",
    "group_advantages",
    "grpo",
    "hinton",
    "labels_only",
    "minillm",
    "on_policy",
    "rkd",
    "sequence_level",
    "word_level",
]
