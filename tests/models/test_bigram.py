"""The bigram student: it sees one token, in the interface of every model."""

import pytest
import torch

from kd_lab.models import BigramModel, MixtureModel, TabularModel, generate
from kd_lab.worlds import language


def random_table(size: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_it_sees_the_last_token_only():
    model = BigramModel(random_table(4))
    one, other = torch.tensor([[0, 1, 2]]), torch.tensor([[0, 3, 2]])
    torch.testing.assert_close(model(one)[:, -1], model(other)[:, -1])
    assert not torch.allclose(model(one)[:, 1], model(other)[:, 1])


def test_a_cache_changes_nothing():
    model, start = BigramModel(random_table(5), context=6), torch.zeros(50, 1, dtype=torch.long)
    written = [
        generate(model, start, 6, generator=torch.Generator().manual_seed(3), cached=cached) for cached in (True, False)
    ]
    torch.testing.assert_close(*written)


def test_it_writes_together_with_a_teacher():
    echo = language("echo")
    pair = MixtureModel(TabularModel(echo.logp), BigramModel(random_table(7), context=6), share=0.5)
    start = torch.zeros(20, 1, dtype=torch.long)
    assert generate(pair, start, 6, generator=torch.Generator().manual_seed(0)).shape == (20, 7)


def test_the_gradient_reaches_the_rows_that_were_read():
    model = BigramModel(random_table(3))
    model(torch.tensor([[0, 2]])).log_softmax(-1)[..., 1].sum().backward()
    assert model.table.grad[1].abs().max() == 0
    assert model.table.grad[[0, 2]].abs().min() > 0


@pytest.mark.parametrize(("table", "context", "part"), [((2, 3), 4, "shape"), ((2, 2), 0, "context is 0")])
def test_what_does_not_fit_is_refused(table, context, part):
    with pytest.raises(ValueError, match=part):
        BigramModel(torch.zeros(table), context)


def test_a_text_longer_than_the_context_is_refused():
    with pytest.raises(ValueError, match="3 tokens came after 0"):
        BigramModel(torch.zeros(2, 2), context=2)(torch.zeros(1, 3, dtype=torch.long))
