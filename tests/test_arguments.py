"""The signature is the check: what it holds, what it says, and what no public entry point lets through."""

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from kd_lab.arguments import Count, Model, Positive, checked
from kd_lab.contracts import How
from kd_lab.models import GPT, GPTConfig

HERE = Path(__file__).parent


@checked
def probe(
    logits: Float[Tensor, "B *N V"],
    ids: Int[Tensor, "B *N"] | None = None,  # noqa: F821
    mask: Bool[Tensor, " B"] | None = None,
    *,
    temperature: Positive = 1.0,
    steps: Count = 1,
    shift: float = 0.0,
    names: Sequence[str] = (),
    table: Mapping[str, float] | None = None,
    mode: Literal["mean", "sum"] = "mean",
    schedule: Callable[[int], float] | None = None,
    path: str | PathLike[str] = "",
    how: How | None = None,
    model: Model | None = None,
) -> str:
    return "held"


GOOD = torch.zeros(2, 3, 5)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"ids": torch.zeros(2, 3, dtype=torch.int32), "mask": torch.ones(2, dtype=torch.bool)},
        {"temperature": 2, "steps": np.int64(3), "shift": np.float32(0.5)},
        {"shift": float("inf"), "names": ["a"], "table": {"a": 1}, "mode": "sum", "schedule": float, "path": Path("x")},
        {"model": GPT(GPTConfig(vocab_size=3, context=2, layers=1, heads=1, width=4))},
    ],
)
def test_what_fits_goes_through(arguments):
    assert probe(GOOD, **arguments) == "held"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"logits": None}, r"logits is None; expected a tensor of floating point numbers \[B, \*N, V\]"),
        ({"logits": [1.0]}, r"logits is a list; .* write torch.tensor"),
        ({"logits": GOOD.long()}, r"logits is a tensor of torch.int64, shape \(2, 3, 5\); .* write .float\(\)"),
        (
            {"logits": GOOD.to("meta"), "ids": torch.zeros(2, 3).long()},
            "logits stands on the device meta, which holds no values, and another argument does not",
        ),
        ({"logits": GOOD.to_sparse()}, r"layout torch.sparse_coo; .* write .to_dense\(\)"),
        ({"logits": torch.zeros(3)}, r"logits has shape \(3,\); expected \[B, \*N, V\], 3 axes or more"),
        (
            {"ids": torch.zeros(3, 3).long()},
            r"ids has shape \(3, 3\); .* with B = 2 as in logits; nothing is broadcast",
        ),
        ({"ids": torch.zeros(2, 4).long()}, r"with \*N = \(3,\) as in logits"),
        ({"mask": torch.ones(2, 1, dtype=torch.bool)}, r"mask has shape \(2, 1\); expected \[B\], 1 axes"),
        ({"temperature": 0.0}, "temperature is 0.0; expected a number above 0"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"temperature": True}, "temperature is True"),
        ({"temperature": "1"}, "temperature is '1'"),
        ({"temperature": 10**400}, "temperature is 1000"),
        ({"steps": 3.0}, "steps is 3.0; expected a whole number of at least 1; write 3"),
        ({"steps": 0}, "steps is 0; expected a whole number of at least 1"),
        ({"steps": 2**63}, "steps is 9223372036854775808"),
        ({"names": "ab"}, r"names is 'ab'; expected Sequence of a string; write \[text\]"),
        ({"names": [1]}, "names is a list; expected Sequence of a string"),
        ({"table": {"a": "b"}}, "table is a dict; expected Mapping of a string and a number or None"),
        ({"mode": "max"}, "mode is 'max'; expected one of 'mean', 'sum'"),
        ({"schedule": 3}, "schedule is 3; expected a function or None"),
        ({"path": 3}, "path is 3; expected a string or PathLike of a string"),
        ({"how": How}, r"how is the class How itself; .* make one first"),
        ({"how": nn.Linear(1, 1)}, "how is a Linear; expected a How or None"),
        ({"model": nn.Linear(1, 1)}, "model is a Linear; expected a language model"),
    ],
)
def test_what_does_not_fit_is_named_with_what_came_and_what_was_expected(arguments, message):
    with pytest.raises(ValueError, match=message):
        probe(**({"logits": GOOD} | arguments))


def test_a_class_is_checked_where_it_is_made():
    with pytest.raises(ValueError, match="layers is '2'; expected a whole number"):
        GPTConfig(vocab_size=3, context=2, layers="2")


def test_a_compiled_graph_holds_no_check():
    @checked
    def double(x: Float[Tensor, " N"]) -> Tensor:
        return 2 * x

    compiled = torch.compile(double, backend="eager", fullgraph=True)
    assert compiled(torch.ones(2)).tolist() == [2, 2]


@pytest.mark.parametrize(
    "parts", [("worlds", "what", "how"), ("where", "methods", "measure"), ("models", "compress.prune"),
              ("compress.cost", "compress.quantize")], ids=" ".join
)  # fmt: skip
def test_no_public_entry_point_falls_over_a_bad_argument(parts):
    """One in eleven of the bad arguments; `python tests/hostile_calls.py` tries them all."""
    command = [sys.executable, HERE / "hostile_calls.py", *parts, "--every", "11", "-v"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=3000)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_a_call_that_was_found_right_excuses_no_other():
    """Calls are remembered by all that a check sees: a dtype, a shape, a device or a value more or less is another."""
    good = {"logits": torch.zeros(2, 3), "mask": torch.zeros(2, dtype=torch.bool), "steps": 1, "temperature": 1}
    for change in (
        {"logits": torch.zeros(2, 3, dtype=torch.long)},
        {"logits": torch.zeros(3)},
        {"logits": torch.zeros(2, 3, device="meta")},
        {"logits": torch.zeros(2, 3).to_sparse()},
        {"mask": torch.zeros(3, dtype=torch.bool)},
        {"mask": torch.zeros(2)},
        {"mask": None, "ids": torch.zeros(2)},
        {"steps": True},
        {"steps": 1.0},
        {"steps": 0},
        {"temperature": float("nan")},
        {"mode": "median"},
    ):
        for _ in range(2):
            assert probe(**good) == "held"
            with pytest.raises(ValueError, match="expected"):
                probe(**(good | change))
