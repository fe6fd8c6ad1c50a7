"""Beam search against exhaustive search, against greedy decoding, and its account of what it decided."""

import pytest
import torch

from kd_lab.measure import conditionals, joint
from kd_lab.measure.exact import prefixes
from kd_lab.models import GPT, GPTConfig, TabularModel, generate
from kd_lab.where import beam_search
from kd_lab.worlds import language

SPOKEN = language("echo")
END = SPOKEN.vocabulary.end
L, V = len(SPOKEN.logp), len(SPOKEN.vocabulary)
START = torch.tensor([END])
N = L - 1
"""New tokens where all texts are listed: 16,807 of them, which a beam of 2,401 finds."""
ALL = V ** (N - 1)
"""The width of a beam that keeps every prefix."""


def models():
    return [TabularModel(SPOKEN.logp), GPT(GPTConfig(vocab_size=V, context=L, layers=1, heads=2, width=16), seed=4)]


def exhaustive(model, penalty: float) -> list[tuple[float, tuple[int, ...]]]:
    """Every text of at most N tokens with its score, best first, by enumeration of all V^N strings."""
    scored = []
    for text, logp in zip(prefixes(V, N).tolist(), joint(conditionals(model, N)).tolist(), strict=True):
        if logp > -torch.inf:
            length = text.index(END) + 1 if END in text else N
            scored.append((logp / length**penalty, (END, *text[:length])))
    return sorted(scored, reverse=True)


@pytest.mark.parametrize("penalty", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("model", models(), ids=["table", "GPT"])
def test_a_wide_beam_is_exhaustive_search(model, penalty):
    found = beam_search(model, START, width=ALL, max_new_tokens=N, length_penalty=penalty)
    best = exhaustive(model, penalty)[:ALL]
    torch.testing.assert_close([one.score for one in found], [score for score, _ in best], rtol=0, atol=1e-5)
    assert found[0].tokens == best[0][1]


@pytest.mark.parametrize("model", models(), ids=["table", "GPT"])
def test_a_wider_beam_is_never_worse_at_the_ends(model):
    scores = [beam_search(model, START, width=width, max_new_tokens=N)[0].score for width in (1, ALL)]
    assert scores[0] <= scores[1]


def test_what_a_hypothesis_says_of_itself_is_what_the_model_says():
    _, model = models()
    for one in beam_search(model, START, width=5, max_new_tokens=L, length_penalty=0.5):
        tokens = torch.tensor([one.tokens])
        logp = model(tokens[:, :-1]).double().log_softmax(-1).gather(-1, tokens[:, 1:, None]).sum().item()
        assert one.logp == pytest.approx(logp, abs=1e-5)
        assert one.score == pytest.approx(logp / (len(one.tokens) - 1) ** 0.5, abs=1e-5)
        assert one.ended == (one.tokens[-1] == END)
        assert END not in one.tokens[1:-1]


def test_without_an_end_in_sight_a_beam_of_one_is_greedy():
    model = GPT(GPTConfig(vocab_size=V, context=L, layers=1, heads=2, width=16), seed=4)
    written = generate(model, START[None], L, greedy=True)[0]
    assert END not in written[1:].tolist()
    found = {one.tokens for one in beam_search(model, START, width=1, max_new_tokens=L, length_penalty=5.0)}
    assert tuple(written.tolist()) in found


def test_the_length_penalty_lets_longer_texts_win():
    """Three certain tokens after a coin flip: at α = 0 the text that ends at once wins, at α = 1 the longer one."""
    low = -torch.inf
    tables = [torch.full((2**t, 2), low) for t in range(4)]
    tables[0][0] = torch.tensor([0.6, 0.4]).log()
    for t in range(1, 4):
        tables[t][:, 0] = 0.0  # after an end mark, and at the last place, nothing but the end
        if t < 3:
            tables[t][-1] = torch.tensor([low, 0.0])
    model = TabularModel(tables)
    winners = [beam_search(model, START, 2, 4, length_penalty=penalty)[0].tokens for penalty in (0.0, 1.0)]
    assert winners == [(0, 0), (0, 1, 1, 1, 0)]


def test_a_prompt_is_kept_and_not_scored():
    model, _ = models()
    prompt = torch.tensor([END, 1])
    best = beam_search(model, prompt, width=ALL, max_new_tokens=N - 1)[0]
    assert best.tokens[:2] == (END, 1)
    continuations = [(score, text) for score, text in exhaustive(model, 0.0) if text[:2] == (END, 1)]
    first = model(START[None])[0, 0].log_softmax(-1)[1].item()
    assert best.tokens == continuations[0][1]
    assert best.logp == pytest.approx(continuations[0][0] - first, abs=1e-9)


def test_the_trace_accounts_for_every_step():
    _, model = models()
    trace = []
    found = beam_search(model, START, width=3, max_new_tokens=L, trace=trace)
    for length, step in enumerate(trace, start=1):
        assert all(len(one.tokens) == 1 + length for one in step.kept + step.cut)
        growing = [one for one in step.kept if not one.ended]
        assert len(growing) <= 3
        assert not {one.tokens for one in step.kept} & {one.tokens for one in step.cut}
        if length < L:
            best_cut = max((one.logp for one in step.cut if not one.ended), default=-torch.inf)
            assert all(one.logp >= best_cut for one in growing)
    kept = {one.tokens for step in trace for one in step.kept}
    assert {one.tokens for one in found} <= kept


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"width": 0}, "width is 0"),
        ({"max_new_tokens": 0}, "max_new_tokens 0"),
        ({"length_penalty": -1.0}, "length_penalty is -1"),
        ({"length_penalty": 12.0}, "length_penalty is 12.0; expected 0 ≤ α ≤ 10"),
        ({"max_new_tokens": L + 1}, "came for a context of"),
    ],
)
def test_what_cannot_be_searched_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        beam_search(models()[0], START, **{"width": 2, "max_new_tokens": L} | arguments)
