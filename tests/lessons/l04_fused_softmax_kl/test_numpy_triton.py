"""The stand-in for Triton runs the kernels of lesson 04 as Triton does, from the same source."""

import inspect
import textwrap

import pytest
import torch

from kd_lab.classroom.diagnosis import find_exercise, written
from kd_lab.lessons.l04_fused_softmax_kl import numpy_triton, triton_or_numpy

IDENTIFIERS = ["04.1", "04.2", "04.3", "04.4", "04.5"]
NAMES = {"tl": numpy_triton.tl, "triton": numpy_triton.triton, "no_type_check": lambda function: function}


def in_the_stand_in(kernel):
    """The same kernel from its source, with the stand-in's names."""
    names = dict(NAMES)
    for one in (triton_or_numpy.load_block, kernel):
        exec(textwrap.dedent(inspect.getsource(written(one))), names)
    return names[written(kernel).__name__]


@pytest.mark.parametrize("identifier", IDENTIFIERS)
def test_it_gives_what_triton_gives(identifier):
    exercise = find_exercise(identifier)
    kernel = in_the_stand_in(exercise.reference)
    for case in exercise.cases:
        expected, got = exercise.run(exercise.reference, *case.inputs()), exercise.run(kernel, *case.inputs())
        for a, b in zip(parts(got), parts(expected), strict=True):
            torch.testing.assert_close(a, b, rtol=2e-6, atol=1e-7)


def parts(answer):
    return list(answer.values()) if isinstance(answer, dict) else [answer]


@pytest.mark.parametrize("identifier", IDENTIFIERS)
def test_it_counts_the_bytes_that_triton_counts(identifier):
    exercise = find_exercise(identifier)
    kernel = in_the_stand_in(exercise.reference)
    inputs = exercise.cases[-1].inputs
    with triton_or_numpy.count_bytes() as interpreted:
        exercise.run(exercise.reference, *inputs())
    with numpy_triton.count_bytes() as stood_in:
        exercise.run(kernel, *inputs())
    assert interpreted.moved > 0
    assert (stood_in.loaded, stood_in.stored) == (interpreted.loaded, interpreted.stored)


def test_a_view_keeps_its_place_in_memory():
    @numpy_triton.triton.jit
    def copy_two(source, out):
        lanes = numpy_triton.tl.arange(0, 2)
        numpy_triton.tl.store(out + lanes, numpy_triton.tl.load(source + lanes))

    source, out = torch.arange(6.0), torch.zeros(4)
    copy_two[(1,)](source[3:], out[1:])
    assert out.tolist() == [0.0, 3.0, 4.0, 0.0]


def test_a_place_outside_the_memory_is_refused():
    @numpy_triton.triton.jit
    def too_far(source):
        numpy_triton.tl.load(source + numpy_triton.tl.arange(0, 8))

    with pytest.raises(IndexError, match="element 6 of a tensor whose memory holds 6 elements"):
        too_far[(1,)](torch.zeros(6))


def test_each_program_has_its_number():
    @numpy_triton.triton.jit
    def numbers(out, columns):
        row, column = numpy_triton.tl.program_id(0), numpy_triton.tl.program_id(1)
        numpy_triton.tl.store(out + row * columns + column, 10 * row + column)

    out = torch.zeros(2, 3)
    numbers[(2, 3)](out, 3)
    assert out.tolist() == [[0, 1, 2], [10, 11, 12]]
