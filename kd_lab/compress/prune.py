"""Pruning: which weights matter, zeros in the place of single ones, and whole heads, channels and layers taken out.

Everything here runs in two steps. First every weight gets an importance: its size, its size times what flows into it
(Wanda), or what the loss would change by without it (Taylor). Then the least important go: one by one, which leaves
zeros in matrices of the old shape, or as a whole head, channel or layer, which leaves a smaller `GPT` like any other.

Only the blocks' matrices are pruned. Embeddings and norms stay.
"""

import warnings
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, cross_entropy
from torch.utils.hooks import RemovableHandle

from kd_lab.models import GPT, evaluating
from kd_lab.worlds import Batch

Scores = Mapping[str, Float[Tensor, "_ _"]]
"""Importance of every weight, by the name of its matrix in the model."""

Masks = Mapping[str, Bool[Tensor, "_ _"]]
"""True where a weight stays, by the name of its matrix in the model."""


def prunable(model: GPT) -> dict[str, nn.Linear]:
    """The linear layers of the blocks by the name of their weight.

    >>> from kd_lab.models import GPTConfig
    >>> list(prunable(GPT(GPTConfig(vocab_size=3, context=4, layers=1, heads=1, width=8))))
    ['blocks.0.attention.query_key_value.weight', 'blocks.0.attention.project.weight', 'blocks.0.expand.weight', \
'blocks.0.contract.weight']
    """
    layers = {f"{name}.weight": layer for name, layer in model.named_modules() if isinstance(layer, nn.Linear)}
    return {name: layer for name, layer in layers.items() if name.startswith("blocks.")}


# ---- importance ------------------------------------------------------------------------------------------------------


def magnitude(model: GPT) -> dict[str, Tensor]:
    """|w| of every weight: needs no data, and knows nothing of what is multiplied by it.

    Source: Han et al. (2015), arXiv:1506.02626, section 3.
    """
    return {name: layer.weight.detach().abs() for name, layer in prunable(model).items()}


@torch.no_grad()
def wanda(model: GPT, batch: Batch) -> dict[str, Tensor]:
    """|w_ij| · ‖x_j‖₂, where x_j is input j of the layer at all counted positions of the batch.

    A small weight on a loud input can matter more than a large one on a silent input. Scores of different outputs are
    not meant to be compared: keep with `scope="row"`.

    Source: Sun et al. (2023), arXiv:2306.11695, equation 1.
    """
    squares = {}

    def listen(name: str):
        def hook(layer: nn.Linear, inputs: tuple[Tensor], output: Tensor) -> None:
            squares[name] = inputs[0][batch.mask].square().sum(0)

        return hook

    handles = [layer.register_forward_hook(listen(name)) for name, layer in prunable(model).items()]
    try:
        with evaluating(model):
            model(batch.inputs)
    finally:
        for handle in handles:
            handle.remove()
    return {name: layer.weight.abs() * squares[name].sqrt() for name, layer in prunable(model).items()}


def taylor(model: GPT, batch: Batch, pieces: int = 8) -> dict[str, Tensor]:
    """Mean over pieces of the batch of (w · ∂L/∂w)²: to first order, the squared change of the loss without the weight.

    L is the mean of −log q over the counted positions of a piece. Squares are taken before the mean, since a trained
    model's gradient is nearly zero on average and not on any one piece.

    Args:
        model: its gradients are left as they were.
        batch: texts to measure the loss on.
        pieces: how many gradients are taken.

    Raises:
        ValueError: fewer texts than pieces.

    Source: Molchanov et al. (2019), arXiv:1906.10771, section 3.
    """
    if not 1 <= pieces <= len(batch):
        raise ValueError(f"pieces is {pieces} for {len(batch)} texts; expected 1 … {len(batch)}, a text or more each")
    weights = {name: layer.weight for name, layer in prunable(model).items()}
    scores = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    with evaluating(model):
        for rows in torch.arange(len(batch)).chunk(pieces):
            piece = batch[rows]
            loss = cross_entropy(model(piece.inputs)[piece.mask], piece.targets[piece.mask])
            for (name, weight), gradient in zip(
                weights.items(), torch.autograd.grad(loss, list(weights.values())), strict=True
            ):
                scores[name] += (weight.detach() * gradient).square() / pieces
    return scores


