"""The parts of a lesson, and the builder of notebooks from lesson sources.

A lesson imports `setup`, `predict`, `reveal`, `exercise`, `claim` and `quiz` from here.
"""

from kd_lab.classroom.claim import claim
from kd_lab.classroom.exercise import assert_solved, exercise
from kd_lab.classroom.handed_in import hand_in
from kd_lab.classroom.questions import predict, quiz, reveal
from kd_lab.classroom.setup import setup

__all__ = ["assert_solved", "claim", "exercise", "hand_in", "predict", "quiz", "reveal", "setup"]
