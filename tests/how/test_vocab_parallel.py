"""The sharded loss on two processes is the loss of the whole logits, in value and in gradient."""

import itertools
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Replicate, Shard

from kd_lab.how import softmax_kl, vocab_parallel, vocab_parallel_softmax_kl
from kd_lab.how.divergences import DIVERGENCES

RANKS = 2
SPLIT = (5, 6)  # of 11 tokens: shards differ in size


def logits(dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Student, teacher and mask, the same on each rank; one row lies far above the others, one token is forbidden."""
    chance = torch.Generator().manual_seed(0)
    student, teacher = (3 * torch.randn(2, 4, sum(SPLIT), generator=chance, dtype=torch.float64) for _ in range(2))
    student[0, 1] += 500
    teacher[1, 2] -= 500
    student[..., 3] = teacher[..., 3] = -torch.inf
    mask = torch.tensor([[True, True, False, True], [False, True, True, True]])
    student[0, 2] = torch.nan  # does not count
    return student.to(dtype), teacher.to(dtype), mask


def whole(student, teacher, upstream=None, **options):
    """Loss and gradient without shards."""
    student = student.clone().requires_grad_()
    loss = softmax_kl(student, teacher, backend="reference", **options)
    loss.backward(torch.ones_like(loss) if upstream is None else upstream)
    return loss.detach(), student.grad


def sharded(rank, student, teacher, upstream=None, **options):
    """Loss and this rank's part of the gradient."""
    student, teacher = (side.split(SPLIT, -1)[rank].clone() for side in (student, teacher))
    student.requires_grad_()
    loss = vocab_parallel_softmax_kl(student, teacher, **options)
    loss.backward(torch.ones_like(loss) if upstream is None else upstream)
    return loss.detach(), student.grad


def check_all_options(rank: int) -> None:
    """Against the whole loss in fp64, to which the shards are nearer in fp32 than the whole loss in fp32."""
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-6)):
        student, teacher, mask = logits(dtype)
        for divergence, temperature, reduction in itertools.product(DIVERGENCES, (1.0, 2.0), ("mean", "sum", "none")):
            options = {"divergence": divergence, "beta": 0.3, "temperature": temperature, "reduction": reduction}
            upstream = torch.linspace(-1, 2, mask.numel(), dtype=dtype).view(mask.shape)  # a scaled gradient comes in
            upstream = upstream if reduction == "none" else torch.tensor(0.7, dtype=dtype)
            one, gradient = whole(student.double(), teacher.double(), upstream.double(), mask=mask, **options)
            other, part = sharded(rank, student, teacher, upstream, mask=mask, **options)
            torch.testing.assert_close(other, one.to(dtype), rtol=tolerance, atol=tolerance)
            torch.testing.assert_close(part, gradient.to(dtype).split(SPLIT, -1)[rank], rtol=tolerance, atol=tolerance)


def check_options_left_out(rank: int) -> None:
    """Without a mask; with a normaliser; without τ²; in bf16; a few rows at a time; without a gradient."""
    student, teacher, mask = logits(torch.float32)
    student = student.nan_to_num(nan=0.0, neginf=-torch.inf)
    for options in ({}, {"mask": mask, "normalizer": 17}, {"temperature": 3.0, "scale_by_t2": False}):
        one, gradient = whole(student, teacher, **options)
        other, part = sharded(rank, student, teacher, **options)
        torch.testing.assert_close(other, one, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(part, gradient.split(SPLIT, -1)[rank], rtol=1e-6, atol=1e-6)
    half = sharded(rank, student.bfloat16(), teacher)
    assert half[0].dtype == torch.float32
    assert half[1].dtype == torch.bfloat16
    vocab_parallel.LOGITS = 3 * SPLIT[0]  # three rows of this rank at once, and not all eight
    torch.testing.assert_close(sharded(rank, student, teacher), whole_part(rank, student, teacher), rtol=0, atol=1e-6)
    with torch.no_grad():
        shards = (side.split(SPLIT, -1)[rank] for side in (student, teacher))
        torch.testing.assert_close(vocab_parallel_softmax_kl(*shards), softmax_kl(student, teacher), rtol=0, atol=1e-6)
    shards = [side.split(SPLIT, -1)[rank].clone().requires_grad_() for side in (student, teacher)]
    with pytest.raises(ValueError, match=r"differentiated again.*where a rank holds whole rows"):
        torch.autograd.grad(vocab_parallel_softmax_kl(*shards), shards[0], create_graph=True)  # was silently constant
    nothing = vocab_parallel_softmax_kl(student[..., :5], teacher[..., :5], mask=torch.zeros_like(mask))
    assert nothing == 0


def whole_part(rank, student, teacher):
    loss, gradient = whole(student, teacher)
    return loss, gradient.split(SPLIT, -1)[rank]


def check_dtensor(rank: int) -> None:
    student, teacher, mask = logits(torch.float64)
    mesh = init_device_mesh("cpu", (RANKS,))
    student = student.nan_to_num(nan=0.0, neginf=-torch.inf)
    own, others = (DTensor.from_local(whole_rows(side)[rank], mesh, [Shard(-1)]) for side in (student, teacher))
    own.requires_grad_()
    loss = vocab_parallel_softmax_kl(own, others, divergence="jsd", mask=mask)
    loss.backward()
    student, teacher = (torch.cat(whole_rows(side), -1) for side in (student, teacher))
    expected, gradient = whole(student, teacher, divergence="jsd", mask=mask)
    torch.testing.assert_close(loss.detach(), expected)
    torch.testing.assert_close(own.grad.full_tensor(), gradient)
    with pytest.raises(
        ValueError, match=r"student_logits_shard is a DTensor placed as \(Replicate\(\),\).*Shard\(-1\)"
    ):
        vocab_parallel_softmax_kl(DTensor.from_local(student, mesh, [Replicate()]), others)


def whole_rows(side: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Two shards of equal size, as `DTensor.from_local` takes them."""
    return side[..., :10].split(5, -1)


def on_rank(rank: int, rendezvous: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=RANKS)
    try:
        for check in (check_all_options, check_options_left_out, check_dtensor):  # processes take seconds to start
            check(rank)
    finally:
        dist.destroy_process_group()


def test_two_ranks_that_share_the_vocabulary_agree_with_one_that_holds_it(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(on_rank, (str(tmp_path / "rendezvous"),), nprocs=RANKS)


@pytest.mark.parametrize("counts", [None, True, False])
def test_a_single_position(counts) -> None:
    student, teacher = torch.tensor([0.0, 0.0, 0.0]), torch.tensor([2.0, 0.0, -1.0])
    mask = None if counts is None else torch.tensor(counts)
    wanted = softmax_kl(student, teacher, mask=mask)
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        got = vocab_parallel_softmax_kl(student, teacher, mask=mask)
    finally:
        dist.destroy_process_group()
    torch.testing.assert_close(got, wanted)


def test_without_a_process_group_it_says_what_to_start() -> None:
    with pytest.raises(ValueError, match=r"no process group.*init_process_group.*softmax_kl where one rank"):
        vocab_parallel_softmax_kl(torch.zeros(2, 3), torch.zeros(2, 3))


def test_shards_of_different_size_are_refused_before_anything_is_sent() -> None:
    with pytest.raises(ValueError, match=r"vocabulary has 3 entries and the teacher's 4"):
        vocab_parallel_softmax_kl(torch.zeros(2, 3), torch.zeros(2, 4))
