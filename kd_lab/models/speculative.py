"""Speculative decoding: a small draft guesses a few tokens, one call of the target checks them all.

The text has the target's distribution, whatever the draft: it decides how many guesses stand, and so the speed alone.
"""

from collections.abc import Callable
from functools import partial
from itertools import product
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from kd_lab.arguments import Count, Model, checked
from kd_lab.contracts import Cache
from kd_lab.models.generate import check_writing, sampling_logp
from kd_lab.models.reading import device_of, evaluating, last_logits


class Round(NamedTuple):
    """One call of the target: the guesses it checked, and the tokens that the text has gained by it."""

    guesses: tuple[int, ...]  # of the draft, in order; none where there was room for one token only
    accepted: int  # of them, from the first on
    new: tuple[int, ...]  # the accepted guesses, and one token of the target unless the text ended before it


class Speculation(NamedTuple):
    """A text and the way in which it came about."""

    tokens: Int[Tensor, " L"]  # the prompt and its continuation, to the model's end or the last token asked for
    rounds: tuple[Round, ...]

    @property
    def calls(self) -> int:
        """Calls of the target; plain decoding makes one for each new token."""
        return len(self.rounds)

    @property
    def guessed(self) -> int:
        """Tokens that the draft has guessed, one call of it for each."""
        return sum(len(one.guesses) for one in self.rounds)

    @property
    def accepted(self) -> int:
        """Guesses that stand in the text."""
        return sum(one.accepted for one in self.rounds)

    @property
    def tokens_per_call(self) -> float:
        """New tokens for each call of the target."""
        return sum(len(one.new) for one in self.rounds) / self.calls


@checked
def residual_logp(draft_logp: Float[Tensor, "*N V"], target_logp: Float[Tensor, "*N V"]) -> Float[Tensor, "*N V"]:
    """The log-probabilities from which the target draws in the place of a guess that it has rejected.

    r = max(0, p − q) / Σ max(0, p − q), with p the target and q the draft

    It holds what p has and q lacks, in exactly the amount that accepted guesses leave open:
    min(p, q) + (1 − Σ min(p, q))·r = p. Where p = q nothing is ever rejected, and r is p itself.

    Args:
        draft_logp, target_logp: log q and log p in nats, normalised, both as they are sampled from; −inf: impossible.

    >>> p, q = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.2, 0.7, 0.1])
    >>> residual_logp(q.log(), p.log()).exp()
    tensor([0.7500, 0.0000, 0.2500])

    Source: Leviathan, Kalman & Matias (2023), arXiv:2211.17192, section 2.3 and appendix A.1.
    """
    missing = (target_logp.exp() - draft_logp.exp()).clamp_min(0)
    total = missing.sum(-1, keepdim=True)
    return torch.where(total > 0, (missing / total.where(total > 0, 1.0)).log(), target_logp)


@checked
def verify(
    guesses: Int[Tensor, " G"],
    draft_logp: Float[Tensor, "G V"],
    target_logp: Float[Tensor, "_ V"],
    generator: torch.Generator,
) -> tuple[int, int]:
    """The number of guesses that stand, and the token that the target writes after them.

    Guess x stands with probability min(1, p(x)/q(x)). At the first that falls, the target draws from the residual
    instead; where all stand, from its distribution after the last of them.

    Args:
        guesses: drawn by the draft one after the other, each from its row of `draft_logp`.
        draft_logp: log q at each guess, in nats, as it was drawn from.
        target_logp: log p at each guess and after the last, [G + 1, V], as it would be drawn from.
        generator: the source of chance.

    Returns:
        (accepted, token).

    Raises:
        ValueError: the target's rows are not one more than the guesses.

    >>> p = torch.tensor([[0.0, 1.0], [0.5, 0.5]]).log()  # the target cannot say 0
    >>> verify(torch.tensor([0]), torch.tensor([[0.9, 0.1]]).log(), p, torch.Generator().manual_seed(0))
    (0, 1)

    Source: Leviathan, Kalman & Matias (2023), arXiv:2211.17192, algorithm 1.
    """
    if len(target_logp) != len(guesses) + 1:
        raise ValueError(
            f"target_logp has {len(target_logp)} rows for {len(guesses)} guesses; expected one for each guess and one "
            "for the token after the last"
        )
    target_logp = target_logp.to(torch.promote_types(target_logp.dtype, draft_logp.dtype))
    log_ratio = (target_logp[:-1] - draft_logp).gather(-1, guesses[:, None])[:, 0]
    chance = torch.rand(len(guesses), generator=generator, device=guesses.device, dtype=target_logp.dtype)
    stands = chance < log_ratio.exp()
    accepted = int(stands.cumprod(0).sum())
    last = target_logp[accepted]
    if accepted < len(guesses):
        last = residual_logp(draft_logp[accepted].to(last.dtype), last)
    return accepted, int(torch.multinomial(last.exp(), 1, generator=generator))


