"""Models that are tables: a language behind a model's interface, and a finite memory with its states and slips."""

import pytest
import torch

from kd_lab.models import FiniteStateModel, MixtureModel, TabularModel, generate
from kd_lab.models.exact_models import window_moves
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
        ([[0, 2], [-1, 2], [3, 2]], "begins with token -1; expected the end mark 0"),
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


def random_window(length=2, vocab_size=3, slip=0.0, seed=0):
    table = torch.randn(vocab_size**length, vocab_size, generator=torch.Generator().manual_seed(seed))
    return FiniteStateModel(table.double(), window_moves(vocab_size, length), context=8, slip=slip)


def test_a_window_of_one_token_is_a_bigram_of_raw_logits():
    model = random_window(length=1)
    tokens = torch.tensor([[0, 1, 2, 2], [0, 2, 0, 1]])
    assert torch.equal(model(tokens), model.table[tokens])


def test_where_the_last_token_decides_all_positions_are_read_at_once_and_alike():
    model = random_window(length=1)
    assert model.last_token_decides
    assert not random_window(length=2).last_token_decides
    step_by_step = random_window(length=1)
    step_by_step.last_token_decides = False
    tokens = torch.tensor([[0, 1, 2, 2, 0], [0, 2, 0, 1, 1]])
    assert torch.equal(model(tokens), step_by_step(tokens))
    cache = model.new_cache(2, 5)
    assert torch.equal(torch.cat([model(part, cache=cache) for part in tokens.split(2, 1)], 1), model(tokens))


def test_the_gradient_reaches_the_rows_that_were_read():
    model = random_window(length=1)
    model(torch.tensor([[0, 2]])).log_softmax(-1)[..., 1].sum().backward()
    assert model.table.grad[1].abs().max() == 0
    assert model.table.grad[[0, 2]].abs().min() > 0


def test_it_writes_together_with_a_teacher():
    bigram = FiniteStateModel(torch.zeros(7, 7, dtype=torch.float64), window_moves(7, 1), context=6)
    pair = MixtureModel(TabularModel(ECHO.logp), bigram, share=0.5)
    start = torch.zeros(20, 1, dtype=torch.long)
    assert generate(pair, start, 6, generator=torch.Generator().manual_seed(0)).shape == (20, 7)


def test_its_end_is_its_own():
    """The id 2 ends a text here, is never slipped to, and is what rows are filled with."""
    table = torch.tensor([[-50.0, 0.0, 0.0]])
    model = FiniteStateModel(table, torch.zeros(1, 3, dtype=torch.long), context=30, slip=0.3, end=2)
    torch.testing.assert_close(model.logp().exp(), torch.tensor([[0.15, 0.5, 0.35]]))
    written = generate(model, torch.full((50, 1), 2), 30, generator=torch.Generator().manual_seed(0))[:, 1:]
    ended = (written == 2).cumsum(1) > 0
    assert ended.any()
    assert (written[ended] == 2).all()
    assert (written == 0).any()


def test_a_window_of_two_tokens_reads_the_row_of_the_last_two():
    model = random_window()
    assert model.states(torch.tensor([[0, 1, 2, 1]])).tolist() == [[0, 1, 1 * 3 + 2, 2 * 3 + 1]]


def test_a_cache_gives_the_same_numbers():
    model = random_window(slip=0.1)
    tokens = torch.tensor([[0, 1, 2, 1, 0], [0, 2, 2, 1, 1]])
    cache = model.new_cache(2, 5)
    parts = [model(tokens[:, :2], cache=cache), model(tokens[:, 2:3], cache=cache), model(tokens[:, 3:], cache=cache)]
    torch.testing.assert_close(torch.cat(parts, 1), model(tokens))
    swapped = cache.select(torch.tensor([1, 0]))
    assert swapped.length == 5
    assert swapped.states.tolist() == cache.states.flip(0).tolist()
    assert model.new_cache(2, 1).select(torch.tensor([0])).length == 0
    cache.length = 2  # forgets the last three
    torch.testing.assert_close(model(tokens[:, 2:], cache=cache), model(tokens)[:, 2:])


def test_rollouts_with_and_without_a_cache_are_the_same():
    model, prompts = random_window(slip=0.2), torch.zeros(20, 1, dtype=torch.long)
    written = [
        generate(model, prompts, 6, generator=torch.Generator().manual_seed(1), cached=cached)
        for cached in (True, False)
    ]
    assert written[0].equal(written[1])


def test_slips_are_a_floor_for_letters_and_never_an_end():
    model = FiniteStateModel(torch.tensor([[-50.0, 50.0, -50.0, -50.0]]), torch.zeros(1, 4, dtype=torch.long), slip=0.3)
    torch.testing.assert_close(model.logp().exp(), torch.tensor([[0.0, 0.8, 0.1, 0.1]]))


def test_gradients_are_finite_under_slips():
    model = random_window(slip=0.05)
    model(torch.tensor([[0, 1, 2]]))[..., 1].sum().backward()
    assert model.table.grad.isfinite().all()
    assert model.table.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"moves": torch.zeros(2, 2, dtype=torch.long)}, "one row per state"),
        ({"end": 3}, "end is 3; expected an id of the vocabulary, 0 … 2"),
        ({"moves": torch.full((2, 3), 2)}, "expected 0 … 1"),
        ({"slip": 1.0}, "random tokens"),
        ({"context": 0}, "context is 0"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    arguments = {"table": torch.zeros(2, 3), "moves": torch.zeros(2, 3, dtype=torch.long)} | change
    with pytest.raises(ValueError, match=message):
        FiniteStateModel(**arguments)


def test_too_long_a_text_and_too_short_a_window_are_refused():
    with pytest.raises(ValueError, match="at most 8 in all"):
        random_window()(torch.zeros(1, 9, dtype=torch.long))
    with pytest.raises(ValueError, match="window of at least 1"):
        window_moves(3, 0)
