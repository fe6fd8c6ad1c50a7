"""The GPU's benchmark where there is no GPU: why it is skipped, and that its methods compute the same loss."""

import pytest
import torch

from kd_lab.bench import gpu


def test_without_a_gpu_it_says_so_and_ends_well(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    gpu.main()
    assert capsys.readouterr().out == "GPU benchmark skipped, no GPU: torch sees none.\n"


def test_bandwidth_counts_what_must_move():
    timing = gpu.Timing(1000, 50_000, "jsd", "kd_lab", median=1.0, low=0.9, high=1.2, extra_memory=0)
    assert timing.bandwidth() == pytest.approx(300)  # 6 bytes of 5e7 elements in a millisecond


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("divergence", gpu.DIVERGENCES)
def test_methods_compute_the_same_loss(divergence):
    pytest.importorskip("triton", reason="Triton has wheels for Linux only")
    generator = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(2, 50, generator=generator).to(torch.bfloat16) for _ in range(2))
    methods = gpu.losses(divergence)
    methods.pop("torch.compile")  # compiles for seconds, and is eager's formula
    values = {name: loss(student, teacher).item() for name, loss in methods.items()}
    assert {"kd_lab", "eager"} <= values.keys()
    assert values == pytest.approx(dict.fromkeys(values, values["eager"]), rel=1e-4)
