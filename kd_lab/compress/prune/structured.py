"""Heads, channels and layers: the least important leave, and what is left is a smaller `GPT`."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from kd_lab.arguments import checked
from kd_lab.compress.prune.importance import check_scores, prunable
from kd_lab.compress.prune.unstructured import Scores
from kd_lab.models import GPT


@checked
@dataclass(frozen=True)
class Structures:
    """The layers, heads and channels that stay, by number and in ascending order."""

    layers: tuple[int, ...]
    heads: tuple[tuple[int, ...], ...]  # one row for each layer that stays, all of one length
    channels: tuple[tuple[int, ...], ...]  # likewise


def _check_complete(model: GPT, scores: Scores) -> None:
    for name, layer in prunable(model).items():
        came = tuple(scores[name].shape) if name in scores else None
        if came != tuple(layer.weight.shape):
            raise ValueError(
                f"scores of {name} have shape {came}; expected {tuple(layer.weight.shape)}, one for each weight, as "
                "prune.magnitude(model) makes them"
            )
    check_scores({name: scores[name] for name in prunable(model)})


@checked
def head_scores(model: GPT, scores: Scores) -> Float[Tensor, "layers heads"]:
    """Importance of each head: the sum over its rows of Q, K and V and its columns of the projection."""
    _check_complete(model, scores)
    heads = model.config.heads
    return torch.stack(
        [
            scores[f"blocks.{i}.attention.query_key_value.weight"].unflatten(0, (3, heads, -1)).sum((0, 2, 3))
            + scores[f"blocks.{i}.attention.project.weight"].unflatten(1, (heads, -1)).sum((0, 2))
            for i in range(model.config.layers)
        ]
    )


@checked
def channel_scores(model: GPT, scores: Scores) -> Float[Tensor, "layers channels"]:
    """Importance of each hidden unit of the perceptrons: the sum over its row and its column."""
    _check_complete(model, scores)
    return torch.stack(
        [
            scores[f"blocks.{i}.expand.weight"].sum(1) + scores[f"blocks.{i}.contract.weight"].sum(0)
            for i in range(model.config.layers)
        ]
    )


@checked
def layer_scores(model: GPT, scores: Scores) -> Float[Tensor, " layers"]:
    """Importance of each layer: the sum over its weights. `block_influence` reads the residual stream instead."""
    return head_scores(model, scores).sum(1) + channel_scores(model, scores).sum(1)


@checked
def select_structures(
    model: GPT,
    scores: Scores,
    *,
    layers: int | None = None,
    heads: int | None = None,
    channels: int | None = None,
    layer_importance: Float[Tensor, " layers"] | None = None,
) -> Structures:
    """The most important layers, and the most important heads and channels of each; None keeps all.

    Args:
        model: to be pruned.
        scores: importance of every weight.
        layers, heads, channels: numbers to keep.
        layer_importance: ranks the layers; by default `layer_scores`.

    Raises:
        ValueError: more are to stay than there are, or none, or a score is no number.
    """
    config = model.config
    for name, wanted, there in (
        ("layers", layers, config.layers),
        ("heads", heads, config.heads),
        ("channels", channels, config.hidden_units),
    ):
        if wanted is not None and not 1 <= wanted <= there:
            raise ValueError(f"{name} is {wanted}; expected 1 … {there}, the number that the model has")
    ranking = layer_scores(model, scores) if layer_importance is None else layer_importance
    check_scores({"layers": ranking})
    kept = _top(ranking, layers or config.layers)
    return Structures(
        kept,
        tuple(_top(row, heads or config.heads) for row in head_scores(model, scores)[list(kept)]),
        tuple(_top(row, channels or config.hidden_units) for row in channel_scores(model, scores)[list(kept)]),
    )


def _top(scores: Float[Tensor, " N"], count: int) -> tuple[int, ...]:
    return tuple(sorted(scores.argsort(dim=-1, descending=True, stable=True)[:count].tolist()))


@checked
def remove_structures(model: GPT, keep: Structures, *, dropout: float | None = None) -> GPT:
    """A smaller GPT made of the structures that stay. Its logits are those of `mask_structures`.

    A head owns F rows each of Q, K and V and F columns of the projection; a channel owns a row of `expand` and a column
    of `contract`; a layer owns its block. What they add to the residual stream is a sum, and a term of it is left out.

    Args:
        model: to take from; it stays as it is.
        keep: from `select_structures`, or made by hand.
        dropout: of the smaller model in its later training, where less is usually right; None keeps the model's.

    Raises:
        ValueError: `keep` does not fit the model.

    >>> from kd_lab.compress import prune
    >>> from kd_lab.models import GPTConfig
    >>> model = GPT(GPTConfig(vocab_size=5, context=4, layers=2, heads=2, width=8))
    >>> keep = select_structures(model, prune.magnitude(model), layers=1, heads=1, channels=10)
    >>> small = remove_structures(model, keep)
    >>> small.config.layers, small.config.heads, small.config.features_a_head, small.config.hidden_units
    (1, 1, 4, 10)
    """
    _check_keep(model, keep)
    config = replace(
        model.config,
        layers=len(keep.layers),
        heads=len(keep.heads[0]),
        head_width=model.config.features_a_head,
        channels=len(keep.channels[0]),
        dropout=model.config.dropout if dropout is None else dropout,
    )
    weights = {name: weight for name, weight in model.state_dict().items() if not name.startswith("blocks.")}
    for new, (old, heads, channels) in enumerate(zip(keep.layers, keep.heads, keep.channels, strict=True)):
        heads, channels = list(heads), list(channels)
        block, name = model.blocks[old], f"blocks.{new}"
        joined = block.attention.query_key_value.weight.unflatten(0, (3, model.config.heads, -1))
        project = block.attention.project.weight.unflatten(1, (model.config.heads, -1))
        weights |= {
            f"{name}.attention_norm.weight": block.attention_norm.weight,
            f"{name}.attention.query_key_value.weight": joined[:, heads].flatten(0, 2),
            f"{name}.attention.project.weight": project[:, heads].flatten(1),
            f"{name}.perceptron_norm.weight": block.perceptron_norm.weight,
            f"{name}.expand.weight": block.expand.weight[channels],
            f"{name}.contract.weight": block.contract.weight[:, channels],
        }
    smaller = GPT(config).to(model.head)
    smaller.load_state_dict({name: weight.detach() for name, weight in weights.items()})
    return smaller.train(model.training)


@checked
def mask_structures(model: GPT, keep: Structures) -> GPT:
    """A copy of the same shape whose other heads, channels and layers add zeros to the residual stream.

    Raises:
        ValueError: `keep` does not fit the model.
    """
    _check_keep(model, keep)
    masked = deepcopy(model)
    stays = dict(zip(keep.layers, zip(keep.heads, keep.channels, strict=True), strict=True))
    with torch.no_grad():
        for i, block in enumerate(masked.blocks):
            heads, channels = stays.get(i, ((), ()))
            for layer, parts, kept in (
                (block.attention.project, model.config.heads, heads),
                (block.contract, model.config.hidden_units, channels),
            ):
                stays_on = torch.zeros(parts, dtype=torch.bool, device=layer.weight.device)
                stays_on[list(kept)] = True
                layer.weight.mul_(stays_on.repeat_interleave(layer.weight.shape[1] // parts))
    return masked


def _check_keep(model: GPT, keep: Structures) -> None:
    config = model.config
    if not len(keep.layers) == len(keep.heads) == len(keep.channels) > 0:
        raise ValueError(
            f"{len(keep.layers)} layers stay and {len(keep.heads)} rows of heads and {len(keep.channels)} of channels "
            "came; expected one of each for every layer that stays, and at least one layer"
        )
    for kind, rows, there in (
        ("layers", [keep.layers], config.layers),
        ("heads", keep.heads, config.heads),
        ("channels", keep.channels, config.hidden_units),
    ):
        if len({len(row) for row in rows}) > 1:
            raise ValueError(f"the layers keep {[len(row) for row in rows]} {kind}; expected one number for all layers")
        for row in rows:
            if not row or list(row) != sorted(set(row)) or not 0 <= row[0] <= row[-1] < there:
                raise ValueError(
                    f"{kind} {_short(row)} are to stay; expected numbers from 0 to {there - 1}, ascending, at least one"
                )


def _short(row: Sequence[int]) -> str:
    return str(list(row)) if len(row) <= 12 else f"{list(row[:10])} … {row[-1]}"
