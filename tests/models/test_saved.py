"""Files of weights: what is written is read back, what is damaged says so, what was trained is trained once."""

import json
import os
import signal
import sys
from contextlib import nullcontext, suppress
from dataclasses import asdict
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save, save_file

from kd_lab.methods import distill, labels_only
from kd_lab.models import GPT, GPTConfig, files, load_model, load_teacher, save_model, trained
from kd_lab.models.files import cache_folder, write_file
from kd_lab.models.saved import checksum, facts, sealed
from kd_lab.worlds import surnames

SHAPE = GPTConfig(vocab_size=5, context=4, layers=1, heads=1, width=8)


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "model.safetensors"
    save_model(GPT(SHAPE, seed=3), path, facts={"bits": 2.5})
    return path


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KD_LAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_a_model_comes_back_as_it_went(saved):
    back = load_model(saved)
    assert back.config == SHAPE
    assert same(back, GPT(SHAPE, seed=3))
    assert not back.training
    assert facts(saved) == {"bits": 2.5}
    assert [file.name for file in saved.parent.iterdir()] == [saved.name]  # nothing half-written lies about


def test_half_precision_is_half_the_file_and_loads_as_float32(saved, tmp_path):
    half = tmp_path / "half.safetensors"
    save_model(GPT(SHAPE, seed=3), half, dtype=torch.float16)
    back = load_model(half)
    assert back.head.dtype == torch.float32
    torch.testing.assert_close(back.head, GPT(SHAPE, seed=3).head, rtol=1e-3, atol=1e-4)
    assert half.stat().st_size < 0.75 * saved.stat().st_size


def test_a_truncated_file_is_damaged(saved):
    saved.write_bytes(saved.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"is damaged or no safetensors file .* delete it"):
        load_model(saved)


def test_a_flipped_bit_is_damage(saved):
    content = bytearray(saved.read_bytes())
    content[-50] ^= 1
    saved.write_bytes(content)
    with pytest.raises(ValueError, match="does not have the checksum"):
        load_model(saved)


def test_a_changed_description_is_damage(saved):
    """The config decides what the weights mean: a file with another dropout has the same weights."""
    content = saved.read_bytes()
    assert content.count(b"0.0") == 1  # the dropout
    saved.write_bytes(content.replace(b"0.0", b"0.5"))
    with pytest.raises(ValueError, match="does not have the checksum"):
        load_model(saved)


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff" * 64])
def test_another_kind_of_file_is_refused(saved, content):
    saved.write_bytes(content)
    with pytest.raises(ValueError, match="damaged or no safetensors file"):
        load_model(saved)


