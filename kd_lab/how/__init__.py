"""HOW the gap between student and teacher is measured: divergences, estimators, and the losses built on them.

The table of the divergences is `divergences.DIVERGENCES`, the losses between hidden states are in `feature_losses`, and
`sparse_file` writes a `SparseTeacher` and reads it again.
"""

from kd_lab.optional_torch import HAS_TORCH

if HAS_TORCH:
    from kd_lab.how.divergences import forward_kl, jsd, reverse_kl, skew_kl, skew_reverse_kl, total_variation
    from kd_lab.how.estimators import k1, k2, k3
    from kd_lab.how.linear import linear_softmax_kl
    from kd_lab.how.losses import Divergence, NegativeLogLikelihood
    from kd_lab.how.policy_gradient import PolicyGradient
    from kd_lab.how.reduction import masked_mean
    from kd_lab.how.softmax_kl import softmax_kl, softmax_kl_with_statistics
    from kd_lab.how.sparse import sparse_softmax_kl
    from kd_lab.how.sparse_cache import SparseTeacher, sampled, top_k
    from kd_lab.how.vocab_parallel import vocab_parallel_softmax_kl

__all__ = [
    "Divergence",
    "NegativeLogLikelihood",
    "PolicyGradient",
    "SparseTeacher",
    "forward_kl",
    "jsd",
    "k1",
    "k2",
    "k3",
    "linear_softmax_kl",
    "masked_mean",
    "reverse_kl",
    "sampled",
    "skew_kl",
    "skew_reverse_kl",
    "softmax_kl",
    "softmax_kl_with_statistics",
    "sparse_softmax_kl",
    "top_k",
    "total_variation",
    "vocab_parallel_softmax_kl",
]
