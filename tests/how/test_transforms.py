"""torch.func and forward mode over the losses that have code of their own: the same numbers as autograd's."""

import subprocess
import sys

import pytest
import torch
import torch.distributed as dist
from logit_pairs import pair
from torch.autograd import forward_ad
from torch.func import grad, hessian, jvp, vmap

from kd_lab.how import (
    linear_softmax_kl,
    sampled,
    softmax_kl_with_statistics,
    sparse_softmax_kl,
    top_k,
    vocab_parallel_softmax_kl,
)
from kd_lab.how.sparse import sparse_teacher_kl

B, T, V = 3, 4, 30
STUDENT, TEACHER = pair(B, T, V)
MASK = torch.arange(B * T).view(B, T) % 3 != 1
LABELS = torch.arange(B * T).view(B, T)
(HEAD, TEACHER_HEAD), (HIDDEN, TEACHER_HIDDEN) = pair(V, 8, spread=1), pair(B, T, 8, spread=1)
KEPT = top_k(TEACHER, 5)
DRAWN = sampled(TEACHER, 5, generator=torch.Generator().manual_seed(1))
FEWER = torch.arange(5) >= 3  # of the ids of each second position nothing is kept but three
RAGGED = torch.where(FEWER & (torch.arange(T) % 2 == 1)[:, None], -1, KEPT.ids)
PARTS = KEPT.ids, KEPT.logp

LOSSES = {  # the loss, what is differentiated, and the rest, whose first axis is that of the texts
    "statistics": (
        lambda x, y, mask: softmax_kl_with_statistics(x, y, divergence="jsd", mask=mask)[0],
        (STUDENT, TEACHER, MASK),
    ),
    "labels": (
        lambda x, y, mask, labels: softmax_kl_with_statistics(x, y, mask=mask, labels=labels, label_weight=0.3)[0],
        (STUDENT, TEACHER, MASK, LABELS),
    ),
    "linear": (
        lambda x, y, mask, labels: linear_softmax_kl(
            x, HEAD, y, TEACHER_HEAD, divergence="jsd", mask=mask, labels=labels, label_weight=0.3
        ),
        (HIDDEN, TEACHER_HIDDEN, MASK, LABELS),
    ),
    "bucket": (
        lambda x, ids, logp, mask, rest: sparse_softmax_kl(x, ids, logp, mask=mask, tail_logp=rest, divergence="jsd"),
        (STUDENT, *PARTS, MASK, KEPT.tail_logp),
    ),
    "bucket without its rest": (
        lambda x, ids, logp, mask: sparse_softmax_kl(x, ids, logp, mask=mask, divergence="reverse_kl"),
        (STUDENT, *PARTS, MASK),
    ),
    "ragged bucket": (
        lambda x, ids, logp: sparse_softmax_kl(x, ids, logp),
        (STUDENT, RAGGED, KEPT.logp),
    ),
    "renormalize": (
        lambda x, ids, logp, mask: sparse_softmax_kl(x, ids, logp, mask=mask, tail="renormalize"),
        (STUDENT, *PARTS, MASK),
    ),
    "sampled": (
        lambda x, ids, logp, mask: sparse_softmax_kl(x, ids, logp, mask=mask, tail="sampled"),
        (STUDENT, DRAWN.ids, DRAWN.logp, MASK),
    ),
    "top_k on the way": (
        lambda x, y, mask: sparse_teacher_kl(x, top_k(y, 4), mask=mask),
        (STUDENT, TEACHER, MASK),
    ),
}


@pytest.mark.parametrize("name", LOSSES)
def test_transforms_and_forward_mode_agree_with_autograd(name):
    loss, (x, *rest) = LOSSES[name]
    leaf = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(leaf, *rest), leaf)
    direction = torch.ones_like(x).cumsum(-1) / V
    torch.testing.assert_close(grad(loss)(x, *rest), gradient, rtol=1e-4, atol=1e-6)
    _, slope = jvp(lambda value: loss(value, *rest), (x,), (direction,))
    torch.testing.assert_close(slope, (gradient * direction).sum(), rtol=1e-4, atol=1e-6)
    with forward_ad.dual_level():
        dual = forward_ad.unpack_dual(loss(forward_ad.make_dual(x, direction), *rest))
        torch.testing.assert_close(dual.tangent, slope)
    texts = list(zip(x, *rest, strict=True))
    torch.testing.assert_close(vmap(loss)(x, *rest), torch.stack([loss(*text) for text in texts]))
    each = torch.stack([grad(loss)(*text) for text in texts])
    torch.testing.assert_close(vmap(grad(loss))(x, *rest), each, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_the_hessian_is_the_slope_of_the_gradient(name):
    loss, inputs = LOSSES[name]
    x, *rest = (one[0, :1].double() if one.is_floating_point() else one[0, :1] for one in inputs)
    curvature = hessian(loss)(x, *rest).view(x.numel(), x.numel())
    step = 1e-5 * torch.ones_like(x).cumsum(-1)
    change = (grad(loss)(x + step, *rest) - grad(loss)(x - step, *rest)) / 2
    torch.testing.assert_close(curvature @ step.flatten(), change.flatten(), rtol=1e-5, atol=1e-12)


def test_vmap_over_logits_alone_shares_the_cache():
    student, ids, logp, rest = STUDENT[0], KEPT.ids[0], KEPT.logp[0], KEPT.tail_logp[0]
    several = torch.stack([student, 2 * student], 1)  # not the first axis either

    def loss(logits):
        return sparse_softmax_kl(logits, ids, logp, tail_logp=rest)

    torch.testing.assert_close(vmap(loss, in_dims=1)(several), torch.stack([loss(student), loss(2 * student)]))


def test_ids_and_probabilities_are_looked_at_under_vmap_too():
    def loss(ids, logp):
        return sparse_softmax_kl(STUDENT[0], ids, logp)

    for ids, logp, says in (
        (KEPT.ids + V, KEPT.logp, "the student's vocabulary"),
        (KEPT.ids[..., :1].expand(-1, -1, 5), KEPT.logp, "the same id twice"),
        (KEPT.ids, KEPT.logp + 1, "expected log-probabilities"),
    ):
        with pytest.raises(ValueError, match=says):
            vmap(loss)(ids, logp)


def test_a_loss_that_reaches_over_ranks_refuses_them_in_words():
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        for transformed in (grad(vocab_parallel_softmax_kl), vmap(vocab_parallel_softmax_kl)):
            with pytest.raises(ValueError, match=r"under torch.func.*call .backward\(\)"):
                transformed(STUDENT[0], TEACHER[0])
    finally:
        dist.destroy_process_group()


COMPILED = """
import torch
import torch.distributed as dist
from kd_lab.how import vocab_parallel_softmax_kl

dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
student, teacher = torch.randn(3, 5).requires_grad_(), torch.randn(3, 5)
mask = torch.tensor([True, False, True])

def loss():
    return vocab_parallel_softmax_kl(student, teacher, mask=mask)

gradients = [
    torch.autograd.grad(function(), student)[0] for function in (loss, torch.compile(loss, backend="aot_eager"))
]
torch.testing.assert_close(*gradients)
torch.compiler.reset()
try:
    torch.compile(loss, backend="aot_eager", fullgraph=True)()
except torch._dynamo.exc.Unsupported as error:
    print(error)
"""


def test_it_breaks_a_compiled_graph_and_says_so():
    """In a process of its own: the checker of annotations, which runs in the tests, is nothing to compile."""
    run = subprocess.run([sys.executable, "-c", COMPILED], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    assert "vocab_parallel_softmax_kl talks to other ranks" in run.stdout