def test_a_safetensors_file_of_somebody_else_is_refused(tmp_path):
    save_file({"weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="checksum"):
        load_model(tmp_path / "other.safetensors")


def test_weights_of_another_shape_are_named(saved):
    from safetensors import safe_open

    with safe_open(saved, "pt") as file:
        config = json.loads(file.metadata()["config"])
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(weights, saved, metadata=sealed(weights, {"config": config | {"context": 6}}))
    with pytest.raises(ValueError, match=r"positions.weight has shape \(4, 8\); expected \(6, 8\)"):
        load_model(saved)
    huge = {"config": config | {"context": 10**15}}  # no machine has room for a model of this shape
    save_file(weights, saved, metadata=sealed(weights, huge))
    with pytest.raises(ValueError, match=r"does not fit the shape that it names: 864 numbers came; expected 8,000,"):
        load_model(saved)
    save_file(weights, saved, metadata=sealed(weights, {"config": {"depth": 3}}))
    with pytest.raises(ValueError, match="names no shape of a GPT"):
        load_model(saved)


def test_a_missing_file_or_folder_is_named(tmp_path):
    with pytest.raises(ValueError, match="there is no model file at"):
        load_model(tmp_path / "none.safetensors")
    with pytest.raises(ValueError, match="there is no folder"):
        save_model(GPT(SHAPE), tmp_path / "none" / "model.safetensors")


def test_an_unknown_teacher_is_told_who_ships():
    with pytest.raises(ValueError, match=r"no teacher called 'nobody'.*'surnames'"):
        load_teacher("nobody")


def lesson(steps=1, key="data"):
    """A model whose training says so, and which is counted by what it says: a list of runs would be part of its key."""

    def train(model):
        print("trained", steps)
        with torch.no_grad():
            model.head.add_(steps)

    return trained("toy", partial(GPT, SHAPE, seed=3), train, key=(key, steps))


def test_a_model_is_trained_once(cache, capsys):
    first, second = lesson(), lesson()
    assert capsys.readouterr().out.split() == ["trained", "1"]
    assert same(first, second)
    assert not first.training
    assert len(list(cache.iterdir())) == 1


def test_a_name_of_several_words_makes_one_file(cache):
    trained("½ label, α/β", partial(GPT, SHAPE, seed=3), torch.nn.Module.eval)
    assert [file.name.rpartition("-")[0] for file in cache.iterdir()] == ["½-label-α-β"]


def test_another_key_is_another_model(cache):
    lesson(), lesson(steps=2), lesson(key="other data")
    assert len(list(cache.iterdir())) == 3


def test_another_seed_or_another_training_is_another_model(cache):
    trained("toy", partial(GPT, SHAPE, seed=1), lambda model: model.head.data.add_(1))
    trained("toy", partial(GPT, SHAPE, seed=2), lambda model: model.head.data.add_(1))
    trained("toy", partial(GPT, SHAPE, seed=2), lambda model: model.head.data.add_(2))
    assert len(list(cache.iterdir())) == 3


def shift(model, teacher):
    model.head.data.add_(teacher.head.data.mean())


class Shift:
    def __init__(self, teacher):
        self.teacher = teacher

    def __call__(self, model):
        shift(model, self.teacher)


@pytest.mark.parametrize("bound", [lambda teacher: partial(shift, teacher=teacher), Shift], ids=["partial", "object"])
def test_another_teacher_is_another_model(cache, bound):
    """A partial and a callable object had one word for a source, so that two teachers shared one file."""
    one, other = (trained("toy", partial(GPT, SHAPE, seed=3), bound(GPT(SHAPE, seed=number))) for number in (1, 2))
    assert len(list(cache.iterdir())) == 2
    assert not same(one, other)


def test_a_training_that_cannot_be_hashed_is_refused(cache):
    chance = torch.Generator()
    with pytest.raises(ValueError, match=r"uses 'chance', and a Generator has no stable hash"):
        trained("toy", partial(GPT, SHAPE), lambda model: model.head.data.normal_(generator=chance))


def test_a_damaged_cache_is_trained_again_and_says_so(cache, capsys):
    lesson()
    [file] = cache.iterdir()
    file.write_bytes(file.read_bytes()[:-7])
    capsys.readouterr()
    again = lesson()
    said = capsys.readouterr().out
    assert "Training toy again" in said
    assert "trained 1" in said
    assert same(again, lesson())
    assert not capsys.readouterr().out


def raised(model):
    raise KeyboardInterrupt


def returned(model):
    """As `distill` ends where Ctrl-C is pressed: it returns."""
    return SimpleNamespace(interrupted=True)


@pytest.mark.parametrize("interrupted", [raised, returned])
def test_an_interrupted_training_leaves_nothing(cache, interrupted):
    with pytest.raises(KeyboardInterrupt):
        trained("toy", partial(GPT, SHAPE), interrupted)
    assert not cache.exists() or not list(cache.iterdir())


def test_a_cache_that_cannot_be_written_costs_a_warning_and_no_model(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    monkeypatch.setenv("KD_LAB_CACHE", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="set KD_LAB_CACHE"):
        lesson()
    assert capsys.readouterr().out.split() == ["trained", "1"]


def test_without_the_variable_the_users_cache_folder_is_used(monkeypatch):
    monkeypatch.delenv("KD_LAB_CACHE")
    assert cache_folder().name == "kd_lab"


def test_without_the_variable_and_without_platformdirs_the_remedy_is_said(monkeypatch):
    monkeypatch.delenv("KD_LAB_CACHE", raising=False)
    monkeypatch.setitem(sys.modules, "platformdirs", None)  # as in an install of the library alone
    with pytest.raises(ValueError, match="set KD_LAB_CACHE to a folder"):
        cache_folder()


def test_a_file_from_before_models_had_an_end_loads_with_the_end_zero(tmp_path):
    path = tmp_path / "model.safetensors"
    model = GPT(SHAPE, seed=1)
    about = {"config": {name: value for name, value in asdict(SHAPE).items() if name != "end"}}
    weights = {name: weight.detach().contiguous() for name, weight in model.state_dict().items()}
    about["sha256"] = checksum(weights)
    path.write_bytes(save(weights, metadata={key: json.dumps(value) for key, value in about.items()}))
    assert load_model(path).end == 0
    assert same(load_model(path), model)


def test_a_full_disk_leaves_neither_a_part_nor_a_broken_file(tmp_path):
    resource = pytest.importorskip("resource", reason="file sizes are limited on Unix only")
    target = tmp_path / "model.safetensors"
    target.write_bytes(b"before")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            write_file(target, bytes(10_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert target.read_bytes() == b"before"
    assert [file.name for file in tmp_path.iterdir()] == ["model.safetensors"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
def test_a_models_file_can_be_read_by_all_and_any_other_as_the_umask_says(tmp_path, cache):
    before = os.umask(0o027)
    try:
        save_model(GPT(SHAPE), tmp_path / "model.safetensors")
        lesson()
        write_file(tmp_path / "copy.ipynb", b"{}")
        write_file(tmp_path / "own.json", b"{}", 0o600)
    finally:
        os.umask(before)
    written = [tmp_path / "model.safetensors", *cache.iterdir(), tmp_path / "copy.ipynb", tmp_path / "own.json"]
    assert [oct(file.stat().st_mode & 0o777) for file in written] == ["0o644", "0o644", "0o640", "0o600"]


@pytest.mark.parametrize("refusals", [3, None])
def test_a_file_that_another_process_reads_is_waited_for(tmp_path, monkeypatch, refusals):
    """Windows refuses to move a file into the place of one that is open."""
    moved, came = os.replace, []

    def replace(*places):
        came.append(places)
        if refusals is None or len(came) <= refusals:
            raise PermissionError(13, "in use by another process")
        moved(*places)

    (tmp_path / "file").write_bytes(b"before")
    monkeypatch.setattr(os, "replace", replace)
    monkeypatch.setattr(files, "PATIENCE", 0.1 if refusals is None else 60)
    with pytest.raises(PermissionError) if refusals is None else nullcontext():
        write_file(tmp_path / "file", b"after")
    assert (tmp_path / "file").read_bytes() == (b"before" if refusals is None else b"after")
    assert refusals is None or len(came) == refusals + 1
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("sent", [False, True])
def test_an_interrupt_that_a_training_catches_ends_it_all_the_same(cache, sent):
    """A function that calls `distill` and returns nothing."""

    def train(model):
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT) if sent else None

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt) if sent else nullcontext():
        trained("toy", partial(GPT, SHAPE), train, key=sent)
    assert signal.getsignal(signal.SIGINT) is before
    assert (cache.exists() and len(list(cache.iterdir()))) == (not sent)


def test_a_distillation_that_was_stopped_is_made_anew(cache):
    """The plainest use, with Ctrl-C at the second step: `distill` returns there, and the student is not kept."""
    world = surnames(top=200)
    shape = GPTConfig(vocab_size=len(world.vocabulary), context=world.context, layers=1, heads=1, width=8)

    def press(row):
        if row["step"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(
            "student",
            partial(GPT, shape),
            lambda model: distill(model, None, world, labels_only(), steps=4, progress=False, on_step=press),
        )
    assert not cache.exists() or not list(cache.iterdir())
