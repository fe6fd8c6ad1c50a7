"""A GPT in one sitting: pre-norm blocks, causal self-attention, a head that shares the token embedding.

Source: Radford et al. (2019), "Language models are unsupervised multitask learners", section 2.3.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.utils import skip_init

from kd_lab.arguments import checked
from kd_lab.contracts import Head


@checked
@dataclass(frozen=True)
class GPTConfig:
    """The shape of a GPT. About 12 · layers · width² parameters sit in the blocks, unless some were removed."""

    vocab_size: int  # V, the number of token ids
    context: int  # the most tokens that the model can read
    layers: int = 4
    heads: int = 4  # attention patterns per layer
    width: int = 128  # features per token
    dropout: float = 0.0  # share of activations zeroed while training
    head_width: int | None = None  # features that one head sees; None: width / heads, as long as no head was removed
    channels: int | None = None  # hidden units of each perceptron; None: 4 · width, as long as none was removed
    end: int = 0  # the tokenizer's id after which nothing more is written

    def __post_init__(self) -> None:
        for field in ("vocab_size", "context", "layers", "heads", "width", "head_width", "channels"):
            value = getattr(self, field)
            if value is None and field in ("head_width", "channels"):
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{field} is {value!r}; expected a whole number of at least 1")
        if self.head_width is None and self.width % self.heads:
            raise ValueError(
                f"width is {self.width} and heads is {self.heads}; expected a width that heads divide, or a head_width"
            )
        if not 0 <= self.end < self.vocab_size:
            raise ValueError(f"end is {self.end}; expected an id of the vocabulary, 0 … {self.vocab_size - 1}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; expected a share of at least 0 and below 1")

    @property
    def features_a_head(self) -> int:
        """Features that one head sees: `head_width`, or an even share of the width."""
        return self.head_width or self.width // self.heads

    @property
    def hidden_units(self) -> int:
        """Of each perceptron: `channels`, or four times the width."""
        return self.channels or 4 * self.width

    @property
    def matrix_numbers(self) -> int:
        """Numbers in all matrices of a GPT of this shape, known without making one."""
        gathered = self.heads * self.features_a_head
        in_blocks = self.layers * (4 * gathered + 2 * self.hidden_units)
        return self.width * (self.vocab_size + self.context + in_blocks)

    @property
    def vector_numbers(self) -> int:
        """Numbers in all its vectors, which are those of the norms."""
        return self.width * (2 * self.layers + 1)


@dataclass
class KVCache:
    """Keys and values of the tokens read so far, so that each new token costs one position and not all of them."""

    keys: list[Float[Tensor, "B heads L features"]]  # one tensor per layer, room for L tokens
    values: list[Float[Tensor, "B heads L features"]]
    length: int = 0  # tokens read; setting it lower forgets the last ones
    plain: bool = False  # the model was made of its own modules alone when the cache was made

    def select(self, rows: Int[Tensor, " N"]) -> "KVCache":
        """A new cache whose row i continues row `rows[i]` of this one."""
        keys, values = ([tensor[rows] for tensor in side] for side in (self.keys, self.values))
        return KVCache(keys, values, self.length, self.plain)


class Attention(nn.Module):
    """Every position gathers from itself and the positions before it."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.dropout = config.dropout
        gathered = config.heads * config.features_a_head
        self.query_key_value = skip_init(nn.Linear, config.width, 3 * gathered, bias=False)
        self.project = skip_init(nn.Linear, gathered, config.width, bias=False)

    def forward(self, x: Float[Tensor, "B T W"], cache: KVCache | None, layer: int) -> Float[Tensor, "B T W"]:
        query, key, value = (  # [B, heads, T, features] each
            joined.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for joined in self.query_key_value(x).chunk(3, dim=-1)
        )
        past, new = (cache.length if cache else 0), x.shape[1]
        if cache:
            cache.keys[layer][:, :, past : past + new] = key
            cache.values[layer][:, :, past : past + new] = value
            key, value = cache.keys[layer][:, :, : past + new], cache.values[layer][:, :, : past + new]
        # is_causal lines the mask up at the first key, which is right only where nothing came before.
        mask = None  # one new token sees everything
        if past and new > 1:
            mask = torch.ones(new, past + new, dtype=torch.bool, device=x.device).tril(past)
        gathered = F.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=mask,
            is_causal=past == 0 and new > 1,
            dropout_p=self.dropout if self.training else 0.0,
        )
        return self.project(gathered.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Attention, then a perceptron at each position. Both add to a stream that runs through unnormalised.

    The perceptron's bend is a ReLU, as in the first transformer: GELU costs a tenth of a training step on a CPU.
    """

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.width, bias=False)
        self.attention = Attention(config)
        self.perceptron_norm = nn.LayerNorm(config.width, bias=False)
        self.expand = skip_init(nn.Linear, config.width, config.hidden_units, bias=False)
        self.contract = skip_init(nn.Linear, config.hidden_units, config.width, bias=False)
        self.dropout = config.dropout

    def forward(self, x: Float[Tensor, "B T W"], cache: KVCache | None, layer: int) -> Float[Tensor, "B T W"]:
        x = x + self.drop(self.attention(self.attention_norm(x), cache, layer))
        return x + self.drop(self.contract(F.relu(self.expand(self.perceptron_norm(x)))))

    def drop(self, x: Float[Tensor, "B T W"]) -> Float[Tensor, "B T W"]:
        return F.dropout(x, self.dropout, self.training)


@checked
class GPT(nn.Module):
    """Logits for the next token at every position.

    >>> model = GPT(GPTConfig(vocab_size=27, context=16, layers=2, heads=2, width=32), seed=0)
    >>> model(torch.zeros(8, 5, dtype=torch.long)).shape
    torch.Size([8, 5, 27])
    """

    def __init__(self, config: GPTConfig, seed: int = 0) -> None:
        """Weights are drawn from `seed` alone; the global random state is neither read nor moved."""
        super().__init__()
        self.config = config
        self.tokens = skip_init(nn.Embedding, config.vocab_size, config.width)  # read by the embedding and by the head
        self.positions = skip_init(nn.Embedding, config.context, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width, bias=False)
        self.initialize(torch.Generator().manual_seed(seed))

    def initialize(self, generator: torch.Generator) -> None:
        """Matrices with standard deviation 1/√(inputs).

        Those that write to the stream are smaller by √(2 · layers), for that many terms add up there; embeddings start
        at 0.02, so that the first guess is close to uniform.
        """
        for name, weight in self.named_parameters():
            if weight.ndim < 2:
                continue  # a LayerNorm starts as the identity
            scale = 0.02 if name in ("tokens.weight", "positions.weight") else weight.shape[1] ** -0.5
            if name.endswith(("project.weight", "contract.weight")):
                scale /= (2 * self.config.layers) ** 0.5
            nn.init.normal_(weight, std=scale, generator=generator)

    @property
    def vocab_size(self) -> int:
        return self.config.vocab_size

    @property
    def context(self) -> int:
        return self.config.context

    @property
    def end(self) -> int:
        return self.config.end

    @property
    def head(self) -> Float[Tensor, "V W"]:
        """The matrix that turns the last normed hidden state into logits: the token embedding itself."""
        return self.tokens.weight

    def new_cache(self, batch_size: int, length: int) -> KVCache:
        """An empty cache with room for `length` tokens in each of `batch_size` rows."""
        shape = (batch_size, self.config.heads, length, self.config.features_a_head)
        keys, values = ([self.head.new_empty(shape) for _ in self.blocks] for _ in ("keys", "values"))
        return KVCache(keys, values, plain=_is_plain(self))

    def forward(
        self,
        tokens: Int[Tensor, "B T"],
        cache: KVCache | None = None,
        return_hidden: bool = False,
        last_only: bool = False,
    ) -> Float[Tensor, "B _ V"] | tuple[Float[Tensor, "B _ V"], list[Float[Tensor, "B T W"]]]:
        """Logits of the token after each position, unnormalised.

        Args:
            tokens: ids in [0, V).
            cache: continue the texts that this cache has read, and add these tokens to it.
            return_hidden: also return the stream after each block. The logits are `norm(hidden[-1]) @ head.T`.
            last_only: of the last position alone, [B, 1, V]: all that writing needs.

        Raises:
            ValueError: past and new tokens together exceed the context or the cache.
        """
        if not return_hidden and self._reads_one_more(tokens, cache):
            return F.linear(self.norm(one_more(self, tokens, cache)), self.head)
        hidden = self.stream(tokens, cache)
        last = self.norm(hidden[-1][:, -1:] if last_only else hidden[-1])
        logits = F.linear(last, self.head)
        return (logits, hidden) if return_hidden else logits

    def factors(self, tokens: Int[Tensor, "B T"]) -> Head:
        """The two factors of the logits, so that `linear_softmax_kl` need never hold their product."""
        return Head(self.norm(self.stream(tokens)[-1]), self.head)

    def stream(self, tokens: Int[Tensor, "B T"], cache: KVCache | None = None) -> list[Float[Tensor, "B T W"]]:
        """The stream after each block; `forward` says what is read and what is refused."""
        past, room = (cache.length, self._room(cache)) if cache else (0, self.context)
        if past + tokens.shape[1] > room:
            raise ValueError(
                f"{tokens.shape[1]} tokens came after {past}; expected at most {room} in all, the context of the model "
                "or the length of its cache: cut the text, or build the model with a longer context"
            )
        x = F.dropout(self.embedded(tokens, past), self.config.dropout, self.training)
        hidden = []
        for layer, block in enumerate(self.blocks):
            x = block(x, cache, layer)
            hidden.append(x)
        if cache:
            cache.length += tokens.shape[1]
        return hidden

    def embedded(self, tokens: Int[Tensor, "B T"], past: int) -> Float[Tensor, "B T W"]:
        """Tokens and their positions, behind `past` others."""
        try:
            return self.tokens(tokens) + self.positions.weight[past : past + tokens.shape[1]]
        except IndexError as error:
            raise ValueError(
                f"token ids reach from {int(tokens.min())} to {int(tokens.max())}; expected 0 … {self.vocab_size - 1}: "
                "encode the text with the vocabulary that the model was made for"
            ) from error

    def _room(self, cache: KVCache) -> int:
        return min(self.context, cache.keys[0].shape[2])

    def _reads_one_more(self, tokens: Int[Tensor, "B T"], cache: KVCache | None) -> bool:
        if cache is None or not (cache.plain and 0 < cache.length < self._room(cache) and tokens.shape[1] == 1):
            return False
        return not (self.training or torch.is_grad_enabled())


def one_more(model: GPT, tokens: Int[Tensor, "B 1"], cache: KVCache) -> Float[Tensor, "B 1 W"]:
    """The stream behind the last block for one more token: `GPT.stream` without its modules, to the same bits.

    With one token to read, half of a step on a CPU is spent on entering modules and on dropouts that do nothing.
    """
    past, batch_size = cache.length, len(tokens)
    x = model.embedded(tokens, past)
    for block, keys, values in zip(model.blocks, cache.keys, cache.values, strict=True):
        attention, norm, second = block.attention, block.attention_norm, block.perceptron_norm
        y = F.layer_norm(x, norm.normalized_shape, norm.weight, None, norm.eps)
        y = F.linear(y, attention.query_key_value.weight).view(batch_size, 3, attention.heads, 1, -1)
        query, key, value = y.unbind(1)
        keys.narrow(2, past, 1).copy_(key)
        values.narrow(2, past, 1).copy_(value)
        seen = keys.narrow(2, 0, past + 1), values.narrow(2, 0, past + 1)
        y = F.scaled_dot_product_attention(query, *seen).view(batch_size, 1, -1)
        x = x.add_(F.linear(y, attention.project.weight))
        y = F.layer_norm(x, second.normalized_shape, second.weight, None, second.eps)
        x = x.add_(F.linear(F.linear(y, block.expand.weight).relu_(), block.contract.weight))
    cache.length += 1
    return x


_OWN = (GPT, Block, Attention, nn.Embedding, nn.Linear, nn.LayerNorm, nn.ModuleList)


def _is_plain(model: GPT) -> bool:
    """Whether no module was exchanged, given a hook or a parametrization: `one_more` would pass over it."""
    return not any(
        type(module) not in _OWN or (module is not model and (module._forward_hooks or module._forward_pre_hooks))
        for module in model.modules()
    )
