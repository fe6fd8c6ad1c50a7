"""Text as numbers: a vocabulary with one end mark, and batches that know which positions count."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

END = 0
"""The id that begins a text, ends it and pads it. One mark does all three, so `END` must count where it ends a text
and must not count where it pads: `Batch.mask` holds that distinction."""


@dataclass(frozen=True)
class Vocabulary:
    """A character vocabulary. `symbols[END]` is the mark for beginning, end and padding.

    >>> letters = Vocabulary(".ab")
    >>> letters.encode(["ab", "b"])
    tensor([[0, 1, 2, 0],
            [0, 2, 0, 0]])
    >>> letters.decode(letters.encode(["ab", "b"]))
    ['ab', 'b']
    """

    symbols: str  # one character per id; the first is the end mark

    def __len__(self) -> int:
        return len(self.symbols)

    def encode(self, texts: Iterable[str]) -> Int[Tensor, "B L"]:
        """Texts to ids, each between two end marks and padded with more of them to the longest.

        Raises:
            ValueError: a text holds a character outside the vocabulary.
        """
        texts = list(texts)
        if not texts:
            raise ValueError("no texts came to encode; expected at least one string")
        ids = {symbol: i for i, symbol in enumerate(self.symbols) if i != END}
        for text in texts:
            if strange := sorted(set(text) - set(ids)):
                raise ValueError(
                    f"the text {text!r} holds {strange}, outside this vocabulary of {len(self)} symbols "
                    f"({self.symbols[1:]!r} and the end mark {self.symbols[END]!r}); "
                    "lower-case or strip the text first, or build a vocabulary from it"
                )
        width = max(map(len, texts)) + 2
        return torch.tensor([[END, *(ids[c] for c in text)] + [END] * (width - 1 - len(text)) for text in texts])

    def decode(self, tokens: Int[Tensor, "B T"]) -> list[str]:
        """Ids to texts: what stands between the leading end mark (if any) and the next one."""
        return ["".join(self.symbols[i] for i in row).removeprefix(self.symbols[END]).split(self.symbols[END])[0]
                for row in tokens.tolist()]  # fmt: skip


@dataclass(frozen=True)
class Batch:
    """Token ids and the positions that count.

    `tokens` holds one id more than the model reads, L = T + 1: position t reads `inputs[:, :t+1]` and predicts
    `targets[:, t]`. Labels are shifted here, once, and nowhere else.
    """

    tokens: Int[Tensor, "B L"]
    mask: Bool[Tensor, "B T"]  # True where target t counts: generated text up to and including its end mark
    drawn_logp: Float[Tensor, "B T"] | None = (
        None  # nats; how likely each target was to be drawn, where others than the
    )
    #                                                 student had a hand in it; None: nobody needs to know

    @property
    def inputs(self) -> Int[Tensor, "B T"]:
        return self.tokens[:, :-1]

    @property
    def targets(self) -> Int[Tensor, "B T"]:
        return self.tokens[:, 1:]

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, rows: Int[Tensor, " N"] | slice) -> "Batch":
        return Batch(*(None if field is None else field[rows] for field in (self.tokens, self.mask, self.drawn_logp)))

    def to(self, device: torch.device | str) -> "Batch":
        return Batch(
            *(None if field is None else field.to(device) for field in (self.tokens, self.mask, self.drawn_logp))
        )

    @classmethod
    def from_tokens(cls, tokens: Int[Tensor, "B L"], prompt_length: int = 1) -> "Batch":
        """Count every target after the prompt up to and including the first end mark; padding after it never counts.

        Args:
            tokens: ids, each row a prompt of `prompt_length` ids, then text, then `END` (once as the end, more as pad).
            prompt_length: how many leading ids are given and not predicted. The leading `END` of a free text is one.

        >>> Batch.from_tokens(torch.tensor([[0, 1, 2, 0, 0]])).mask
        tensor([[ True,  True,  True, False]])
        """
        if prompt_length < 1 or prompt_length >= tokens.shape[1]:
            raise ValueError(
                f"prompt_length is {prompt_length} for rows of {tokens.shape[1]} ids; expected 1 … "
                f"{tokens.shape[1] - 1}, so that each row has something to read and something to predict"
            )
        targets = tokens[:, 1:]
        generated = torch.arange(targets.shape[1], device=tokens.device) >= prompt_length - 1
        ends = (targets == END) & generated
        ended_before = ends.cumsum(1) - ends.long() > 0
        return cls(tokens, generated & ~ended_before)
