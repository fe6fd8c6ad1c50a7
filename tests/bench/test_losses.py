"""The benchmark compares equal things, and its measure of memory sees what is allocated."""

import pytest
import torch

from kd_lab.bench import losses
from kd_lab.bench.losses import EAGER, TEMPERATURE, eager, linear_paths, logits_paths, peak_memory, small_paths, table
from kd_lab.how import softmax_kl


@pytest.mark.parametrize("temperature", [1.0, TEMPERATURE])
@pytest.mark.parametrize("divergence", EAGER)
def test_the_eager_formula_is_the_same_loss(divergence, temperature):
    student, teacher = torch.randn(5, 40, requires_grad=True), torch.randn(5, 40)
    ours, theirs = (
        softmax_kl(student, teacher, divergence=divergence, temperature=temperature),
        eager(student, teacher, divergence, temperature),
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=0)
    gradients = (torch.autograd.grad(loss, student)[0] for loss in (ours, theirs))
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-7)


def test_peak_memory_sees_a_tensor_that_came_and_went():
    size = 2**26
    peak = peak_memory(lambda: torch.ones(size // 4).sum())
    if peak is None:
        pytest.skip("this system keeps no account of peak memory")
    assert 0.9 * size < peak < 1.5 * size


def test_a_line_for_every_path():
    paths = small_paths("jsd", 8, 50, calls=2)
    lines = table("small", paths, 4 * 8 * 50, rounds=1).splitlines()
    assert [line.split()[1] for line in lines] == list(paths)


def test_the_mixture_with_labels_is_held_against_the_divergence_alone():
    for paths in (logits_paths("jsd", 8, 50, compiled=False, dtype=torch.bfloat16), linear_paths(8, 50, 4)):
        *lines, last = table("small", paths, 2 * 8 * 50, rounds=1).splitlines()
        assert len(lines) == len(paths) == 3
        assert "labels make it" in last


def test_one_line_can_be_asked_for(monkeypatch, capsys):
    options = "--divergence skew_kl --vocabulary 50 --rows 8 --dtype bfloat16 --rounds 1 --no-compile --temperature 1"
    monkeypatch.setattr("sys.argv", ["losses", *options.split()])
    losses.main()
    printed = capsys.readouterr().out
    assert printed.count("skew_kl 8 × 50 bf16") == 4
    assert "τ = 1," in printed
