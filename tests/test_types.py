"""A user's script under `mypy --strict`: the public names have types, and none of them is Any."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mypy", reason="mypy is not installed: pip install mypy")

ROOT = Path(__file__).parents[1]
CACHE = ROOT / "build" / "mypy"  # torch is read for a minute, and once
SCRIPT = """
import torch

from kd_lab.how import (
    jsd, linear_softmax_kl, masked_mean, softmax_kl, softmax_kl_with_statistics, sparse_softmax_kl, top_k,
    vocab_parallel_softmax_kl,
)
from kd_lab.how.sparse import sparse_teacher_kl
from kd_lab.methods import distill, gkd
from kd_lab.models import GPT, GPTConfig, HuggingFace, generate

student, teacher = torch.randn(2, 3, requires_grad=True), torch.randn(2, 3)
ids, mask = torch.zeros(2, 1, dtype=torch.long), torch.ones(2, dtype=torch.bool)
reveal_type(softmax_kl(student, teacher, divergence="jsd", beta=0.5, mask=mask))
reveal_type(linear_softmax_kl(student, teacher, student, teacher, normalizer=torch.tensor(7)))
reveal_type(sparse_softmax_kl(student, ids, teacher[:, :1]))
reveal_type(sparse_teacher_kl(student, top_k(teacher, 1), divergence="jsd"))
reveal_type(softmax_kl_with_statistics(student, teacher, divergence="jsd", mask=mask)[0])
softmax_kl_with_statistics(student, teacher, temprature=2.0)  # type: ignore[call-arg]
sparse_teacher_kl(student, top_k(teacher, 1), beta="half")  # type: ignore[arg-type]
reveal_type(vocab_parallel_softmax_kl(student, teacher))
reveal_type(jsd(student, teacher, beta=0.5))
reveal_type(masked_mean(student, normalizer=3))
reveal_type(generate(GPT(GPTConfig(vocab_size=3, context=8)), ids, 4, greedy=True))
reveal_type(gkd())
reveal_type(distill)
reveal_type(HuggingFace.forward)
"""


def test_a_script_of_losses_and_methods_passes_mypy_strict(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--follow-imports=silent",
        f"--cache-dir={ROOT / 'build' / 'mypy'}",
        "script.py",
    ]
    environment = os.environ | {"MYPYPATH": str(ROOT)}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    revealed = [line.partition("Revealed type is ")[2] for line in run.stdout.splitlines() if "Revealed" in line]
    assert len(revealed) == SCRIPT.count("reveal_type")
    assert revealed[:9] == ['"torch._tensor.Tensor"'] * 9
    assert not [kind for kind in revealed if "Any" in kind]
