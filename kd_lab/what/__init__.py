"""The first knob: which signal of the teacher the student copies."""

from kd_lab.what.signals import Logits, Sequences

__all__ = ["Logits", "Sequences"]
