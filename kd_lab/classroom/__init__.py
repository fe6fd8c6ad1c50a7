"""The parts of a lesson, and the builder of notebooks from lesson sources.

A lesson imports `setup`, `predict`, `exercise`, `claim`, `quiz` and `Question` from here.
"""

from kd_lab.classroom.claim import claim
from kd_lab.classroom.exercise import assert_solved, exercise
from kd_lab.classroom.questions import Question, predict, quiz
from kd_lab.classroom.setup import setup

__all__ = ["Question", "assert_solved", "claim", "exercise", "predict", "quiz", "setup"]
