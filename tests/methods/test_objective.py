"""A bound recipe: sources that terms share, summands that add up, and the reason of a loss that is not finite."""

import pytest
import torch

from kd_lab.how import Divergence, NegativeLogLikelihood
from kd_lab.methods import Recipe, Term, fitnets
from kd_lab.methods.objective import Objective
from kd_lab.methods.parallel import Ranks
from kd_lab.models import GPT, GPTConfig
from kd_lab.what import Logits, Sequences
from kd_lab.where import Corpus, StudentRollouts
from kd_lab.worlds import language

SPOKEN = language("echo")
WORLD = SPOKEN.world(rows=64, seed=0)
CPU = torch.device("cpu")
THREE = Recipe(
    "three",
    terms=(
        Term(Logits(), Divergence(), Corpus()),
        Term(Logits(), Divergence("reverse_kl"), StudentRollouts(), weight=2.0),
        Term(Sequences(), NegativeLogLikelihood(), Corpus(), weight=0.5),
    ),
)


def gpt(seed: int) -> GPT:
    shape = {"vocab_size": len(SPOKEN.vocabulary), "context": WORLD.context, "layers": 1, "heads": 2, "width": 16}
    return GPT(GPTConfig(**shape), seed=seed)


def bind(recipe: Recipe, student: GPT, teacher: GPT, **options) -> Objective:
    return Objective.bind(recipe, student, teacher, WORLD, 0, Ranks(), **options)


def test_terms_that_name_the_same_where_share_a_source():
    objective = bind(THREE, gpt(0), gpt(1))
    assert [bound.source for bound in objective.terms] == [0, 1, 0]
    assert [len(batch) for batch in objective.draw(8, CPU)] == [8, 8]
    assert len(objective.chance) == 3  # the corpus, the prompts and the student's writing


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_the_summands_are_the_weighted_losses_of_whole_batches(parts):
    student, teacher = gpt(0).double(), gpt(1).double()
    objective = bind(THREE, student, teacher, parts=parts)
    batches = objective.draw(7, CPU)
    counts = [int(batch.mask.sum()) for batch in batches]
    got = sum(objective.losses(batches, counts))
    expected = 0
    for term, batch in zip(THREE.terms, (batches[0], batches[1], batches[0]), strict=True):
        expected += term.weight * term.how(*term.what.bind(student, teacher, 0).read(batch), batch)
    torch.testing.assert_close(got, expected)


def test_what_is_learned_beside_the_student_is_found():
    (projector,) = bind(fitnets(), gpt(0), gpt(1)).parameters
    assert projector.requires_grad


def test_the_first_term_that_is_not_finite_gives_the_reason():
    broken = gpt(1)
    with torch.no_grad():
        broken.norm.weight[0] = float("nan")
    for student, teacher, reason in ((broken, gpt(0), "student's own output is NaN"), (gpt(0), broken, "teacher's")):
        objective = bind(Recipe("one", Logits(), Divergence(), Corpus()), student, teacher)
        assert reason in objective.diagnosis(objective.draw(4, CPU))
    objective = bind(THREE, gpt(0), gpt(1))
    assert "outputs are finite" in objective.diagnosis(objective.draw(4, CPU))


def test_every_part_is_read_for_the_reason_also_after_one_that_gives_it():
    """Parts of a sharded student are read by all ranks together, and on another rank the reason may not be there."""
    broken, teacher, reads = gpt(1), gpt(0), []
    with torch.no_grad():
        broken.norm.weight[0] = float("nan")
    teacher.register_forward_hook(lambda *call: reads.append(len(call[2])))
    objective = bind(Recipe("one", Logits(), Divergence(), Corpus()), broken, teacher, parts=3)
    assert "student's own output is NaN" in objective.diagnosis(objective.draw(7, CPU))
    assert reads == [2, 2, 3]


@pytest.mark.parametrize(("texts", "parts", "lengths"), [(9, 6, [1, 2, 1, 2, 1, 2]), (7, 3, [2, 2, 3]), (2, 3, [1, 1])])
def test_a_batch_is_read_in_as_many_parts_as_were_asked_for_and_they_are_alike(texts, parts, lengths):
    """Of 7 texts in 3 parts none is of one text, which has no relation to another (RKD)."""
    student, teacher, reads = gpt(0), gpt(1), []
    teacher.register_forward_hook(lambda *call: reads.append(len(call[2])))
    objective = bind(Recipe("one", Logits(), Divergence(), Corpus()), student, teacher, parts=parts)
    batches = objective.draw(texts, CPU)
    losses = list(objective.losses(batches, [int(batches[0].mask.sum())]))
    assert reads == lengths
    assert len(losses) == len(lengths)
