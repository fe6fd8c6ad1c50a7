from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

from kd_lab.book.signatures import parameters_of, signature_of
from kd_lab.how import softmax_kl
from kd_lab.measure import mean_interval


class Made:
    def __init__(self, width: int, *, name: str = "x"):
        self.width, self.name = width, name

    def method(self, x: float) -> float:
        return x


@dataclass(frozen=True)
class Recorded:
    one: int
    many: list[int] = field(default_factory=list)
    fixed: ClassVar[int] = 3
    last: float = 0.5


class Plain:
    pass


def test_shapes_and_defaults_stand_as_in_the_source():
    arguments, result = signature_of(softmax_kl)
    assert arguments.startswith(
        "(student_logits: Float[Tensor, '... V'], teacher_logits: Float[Tensor, '... V_teacher'], *"
    )
    assert "temperature: float=1.0" in arguments
    assert result == "Float[Tensor, '...']"


def test_a_checked_function_shows_its_own_arguments():
    assert signature_of(mean_interval)[0].endswith("level: float=0.95)")


def test_a_class_shows_what_it_is_made_from():
    assert signature_of(Made) == ("(width: int, *, name: str='x')", "")
    assert signature_of(Recorded) == ("(one: int, many: list[int] = ..., last: float = 0.5)", "")
    assert signature_of(Plain) is None


def test_a_method_shows_no_self():
    assert signature_of(Made.method) == ("(x: float)", "float")


def test_what_has_no_source_keeps_what_sphinx_finds():
    assert signature_of(len) is None
    assert signature_of(eval("lambda x: x")) is None


def test_the_parameters_of_whatever_stands_in_a_class():
    assert parameters_of(Made.method) == {"self", "x"}
    assert parameters_of(cached_property(len)) == parameters_of(property(len)) == parameters_of(3) == set()
