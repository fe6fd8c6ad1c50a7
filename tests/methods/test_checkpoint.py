"""A run that is killed goes on to the same weights, bit for bit."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest
import torch

from kd_lab.how import Divergence, NegativeLogLikelihood
from kd_lab.methods import Recipe, Term, distill, fitnets, minillm, rkd, sequence_level, word_level
from kd_lab.models import GPT, GPTConfig
from kd_lab.what import Logits, Sequences
from kd_lab.where import Corpus, Mixture, StudentRollouts, TeacherRollouts, TextTeacher
from kd_lab.worlds import language

SPOKEN = language("echo")
WORLD = SPOKEN.world(rows=64, seed=0)

MIXED = Recipe(
    "mixed",
    terms=(
        Term(Logits(), Divergence(), Mixture(0.5, otherwise=TeacherRollouts(size=32))),
        Term(Sequences(), NegativeLogLikelihood(), Corpus(), weight=0.5),
    ),
)


def gpt(width: int = 16, seed: int = 0, dropout: float = 0.0) -> GPT:
    shape = {"vocab_size": len(SPOKEN.vocabulary), "context": WORLD.context, "layers": 1, "heads": 2}
    return GPT(GPTConfig(**shape, width=width, dropout=dropout), seed=seed)


def run(recipe: Recipe, folder: Path | None, **options):
    student = gpt(dropout=0.2)
    settings = {"steps": 9, "batch_size": 8, "checkpoint_every": 2, "progress": False} | options
    result = distill(student, gpt(24, seed=1), WORLD, recipe, checkpoint=folder, **settings)
    return result, list(student.parameters())


def assert_same_weights(ours, theirs):
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("recipe", [word_level(), fitnets(), minillm(), MIXED], ids=lambda recipe: recipe.name)
def test_a_run_cut_short_goes_on_to_the_same_weights(recipe, tmp_path):
    whole, weights = run(recipe, None)

    def stop(row):
        if row["step"] == 5:
            raise KeyboardInterrupt

    first, _ = run(recipe, tmp_path, on_step=stop)
    assert first.interrupted
    torch.rand(3)  # the global stream of chance is nobody's
    second, resumed = run(recipe, tmp_path)
    assert_same_weights(resumed, weights)
    for name, column in whole.history.items():
        if name != "seconds":
            assert column.dtype == second.history[name].dtype
            assert ((column == second.history[name]) | (column != column)).all()
    assert (second.history["seconds"][1:] > second.history["seconds"][:-1]).all()


def test_a_finished_run_is_read_and_not_trained_again(tmp_path):
    whole, weights = run(word_level(), tmp_path)
    rows = []
    again, read = run(word_level(), tmp_path, on_step=rows.append)
    assert rows == []
    assert_same_weights(read, weights)
    assert again.history["loss"].tolist() == whole.history["loss"].tolist()


def test_a_process_killed_at_any_moment_leaves_a_file_to_go_on_from(tmp_path):
    """Killed with −9 while it trains and writes, several times, until it is through."""
    program = """
