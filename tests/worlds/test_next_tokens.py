"""Stored next-token distributions: what is read is what was written, at every temperature."""

import pytest
import torch

from kd_lab.how import top_k
from kd_lab.worlds.next_tokens import STORED, collect, load_next_tokens, save_next_tokens

TEMPERATURES = (0.5, 1.0, 2.0)


@pytest.fixture
def logits():
    return {name: 3 * torch.randn(7, 41, generator=torch.Generator().manual_seed(i)) for i, name in enumerate("ab")}


@pytest.fixture
def kept(logits):
    logp = {name: one.log_softmax(-1) for name, one in logits.items()}
    return collect(logp, list("ABCDEFG"), list("abcdefg"), str, k=5, temperatures=TEMPERATURES)


@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("model", ["a", "b"])
def test_events_are_the_softened_distribution_of_the_whole_vocabulary(logits, kept, model, temperature) -> None:
    whole = (logits[model] / temperature).log_softmax(-1)
    found = kept.events(model, temperature)
    present = kept.ids >= 0
    torch.testing.assert_close(found[:, :-1][present], whole.gather(-1, kept.ids.clamp_min(0))[present])
    torch.testing.assert_close(found.exp().sum(-1), torch.ones(7))
    assert (found[:, :-1][~present] == -torch.inf).all()


def test_the_first_tokens_are_the_teachers_likeliest(logits, kept) -> None:
    likeliest = top_k(logits["a"], 3)
    assert torch.equal(kept.ids[:, :3], likeliest.ids)
    found = kept.events("a", k=3)
    torch.testing.assert_close(found[:, :3], likeliest.logp)
    torch.testing.assert_close(found[:, 3], likeliest.tail_logp)


def test_a_file_comes_back(kept, tmp_path) -> None:
    size = save_next_tokens(kept, tmp_path / "some.safetensors")
    back = load_next_tokens(tmp_path / "some.safetensors")
    assert size == (tmp_path / "some.safetensors").stat().st_size
    assert (back.prompts, back.actual, back.models, back.vocabulary) == (
        tuple("ABCDEFG"),
        tuple("abcdefg"),
        ("a", "b"),
        41,
    )
    assert back.pieces == kept.pieces
    torch.testing.assert_close(back.events("b", 2.0, 4), kept.events("b", 2.0, 4), atol=2e-2, rtol=2e-3)


def test_what_is_not_there_is_refused(kept, tmp_path) -> None:
    with pytest.raises(ValueError, match="expected one of a, b"):
        kept.events("c")
    with pytest.raises(ValueError, match=r"0\.5, 1\.0, 2\.0"):
        kept.events("a", 3.0)
    with pytest.raises(ValueError, match="expected 1 to"):
        kept.events("a", k=100)
    with pytest.raises(ValueError, match="no next-token distributions"):
        load_next_tokens(tmp_path / "none.safetensors")


def test_the_stored_file_is_small_and_whole() -> None:
    stored = load_next_tokens()
    assert STORED.stat().st_size < 1 << 20
    assert len(stored) == 200
    assert set(stored.models) == {"teacher", "healed", "pruned"}
    for model in stored.models:
        for temperature in stored.temperatures:
            total = stored.events(model, temperature, 8).exp().sum(-1)
            torch.testing.assert_close(total, torch.ones(200), atol=1e-4, rtol=0)
    assert all(int(i) in stored.pieces for i in stored.ids.unique() if i >= 0)
