"""A teacher whose tokens are pairs of letters, and a student whose tokens are letters.

Two ways to compare them. The teacher's pairs can be summed to exact probabilities of single letters, so that every loss
of the library applies. Or the two lists of probabilities are sorted and compared by rank, which needs no knowledge of
the tokens and does not see them either: Universal Logit Distillation (ULD).
"""

from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from kd_lab.contracts import Access, Kind, Signal
from kd_lab.how import NegativeLogLikelihood, masked_mean
from kd_lab.methods import Recipe, Term, distill, labels_only
from kd_lab.models import GPT, GPTConfig
from kd_lab.what import Sequences
from kd_lab.where import Corpus
from kd_lab.worlds import Batch, World, surnames

LETTERS = 27  # the mark and 26 letters
PAIRS = LETTERS**2
TEACHER_STEPS, TEACHER_BATCH = 700, 64


# ---- pairs of letters ------------------------------------------------------------------------------------------------


def paired(tokens: Int[Tensor, "B L"]) -> Int[Tensor, "B P"]:
    """Letters to pairs: the mark that begins a text stays alone, and pair number a·27 + b is the letters a and b.

    A text of an odd number of letters ends inside its last pair, one of an even number with the pair of two marks,
    which is also the mark that begins a text.

    >>> paired(torch.tensor([[0, 1, 2, 3, 0]])).tolist()  # the mark, ab, and c with the end
    [[0, 29, 81]]
    """
    letters = tokens[:, 1:]
    letters = torch.nn.functional.pad(letters, (0, letters.shape[1] % 2))
    return torch.cat([tokens[:, :1], letters[:, 0::2] * LETTERS + letters[:, 1::2]], 1)


