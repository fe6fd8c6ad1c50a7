"""Reading text with a model: in eval mode, on the device of the model, as normalised log-probabilities."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import signature
from itertools import chain

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from kd_lab.arguments import Count, Model, checked
from kd_lab.worlds import Batch


@checked
@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model in eval mode (no dropout), and each of its modules back where it was, also after an error."""
    modes = [(module, module.training) for module in model.modules()]
    try:  # from the first change on: an interrupt may come at any line
        model.eval()
        yield
    finally:
        for module, training in modes:
            module.training = training


@checked
def device_of(model: nn.Module) -> torch.device:
    """The device of a model's first weight or buffer, onto which tokens go; the CPU for a model without either.

    >>> device_of(nn.Linear(2, 2, device="meta"))
    device(type='meta')
    """
    first = next(chain(model.parameters(), model.buffers()), None)
    return torch.device("cpu") if first is None else first.device


def last_logits(model: nn.Module) -> Callable[..., Float[Tensor, "B V"]]:
    """The model as a function to the logits after the last position, from the arguments that it takes itself.

    A model whose `forward` has the option `last_only` makes no others: with a large vocabulary the logits of a whole
    prompt are larger than all else that reads it.

    >>> from kd_lab.models import TabularModel
    >>> last_logits(TabularModel.uniform(vocab_size=4, context=2))(torch.tensor([[0, 3]])).shape
    torch.Size([1, 4])
    """
    options = {"last_only": True} if "last_only" in signature(model.forward).parameters else {}
    return lambda tokens, **cache: model(tokens, **cache, **options)[:, -1]


@checked
def next_token_logp(
    model: Model, tokens: Int[Tensor, "B T"], *, dtype: torch.dtype | None = None, rows: Count | None = None
) -> Float[Tensor, "B T V"]:
    """log q(· | y_≤t) at every position t: log_softmax of the logits, in nats.

    The model reads in eval mode and is put back. Gradients flow unless the caller forbids them.

    Args:
        model: tokens `[B, T]` to logits `[B, T, V]`.
        tokens: ids on any device; they are moved to the model's.
        dtype: the type to normalise in, such as `torch.float64`; None: the logits' own, at least float32.
        rows: read at most so many rows at once; None: all.

    Returns:
        Log-probabilities on the device of the model. Position t holds those of token t + 1.

    >>> from kd_lab.models import TabularModel
    >>> next_token_logp(TabularModel.uniform(vocab_size=4, context=2), torch.tensor([[0, 3]])).exp()[0, 1].tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    tokens = tokens.to(device_of(model))
    parts = []
    with evaluating(model):
        for part in tokens.split(rows or max(len(tokens), 1)):
            logits = model(part)
            parts.append(logits.to(dtype or torch.promote_types(logits.dtype, torch.float32)).log_softmax(-1))
    return parts[0] if len(parts) == 1 else torch.cat(parts)


@checked
@torch.no_grad()
def target_logp(model: Model, batch: Batch, *, dtype: torch.dtype | None = None) -> Float[Tensor, "B T"]:
    """log q(y_t | y_<t) of every target, in nats, on the device of the model; see `next_token_logp`."""
    logp = next_token_logp(model, batch.inputs, dtype=dtype)
    return logp.gather(-1, batch.targets.to(logp.device)[..., None])[..., 0]
