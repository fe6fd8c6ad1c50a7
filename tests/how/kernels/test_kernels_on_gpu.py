"""The kernels as a GPU runs them, in a process of their own: Triton decides at import whether it interprets."""

import os
import subprocess
import sys

import pytest
import torch

from kd_lab.how import softmax_kl
from kd_lab.how.divergences import DIVERGENCES

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
HAS_GPU = torch.cuda.is_available()
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not HAS_GPU, reason="no GPU: torch sees none")]
compiled = pytest.mark.skipif(
    HAS_GPU and INTERPRETED, reason="runs in the process that test_the_compiled_kernels starts"
)
DEVICE = "cuda"


@pytest.mark.skipif(not INTERPRETED, reason="this is the process in which kernels are compiled")
def test_the_compiled_kernels():
    environment = os.environ | {"TRITON_INTERPRET": "0"}
    command = [sys.executable, "-m", "pytest", "-q", __file__]
    run = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert run.returncode == 0, run.stdout[-4000:]


def value_and_gradient(student, teacher, **options) -> tuple[torch.Tensor, torch.Tensor]:
    leaf = student.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    loss = softmax_kl(leaf, teacher, **options)
    (gradient,) = torch.autograd.grad(loss.sum(), leaf)
    return loss.detach(), gradient


@compiled
@pytest.mark.parametrize("divergence", list(DIVERGENCES))
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("vocabulary", [27, 4096, 16_384, 50_257, 128_256])
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_equals_fp64(divergence, dtype, vocabulary, reduction):
    generator = torch.Generator().manual_seed(0)
    student, teacher = (3 * torch.randn(2, 4, vocabulary, generator=generator).to(DEVICE) for _ in range(2))
    student, teacher = student.to(dtype)[:, :-1], teacher.to(dtype)[:, 1:]  # shifted, as tokens and their logits are
    mask = torch.tensor([[True, True, False], [False, True, True]], device=DEVICE)
    options = {"divergence": divergence, "beta": 0.3, "temperature": 2.0, "mask": mask, "reduction": reduction}
    value, gradient = value_and_gradient(student, teacher, backend="auto", **options)
    exact, exact_gradient = value_and_gradient(student.double(), teacher.double(), backend="reference", **options)
    torch.testing.assert_close(value.double(), exact, rtol=5e-6, atol=0)
    unit = {torch.bfloat16: 2**-8, torch.float16: 2**-11, torch.float32: 1e-5}[dtype]
    least = 2**-24 if dtype == torch.float16 else 0  # below which fp16 has no numbers
    atol = 3e-6 * exact_gradient.abs().max().item() + least
    torch.testing.assert_close(gradient.double(), exact_gradient, rtol=unit, atol=atol)
    assert gradient[~mask].eq(0).all()


@compiled
@pytest.mark.parametrize("divergence", ["forward_kl", "skew_reverse_kl"])
@pytest.mark.parametrize("vocabulary", [27, 12_288, 16_384, 128_256])
def test_labels_equal_fp64(divergence, vocabulary):
    generator = torch.Generator().manual_seed(0)
    student, teacher = (3 * torch.randn(4, vocabulary, generator=generator).to(DEVICE) for _ in range(2))
    options = {
        "divergence": divergence,
        "beta": 0.3,
        "temperature": 2.0,
        "labels": torch.tensor([0, vocabulary - 1, -100, 13], device=DEVICE),
        "label_weight": 0.25,
    }
    value, gradient = value_and_gradient(student, teacher, backend="triton", **options)
    exact, exact_gradient = value_and_gradient(student.double(), teacher.double(), backend="reference", **options)
    torch.testing.assert_close(value.double(), exact, rtol=5e-6, atol=0)
    torch.testing.assert_close(
        gradient.double(), exact_gradient, rtol=1e-5, atol=3e-6 * exact_gradient.abs().max().item()
    )


@compiled
@pytest.mark.parametrize("divergence", list(DIVERGENCES))
@pytest.mark.parametrize("vocabulary", [4096, 50_257])
@pytest.mark.parametrize("special", [float("nan"), float("inf")])
def test_nan_reaches_the_gradient_of_its_row_and_no_other(divergence, vocabulary, special):
    """A GPU's maximum passes over NaN, where the interpreter's does not."""
    student, teacher = torch.randn(3, vocabulary, device=DEVICE), torch.randn(3, vocabulary, device=DEVICE)
    student[1, 7], teacher[2, -1] = special, special
    value, gradient = value_and_gradient(
        student, teacher, divergence=divergence, beta=0.3, reduction="none", backend="triton"
    )
    assert value.isnan().tolist() == [False, True, True]
    assert gradient[0].isfinite().all()
    assert gradient[1:].isnan().all()


@compiled
@pytest.mark.parametrize("divergence", list(DIVERGENCES))
@pytest.mark.parametrize("vocabulary", [6000, 50_257])
@pytest.mark.parametrize("low", [float("-inf"), -300.0, -1e9, torch.finfo(torch.float32).min])
def test_what_is_walled_off_on_one_side_stays_in_the_loss(divergence, vocabulary, low):
    """In columns between, in those that are read first, V mod 4096 of them, or in those and more."""
    generator = torch.Generator().manual_seed(0)
    noise, teacher = (3 * torch.randn(3, vocabulary, generator=generator).to(DEVICE) for _ in range(2))
    student = teacher + 0.1 * noise
    first = vocabulary // 4096 * 4096
    for side in ("student",) * (divergence != "forward_kl") + ("teacher",) * (divergence != "reverse_kl"):
        pair = {"student": student.clone(), "teacher": teacher.clone()}
        pair[side][0, 100:300] = pair[side][1, first:] = pair[side][2, first:] = pair[side][2, :1000] = low
        options = {"divergence": divergence, "beta": 0.3, "reduction": "none"}
        value, gradient = value_and_gradient(*pair.values(), backend="triton", **options)
        doubles = [logits.double() for logits in pair.values()]
        exact, exact_gradient = value_and_gradient(*doubles, backend="reference", **options)
        torch.testing.assert_close(value.double(), exact, rtol=5e-6, atol=0)
        torch.testing.assert_close(gradient.double(), exact_gradient, rtol=1e-5, atol=3e-6)


@compiled
def test_torch_compile_fullgraph():
    student = torch.randn(8, 5000, device=DEVICE, requires_grad=True)
    teacher = torch.randn(8, 5000, device=DEVICE)

    def loss(student, teacher):
        return softmax_kl(2 * student, teacher, divergence="jsd", backend="triton")

    value = torch.compile(loss, fullgraph=True)(student, teacher)
    (gradient,) = torch.autograd.grad(value, student)
    torch.testing.assert_close(value, loss(student, teacher))
    torch.testing.assert_close(gradient, torch.autograd.grad(loss(student, teacher), student)[0])


@compiled
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("device", ["cpu", DEVICE])
def test_a_normalizer_may_live_on_either_device(masked, device):
    generator = torch.Generator(DEVICE).manual_seed(0)
    student, teacher = torch.randn(2, 4, 500, generator=generator, device=DEVICE)
    mask = torch.tensor([True, False, True, True], device=DEVICE) if masked else None
    got = value_and_gradient(student, teacher, mask=mask, normalizer=torch.tensor([8], device=device))
    exact = value_and_gradient(student.double(), teacher.double(), mask=mask, normalizer=8)
    for mine, theirs in zip(got, exact, strict=True):
        torch.testing.assert_close(mine.double(), theirs, rtol=1e-4, atol=1e-7)
