"""The tabular model: the language itself behind a GPT's interface, and a student without architecture."""

import pytest
import torch

from kd_lab.models import TabularModel
from kd_lab.worlds import language

ECHO = language("echo")
END = ECHO.vocabulary.end


def test_it_gives_the_language_s_joint():
    rows = torch.randint(7**6, (200,), generator=torch.Generator().manual_seed(0))
    tokens = ECHO.sequences()[rows]
    logp = TabularModel(ECHO.logp)(tokens[:, :-1])
    chosen = logp.gather(-1, tokens[:, 1:, None]).sum((1, 2))
    torch.testing.assert_close(chosen, ECHO.joint()[rows], rtol=0, atol=1e-12)


@pytest.mark.parametrize("pieces", [[6], [1] * 6, [2, 4], [3, 1, 2]])
def test_reading_in_pieces_gives_the_same_logits(pieces):
    model = TabularModel(ECHO.logp)
    tokens = ECHO.sample(16, torch.Generator().manual_seed(0))[:, :-1]
    cache = model.new_cache(16, 6)
    read = [model(piece, cache=cache) for piece in tokens.split(pieces, dim=1)]
    assert torch.equal(torch.cat(read, dim=1), model(tokens))


def test_a_cache_can_forget_and_re_sort_its_rows():
    model = TabularModel(ECHO.logp)
    tokens = ECHO.sample(4, torch.Generator().manual_seed(0))[:, :-1]
    cache = model.new_cache(4, 6)
    model(tokens, cache=cache)
    cache.length = 3
    rows = torch.tensor([3, 0])
    assert torch.equal(model(tokens[rows, 3:], cache=cache.select(rows)), model(tokens)[rows, 3:])


def test_a_table_learns_the_frequencies_it_sees_and_keeps_hard_zeros():
    tables = [torch.zeros(1, 3), torch.zeros(3, 3)]
    tables[0][0, 2] = -torch.inf
    model = TabularModel(tables)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    for _ in range(200):
        logp = model(torch.tensor([[END, 1]])).log_softmax(-1)
        loss = -(0.75 * logp[0, 0, 0] + 0.25 * logp[0, 0, 1])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert model.tables[0].softmax(-1)[0].tolist() == pytest.approx([0.75, 0.25, 0.0], abs=0.01)


def test_it_copies_its_tables():
    model = TabularModel(ECHO.logp)
    with torch.no_grad():
        model.tables[0].zero_()
    assert ECHO.logp[0].abs().sum() > 0


def test_uniform_knows_nothing():
    model = TabularModel.uniform(vocab_size=5, context=3)
    assert (model.vocab_size, model.context) == (5, 3)
    torch.testing.assert_close(model(torch.tensor([[0, 1, 4]])).softmax(-1), torch.full((1, 3, 5), 0.2))


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ([[0] * 7], "7 tokens came after 0; expected at most 6"),
        ([[1, 2]], "begins with token 1; expected the end mark 0"),
        ([[0, 7]], "expected 0 … 6"),
        ([[0, -1]], "expected 0 … 6"),
    ],
)
def test_what_is_no_text_of_the_tree_is_refused(tokens, message):
    with pytest.raises(ValueError, match=message):
        TabularModel(ECHO.logp)(torch.tensor(tokens))


@pytest.mark.parametrize("shapes", [[], [(1, 3), (2, 3)], [(3, 3)], [(1, 3), (3, 4)]])
def test_tables_of_another_shape_are_refused(shapes):
    with pytest.raises(ValueError, match="the tables have shapes"):
        TabularModel([torch.zeros(shape) for shape in shapes])
