"""What a model costs: cost ≈ parameters × bits a parameter × work a parameter, and which factor to cut first.

Distillation and structured pruning cut the first factor, quantization the second, kernels that skip zeros the third.
Factors multiply, so the ratios of the stages of a stack do too, and the cost of a stack is known before it is built.

Counted is one generated token of a text that is written with a KV cache. Norms, softmax, residual sums and the drawing
of the token are left out: less than a hundredth of the work in any model worth shrinking.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from kd_lab.models import GPTConfig

KERNELS_A_LAYER = 9
"""What a GPU is handed one after another for a block: two norms, four matrices, attention, the bend, sums."""


@dataclass(frozen=True)
class Cost:
    """Counts for one generated token; `work` in multiply-adds, two floating-point operations each."""

    parameters: int
    bits: float  # a parameter, as stored, on average
    work: float  # multiply-adds a parameter: close to 1 where everything is multiplied once
    cache_traffic: float  # bytes of keys and values read and written
    batch_size: int  # texts written at once, which share one reading of the weights
    layers: int

    @property
    def bytes(self) -> float:
        """Of the weights: parameters × bits / 8."""
        return self.parameters * self.bits / 8

    @property
    def operations(self) -> float:
        """Floating-point operations: 2 · parameters · work a parameter."""
        return 2 * self.parameters * self.work

    @property
    def traffic(self) -> float:
        """Bytes that move between memory and processor: a share of the weights, and this text's own cache."""
        return self.bytes / self.batch_size + self.cache_traffic

    @property
    def product(self) -> float:
        """parameters × bits × work: bits that go through a multiplier."""
        return self.parameters * self.bits * self.work


@dataclass(frozen=True)
class Factors:
    """A cost relative to another one, factor by factor; below 1 is cheaper. `*` stacks one stage on another.

    >>> distilled, quantized = Factors(parameters=0.25), Factors(bits=0.25)
    >>> (distilled * quantized).size
    0.0625
    """

    parameters: float = 1.0
    bits: float = 1.0
    work: float = 1.0

    @property
    def size(self) -> float:
        """parameters × bits: the ratio of the bytes on disk."""
        return self.parameters * self.bits

    @property
    def operations(self) -> float:
        """parameters × work: the ratio of the arithmetic."""
        return self.parameters * self.work

    @property
    def product(self) -> float:
        """All three."""
        return self.parameters * self.bits * self.work

    def __mul__(self, other: "Factors") -> "Factors":
        return Factors(self.parameters * other.parameters, self.bits * other.bits, self.work * other.work)


def parameters_of(config: GPTConfig) -> int:
    """How many numbers a GPT of this shape holds.

    V·W for the tokens, context·W for the positions, per layer 4·W·H·F for attention, 2·W·C for the perceptron and 2·W
    for norms, and W for the last norm.

    >>> parameters_of(GPTConfig(vocab_size=27, context=14, layers=4, heads=4, width=128))
    792832
    """
    return (config.vocab_size + config.context + 1) * config.width + config.layers * (
        _multiplied_a_layer(config) + 2 * config.width
    )


def _multiplied_a_layer(config: GPTConfig) -> int:
    return config.width * (4 * config.heads * config.features_a_head + 2 * config.hidden_units)


