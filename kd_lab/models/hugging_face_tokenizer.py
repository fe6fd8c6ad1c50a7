"""Tokenizers of transformers, and worlds of the texts, pairs and chats that they encode."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from kd_lab.contracts import Tokenizer
from kd_lab.worlds import Batch, World

Example = str | tuple[str, str] | Sequence[Mapping[str, str]]
"""A free text; a prompt and its answer; or the messages of a chat, the last of them the assistant's answer."""


class HuggingFaceTokenizer:
    """A tokenizer of transformers as a tokenizer of this library.

    A text is `begin`, its ids, `end`; rows are filled on the right with `pad`. Where the tokenizer has no mark for the
    beginning it is the end mark, and where it has no padding that is the end mark too, as GPT-2 has it. A mark that a
    text or its chat template begins with is that mark: none is put before it.
    """

    def __init__(self, backend: Any, end: int | None = None) -> None:
        """Take its marks from a tokenizer of transformers.

        Args:
            backend: the tokenizer, such as `AutoTokenizer.from_pretrained(…)` returns it.
            end: the id that ends a text, where it is another one than the tokenizer's `eos_token_id`: for chats with
                Gemma, say, the end of a turn.

        Raises:
            ValueError: there is no id that could end a text.
        """
        end = backend.eos_token_id if end is None else end
        if end is None:
            raise ValueError(
                f"{_name(backend)} has no end-of-text id; expected one, since generation stops there and losses count "
                "it: set tokenizer.eos_token, or pass end="
            )
        self.backend = backend
        self.end = int(end)
        self.begin = self.end if backend.bos_token_id is None else int(backend.bos_token_id)
        self.pad = self.end if backend.pad_token_id is None else int(backend.pad_token_id)
        self._length = max(backend.get_vocab().values()) + 1

    def __len__(self) -> int:
        """One more than the largest id. A head may have further rows, which stand for no token."""
        return self._length

    def __repr__(self) -> str:
        return f"HuggingFaceTokenizer({_name(self.backend)}, {len(self)} tokens)"

    def ids(self, text: str) -> list[int]:
        """The bare ids of a text, without marks."""
        return self.backend(text, add_special_tokens=False)["input_ids"]

    def encode(self, texts: Iterable[str]) -> Int[Tensor, "B L"]:
        """Texts to ids, each between its marks and filled with padding to the longest.

        Raises:
            ValueError: no text came.
        """
        return self.rows([[*self._once([self.begin, *self.ids(text)]), self.end] for text in texts])

    def prompt(self, text: str) -> list[int]:
        """The ids of a text that is to be continued.

        What the tokenizer of transformers puts before a text is there once, also where the text begins with it, as many
        chat templates write it; what it puts behind one is not. An empty text is `begin` alone.
        """
        bare, ids = self.ids(text), self.backend(text)["input_ids"]
        if ids[-1:] == [self.end] and (not bare or ids[-len(bare) :] != bare):  # not the text's own end of a turn
            ids = ids[:-1]
        return self._once(ids) or [self.begin]

    def prompt_text(self, ids: Sequence[int]) -> str:
        """The text that `prompt` reads as these ids: with the mark at its beginning only if no tokenizer puts it there.

        A chat template's own beginning thus stays, and that of a free text goes.
        """
        return self._text(list(ids)[self._marks(ids) :])

    def continuation(self, prompt: Sequence[int], ids: Sequence[int]) -> str:
        """The text that these ids add to the text of a prompt, without the end and the padding after them.

        Decoders in the manner of SentencePiece leave out the space before the first token of a text, which inside a
        text parts two words. Both are therefore decoded together. An empty prompt has no text, and takes no space.
        """
        bare, ids = list(prompt)[self._marks(prompt) :], self._inside(list(ids))
        before, whole = self._text(bare), self._text([*bare, *ids])
        return whole.removeprefix(before) if whole.startswith(before) else self._text(ids)

    def _marks(self, prompt: Sequence[int]) -> int:
        """The number of marks at the beginning of a prompt that are not part of its text, 0 or 1."""
        own = self.backend("a")["input_ids"][:1] == [self.begin]
        return int(list(prompt[:1]) == [self.begin] and (own or len(prompt) == 1))

    def _text(self, ids: list[int]) -> str:
        return self.backend.decode(ids, clean_up_tokenization_spaces=False)

    def _once(self, ids: list[int]) -> list[int]:
        """Without the first of two marks of the beginning: one is the tokenizer's, the other the text's own."""
        return ids[1:] if ids[:2] == [self.begin, self.begin] else ids

    def rows(self, ids: Sequence[Sequence[int]]) -> Int[Tensor, "B L"]:
        """Lists of ids as one tensor, filled with padding on the right.

        Raises:
            ValueError: no list came.
        """
        if not ids:
            raise ValueError("no texts came to encode; expected at least one string")
        width = max(map(len, ids))
        return torch.tensor([[*row, *[self.pad] * (width - len(row))] for row in ids])

    def decode(self, tokens: Int[Tensor, "B T"]) -> list[str]:
        """Ids to texts, without the marks and the padding around them. Marks inside, as between turns, stay."""
        return [self._text(self._inside(row)) for row in tokens.tolist()]

    def _inside(self, row: list[int]) -> list[int]:
        first, last = 0, len(row)
        while first < last and row[first] in (self.pad, self.begin):
            first += 1
        while last > first and row[last - 1] in (self.pad, self.end):
            last -= 1
        return row[first:last]

    def world(
        self,
        train: Sequence[Example],
        held_out: Sequence[Example],
        *,
        context: int | None = None,
        name: str = "examples",
    ) -> World:
        """Examples as a world: prompts are given and never count, answers count up to and including their end.

        A chat is written by the tokenizer's own template up to the point where the assistant answers; the answer is the
        bare content of the last message. Rows begin in their first column, whatever the lengths of their prompts. The
        end of an answer counts also where it is the padding too, for what counts is known from the lengths and not
        from the ids.

        Args:
            train, held_out: examples of any kind, which share none.
            context: the most tokens that a row lets the model read; longer answers are cut, and then have no end.
                None: as many as the longest example needs.
            name: the world's.

        Raises:
            ValueError: there are no examples, an example is none of the three kinds, its prompt alone fills the
                context, or one example is in both sets.

        >>> class Letters:  # in the place of AutoTokenizer.from_pretrained(…)
        ...     bos_token_id, eos_token_id, pad_token_id = None, 0, None
        ...     def get_vocab(self): return {".": 0, "a": 1, "b": 2}
        ...     def __call__(self, text, **options): return {"input_ids": [" ab".index(letter) for letter in text]}
        >>> HuggingFaceTokenizer(Letters()).world([("ab", "a"), "b"], ["a"]).train.mask
        tensor([[False,  True,  True],
                [ True,  True, False]])
        """
        parts = [[self._example(example, context) for example in part] for part in (train, held_out)]
        shared = {(tuple(prompt), tuple(answer)) for prompt, answer in parts[0]} & {
            (tuple(prompt), tuple(answer)) for prompt, answer in parts[1]
        }
        if shared:
            prompt, answer = min(shared)
            raise ValueError(
                f"{len(shared)} examples are in both sets, such as {self.backend.decode(prompt + answer)!r}; expected "
                "held-out examples that are not trained on: leave them out of one"
            )
        return World(name, self, *(self._batch(part) for part in parts))

    def _example(self, example: Example, context: int | None) -> tuple[list[int], list[int]]:
        """The ids of the prompt and of the answer."""
        if isinstance(example, str):
            prompt, answer = [self.begin], self._once([self.begin, *self.ids(example)])[1:]
        elif len(example) == 2 and all(isinstance(part, str) for part in example):
            prompt, answer = self.prompt(example[0]), self.ids(example[1])
        elif len(example) and all(isinstance(part, Mapping) for part in example) and example[-1]["role"] == "assistant":
            chat = self.backend.apply_chat_template(list(example[:-1]), tokenize=False, add_generation_prompt=True)
            prompt, answer = self.ids(chat) or [self.begin], self.ids(example[-1]["content"])
        else:
            raise ValueError(
                f"an example is {example!r}; expected a text, a pair (prompt, answer), or messages with role and "
                "content, of which the last is the assistant's"
            )
        answer = [*answer, self.end]
        if context is not None and len(prompt) > context:
            raise ValueError(
                f"a prompt has {len(prompt)} tokens and context is {context}; expected room for an answer: leave the "
                f"example out, or raise context; it begins {self.backend.decode(prompt[:20])!r}"
            )
        return prompt, answer[: None if context is None else context + 1 - len(prompt)]

    def _batch(self, examples: list[tuple[list[int], list[int]]]) -> Batch:
        tokens = self.rows([[*prompt, *answer] for prompt, answer in examples])
        first, last = (
            torch.tensor(ends)[:, None]
            for ends in zip(*((len(p) - 1, len(p) + len(a) - 1) for p, a in examples), strict=True)
        )
        column = torch.arange(tokens.shape[1] - 1)
        return Batch(tokens, (column >= first) & (column < last))

    def difference(self, other: Tokenizer) -> str | None:
        """The first thing on which the ids of two tokenizers disagree, as a sentence; None where they are the same."""
        if not isinstance(other, HuggingFaceTokenizer):
            return f"one is {_name(self.backend)} and the other a {type(other).__name__}"
        if self.backend is other.backend:
            return None
        names = f"{_name(self.backend)} and {_name(other.backend)}"
        own, others = ({i: token for token, i in side.backend.get_vocab().items()} for side in (self, other))
        for i in sorted(own.keys() | others.keys()):
            if own.get(i) != others.get(i):
                return (
                    f"{names} differ at id {i}, which is {own.get(i)!r} for the one and {others.get(i)!r} for the other"
                )
        return None if self.end == other.end else f"{names} end texts with the ids {self.end} and {other.end}"


def prompt_ids(tokenizer: Tokenizer, text: str) -> Int[Tensor, " P"]:
    """The ids that a model reads before it continues this text."""
    if isinstance(tokenizer, HuggingFaceTokenizer):
        return torch.tensor(tokenizer.prompt(text))
    return tokenizer.encode([text])[0, :-1]


def prompt_text(tokenizer: Tokenizer, ids: Int[Tensor, " P"]) -> str:
    """The text whose `prompt_ids` these are."""
    if isinstance(tokenizer, HuggingFaceTokenizer):
        return tokenizer.prompt_text(ids.tolist())
    return tokenizer.decode(ids[None])[0]


def continuation_text(tokenizer: Tokenizer, prompt: Int[Tensor, " P"], ids: Int[Tensor, " T"]) -> str:
    """The text that a model wrote as `ids` behind a prompt, up to its end."""
    if isinstance(tokenizer, HuggingFaceTokenizer):
        return tokenizer.continuation(prompt.tolist(), ids.tolist())
    return tokenizer.decode(ids[None])[0]


def _name(backend: Any) -> str:
    """The tokenizer's class, and where it was loaded from."""
    path = getattr(backend, "name_or_path", "")
    return f"{type(backend).__name__}({path!r})" if path else type(backend).__name__
