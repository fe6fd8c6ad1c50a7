"""No distillation at all: maximum likelihood on the data. The baseline that every method has to beat."""

from kd_lab.how import NegativeLogLikelihood
from kd_lab.methods.recipe import Recipe
from kd_lab.what import Sequences
from kd_lab.where import Corpus


def labels_only() -> Recipe:
    """WHAT the data's own sequences · HOW −log q · WHERE a fixed set. Needs no teacher."""
    return Recipe("labels only", Sequences(), NegativeLogLikelihood(), Corpus())
