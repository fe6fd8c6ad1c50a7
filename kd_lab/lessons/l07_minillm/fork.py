"""The language *fork*, its students, and everything about their gradients that can be enumerated."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor, nn

from kd_lab.how import reverse_kl
from kd_lab.measure import conditionals, every_text, gap_by_position, gradient_of, mean_and_variance, sequence_kl
from kd_lab.models import FiniteStateModel, TabularModel
from kd_lab.models.exact_models import window_moves
from kd_lab.worlds.languages import from_rule

Terms = Callable[[Float[Tensor, "S L V"]], Float[Tensor, "S L"]]
"""From log q along every text to one term per position; the gradient of their sum is an estimate of ∇KL(Q‖P)."""

Estimator = Callable[[nn.Module], tuple[Terms, nn.Module | None]]
"""From a student to its terms, and to the writer of the texts; None where the student writes alone."""

_STOP_OR_X = {"x": 0.5, ".": 0.5}
_ROADS = {
    "": {"a": 0.4, "b": 0.6},
    "a": {"x": 1.0}, "ax": _STOP_OR_X, "axx": _STOP_OR_X, "axxx": _STOP_OR_X,
    "b": {"x": 1.0}, "bx": {"y": 1.0}, "bxy": _STOP_OR_X, "bxyx": {"y": 1.0},
}  # fmt: skip
_WORDS = ("ax", "axx", "axxx", "axxxx", "bxy", "bxyxy")

fork = from_rule("fork", ".abxy", 5, lambda prefix: _ROADS.get(prefix, {}), smoothing=0.05)
"""Words go ax, axx, axxx, … or bxy, bxyxy: which letter follows an x depends on the road taken two letters before."""

V, L = len(fork.vocabulary), fork.length
teacher = TabularModel(fork.logp)
TEXTS = every_text(V, L)
S = len(TEXTS)
IS_WORD = torch.tensor([text in _WORDS for text in fork.vocabulary.decode(TEXTS.tokens)])

with torch.no_grad():  # after a text's end nothing counts; a uniform row there keeps every number finite
    TEACHER_LOGP = teacher(TEXTS.inputs).where(TEXTS.mask[..., None], -torch.tensor(float(V)).log())


def chosen(logp: Float[Tensor, "S L V"]) -> Float[Tensor, "S L"]:
    """log-probability of each token of every text, 0 after its end."""
    return logp.gather(-1, TEXTS.targets[..., None])[..., 0].where(TEXTS.mask, 0.0)


@torch.no_grad()
def text_probability(model: nn.Module) -> Float[Tensor, " S"]:
    """The probability that the model writes each text."""
    return chosen(model(TEXTS.inputs).log_softmax(-1)).sum(1).exp()


def share_of_words(model: nn.Module) -> float:
    """The share of its texts that are words of the language."""
    return text_probability(model)[IS_WORD].sum().item()


# ---- three losses, every text listed --------------------------------------------------------------------------------


def sequence_loss(student: nn.Module) -> Float[Tensor, ""]:
    """KL(Q‖P) over whole texts, all of them listed."""
    return sequence_kl(fork.logp, conditionals(student, L, differentiable=True))


def token_loss(student: nn.Module) -> Float[Tensor, ""]:
    """KL(q‖p) at every prefix, weighted by how often the student visits it; the weight is held fixed."""
    tables = conditionals(student, L, differentiable=True)
    return gap_by_position(tables, fork.logp, [table.detach() for table in tables], reverse_kl).sum()


def word_loss(student: nn.Module) -> Float[Tensor, ""]:
    """KL(P‖Q): the loss of word-level distillation on the teacher's texts."""
    return sequence_kl(conditionals(student, L, differentiable=True), fork.logp)


# ---- students -------------------------------------------------------------------------------------------------------

STAGES = ("fresh", "word-level", "committed")


def new_bigram(number: int) -> FiniteStateModel:
    """A student that sees the last letter and nothing before it."""
    table = torch.randn(V, V, generator=torch.Generator().manual_seed(number), dtype=torch.float64)
    return FiniteStateModel(table, window_moves(V, 1), context=L)


def new_table(number: int) -> TabularModel:
    """A student with a row for every prefix, which can equal its teacher."""
    generator = torch.Generator().manual_seed(number)
    return TabularModel([torch.randn(V**t, V, generator=generator, dtype=torch.float64) for t in range(L)])


def descend(student: nn.Module, loss: Callable[[nn.Module], Tensor], steps: int, rate: float = 0.1) -> list[float]:
    """Adam on the exact gradient: no text is drawn. The loss before each step."""
    optimizer, path = torch.optim.Adam(student.parameters(), lr=rate), []
    for _ in range(steps):
        value = loss(student)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        path.append(value.item())
    return path


def student_at(stage: str, number: int) -> FiniteStateModel:
    """A fresh bigram; one trained at word level; that one after its first steps on the sequence's reverse KL."""
    student = new_bigram(number)
    if stage != "fresh":
        descend(student, word_loss, steps=40)
    if stage == "committed":
        descend(student, sequence_loss, steps=20)
    return student


# ---- estimators of the gradient -------------------------------------------------------------------------------------


def per_text(
    student: FiniteStateModel, terms: Terms, writer: nn.Module | None = None
) -> tuple[Float[Tensor, "S P"], Float[Tensor, " S"]]:
    """The gradient that each text gives, and how likely it is to be written.

    Every text gets its own copy of the student, so that one backward pass leaves one gradient for each of them.
    """
    copies = student.table.detach().repeat(S, 1, 1).requires_grad_()
    student_logp = copies[torch.arange(S)[:, None], TEXTS.inputs].log_softmax(-1)
    gradients = torch.autograd.grad(terms(student_logp).sum(), copies)[0]
    return gradients.flatten(1), text_probability(writer or student)


@dataclass(frozen=True)
class Measured:
    """One estimator of ∇KL(Q‖P) at one student, in all the values that it can take."""

    gradients: Float[Tensor, "S P"]
    probabilities: Float[Tensor, " S"]
    truth: Float[Tensor, " P"]

    @cached_property
    def moments(self) -> tuple[Float[Tensor, " P"], float]:
        return mean_and_variance(self.gradients, self.probabilities)

    @property
    def bias(self) -> float:
        """‖E g − truth‖ in units of ‖truth‖."""
        return ((self.moments[0] - self.truth).norm() / self.truth.norm()).item()

    @property
    def variance(self) -> float:
        """E‖g − E g‖² for a single text, in units of ‖truth‖²."""
        return self.moments[1] / self.truth.square().sum().item()


def measure(estimator: Estimator, student: FiniteStateModel) -> Measured:
    """All values of an estimator, their probabilities, and the exact gradient that they should average to."""
    return Measured(*per_text(student, *estimator(student)), gradient_of(sequence_loss(student), student))
