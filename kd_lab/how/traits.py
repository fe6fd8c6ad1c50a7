"""The six divergences by name: all that other code has to know of one beside its formula. No torch is needed here."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Traits:
    """One divergence, as code knows it that takes it by name."""

    name: str
    label: str  # for people
    ends: tuple[str, str] | None = None  # of a mixture, which reads beta: the reasons against β = 0 and against β = 1
    carries_t2: bool = True  # shrinks as 1/τ² when the temperature grows

    @property
    def is_mixture(self) -> bool:  # compares with m = βp + (1−β)q, and so reads beta
        return self.ends is not None

    @property
    def is_kl(self) -> bool:  # between the two themselves: the sweep that normalises both softmaxes gives its value
        return self.name in ("forward_kl", "reverse_kl")

    def title(self, beta: float) -> str:
        """The label, with β where it is read, such as "JSD(0.5)".

        >>> TRAITS["jsd"].title(0.5), TRAITS["forward_kl"].title(0.5)
        ('JSD(0.5)', 'forward KL')
        """
        return f"{self.label}({beta:g})" if self.is_mixture else self.label

    def scale(self, temperature: float, scale_by_t2: bool = True) -> float:
        """The factor on value and gradient: τ², or 1 for total variation, which shrinks as 1/τ and not as 1/τ²."""
        return temperature**2 if scale_by_t2 and self.carries_t2 else 1.0

    def check_beta(self, beta: float) -> None:
        """Refuse the ends of β's interval with a ValueError that says which divergence stands there."""
        if self.ends is None or 0 < beta < 1:
            return
        why = dict(enumerate(self.ends)).get(beta, "it is the teacher's share of the mixture, such as 0.5")
        raise ValueError(f"beta of {self.name} is {beta}; expected 0 < beta < 1; {why}")


_ROWS = (
    Traits("forward_kl", "forward KL"),
    Traits("reverse_kl", "reverse KL"),
    Traits(
        "jsd",
        "JSD",
        (
            'JSD(β) is 0 for every pair at β = 0, and JSD(β)/β tends to KL(p‖q): use "forward_kl"',
            'JSD(β) is 0 for every pair at β = 1, and JSD(β)/(1−β) tends to KL(q‖p): use "reverse_kl"',
        ),
    ),
    Traits(
        "skew_kl",
        "skew KL",
        (
            'at β = 0 nothing of the teacher is mixed in: use "forward_kl"',
            "at β = 1 the teacher is compared with itself, which is always 0: use a small β such as 0.1",
        ),
    ),
    Traits(
        "skew_reverse_kl",
        "skew reverse KL",
        (
            "at β = 0 the student is compared with itself, which is always 0: use a large β such as 0.9",
            'at β = 1 nothing of the student is mixed in: use "reverse_kl"',
        ),
    ),
    Traits("total_variation", "total variation", carries_t2=False),
)

TRAITS = {row.name: row for row in _ROWS}
"""The traits by the name that `softmax_kl(divergence=…)` takes."""
