"""A kernel of the interpreter's process is compiled in another, and what comes back is read rightly."""

import pytest

from kd_lab.classroom.diagnosis import find_exercise
from kd_lab.lessons.l04b_bytes_and_instructions.own_kernel import compile_or_fall_back, compile_own_kernel
from kd_lab.lessons.l04b_bytes_and_instructions.triton_here import tl, triton

TYPES = {"logits": "*bf16", "lse": "*fp32", "vocabulary": "i32"}


def test_vectors_need_a_vocabulary_that_16_divides():
    kernel = find_exercise("04.2").reference
    aligned, odd = compile_own_kernel(
        kernel,
        TYPES,
        [{"BLOCK": 1024, "num_warps": 4, "vocabulary": 128_256}, {"BLOCK": 1024, "num_warps": 4, "vocabulary": 50_257}],
    )
    assert aligned.vector_loads == 1  # 1,024 columns over 128 threads are 8 of 2 bytes each
    assert aligned.scalar_loads == 0
    assert odd.vector_loads == 0
    assert odd.scalar_loads == 8
    assert aligned.spills == odd.spills == 0
    assert ".target sm_90" in aligned.ptx
    assert "ld.global.v4.b32" in aligned.ptx


def test_a_kernel_that_does_not_compile_says_why():
    @triton.jit
    def broken(logits, lse, vocabulary, BLOCK: tl.constexpr):
        tl.store(lse, tl.no_such_thing(logits))

    with pytest.raises(ValueError, match=r"broken does not compile for sm_90[\s\S]*no_such_thing"):
        compile_own_kernel(broken, TYPES, [{"BLOCK": 16, "num_warps": 1}])


def test_a_kernel_that_only_the_interpreter_takes_is_explained_and_replaced(capsys):
    exercise = find_exercise("04.3")
    (integers,) = [one for one in exercise.unusual if one.fn.__name__ == "forward_kl_from_integers"]
    types = dict.fromkeys(("student", "teacher"), "*bf16") | dict.fromkeys(
        ("kl", "student_lse", "teacher_lse"), "*fp32"
    )
    types |= {"vocabulary": "i32", "temperature": "fp32"}
    variants = [{"BLOCK": 1024, "num_warps": 4, "vocabulary": 128_256}]
    (made,) = compile_or_fall_back(integers, exercise.reference, types, variants)
    assert made.registers > 0
    said = capsys.readouterr().out
    assert "does not compile" in said
    assert "`0` instead of `0.0`" in said
