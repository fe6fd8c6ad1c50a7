"""Language models of transformers as students and teachers of every recipe.

transformers itself is imported only where a cache is made; everything else asks the objects that the caller brought.
"""

import copy
import math
import sys
from collections.abc import Iterator
from inspect import signature
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from kd_lab.arguments import checked
from kd_lab.contracts import Head, Tokenizer
from kd_lab.models.hugging_face_tokenizer import HuggingFaceTokenizer


class HuggingFaceCache:
    """The keys and values that a model of transformers has read, and the padding that stands before each text."""

    def __init__(self, past: Any, room: int, padding: Int[Tensor, " B"] | None = None) -> None:
        self.past = past  # a DynamicCache, which grows as it reads
        self.room = room  # the most tokens that it takes
        self.padding = padding  # per row, found at the first reading; None: no row has any

    @property
    def length(self) -> int:
        """Tokens read so far; setting it lower forgets the last ones."""
        return self.past.get_seq_length()

    @length.setter
    def length(self, length: int) -> None:
        if length < self.length:  # transformers 4 reads crop(0) as a cache of length 0
            self.past.crop(length - self.length)

    def select(self, rows: Int[Tensor, " N"]) -> "HuggingFaceCache":
        """A new cache whose row i continues row `rows[i]` of this one."""
        past = copy.copy(self.past)
        past.layers = [copy.copy(layer) for layer in self.past.layers]  # selecting replaces tensors, never writes them
        past.batch_select_indices(rows)
        return HuggingFaceCache(past, self.room, None if self.padding is None else self.padding[rows])


