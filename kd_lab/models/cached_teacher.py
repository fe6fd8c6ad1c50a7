"""A teacher that reads each text once: offline distillation, and further runs, look its answers up."""

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from kd_lab.arguments import checked
from kd_lab.contracts import Cache, LanguageModel
from kd_lab.models.reading import device_of, evaluating

Key = tuple[bytes, torch.dtype | None]  # a row of tokens, and the precision of autocast where it was read under it
Answer = tuple[Tensor, ...]  # the logits of one row, [T, V], then its hidden states, [T, W] each, where they were asked


@checked
class CachedTeacher(nn.Module):
    """A model with a memory: the logits of a row of tokens, and its hidden states once they are asked, are kept.

    It stands wherever the model stands, and pays where texts come back: a fixed set over several epochs, several
    students of one teacher. Texts that a student writes anew are rarely seen twice. One row of T positions takes
    T·V numbers, so a real vocabulary fills a memory fast; `sparse_softmax_kl` distils from the top of them alone.

    Weights must not change while it remembers them. A row that is read under `torch.autocast` is remembered for that
    precision alone. All further attributes (`vocab_size`, `context`, `end`, `config`,
    `head`, …) are the model's own, except `factors`: answers are kept as logits, and `Heads()` has to read the model.

    >>> from kd_lab.models import TabularModel
    >>> teacher = CachedTeacher(TabularModel.uniform(vocab_size=3, context=2))
    >>> answers = [teacher(torch.tensor([[0, 1], [0, 2], [0, 1]])) for epoch in range(2)]
    >>> torch.equal(*answers), teacher.rows_read, teacher.bytes_kept
    (True, 2, 48)
    """

    def __init__(self, model: LanguageModel, *, most_bytes: int = 2 << 30, device: torch.device | str = "cpu") -> None:
        """Wrap a model, which is read in eval mode and without gradients.

        Args:
            model: the teacher.
            most_bytes: the most memory that answers may take. When it is full, a warning says so once; what is kept
                stays, and further texts are read each time they come.
            device: where the answers lie; they come back on the device of the tokens.

        Raises:
            ValueError: `most_bytes` is negative, or torch knows no such device.
        """
        super().__init__()
        if most_bytes < 0:
            raise ValueError(f"most_bytes is {most_bytes}; expected a number of bytes, at least 0")
        try:
            self.model, self.most_bytes, self.device = model, most_bytes, torch.device(device)
        except RuntimeError as error:
            raise ValueError(f'device is {device!r}; expected one of torch, such as "cpu" or "cuda"') from error
        self.told: dict[bytes, Answer] = {}
        self._kept: dict[Key, Answer] = {}
        self._rows_read, self._bytes, self._full = 0, 0, False

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "factors":  # the model's own would be read past the memory, and past what it was told
                raise
            return getattr(super().__getattr__("model"), name)

    @property
    def rows_read(self) -> int:
        """Rows that the model itself has read since the start."""
        return self._rows_read

    @property
    def bytes_kept(self) -> int:
        """The memory that all answers take."""
        return self._bytes

    def tell(
        self,
        tokens: Int[Tensor, "B T"],
        logits: Float[Tensor, "B T V"],
        hidden: Sequence[Float[Tensor, "B T W"]] = (),
    ) -> "CachedTeacher":
        """Let it answer these rows with these logits, whatever the model would say, and return it.

        Doctored answers ask which part of a teacher's knowledge a student lives on.
        """
        for row, key in enumerate(_keys(tokens)):
            self._bytes -= _bytes(self.told.get(key, ()))
            self.told[key] = self._row(row, logits, *hidden)
            self._bytes += _bytes(self.told[key])
        return self

    def forget(self) -> None:
        """Drop every answer, those that it was told among them."""
        self.told.clear()
        self._kept.clear()
        self._bytes, self._full = 0, False

    def new_cache(self, batch_size: int, length: int) -> Cache:
        """The model's own: a text that is being written is read by the model, token by token."""
        return self.model.new_cache(batch_size, length)

    @torch.no_grad()
    def forward(
        self, tokens: Int[Tensor, "B T"], cache: Cache | None = None, return_hidden: bool = False
    ) -> Float[Tensor, "B T V"] | tuple[Float[Tensor, "B T V"], list[Float[Tensor, "B T W"]]]:
        """The model's logits, and with `return_hidden` its hidden states, from memory where they are there.

        Rows are looked up whole, so a text is known by its padding too. With a `cache` nothing is looked up.

        Raises:
            ValueError: hidden states are wanted of rows that were told without any.
        """
        if cache is not None:
            with evaluating(self.model):
                return self.model(tokens.to(device_of(self.model)), cache=cache).to(tokens.device)
        keys, device = _keys(tokens), device_of(self.model).type
        precision = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
        answers = {key: self.told.get(key) or self._kept.get((key, precision)) for key in keys}
        if return_hidden and any(key in self.told and len(self.told[key]) == 1 for key in answers):
            raise ValueError("a row was told without hidden states and they are wanted; expected tell(…, hidden=…)")
        wanted, most = (2, None) if return_hidden else (1, 1)
        unknown = {key: row for row, key in enumerate(keys) if answers[key] is None or len(answers[key]) < wanted}
        if unknown:
            read = self._read(tokens[list(unknown.values())], return_hidden)
            for row, key in enumerate(unknown):
                answers[key] = self._row(row, *read)
                self._keep((key, precision), answers[key])
        rows = [answers[key][:most] for key in keys]
        parts = [torch.stack(part).to(tokens.device) for part in zip(*rows, strict=True)]
        return (parts[0], parts[1:]) if return_hidden else parts[0]

    def _read(self, tokens: Int[Tensor, "N T"], return_hidden: bool) -> Answer:
        self._rows_read += len(tokens)
        tokens = tokens.to(device_of(self.model))
        with evaluating(self.model):
            if not return_hidden:
                return (self.model(tokens),)
            logits, hidden = self.model(tokens, return_hidden=True)
        return logits, *hidden

    def _row(self, row: int, *parts: Tensor) -> Answer:
        # a copy, since a view would keep the whole batch
        return tuple(part[row].detach().to(self.device, copy=True) for part in parts)

    def _keep(self, key: Key, answer: Answer) -> None:
        more = _bytes(answer) - _bytes(self._kept.get(key, ()))
        if self._bytes + more <= self.most_bytes:
            self._kept[key] = answer
            self._bytes += more
        elif not self._full:
            self._full = True
            warnings.warn(
                f"the memory of a CachedTeacher is full: {len(self._kept):,} rows take {self.bytes_kept:,} of "
                f"{self.most_bytes:,} bytes; further rows are read each time they come. Raise most_bytes, or keep the "
                "top of the logits alone (kd_lab.how.top_k)",
                stacklevel=3,
            )


def _keys(tokens: Int[Tensor, "B T"]) -> list[bytes]:
    return [row.tobytes() for row in tokens.long().cpu().numpy()]  # of one type, so that equal bytes are equal ids


def _bytes(answer: Answer) -> int:
    return sum(part.numel() * part.element_size() for part in answer)
