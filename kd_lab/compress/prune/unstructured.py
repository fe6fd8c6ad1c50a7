"""Single weights: masks from scores, zeros in their place, and the sparse format that a kernel needs to skip them."""

import warnings
from collections.abc import Mapping
from copy import deepcopy

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from kd_lab.arguments import checked
from kd_lab.compress.prune.importance import check_scores, prunable
from kd_lab.models import GPT

Scores = Mapping[str, Float[Tensor, "_ _"]]
"""Importance of every weight, by the name of its matrix in the model."""

Masks = Mapping[str, Bool[Tensor, "_ _"]]
"""True where a weight stays, by the name of its matrix in the model."""


@checked
def unstructured_masks(scores: Scores, sparsity: float, scope: str = "global") -> dict[str, Tensor]:
    """Masks that drop the share `sparsity` of the weights with the lowest scores.

    Args:
        scores: importance of every weight.
        sparsity: share to drop, 0 ≤ sparsity < 1, rounded to whole weights.
        scope: the weights that are ranked together: of the model ("global"), of one matrix ("layer"), or of one
            output ("row").

    Raises:
        ValueError: sparsity or scope is out of range, or a score is no number.

    >>> unstructured_masks({"w": torch.tensor([[1.0, 4.0], [3.0, 2.0]])}, 0.5)["w"].int().tolist()
    [[0, 1], [1, 0]]
    >>> unstructured_masks({"w": torch.tensor([[1.0, 2.0], [4.0, 3.0]])}, 0.5, scope="row")["w"].int().tolist()
    [[0, 1], [1, 0]]
    """
    if not 0 <= sparsity < 1:
        raise ValueError(f"sparsity is {sparsity}; expected the share of weights to drop, at least 0 and below 1")
    check_scores(scores)
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


@checked
def semi_structured_masks(scores: Scores) -> dict[str, Tensor]:
    """2:4 masks: the two most important of every four neighbours along the inputs, as sparse tensor cores read them.

    Raises:
        ValueError: a matrix whose inputs four do not divide, or a score that is no number.

    >>> semi_structured_masks({"w": torch.tensor([[1.0, 4.0, 3.0, 2.0]])})["w"].int().tolist()
    [[0, 1, 1, 0]]

    Source: Mishra et al. (2021), arXiv:2104.08378.
    """
    check_scores(scores)
    for name, score in scores.items():
        if score.shape[1] % 4:
            raise ValueError(
                f"{name} has {score.shape[1]} inputs; expected a multiple of 4 to choose two of every four"
            )
    return {name: _largest(score.unflatten(1, (-1, 4)), 0.5).flatten(1) for name, score in scores.items()}


@checked
def apply_masks(model: GPT, masks: Masks) -> GPT:
    """A copy of the model with zeros where a mask is False. Its shape, and the cost of running it, are the same.

    Raises:
        ValueError: a mask fits no weight of the model.
    """
    pruned = deepcopy(model)
    _check_masks(pruned, masks)
    with torch.no_grad():
        for name, mask in masks.items():
            pruned.get_parameter(name).mul_(mask)
    return pruned


@checked
def mask_gradients(model: GPT, masks: Masks) -> list[RemovableHandle]:
    """Keep masked weights at zero while an optimizer that was made after the masking trains the model.

    Their gradients are masked, so that Adam's moments, and with them its steps, stay zero; weight decay leaves a zero a
    zero. Moments from a training before would move them.

    Returns:
        Handles; `handle.remove()` sets the weights free.

    Raises:
        ValueError: a mask fits no weight of the model.
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


@checked
def sparsity(model: GPT) -> float:
    """The share of zeros among the weights that can be pruned.

    >>> from kd_lab.compress import prune
    >>> from kd_lab.models import GPTConfig
    >>> model = GPT(GPTConfig(vocab_size=3, context=4, layers=1, heads=1, width=8))
    >>> round(sparsity(apply_masks(model, unstructured_masks(prune.magnitude(model), 0.75))), 4)
    0.75
    """
    weights = torch.cat([layer.weight.detach().flatten() for layer in prunable(model).values()])
    return float((weights == 0).float().mean())


@checked
def to_csr(weight: Float[Tensor, "O I"]) -> Tensor:
    """The nonzero weights row by row, each with its column: compressed sparse rows, which a sparse kernel reads.

    A nonzero takes its value and an index as long or twice as long, so that a half-empty matrix gets no smaller.

    Raises:
        ValueError: the weight is on the meta device.

    >>> to_csr(torch.tensor([[0.0, 2.0], [0.0, 0.0]])).values()
    tensor([2.])
    """
    if weight.is_meta:
        raise ValueError("weight lies on the meta device, which holds no numbers; expected those of a loaded model")
    with warnings.catch_warnings():  # torch says once that these tensors are in beta
        warnings.filterwarnings("ignore", message="Sparse CSR", category=UserWarning)
        return weight.detach().to_sparse_csr()
