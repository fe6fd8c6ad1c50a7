"""A gradient that is made in the forward pass, for the upstream gradient that is expected to come.

A loss over rows of logits has its gradient nearly for nothing while a row is at hand, if it is known by what the loss
of each row will be multiplied. An operator that works so returns its losses and its gradients together. What happens
when backpropagation arrives is the same for all such operators, and stands here once:

- the gradient is handed over once, so that the engine may keep it without a copy;
- if another upstream gradient comes than was expected, the gradient is scaled to it, or made anew;
- asked for once more (a retained graph), it is made anew from the operator's inputs;
- it has no derivative of its own, and says so.

    operator.register_autograd(rule.backward, setup_context=rule.setup_context)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Gradients = Sequence[Tensor | None]
"""Of the operator's first inputs, in their order; None where one is not wanted."""


def refuse_a_second_derivative(name: str, remedy: str) -> None:
    """Refuse, within a backward pass, that it be differentiated: where the upstream is a constant, autograd would not.

    Raises:
        ValueError: the caller wants to differentiate the gradient again.
    """
    if torch.is_grad_enabled():
        raise ValueError(
            f"{name} was asked for a gradient that can be differentiated again (create_graph=True, or a Hessian); its "
            f"fast path has the first derivative alone; expected one backward pass; {remedy}"
        )


@dataclass(frozen=True)
class EarlyGradient:
    """The autograd rule of an operator `(*inputs) -> (losses, *others)`, only whose losses can be differentiated.

    The functions see the operator's inputs as it got them. A function that looks at numbers, as `meet` may, has to be
    an operator itself if the whole is to compile.
    """

    name: str  # of the public function, for the message
    early: Callable[
        [Sequence[Any], Sequence[Any]], Gradients | None
    ]  # (inputs, others) -> made in forward, if they were
    meet: Callable[
        [Gradients, Sequence[Any], Tensor], Gradients | None
    ]  # (gradients, inputs, upstream), may be in place;
    # None where these gradients cannot be turned into those for this upstream
    anew: Callable[[Sequence[Any], Sequence[Tensor], Tensor], Gradients]  # (inputs, kept, upstream)
    keep: Callable[[Sequence[Any]], Sequence[Tensor]] = lambda others: ()  # those of the others that `anew` reads

    def setup_context(self, ctx: Any, inputs: Sequence[Any], output: Sequence[Any]) -> None:
        """The needs of backward: the inputs, what is kept, and the gradients if there are any."""
        _, *others = output
        flat = [tensor for other in others for tensor in (other if isinstance(other, list) else [other])]
        ctx.mark_non_differentiable(*flat)
        ctx.set_materialize_grads(False)  # or backward would be brought zeros for each of the others
        ctx.save_for_backward(*(value if isinstance(value, Tensor) else None for value in inputs), *self.keep(others))
        ctx.options = [None if isinstance(value, Tensor) else value for value in inputs]
        ctx.gradients = self.early(inputs, others)

    def backward(self, ctx: Any, upstream: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        """The gradients of Σ upstream·losses, one for each input.

        Raises:
            ValueError: the caller wants to differentiate them again.
        """
        refuse_a_second_derivative(self.name, 'write backend="reference", which can be differentiated again and again')
        saved = ctx.saved_tensors  # refuses a graph that was freed, and inputs that were overwritten since
        inputs = [option if tensor is None else tensor for tensor, option in zip(saved, ctx.options, strict=False)]
        gradients, ctx.gradients = ctx.gradients, None
        if gradients is not None:
            # A tracer's tensor is the output of a graph that may run backward again: nothing is given away there.
            gradients = [g if g is None or type(g) is Tensor else g.clone() for g in gradients]
            gradients = self.meet(gradients, inputs, upstream)
        if gradients is None:
            gradients = self.anew(inputs, saved[len(inputs) :], upstream)
        return *gradients, *[None] * (len(inputs) - len(gradients))