@checked
@torch.no_grad()
def speculate(
    target: Model,
    draft: Model,
    prompt: Int[Tensor, " P"],
    max_new_tokens: Count,
    *,
    guesses: Count = 4,
    generator: torch.Generator | None = None,
    temperature: float = 1.0,
    top_p: float = 1.0,
    greedy: bool = False,
) -> Speculation:
    """Continue one prompt as the target would, with a draft that writes ahead.

    Each round the draft writes γ tokens, the target reads all of them in one call and `verify` keeps those that stand;
    both forget what was rejected, so their caches must be able to. Temperature and top-p shape both models alike. One
    text at a time: rows of a batch accept different numbers of guesses, and a cache has one length for all its rows.

    Args:
        target, draft: the model whose text is wanted, and a cheaper one with its vocabulary; both write in eval mode.
        prompt, max_new_tokens: ids, at least one, and the most tokens to add to them.
        guesses: γ, the tokens that the draft writes ahead; near the last token fewer.
        generator: the source of chance, on the device of the target; needed unless greedy.
        temperature, top_p: see `sampling_logp`.
        greedy: both take the most likely token; the text is that of `generate(target, …, greedy=True)`.

    Returns:
        The text with its rounds, on the device of the target.

    Raises:
        ValueError: the vocabularies or devices differ, the context of either is too short, or chance is missing.

    >>> from kd_lab.models.exact_models import TabularModel
    >>> from kd_lab.worlds import language
    >>> echo = language("echo")
    >>> target, draft = TabularModel(echo.logp), TabularModel.uniform(len(echo.vocabulary), echo.length)
    >>> text = speculate(target, draft, torch.tensor([0]), 6, greedy=True, guesses=2)
    >>> echo.vocabulary.decode(text.tokens[None]), text.calls
    (['axxa'], 5)

    Source: Leviathan, Kalman & Matias (2023), arXiv:2211.17192, algorithm 1, and section 2.2 for the settings.
    """
    _check(target, draft, len(prompt), max_new_tokens, generator, greedy)
    device = device_of(target)
    if greedy:
        generator = torch.Generator(device).manual_seed(0)  # it decides nothing: all probabilities are 0 or 1
    logp = _certain if greedy else partial(sampling_logp, temperature=temperature, top_p=top_p)
    text, length, rounds = prompt.tolist(), len(prompt) + max_new_tokens, []
    with evaluating(target), evaluating(draft):
        read, own = (model.new_cache(1, length) for model in (target, draft))
        if len(text) > 1:
            last_logits(target)(torch.tensor([text[:-1]], device=device), cache=read)  # without a whole prompt's logits
        while len(text) < length and not (rounds and rounds[-1].new[-1] == target.end):
            ahead = min(guesses, length - len(text) - 1)
            rounds.append(_round(target, draft, (read, own), text, ahead, logp, generator))
            text.extend(rounds[-1].new)
            for cache in (read, own):
                if cache.length >= len(text):
                    cache.length = len(text) - 1  # the last token is yet to be read
    return Speculation(torch.tensor(text, device=device), tuple(rounds))


def _round(
    target: nn.Module,
    draft: nn.Module,
    caches: tuple[Cache, Cache],
    text: list[int],
    ahead: int,
    logp: Callable[[Tensor], Tensor],
    generator: torch.Generator,
) -> Round:
    """Guess up to `ahead` tokens after a text, none behind an end, and check them in one call of the target."""
    device, (read, own), next_guess = generator.device, caches, last_logits(draft)

    def unread(tokens: list[int], cache: Cache) -> Int[Tensor, "1 T"]:
        return torch.tensor([tokens[cache.length :]], device=device)

    tried, rows = [], []
    while len(tried) < ahead and target.end not in tried:
        rows.append(logp(next_guess(unread(text + tried, own), cache=own))[0])
        tried.append(int(torch.multinomial(rows[-1].exp(), 1, generator=generator)))
    target_logp = logp(target(unread(text + tried, read), cache=read)[0])
    draft_logp = torch.stack(rows) if rows else target_logp[:0]
    ids = torch.tensor(tried, dtype=torch.long, device=device)
    accepted, token = verify(ids, draft_logp, target_logp, generator)
    stand = tuple(tried[:accepted])
    return Round(tuple(tried), accepted, stand if target.end in stand else (*stand, token))


def _certain(logits: Float[Tensor, "N V"]) -> Float[Tensor, "N V"]:
    """The limit of temperature 0: the most likely token, the first of equals, has probability 1."""
    best = logits.argmax(-1, keepdim=True)
    return torch.full_like(logits, float("-inf"), dtype=torch.float32).scatter(-1, best, 0.0)


def _check(
    target: nn.Module,
    draft: nn.Module,
    width: int,
    max_new_tokens: int,
    generator: torch.Generator | None,
    greedy: bool,
) -> None:
    if (target.vocab_size, target.end) != (draft.vocab_size, draft.end):
        raise ValueError(
            f"the target has {target.vocab_size} ids and ends with {target.end}, the draft has {draft.vocab_size} and "
            f"ends with {draft.end}; expected the same ids on both, since guesses are compared id by id: take a draft "
            "of the target's family"
        )
    # Also of the models inside one that remembers its answers, marks its text or mixes two.
    readers, writers = ([part for part in m.modules() if hasattr(part, "check_tokenizer")] for m in (draft, target))
    for reader, writer in product(readers, writers):
        reader.check_tokenizer(writer.tokenizer, "draft")
    if device_of(target) != device_of(draft):
        raise ValueError(
            f"the target is on {device_of(target)} and the draft on {device_of(draft)}; expected one device: write "
            "draft.to(device_of(target))"
        )
    device = device_of(target)
    for model in (target, draft):
        check_writing(model, width, torch.tensor([width], device=device), max_new_tokens, generator, greedy, device)