import sys
sys.path.insert(0, sys.argv[1])
import test_checkpoint as test
print("ready", flush=True)
test.run(test.MIXED, sys.argv[2], checkpoint_every=1, steps=60, on_step=lambda row: print(row["step"], flush=True))
"""
    arguments = [sys.executable, "-c", program, str(Path(__file__).parent), str(tmp_path)]
    seen = 0
    for kill_after in (3, 11, 20):
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=os.environ) as process:
            assert process.stdout.readline() == "ready\n"
            for line in process.stdout:
                seen = max(seen, int(line))
                if seen >= kill_after:
                    process.kill()
                    break
            process.wait()
    assert seen >= 20
    steps = []
    _, resumed = run(MIXED, tmp_path, checkpoint_every=1, steps=60, on_step=lambda row: steps.append(row["step"]))
    assert steps[0] >= 20
    _, weights = run(MIXED, None, steps=60)
    assert_same_weights(resumed, weights)
    assert [file.name for file in tmp_path.iterdir()] == ["run.safetensors"]


def test_what_a_killed_write_left_is_cleared_away(tmp_path):
    left = tmp_path / ".run.safetensors-abc"
    left.mkdir()
    (left / "run.safetensors").write_bytes(b"half")
    run(word_level(), tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["run.safetensors"]


def test_another_run_is_not_gone_on_with(tmp_path):
    run(word_level(), tmp_path)
    with pytest.raises(ValueError, match=r"holds a run with {'seed': 0}, and this one has {'seed': 1}"):
        run(word_level(), tmp_path, seed=1)
    with pytest.raises(ValueError, match=r"'recipe': \"Recipe\(name='MiniLLM"):
        run(minillm(), tmp_path)
    (tmp_path / "run.safetensors").write_bytes(b"no such thing")
    with pytest.raises(ValueError, match=r"cannot be read .*delete it"):
        run(word_level(), tmp_path)


def of(what=None, how=None, where=None) -> Recipe:
    return Recipe("one", what or Logits(), how or Divergence(), where or Corpus())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (minillm(), minillm(single_step=False)),
        (minillm(), minillm(length_norm=False)),
        (minillm(), minillm(importance="sequence")),
        (fitnets(), fitnets(teacher_layer=0)),
        (rkd(), rkd(distance_weight=1.0)),
        (of(where=TeacherRollouts(size=32)), of(where=TeacherRollouts(size=16))),
        (of(where=Mixture(0.5)), of(where=Mixture(0.5, otherwise=TeacherRollouts(size=32)))),
        (of(where=Mixture(0.5)), of(where=Mixture(0.5, temperature=0.5))),
        (of(where=StudentRollouts()), of(where=StudentRollouts(temperature=0.5))),
        (of(how=Divergence(temperature=2.0)), of(how=Divergence(temperature=2.0 + 1e-9))),
    ],
    ids=repr,
)
def test_an_option_that_the_name_of_a_recipe_leaves_out_makes_another_run(one, other, tmp_path):
    run(one, tmp_path, steps=1)
    with pytest.raises(ValueError, match=r"holds a run with {'recipe': .*, and this one has {'recipe': "):
        run(other, tmp_path, steps=1)
    run(one, tmp_path, steps=1)


SAID = r"{'world': 'echo, 64 texts \((\w{16})\)'}"
ANOTHER_WORLD = f"holds a run with {SAID}, and this one has {SAID}"


def test_other_texts_make_another_run(tmp_path):
    run(word_level(), tmp_path, steps=1)
    other = SPOKEN.world(rows=64, seed=1)
    with pytest.raises(ValueError, match=ANOTHER_WORLD) as caught:
        distill(gpt(), gpt(24, seed=1), other, word_level(), steps=1, batch_size=8, checkpoint=tmp_path)
    there, here = re.search(ANOTHER_WORLD, str(caught.value)).groups()
    assert there != here  # or the message would name no difference


def test_one_other_text_in_the_middle_makes_another_run(tmp_path):
    many = SPOKEN.world(rows=300, seed=0)
    tokens = many.train.tokens.clone()
    tokens[150] = tokens[(tokens != tokens[150]).any(-1).nonzero()[0, 0]]
    other = replace(many, train=replace(many.train, tokens=tokens))
    settings = {"steps": 1, "batch_size": 8, "checkpoint": tmp_path, "progress": False}
    distill(gpt(), gpt(24, seed=1), many, word_level(), **settings)
    with pytest.raises(ValueError, match=r"holds a run with .*echo, 300 texts"):
        distill(gpt(), gpt(24, seed=1), other, word_level(), **settings)


def test_other_weights_of_the_same_texts_make_another_run(tmp_path):
    """The texts of `surnames()` are those of `surnames(weighted=True)`, under one name."""

    def go_on(world):
        distill(gpt(), gpt(24, seed=1), world, word_level(), steps=1, batch_size=8, checkpoint=folder, progress=False)

    chance = torch.Generator().manual_seed(0)
    weighted = [replace(WORLD, weights=torch.rand(64, generator=chance)) for _ in range(2)]
    for i, world in enumerate((WORLD, *weighted)):
        folder = tmp_path / str(i)
        go_on(world)
        go_on(replace(world))
        for other in (WORLD, *weighted):
            if other is not world:
                with pytest.raises(ValueError, match=ANOTHER_WORLD):
                    go_on(other)


def test_a_recipe_that_cannot_be_told_from_another_is_refused(tmp_path):
    @dataclass(frozen=True)
    class Drawn(Divergence):
        chance: torch.Generator | None = None

    recipe = of(how=Drawn(chance=torch.Generator()))
    with pytest.raises(ValueError, match="cannot tell one from another recipe: a Generator has no stable hash"):
        run(recipe, tmp_path)
    run(recipe, None, steps=1)


def test_schedules_are_told_apart_by_their_factors(tmp_path):
    def falling(rate: float):
        return lambda step, steps: rate**step

    run(word_level(), tmp_path, steps=4, schedule=falling(0.5))
    for other in (falling(0.25), partial(pow_of, 0.25)):
        with pytest.raises(ValueError, match=r"'schedule': '0.5, .*0.0625 \(.*'schedule': '0.25, "):
            run(word_level(), tmp_path, steps=4, schedule=other)
    run(word_level(), tmp_path, steps=4, schedule=partial(pow_of, 0.5))  # the same numbers by another function


def pow_of(rate: float, step: int, steps: int) -> float:
    return rate**step


def test_a_file_of_an_earlier_version_says_so(tmp_path):
    run(word_level(), tmp_path)
    file = tmp_path / "run.safetensors"
    file.write_bytes(file.read_bytes().replace(b"training run 2", b"training run 1"))
    with pytest.raises(ValueError, match=r"is of an earlier version.*delete the file"):
        run(word_level(), tmp_path)


def test_a_name_that_no_folder_can_have_is_refused(tmp_path):
    (tmp_path / "file").touch()
    for name in ("", "a\0b", tmp_path / "file"):
        with pytest.raises(ValueError, match=r"checkpoint is .*; expected the name of a folder"):
            run(word_level(), name)


class Paid(TextTeacher):
    def completions(self, prompts, max_tokens, temperature=1.0, seed=None):
        raise AssertionError("asked before it was known that the run can be kept")


@pytest.mark.parametrize("folder", ["file/below", "full"])
def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_paid_for(folder, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    if folder == "full":
        monkeypatch.setattr("kd_lab.methods.checkpoint.TemporaryFile", full_disk)
    teacher = Paid("http://127.0.0.1:8000/v1")
    with pytest.raises(ValueError, match=r"where no file can be written \(.*; expected a folder of your own"):
        distill(gpt(), teacher, WORLD, sequence_level(decode="sample"), checkpoint=tmp_path / folder, progress=False)


def test_a_folder_of_another_run_is_refused_before_anything_is_paid_for(tmp_path):
    run(word_level(), tmp_path)
    with pytest.raises(ValueError, match="holds a run with"):
        distill(gpt(), Paid("http://127.0.0.1:8000/v1"), WORLD, sequence_level(decode="sample"), checkpoint=tmp_path)


def full_disk(**_):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("callback", ["evaluate", "on_step"])
def test_a_callback_that_fails_loses_no_step(callback, tmp_path):
    """The state is that after its step; the same call with a callback that works evaluates what is missing."""

    def fail(_):
        if (file := tmp_path / "now").exists():
            raise OSError("no such evaluation")
        file.touch()
        return 1.0

    every = {"evaluate_every": 3, "checkpoint_every": 100}
    whole, weights = run(word_level(), None, evaluate=lambda _: 1.0, **every)
    given = {"evaluate": lambda _: 1.0} | {callback: fail}
    with pytest.raises(OSError, match="no such evaluation"):
        run(word_level(), tmp_path, **given, **every)
    steps = []
    second, resumed = run(word_level(), tmp_path, evaluate=lambda _: 1.0, on_step=steps.append, **every)
    assert [row["step"] for row in steps] == list(range(6 if callback == "evaluate" else 3, 10))
    assert_same_weights(resumed, weights)
    for name in ("loss", "evaluation"):
        torch.testing.assert_close(*(torch.tensor(one.history[name]) for one in (second, whole)), equal_nan=True)
