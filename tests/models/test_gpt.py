"""The GPT: causal, cached exactly, deterministic from its seed, and strict about what it is given."""

from dataclasses import FrozenInstanceError

import pytest
import torch
import torch.nn.functional as F

from kd_lab.models import GPT, GPTConfig

SMALL = GPTConfig(vocab_size=11, context=12, layers=2, heads=2, width=16)


@pytest.fixture
def model():
    return GPT(SMALL, seed=1).double().eval()


@pytest.fixture
def tokens():
    return torch.randint(11, (3, 12), generator=torch.Generator().manual_seed(0))


def test_no_position_sees_a_later_token(model, tokens):
    changed = tokens.clone()
    changed[:, 7:] = (changed[:, 7:] + 1) % 11
    torch.testing.assert_close(model(tokens)[:, :7], model(changed)[:, :7], rtol=0, atol=1e-12)
    assert not torch.allclose(model(tokens)[:, 7:], model(changed)[:, 7:])


def test_every_earlier_token_matters(model, tokens):
    before = model(tokens)[:, -1]
    for t in range(11):
        changed = tokens.clone()
        changed[:, t] = (changed[:, t] + 1) % 11
        assert (model(changed)[:, -1] - before).abs().max() > 1e-6


def test_the_factors_of_the_logits_give_them_and_their_gradient(model, tokens):
    logits, head = model(tokens), model.factors(tokens)
    torch.testing.assert_close(head.logits(torch.float64), logits, rtol=0, atol=1e-12)
    made = (logits, head.logits(torch.float64))
    gradients = [torch.autograd.grad(each.square().sum(), model.parameters()) for each in made]
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-10)


def test_the_logits_of_the_last_position_alone(model, tokens):
    logits, hidden = model(tokens, return_hidden=True, last_only=True)
    assert logits.shape == (3, 1, 11)
    torch.testing.assert_close(logits, model(tokens)[:, -1:], rtol=0, atol=1e-12)
    assert hidden[-1].shape == (3, 12, 16)


