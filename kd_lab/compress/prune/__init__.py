"""Pruning: which weights matter, masks for single ones, and whole heads, channels and layers taken out.

It runs in two steps. First every weight gets an importance: its size, its size times the norm of its input (Wanda), or
the change of the loss without it (Taylor). Then the least important go: one by one, which leaves zeros in matrices of
the old shape, or as a whole head, channel or layer, which leaves a smaller `GPT` like any other.

Only the blocks' matrices are pruned. Embeddings and norms stay.
"""

from kd_lab.compress.prune.importance import block_influence, magnitude, prunable, taylor, wanda
from kd_lab.compress.prune.structured import (
    Structures,
    channel_scores,
    head_scores,
    layer_scores,
    mask_structures,
    remove_structures,
    select_structures,
)
from kd_lab.compress.prune.unstructured import (
    apply_masks,
    mask_gradients,
    semi_structured_masks,
    sparsity,
    to_csr,
    unstructured_masks,
)

__all__ = [
    "Structures",
    "apply_masks",
    "block_influence",
    "channel_scores",
    "head_scores",
    "layer_scores",
    "magnitude",
    "mask_gradients",
    "mask_structures",
    "prunable",
    "remove_structures",
    "select_structures",
    "semi_structured_masks",
    "sparsity",
    "taylor",
    "to_csr",
    "unstructured_masks",
    "wanda",
]
