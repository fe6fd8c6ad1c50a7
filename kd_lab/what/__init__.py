"""The first knob: which signal of the teacher the student copies."""

from kd_lab.what.responses import Logits, Sequences
from kd_lab.what.signal import Signal

__all__ = ["Logits", "Sequences", "Signal"]
