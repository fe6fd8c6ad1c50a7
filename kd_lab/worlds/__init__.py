"""Where text comes from."""

from kd_lab.worlds.batch import END, Batch, Vocabulary
from kd_lab.worlds.world import World

__all__ = ["END", "Batch", "Vocabulary", "World"]