@torch.no_grad()
def layer_influence(model: GPT, batch: Batch) -> Float[Tensor, " layers"]:
    """1 − cos(stream before a layer, stream after it), averaged over counted positions: how much a layer turns it.

    Source: Men et al. (2024), arXiv:2403.03853, the block influence.
    """
    with evaluating(model):
        _, after = model(batch.inputs, return_hidden=True)
    first = model.tokens(batch.inputs) + model.positions.weight[: batch.inputs.shape[1]]
    streams = [stream[batch.mask] for stream in (first, *after)]
    return torch.stack([1 - cosine_similarity(before, stream, dim=-1).mean() for before, stream in pairwise(streams)])


# ---- single weights: zeros -------------------------------------------------------------------------------------------


def keep_largest(scores: Scores, sparsity: float, scope: str = "global") -> dict[str, Tensor]:
    """Masks that drop the share `sparsity` of the weights with the lowest scores.

    Args:
        scores: importance of every weight.
        sparsity: share to drop, 0 ≤ sparsity < 1, rounded to whole weights.
        scope: among which weights the ranking runs: all of the model, those of a matrix, those of one output.

    Raises:
        ValueError: sparsity or scope is out of range.

    >>> keep_largest({"w": torch.tensor([[1.0, 4.0], [3.0, 2.0]])}, 0.5)["w"].int().tolist()
    [[0, 1], [1, 0]]
    >>> keep_largest({"w": torch.tensor([[1.0, 2.0], [4.0, 3.0]])}, 0.5, scope="row")["w"].int().tolist()
    [[0, 1], [1, 0]]
    """
    if not 0 <= sparsity < 1:
        raise ValueError(f"sparsity is {sparsity}; expected the share of weights to drop, at least 0 and below 1")
    match scope:
        case "global":
            together = torch.cat([score.flatten() for score in scores.values()])
            parts = _largest(together, sparsity).split([score.numel() for score in scores.values()])
            return {name: part.view_as(scores[name]) for name, part in zip(scores, parts, strict=True)}
        case "layer":
            return {name: _largest(score.flatten(), sparsity).view_as(score) for name, score in scores.items()}
        case "row":
            return {name: _largest(score, sparsity) for name, score in scores.items()}
    raise ValueError(f'scope is {scope!r}; expected "global", "layer" or "row"')


def _largest(scores: Float[Tensor, "*N K"], sparsity: float) -> Bool[Tensor, "*N K"]:
    """True for all but the share `sparsity` with the lowest scores along the last axis; of equals, the first go."""
    dropped = scores.argsort(dim=-1, stable=True)[..., : round(sparsity * scores.shape[-1])]
    return torch.ones_like(scores, dtype=torch.bool).scatter(-1, dropped, False)


def keep_two_of_four(scores: Scores) -> dict[str, Tensor]:
    """Masks that keep the two most important of every four neighbours along the inputs: what sparse tensor cores read.

    Raises:
        ValueError: a matrix whose inputs four do not divide.

    >>> keep_two_of_four({"w": torch.tensor([[1.0, 4.0, 3.0, 2.0]])})["w"].int().tolist()
    [[0, 1, 1, 0]]

    Source: Mishra et al. (2021), arXiv:2104.08378.
    """
    for name, score in scores.items():
        if score.shape[1] % 4:
            raise ValueError(
                f"{name} has {score.shape[1]} inputs; expected a multiple of 4 to choose two of every four"
            )
    return {name: _largest(score.unflatten(1, (-1, 4)), 0.5).flatten(1) for name, score in scores.items()}


def zero(model: GPT, masks: Masks) -> GPT:
    """A copy of the model with zeros where a mask is False. Its shape, and what it costs to run, are the same.

    Raises:
        ValueError: a mask fits no weight of the model.
    """
    pruned = deepcopy(model)
    _check_masks(pruned, masks)
    with torch.no_grad():
        for name, mask in masks.items():
            pruned.get_parameter(name).mul_(mask)
    return pruned


