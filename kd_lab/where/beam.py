"""Beam search: the likeliest texts of a model, found without looking at all of them."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from kd_lab.arguments import Model, checked
from kd_lab.models import device_of, evaluating
from kd_lab.models.reading import last_logits


@checked
@dataclass(frozen=True)
class Hypothesis:
    """A text that the search knows, with its log-probability under the model."""

    tokens: tuple[int, ...]  # the prompt, then what was written, its end included
    logp: float  # Σ log p of what was written, in nats
    score: float  # logp / length^α, length counting what was written with its end
    ended: bool  # False: cut off by `max_new_tokens`, or still growing


@checked
@dataclass(frozen=True)
class Step:
    """The decision of one step of the search, best first: for drawing it."""

    kept: tuple[Hypothesis, ...]  # go on, or have just ended well enough to stay
    cut: tuple[Hypothesis, ...]  # the best of those that were given up


@checked
@torch.no_grad()
def beam_search(
    model: Model,
    prompt: Int[Tensor, " P"],
    width: int,
    max_new_tokens: int,
    length_penalty: float = 0.0,
    trace: list[Step] | None = None,
) -> list[Hypothesis]:
    """The `width` best texts that a beam of that width finds, best first.

    Each step continues every growing hypothesis by every token. Those that end join the finished ones, of which the
    best `width` by score stay; of the others the `width` likeliest grow on. The search stops when no growing hypothesis
    can still enter the finished ones. A beam wide enough for all prefixes is exhaustive search.

    Args:
        model: a `LanguageModel`, read in eval mode on its own device.
        prompt: ids that are given, the mark that begins a free text among them.
        width: the number of hypotheses that grow, and that are returned.
        max_new_tokens: the most tokens written, the end included; a hypothesis of that length is finished.
        length_penalty: 0 ≤ α ≤ 10 in score = logp / length^α. 0 compares log-probabilities and favours short texts;
            1 compares nats per token.
        trace: a list to which the search appends what it decided at each step.

    Raises:
        ValueError: a number is out of range, or prompt and continuation do not fit the model's context.

    Source: Wu et al. (2016), arXiv:1609.08144, section 7, with the plain power of the length as the penalty.

    >>> from kd_lab.models import TabularModel
    >>> from kd_lab.worlds import language
    >>> echo = language("echo")
    >>> best = beam_search(TabularModel(echo.logp), torch.tensor([0]), width=3, max_new_tokens=6)[0]
    >>> echo.vocabulary.decode(torch.tensor([best.tokens]))  # greedy decoding goes for "a" first and writes "axxa"
    ['cxc']
    """
    _check(model, prompt, width, max_new_tokens, length_penalty)
    prompt = prompt.to(device_of(model))
    growing = [Hypothesis(tuple(prompt.tolist()), 0.0, 0.0, ended=False)]
    finished: list[Hypothesis] = []
    read = last_logits(model)
    with evaluating(model):
        cache, inputs = model.new_cache(1, len(prompt) + max_new_tokens - 1), prompt[None]
        for length in range(1, max_new_tokens + 1):
            logp = read(inputs, cache=cache).double().log_softmax(-1)
            candidates = _continuations(growing, logp, model.end, length**length_penalty, most=2 * width)
            # where there is no room to grow, what is unfinished is judged as it stands
            leaving = [pair for pair in candidates if pair[0].ended or length == max_new_tokens]
            staying = [pair for pair in candidates if not pair[0].ended and length < max_new_tokens]
            ranked = sorted(finished + [hypothesis for hypothesis, _ in leaving], key=lambda one: -one.score)
            finished, dropped = ranked[:width], ranked[width:]
            growing, parents = [one for one, _ in staying[:width]], [parent for _, parent in staying[:width]]
            if trace is not None:
                new, given_up = {id(one) for one, _ in leaving}, [one for one, _ in staying[width:]]
                kept, lost = ([one for one in side if id(one) in new] for side in (finished, dropped))
                trace.append(Step(_by_logp(growing + kept), _by_logp(given_up + lost)))
            if not growing or _settled(growing, finished, width, max_new_tokens**length_penalty):
                break
            cache = cache.select(torch.tensor(parents, device=prompt.device))
            inputs = prompt.new_tensor([[one.tokens[-1]] for one in growing])
    return finished


def _continuations(
    growing: list[Hypothesis], logp: Float[Tensor, "G V"], end: int, penalty: float, most: int
) -> list[tuple[Hypothesis, int]]:
    """Every ending and the `most` likeliest other continuations, with the rows that they continue, likeliest first."""
    totals = logp + logp.new_tensor([[one.logp] for one in growing])
    endings = totals[:, end].tolist()
    others = totals.clone()
    others[:, end] = -torch.inf
    best = others.flatten().topk(min(most, others.numel()))
    rows = [(row, end, total) for row, total in enumerate(endings)]
    rows += [
        (i // logp.shape[1], i % logp.shape[1], total) for i, total in zip(*map(Tensor.tolist, best[::-1]), strict=True)
    ]
    pairs = [
        (Hypothesis((*growing[row].tokens, token), total, total / penalty, token == end), row)
        for row, token, total in rows
        if total > -torch.inf
    ]
    return sorted(pairs, key=lambda pair: -pair[0].logp)


def _settled(growing: list[Hypothesis], finished: list[Hypothesis], width: int, largest_penalty: float) -> bool:
    """Whether no growing hypothesis can overtake the worst finished one: log-probabilities only fall, and no text is
    divided by more than the longest."""
    return len(finished) == width and growing[0].logp / largest_penalty <= finished[-1].score


def _by_logp(hypotheses: list[Hypothesis]) -> tuple[Hypothesis, ...]:
    return tuple(sorted(hypotheses, key=lambda one: -one.logp))


def _check(model: nn.Module, prompt: Tensor, width: int, max_new_tokens: int, length_penalty: float) -> None:
    if width < 1 or max_new_tokens < 1:
        raise ValueError(f"width is {width} and max_new_tokens {max_new_tokens}; expected at least 1 of each")
    if not 0 <= length_penalty <= 10:
        raise ValueError(
            f"length_penalty is {length_penalty}; expected 0 ≤ α ≤ 10 in score = logp / length**α: 0 "
            "compares log-probabilities, 1 compares them per token"
        )
    if not 1 <= len(prompt) <= model.context + 1 - max_new_tokens:
        raise ValueError(
            f"a prompt of {len(prompt)} and {max_new_tokens} new tokens came for a context of {model.context}; "
            f"expected a prompt of 1 to {model.context + 1 - max_new_tokens} tokens (a free text starts from its mark)"
        )
