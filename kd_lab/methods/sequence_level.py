"""Sequence-level distillation: train on texts that the teacher wrote. Text is enough, so the teacher may be an API."""

from kd_lab.how import NegativeLogLikelihood
from kd_lab.methods.recipe import Recipe
from kd_lab.what import Sequences
from kd_lab.where import TeacherRollouts


def sequence_level(decode: str = "sample", size: int = 2048, beam_width: int = 5) -> Recipe:
    """WHAT sequences · HOW −log q of the teacher's text · WHERE teacher generations.

    Args:
        decode: "sample" estimates the sequence-level forward KL; "beam" keeps the mode (Kim & Rush); "greedy" its
            cheap stand-in.
        size: texts that the teacher writes before training starts.
        beam_width: of the search, where `decode` is "beam".

    Source: Kim & Rush (2016), arXiv:1606.07947, section 3.2.
    """
    where = TeacherRollouts(size=size, decode=decode, beam_width=beam_width)
    return Recipe("sequence-level KD", Sequences(), NegativeLogLikelihood(), where, source="arXiv:1606.07947")
