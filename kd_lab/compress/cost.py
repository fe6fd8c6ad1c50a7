"""The cost of a token: parameters × bits per parameter × work per parameter, and the limit that a machine meets first.

Distillation and structured pruning cut the first factor, quantization the second, kernels that skip zeros the third.
The factors multiply, and so do the ratios of a stack's stages: its cost is known before it is built.

One generated token of a text that is written with a KV cache is counted. Norms, softmax, residual sums and the sampling
of the token are left out: less than a hundredth of the work in any model worth shrinking.
"""

from dataclasses import dataclass
from math import prod

from torch import nn

from kd_lab.arguments import checked
from kd_lab.compress.quantize.model import QuantizedModel
from kd_lab.compress.quantize.rounding import Group, Scheme
from kd_lab.models import GPTConfig

KERNELS_PER_LAYER = 9
"""Kernels that a GPU launches one after another for a block, at least: two norms, four matrices, attention, activation
and one sum; the other sum is taken to be fused into a norm.
"""


@checked
@dataclass(frozen=True)
class Cost:
    """Counts for one generated token; `work` in multiply-adds, two floating-point operations each."""

    parameters: int
    bits: float  # per parameter, as stored, on average
    work: float  # multiply-adds per parameter: close to 1 where everything is multiplied once
    cache_traffic: float  # bytes of keys and values read and written
    batch_size: int  # texts written at once, which share one reading of the weights
    layers: int

    @property
    def bytes(self) -> float:
        """Of the weights: parameters × bits / 8."""
        return self.parameters * self.bits / 8

    @property
    def operations(self) -> float:
        """Floating-point operations: 2 · parameters · work per parameter."""
        return 2 * self.parameters * self.work

    @property
    def traffic(self) -> float:
        """Bytes between memory and processor: this text's share of the weights, and its own cache."""
        return self.bytes / self.batch_size + self.cache_traffic

    @property
    def product(self) -> float:
        """parameters × bits × work: bits that pass a multiplier."""
        return self.parameters * self.bits * self.work


@checked
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


@checked
def parameter_count(config: GPTConfig) -> int:
    """The number of parameters of a GPT of this shape.

    V·W for the tokens, context·W for the positions, per layer 4·W·H·F for attention, 2·W·C for the perceptron and 2·W
    for norms, and W for the last norm.

    >>> parameter_count(GPTConfig(vocab_size=27, context=14, layers=4, heads=4, width=128))
    792832
    """
    return config.matrix_numbers + config.vector_numbers


def _multiplied_per_layer(config: GPTConfig) -> int:
    return config.width * (4 * config.heads * config.features_a_head + 2 * config.hidden_units)


@checked
def bits_per_parameter(config: GPTConfig, bits: int, group: Group = 32) -> float:
    """Bits per parameter, on average, in the file of a quantized GPT of this shape.

    Every matrix takes `bits` per weight and a 16-bit scale per group of inputs of an output; the last group may be
    shorter. The norms stay in 32 bits.

    Args:
        config: the shape.
        bits: of one code.
        group: as in `quantize.round_to_nearest`, on symmetric grids.

    Raises:
        ValueError: bits or group is out of range.

    >>> round(bits_per_parameter(GPTConfig(vocab_size=27, context=14), bits=4), 2)
    4.54
    """
    width, gathered, hidden = config.width, config.heads * config.features_a_head, config.hidden_units
    per_layer = [(3 * gathered, width), (width, gathered), (hidden, width), (width, hidden)]
    shapes = [(config.vocab_size, width), (config.context, width), *(per_layer * config.layers)]
    scheme = Scheme(bits, group)
    matrices = sum(bits * prod(shape) + 16 * prod(scheme.scale_shape(shape)) for shape in shapes)
    return (matrices + 32 * (2 * config.layers + 1) * width) / parameter_count(config)


@checked
def token_cost(
    model: nn.Module | GPTConfig | QuantizedModel,
    *,
    bits: float | None = None,
    batch_size: int = 1,
    length: int | None = None,
    skipped: float = 0.0,
    cache_bits: int = 16,
) -> Cost:
    """The cost of one generated token.

    Per token every matrix of the blocks and the head multiply once, and attention multiplies the new query with
    `length` keys and as many values: 2 · layers · H · F · length multiply-adds.

    Args:
        model: a GPT, another module with its `config`, a `QuantizedModel`, or the config alone.
        bits: per stored parameter, scales included, on average; by default as the model is stored: of a quantized one
            codes, scales, zero points and norms, else the width of its floating-point numbers.
        batch_size: texts that are written at once.
        length: tokens in the cache; by default half the context, the average over a full text.
        skipped: share of the blocks' multiplications that a kernel skips, such as zeros. An ordinary dense kernel
            skips none, however many zeros there are.
        cache_bits: per number in the cache.

    Raises:
        ValueError: something is out of range, or a config comes without `bits`.

    >>> shape = GPTConfig(vocab_size=27, context=14, layers=4, heads=4, width=128)
    >>> now = token_cost(shape, bits=16)
    >>> now.bytes, round(now.work, 3)
    (1585664.0, 1.005)
    >>> token_cost(shape, bits=16, skipped=0.9).work < 0.12
    True
    """
    config = model if isinstance(model, GPTConfig) else getattr(model, "config", None)
    if not isinstance(config, GPTConfig):
        raise ValueError(f"model is a {type(model).__name__} without a GPTConfig; expected a GPT, or a config alone")
    if bits is None:
        bits = _bits_of(model)
    length = config.context // 2 if length is None else length
    if bits <= 0 or batch_size < 1 or length < 0 or not 0 <= skipped < 1:
        raise ValueError(
            f"bits is {bits}, batch_size {batch_size}, length {length}, skipped {skipped}; expected bits above 0, at "
            "least one text, no negative length, and a share of skipped work of at least 0 and below 1"
        )
    parameters, features = parameter_count(config), config.heads * config.features_a_head
    blocks = config.layers * _multiplied_per_layer(config) * (1 - skipped)
    multiplied = blocks + config.vocab_size * config.width + 2 * config.layers * features * length
    cache_traffic = 2 * config.layers * features * (length + 1) * cache_bits / 8
    return Cost(parameters, bits, multiplied / parameters, cache_traffic, batch_size, config.layers)


