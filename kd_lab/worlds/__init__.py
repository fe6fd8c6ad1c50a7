"""Where text comes from: real surnames, exact small languages, densities, a learner's own file."""

from kd_lab.optional_torch import HAS_TORCH
from kd_lab.worlds.densities import Mixture1D, Mixture2D

if HAS_TORCH:
    from kd_lab.worlds.batch import Batch, Vocabulary
    from kd_lab.worlds.languages import Language, language
    from kd_lab.worlds.moves import moves, verify
    from kd_lab.worlds.surnames import surnames
    from kd_lab.worlds.text_file import text_file
    from kd_lab.worlds.world import World

__all__ = [
    "Batch",
    "Language",
    "Mixture1D",
    "Mixture2D",
    "Vocabulary",
    "World",
    "language",
    "moves",
    "surnames",
    "text_file",
    "verify",
]
