"""Speculative decoding: the target's distribution, whatever the draft, by listing every outcome and by drawing."""

import pytest
import torch

from kd_lab.models import GPT, GPTConfig, MixtureModel, TabularModel, generate, sampling_logp, speculate
from kd_lab.models.speculative import residual_logp, verify

SETTINGS = [{}, {"temperature": 0.6}, {"top_p": 0.8}, {"temperature": 1.7, "top_p": 0.9}]


def chance(seed=0):
    return torch.Generator().manual_seed(seed)


def logp(*shape, seed=0):
    return (2 * torch.randn(*shape, generator=chance(seed), dtype=torch.float64)).log_softmax(-1)


def small(seed, layers=1, context=24):
    return GPT(GPTConfig(vocab_size=7, context=context, layers=layers, heads=2, width=16, dropout=0.5), seed=seed)


def outcomes(draft, target, guesses):
    """The exact probability of each text of γ + 1 tokens: one round by its definition, then the target alone.

    Every path is listed: the guesses that stand, the first that falls, and the token in its place.
    """
    size, texts = draft[0].shape[-1], {}

    def row(tables, prefix):
        number = 0
        for token in prefix:
            number = number * size + token
        return tables[len(prefix)][number]

    def note(prefix, share):
        """The target goes on alone."""
        if len(prefix) > guesses:
            texts[prefix] = texts.get(prefix, 0.0) + share
            return
        for y, p in enumerate(row(target, prefix).exp().tolist()):
            note((*prefix, y), share * p)

    def stand(prefix, share):
        if len(prefix) == guesses:
            note(prefix, share)
            return
        q, p = row(draft, prefix), row(target, prefix)
        for x in range(size):
            accepted = min(1.0, (p[x] - q[x]).exp().item())
            stand((*prefix, x), share * q[x].exp().item() * accepted)
            for y, r in enumerate(residual_logp(q, p).exp().tolist()):
                note((*prefix, y), share * q[x].exp().item() * (1 - accepted) * r)

    stand((), 1.0)
    return texts


def test_a_round_is_lossless_by_listing_every_outcome():
    draft, target = ([logp(3**t, 3, seed=seed + t) for t in range(3)] for seed in (0, 10))
    for text, probability in outcomes(draft, target, guesses=2).items():
        a, b, c = text
        exact = (target[0][0, a] + target[1][a, b] + target[2][3 * a + b, c]).exp().item()
        assert probability == pytest.approx(exact, abs=1e-12)


def test_accepted_share_and_residual_add_up_to_the_target():
    q, p = logp(50, 11, seed=1), logp(50, 11, seed=2)
    overlap = torch.minimum(q.exp(), p.exp())
    residual = residual_logp(q, p).exp()
    torch.testing.assert_close(residual.sum(-1), torch.ones(50, dtype=torch.float64))
    torch.testing.assert_close(overlap + (1 - overlap.sum(-1, keepdim=True)) * residual, p.exp())
    torch.testing.assert_close(residual_logp(p, p), p)  # nothing is missing: nothing is ever rejected


def test_a_residual_says_nothing_that_the_draft_says_too_often():
    q, p = torch.tensor([0.2, 0.7, 0.1]).log(), torch.tensor([0.5, 0.3, 0.2]).log()
    torch.testing.assert_close(residual_logp(q, p).exp(), torch.tensor([0.75, 0.0, 0.25]))
    apart = residual_logp(torch.tensor([0.0, -torch.inf]), torch.tensor([-torch.inf, 0.0]))
    assert apart.tolist() == [-torch.inf, 0.0]


def test_verification_accepts_the_overlap_and_draws_the_target():
    rows = 2000
    q, p = logp(1, 4, seed=3)[0], logp(1, 4, seed=4)[0]
    after, generator = logp(1, 4, seed=5)[0], chance()
    guesses = torch.multinomial(q.exp(), rows, replacement=True, generator=generator)
    accepted, first = 0, torch.zeros(4)
    for x in guesses:
        stood, token = verify(x[None], q[None], torch.stack([p, after]), generator)
        accepted += stood
        first[x if stood else token] += 1
    overlap = torch.minimum(q, p).exp().sum().item()
    assert accepted / rows == pytest.approx(overlap, abs=4 * (overlap * (1 - overlap) / rows) ** 0.5)
    deviation = (p.exp() * (1 - p.exp()) / rows).sqrt()
    assert ((first / rows - p.exp()).abs() < 4 * deviation).all()


def test_what_the_target_cannot_say_is_rejected_and_a_perfect_guess_never():
    impossible = torch.tensor([[-torch.inf, 0.0]]).repeat(3, 1)
    sure = torch.tensor([[0.0, -torch.inf]]).repeat(2, 1)
    assert verify(torch.tensor([0, 0]), sure, impossible, chance()) == (0, 1)
    same = logp(3, 5, seed=6)
    for seed in range(20):
        assert verify(torch.tensor([1, 4]), same[:2], same, chance(seed))[0] == 2


