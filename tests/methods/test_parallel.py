"""Two processes against one: the same texts give the same gradients, and all stop together."""

import dataclasses
import importlib
import math
import os
import signal
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torchrun import torchrun

from kd_lab.how import Divergence, NegativeLogLikelihood
from kd_lab.methods import (
    NonFiniteLoss,
    Recipe,
    Term,
    distill,
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
from kd_lab.methods.objective import Objective
from kd_lab.methods.parallel import Ranks, bind_part
from kd_lab.models import GPT, GPTConfig
from kd_lab.what import Heads, Logits, Sequences
from kd_lab.where import Corpus, Mixture, StudentRollouts, TeacherRollouts, TextTeacher
from kd_lab.where.completion import Completion
from kd_lab.worlds import Batch, language

pytestmark = pytest.mark.skipif(not dist.is_available(), reason="this build of torch has no torch.distributed")

SPOKEN = language("echo")
WORLD = SPOKEN.world(rows=64, seed=0)
TWO_TERMS = Recipe(
    "two terms",
    terms=(
        Term(Logits(), Divergence("jsd"), Corpus()),
        Term(Sequences(), NegativeLogLikelihood(), Corpus(), weight=0.5),
    ),
)
HEADS = Recipe("heads", Heads(), Divergence(), Corpus())
QUIET = {"progress": False, "batch_size": 8}


def gpt(width: int = 16, seed: int = 0) -> GPT:
    shape = {"vocab_size": len(SPOKEN.vocabulary), "context": WORLD.context, "layers": 2, "heads": 2}
    return GPT(GPTConfig(**shape, width=width), seed=seed)


def train(recipe: Recipe, student: nn.Module | None = None, **options):
    student = student or gpt()
    return distill(student, gpt(24, seed=1), WORLD, recipe, **{"steps": 3} | QUIET | options)


def weights(student: nn.Module) -> list[torch.Tensor]:
    return [getattr(p, "full_tensor", lambda p=p: p)().detach().clone() for p in student.parameters()]


# ---- two processes run the functions below, one after another, and send back what they return ------------------------


def _process(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    if sys.platform == "linux":  # elsewhere this machine has another name for itself
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    answers = {name: function(rank, *arguments, folder) for name, (function, *arguments) in JOBS.items()}
    torch.save(answers, Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def answers(tmp_path_factory) -> dict[str, tuple]:
    """The name of a job → its value on rank 0 and on rank 1. All run in one pair of processes, which start slowly."""
    folder = tmp_path_factory.mktemp("two")
    if (here := str(Path(__file__).parent)) not in sys.path:
        sys.path.append(here)  # the processes import this file by its name
    mp.spawn(importlib.import_module("test_parallel")._process, (str(folder),), nprocs=2)
    ranks = [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in (0, 1)]
    return {name: tuple(rank[name] for rank in ranks) for name in JOBS}


def trained(rank: int, recipe: Recipe, options: dict, folder: str = ""):
    result = train(recipe, gpt(seed=rank * 5), **options)
    return weights(result.student), result.history


@pytest.mark.parametrize("recipe", [word_level(), fitnets(), TWO_TERMS], ids=lambda recipe: recipe.name)
def test_two_processes_are_one_with_the_same_texts(recipe, answers):
    """Texts of unequal length, so that a mean of the ranks' means would be another loss."""
    alone = train(recipe)
    for got, history in answers[recipe.name]:
        for ours, expected in zip(got, weights(alone.student), strict=True):
            torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-6)
        for name in ("loss", "tokens", "gradient_norm"):
            assert history[name] == pytest.approx(alone.history[name], rel=1e-5)


RECIPES = {
    "labels only": labels_only(),
    "Hinton": hinton(),
    "word level": word_level("skew_kl"),
    "samples": sequence_level(size=32),
    "on-policy": on_policy(),
    "GKD": gkd(on_policy_fraction=0.5),
    "GKD on the student's texts": gkd(on_policy_fraction=1.0),
    "MiniLLM": minillm(),
    "plain policy gradient": minillm(single_step=False, importance="sequence"),
    "FitNets": fitnets(),
    "RKD": rkd(),
}


def gradients_of_a_step(rank: int, recipe: Recipe, folder: str):
    """Of the student in fp64, and the texts on which this process made its share of them."""
    student, texts, draw = gpt().double(), [], Objective.draw
    Objective.draw = lambda *arguments: texts.extend(draw(*arguments)) or texts
    try:
        distill(student, gpt(24, seed=1).double(), WORLD, recipe, steps=1, clip=math.inf, **QUIET)
    finally:
        Objective.draw = draw
    return [p.grad for p in student.parameters()], *texts


@pytest.mark.parametrize("name", RECIPES)
def test_the_gradient_of_two_processes_is_that_of_one_which_reads_the_texts_of_both(name, answers):
    """For relations, which are those within a process, in two parts."""
    (ours, texts), (theirs, others) = answers[f"a step of {name}"]
    assert len(texts) == len(others) == 4
    assert not torch.equal(texts.tokens, others.tokens)
    fields = [(getattr(texts, name), getattr(others, name)) for name in ("tokens", "mask", "drawn_logp")]
    batch = Batch(*(None if pair[0] is None else torch.cat(pair) for pair in fields))
    assert not batch.mask.all()  # of unequal length, so that a mean of the processes' means would be another loss
    student, teacher = gpt().double(), gpt(24, seed=1).double()
    alone = Objective.bind(RECIPES[name], student, teacher, WORLD, 0, Ranks(), parts=2 if name == "RKD" else 1)
    for loss in alone.losses([batch], [batch.counted()]):
        loss.backward()
    for own, other, parameter in zip(ours, theirs, student.parameters(), strict=True):
        torch.testing.assert_close(own, parameter.grad, rtol=1e-6, atol=1e-9)
        assert torch.equal(own, other)


def sharded_gpt(width: int = 16, seed: int = 0) -> GPT:
    from torch.distributed.fsdp import fully_shard

    model = gpt(width, seed)
    for block in model.blocks:
        fully_shard(block)
    fully_shard(model)
    return model


def sharded(rank: int, recipe: Recipe, options: dict, folder: str = ""):
    student = sharded_gpt()
    result = train(recipe, student, **options)
    return weights(student), result.history


@pytest.mark.parametrize("recipe", ["sharded", "sharded heads"])
def test_a_sharded_student_is_trained_as_it_is(recipe, answers):
    """Also by its factors, which are read beside `forward`."""
    alone = train(word_level())
    for got, history in answers[recipe]:
        for ours, expected in zip(got, weights(alone.student), strict=True):
            torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)
        assert history["gradient_norm"] == pytest.approx(alone.history["gradient_norm"], rel=1e-5)


def resumed(rank: int, setting: str, folder: str):
    train_one = {"whole": trained_alike, "sharded": sharded}[setting]
    recipe, options = Recipe("own", Logits(), Divergence(), Mixture(0.5)), {"steps": 6}
    straight, _ = train_one(rank, recipe, options)

    def stop(student):
        raise KeyboardInterrupt

    options |= {"checkpoint": f"{folder}/{setting}", "checkpoint_every": 2}
    train_one(rank, recipe, options | {"evaluate": stop, "evaluate_every": 5})
    again, history = train_one(rank, recipe, options)
    assert history["step"].tolist() == [1, 2, 3, 4, 5, 6]
    return straight, again


def trained_alike(rank: int, recipe: Recipe, options: dict):
    return trained(0, recipe, options)


@pytest.mark.parametrize("setting", ["whole", "sharded"])
def test_a_run_on_two_processes_goes_on_bit_for_bit(setting, answers):
    for straight, again in answers[f"resumed {setting}"]:
        assert all(torch.equal(a, b) for a, b in zip(straight, again, strict=True))


def interrupted_on_one(rank: int, way: str, folder: str):
    def press(student):
        if rank == 1:
            if way == "signal":
                signal.raise_signal(signal.SIGINT)
            else:
                raise KeyboardInterrupt
        return 0.0

    before = signal.getsignal(signal.SIGINT)  # a shell's job in the background was started to ignore it
    result = train(on_policy(), steps=9, evaluate=press, evaluate_every=2)
    return result.interrupted, result.history["step"].tolist(), signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("way", ["signal", "callback"])
def test_an_interrupt_on_one_process_stops_both(way, answers):
    assert answers[f"interrupted by {way}"] == ((True, [1, 2], True),) * 2


def failed_on_one(rank: int, setting: str, folder: str):
    """`evaluate` fails on the second process alone, after the third step."""

    def fail(student):
        if rank == 1:
            raise LookupError("on one")
        return 0.0

    folder, train_one = f"{folder}/failed {setting}", {"whole": trained_alike, "sharded": sharded}[setting]
    options = {"steps": 4, "checkpoint": folder, "checkpoint_every": 100}
    with pytest.raises(LookupError if rank == 1 else RuntimeError) as caught:
        train_one(rank, word_level(), options | {"evaluate": fail, "evaluate_every": 3})
    _, history = train_one(rank, word_level(), options)
    return str(caught.value), history["step"].tolist(), Path(folder).exists()


@pytest.mark.parametrize("setting", ["whole", "sharded"])
def test_a_callback_that_fails_on_one_process_stops_both_after_a_checkpoint(setting, answers):
    said, steps, exists = zip(*answers[f"failed on one, {setting}"], strict=True)
    assert said == ("evaluate or on_step failed on another process after step 3", "on one")
    assert steps == ([1, 2, 3, 4],) * 2
    assert exists == (True, True)


@dataclasses.dataclass(frozen=True)
class NaNOnOne(Divergence):
    rank: int = 0

    def __call__(self, student, teacher, batch, normalizer=None):
        loss = super().__call__(student, teacher, batch, normalizer)
        return loss * float("nan") if self.rank == 1 else loss


def broken_on_one(rank: int, folder: str):
    student = gpt()
    with pytest.raises(NonFiniteLoss, match="stopped at step 1"):
        train(Recipe("broken", Logits(), NaNOnOne(rank=rank), Corpus()), student)
    return weights(student)


def test_a_nan_on_one_process_stops_both_before_the_step(answers):
    for got in answers["broken"]:
        assert all(torch.equal(a, b) for a, b in zip(got, weights(gpt()), strict=True))


@dataclasses.dataclass(frozen=True)
class Unseeded(TextTeacher):
    """A server that takes no seed: each process that asks it gets texts of its own. It keeps what it was asked."""

    rank: int = 0
    asked: list[str] = dataclasses.field(default_factory=list)

    def completions(self, prompts, max_tokens, temperature=1.0, seed=None):
        self.asked.extend(prompts)
        chance = torch.Generator().manual_seed(self.rank)
        letters = WORLD.vocabulary.symbols[1:]
        chosen = torch.randint(len(letters), (len(prompts), 3), generator=chance).tolist()
        return [Completion("".join(letters[i] for i in row), True) for row in chosen]


def text_teacher(rank: int) -> Unseeded:
    return Unseeded("http://127.0.0.1:8000/v1", rank=rank)


def taught_by_text(rank: int, folder: str):
    teacher = text_teacher(rank)
    source = bind_part(TeacherRollouts(size=16), WORLD, gpt(), teacher, 0, Ranks.here())
    return len(teacher.asked), [source(4).tokens for _ in range(3)]


def test_one_process_asks_for_the_teachers_texts_and_all_have_them(answers):
    (asked, ours), (asked_too, theirs) = answers["taught by text"]
    assert (asked, asked_too) == (16, 0)
    alone = bind_part(TeacherRollouts(size=16), WORLD, gpt(), text_teacher(0), 0, Ranks())
    for parts in zip(ours, theirs, strict=True):
        assert torch.equal(torch.stack(parts, 1).flatten(0, 1), alone(8).tokens)


def taught_by_sharded(rank: int, folder: str):
    teacher = sharded_gpt(24, seed=1)
    return bind_part(TeacherRollouts(size=16), WORLD, gpt(), teacher, 0, Ranks.here())(4).tokens


def test_a_sharded_teacher_writes_whole(answers):
    alone = bind_part(TeacherRollouts(size=16), WORLD, gpt(), gpt(24, seed=1), 0, Ranks())(8).tokens
    assert torch.equal(torch.stack(answers["taught by sharded"], 1).flatten(0, 1), alone)


def written_with(rank: int, sharded: bool, folder: str):
    """One text per batch, so that the ranks' texts end at different steps."""
    teacher = sharded_gpt(24, seed=1) if sharded else gpt(24, seed=1)
    source = bind_part(StudentRollouts(teacher_mix=0.5), WORLD, gpt(), teacher, 0, Ranks.here())
    return [source(1) for _ in range(8)]


def test_a_sharded_teacher_has_a_hand_in_the_students_texts(answers):
    for ours, wanted in zip(answers["written with sharded"], answers["written with whole"], strict=True):
        for text, expected in zip(ours, wanted, strict=True):
            assert torch.equal(text.tokens, expected.tokens)
            torch.testing.assert_close(text.drawn_logp, expected.drawn_logp)
    lengths = [[int(text.mask.sum()) for text in texts] for texts in answers["written with whole"]]
    assert any(one != other for one, other in zip(*lengths, strict=True)), "no rank would have waited for another"


def failed_on_first(rank: int, folder: str):
    def fail(error: BaseException):
        raise error

    found = []
    for error in (ConnectionError("no answer"), KeyboardInterrupt()):
        with pytest.raises(BaseException) as caught:  # noqa: PT011 — which, and what it says, is the answer
            Ranks.here().from_first(lambda error=error: fail(error), torch.device("cpu"))
        found.append((caught.type.__name__, str(caught.value)))
    return found


def test_a_teacher_that_fails_on_one_process_stops_both(answers):
    first, other = answers["failed on first"]
    assert first == [("ConnectionError", "no answer"), ("KeyboardInterrupt", "")]
    assert other == [("RuntimeError", "rank 0 failed with ConnectionError: no answer"), ("KeyboardInterrupt", "")]


def broken_on_one_of_two_parts(rank: int, folder: str):
    teacher = gpt(24, seed=1)
    if rank == 1:
        with torch.no_grad():
            teacher.norm.weight[0] = float("nan")
    with pytest.raises(NonFiniteLoss, match="teacher's output is NaN"):
        distill(sharded_gpt(), teacher, WORLD, word_level(), accumulate=2, steps=1, **QUIET)
    return True


def test_the_reason_of_one_process_is_told_on_both(answers):
    """The process that found it left the other in the next part, which a sharded student is read in together."""
    assert answers["broken on one of two parts"] == (True, True)


def refused(rank: int, folder: str):
    with pytest.raises(ValueError, match="batch_size is 7 for 2 processes"):
        train(word_level(), batch_size=7)
    return True


def test_a_batch_must_be_shared_out_evenly(answers):
    assert answers["refused"] == (True, True)


def with_a_folder_each(rank: int, folder: str):
    options = {"checkpoint": f"{folder}/of rank {rank}", "checkpoint_every": 2, "steps": 2}
    train(word_level(), **options)
    with pytest.raises(ValueError, match=rf"holds {2 * (rank == 0)} steps for process {rank}.*all processes share"):
        train(word_level(), **options)
    return True


def test_a_checkpoint_that_one_process_does_not_find_stops_both(answers):
    """On two machines without a shared disk the one would go on from its step and the other begin anew."""
    assert answers["a folder each"] == (True, True)


def test_a_script_like_the_docstrings_runs_under_torchrun(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(
        "import torch\n"
        "from kd_lab.methods import distill, gkd\n"
        "from test_parallel import WORLD, gpt\n"
        "torch.distributed.init_process_group('gloo')\n"
        "result = distill(gpt(), gpt(24), WORLD, gkd(), steps=2, batch_size=8)\n"
        "rank = torch.distributed.get_rank()\n"
        f"open(f'{tmp_path}/{{rank}}.txt', 'w').write(str(result.history['loss'][-1]))\n"
        "torch.distributed.destroy_process_group()\n",
        encoding="utf-8",
    )
    done = torchrun(str(script), PYTHONPATH=os.pathsep.join([str(Path(__file__).parent), *sys.path]))
    # the return code is left alone: gloo may abort a process that has nothing left to do while it takes itself apart
    # not stdout, where two processes interleave
    losses = [path.read_text(encoding="utf-8") for path in sorted(tmp_path.glob("?.txt"))]
    assert len(losses) == 2, done.stderr
    assert losses[0] == losses[1]


JOBS = {
    **{recipe.name: (trained, recipe, {"accumulate": 2}) for recipe in (word_level(), fitnets(), TWO_TERMS)},
    **{f"a step of {name}": (gradients_of_a_step, recipe) for name, recipe in RECIPES.items()},
    "sharded": (sharded, word_level(), {}),
    "sharded heads": (sharded, HEADS, {}),
    "resumed whole": (resumed, "whole"),
    "resumed sharded": (resumed, "sharded"),
    "interrupted by signal": (interrupted_on_one, "signal"),
    "interrupted by callback": (interrupted_on_one, "callback"),
    "failed on one, whole": (failed_on_one, "whole"),
    "failed on one, sharded": (failed_on_one, "sharded"),
    "broken": (broken_on_one,),
    "refused": (refused,),
    "taught by text": (taught_by_text,),
    "taught by sharded": (taught_by_sharded,),
    "written with whole": (written_with, False),
    "written with sharded": (written_with, True),
    "failed on first": (failed_on_first,),
    "a folder each": (with_a_folder_each,),
    "broken on one of two parts": (broken_on_one_of_two_parts,),  # the last, so that a failure leaves nobody waiting
}


# ---- one process -----------------------------------------------------------------------------------------------------


def test_one_process_talks_to_nobody():
    assert Ranks.here() == Ranks(0, 1)
    value = torch.ones(3)
    assert Ranks().sum(value) is value
    assert Ranks().gather("x") == ["x"]


def test_texts_that_others_wrote_are_shared_out_row_by_row():
    bound = (WORLD, gpt(), None, 0)
    parts = [bind_part(Corpus(), *bound, Ranks(rank, 3))(2).tokens for rank in range(3)]
    assert torch.equal(torch.stack(parts, 1).flatten(0, 1), bind_part(Corpus(), *bound, Ranks())(6).tokens)


class Pretended(Ranks):
    """One of several ranks without the others: what rank 0 would send, it makes."""

    def from_first(self, make, device):
        return make()


@pytest.mark.parametrize("otherwise", [Corpus(), TeacherRollouts(size=32)], ids=str)
def test_one_coin_for_all_decides_who_writes_the_whole_batch(otherwise):
    """A batch is every rank's share of the batch of one process, or written by the student on every rank."""
    where, bound = Mixture(0.5, otherwise), (WORLD, gpt(), gpt(24, seed=1), 0)
    ranks = [bind_part(where, *bound, Pretended(rank, 2)) for rank in range(2)]
    alone, kinds = bind_part(where, *bound, Ranks()), set()
    for _ in range(8):
        parts, whole = [rank(2).tokens for rank in ranks], alone(4).tokens
        given = torch.equal(torch.stack(parts, 1).flatten(0, 1), whole)
        assert given or not any(torch.equal(part, whole[rank::2]) for rank, part in enumerate(parts))
        kinds.add(given)
    assert kinds == {True, False}
