"""What a distilled model is worth: exact where the language can be enumerated, estimated elsewhere."""

from kd_lab.measure.exact import alive, conditionals, gap_by_position, joint, prefixes, reach, sequence_kl
from kd_lab.measure.likelihood import bits_per_character

__all__ = [
    "alive",
    "bits_per_character",
    "conditionals",
    "gap_by_position",
    "joint",
    "prefixes",
    "reach",
    "sequence_kl",
]
