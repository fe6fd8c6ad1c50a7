"""What every WHAT opens: a way to read one signal off both models, and whatever must be learned to read it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from kd_lab.worlds import Batch


@dataclass(frozen=True)
class Signal:
    """A reader of batches for one student and one teacher."""

    read: Callable[[Batch], tuple[Any, Any]]  # the student's signal and the teacher's; the latter without a gradient
    parameters: tuple[nn.Parameter, ...] = ()  # trained beside the student and thrown away after: a projector's
