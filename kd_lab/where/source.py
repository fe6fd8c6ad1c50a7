"""What every WHERE opens: a function from a batch size to a batch."""

from collections.abc import Callable

from kd_lab.worlds import Batch

Source = Callable[[int], Batch]
