"""A few kernels compiled for GPUs that are not here; `make kernels` compiles them all."""

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("triton", reason="Triton has wheels for Linux only")

from kd_lab.how.kernels.audit.report import compile_problems, show

COMPILE = """
import json
from dataclasses import asdict
from kd_lab.how.kernels.audit.ahead_of_time import Variant, compile_variant
for variant in (
    Variant("resident", "jsd", "bf16", "bf16", 8192, "sm_80"),
    Variant("resident", "skew_reverse_kl", "bf16", "bf16", 8192, "sm_80"),
    Variant("training", "skew_reverse_kl", "bf16", "bf16", 50_257, "sm_90"),
    Variant("training", "forward_kl", "bf16", "bf16", 50_257, "sm_90"),
    Variant("training", "forward_kl", "bf16", "bf16", 128_256, "sm_90"),
    Variant("resident", "forward_kl", "bf16", "bf16", 12_288, "sm_100", labels=True),
    Variant("backward", "reverse_kl", "bf16", "bf16", 128_256, "sm_100"),
    Variant("backward", "jsd", "bf16", "bf16", 128_256, "gfx942"),
    Variant("backward", "forward_kl", "bf16", "bf16", 50_257, "sm_90", row_stride_padded=False),
):
    print(json.dumps(asdict(variant) | asdict(compile_variant(variant))))
"""


@pytest.fixture(scope="module")
def compiled() -> list[dict]:
    """In a process of its own: here Triton interprets, and an interpreted kernel cannot be compiled."""
    environment = os.environ | {"TRITON_INTERPRET": "0"}
    run = subprocess.run([sys.executable, "-c", COMPILE], capture_output=True, text=True, env=environment, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    return [json.loads(line) for line in run.stdout.splitlines()]


def test_nothing_spills(compiled):
    assert len(compiled) == 9
    assert [variant["spills"] for variant in compiled] == [0] * 9


def test_loads_are_vectors_where_rows_begin_at_multiples_of_16(compiled):
    assert [compile_problems(variant) for variant in compiled[:8]] == [[]] * 8


def test_rows_that_begin_anywhere_lose_every_vector(compiled):
    """Which the check sees: V = 50,257 without padding between the rows."""
    assert compiled[8]["vector_loads"] == 0
    assert "0 vector loads" in compile_problems(compiled[8])[0]


def test_a_missed_budget_ends_the_report_with_status_1(compiled, capsys):
    from kd_lab.how.kernels.audit.report import Row

    row = Row("forward_kl", "early", 128_256, 9.7, ("training",))
    within = (row, 9.6, {5e-1: 1e-7})
    assert show([within], compiled[3:5]) == 0
    assert "Every budget is met." in capsys.readouterr().out
    for measured, variant, says in (
        ((row, 9.8, {}), compiled[4], "9.80 bytes per element, more than 9.7"),
        ((row, 9.6, {5e-1: 8e-7}), compiled[4], "relative error 8.0e-07 at 0.5 nats, more than 7e-07"),
        (within, compiled[4] | {"spills": 8}, "8 bytes spilled"),
    ):
        assert show([measured], [variant]) == 1
        assert says in capsys.readouterr().out
