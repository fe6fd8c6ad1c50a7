"""Pictures of what the other layers compute: explorers that move, plots that stand still, one look for both."""

from kd_lab.viz.explorer import EXPLORERS, Choice, Explorer, Slider, Text
from kd_lab.viz.picture import show
from kd_lab.viz.style import BASELINE, DIVERGENCES, STUDENT, TEACHER, course_style, new_figure

__all__ = [
    "BASELINE",
    "DIVERGENCES",
    "EXPLORERS",
    "STUDENT",
    "TEACHER",
    "Choice",
    "Explorer",
    "Slider",
    "Text",
    "course_style",
    "new_figure",
    "show",
]
