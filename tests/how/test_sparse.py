"""A teacher of whom only some tokens were kept: the optimum of each tail, and that chunks and formula agree."""

import subprocess
import sys
from inspect import unwrap

import pytest
import torch

import kd_lab.how.sparse_events as sparse_events
from kd_lab.how import SparseTeacher, forward_kl, sampled, softmax_kl, sparse_softmax_kl, top_k
from kd_lab.how.divergences import DIVERGENCES
from kd_lab.how.sparse import sparse_teacher_kl
from kd_lab.how.sparse_file import load_sparse_teacher, save_sparse_teacher
from kd_lab.models import load_teacher
from kd_lab.worlds import surnames

COMBINATIONS = [
    *(("bucket", divergence) for divergence in DIVERGENCES),
    *(("renormalize", divergence) for divergence in DIVERGENCES if divergence != "reverse_kl"),
    ("sampled", "forward_kl"),
]
every_combination = pytest.mark.parametrize(("tail", "divergence"), COMBINATIONS)
V = 50


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(sparse_events, "CHUNK", 3 * V)


def pair(*shape: int, seed: int = 0, dtype=torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return tuple((3 * torch.randn(shape, generator=generator)).to(dtype) for _ in range(2))


def kept(teacher: torch.Tensor, tail: str, k: int, temperature: float = 1.0):
    if tail == "sampled":
        return sampled(teacher, k, generator=torch.Generator().manual_seed(1), temperature=temperature)
    return top_k(teacher, k, temperature=temperature)


def value_and_gradient(student, cache, upstream=1.0, **options):
    student = student.detach().clone().requires_grad_()
    loss = sparse_softmax_kl(student, cache.ids, cache.logp, **options)
    return loss.detach(), torch.autograd.grad((loss * upstream).sum(), student)[0]


@every_combination
@pytest.mark.parametrize(("vocabulary", "k"), [(V, 7), (V, 1), (6, 6)])
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_chunks_equal_the_formula_in_fp64(tail, divergence, vocabulary, k, reduction):
    student, teacher = pair(4, 5, vocabulary)
    mask = torch.rand(4, 5, generator=torch.Generator().manual_seed(2)) > 0.3
    cache = kept(teacher, tail, k, temperature=1.7)
    options = {"tail": tail, "divergence": divergence, "temperature": 1.7, "mask": mask, "reduction": reduction}
    upstream = torch.linspace(-1, 2, 20).view(4, 5) if reduction == "none" else 0.3
    exact = value_and_gradient(student.double(), cache, upstream, backend="reference", **options)
    for backend in ("auto", "reference"):
        got = value_and_gradient(student, cache, upstream, backend=backend, **options)
        for mine, theirs in zip(got, exact, strict=True):
            torch.testing.assert_close(mine.double(), theirs, rtol=1e-4, atol=5e-6)
        assert got[1][~mask].eq(0).all()


def test_three_tokens_by_hand():
    """p = (½, ¼, ¼) of which the first is kept; q = (¼, ¼, ½). Bucket: (½, ½) against (¼, ¾)."""
    student = torch.tensor([0.25, 0.25, 0.5], dtype=torch.float64).log()
    ids, logp = torch.tensor([0]), torch.tensor([0.5], dtype=torch.float64).log()
    two, three = torch.tensor([2.0, 3.0], dtype=torch.float64).log()
    bucket = 0.5 * two + 0.5 * (two - three)
    torch.testing.assert_close(sparse_softmax_kl(student, ids, logp), bucket)
    torch.testing.assert_close(sparse_softmax_kl(student, ids, logp, tail="renormalize"), 2 * two)
    torch.testing.assert_close(sparse_softmax_kl(student, ids, logp, tail="sampled"), two)


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_with_every_token_kept_it_is_softmax_kl(divergence):
    student, teacher = pair(6, 9, dtype=torch.float64)
    cache = top_k(teacher, 9)
    got = value_and_gradient(student, cache, divergence=divergence)
    leaf = student.clone().requires_grad_()
    full = softmax_kl(leaf, teacher, divergence=divergence)
    torch.testing.assert_close(got[0], full.detach())
    torch.testing.assert_close(got[1], torch.autograd.grad(full, leaf)[0])


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_a_bucket_never_exceeds_the_full_divergence(divergence):
    student, teacher = pair(30, V, dtype=torch.float64)
    full = softmax_kl(student, teacher, divergence=divergence, reduction="none")
    before = torch.zeros_like(full)
    for k in (1, 5, 20, V):
        cache = top_k(teacher, k)
        part = sparse_softmax_kl(student, cache.ids, cache.logp, divergence=divergence, reduction="none")
        assert (part <= full + 1e-12).all()
        assert (part >= before - 1e-12).all()  # a finer partition sees more
        before = part


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_a_bucket_is_zero_iff_the_kept_probabilities_are_right(divergence):
    teacher = pair(4, V, dtype=torch.float64)[1]
    cache = top_k(teacher, 5)
    student = teacher.clone()
    dropped = torch.ones_like(student, dtype=torch.bool).scatter(-1, cache.ids, False)
    # Other tokens may share the rest as they like: shuffle it, which leaves its sum alone.
    student[dropped] = student[dropped].view(4, -1).flip(-1).flatten()
    value, gradient = value_and_gradient(student, cache, divergence=divergence)
    assert value.abs() < 1e-14
    assert gradient.abs().max() < 1e-8 if divergence != "total_variation" else True
    wrong = student.scatter_add(-1, cache.ids[:, :1], torch.full((4, 1), 0.1, dtype=torch.float64))
    assert (sparse_softmax_kl(wrong, cache.ids, cache.logp, divergence=divergence, reduction="none") > 1e-9).all()


def optimum(tail: str, teacher: torch.Tensor, k: int = 3) -> torch.Tensor:
    """Where gradient descent from a flat student ends."""
    cache = top_k(teacher, k)
    student = torch.zeros_like(teacher).requires_grad_()
    optimizer = torch.optim.Adam([student], lr=0.2)
    for _ in range(400):
        optimizer.zero_grad()
        sparse_softmax_kl(student, cache.ids, cache.logp, tail=tail).backward()
        optimizer.step()
    return student.detach().softmax(-1)


def test_a_renormalised_top_k_teaches_that_nothing_else_exists_and_a_bucket_does_not():
    teacher = torch.tensor([[2.0, 1.5, 1.0, 0.8, 0.5, 0.2, 0.0, -0.5]], dtype=torch.float64)
    mass = teacher.softmax(-1)[0, :3].sum()
    assert mass < 0.75
    assert optimum("renormalize", teacher)[0, :3].sum() > 0.99
    torch.testing.assert_close(optimum("bucket", teacher)[0, :3], teacher.softmax(-1)[0, :3], rtol=1e-3, atol=0)


def test_the_gradient_of_renormalize_is_q_minus_the_renormalised_top_k():
    student, teacher = pair(4, V, dtype=torch.float64)
    cache = top_k(teacher, 6)
    _, gradient = value_and_gradient(student, cache, tail="renormalize", reduction="sum")
    target = torch.zeros_like(teacher).scatter(-1, cache.ids, cache.logp.softmax(-1))
    torch.testing.assert_close(gradient, student.softmax(-1) - target)


def test_sampled_is_unbiased_in_value_and_gradient_by_enumeration():
    """Averaged over every pair of draws with its probability, it is the full forward KL, and so is its gradient."""
    student, teacher = pair(5, seed=3, dtype=torch.float64)
    p = teacher.softmax(-1)
    draws = torch.cartesian_prod(torch.arange(5), torch.arange(5))
    leaf = student.clone().requires_grad_()
    values = sparse_softmax_kl(leaf.expand(25, 5), draws, p.log()[draws], tail="sampled", reduction="none")
    expected = (p[draws].prod(-1) * values).sum()
    full = forward_kl(leaf.log_softmax(-1), teacher.log_softmax(-1))
    torch.testing.assert_close(expected, full)
    torch.testing.assert_close(
        torch.autograd.grad(expected, leaf, retain_graph=True)[0], torch.autograd.grad(full, leaf)[0]
    )
    assert values.min() < 0  # and not clamped: that would be a bias


def test_sampled_gradient_counts_repeated_draws():
    student = torch.zeros(4)
    ids = torch.tensor([1, 1, 2])
    _, gradient = value_and_gradient(student, kept_by_hand(ids), tail="sampled")
    torch.testing.assert_close(gradient, torch.tensor([0.25, 0.25 - 2 / 3, 0.25 - 1 / 3, 0.25]))


def kept_by_hand(ids: torch.Tensor):
    return SparseTeacher(ids, torch.full(ids.shape, -1.0), 4, "sampled")


def test_cached_log_probabilities_belong_to_their_temperature():
    """They cannot be re-tempered exactly: the temperature softens the student; the cache must have been made at it."""
    student, teacher = pair(6, V, dtype=torch.float64)
    cache = top_k(teacher, V, temperature=2.0)
    right = sparse_softmax_kl(student, cache.ids, cache.logp, temperature=2.0)
    torch.testing.assert_close(right, softmax_kl(student, teacher, temperature=2.0))
    cache = top_k(teacher, V, temperature=1.0)
    assert not torch.isclose(sparse_softmax_kl(student, cache.ids, cache.logp, temperature=2.0), right, rtol=0.05)


@every_combination
def test_masked_vocabulary_and_masked_positions(tail, divergence):
    student, teacher = pair(4, V)
    for logits in (student, teacher):
        logits[:, 40:] = -torch.inf
    cache = kept(teacher, tail, 5)
    spoiled = student.clone()
    spoiled[1] = torch.nan
    mask = torch.tensor([True, False, True, True])
    cache.ids[1] = 10**6  # padding in a cache may hold anything
    value, gradient = value_and_gradient(spoiled, cache, tail=tail, divergence=divergence, mask=mask)
    assert value.isfinite()
    assert gradient.isfinite().all()
    assert gradient[1].eq(0).all()
    assert gradient[:, 40:].eq(0).all()


@every_combination
def test_every_position_masked(tail, divergence):
    student, teacher = pair(4, V)
    value, gradient = value_and_gradient(
        student, kept(teacher, tail, 5), tail=tail, divergence=divergence, mask=torch.zeros(4, dtype=torch.bool)
    )
    assert value == 0
    assert gradient.eq(0).all()


def test_strided_logits_a_second_backward_and_half_precision():
    student, teacher = pair(3, 5, V)
    cache = top_k(teacher[:, :-1], 4)
    leaf = student.requires_grad_()
    loss = sparse_softmax_kl(leaf[:, :-1], cache.ids, cache.logp)
    first = torch.autograd.grad(loss, leaf, retain_graph=True)[0]
    torch.testing.assert_close(torch.autograd.grad(2 * loss, leaf)[0], 2 * first)
    contiguous = student.detach()[:, :-1].contiguous()
    torch.testing.assert_close(first[:, :-1], value_and_gradient(contiguous, cache)[1])
    half = value_and_gradient(contiguous.bfloat16(), cache)
    exact = value_and_gradient(contiguous.bfloat16().double(), cache)
    assert half[1].dtype == torch.bfloat16
    torch.testing.assert_close(half[0].double(), exact[0], rtol=1e-5, atol=0)
    torch.testing.assert_close(half[1].double(), exact[1], rtol=1e-2, atol=1e-6)


def test_rounding_in_the_cache_does_not_make_a_distribution_of_more_than_1():
    student, teacher = pair(200, V)
    cache = top_k(20 * teacher, 3)  # nearly all mass kept: fp16 rounding takes the sum over 1 for some
    rounded = cache.logp.half().float()
    assert (rounded.exp().sum(-1) > 1).any()
    value = sparse_softmax_kl(student, cache.ids, rounded, reduction="none")
    assert value.isfinite().all()
    assert value.min() >= 0


def test_a_sure_teacher_has_a_finite_reverse_kl_the_right_one_with_the_tail_that_was_kept():
    """Eight kept tokens of a thousand round to 1; the other 992 are worth 18 nats."""
    student, teacher = torch.zeros(1, 1000), torch.zeros(1, 1000)
    teacher[0, 0] = 25
    cache = top_k(teacher, 8)
    assert cache.logp.exp().sum() == 1
    full = softmax_kl(student, teacher, divergence="reverse_kl")
    torch.testing.assert_close(sparse_teacher_kl(student, cache, divergence="reverse_kl"), full)
    torch.testing.assert_close(full, torch.tensor(18.0672), rtol=1e-4, atol=0)
    without = sparse_softmax_kl(student, cache.ids, cache.logp, divergence="reverse_kl")
    assert 10 < without < full  # the rest is taken to be the rounding of a sum of 1: 1e-7 and not 1e-8
    leaf = student.clone().requires_grad_()
    gradient = torch.autograd.grad(sparse_softmax_kl(leaf, cache.ids, cache.logp, divergence="reverse_kl"), leaf)[0]
    assert gradient.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@every_combination
def test_every_tail_and_divergence_is_finite_on_sure_teachers_in_every_dtype(tail, divergence, dtype):
    student, teacher = pair(50, V)
    teacher[:, 0] += torch.linspace(0, 40, 50)
    cache = kept(teacher, tail, 8)
    for tail_logp in (None, cache.tail_logp):
        tail_logp = None if tail_logp is None else tail_logp.to(dtype)
        options = {"tail": tail, "divergence": divergence, "tail_logp": tail_logp, "reduction": "none"}
        cut = SparseTeacher(cache.ids, cache.logp.to(dtype), V, tail)
        value, gradient = value_and_gradient(student, cut, **options)
        assert value.isfinite().all()
        assert gradient.isfinite().all()


@pytest.mark.parametrize("k", [16, 26])
def test_the_shipped_teacher_through_its_own_file(tmp_path, k):
    """K = 16 of 27 had 30 infinite positions, K = 26 had 800; with 26, the rest is a token and the bucket is exact."""
    teacher, world = load_teacher("surnames"), surnames()
    batch = world.sample(400, torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = teacher(batch.inputs)
    student = pair(*logits.shape)[0]
    cache = top_k(logits, k)
    save_sparse_teacher(cache, tmp_path / "teacher")
    for divergence in DIVERGENCES:
        options = {"divergence": divergence, "mask": batch.mask, "reduction": "none"}
        full = softmax_kl(student, logits, **options)
        for kept_teacher, tolerance in ((cache, 1e-5), (load_sparse_teacher(tmp_path / "teacher"), 1e-3)):
            part = sparse_teacher_kl(student, kept_teacher, **options)
            assert part.isfinite().all()
            assert (part <= full * (1 + tolerance) + tolerance).all()
            if k == 26:
                torch.testing.assert_close(part, full, rtol=tolerance, atol=tolerance)


@every_combination
@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_an_absent_token_is_as_good_as_never_there(tail, divergence, backend):
    """Positions with 2, 3 and 5 of 5 tokens equal, one by one, caches of just those."""
    student, teacher = pair(3, V)
    cache = kept(teacher, tail, 5)
    counts = (2, 3, 5)
    ids, logp = cache.ids.clone(), cache.logp.clone()
    for row, count in enumerate(counts):
        ids[row, count:], logp[row, count:] = -1, torch.nan
    options = {"tail": tail, "divergence": divergence, "backend": backend}
    ragged = SparseTeacher(ids, logp, V, tail)
    got = value_and_gradient(student, ragged, **options, reduction="none")
    for row, count in enumerate(counts):
        alone = SparseTeacher(cache.ids[row, :count], cache.logp[row, :count], V, tail)
        wanted = value_and_gradient(student[row], alone, **options, reduction="none")
        for mine, theirs in zip(got, wanted, strict=True):
            torch.testing.assert_close(mine[row], theirs)
    order = torch.tensor([4, 1, 0, 3, 2])  # nor does it matter where it stands
    shuffled = SparseTeacher(ids[:, order], logp[:, order], V, tail)
    again = value_and_gradient(student, shuffled, **options, reduction="none")
    for mine, theirs in zip(again, got, strict=True):
        torch.testing.assert_close(mine, theirs)


@every_combination
def test_second_derivatives_are_right(tail, divergence):
    student, teacher = pair(2, 3, 9)
    cache = kept(teacher, tail, 4)
    direction = pair(2, 3, 9, seed=5)[0]

    def curvature(logits, **options):
        leaf = logits.clone().requires_grad_()
        loss = sparse_teacher_kl(leaf, cache, divergence=divergence, **options)
        slope = torch.autograd.grad(loss, leaf, create_graph=True)[0]
        return torch.autograd.grad((slope * direction.to(slope.dtype)).sum(), leaf)[0]

    exact = curvature(student.double(), backend="reference")
    torch.testing.assert_close(curvature(student).double(), exact, rtol=1e-3, atol=1e-5)
    assert exact.abs().max() > 1e-3


@every_combination
def test_weights_are_factors_on_the_losses_and_torch_func_takes_its_gradient(tail, divergence):
    student, teacher = pair(4, V)
    cache, weights = kept(teacher, tail, 5), torch.tensor([0.0, 1.0, -2.0, 0.5])
    options = {"tail": tail, "divergence": divergence}
    losses = sparse_teacher_kl(student, cache, **options, reduction="none")
    weighted = sparse_teacher_kl(student, cache, **options, weights=weights)
    torch.testing.assert_close(weighted, (weights * losses).mean())
    masked = options | {
        "mask": torch.tensor([True, True, False, True]),
        "weights": weights.masked_fill(weights < 0, torch.nan),
    }
    value, gradient = value_and_gradient(student, cache, **masked)
    torch.testing.assert_close(value, (weights.clamp_min(0) * losses).sum() / 3)
    assert gradient.isfinite().all()
    got = torch.func.grad(lambda logits: sparse_teacher_kl(logits, cache, **options))(student)
    torch.testing.assert_close(got, value_and_gradient(student, cache, **options)[1], rtol=1e-4, atol=1e-6)


COMPILED = """
import sys, torch
from kd_lab.how import sampled, sparse_softmax_kl, top_k
from kd_lab.how.sparse import sparse_teacher_kl

torch.manual_seed(0)
student, teacher = 3 * torch.randn(2, 5, 40), 3 * torch.randn(2, 5, 40)
mask = torch.tensor([[1, 1, 0, 1, 1], [0, 1, 1, 1, 1]], dtype=torch.bool)
caches = {"sampled": sampled(teacher, 5, generator=torch.Generator()), "bucket": top_k(teacher, 5)}
for name in sys.argv[1:]:
    tail, divergence = name.split(":")
    cache = caches["sampled" if tail == "sampled" else "bucket"]
    loss = lambda logits: sparse_teacher_kl(logits, cache, tail=tail, divergence=divergence, mask=mask)
    for function in (loss, torch.compile(loss, backend="aot_eager", fullgraph=True)):
        leaf = student.clone().requires_grad_()
        value = function(leaf)
        print(value.item(), *torch.autograd.grad(value, leaf)[0].norm(dim=-1).flatten().tolist())
    torch.compiler.reset()
loss = torch.compile(lambda ids: sparse_softmax_kl(student, ids, cache.logp), backend="aot_eager", fullgraph=True)
for ids in (cache.ids + 40, cache.ids[..., :1].expand(-1, -1, 5)):
    try:
        loss(ids)
    except ValueError as error:
        print(error)
"""


def test_under_torch_compile_fullgraph_it_is_the_same_and_refuses_the_same():
    """In a process of its own: the checker of annotations, which runs in the tests, is nothing to compile."""
    names = [f"{tail}:{divergence}" for tail, divergence in COMBINATIONS]
    run = subprocess.run([sys.executable, "-c", COMPILED, *names], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    *rows, outside, twice = run.stdout.splitlines()
    assert "the student's vocabulary" in outside
    assert "the same id twice" in twice
    rows = [[float(number) for number in row.split()] for row in rows]
    assert len(rows) == 2 * len(names)
    for eager, compiled in zip(rows[::2], rows[1::2], strict=True):
        assert compiled == pytest.approx(eager, rel=1e-5, abs=1e-7)
        assert eager[3] == 0  # the masked row


def test_a_cache_knows_its_temperature_vocabulary_and_tail():
    student, teacher = pair(4, V)
    cache = top_k(teacher, 5, temperature=2.0)
    by_hand = sparse_softmax_kl(student, cache.ids, cache.logp, tail_logp=cache.tail_logp, temperature=2.0)
    torch.testing.assert_close(sparse_teacher_kl(student, cache), by_hand)
    assert sparse_teacher_kl(student, cache, tail="renormalize") != by_hand
    with pytest.raises(ValueError, match=r"temperature is 1.0 and the cache's 2.0"):
        sparse_teacher_kl(student, cache, temperature=1.0)
    with pytest.raises(ValueError, match=r"51 entries and the teacher's 50"):
        sparse_teacher_kl(pair(4, V + 1)[0], cache)
    with pytest.raises(ValueError, match="draws are no top k"):
        sparse_teacher_kl(student, cache, tail="sampled")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"tail": "ghost"}, r"'ghost'; expected one of 'bucket'"),
        ({"tail": "sampled", "divergence": "jsd"}, r'use tail="bucket"'),
        ({"tail": "renormalize", "divergence": "reverse_kl"}, r"infinite"),
        ({"teacher_ids": torch.tensor([[0, 1]]), "teacher_logp": torch.full((1, 2), -2.0)}, r"\(2, 'K'\)"),
        ({"student_logits": torch.zeros(2, 5, dtype=torch.long)}, r"student_logits has dtype torch.int64"),
        ({"mask": torch.ones(1, 2, dtype=torch.bool)}, r"nothing is broadcast"),
        ({"backend": "triton"}, r"for a sparse teacher"),
        ({"reduction": "batchmean"}, r"'batchmean'"),
    ],
)
def test_what_is_refused_and_what_it_says(change, says):
    arguments = {
        "student_logits": torch.zeros(2, 5),
        "teacher_ids": torch.tensor([[0, 1], [3, 2]]),
        "teacher_logp": torch.full((2, 2), -2.0),
    }
    with pytest.raises(ValueError, match=says):
        unwrap(sparse_softmax_kl)(**(arguments | change))  # as outside the tests, where no annotations are checked


def test_forward_mode_differentiates_the_sparse_loss():
    student, teacher = pair(6, V)
    cache, direction = top_k(teacher, 5), torch.ones_like(student).cumsum(-1)
    variable = student.clone().requires_grad_()
    sparse_teacher_kl(variable, cache).backward()
    with torch.autograd.forward_ad.dual_level():
        dual = sparse_teacher_kl(torch.autograd.forward_ad.make_dual(student, direction), cache)
        tangent = torch.autograd.forward_ad.unpack_dual(dual).tangent
    torch.testing.assert_close(tangent, (variable.grad * direction).sum(), rtol=1e-4, atol=1e-5)
