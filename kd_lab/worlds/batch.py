"""Text as numbers: a character vocabulary, and batches that know which positions count."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from kd_lab.arguments import checked


@checked
@dataclass(frozen=True)
class Vocabulary:
    """A tokenizer of characters. The first symbol is a mark that no text holds: it begins a text, ends it and pads it.

    >>> letters = Vocabulary(".ab")
    >>> letters.encode(["ab", "b"])
    tensor([[0, 1, 2, 0],
            [0, 2, 0, 0]])
    >>> letters.decode(letters.encode(["ab", "b"]))
    ['ab', 'b']
    """

    symbols: str  # one character per id; the first is the end mark

    def __post_init__(self) -> None:
        if not self.symbols or len(set(self.symbols)) < len(self.symbols):
            raise ValueError(f"symbols is {self.symbols!r:.200}; expected the end mark and then each character once")

    def __len__(self) -> int:
        return len(self.symbols)

    @property
    def end(self) -> int:
        """The id that ends a text, which is also the one that begins it."""
        return 0

    @property
    def pad(self) -> int:
        """The id that fills a row after its end, here the end mark once more."""
        return self.end

    @checked
    def encode(self, texts: Iterable[str]) -> Int[Tensor, "B L"]:
        """Texts to ids, each between two end marks and padded with more of them to the longest.

        Raises:
            ValueError: a text holds a character outside the vocabulary.
        """
        texts = list(texts)
        if not texts:
            raise ValueError("no texts came to encode; expected at least one string")
        known = set(self.symbols[1:])
        for text in texts:
            if strange := sorted(set(text) - known):
                raise ValueError(
                    f"the text {text!r:.200} holds {strange}, outside this vocabulary of {len(self)} symbols "
                    f"({self.symbols[1:]!r} and the end mark {self.symbols[self.end]!r}); "
                    "lower-case or strip the text first, or build a vocabulary from it"
                )
        mark, width = self.symbols[self.end], max(map(len, texts)) + 1
        symbols, written = (  # code points: four bytes for each symbol, where a list of ids would take 36
            np.frombuffer(some.encode("utf-32-le", "surrogatepass"), dtype="<u4")
            for some in (self.symbols, "".join(mark + text.ljust(width, mark) for text in texts))
        )
        order = symbols.argsort()
        return torch.from_numpy(order[symbols[order].searchsorted(written)]).view(len(texts), width + 1)

    @checked
    def decode(self, tokens: Int[Tensor, "B T"]) -> list[str]:
        """Ids to texts: the symbols between the leading end mark (if any) and the next one."""
        mark = self.symbols[self.end]
        return ["".join(self.symbols[i] for i in row).removeprefix(mark).split(mark)[0] for row in tokens.tolist()]


@checked
@dataclass(frozen=True)
class Batch:
    """Token ids and the positions that count.

    `tokens` holds one id more than the model reads, L = T + 1: position t reads `inputs[:, :t+1]` and predicts
    `targets[:, t]`. Labels are shifted here, once, and nowhere else.

    Each row begins in its first column and is padded on the right. A causal model never looks right, so that padding
    needs no attention mask; the mask decides alone what counts. Ids alone could not, since the end often pads too.

    Raises:
        ValueError: the mask or `drawn_logp` is not of the targets, one column fewer than the ids.
    """

    tokens: Int[Tensor, "B L"]
    mask: Bool[Tensor, "B T"]  # True where target t counts: generated text up to and including its end
    # log-probability, in nats, with which each target was drawn, where not the student alone drew it; None: not needed
    drawn_logp: Float[Tensor, "B T"] | None = None

    def __post_init__(self) -> None:
        rows, ids = self.tokens.shape
        for name, given in (("mask", self.mask), ("drawn_logp", self.drawn_logp)):
            if given is not None and given.shape != (rows, ids - 1):
                raise ValueError(
                    f"{name} has shape {tuple(given.shape)} for tokens of shape {(rows, ids)}; expected "
                    f"{(rows, ids - 1)}, one entry for each target: column t is of the id in column t + 1"
                )

    @property
    def inputs(self) -> Int[Tensor, "B T"]:
        return self.tokens[:, :-1]

    @property
    def targets(self) -> Int[Tensor, "B T"]:
        return self.tokens[:, 1:]

    def counted(self) -> int:
        """The number of positions that count.

        Raises:
            ValueError: there is none, so that a mean over them is no number.
        """
        if not (number := int(self.mask.sum())):
            raise ValueError(
                f"none of the {self.mask.numel()} positions counts; expected a batch with text: its mask is True where "
                "a position counts"
            )
        return number

    @property
    def prompt_lengths(self) -> Int[Tensor, " B"]:
        """The leading ids of each row that are given: all before the first target that counts.

        Raises:
            ValueError: nothing counts in some row, which leaves open where its prompt ends.
        """
        if not self.mask.any(1).all():
            row = int((~self.mask.any(1)).nonzero()[0])
            raise ValueError(
                f"no target of row {row} counts, so its prompt has no end; expected at least one that counts: leave "
                "out texts that end inside their prompt"
            )
        return self.mask.int().argmax(1) + 1

    def prompts(self, pad: int) -> tuple[Int[Tensor, "B P"], Int[Tensor, " B"]]:
        """The given ids of each row, filled with `pad` on the right up to the longest prompt, and their numbers."""
        lengths = self.prompt_lengths
        columns = torch.arange(int(lengths.max()), device=lengths.device)
        return self.tokens[:, : len(columns)].where(columns < lengths[:, None], pad), lengths

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, rows: Int[Tensor, " N"] | Bool[Tensor, " B"] | slice) -> "Batch":
        return Batch(*(None if field is None else field[rows] for field in (self.tokens, self.mask, self.drawn_logp)))

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch on another device."""
        fields = (self.tokens, self.mask, self.drawn_logp)
        return Batch(*(None if field is None else field.to(device) for field in fields))

    @classmethod
    @checked
    def from_tokens(
        cls,
        tokens: Int[Tensor, "B L"],
        prompt_length: int | Int[Tensor, " B"] = 1,
        *,
        end: int,
        pad: int | None = None,
    ) -> "Batch":
        """Count every target after the prompt up to and including the first `end`; padding after it never counts.

        Args:
            tokens: ids, each row with a prompt, then text, then `end` once, then padding of any kind.
            prompt_length: the number of leading ids that are given and not predicted, for all rows or for each. The
                mark that begins a free text is one.
            end: the tokenizer's end of a text.
            pad: the tokenizer's padding. It matters where it is another id than `end` and a text was cut off before
                its end: without it such padding would count. Where both are one id, give cut texts a mask of your own.

        Raises:
            ValueError: a row has no prompt, or a prompt leaves nothing to predict.

        >>> Batch.from_tokens(torch.tensor([[0, 1, 2, 0, 0]]), end=0).mask
        tensor([[ True,  True,  True, False]])
        >>> Batch.from_tokens(torch.tensor([[7, 1, 2, 9, 9], [7, 7, 1, 1, 3]]), torch.tensor([1, 2]), end=9, pad=3).mask
        tensor([[ True,  True,  True, False],
                [False,  True,  True, False]])
        """
        lengths = torch.as_tensor(prompt_length, device=tokens.device).expand(len(tokens))
        if (lengths < 1).any() or (lengths >= tokens.shape[1]).any():
            raise ValueError(
                f"prompt_length is {prompt_length} for rows of {tokens.shape[1]} ids; expected 1 … "
                f"{tokens.shape[1] - 1}, so that each row has something to read and something to predict"
            )
        targets = tokens[:, 1:]
        generated = torch.arange(targets.shape[1], device=tokens.device) >= lengths[:, None] - 1
        ends = (targets == end) & generated
        over = ends.cumsum(1) - ends.long() > 0
        if pad is not None and pad != end:
            over |= (targets == pad) & generated
        return cls(tokens, generated & ~over)
