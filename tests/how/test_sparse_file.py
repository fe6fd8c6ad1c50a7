"""Sparse teachers on disk: the round trip, the bytes, and that no damage passes in silence."""

from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from kd_lab.how import SparseTeacher, sampled, softmax_kl, top_k
from kd_lab.how.sparse import sparse_teacher_kl as gap
from kd_lab.how.sparse_file import _checksum, load_sparse_teacher, save_sparse_teacher


def logits(vocabulary: int, rows: int = 64) -> torch.Tensor:
    return 3 * torch.randn(rows, vocabulary, generator=torch.Generator().manual_seed(0))


def same(a: SparseTeacher, b: SparseTeacher) -> bool:
    tensors = torch.equal(a.ids, b.ids) and torch.equal(a.logp, b.logp) and torch.equal(a.tail_logp, b.tail_logp)
    return tensors and (a.vocabulary, a.tail, a.temperature) == (b.vocabulary, b.tail, b.temperature)


@pytest.mark.parametrize(("vocabulary", "bytes_each"), [(50_257, 4), (65_536, 4), (70_000, 6)])
def test_round_trip_and_bytes_per_position(tmp_path, vocabulary, bytes_each):
    teacher = top_k(logits(vocabulary), 8, temperature=2.0)
    size = save_sparse_teacher(teacher, tmp_path / "deep" / "teacher.safetensors")
    back = load_sparse_teacher(tmp_path / "deep" / "teacher.safetensors")
    assert torch.equal(back.ids, teacher.ids)
    for got, wanted in ((back.logp, teacher.logp), (back.tail_logp, teacher.tail_logp)):
        assert (got - wanted).abs().max() < 2**-11 * wanted.abs().max()
    assert (back.vocabulary, back.tail, back.temperature) == (vocabulary, "bucket", 2.0)
    assert size == (tmp_path / "deep" / "teacher.safetensors").stat().st_size
    assert 0 <= size - 64 * (8 * bytes_each + 2) < 600  # the header
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["teacher.safetensors"]


@pytest.mark.parametrize("shape", [(20,), (0, 20), (2, 3, 20)])
def test_any_shape_of_positions_and_any_kept_count(tmp_path, shape):
    for k in (1, 20):
        teacher = top_k(torch.randn(shape), k)
        save_sparse_teacher(teacher, tmp_path / "t")
        assert torch.equal(load_sparse_teacher(tmp_path / "t").ids, teacher.ids)


@pytest.mark.parametrize("vocabulary", [20, 65_535, 65_536, 70_000])
def test_absent_tokens_and_padded_positions_survive(tmp_path, vocabulary):
    teacher = top_k(torch.arange(float(vocabulary)).div(vocabulary).expand(3, -1), 4)
    teacher.ids[0, 2:] = -1
    teacher.ids[1] = -1
    ragged = SparseTeacher(teacher.ids, teacher.logp, vocabulary, "bucket")
    save_sparse_teacher(ragged, tmp_path / "t")
    back = load_sparse_teacher(tmp_path / "t")
    assert torch.equal(back.ids, teacher.ids)
    assert (back.logp == -torch.inf).equal(teacher.ids == -1)
    assert back.tail_logp is None


def test_draws_survive(tmp_path):
    draws = sampled(logits(20), 50, generator=torch.Generator().manual_seed(0))
    save_sparse_teacher(draws, tmp_path / "t")
    back = load_sparse_teacher(tmp_path / "t")
    assert torch.equal(back.ids, draws.ids)
    assert (back.tail, back.tail_logp) == ("sampled", None)


def test_an_unlikely_token_is_not_impossible_in_fp16(tmp_path):
    save_sparse_teacher(top_k(torch.tensor([[0.0, -1e5, -torch.inf]]), 3), tmp_path / "t")
    assert load_sparse_teacher(tmp_path / "t").logp.tolist() == [[0.0, -65504.0, -torch.inf]]


def write_old(path: Path, teacher: SparseTeacher) -> None:
    """A file as version 1 wrote it: no mass of the rest, no checksum."""
    about = {"format": "kd_lab sparse teacher 1", "vocabulary": str(teacher.vocabulary), "tail": teacher.tail}
    tensors = {"ids": teacher.ids.to(torch.uint16), "logp": teacher.logp.half()}
    save_file(tensors, path, about | {"temperature": repr(teacher.temperature)})


def test_a_file_of_the_first_format_still_loads_and_its_rest_is_never_nothing(tmp_path):
    student, teacher = torch.zeros(64, 20), 10 * logits(20)
    for k in (8, 19, 20):
        write_old(tmp_path / "old", top_k(teacher, k))
        old = load_sparse_teacher(tmp_path / "old")
        exact = top_k(teacher, k)
        assert torch.equal(old.ids, exact.ids)
        full = softmax_kl(student, teacher, divergence="reverse_kl", reduction="none")
        part = gap(student, old, divergence="reverse_kl", reduction="none")
        assert part.isfinite().all()
        assert (part <= 1.01 * full + 1e-3).all()
    write_old(tmp_path / "old", sampled(teacher, 5, generator=torch.Generator().manual_seed(0)))
    assert load_sparse_teacher(tmp_path / "old").tail_logp is None