@pytest.mark.parametrize("settings", SETTINGS)
def test_texts_follow_the_target_at_the_deployed_settings(settings):
    """Against the target's own sampling distribution, text by text, with a draft that is no good."""
    rows, generator = 250, chance()
    draft, target = ([logp(3**t, 3, seed=seed + t) for t in range(2)] for seed in (0, 10))
    first, second = (sampling_logp(table, **settings).exp() for table in target)
    exact = {(a, b): (first[0, a] * second[a, b]).item() for a in (1, 2) for b in range(3)}
    exact[0,] = first[0, 0].item()  # the end
    models, counts = [TabularModel(tables) for tables in (target, draft)], dict.fromkeys(exact, 0)
    for _ in range(rows):
        text = speculate(*models, torch.tensor([0]), 2, guesses=1, generator=generator, **settings)
        counts[tuple(text.tokens[1:].tolist())] += 1
    assert sum(exact.values()) == pytest.approx(1)
    for text, share in exact.items():
        assert counts[text] / rows == pytest.approx(share, abs=4 * (share * (1 - share) / rows) ** 0.5)


@pytest.mark.parametrize("guesses", [1, 3, 8])
@pytest.mark.parametrize("layers", [1, 2])
def test_greedy_speculation_writes_what_the_target_writes_alone(guesses, layers):
    target, draft = small(0, layers=2), small(1, layers=layers)
    prompt = torch.tensor([3, 1, 4])
    alone = generate(target, prompt[None], 20, greedy=True)[0]
    text = speculate(target, draft, prompt, 20, guesses=guesses, greedy=True)
    assert torch.equal(text.tokens, alone[: len(text.tokens)])
    assert (alone[len(text.tokens) :] == target.end).all()
    assert target.training
    assert draft.training


def test_caches_that_were_rolled_back_say_what_a_fresh_reading_says():
    """Each round's guesses are likely under the draft's own reading of the text before it, at zero temperature."""
    target, draft = small(2, layers=2), small(3)
    text = speculate(target, draft, torch.tensor([0, 5]), 22, guesses=5, greedy=True)
    draft.eval()
    before = text.tokens[:2].tolist()
    assert text.accepted < text.guessed  # something was rolled back
    for one in text.rounds:
        seen = list(before)
        for guess in one.guesses:
            assert draft(torch.tensor([seen]))[0, -1].argmax() == guess
            seen.append(guess)
        assert list(one.new[: one.accepted]) == list(one.guesses[: one.accepted])
        before.extend(one.new)
    assert before == text.tokens.tolist()


def test_a_draft_that_is_the_target_is_always_right():
    target = small(0)
    text = speculate(target, small(0), torch.tensor([0]), 20, guesses=4, generator=chance(1))
    assert text.accepted == text.guessed
    assert text.tokens_per_call == (len(text.tokens) - 1) / text.calls
    if len(text.tokens) == 21:
        assert text.calls == 4


def test_text_stops_at_its_end_and_at_its_last_token():
    lengths = set()
    for seed in range(12):
        text = speculate(small(0), small(1), torch.tensor([0]), 9, guesses=4, generator=chance(seed))
        new = text.tokens[1:].tolist()
        lengths.add(len(new))
        assert len(new) <= 9
        assert 0 not in new[:-1]
        assert len(new) == 9 or new[-1] == 0
        assert sum(len(one.new) for one in text.rounds) == len(new)
    assert 9 in lengths
    assert min(lengths) < 9


def test_a_context_that_is_just_long_enough_suffices():
    target, draft = small(0, context=12), small(1, context=12)
    text = speculate(target, draft, torch.tensor([2, 3, 4]), 10, guesses=6, generator=chance(3))
    assert len(text.tokens) <= 13
    with pytest.raises(ValueError, match="need a context of 13"):
        speculate(target, draft, torch.tensor([2, 3, 4]), 11, generator=chance())
    with pytest.raises(ValueError, match="need a context of 12"):
        speculate(target, small(1, context=11), torch.tensor([2, 3, 4]), 10, generator=chance())


def test_a_mixture_can_be_rolled_back_too():
    mixture = MixtureModel(small(0), small(1, layers=2), share=0.4)
    text = speculate(mixture, small(4), torch.tensor([0]), 20, guesses=3, greedy=True)
    alone = generate(mixture, torch.tensor([[0]]), 20, greedy=True)[0]
    assert torch.equal(text.tokens, alone[: len(text.tokens)])


def test_the_same_chance_gives_the_same_text():
    one, other = (speculate(small(0), small(1), torch.tensor([0]), 15, generator=chance(5)) for _ in range(2))
    assert torch.equal(one.tokens, other.tokens)
    assert one.rounds == other.rounds


def test_bad_input_is_refused():
    target, draft, prompt = small(0), small(1), torch.tensor([0])
    with pytest.raises(ValueError, match="sampling needs chance"):
        speculate(target, draft, prompt, 5)
    with pytest.raises(ValueError, match="the draft has 9 and ends with 0"):
        speculate(target, TabularModel.uniform(9, 6), prompt, 5, generator=chance())
    with pytest.raises(ValueError, match="guesses is 0"):
        speculate(target, draft, prompt, 5, guesses=0, generator=chance())
    with pytest.raises(ValueError, match="0 tokens"):
        speculate(target, draft, prompt[:0], 5, generator=chance())
    with pytest.raises(ValueError, match="top_p is 0"):
        speculate(target, draft, prompt, 5, generator=chance(), top_p=0.0)
    with pytest.raises(ValueError, match="2 rows for 2 guesses"):
        verify(torch.tensor([0, 1]), logp(2, 3), logp(2, 3), chance())
