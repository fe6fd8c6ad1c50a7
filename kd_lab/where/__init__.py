"""The third knob: on whose prefixes student and teacher are compared."""

from kd_lab.where.beam import Hypothesis, Step, beam_search
from kd_lab.where.corpus import Corpus, Mixture
from kd_lab.where.endpoint import TextTeacher
from kd_lab.where.rollouts import StudentRollouts, TeacherRollouts, rollout, teacher_texts

__all__ = [
    "Corpus",
    "Hypothesis",
    "Mixture",
    "Step",
    "StudentRollouts",
    "TeacherRollouts",
    "TextTeacher",
    "beam_search",
    "rollout",
    "teacher_texts",
]