@checked
class HuggingFace(nn.Module):
    """A causal language model of transformers, bare or under peft, as a student or a teacher.

    Its logits are those of the tokenizer's ids alone: the further rows with which many heads are filled up (151,936 or
    152,064 for the 151,665 tokens of one tokenizer) stand for no token and are cut off before any softmax, on both
    sides, so that no probability goes there. Logits are widened to fp32 at least, since a log-probability that was
    rounded to bf16 is off by a hundredth of a nat. Weights that are frozen stay frozen, so a LoRA student trains its
    adapters alone; gradient checkpointing is the model's own `gradient_checkpointing_enable()`.

    Rows begin in their first column. Rows that were padded on the left read the same, at the same positions, as
    they would alone: padding ids that lead a row are not attended to. Where the padding is also the mark that begins a
    text, as with GPT-2, the last of them is that mark, and in a row of nothing else, such as a text that ends at once,
    each column reads it alone. A text without that mark, such as `HuggingFaceTokenizer.prompt` makes for GPT-2, must
    not be padded on the left there: the last of the padding would be read as its mark. Padding on the right needs no
    care, since a causal model never looks there.

    >>> import pytest
    >>> transformers = pytest.importorskip("transformers")
    >>> from tokenizers import Tokenizer, models
    >>> words = Tokenizer(models.WordLevel({"<end>": 0, "a": 1, "b": 2}, unk_token="<end>"))
    >>> tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<end>")
    >>> config = transformers.GPT2Config(vocab_size=8, n_positions=16, n_embd=8, n_layer=1, n_head=1)
    >>> model = HuggingFace(transformers.GPT2LMHeadModel(config), tokenizer)
    >>> model(torch.tensor([[0, 1, 2, 1]])).shape  # the head has 8 rows, the tokenizer 3 tokens
    torch.Size([1, 4, 3])
    """

    def __init__(self, model: nn.Module, tokenizer: Any, end: int | None = None) -> None:
        """Wrap a model and its tokenizer; both are kept as they are.

        Args:
            model: a model of transformers with a language-modelling head, or a `PeftModel` around one.
            tokenizer: its tokenizer, of transformers or already a `HuggingFaceTokenizer`.
            end: see `HuggingFaceTokenizer`.

        Raises:
            ValueError: the model has no head, or fewer rows in it than the tokenizer has tokens.
        """
        super().__init__()
        known = isinstance(tokenizer, HuggingFaceTokenizer)
        self.tokenizer = tokenizer if known else HuggingFaceTokenizer(tokenizer, end)
        self.model = model
        bare = model.get_base_model() if hasattr(model, "get_base_model") else model
        self._cuts_logits = "logits_to_keep" in signature(bare.forward).parameters
        head = model.get_output_embeddings()
        if head is None:
            raise ValueError(
                f"{type(model).__name__} has no head for next tokens; expected a causal language model, such as "
                "AutoModelForCausalLM loads"
            )
        if len(head.weight) < len(self.tokenizer):
            raise ValueError(
                f"the head of {type(model).__name__} has {len(head.weight)} rows and {self.tokenizer} more; expected a "
                "row for each token: call model.resize_token_embeddings(len(tokenizer)), or bring the model's own "
                "tokenizer"
            )

    @property
    def vocab_size(self) -> int:
        return len(self.tokenizer)

    @property
    def context(self) -> int:
        return getattr(self.config, "max_position_embeddings", None) or sys.maxsize

    @property
    def end(self) -> int:
        return self.tokenizer.end

    @property
    def head(self) -> Float[Tensor, "V W"]:
        """The head's rows that stand for tokens, as `linear_softmax_kl` takes them; where it is tied, the embedding."""
        return self.model.get_output_embeddings().weight[: self.vocab_size]

    @property
    def config(self) -> Any:
        """The shape of the model, in the names of transformers: `hidden_size`, `num_hidden_layers`, …"""
        return self.model.config.get_text_config()

    def new_cache(self, batch_size: int, length: int) -> HuggingFaceCache:
        """An empty cache that takes up to `length` tokens in each row."""
        from transformers import DynamicCache

        return HuggingFaceCache(DynamicCache(config=self.config), length)

    def forward(
        self,
        tokens: Int[Tensor, "B T"],
        cache: HuggingFaceCache | None = None,
        return_hidden: bool = False,
        last_only: bool = False,
    ) -> Float[Tensor, "B _ V"] | tuple[Float[Tensor, "B _ V"], list[Float[Tensor, "B T W"]]]:
        """Logits of the token after each position, unnormalised, in fp32 at least.

        Args:
            tokens: ids in [0, V).
            cache: continue the texts that this cache has read, and add these tokens to it. Padding on the left must be
                part of the first reading.
            return_hidden: also return the stream after each block, as transformers gives it: most models norm the
                last one, whose product with `head` is then the logits.
            last_only: of the last position alone, [B, 1, V]; the others are not made where the model has
                `logits_to_keep`.

        Raises:
            ValueError: past and new tokens together exceed the context or the cache, or an id is none of the
                tokenizer's.
        """
        output = self._read(tokens, cache, return_hidden, last_only)
        logits = output.logits[:, -1 if last_only else 0 :, : self.vocab_size]
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        return (logits, list(output.hidden_states[1:])) if return_hidden else logits

    def factors(self, tokens: Int[Tensor, "B T"]) -> Head:
        """The two factors of the logits, so that `linear_softmax_kl` need never hold their product.

        Bias, scale and softcap are those of the model, held against its own logits of the last position.

        Raises:
            ValueError: the logits are something else, or the head trains more than its own weight, as with LoRA on it;
                or as in `forward`.
        """
        output = self._read(tokens, None, return_hidden=True, last_only=True)
        head = self.model.get_output_embeddings()
        bias = getattr(head, "bias", None)
        plain = Head(output.hidden_states[-1], self.head, None if bias is None else bias[: self.vocab_size])
        with torch.no_grad():
            logits = output.logits[:, -1:, : self.vocab_size].float()
            last = plain._replace(hidden=plain.hidden[:, -1:])
            bends = list(_bends(self.config))
            known = logits.isfinite()  # NaN and what overflowed go on, so that a run that diverges says so itself
            errors = [(last._replace(**bend).logits() - logits).where(known, 0.0).abs().max().item() for bend in bends]
        half = head.weight.dtype.itemsize < 4 or torch.is_autocast_enabled(tokens.device.type)
        others = {id(weight) for weight in head.parameters() if weight.requires_grad} - {id(head.weight), id(bias)}
        if others or not min(errors) <= (0.02 if half else 1e-3) * logits.where(known, 0.0).abs().max():
            raise ValueError(
                f"the logits of {type(self.model).__name__} are not its last hidden state times its head, with the "
                "scale and softcap of its configuration, but something more; expected no further layer or adapter on "
                "the head: copy Logits() and not Heads()"
            )
        return plain._replace(**bends[errors.index(min(errors))])

    def _read(
        self, tokens: Int[Tensor, "B T"], cache: HuggingFaceCache | None, return_hidden: bool, last_only: bool
    ) -> Any:
        """The output of the model, in the names of transformers."""
        past, new = (0 if cache is None else cache.length), tokens.shape[1]
        room = self.context if cache is None else min(self.context, cache.room)
        if past + new > room:
            raise ValueError(
                f"{new} tokens came after {past}; expected at most {room} in all, the context of the model or the "
                "length of its cache: cut the text, or take a model with a longer context"
            )
        padding = self._padding(tokens) if past == 0 else cache.padding
        if cache is not None:
            cache.padding = padding
        try:
            return self.model(
                input_ids=tokens,
                past_key_values=None if cache is None else cache.past,
                use_cache=cache is not None,
                output_hidden_states=return_hidden,
                **({"logits_to_keep": 1} if last_only and self._cuts_logits else {}),
                **_places(padding, past, tokens, self.tokenizer.begin),
            )
        except IndexError as error:
            raise ValueError(
                f"token ids reach from {int(tokens.min())} to {int(tokens.max())}; expected 0 … {self.vocab_size - 1}: "
                "encode the text with the tokenizer that the model was made for"
            ) from error

    def _padding(self, tokens: Int[Tensor, "B T"]) -> Int[Tensor, " B"] | None:
        """The number of padding ids that lead each row, or None where none does."""
        leading = (tokens == self.tokenizer.pad).cumprod(1).sum(1)
        if self.tokenizer.pad == self.tokenizer.begin:
            leading = leading - 1
        leading = leading.clamp(0, tokens.shape[1] - 1)
        return leading if leading.any() else None

    def check_tokenizer(self, tokenizer: Tokenizer, role: str = "model") -> None:
        """Refuse texts whose ids mean something else to this model.

        Raises:
            ValueError: the tokenizers differ; names both, and the first id on which they disagree.
        """
        if difference := self.tokenizer.difference(tokenizer):
            raise ValueError(
                f"the {role} does not share the tokenizer of the texts: {difference}; expected the same tokens under "
                "the same ids, since logits are compared id by id: take a student and a teacher of one family, or let "
                "the teacher write texts alone (sequence_level with a TextTeacher)"
            )