def _bits_of(model: nn.Module | GPTConfig | QuantizedModel) -> float:
    if isinstance(model, GPTConfig):
        raise ValueError("a config says nothing of how its weights are stored; pass bits, such as bits=16")
    quantized = isinstance(model, QuantizedModel)
    codes = list(model.matrices.values()) if quantized else []
    weights = list(model.rest.values() if quantized else model.parameters())
    stored = sum(matrix.stored_bits for matrix in codes) + 8 * sum(w.numel() * w.element_size() for w in weights)
    return stored / (sum(matrix.codes.numel() for matrix in codes) + sum(w.numel() for w in weights))


@checked
def factors(new: Cost, old: Cost) -> Factors:
    """The three ratios of two costs.

    >>> before = token_cost(GPTConfig(vocab_size=27, context=14), bits=16)
    >>> after = token_cost(GPTConfig(vocab_size=27, context=14, layers=2), bits=4)
    >>> ratios = factors(after, before)
    >>> round(ratios.parameters, 3), ratios.bits, round(ratios.size, 3)
    (0.503, 0.25, 0.126)
    """
    return Factors(new.parameters / old.parameters, new.bits / old.bits, new.work / old.work)


# ---- the roofline ----------------------------------------------------------------------------------------------------


@checked
@dataclass(frozen=True)
class Device:
    """A machine's peak rates by its maker's figures, and the time to launch one kernel on it."""

    bandwidth: float  # bytes per second between memory and processor
    peak: float  # floating-point operations per second, dense: 16-bit on tensor cores, fp32 where there are none
    launch: float  # seconds that a kernel takes at least, however small: a usual figure, not the maker's


DEVICES = {
    "H100 SXM": Device(3.35e12, 989e12, 4e-6),  # NVIDIA H100 datasheet, dense FP16 tensor cores
    "A100 80 GB": Device(2.039e12, 312e12, 4e-6),  # NVIDIA A100 80GB SXM datasheet, dense FP16 tensor cores
    "RTX 4090": Device(1.008e12, 165.2e12, 4e-6),  # NVIDIA Ada whitepaper, FP16 with FP32 accumulation
    "Apple M2": Device(100e9, 3.6e12, 10e-6),  # Apple's figures, GPU
    "Raspberry Pi 5": Device(17.1e9, 153.6e9, 1e-6),  # 32-bit LPDDR4X-4267; 4 cores × 2.4 GHz × 16 per cycle
}
"""Public machines by name."""


@checked
def roofline(cost: Cost, device: Device) -> dict[str, float]:
    """Lower bounds on the seconds per token: memory, arithmetic, latency.

    Memory: traffic ÷ bandwidth. Arithmetic: operations ÷ peak. Latency: kernels in a row × the time to launch one,
    shared by the texts of a batch. Where the three overlap perfectly, the largest is the time per token.

    >>> seven_billion = GPTConfig(vocab_size=32_000, context=4096, layers=32, heads=32, width=4096, channels=16_512)
    >>> for batch_size in (1, 1024):
    ...     times = roofline(token_cost(seven_billion, bits=16, batch_size=batch_size, length=0), DEVICES["A100 80 GB"])
    ...     print(batch_size, max(times, key=times.get))
    1 memory
    1024 arithmetic

    Source: Williams, Waterman & Patterson (2009), "Roofline", doi:10.1145/1498765.1498785.
    """
    return {
        "memory": cost.traffic / device.bandwidth,
        "arithmetic": cost.operations / device.peak,
        "latency": (KERNELS_PER_LAYER * cost.layers + 2) * device.launch / cost.batch_size,
    }


@checked
def bottleneck(cost: Cost, device: Device) -> str:
    """The largest of the three bounds: "memory", "arithmetic" or "latency"."""
    times = roofline(cost, device)
    return max(times, key=times.__getitem__)