def whole_pairs(tokens: Int[Tensor, "B L"]) -> Int[Tensor, "B P"]:
    """As `paired`, without a last pair of which only the first letter is there."""
    return paired(tokens)[:, : 1 + (tokens.shape[1] - 1) // 2]


def letters_of_pairs(pair_logp: Float[Tensor, "*N 729"], first: Int[Tensor, "*N"] | None = None) -> Tensor:
    """Log-probabilities of one letter from those of pairs: of the first, or of the second after `first`, [..., 27]."""
    table = pair_logp.unflatten(-1, (LETTERS, LETTERS))
    if first is None:
        return table.logsumexp(-1)
    row = table.gather(-2, first[..., None, None].expand(*first.shape, 1, LETTERS))[..., 0, :]
    return row.log_softmax(-1)


@dataclass
class ReadLetters:
    """The letters read so far; a model of pairs reads them anew, since half a pair cannot be kept."""

    letters: Int[Tensor, "B L"]
    length: int = 0

    def select(self, rows: Int[Tensor, " N"]) -> "ReadLetters":
        """A new cache whose row i continues row `rows[i]` of this one."""
        return ReadLetters(self.letters[rows], self.length)


class LetterView(nn.Module):
    """A model of pairs seen as a model of letters, exactly: p(x) = Σ_y p(xy), and p(y | x) = p(xy) / p(x)."""

    def __init__(self, pairs: nn.Module, context: int):
        super().__init__()
        self.pairs, self.context = pairs, context
        self.vocab_size, self.end = LETTERS, 0

    def new_cache(self, batch_size: int, length: int) -> ReadLetters:
        """An empty cache with room for `length` letters in each of `batch_size` rows."""
        return ReadLetters(torch.zeros(batch_size, length, dtype=torch.long))

    def forward(self, tokens: Int[Tensor, "B T"], cache: ReadLetters | None = None) -> Float[Tensor, "B T 27"]:
        """Log-probabilities of the letter after each position."""
        new = tokens.shape[1]
        if cache is not None:
            cache.letters[:, cache.length : cache.length + new] = tokens
            cache.length += new
            tokens = cache.letters[:, : cache.length]
        count = tokens.shape[1]
        pair_logp = self.pairs(whole_pairs(tokens)).log_softmax(-1)
        at = torch.arange(count)
        seen = pair_logp[:, at // 2]  # after the whole pairs before each position
        letters = torch.where((at % 2 == 0)[:, None], letters_of_pairs(seen), letters_of_pairs(seen, tokens))
        return letters[:, -new:]


@cache
def pair_teacher() -> GPT:
    """A GPT of pairs that has read the shipped teacher's eighteen thousand names: 213,000 weights, half a minute."""
    letters = surnames()
    train, held_out = (Batch.from_tokens(paired(part.tokens), end=0) for part in (letters.train, letters.held_out))
    place = World("pairs of letters", PairNames(), train, held_out)
    model = GPT(GPTConfig(PAIRS, place.context, layers=2, heads=4, width=80), seed=0)
    distill(model, None, place, labels_only(), steps=TEACHER_STEPS, seed=0, batch_size=TEACHER_BATCH, progress=False)
    return model


@dataclass(frozen=True)
class PairNames:
    """The tokenizer of pairs, as far as training needs one."""

    end: ClassVar[int] = 0
    pad: ClassVar[int] = 0

    def __len__(self) -> int:
        return PAIRS

    def encode(self, texts: list[str]) -> Int[Tensor, "B L"]:
        """Texts to pairs."""
        return paired(surnames().vocabulary.encode(texts))

    def decode(self, tokens: Int[Tensor, "B T"]) -> list[str]:
        """Pairs to texts."""
        letters = torch.stack([tokens // LETTERS, tokens % LETTERS], -1).flatten(1)[:, 1:]
        return surnames().vocabulary.decode(letters)


# ---- sorted probabilities --------------------------------------------------------------------------------------------


def sorted_gap(one: Float[Tensor, "*N V"], other: Float[Tensor, "*N W"]) -> Float[Tensor, "*N"]:
    """Σ_i |p_(i) − q_(i)| of two lists of probabilities by rank, the shorter filled with zeros.

    It is 0 if one list is the other in another order, whatever the tokens are.

    >>> sorted_gap(torch.tensor([0.7, 0.2, 0.1]), torch.tensor([0.1, 0.9])).item()
    0.3999...
    """
    size = max(one.shape[-1], other.shape[-1])
    one, other = (
        torch.nn.functional.pad(side, (0, size - side.shape[-1])).sort(dim=-1, descending=True).values
        for side in (one, other)
    )
    return (one - other).abs().sum(-1)


ALIGNMENTS = ("index", "letter")


@dataclass(frozen=True)
class OwnTokens:
    """The student's logits, and the teacher's at its own tokens, aligned as well as can be.

    By "index" the student's position t stands beside the teacher's position t, two letters per token further on. By
    "letter" only positions where both have read the same letters are compared, every second one of the student's.
    """

    align: str = "index"
    gives: ClassVar[Kind] = "own_tokens"
    needs: ClassVar[Access] = "logits"

    def __post_init__(self):
        if self.align not in ALIGNMENTS:
            raise ValueError(f"align is {self.align!r}; expected one of {', '.join(map(repr, ALIGNMENTS))}")

    def __str__(self) -> str:
        return f"logits of other tokens, by {self.align}"

    def bind(self, student: nn.Module, teacher: nn.Module, seed: int) -> Signal:
        """A reader of (student's logits, which positions are compared) and the teacher's logits there, [B, T, 729]."""
        pairs = getattr(teacher, "pairs", None)
        if pairs is None:
            raise ValueError(f"the teacher is a {type(teacher).__name__}; expected a LetterView, which knows its pairs")

        def read(batch: Batch) -> tuple[tuple[Tensor, Tensor], Tensor]:
            with torch.no_grad():
                logits = pairs(whole_pairs(batch.inputs))
            at = torch.arange(batch.inputs.shape[1])
            by_letter = self.align == "letter"
            theirs = at // 2 if by_letter else at
            compared = at % 2 == 0 if by_letter else at < logits.shape[1]
            return (student(batch.inputs), compared), logits[:, theirs.clamp_max(logits.shape[1] - 1)]

        return Signal(read)


@dataclass(frozen=True)
class SortedProbabilities:
    """Σ_i |p_(i) − q_(i)| per position: the gap of two lists of probabilities by rank.

    Source: Boizard et al. (2024), arXiv:2402.12030, there added to the cross-entropy of the text.
    """

    takes: ClassVar[tuple[Kind, ...]] = ("own_tokens",)

    def __str__(self) -> str:
        return "sorted probabilities"

    def __call__(
        self, student: tuple[Tensor, Tensor], teacher: Tensor, batch: Batch, normalizer: float | Tensor | None = None
    ) -> Float[Tensor, ""]:
        """The loss per counted position; positions that are not compared add nothing."""
        logits, compared = student
        gap = sorted_gap(logits.softmax(-1), teacher.softmax(-1)).where(compared, 0.0)
        return masked_mean(gap, batch.mask, normalizer)


def uld(align: str = "index") -> Recipe:
    """Sorted probabilities beside the labels, both with weight 1."""
    terms = (
        Term(Sequences(), NegativeLogLikelihood(), Corpus()),
        Term(OwnTokens(align), SortedProbabilities(), Corpus()),
    )
    return Recipe(f"ULD, by {align}", terms=terms, source="arXiv:2402.12030")
