"""The contracts of the library, on one page.

One equation rules it. A distillation method is one choice for each of three knobs:

    L(θ) = E over prefixes drawn by WHERE of Σ_t HOW(WHAT(student, prefix), WHAT(teacher, prefix))

WHAT is the signal that is copied, HOW the gap that is measured, WHERE the source of the prefixes. The three do not know
one another; a `Recipe` puts them together and one training loop runs it. What they share stands below:

- a `LanguageModel` turns tokens into logits and can read on from a cache;
- a `Tokenizer` turns texts into tokens and says which ids end and pad them;
- a `What` binds a student and a teacher to a `Signal`, which reads one batch off both;
- a `How` compares the two halves of that signal and returns one number;
- a `Where` binds a world, a student and a teacher to a `Source`, which hands out batches.

Every kind is a name of a `Literal`, so that a recipe can refuse two knobs that do not fit. Implement a protocol by its
members; there is nothing to inherit from and nothing to register.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

if TYPE_CHECKING:
    from kd_lab.worlds import Batch, World

Kind = Literal["distributions", "paths", "tokens", "features", "relations", "heads", "sparse_distributions"]
"""The kind of a signal. A WHAT gives one; a HOW takes one or several."""

Access = Literal["text", "kept_logits", "logits", "hidden_states"]
"""The part of the teacher that must be open: its text alone (black box), a few logits kept on disk, all of its logits,
or its hidden states."""

Writer = Literal["data", "teacher", "student"]
"""The author of the prefixes. A source that lets the student write at times counts as the student's."""


@runtime_checkable
class Tokenizer(Protocol):
    """Texts to ids and back."""

    @property
    def end(self) -> int:
        """The id that finishes a text."""
        ...

    @property
    def pad(self) -> int:
        """The id that fills a row after its end; it may be `end` itself."""
        ...

    def __len__(self) -> int:
        """V, the number of ids."""
        ...

    def encode(self, texts: Iterable[str]) -> Int[Tensor, "B L"]:
        """Each text between the id that begins one, where there is such an id, and `end`; padded on the right."""
        ...

    def decode(self, tokens: Int[Tensor, "B T"]) -> list[str]:
        """The text of each row up to its end, without the ids that begin, end and pad it."""
        ...


@runtime_checkable
class Cache(Protocol):
    """The tokens that a model has read, in whatever form lets it read on."""

    @property
    def length(self) -> int:
        """Tokens read so far, the same number in each row; setting it lower forgets the last ones."""
        ...

    @length.setter
    def length(self, length: int) -> None: ...

    def select(self, rows: Int[Tensor, " N"]) -> "Cache":
        """A new cache whose row i continues row `rows[i]` of this one: a beam needs it when it sorts itself anew."""
        ...


@runtime_checkable
class LanguageModel(Protocol):
    """A module from tokens `[B, T]` to logits `[B, T, V]`: position t holds the scores of token t + 1."""

    @property
    def vocab_size(self) -> int:
        """V."""
        ...

    @property
    def context(self) -> int:
        """The most tokens that the model can read."""
        ...

    @property
    def end(self) -> int:
        """The id after which nothing more is written."""
        ...

    def new_cache(self, batch_size: int, length: int) -> Cache:
        """An empty cache with room for `length` tokens in each of `batch_size` rows."""
        ...

    def __call__(self, tokens: Int[Tensor, "B T"], cache: Any = None) -> Float[Tensor, "B T V"]: ...


@dataclass(frozen=True)
class Signal:
    """A reader of batches, bound to one student and one teacher."""

    read: Callable[["Batch"], tuple[Any, Any]]  # the student's signal, then the teacher's, which carries no gradient
    parameters: tuple[nn.Parameter, ...] = ()  # trained beside the student and thrown away after, such as a projector


class Head(NamedTuple):
    """One side's logits before they are made. The signal of kind "heads".

    logits = softcap·tanh(logit_scale·(hidden @ weightᵀ + bias) / softcap), without the tanh where there is no softcap.
    """

    hidden: Float[Tensor, "B T W"]
    weight: Float[Tensor, "V W"]
    bias: Float[Tensor, " V"] | None = None
    logit_scale: float = 1.0  # Cohere's, Granite's and muP's
    softcap: float | None = None  # Gemma's

    def logits(self, dtype: torch.dtype = torch.float32) -> Float[Tensor, "... V"]:
        """All the logits in `dtype`, under autocast too; differentiable.

        >>> head = Head(torch.tensor([[1.0, 2.0]]), torch.eye(2), logit_scale=0.5, softcap=1.0)
        >>> head.logits()  # tanh ½, tanh 1
        tensor([[0.4621, 0.7616]])
        """
        bias = None if self.bias is None else self.bias.to(dtype)
        with torch.autocast(self.hidden.device.type, enabled=False):
            logits = nn.functional.linear(self.hidden.to(dtype), self.weight.to(dtype), bias) * self.logit_scale
        return logits if self.softcap is None else self.softcap * (logits / self.softcap).tanh()


@dataclass(frozen=True)
class Source:
    """Batches on demand: `source(8)` is a batch of eight texts."""

    draw: Callable[[int], "Batch"]
    chance: tuple[torch.Generator, ...] = ()  # all that `draw` draws from, so that a run can be saved and resumed

    def __call__(self, batch_size: int) -> "Batch":
        return self.draw(batch_size)


@runtime_checkable
class What(Protocol):
    """The signal that is copied."""

    gives: Kind
    needs: Access

    def bind(self, student: nn.Module, teacher: object, seed: int) -> Signal: ...


@runtime_checkable
class How(Protocol):
    """The gap that is measured, in nats per counted position.

    `normalizer` replaces the number of positions that count in this batch: where a step is made of several batches,
    each divides its sum by the count of all, and the losses add up to the mean over the whole.
    """

    takes: tuple[Kind, ...]

    def __call__(
        self, student_signal: Any, teacher_signal: Any, batch: "Batch", normalizer: float | Tensor | None = None
    ) -> Float[Tensor, ""]: ...


@runtime_checkable
class Where(Protocol):
    """The prefixes that are visited."""

    @property
    def written_by(self) -> Writer: ...

    def bind(self, world: "World", student: nn.Module, teacher: object, seed: int) -> Source: ...


def derive(seed: int, name: str) -> int:
    """The seed of the stream that bears this name: another name or another seed gives an unrelated number."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:8], "little", signed=True)


def stream(seed: int, name: str, device: torch.device | str = "cpu") -> torch.Generator:
    """The stream of chance that bears this name, a generator on `device`.

    Streams of different names or seeds do not overlap: `seed` and `seed + 1` are two runs, not two streams of one.

    >>> draws = [torch.rand((), generator=stream(seed, name)).item() for seed in (0, 1) for name in ("coin", "texts")]
    >>> len(set(draws)) == 4 and draws[0] == torch.rand((), generator=stream(0, "coin")).item()
    True
    """
    return torch.Generator(device).manual_seed(derive(seed, name))
