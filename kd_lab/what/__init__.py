"""The first knob: which signal of the teacher the student copies."""

from kd_lab.what.hidden import Features, Relations
from kd_lab.what.logits import Logits, Paths, Sequences
from kd_lab.what.signal import Signal

__all__ = ["Features", "Logits", "Paths", "Relations", "Sequences", "Signal"]