def test_no_flipped_bit_and_no_cut_changes_a_value_in_silence(tmp_path):
    path = tmp_path / "teacher"
    save_sparse_teacher(top_k(logits(20, 2), 3), path)
    whole, original = path.read_bytes(), load_sparse_teacher(path)
    damaged = []
    for bit in range(0, 8 * len(whole), 3):
        damaged.append(bytearray(whole))
        damaged[-1][bit // 8] ^= 1 << bit % 8
    for content in [*damaged, *(whole[:size] for size in range(0, len(whole), 7)), whole + b"\0"]:
        path.write_bytes(content)
        with pytest.raises(ValueError, match="is not a sparse teacher"):
            load_sparse_teacher(path)
    path.write_bytes(whole)
    assert same(load_sparse_teacher(path), original)


@pytest.mark.parametrize(
    ("change", "about"),
    [
        ({"ids": torch.tensor([[25, 1]], dtype=torch.int32)}, {}),
        ({"ids": torch.tensor([[-1, 1]], dtype=torch.int32)}, {}),
        ({"ids": torch.tensor([[1, 1]], dtype=torch.int32)}, {}),
        ({"ids": torch.tensor([[20, 1]], dtype=torch.int32)}, {}),  # absent, and yet with a probability
        ({"ids": torch.tensor([[2, 1]], dtype=torch.int64)}, {}),
        ({"ids": torch.tensor([[2, 1, 0]], dtype=torch.int32)}, {}),
        ({"ids": torch.tensor(1, dtype=torch.int32)}, {}),
        ({"logp": torch.tensor([[-1.0, -2.0]])}, {}),
        ({"logp": torch.tensor([[torch.nan, -2.0]]).half()}, {}),
        ({"logp": torch.tensor([[-0.1, -0.1]]).half()}, {}),
        ({"tail_logp": torch.tensor([-5.0]).half()}, {}),
        ({"tail_logp": torch.tensor([[-0.7]]).half()}, {}),
        ({"more": torch.zeros(2)}, {}),
        ({}, {"vocabulary": "0"}),
        ({}, {"vocabulary": "many"}),
        ({}, {"vocabulary": "99999999999999"}),
        ({}, {"tail": "ghost"}),
        ({}, {"temperature": "-1"}),
        ({}, {"temperature": "nan"}),
        ({}, {"format": "kd_lab sparse teacher 9"}),
        ({}, {"format": "kd_lab sparse teacher 1"}),
        ({}, {"note": "more than is known"}),
    ],
)
def test_a_forged_file_with_the_right_checksum_is_looked_at_all_the_same(tmp_path, change, about):
    tensors = {
        "ids": torch.tensor([[2, 1]], dtype=torch.int32),
        "logp": torch.tensor([[-1.0, -2.0]]).half(),
        "tail_logp": torch.tensor([-0.685]).half(),
    }
    metadata = {"format": "kd_lab sparse teacher 2", "vocabulary": "20", "tail": "bucket", "temperature": "1.0"}

    def write(tensors, metadata):
        save_file(tensors, tmp_path / "t", metadata | {"sha256": _checksum(tensors, metadata)})

    write(tensors, metadata)
    load_sparse_teacher(tmp_path / "t")
    write(tensors | change, metadata | about)
    with pytest.raises(ValueError, match="is not a sparse teacher"):
        load_sparse_teacher(tmp_path / "t")


@pytest.mark.parametrize("error", [SafetensorError("StorageFull"), OSError("disk full"), KeyboardInterrupt()])
def test_a_failed_write_leaves_what_was_there_and_nothing_else(tmp_path, monkeypatch, error):
    path = tmp_path / "teacher.safetensors"
    save_sparse_teacher(top_k(logits(20), 2), path)
    before = path.read_bytes()

    def fail(tensors, written, metadata):
        Path(written).write_bytes(b"half of i")
        raise error

    monkeypatch.setattr("kd_lab.how.sparse_file.save_file", fail)
    with pytest.raises(KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else OSError):
        save_sparse_teacher(top_k(logits(20), 3), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_teacher_that_could_not_be_read_again_is_not_written(tmp_path):
    teacher = top_k(logits(20), 2)
    teacher.ids[3] = 25
    with pytest.raises(ValueError, match="expected 0 … 19"):
        save_sparse_teacher(teacher, tmp_path / "t")
    assert not list(tmp_path.iterdir())


def test_a_foreign_file_a_folder_and_no_file_are_refused_clearly(tmp_path):
    path = tmp_path / "teacher"
    save_file({"ids": torch.zeros(2)}, path)
    with pytest.raises(ValueError, match="is not a sparse teacher"):
        load_sparse_teacher(path)
    for missing in (tmp_path, tmp_path / "none"):
        with pytest.raises(ValueError, match="there is no sparse teacher at"):
            load_sparse_teacher(missing)
