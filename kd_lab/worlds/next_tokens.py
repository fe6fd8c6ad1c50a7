"""Real next-token distributions that ship with the library: of SmolLM2-135M, and of students pruned from it.

200 prompts; at each, the likeliest tokens of every model with their log-probabilities, and the mass of all others. No
model, wheel or tokenizer is needed to read them.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from kd_lab.arguments import Count, checked

STORED = Path(__file__).parent / "data" / "next_tokens.safetensors"


@checked
@dataclass(frozen=True, eq=False)
class NextTokens:
    """M models at N prompts: K tokens that some model finds likely, and the rest of the vocabulary as one event.

    The tokens stand in the order of the first model, its likeliest first.
    """

    models: tuple[str, ...]  # M names, the teacher's first
    prompts: tuple[str, ...]  # N texts, the token in question comes next
    actual: tuple[str, ...]  # the token that came next in the text that the prompt is from
    pieces: dict[int, str]  # the text of each id that occurs
    ids: Int[Tensor, "N K"]  # −1 where fewer than K tokens were kept
    logp: Float[Tensor, "M N K"]  # nats, of the whole vocabulary's softmax; −inf where there is no token
    temperatures: tuple[float, ...]  # at which the rest is known, 1 among them
    rest: Float[Tensor, "M N H"]  # log Σ p^(1/τ) over all other tokens, at each of these temperatures
    vocabulary: int  # V

    def events(self, model: str, temperature: float = 1.0, k: Count | None = None) -> Float[Tensor, "N E"]:
        """Log-probabilities at a temperature of the first `k` tokens and of any other token, E = k + 1.

        They sum to 1. A position with fewer tokens has −inf in their place.

        Raises:
            ValueError: there is no such model, the rest is not known at this temperature, or `k` exceeds K.

        >>> stored = load_next_tokens()
        >>> stored.events("teacher", k=8).exp().sum(-1).round(decimals=3).unique()
        tensor([1.])
        """
        if model not in self.models or temperature not in self.temperatures:
            raise ValueError(
                f"model is {model!r} and temperature {temperature}; expected one of {', '.join(self.models)}, at one "
                f"of {', '.join(map(str, self.temperatures))}: the mass of the rest is stored for these"
            )
        most = self.ids.shape[1]
        if k is not None and not 1 <= k <= most:
            raise ValueError(f"k is {k}; expected 1 to {most}, the tokens that were kept at each prompt")
        row, column = self.models.index(model), self.temperatures.index(temperature)
        scores = torch.cat([self.logp[row] / temperature, self.rest[row, :, column, None]], -1).log_softmax(-1)
        k = most if k is None else k
        return torch.cat([scores[:, :k], scores[:, k:].logsumexp(-1, keepdim=True)], -1)

    def __len__(self) -> int:
        return len(self.prompts)


def save_next_tokens(stored: NextTokens, path: Path) -> int:
    """Write to one safetensors file: log-probabilities in half precision. Returns its bytes."""
    about = {name: getattr(stored, name) for name in ("models", "prompts", "actual", "temperatures", "vocabulary")}
    about["pieces"] = {str(key): piece for key, piece in stored.pieces.items()}
    tensors = {"ids": stored.ids.int(), "logp": stored.logp.half(), "rest": stored.rest.float()}
    save_file(tensors, path, {"about": json.dumps(about, ensure_ascii=False)})
    return path.stat().st_size


def load_next_tokens(path: Path = STORED) -> NextTokens:
    """The stored distributions.

    >>> stored = load_next_tokens()
    >>> len(stored), stored.models[0], stored.vocabulary
    (200, 'teacher', 49152)

    Raises:
        ValueError: the file is missing or of another kind.
    """
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads(file.metadata()["about"])
            tensors = {name: file.get_tensor(name) for name in ("ids", "logp", "rest")}
    except Exception as error:
        raise ValueError(f"{str(path)!r} holds no next-token distributions ({error}); fetch it again") from error
    pieces = {int(key): piece for key, piece in about.pop("pieces").items()}
    lists = {name: tuple(value) if isinstance(value, list) else value for name, value in about.items()}
    return NextTokens(
        **lists, pieces=pieces, ids=tensors["ids"].long(), logp=tensors["logp"].float(), rest=tensors["rest"]
    )


def collect(
    models: dict[str, Float[Tensor, "N V"]],
    prompts: list[str],
    actual: list[str],
    pieces,
    k: Count = 48,
    temperatures: tuple[float, ...] = (0.5, 0.7, 1.0, 1.5, 2.0, 4.0),
) -> NextTokens:
    """Keep the `k` likeliest tokens of each model at each prompt.

    Args:
        models: log-probabilities by name, the teacher's first.
        prompts, actual: texts, and the token that came next.
        pieces: a function from an id to its text.
        k: of each model; K is the largest number of different ones at any prompt.
        temperatures: at which the mass of the rest is kept.
    """
    whole = torch.stack(list(models.values()))  # [M, N, V]
    kept = torch.zeros(whole.shape[1:], dtype=torch.bool)
    kept.scatter_(-1, whole.topk(k, -1).indices.transpose(0, 1).flatten(1), True)
    most = int(kept.sum(-1).max())
    ids = whole[0].masked_fill(~kept, -torch.inf).topk(most, -1).indices
    absent = ~kept.gather(-1, ids)
    logp = torch.stack([one.gather(-1, ids).masked_fill(absent, -torch.inf) for one in whole])
    others = whole.masked_fill(kept, -torch.inf)
    rest = torch.stack([(others / temperature).logsumexp(-1) for temperature in temperatures], -1)
    ids = ids.masked_fill(absent, -1)
    known = {int(i): pieces(int(i)) for i in ids.unique() if i >= 0}
    return NextTokens(
        tuple(models), tuple(prompts), tuple(actual), known, ids, logp, temperatures, rest, whole.shape[-1]
    )
