"""The kernels as operators of torch.library: opcheck, torch.compile, second derivatives, and what they refuse."""

import os
import subprocess
import sys

import pytest
import torch

pytest.importorskip("triton", reason="Triton has wheels for Linux only")
if os.environ.get("TRITON_INTERPRET") != "1":
    pytest.skip("Triton came without its interpreter: set TRITON_INTERPRET=1", allow_module_level=True)

from kd_lab.how.kernels import triton_softmax_kl
from kd_lab.how.kernels.ops import multiply_rows_, softmax_kl_backward, softmax_kl_rows

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def pair(*shape: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return tuple(3 * torch.randn(shape, generator=generator) for _ in range(2))


@pytest.mark.parametrize(("divergence", "save"), [("forward_kl", "gradient"), ("jsd", "statistics")])
def test_opcheck(divergence, save, path):
    student, teacher = pair(1, 2, 300)
    labels, mask = torch.tensor([[7, 0]]), torch.tensor([[True, False]])
    weight = torch.rand(1, 2) if save == "gradient" else None
    options = (torch.tensor([0.3, 2.0, 0.25], dtype=torch.float64), divergence, True)
    torch.library.opcheck(softmax_kl_rows, (student.requires_grad_(), teacher, labels, mask, weight, *options, save))
    student = student.detach()
    _, statistics, _ = softmax_kl_rows(student, teacher, labels, mask, weight, *options, "statistics")
    torch.library.opcheck(softmax_kl_backward, (student, teacher, labels, mask, torch.rand(1, 2), statistics, *options))
    torch.library.opcheck(multiply_rows_, (torch.rand(1, 2, 70), mask, torch.rand(1, 2)))


COMPILED = """
import torch
from kd_lab.how.kernels import triton_softmax_kl
torch.manual_seed(0)
student, teacher = torch.randn(1, 3, 70, requires_grad=True), torch.randn(1, 3, 70)
mask = torch.tensor([[True, True, False]])
for weight, divergence, compiler in ((None, "jsd", "aot_eager"), (torch.tensor(0.25), "forward_kl", "inductor")):
    def loss(student, teacher):
        doubled = 2 * student  # something to compile beside the operator
        return triton_softmax_kl(doubled, teacher, divergence=divergence, mask=mask, weight=weight).sum() * 3
    (wanted,) = torch.autograd.grad(loss(student, teacher), student)
    torch.compiler.reset()
    compiled = torch.compile(loss, fullgraph=True, backend=compiler)
    for _ in range(2):
        value = compiled(student, teacher)
        (got,) = torch.autograd.grad(value, student, retain_graph=True)
        (again,) = torch.autograd.grad(value, student)
        torch.testing.assert_close(value, loss(student, teacher))
        torch.testing.assert_close(got, wanted)
        torch.testing.assert_close(again, wanted)
print("same")
"""

ONE_GRAPH = """
import torch
from kd_lab.how import softmax_kl
student, teacher = torch.randn(2, 33, requires_grad=True), torch.randn(2, 33)
graphs = []
def counting(graph, inputs):
    graphs.append(graph)
    return graph
def loss(student, teacher, temperature, beta, backend="triton"):
    return softmax_kl(student, teacher, divergence="jsd", temperature=temperature, beta=beta, backend=backend)
compiled = torch.compile(loss, fullgraph=True, backend=counting)
for step in range(5):
    numbers = 1.0 + step / 4, 0.1 + step / 10
    torch.testing.assert_close(compiled(student, teacher, *numbers), loss(student, teacher, *numbers, "reference"))
print("graphs:", len(graphs))
"""


def printed_by(code: str) -> str:
    """In a process of its own, without the checker of annotations, and no graph cached from an older formula."""
    environment = os.environ | {"TORCHINDUCTOR_AUTOGRAD_CACHE": "0"}
    environment.pop("ATEN_CPU_CAPABILITY", None)  # inductor writes for the instructions that the processor has
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    return run.stdout.strip()


def test_torch_compile_fullgraph():
    assert printed_by(COMPILED) == "same"


def test_a_temperature_that_changes_is_not_compiled_anew_each_time():
    """torch.compile first takes a number for a constant, and from its second value on for an input."""
    assert printed_by(ONE_GRAPH) == "graphs: 2"


@pytest.mark.parametrize("weight", [None, torch.tensor(0.5)])
@pytest.mark.parametrize("upstream_is_constant", [True, False])
def test_a_second_derivative_is_refused_and_never_faked(weight, upstream_is_constant):
    """A gradient without a graph would count as a constant in a penalty on its norm: silently wrong."""
    student, teacher = pair(2, 30)
    student.requires_grad_()
    loss = triton_softmax_kl(student, teacher, divergence="forward_kl", weight=weight).sum()
    if not upstream_is_constant:
        loss = loss**2
    with pytest.raises(ValueError, match='write backend="reference"'):
        torch.autograd.grad(loss, student, create_graph=True)
    (gradient,) = torch.autograd.grad(loss, student)
    assert gradient.isfinite().all()


def test_without_the_interpreter_the_cpu_is_refused():
    code = "import torch; from kd_lab.how.kernels import triton_softmax_kl as f; f(*torch.ones(2, 3), divergence='jsd')"
    environment = os.environ | {"TRITON_INTERPRET": "0"}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert "set TRITON_INTERPRET=1 in the environment before Python starts" in run.stderr
