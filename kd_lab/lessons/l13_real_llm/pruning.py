"""Layers taken out of a model of transformers, by what the measurement says and not by a guess.

The importance of a layer is what its absence costs: KL(p‖q) in nats per token between the whole model p and the model q
without it, on calibration text. `greedy` takes out the cheapest layer, measures all others again, and so on: two layers
that do the same work are each cheap alone, and not together.
"""

import copy
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from kd_lab.how import softmax_kl
from kd_lab.models import HuggingFace
from kd_lab.worlds import Batch


class Trunk:
    """The layers of a model on one batch, so that a stream can be read on from any layer.

    A model without layer i has the same stream as the whole one up to i. Measuring every i therefore costs half of what
    as many whole readings would.
    """

    def __init__(self, model: HuggingFace, batch: Batch) -> None:
        self.model, self.batch = model, batch
        self.layers: nn.ModuleList = model.model.get_decoder().layers
        self.options: dict = {}
        first: list[Tensor] = []

        def listen(layer: nn.Module, inputs: tuple[Tensor, ...], options: dict) -> None:
            first.append(inputs[0] if inputs else options["hidden_states"])
            self.options = {name: value for name, value in options.items() if name != "hidden_states"}

        handle = self.layers[0].register_forward_pre_hook(listen, with_kwargs=True)
        try:
            self.logits = model(batch.inputs)
        finally:
            handle.remove()
        self.embedded = first[0]

    def step(self, stream: Float[Tensor, "B T W"], layer: int) -> Float[Tensor, "B T W"]:
        """The stream after one layer."""
        output = self.layers[layer](stream, **self.options)
        return output[0] if isinstance(output, tuple) else output

    def streams(self, layers: Iterable[int]) -> list[Float[Tensor, "B T W"]]:
        """The stream before the first of these layers and after each."""
        streams = [self.embedded]
        for layer in layers:
            streams.append(self.step(streams[-1], layer))
        return streams

    def cost(self, stream: Float[Tensor, "B T W"]) -> float:
        """KL(p‖q) in nats per counted token, where q reads this stream behind the last layer."""
        decoder = self.model.model.get_decoder()
        logits = decoder.norm(stream) @ self.model.head.T
        return softmax_kl(logits, self.logits, mask=self.batch.mask).item()


@torch.no_grad()
def single_costs(trunk: Trunk, layers: Sequence[int]) -> list[float]:
    """The cost of a model of these layers without the first of them, without the second, and so on."""
    before, costs = trunk.streams(layers), []
    for i in range(len(layers)):
        stream = before[i]
        for layer in layers[i + 1 :]:
            stream = trunk.step(stream, layer)
        costs.append(trunk.cost(stream))
    return costs


@torch.no_grad()
def greedy(
    trunk: Trunk,
    keep: int,
    known: Sequence[Sequence[float]] = (),
    on_round: Callable[[list[float]], None] | None = None,
) -> tuple[list[int], list[int], list[list[float]]]:
    """Take out one layer after another, each time the one whose absence costs least now.

    Args:
        trunk: of the whole model on the calibration text.
        keep: layers that stay.
        known: the costs of rounds that have been measured before, in order; they are not measured again.
        on_round: called with the costs of each new round.

    Returns:
        (the layers that stay, those that went in order, the costs of every round; one per layer still there).
    """
    layers, gone, rounds = list(range(len(trunk.layers))), [], [list(costs) for costs in known]
    while len(layers) > keep:
        if len(gone) == len(rounds):
            rounds.append(single_costs(trunk, layers))
            if on_round is not None:
                on_round(rounds[-1])
        costs = rounds[len(gone)]
        gone.append(layers.pop(costs.index(min(costs))))
    return layers, gone, rounds


@torch.no_grad()
def influences(trunk: Trunk) -> list[float]:
    """1 − cos(stream before a layer, after it), the mean over counted tokens: the block influence of ShortGPT.

    Source: Men et al. (2024), arXiv:2403.03853, the block influence.
    """
    streams = [stream[trunk.batch.mask] for stream in trunk.streams(range(len(trunk.layers)))]
    return [1 - cosine_similarity(before, after, dim=-1).mean().item() for before, after in pairwise(streams)]


def without_least(scores: Sequence[float], keep: int) -> list[int]:
    """The `keep` layers with the highest scores, in their order.

    >>> without_least([0.3, 0.1, 0.2, 0.9], keep=2)
    [0, 3]
    """
    ranked = sorted(range(len(scores)), key=lambda layer: -scores[layer])
    return sorted(ranked[:keep])


def evenly(layers: int, keep: int) -> list[int]:
    """`keep` of so many layers, spaced evenly, the first and the last among them.

    >>> evenly(10, 4)
    [0, 3, 6, 9]
    """
    return [round(i * (layers - 1) / (keep - 1)) for i in range(keep)]


class FullPrecisionHead(nn.Linear):
    """A head that multiplies in float32, under autocast too, so that every loss sees the same logits."""

    def forward(self, hidden: Tensor) -> Tensor:
        with torch.autocast(hidden.device.type, enabled=False):
            return nn.functional.linear(hidden.float(), self.weight, self.bias)


def shallower(model: HuggingFace, kept: Sequence[int]) -> HuggingFace:
    """A copy of a model with these of its layers alone. Embedding, last norm and head are the teacher's and frozen.

    Raises:
        ValueError: the layers are not in ascending order, or the model has no such layer.
    """
    depth = len(model.model.get_decoder().layers)
    if list(kept) != sorted(set(kept)) or not kept or not 0 <= kept[0] <= kept[-1] < depth:
        raise ValueError(f"the layers to keep are {list(kept)}; expected ascending numbers from 0 to {depth - 1}")
    config = copy.deepcopy(model.model.config)
    config.num_hidden_layers = len(kept)
    if getattr(config, "layer_types", None):
        config.layer_types = [config.layer_types[layer] for layer in kept]
    with torch.random.fork_rng(devices=[]):
        student = type(model.model)(config)
    place = {layer: i for i, layer in enumerate(kept)}
    weights = {}
    for name, weight in model.model.state_dict().items():
        before, mark, after = name.partition(".layers.")
        if mark:
            number, _, rest = after.partition(".")
            if int(number) not in place:
                continue
            name = f"{before}{mark}{place[int(number)]}.{rest}"
        weights[name] = weight
    student.load_state_dict(weights)
    student.requires_grad_(False)
    student.get_decoder().layers.requires_grad_(True)
    head = student.get_output_embeddings()
    wide = FullPrecisionHead(head.in_features, head.out_features, bias=head.bias is not None, device="meta")
    wide.weight, wide.bias = head.weight, head.bias
    student.set_output_embeddings(wide)
    return HuggingFace(student, model.tokenizer).eval()


def numbers(model: HuggingFace) -> int:
    """Weights of a model; a head that is the embedding counts once."""
    return sum(weight.numel() for weight in model.parameters())


def first_tokens(batch: Batch, rows: Int[Tensor, " N"] | slice, length: int) -> Batch:
    """The first `length` positions of some rows."""
    return Batch(batch.tokens[rows, : length + 1], batch.mask[rows, :length])