def hold_zeros(model: GPT, masks: Masks) -> list[RemovableHandle]:
    """Keep what a mask has dropped at zero while any optimizer without weight decay trains the model.

    Its gradient is dropped too, so that Adam's moments, and with them its steps, stay zero.

    Returns:
        Handles; `handle.remove()` sets the weights free.
    """
    _check_masks(model, masks)
    return [
        model.get_parameter(name).register_hook(lambda gradient, mask=mask: gradient * mask)
        for name, mask in masks.items()
    ]


def _check_masks(model: GPT, masks: Masks) -> None:
    shapes = {name: tuple(layer.weight.shape) for name, layer in prunable(model).items()}
    for name, mask in masks.items():
        if shapes.get(name) != tuple(mask.shape):
            raise ValueError(
                f"the mask of {name} has shape {tuple(mask.shape)}; expected {shapes.get(name, 'no such matrix')}: "
                "compute the scores on the model that is pruned"
            )


def sparsity(model: GPT) -> float:
    """The share of zeros among the weights that can be pruned.

    >>> from kd_lab.models import GPTConfig
    >>> model = GPT(GPTConfig(vocab_size=3, context=4, layers=1, heads=1, width=8))
    >>> round(sparsity(zero(model, keep_largest(magnitude(model), 0.75))), 4)
    0.75
    """
    weights = torch.cat([layer.weight.detach().flatten() for layer in prunable(model).values()])
    return float((weights == 0).float().mean())


def as_sparse(weight: Float[Tensor, "O I"]) -> Tensor:
    """The nonzero weights alone, row by row with their columns (CSR): what a sparse product reads instead of the zeros.

    A nonzero takes its value and an index as long or twice as long, so that a half-empty matrix gets no smaller.

    >>> as_sparse(torch.tensor([[0.0, 2.0], [0.0, 0.0]])).values()
    tensor([2.])
    """
    with warnings.catch_warnings():  # torch says once that these tensors are in beta
        warnings.filterwarnings("ignore", message="Sparse CSR", category=UserWarning)
        return weight.detach().to_sparse_csr()


# ---- heads, channels and layers: a smaller model ---------------------------------------------------------------------


@dataclass(frozen=True)
class Keep:
    """What stays of a model, by number and in ascending order."""

    layers: tuple[int, ...]
    heads: tuple[tuple[int, ...], ...]  # a row for each layer that stays, all of one length
    channels: tuple[tuple[int, ...], ...]  # likewise


def head_scores(model: GPT, scores: Scores) -> Float[Tensor, "layers heads"]:
    """Importance of each head: the sum over its rows of Q, K and V and its columns of the projection."""
    heads = model.config.heads
    return torch.stack(
        [
            scores[f"blocks.{i}.attention.query_key_value.weight"].unflatten(0, (3, heads, -1)).sum((0, 2, 3))
            + scores[f"blocks.{i}.attention.project.weight"].unflatten(1, (heads, -1)).sum((0, 2))
            for i in range(model.config.layers)
        ]
    )


def channel_scores(model: GPT, scores: Scores) -> Float[Tensor, "layers channels"]:
    """Importance of each hidden unit of the perceptrons: the sum over its row and its column."""
    return torch.stack(
        [
            scores[f"blocks.{i}.expand.weight"].sum(1) + scores[f"blocks.{i}.contract.weight"].sum(0)
            for i in range(model.config.layers)
        ]
    )


def layer_scores(model: GPT, scores: Scores) -> Float[Tensor, " layers"]:
    """Importance of each layer: the sum over its weights. `layer_influence` asks the stream instead."""
    return head_scores(model, scores).sum(1) + channel_scores(model, scores).sum(1)


