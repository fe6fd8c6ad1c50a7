"""The worth of a distilled model: exact where the language can be enumerated, estimated elsewhere."""

from kd_lab.measure.interval import mean_interval
from kd_lab.optional_torch import HAS_TORCH

if HAS_TORCH:
    from kd_lab.measure.exact import conditionals, every_text, gap_by_position, joint, reach, sequence_kl
    from kd_lab.measure.exposure import (
        exact_excess_error,
        excess_error,
        gap_by_pair,
        pair_reach,
        sampled_gap_by_position,
    )
    from kd_lab.measure.quality import agreement, bits_per_character, calibration_error, distinct
    from kd_lab.measure.spread import gradient_angle, gradient_of, mean_and_variance, root_mean_square_error

__all__ = [
    "agreement",
    "bits_per_character",
    "calibration_error",
    "conditionals",
    "distinct",
    "every_text",
    "exact_excess_error",
    "excess_error",
    "gap_by_pair",
    "gap_by_position",
    "gradient_angle",
    "gradient_of",
    "joint",
    "mean_and_variance",
    "mean_interval",
    "pair_reach",
    "reach",
    "root_mean_square_error",
    "sampled_gap_by_position",
    "sequence_kl",
]
