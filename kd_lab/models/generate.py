"""Writing text with a model, one token at a time and a whole batch at once."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from kd_lab.arguments import Model, checked
from kd_lab.models.reading import device_of, evaluating, last_logits


@checked
def sampling_logp(logits: Float[Tensor, "*N V"], temperature: float = 1.0, top_p: float = 1.0) -> Float[Tensor, "*N V"]:
    """The log-probabilities, in nats, that sampling draws from: log_softmax(logits / τ) on the nucleus.

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
    # a sum over a large vocabulary needs float32 at least
    logp = (logits.to(torch.promote_types(logits.dtype, torch.float32)) / temperature).log_softmax(-1)
    if top_p == 1:
        return logp
    ranked, order = logp.sort(dim=-1, descending=True, stable=True)
    before = ranked.exp().cumsum(-1) - ranked.exp()  # probability of everything more likely
    cut = torch.zeros_like(logp, dtype=torch.bool).scatter(-1, order, before >= top_p)
    return logp.masked_fill(cut, float("-inf")).log_softmax(-1)


@checked
@torch.no_grad()
def generate(
    model: Model,
    prompts: Int[Tensor, "B P"],
    max_new_tokens: int,
    *,
    lengths: Int[Tensor, " B"] | None = None,
    generator: torch.Generator | None = None,
    temperature: float = 1.0,
    top_p: float = 1.0,
    greedy: bool = False,
    cached: bool = True,
) -> Int[Tensor, "B L"]:
    """Continue every prompt until the model's end or the last column, L = P + max_new_tokens.

    Prompts of several lengths all begin in the first column. The model reads as far as the shortest goes, and a longer
    one gives its row's next ids until it ends: no row holds padding, so every `LanguageModel` can write for them.

    Args:
        model: a `LanguageModel`. It is put in eval mode while it writes and back afterwards.
        prompts: ids, moved to the device of the model.
        max_new_tokens: the most tokens to add to a prompt of P; a shorter one has as much more room as it is shorter.
        lengths: the ids of each row that are its prompt, the rest being padding; None: all P of them.
        generator: the source of chance, on the device of the model; needed unless greedy.
        temperature, top_p: see `sampling_logp`.
        greedy: take the most likely token (the first of equals) instead of drawing one.
        cached: read each token once; False reads the whole text again for every token.

    Returns:
        Prompts with their continuations on the device of the model; the model's end fills each row behind its own.

    Raises:
        ValueError: text and context do not fit, a prompt is empty, or chance is missing or on another device.

    >>> from kd_lab.models.exact_models import TabularModel
    >>> from kd_lab.worlds import language
    >>> echo = language("echo")
    >>> written = generate(TabularModel(echo.logp), torch.zeros(1, 1, dtype=torch.long), 6, greedy=True)
    >>> echo.vocabulary.decode(written)
    ['axxa']

    Source for prompts of several lengths: `llama/generation.py` of github.com/meta-llama/llama.
    """
    device, (batch_size, width) = device_of(model), prompts.shape
    prompts = prompts.to(device)
    lengths = torch.full((batch_size,), width, device=device) if lengths is None else lengths.to(device)
    check_writing(model, width, lengths, max_new_tokens, generator, greedy, device)
    tokens = prompts.new_full((batch_size, width + max_new_tokens), model.end)
    given = torch.arange(tokens.shape[1], device=device) < lengths[:, None]
    tokens[:, :width] = prompts.where(given[:, :width], model.end)
    going = torch.ones(batch_size, dtype=torch.bool, device=device)
    with evaluating(model):
        read, cache = last_logits(model), model.new_cache(batch_size, tokens.shape[1] - 1) if cached else None
        for t in range(int(lengths.min()), tokens.shape[1]):
            logits = read(tokens[:, cache.length : t], cache=cache) if cached else read(tokens[:, :t])
            new = logits.argmax(-1) if greedy else _drawn(logits, temperature, top_p, generator)
            tokens[:, t] = tokens[:, t].where(given[:, t], new.where(going, model.end))
            going &= given[:, t] | (new != model.end)
            if not going.any():
                break
    return tokens


def _drawn(logits: Float[Tensor, "B V"], temperature: float, top_p: float, generator: torch.Generator) -> Tensor:
    weights = sampling_logp(logits, temperature, top_p).exp()
    return torch.multinomial(weights, 1, generator=generator)[:, 0]


def check_writing(
    model: nn.Module,
    width: int,
    lengths: Int[Tensor, " B"],
    max_new_tokens: int,
    generator: torch.Generator | None,
    greedy: bool,
    device: torch.device,
) -> None:
    if max_new_tokens < 1 or width < 1:
        raise ValueError(
            f"prompts have {width} tokens and max_new_tokens is {max_new_tokens}; expected at least 1 of each (a free "
            "text starts from the id that begins one alone)"
        )
    if not greedy and generator is None:
        raise ValueError("sampling needs chance: pass generator=torch.Generator().manual_seed(0), or greedy=True")
    if not greedy and generator.device.type != device.type:
        raise ValueError(
            f"the generator is on {generator.device} and the model on {device}; expected one device: make it with "
            f'torch.Generator("{device}"), or kd_lab.contracts.stream(seed, name, "{device}")'
        )
    if (lengths < 1).any() or (lengths > width).any():
        raise ValueError(
            f"lengths reach from {int(lengths.min())} to {int(lengths.max())} for prompts of {width} columns; expected "
            f"1 … {width} ids of each row"
        )
    if width + max_new_tokens - 1 > model.context:
        raise ValueError(
            f"prompts of {width} tokens and {max_new_tokens} new ones need a context of {width + max_new_tokens - 1}, "
            f"and the model reads {model.context}; expected max_new_tokens of at most {model.context + 1 - width}, or "
            "a model with a longer context"
        )
