"""A watermark in sampled text: a key makes some tokens green after each token, and a marked writer leans towards them.

Anyone who holds the key finds the mark by counting, without the model; the text alone shows nothing.

Source: Kirchenbauer et al. (2023), "A watermark for large language models", arXiv:2301.10226, the soft red list with a
window of one token.
"""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from kd_lab.arguments import Count, checked
from kd_lab.contracts import Cache, LanguageModel, stream
from kd_lab.models.reading import device_of, last_logits
from kd_lab.worlds import Batch


@checked
def green_lists(vocab_size: Count, key: int, share: float = 0.5) -> Bool[Tensor, "V V"]:
    """The tokens that are green after each token: row `previous`, column `next`, drawn from the key alone.

    Every row has ⌊share · V⌋ green tokens. The published scheme draws a row when it needs it; with a small vocabulary
    all rows fit in one table.

    Args:
        vocab_size: V.
        key: the secret.
        share: γ, 0 < γ < 1.

    Raises:
        ValueError: a share that leaves no token green, or all of them.

    >>> green = green_lists(27, key=1)
    >>> green.sum(1).unique().tolist(), green.equal(green_lists(27, key=1)), green.equal(green_lists(27, key=2))
    ([13], True, False)
    """
    count = math.floor(share * vocab_size)
    if not 0 < count < vocab_size:
        raise ValueError(
            f"share is {share} and vocab_size is {vocab_size}, which makes {count} tokens green; expected at least one "
            "green token and one that is not: take a share strictly between 0 and 1, such as 0.5"
        )
    generator = stream(key, "green lists")
    order = torch.stack([torch.randperm(vocab_size, generator=generator) for _ in range(vocab_size)])
    return order < count


@checked
class Watermarked(nn.Module):
    """q(next | prefix) ∝ p(next | prefix)·e^δ where `next` is green after the last token, with a model's interface.

    It writes with `generate` as any model does, and what the mark costs is read like the quality of any model.

    >>> from kd_lab.models import TabularModel
    >>> green = torch.tensor([[False, True], [True, False]])
    >>> Watermarked(TabularModel.uniform(2, 1), green, strength=math.log(3))(torch.tensor([[0]])).softmax(-1).detach()
    tensor([[[0.2500, 0.7500]]])
    """

    def __init__(self, model: LanguageModel, green: Bool[Tensor, "V V"], strength: float = 2.0) -> None:
        """`green` comes from `green_lists`; `strength` is δ, in nats of a green token's advantage over another.

        Raises:
            ValueError: δ is negative or not finite, or the lists are for another vocabulary.
        """
        super().__init__()
        if not 0 <= strength < math.inf:
            raise ValueError(f"strength is {strength}; expected a finite δ of at least 0, where 0 leaves no mark")
        if len(green) != model.vocab_size:
            raise ValueError(
                f"green has {len(green)} rows and the model {model.vocab_size} ids; expected one row per id: "
                "take green_lists(model.vocab_size, key)"
            )
        self.model, self.strength = model, strength
        self.register_buffer("green", green.to(device_of(model)))

    @property
    def vocab_size(self) -> int:
        return self.model.vocab_size

    @property
    def end(self) -> int:
        return self.model.end

    @property
    def context(self) -> int:
        return self.model.context

    def new_cache(self, batch_size: int, length: int) -> Cache:
        """The model's own."""
        return self.model.new_cache(batch_size, length)

    def forward(
        self, tokens: Int[Tensor, "B T"], cache: Cache | None = None, last_only: bool = False
    ) -> Float[Tensor, "B _ V"]:
        """The model's logits with δ added to green tokens, after each position or after the last one alone."""
        logits = last_logits(self.model)(tokens, cache=cache)[:, None] if last_only else self.model(tokens, cache=cache)
        previous = tokens[:, -1:] if last_only else tokens
        return logits + self.strength * self.green[previous].to(logits.dtype)


@checked
def watermark_z(batch: Batch, green: Bool[Tensor, "V V"], base: float = 0.5) -> float:
    """z = (G − bT) / √(T·b·(1 − b)): standard deviations by which green tokens exceed those of unmarked text.

    G of the T counted targets are green after the token before them, and b is the share expected of unmarked text.
    With one list per context, b is γ. With few contexts, whose lists the text meets again and again, a key favours or
    disfavours the language itself, so b has to be measured on unmarked text of the same kind.

    Args:
        batch: the text under suspicion; positions that do not count are not read.
        green: of the key, from `green_lists`.
        base: b, 0 < b < 1.

    Returns:
        About standard normal for unmarked text as long as its transitions are independent; they are not quite.

    Raises:
        ValueError: nothing counts, or b is no share.

    >>> batch = Batch.from_tokens(torch.tensor([[0, 1, 1, 1, 0]]), end=0)
    >>> watermark_z(batch, torch.tensor([[False, True], [False, True]]))  # 3 of 4 transitions are green
    1.0

    Source: Kirchenbauer et al. (2023), arXiv:2301.10226, the one-proportion z-test.
    """
    counted = batch.counted()
    if not 0 < base < 1:
        raise ValueError(f"base is {base}; expected the share of green tokens in unmarked text, strictly in 0 … 1")
    hits = int(green.to(batch.tokens.device)[batch.inputs, batch.targets][batch.mask].sum())
    return (hits - base * counted) / math.sqrt(counted * base * (1 - base))
