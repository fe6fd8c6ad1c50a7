"""The checks that log-probabilities pass before a divergence or an estimator reads them."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import Tensor

from kd_lab.arguments import checked


def of_log_probabilities(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A formula of log q and log p behind its checks; `inspect.unwrap` gives the bare one, for what a softmax gave.

    >>> @of_log_probabilities
    ... def log_ratio(student_logp: Tensor, teacher_logp: Tensor) -> Tensor:
    ...     return student_logp - teacher_logp
    >>> log_ratio(torch.tensor([1.0]), torch.tensor([0.0]))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: student_logp reaches 1; expected log-probabilities, which are at most 0; ...
    """

    @checked
    @wraps(function)
    def with_checks(student_logp: Tensor, teacher_logp: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        check_logp(student_logp, teacher_logp)
        return function(student_logp, teacher_logp, *args, **kwargs)

    return with_checks


def check_logp(student_logp: Tensor, teacher_logp: Tensor) -> None:
    """Refuse two shapes, and numbers that are no log-probabilities; a GPU is not made to wait for that.

    Raises:
        ValueError: the shapes differ, or values on the CPU are above 0 by more than half precision rounds.
    """
    if student_logp.shape != teacher_logp.shape:
        raise ValueError(
            f"student_logp has shape {tuple(student_logp.shape)} and teacher_logp {tuple(teacher_logp.shape)}; "
            "expected the same shape, since nothing is broadcast here; write .expand_as(…) where you mean one for many"
        )
    for name, logp in (("student_logp", student_logp), ("teacher_logp", teacher_logp)):
        if logp.device.type == "cpu" and not is_traced(logp) and logp.numel() and logp.detach().amax() > 0.05:
            raise ValueError(
                f"{name} reaches {float(logp.detach().amax()):.4g}; expected log-probabilities, which are at most 0; "
                "write .log_softmax(-1) if these are logits"
            )


def is_traced(tensor: Tensor) -> bool:
    """Whether a graph or a transform holds this tensor, which then has no values to look at."""
    return torch.compiler.is_compiling() or torch._C._functorch.is_functorch_wrapped_tensor(tensor)
