"""The importance of weights: magnitude, Wanda, Taylor; and the influence of a whole block.

Scores are compared within one criterion only: their units differ.
"""

from collections.abc import Mapping
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, cross_entropy

from kd_lab.arguments import checked
from kd_lab.models import GPT, device_of, evaluating
from kd_lab.worlds import Batch


@checked
def prunable(model: GPT) -> dict[str, nn.Linear]:
    """The linear layers of the blocks by the name of their weight.

    >>> from kd_lab.models import GPTConfig
    >>> list(prunable(GPT(GPTConfig(vocab_size=3, context=4, layers=1, heads=1, width=8))))
    ['blocks.0.attention.query_key_value.weight', 'blocks.0.attention.project.weight', 'blocks.0.expand.weight', \
'blocks.0.contract.weight']
    """
    layers = {f"{name}.weight": layer for name, layer in model.named_modules() if isinstance(layer, nn.Linear)}
    return {name: layer for name, layer in layers.items() if name.startswith("blocks.")}


def check_scores(scores: Mapping[str, Tensor]) -> None:
    """Refuse scores by which nothing can be ranked: beside a NaN, weights would be dropped in the order of their rows.

    Raises:
        ValueError: a score is no number.
    """
    if strange := [name for name, score in scores.items() if score.isnan().any()]:
        raise ValueError(
            f"scores of {strange[0]} hold NaN; expected numbers to rank by: score on finite weights and on texts of "
            "which something counts"
        )


@checked
def magnitude(model: GPT) -> dict[str, Tensor]:
    """|w| of every weight. It needs no data and ignores the input that the weight multiplies.

    Source: Han et al. (2015), arXiv:1506.02626, section 3.
    """
    return {name: layer.weight.detach().abs() for name, layer in prunable(model).items()}


@checked
@torch.no_grad()
def wanda(model: GPT, batch: Batch) -> dict[str, Tensor]:
    """|w_ij| · ‖x_j‖₂, where x_j is input j of the layer at all counted positions of the batch.

    A small weight on a large input can matter more than a large weight on a small one. Sun et al. compare the weights
    of one output with one another: `unstructured_masks(…, scope="row")`.

    Raises:
        ValueError: no position of the batch counts, and all weights would be worth nothing.

    Source: Sun et al. (2023), arXiv:2306.11695, equation 1.
    """
    batch.counted()  # refuses a batch of which nothing counts
    squares, batch = {}, batch.to(device_of(model))

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


@checked
def taylor(model: GPT, batch: Batch, pieces: int = 8) -> dict[str, Tensor]:
    """Mean over pieces of the batch of (w · ∂L/∂w)²: to first order, the squared change of the loss without the weight.

    L is the mean of −log q over the counted positions of a piece. Squares are taken before the mean: a trained model's
    gradient is nearly zero on average, and not on any one piece.

    Args:
        model: its gradients are left as they were.
        batch: texts to measure the loss on.
        pieces: gradients to take, each on its own share of the texts.

    Raises:
        ValueError: fewer texts than pieces, or a piece of which nothing counts.

    Source: Molchanov et al. (2019), arXiv:1906.10771, section 3.
    """
    if not 1 <= pieces <= len(batch):
        raise ValueError(
            f"pieces is {pieces} for {len(batch)} texts; expected 1 … {len(batch)}: at least one text per piece"
        )
    shares = torch.arange(len(batch)).tensor_split(pieces)  # `chunk` may make fewer
    if empty := [number for number, rows in enumerate(shares) if not batch.mask[rows].any()]:
        raise ValueError(
            f"no position counts in {len(empty)} of {pieces} pieces, the first of them piece {empty[0]}; expected "
            "text in each, since its loss is a mean: leave out the texts of which nothing counts, or take fewer pieces"
        )
    weights = {name: layer.weight for name, layer in prunable(model).items()}
    scores = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    with evaluating(model):
        for rows in shares:
            piece = batch[rows].to(device_of(model))
            loss = cross_entropy(model(piece.inputs)[piece.mask], piece.targets[piece.mask])
            gradients = torch.autograd.grad(loss, list(weights.values()))
            for (name, weight), gradient in zip(weights.items(), gradients, strict=True):
                scores[name] += (weight.detach() * gradient).square() / pieces
    return scores


@checked
@torch.no_grad()
def block_influence(model: GPT, batch: Batch) -> Float[Tensor, " layers"]:
    """1 − cos(residual stream before a block, after it), the mean over counted positions, for each block.

    Raises:
        ValueError: no position of the batch counts.

    Source: Men et al. (2024), arXiv:2403.03853, the block influence.
    """
    batch.counted()  # refuses a batch of which nothing counts
    batch = batch.to(device_of(model))
    with evaluating(model):
        _, after = model(batch.inputs, return_hidden=True)
    first = model.tokens(batch.inputs) + model.positions.weight[: batch.inputs.shape[1]]
    streams = [stream[batch.mask] for stream in (first, *after)]
    return torch.stack([1 - cosine_similarity(before, stream, dim=-1).mean() for before, stream in pairwise(streams)])