_FACTORS = ("logit_scale", "lm_head_multiplier", "output_multiplier")  # Cohere, FalconH1, muP
_CAPS = ("final_logit_softcapping", "output_logit_soft_cap", "softcap")  # Gemma, xLSTM
_AMBIGUOUS = "logits_scaling"  # Granite divides by it and HyperCLOVA multiplies


def _bends(config: Any) -> Iterator[dict[str, float | None]]:
    """The scales and the softcap that a configuration may mean for the logits, as `Head` names them."""
    scale = math.prod(float(getattr(config, name, None) or 1) for name in _FACTORS)
    softcap = next((float(cap) for name in _CAPS if (cap := getattr(config, name, None))), None)
    either_way = float(getattr(config, _AMBIGUOUS, None) or 1)
    for logit_scale in dict.fromkeys((scale / either_way, scale * either_way)):
        yield {"logit_scale": logit_scale, "softcap": softcap}


def _places(padding: Int[Tensor, " B"] | None, past: int, tokens: Int[Tensor, "B T"], begin: int) -> dict[str, Tensor]:
    """Attention mask and positions of rows that padding leads; nothing where none does, which is the fast path."""
    if padding is None:
        return {}
    columns = torch.arange(past + tokens.shape[1], device=tokens.device).expand(len(padding), -1)
    attended = columns >= padding[:, None]
    if past == 0:  # equal marks, all at position 0, read as one: each column answers as the mark alone would
        attended = attended | (tokens == begin).all(1, keepdim=True)
    return {"attention_mask": attended.long(), "position_ids": (columns[:, past:] - padding[:, None]).clamp_min(0)}