def choose(
    model: GPT,
    scores: Scores,
    *,
    layers: int | None = None,
    heads: int | None = None,
    channels: int | None = None,
    layer_importance: Float[Tensor, " layers"] | None = None,
) -> Keep:
    """The most important so many layers, heads and channels a layer; None keeps all.

    Args:
        model: to be pruned.
        scores: importance of every weight.
        layers, heads, channels: how many are to stay.
        layer_importance: ranks the layers; by default `layer_scores`.

    Raises:
        ValueError: more are to stay than there are, or none.
    """
    config = model.config
    for name, wanted, there in (
        ("layers", layers, config.layers),
        ("heads", heads, config.heads),
        ("channels", channels, config.hidden_units),
    ):
        if wanted is not None and not 1 <= wanted <= there:
            raise ValueError(f"{name} is {wanted}; expected 1 … {there}, since so many are there")
    ranking = layer_scores(model, scores) if layer_importance is None else layer_importance
    kept = _top(ranking, layers or config.layers)
    return Keep(
        kept,
        tuple(_top(row, heads or config.heads) for row in head_scores(model, scores)[list(kept)]),
        tuple(_top(row, channels or config.hidden_units) for row in channel_scores(model, scores)[list(kept)]),
    )


def _top(scores: Float[Tensor, " N"], count: int) -> tuple[int, ...]:
    return tuple(sorted(scores.argsort(dim=-1, descending=True, stable=True)[:count].tolist()))


def remove(model: GPT, keep: Keep, *, dropout: float | None = None) -> GPT:
    """A new, smaller GPT made of what stays. It says what the model says once the rest is silenced.

    A head owns F rows each of Q, K and V and F columns of the projection; a channel owns a row of `expand` and a column
    of `contract`; a layer owns its block. What they wrote to the stream is a sum, and a term of it is left out.

    Args:
        model: to take from; it stays as it is.
        keep: from `choose`, or made by hand.
        dropout: of the smaller model while it is healed, for which less is usually right; None keeps the model's.

    Raises:
        ValueError: `keep` does not fit the model.

    >>> from kd_lab.models import GPTConfig
    >>> model = GPT(GPTConfig(vocab_size=5, context=4, layers=2, heads=2, width=8))
    >>> small = remove(model, choose(model, magnitude(model), layers=1, heads=1, channels=10))
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


def silence(model: GPT, keep: Keep) -> GPT:
    """A copy of the model whose other heads, channels and layers write zeros to the stream: the twin of `remove`.

    Raises:
        ValueError: `keep` does not fit the model.
    """
    _check_keep(model, keep)
    quiet = deepcopy(model)
    stays = dict(zip(keep.layers, zip(keep.heads, keep.channels, strict=True), strict=True))
    with torch.no_grad():
        for i, block in enumerate(quiet.blocks):
            heads, channels = stays.get(i, ((), ()))
            for layer, parts, kept in (
                (block.attention.project, model.config.heads, heads),
                (block.contract, model.config.hidden_units, channels),
            ):
                speaks = torch.zeros(parts, dtype=torch.bool, device=layer.weight.device)
                speaks[list(kept)] = True
                layer.weight.mul_(speaks.repeat_interleave(layer.weight.shape[1] // parts))
    return quiet


def _check_keep(model: GPT, keep: Keep) -> None:
    config = model.config
    if not len(keep.layers) == len(keep.heads) == len(keep.channels) > 0:
        raise ValueError(
            f"{len(keep.layers)} layers stay and {len(keep.heads)} rows of heads and {len(keep.channels)} of channels "
            "came; expected one of each for every layer that stays, and at least one layer"
        )
    for what, rows, there in (
        ("layers", [keep.layers], config.layers),
        ("heads", keep.heads, config.heads),
        ("channels", keep.channels, config.hidden_units),
    ):
        if len({len(row) for row in rows}) > 1:
            raise ValueError(f"the layers keep {[len(row) for row in rows]} {what}; expected one number for all layers")
        for row in rows:
            if not row or list(row) != sorted(set(row)) or not 0 <= row[0] <= row[-1] < there:
                raise ValueError(
                    f"{what} {_short(row)} are to stay; expected numbers from 0 to {there - 1}, ascending, at least one"
                )


def _short(row: Sequence[int]) -> str:
    return str(list(row)) if len(row) <= 12 else f"{list(row[:10])} … {row[-1]}"
