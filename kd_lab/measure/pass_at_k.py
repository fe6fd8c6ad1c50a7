"""The chance that at least one of k texts on a problem is right, estimated from n of them without bias."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from kd_lab.arguments import checked


@checked
def pass_at_k(right: Int[Tensor, "*N"], drawn: int, k: int) -> Float[Tensor, "*N"]:
    """1 − C(n − c, k) / C(n, k): of n texts drawn on a problem c are right, and k of the n are picked at random.

    Averaged over problems it estimates E[1 − (1 − p)^k] without bias, where p is each problem's own chance. The plug-in
    1 − (1 − c/n)^k is biased: at k > 1 it is too low on average, since x^k is convex in the failure rate x.

    Args:
        right: c, for each problem.
        drawn: n.
        k: 1 … n.

    Returns:
        One number per problem, in float64; take the mean for pass@k of the set.

    Raises:
        ValueError: k is not in 1 … n, or some c not in 0 … n.

    >>> pass_at_k(torch.tensor([0, 1, 3]), drawn=4, k=2)  # the third: two cannot both be the one wrong text
    tensor([0.0000, 0.5000, 1.0000], dtype=torch.float64)

    Source: Chen et al. (2021), "Evaluating large language models trained on code", arXiv:2107.03374;
    `estimate_pass_at_k` of github.com/openai/human-eval.
    """
    if not 1 <= k <= drawn:
        raise ValueError(f"k is {k} and drawn is {drawn}; expected 1 ≤ k ≤ drawn: draw more texts on each problem")
    if (right < 0).any() or (right > drawn).any():
        raise ValueError(
            f"right reaches from {int(right.min())} to {int(right.max())}; expected counts of 0 … {drawn}, the texts "
            "drawn on each problem"
        )
    wrong = drawn - right.double()
    picks = torch.arange(k, dtype=torch.float64, device=right.device)
    # C(n−c, k)/C(n, k) = Π_{i<k} (n−c−i)/(n−i): no factorial overflows, and a factor is 0 where k exceeds n−c
    all_wrong = ((wrong[..., None] - picks).clamp_min(0) / (drawn - picks)).prod(-1)
    return 1 - all_wrong