def test_one_block_against_the_formula(tokens):
    """Softmax attention written out, for one layer of one head."""
    model = GPT(GPTConfig(vocab_size=11, context=12, layers=1, heads=1, width=8), seed=2).double()
    block = model.blocks[0]
    x = model.tokens.weight[tokens] + model.positions.weight
    normed = F.layer_norm(x, (8,), block.attention_norm.weight)
    query, key, value = (normed @ block.attention.query_key_value.weight.T).split(8, dim=-1)
    scores = (query @ key.transpose(1, 2) / 8**0.5).masked_fill(torch.ones(12, 12).triu(1).bool(), -torch.inf)
    x = x + scores.softmax(-1) @ value @ block.attention.project.weight.T
    normed = F.layer_norm(x, (8,), block.perceptron_norm.weight)
    x = x + (normed @ block.expand.weight.T).clamp(min=0) @ block.contract.weight.T
    expected = F.layer_norm(x, (8,), model.norm.weight) @ model.tokens.weight.T
    torch.testing.assert_close(model(tokens), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("pieces", [[12], [1] * 12, [5, 7], [3, 1, 4, 1, 3]])
def test_reading_in_pieces_with_a_cache_gives_the_same_logits(model, tokens, pieces):
    cache = model.new_cache(3, 12)
    read = [model(piece, cache=cache) for piece in tokens.split(pieces, dim=1)]
    torch.testing.assert_close(torch.cat(read, dim=1), model(tokens), rtol=0, atol=1e-12)
    assert cache.length == 12


def test_a_cache_can_forget_and_re_sort_its_rows(model, tokens):
    with torch.no_grad():
        cache = model.new_cache(3, 12)
        model(tokens, cache=cache)
        cache.length = 6
        torch.testing.assert_close(model(tokens[:, 6:9], cache=cache), model(tokens)[:, 6:9], rtol=0, atol=1e-12)
        rows = torch.tensor([2, 2, 0, 1])
        again = model(tokens[rows, 9:], cache=cache.select(rows))
        torch.testing.assert_close(again, model(tokens)[rows, 9:], rtol=0, atol=1e-12)


def test_hidden_states_lead_to_the_logits(model, tokens):
    logits, hidden = model(tokens, return_hidden=True)
    assert [tuple(state.shape) for state in hidden] == [(3, 12, 16)] * 2
    torch.testing.assert_close(model.norm(hidden[-1]) @ model.head.T, logits)
    assert torch.equal(logits, model(tokens))


def test_the_head_is_the_embedding():
    model = GPT(SMALL)
    assert model.head is model.tokens.weight
    names = [name for name, _ in model.named_parameters()]
    assert sum("tokens" in name for name in names) == 1
    assert sum(weight.numel() for weight in model.parameters()) == (11 + 12) * 16 + 2 * (12 * 16 * 16 + 2 * 16) + 16


def test_weights_come_from_the_seed_and_the_global_state_stays():
    torch.manual_seed(5)
    state = torch.get_rng_state()
    one, same, other = GPT(SMALL, seed=3), GPT(SMALL, seed=3), GPT(SMALL, seed=4)
    assert torch.equal(torch.get_rng_state(), state)
    for a, b in zip(one.parameters(), same.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(one.head, other.head)


def test_an_untrained_model_guesses_almost_uniformly():
    model = GPT(GPTConfig(vocab_size=27, context=14))
    logp = model(torch.randint(27, (8, 14), generator=torch.Generator().manual_seed(0))).log_softmax(-1)
    entropy = -(logp.exp() * logp).sum(-1)
    assert entropy.mean() > 0.98 * torch.tensor(27.0).log()


def test_it_learns_a_text_by_heart():
    model = GPT(SMALL, seed=0)
    tokens = torch.tensor([[0, 3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5]])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(60):
        loss = F.cross_entropy(model(tokens[:, :-1])[0], tokens[0, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.05


def test_dropout_acts_in_training_only(tokens):
    model = GPT(GPTConfig(vocab_size=11, context=12, layers=2, heads=2, width=16, dropout=0.5))
    assert not torch.equal(model(tokens), model(tokens))
    model.eval()
    assert torch.equal(model(tokens), model(tokens))


def test_too_long_a_text_is_refused(model, tokens):
    longer = torch.cat([tokens, tokens[:, :1]], dim=1)
    with pytest.raises(ValueError, match="13 tokens came after 0; expected at most 12"):
        model(longer)
    cache = model.new_cache(3, 4)
    model(tokens[:, :3], cache=cache)
    with pytest.raises(ValueError, match="2 tokens came after 3; expected at most 4"):
        model(tokens[:, 3:5], cache=cache)


@pytest.mark.parametrize("token", [-1, 11])
def test_a_token_outside_the_vocabulary_is_named(model, token):
    with pytest.raises(ValueError, match=r"expected 0 … 10"):
        model(torch.tensor([[0, token]]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": 0}, "layers is 0"),
        ({"vocab_size": -2}, "vocab_size is -2"),
        ({"width": 18, "heads": 4}, "width is 18 and heads is 4"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"dropout": -0.1}, "dropout is -0.1"),
    ],
)
def test_an_impossible_shape_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        GPTConfig(**{"vocab_size": 11, "context": 12} | change)


def test_a_shape_does_not_change():
    with pytest.raises(FrozenInstanceError):
        SMALL.width = 32


# ---- shapes that pruning leaves


@pytest.mark.parametrize("shape", [{"heads": 3, "head_width": 5}, {"channels": 7}, {"heads": 1, "head_width": 8}])
def test_heads_and_channels_need_not_fill_the_width(shape, tokens):
    config = GPTConfig(**{"vocab_size": 11, "context": 12, "layers": 2, "heads": 2, "width": 16} | shape)
    model = GPT(config, seed=0).double().eval()
    cache = model.new_cache(3, 12)
    read = [model(piece, cache=cache) for piece in tokens.split([5, 7], dim=1)]
    torch.testing.assert_close(torch.cat(read, dim=1), model(tokens), rtol=0, atol=1e-12)


def test_the_usual_shape_is_the_default():
    said = GPTConfig(vocab_size=11, context=12, layers=2, heads=2, width=16, head_width=8, channels=64)
    for weight, same in zip(GPT(SMALL, seed=1).parameters(), GPT(said, seed=1).parameters(), strict=True):
        assert torch.equal(weight, same)
    with pytest.raises(ValueError, match="head_width is 0"):
        GPTConfig(vocab_size=11, context=12, head_width=0)


def test_one_more_token_without_modules_has_the_same_bits():
    model = GPT(GPTConfig(vocab_size=11, context=9, layers=3, heads=2, width=16), seed=1).eval()
    tokens = torch.randint(11, (3, 9), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        plain, other = model.new_cache(3, 9), model.new_cache(3, 9)
        assert plain.plain
        other.plain = False
        for cache in (plain, other):
            model(tokens[:, :2], cache=cache)
        for t in range(2, 9):
            assert torch.equal(model(tokens[:, t : t + 1], cache=plain), model(tokens[:, t : t + 1], cache=other))
            if t == 5:  # rows change places, as in a beam
                rows, tokens = torch.tensor([2, 0, 0]), tokens[torch.tensor([2, 0, 0])]
                plain, other = plain.select(rows), other.select(rows)
        for mine, theirs in zip([*plain.keys, *plain.values], [*other.keys, *other.values], strict=True):
            assert torch.equal(mine, theirs)
        with pytest.raises(ValueError, match="expected at most 9 in all"):
            model(tokens[:, :1], cache=plain)
        cache = model.new_cache(1, 3)
        model(torch.tensor([[0]]), cache=cache)
        with pytest.raises(ValueError, match=r"token ids reach from 11 to 11; expected 0 … 10"):
            model(torch.tensor([[11]]), cache=cache)


def test_a_module_that_was_changed_is_not_passed_over():
    model = GPT(GPTConfig(vocab_size=11, context=9, layers=1, heads=2, width=16, dropout=0.5), seed=1)
    seen = []
    handle = model.blocks[0].expand.register_forward_hook(lambda *_: seen.append(1))
    cache = model.eval().new_cache(1, 9)
    with torch.no_grad():
        for token in (3, 4, 5):
            model(torch.tensor([[token]]), cache=cache)
    assert len(seen) == 3
    handle.remove()
    assert model.new_cache(1, 9).plain
    torch.nn.utils.parametrize.register_parametrization(model.blocks[0].contract, "weight", torch.nn.Identity())
    assert not model.new_cache(1, 9).plain
    cache = GPT(model.config).train().new_cache(4, 9)  # a model that trains drops out, with a cache or without
    model = GPT(model.config).train()
    with torch.no_grad():
        model(torch.zeros(4, 1, dtype=torch.long), cache=cache)
        cut = model(torch.zeros(4, 1, dtype=torch.long), cache=cache)[:, 0]
    assert not torch.equal(cut[0], cut[1])
