"""The watcher of lanes sees what a kernel asks for, with Triton and with its stand-in."""

import pytest
import torch

from kd_lab.lessons.l04_fused_softmax_kl import lanes, numpy_triton
from kd_lab.lessons.l04_fused_softmax_kl.exercises import EXERCISES
from kd_lab.lessons.l04_fused_softmax_kl.figures import ROWS, VOCABULARY, watch
from kd_lab.lessons.l04_fused_softmax_kl.triton_or_numpy import tl, triton


def test_three_passes_take_three_loads_per_block_and_one_store():
    found = watch({"04.1": EXERCISES["04.1"].reference})["04.1"]
    of_one = [access for access in found if access.program == 0]
    assert [access.stores for access in of_one].count(True) == 3
    assert [access.cells[0] for access in of_one if not access.stores] == 3 * [0, 4, 8]
    assert of_one[2].touches == (True, True, False, False)
    assert {access.program for access in found} == set(range(ROWS))


@pytest.mark.parametrize(("label", "loads"), [("04.3", 1), ("04.4", 1)])
def test_both_rows_are_read_once(label, loads):
    found = watch({label: EXERCISES[label].reference})[label]
    for tensor in ("student", "teacher"):
        touched = [
            cell
            for access in found
            if access.tensor == tensor and not access.stores
            for cell, touches in zip(access.cells, access.touches, strict=True)
            if touches
        ]
        assert sorted(touched) == sorted(loads * list(range(ROWS * VOCABULARY)))


def test_a_store_that_is_out_of_bounds_elsewhere_is_not_taken_for_ours():
    here, elsewhere = torch.zeros(4), torch.zeros(4)

    @triton.jit
    def fill(out, BLOCK: tl.constexpr):
        tl.store(out + tl.arange(0, BLOCK), 1.0)

    assert lanes.accesses(lambda: fill[(1,)](elsewhere, BLOCK=4), {"here": here}) == []


def test_the_stand_in_is_watched_alike(monkeypatch):
    monkeypatch.setattr(lanes, "HAS_TRITON", False)
    monkeypatch.setattr(lanes, "tl", numpy_triton.tl)
    source, language = torch.arange(3.0), numpy_triton.tl

    def sum_up(row, out, BLOCK):
        columns = language.arange(0, BLOCK)
        language.store(out, language.sum(language.load(row + columns, mask=columns < 3, other=0.0), 0))

    out = torch.zeros(1)
    kernel = numpy_triton.triton.jit(sum_up)
    found = lanes.accesses(lambda: kernel[(1,)](source, out, BLOCK=4), {"source": source, "out": out})
    assert [(one.tensor, one.stores, one.cells, one.touches) for one in found] == [
        ("source", False, (0, 1, 2, 3), (True, True, True, False)),
        ("out", True, (0,), (True,)),
    ]
