"""Sparse teachers on disk: what comes back, what it costs, and what a damaged file says."""

import pytest
import torch

from kd_lab.how import load_sparse_teacher, sampled, save_sparse_teacher, top_k


def logits(vocabulary: int, rows: int = 64) -> torch.Tensor:
    return 3 * torch.randn(rows, vocabulary, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("vocabulary", "bytes_each"), [(50_257, 4), (65_536, 4), (70_000, 6)])
def test_round_trip_and_bytes_a_position(tmp_path, vocabulary, bytes_each):
    teacher = top_k(logits(vocabulary), 8, temperature=2.0)
    size = save_sparse_teacher(teacher, tmp_path / "deep" / "teacher.safetensors")
    back = load_sparse_teacher(tmp_path / "deep" / "teacher.safetensors")
    assert torch.equal(back.ids, teacher.ids)
    assert (back.logp - teacher.logp).abs().max() < 2**-11 * teacher.logp.abs().max()
    assert (back.vocabulary, back.tail, back.temperature) == (vocabulary, "bucket", 2.0)
    assert size == (tmp_path / "deep" / "teacher.safetensors").stat().st_size
    assert 0 <= size - 64 * 8 * bytes_each < 400  # the header
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["teacher.safetensors"]


def test_ids_above_32767_survive_as_uint16(tmp_path):
    teacher = top_k(torch.arange(65_536.0)[None], 4)
    save_sparse_teacher(teacher, tmp_path / "t.safetensors")
    assert load_sparse_teacher(tmp_path / "t.safetensors").ids.tolist() == [[65_535, 65_534, 65_533, 65_532]]


def test_top_k_is_of_the_whole_softmax():
    kept = top_k(torch.tensor([[0.0, 2.0, 1.0]]), 2, temperature=0.5)
    torch.testing.assert_close(kept.logp, (2 * torch.tensor([[2.0, 1.0, 0.0]])).log_softmax(-1)[:, :2])


def test_draws_follow_the_teacher_at_its_temperature():
    teacher = torch.tensor([2.0, 0.0, 1.0])
    draws = sampled(teacher, 20_000, generator=torch.Generator().manual_seed(0), temperature=2.0)
    share = draws.ids.bincount(minlength=3) / 20_000
    torch.testing.assert_close(share, (teacher / 2).softmax(-1), rtol=0, atol=0.015)  # four standard errors
    torch.testing.assert_close(draws.logp, (teacher / 2).log_softmax(-1)[draws.ids])
    again = sampled(teacher, 20_000, generator=torch.Generator().manual_seed(0), temperature=2.0)
    assert torch.equal(draws.ids, again.ids)


def test_a_failed_write_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "teacher.safetensors"
    save_sparse_teacher(top_k(logits(20), 2), path)
    before = path.read_bytes()
    monkeypatch.setattr("kd_lab.how.sparse_cache.save_file", lambda *a: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        save_sparse_teacher(top_k(logits(20), 3), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_damaged_or_foreign_file_is_refused_clearly(tmp_path):
    path = tmp_path / "teacher.safetensors"
    save_sparse_teacher(top_k(logits(20), 2), path)
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(ValueError, match="expected a file written by save_sparse_teacher"):
        load_sparse_teacher(path)
    from safetensors.torch import save_file

    save_file({"ids": torch.zeros(2)}, path)
    with pytest.raises(ValueError, match="is not a sparse teacher"):
        load_sparse_teacher(path)
    with pytest.raises(FileNotFoundError):
        load_sparse_teacher(tmp_path / "none")


@pytest.mark.parametrize("k", [0, 21])
def test_an_impossible_k_is_refused(k):
    with pytest.raises(ValueError, match=rf"k is {k}; expected 1 … 20"):
        top_k(logits(20), k)
