"""The toy language of lesson 05: tunes in which a note played twice has consequences, its teacher and its students."""

import torch
from jaxtyping import Float
from torch import Tensor

from kd_lab.classroom.students import teach
from kd_lab.measure import gap_by_pair, pair_reach
from kd_lab.methods import Recipe
from kd_lab.models import FiniteStateModel, generate
from kd_lab.models.exact_models import window_moves
from kd_lab.worlds import Batch, Vocabulary, World

NOTES = Vocabulary(".abc!")
V, L, LOST = len(NOTES), 24, 4
SLIP = 0.05


def tunes(typos: float = 1e-4, forgiving: bool = False) -> FiniteStateModel:
    """The teacher, by states: 0 begins, 1 to 3 have just played a, b or c, and 4 is lost until "!" is written.

    Args:
        typos: the probability of a token drawn at random.
        forgiving: whether a note played twice leaves the text on its road.
    """
    says = torch.zeros(5, V, dtype=torch.float64)
    says[0, 1:4], says[LOST, 4] = 1 / 3, 1.0
    moves = torch.tensor([0, 1, 2, 3, 0]).repeat(5, 1)
    moves[LOST, 1:4] = LOST
    for note in (1, 2, 3):
        says[note, note % 3 + 1], says[note, (note + 1) % 3 + 1] = 0.7, 0.3
        if not forgiving:
            moves[note, note] = LOST
    return FiniteStateModel(((1 - typos) * says + typos / V).log(), moves, context=L)


def world_of(writer: FiniteStateModel, seed: int = 0) -> World:
    """A thousand texts of `writer` to train on, and as many held out."""
    generator = torch.Generator().manual_seed(seed)
    tokens = generate(writer, torch.zeros(2000, 1, dtype=torch.long), L, generator=generator)
    return World("tunes", NOTES, *(Batch.from_tokens(half, end=NOTES.end) for half in tokens.split(1000)))


def new_student(number: int, slip: float = SLIP) -> FiniteStateModel:
    """A student that remembers two tokens; the share `slip` of what it writes is any of the four signs at random."""
    table = torch.randn(V * V, V, generator=torch.Generator().manual_seed(number), dtype=torch.float64)
    return FiniteStateModel(table, window_moves(V, 2), context=L, slip=slip)


def train(
    student: FiniteStateModel, teacher: FiniteStateModel, texts: World, recipe: Recipe, number: int, steps: int = 120
) -> FiniteStateModel:
    """Distil in place, 32 texts per step; `number` is the seed of all that is drawn."""
    options = {"steps": steps, "seed": number, "batch_size": 32, "learning_rate": 0.1}
    return teach(f"tunes {recipe.name}", student, teacher=teacher, world=texts, recipe=recipe, **options).student


def growth(student: FiniteStateModel, teacher: FiniteStateModel) -> tuple[Float[Tensor, " L"], Float[Tensor, " L"]]:
    """The expected KL(p‖q) at each position, on the student's own prefixes and on the teacher's; exact, in nats."""
    gap = gap_by_pair(student, teacher)
    own = pair_reach(student, teacher, L) * gap
    theirs = pair_reach(teacher, student, L) * gap.T
    return own.sum((1, 2)), theirs.sum((1, 2))


def visits(student: FiniteStateModel, teacher: FiniteStateModel) -> Float[Tensor, "S 5"]:
    """The expected number of positions per text of the student at which the two are in each pair of states."""
    return pair_reach(student, teacher, L).sum(0)


def kl_at_forks(student: FiniteStateModel, teacher: FiniteStateModel, weights: Float[Tensor, "S 5"]) -> float:
    """The mean KL(p‖q), weighted by `weights`, at prefixes that end in a note played twice, in nats per position."""
    forks = torch.zeros(V * V, 5, dtype=torch.bool)
    forks[[note * V + note for note in (1, 2, 3)], LOST] = True  # the student sees the note twice, the teacher is lost
    return ((weights * gap_by_pair(student, teacher))[forks].sum() / weights[forks].sum()).item()
