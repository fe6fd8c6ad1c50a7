"""Writing text with a model, one token at a time and a whole batch at once."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from kd_lab.worlds import END


def sampling_logp(logits: Float[Tensor, "*N V"], temperature: float = 1.0, top_p: float = 1.0) -> Float[Tensor, "*N V"]:
    """Log-probabilities, in nats, of what sampling draws from: log_softmax(logits / τ) on the nucleus.

    The nucleus is the smallest set of most likely tokens whose probabilities sum to at least `top_p`; all others get
    −inf and the rest is renormalised. The token that crosses the line is kept, so the nucleus is never empty.

    Args:
        logits: unnormalised scores.
        temperature: τ > 0; below 1 sharpens, above 1 flattens.
        top_p: in (0, 1]; 1 keeps everything.

    Raises:
        ValueError: temperature or top_p is out of range.

    >>> sampling_logp(torch.tensor([0.5, 0.3, 0.2]).log(), top_p=0.6).exp()
    tensor([0.6250, 0.3750, 0.0000])

    Source: Holtzman et al. (2020), arXiv:1904.09751, equation 2.
    """
    if not 0 < temperature < float("inf"):
        raise ValueError(f"temperature is {temperature}; expected a number above 0 (for the limit 0 use greedy=True)")
    if not 0 < top_p <= 1:
        raise ValueError(f"top_p is {top_p}; expected a share above 0 and at most 1, where 1 keeps every token")
    logp = (logits / temperature).log_softmax(-1)
    if top_p == 1:
        return logp
    ranked, order = logp.sort(dim=-1, descending=True, stable=True)
    before = ranked.exp().cumsum(-1) - ranked.exp()  # probability of everything more likely
    cut = torch.zeros_like(logp, dtype=torch.bool).scatter(-1, order, before >= top_p)
    return logp.masked_fill(cut, float("-inf")).log_softmax(-1)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model in eval mode (no dropout), and each of its modules back where it was, also after an error."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@torch.no_grad()
def generate(
    model: nn.Module,
    prompts: Int[Tensor, "B P"],
    max_new_tokens: int,
    *,
    generator: torch.Generator | None = None,
    temperature: float = 1.0,
    top_p: float = 1.0,
    greedy: bool = False,
    cached: bool = True,
) -> Int[Tensor, "B L"]:
    """Continue every prompt until its end mark or for `max_new_tokens`, L = P + max_new_tokens.

    Args:
        model: tokens [B, T] to logits [B, T, V], with `context`, and with `new_cache` if `cached`. It is put in eval
            mode while it writes and back afterwards.
        prompts: ids, all prompts of one length.
        max_new_tokens: the most tokens to add to each prompt.
        generator: the source of chance, on the device of the model; needed unless greedy.
        temperature: see `sampling_logp`.
        top_p: see `sampling_logp`.
        greedy: take the most likely token (the first of equals) instead of drawing one.
        cached: read each token once. False reads the whole text again for every token: slow, and the same tokens.

    Returns:
        Prompts with what follows them, end marks after the first end mark that was generated.

    Raises:
        ValueError: text and context do not fit, a prompt is empty, or chance is wanted without a generator.

    >>> from kd_lab.models.tabular import TabularModel
    >>> from kd_lab.worlds import language
    >>> echo = language("echo")
    >>> written = generate(TabularModel(echo.logp), torch.zeros(1, 1, dtype=torch.long), 6, greedy=True)
    >>> echo.vocabulary.decode(written)
    ['axxa']
    """
    batch_size, prompt_length = prompts.shape
    if max_new_tokens < 1 or prompt_length < 1:
        raise ValueError(
            f"prompts have {prompt_length} tokens and max_new_tokens is {max_new_tokens}; expected at least 1 of each "
            f"(a free text starts from the end mark {END} alone)"
        )
    if prompt_length + max_new_tokens - 1 > model.context:
        raise ValueError(
            f"prompts of {prompt_length} tokens and {max_new_tokens} new ones need a context of "
            f"{prompt_length + max_new_tokens - 1}, and the model reads {model.context}; expected max_new_tokens of at "
            f"most {model.context + 1 - prompt_length}, or a model with a longer context"
        )
    if not greedy and generator is None:
        raise ValueError("sampling needs chance: pass generator=torch.Generator().manual_seed(0), or greedy=True")

    tokens = prompts.new_full((batch_size, prompt_length + max_new_tokens), END)
    tokens[:, :prompt_length] = prompts
    going = torch.ones(batch_size, dtype=torch.bool, device=prompts.device)
    with evaluating(model):
        cache = model.new_cache(batch_size, prompt_length + max_new_tokens - 1) if cached else None
        for t in range(prompt_length, prompt_length + max_new_tokens):
            logits = model(tokens[:, cache.length : t], cache=cache) if cached else model(tokens[:, :t])
            if greedy:
                new = logits[:, -1].argmax(-1)
            else:
                weights = sampling_logp(logits[:, -1], temperature, top_p).exp()
                new = torch.multinomial(weights, 1, generator=generator)[:, 0]
            tokens[:, t] = new.where(going, END)
            going &= new != END
            if not going.any():
                break
    return tokens
