"""WHAT is copied as the logits are, from what makes them: the last hidden states and the heads that read them."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from kd_lab.contracts import Access, Head, Kind, Signal
from kd_lab.worlds import Batch


@dataclass(frozen=True)
class Heads:
    """The same conditional as `Logits`, as two factors whose product no side ever holds.

    A position has V numbers as logits and W as a hidden state: 152 thousand and a few thousand. A `Divergence` of heads
    is `linear_softmax_kl`, with the value and the gradient that it has of logits.
    """

    gives: ClassVar[Kind] = "heads"
    needs: ClassVar[Access] = "hidden_states"

    def __str__(self) -> str:
        return "logits, through the heads"

    def bind(self, student: nn.Module, teacher: nn.Module, seed: int) -> Signal:
        """A reader of both models' factors; nothing has to be learned for it.

        Raises:
            ValueError: a model does not give its logits as factors.
        """
        for role, model in (("student", student), ("teacher", teacher)):
            if not hasattr(model, "factors"):
                raise ValueError(
                    f"the {role} is a {type(model).__name__}, which gives its logits as a whole; expected a GPT or a "
                    "HuggingFace model on both sides: from others copy Logits(), whose vocabularies are small"
                )

        for model in (student, teacher):
            if hasattr(model, "unshard"):  # by fully_shard, which brings weights together for `forward` alone
                from torch.distributed.fsdp import register_fsdp_forward_method  # only now: it takes long to import

                register_fsdp_forward_method(model, "factors")

        def read(batch: Batch) -> tuple[Head, Head]:
            with torch.no_grad():
                teacher_factors = teacher.factors(batch.inputs)
            return student.factors(batch.inputs), teacher_factors

        return Signal(read)
