"""Losses of other projects, written out from their definitions, and the losses of this library to find them among."""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from kd_lab.how import forward_kl, jsd, reverse_kl, skew_kl, skew_reverse_kl, total_variation

Loss = Callable[[Float[Tensor, "B V"], Float[Tensor, "B V"]], Float[Tensor, ""]]
"""(student logits, teacher logits) -> one number."""


def ours(divergence: Callable[..., Tensor], **options: float) -> Loss:
    """A divergence of the library as a loss of logits, averaged over positions."""
    return lambda z, teacher_z: divergence(z.log_softmax(-1), teacher_z.log_softmax(-1), **options).mean()


def from_probabilities(formula: Callable[[Tensor, Tensor], Tensor]) -> Loss:
    """A loss that is a formula of the student's and the teacher's probabilities, averaged over positions."""
    return lambda z, teacher_z: formula(z.softmax(-1), teacher_z.softmax(-1)).sum(-1).mean()


OURS: dict[str, Loss] = {
    "forward KL": ours(forward_kl),
    "reverse KL": ours(reverse_kl),
    "JSD(0.1)": ours(jsd, beta=0.1),
    "JSD(0.9)": ours(jsd, beta=0.9),
    "skew KL(0.1)": ours(skew_kl, beta=0.1),
    "skew reverse KL(0.9)": ours(skew_reverse_kl, beta=0.9),
    "total variation": ours(total_variation),
}

THEIRS: dict[str, tuple[str | None, Loss]] = {  # q is the student, p the teacher
    "TRL, beta = 0": ("forward KL", from_probabilities(lambda q, p: p * (p.log() - q.log()))),
    "TRL, beta = 1": ("reverse KL", from_probabilities(lambda q, p: q * (q.log() - p.log()))),
    "TRL, beta = 0.9": (
        "JSD(0.9)",
        from_probabilities(
            lambda q, p: 0.9 * p * (p / (0.9 * p + 0.1 * q)).log() + 0.1 * q * (q / (0.9 * p + 0.1 * q)).log()
        ),
    ),
    "DistiLLM, fkl": ("forward KL", from_probabilities(lambda q, p: -p * q.log())),
    "DistiLLM, sfkl": ("skew KL(0.1)", from_probabilities(lambda q, p: -p * (0.1 * p + 0.9 * q).log())),
    "DistiLLM, srkl": ("skew reverse KL(0.9)", from_probabilities(lambda q, p: q * (q / (0.9 * p + 0.1 * q)).log())),
    "DistiLLM, jsd with λ = 0.9": (
        "JSD(0.1)",
        from_probabilities(
            lambda q, p: 0.1 * p * (p / (0.1 * p + 0.9 * q)).log() + 0.9 * q * (q / (0.1 * p + 0.9 * q)).log()
        ),
    ),
    "DistiLLM, tvd": ("total variation", from_probabilities(lambda q, p: 0.5 * (p - q).abs())),
    "DistiLLM-2, skew reverse KL, mixture held": (
        None,
        from_probabilities(lambda q, p: q * (q / (0.9 * p + 0.1 * q.detach())).log()),
    ),
    "TRL, beta = 0.9, before March 2025": (
        None,
        from_probabilities(
            lambda q, p: 0.9 * p * (p / (0.1 * p + 0.9 * q)).log() + 0.1 * q * (q / (0.1 * p + 0.9 * q)).log()
        ),
    ),
}
"""Project and setting → the name of ours that has the same gradient, or None, and the loss itself."""