def stored_bits(config: GPTConfig, bits: int, group: int | str = 32) -> float:
    """Bits a parameter on average in the file of a quantized GPT, known from its shape alone.

    Every matrix takes `bits` a weight and a 16-bit scale for each `group` inputs of an output, or for what is left of
    them; the norms stay in 32 bits.

    Args:
        config: the shape.
        bits: of one code.
        group: inputs that share a scale; "channel": all of an output.

    >>> round(stored_bits(GPTConfig(vocab_size=27, context=14), bits=4), 2)
    4.54
    """
    width, gathered, hidden = config.width, config.heads * config.features_a_head, config.hidden_units
    per_layer = [(3 * gathered, width), (width, gathered), (hidden, width), (width, hidden)]
    shapes = [(config.vocab_size, width), (config.context, width), *(per_layer * config.layers)]
    scales = {shape: 1 if group == "channel" else -(-shape[1] // group) for shape in shapes}  # an output
    matrices = sum(shape[0] * (bits * shape[1] + 16 * scales[shape]) for shape in shapes)
    return (matrices + 32 * (2 * config.layers + 1) * width) / parameters_of(config)


def cost(
    model: nn.Module | GPTConfig,
    *,
    bits: float | None = None,
    batch_size: int = 1,
    length: int | None = None,
    skipped: float = 0.0,
    cache_bits: int = 16,
) -> Cost:
    """Count what one generated token costs.

    Per token every matrix of the blocks and the head multiply once, and attention multiplies the new query with
    `length` keys and as many values: 2 · layers · H · F · length multiply-adds.

    Args:
        model: a GPT, whatever has its `config`, or the config alone.
        bits: a stored parameter takes, scales included, on average; by default what the model says of itself in
            `bits_per_weight`, or the width of its floating-point numbers.
        batch_size: texts that are written at once.
        length: tokens in the cache; by default half the context, the average over a full text.
        skipped: share of the blocks' multiplications that a kernel skips, such as zeros. An ordinary dense kernel
            skips none, however many zeros there are.
        cache_bits: of a number in the cache.

    Raises:
        ValueError: something is out of range, or a config comes without `bits`.

    >>> shape = GPTConfig(vocab_size=27, context=14, layers=4, heads=4, width=128)
    >>> now = cost(shape, bits=16)
    >>> now.bytes, round(now.work, 3)
    (1585664.0, 1.005)
    >>> cost(shape, bits=16, skipped=0.9).work < 0.12
    True
    """
    config = model if isinstance(model, GPTConfig) else model.config
    if bits is None:
        bits = _bits_of(model)
    length = config.context // 2 if length is None else length
    if bits <= 0 or batch_size < 1 or length < 0 or not 0 <= skipped < 1:
        raise ValueError(
            f"bits is {bits}, batch_size {batch_size}, length {length}, skipped {skipped}; expected bits above 0, at "
            "least one text, no negative length, and a share of skipped work of at least 0 and below 1"
        )
    parameters, features = parameters_of(config), config.heads * config.features_a_head
    blocks = config.layers * _multiplied_a_layer(config) * (1 - skipped)
    multiplied = blocks + config.vocab_size * config.width + 2 * config.layers * features * length
    cache_traffic = 2 * config.layers * features * (length + 1) * cache_bits / 8
    return Cost(parameters, bits, multiplied / parameters, cache_traffic, batch_size, config.layers)


def _bits_of(model: nn.Module | GPTConfig) -> float:
    if isinstance(model, GPTConfig):
        raise ValueError("a config says nothing of how its weights are stored; pass bits, such as bits=16")
    said = getattr(model, "bits_per_weight", None)
    if said is not None:
        return float(said)
    weights = list(model.parameters())
    return 8 * sum(w.numel() * w.element_size() for w in weights) / sum(w.numel() for w in weights)


def factors(new: Cost, old: Cost) -> Factors:
    """The three ratios of two costs.

    >>> before = cost(GPTConfig(vocab_size=27, context=14), bits=16)
    >>> after = cost(GPTConfig(vocab_size=27, context=14, layers=2), bits=4)
    >>> ratios = factors(after, before)
    >>> round(ratios.parameters, 3), ratios.bits, round(ratios.size, 3)
    (0.503, 0.25, 0.126)
    """
    return Factors(new.parameters / old.parameters, new.bits / old.bits, new.work / old.work)


# ---- the roof --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Device:
    """What a machine can do at most, by its maker's figures, and what it takes to start one operation on it."""

    bandwidth: float  # bytes a second between memory and processor
    peak: float  # floating-point operations a second, dense, 16-bit where it has units for that
    start: float  # seconds that an operation takes at least, however small: a usual figure, not the maker's


DEVICES = {
    "H100 SXM": Device(3.35e12, 989e12, 4e-6),  # NVIDIA H100 datasheet, dense FP16 tensor cores
    "A100 80 GB": Device(2.039e12, 312e12, 4e-6),  # NVIDIA A100 80GB SXM datasheet, dense FP16 tensor cores
    "RTX 4090": Device(1.008e12, 165.2e12, 4e-6),  # NVIDIA Ada whitepaper, FP16 with FP32 accumulation
    "Apple M2": Device(100e9, 3.6e12, 10e-6),  # Apple's figures, GPU
    "Raspberry Pi 5": Device(17.1e9, 153.6e9, 1e-6),  # 32-bit LPDDR4X-4267; 4 cores × 2.4 GHz × 16 a cycle
}
"""Public machines by name."""


def limits(one: Cost, device: Device) -> dict[str, float]:
    """Seconds that a token takes at least, by each of three limits: memory, arithmetic, latency.

    Memory: traffic ÷ bandwidth. Arithmetic: operations ÷ peak. Latency: operations in a row × the time to start one,
    shared by the texts of a batch. Where they overlap perfectly, the largest is the time of a token.

    >>> seven_billion = GPTConfig(vocab_size=32_000, context=4096, layers=32, heads=32, width=4096, channels=16_512)
    >>> for batch_size in (1, 1024):
    ...     times = limits(cost(seven_billion, bits=16, batch_size=batch_size, length=0), DEVICES["A100 80 GB"])
    ...     print(batch_size, max(times, key=times.get))
    1 memory
    1024 arithmetic

    Source: Williams, Waterman & Patterson (2009), "Roofline", doi:10.1145/1498765.1498785.
    """
    return {
        "memory": one.traffic / device.bandwidth,
        "arithmetic": one.operations / device.peak,
        "latency": (KERNELS_A_LAYER * one.layers + 2) * device.start / one.batch_size,
    }


def bottleneck(one: Cost, device: Device) -> str:
    """The limit that a token meets first: "memory", "arithmetic" or "latency"."""
    times = limits(one, device)
    return max(times, key=times.__getitem__)


# ---- what to cut first -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Advice:
    """What to do first, and why."""

    first: str
    reason: str
    agrees: bool | None  # whether the measurement says so too; None: nothing was measured


RULES = {
    "memory": (
        "quantize",
        "every byte of the weights crosses the bus for every token, and bits fall without any training",
    ),
    "latency": (
        "fewer layers",
        "layers run one after another, and a layer that does less starts no sooner",
    ),
    "arithmetic": (
        "narrower layers",
        "whole heads and channels leave smaller products, which any kernel multiplies faster",
    ),
    "text only": (
        "sequence-level distillation",
        "rounding and pruning need the weights, word-level distillation the logits; this needs neither",
    ),
    "size": (
        "the whole stack",
        "the three cut different factors, and factors multiply",
    ),
}
"""Bottleneck → what to do first, and the reason."""


def pick(bottleneck: str, measured: Mapping[str, float] | None = None) -> Advice:
    """The rule of thumb for a bottleneck, held against a measurement if there is one.

    Args:
        bottleneck: "memory", "latency", "arithmetic", "text only" (all that can be had of the teacher) or "size".
        measured: what was tried → how much better it made the thing that is short (× as fast, × smaller). It has to
            hold the rule's own move, by its name here.

    Raises:
        ValueError: an unknown bottleneck, or a measurement without the rule's own move.

    >>> pick("memory").first
    'quantize'
    >>> advice = pick("latency", {"quantize": 0.9, "fewer layers": 2.0, "narrower layers": 1.3})
    >>> advice.agrees
    True
    >>> print(advice.reason)
    layers run one after another, and a layer that does less starts no sooner (measured: fewer layers 2.0 ×, narrower \
layers 1.3 ×, quantize 0.9 ×)
    """
    if bottleneck not in RULES:
        raise ValueError(f"bottleneck is {bottleneck!r}; expected one of {', '.join(map(repr, RULES))}")
    first, reason = RULES[bottleneck]
    if measured is None:
        return Advice(first, reason, None)
    if first not in measured:
        raise ValueError(
            f"measured holds {', '.join(map(repr, measured))}; expected {first!r} among them, which the rule for "
            f"{bottleneck!r} puts first"
        )
    ranking = sorted(measured, key=measured.__getitem__, reverse=True)
    numbers = ", ".join(f"{move} {measured[move]:.1f} ×" for move in ranking)
    return Advice(first, f"{reason} (measured: {numbers})", ranking[0] == first)
