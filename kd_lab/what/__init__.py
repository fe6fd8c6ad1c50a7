"""The first knob: the signal of the teacher that the student copies."""

from kd_lab.what.features import Features
from kd_lab.what.heads import Heads
from kd_lab.what.logits import KeptLogits, Logits, Paths
from kd_lab.what.relations import Relations
from kd_lab.what.sequences import Sequences

__all__ = ["Features", "Heads", "KeptLogits", "Logits", "Paths", "Relations", "Sequences"]
