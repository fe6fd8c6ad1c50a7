"""A teacher of whom only some tokens were kept: what each tail optimises, and that chunks and formula agree."""

from inspect import unwrap

import pytest
import torch

import kd_lab.how.sparse as sparse
from kd_lab.how import DIVERGENCES, forward_kl, sampled, softmax_kl, sparse_softmax_kl, top_k

COMBINATIONS = [
    *(("bucket", divergence) for divergence in DIVERGENCES),
    *(("renormalize", divergence) for divergence in DIVERGENCES if divergence != "reverse_kl"),
    ("sampled", "forward_kl"),
]
every_combination = pytest.mark.parametrize(("tail", "divergence"), COMBINATIONS)
V = 50


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(sparse, "CHUNK", 3 * V)


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
    from kd_lab.how import SparseTeacher

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


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"tail": "ghost"}, r"'ghost'; expected one of 'bucket'"),
        ({"tail": "sampled", "divergence": "jsd"}, r'use tail="bucket"'),
        ({"tail": "renormalize", "divergence": "reverse_kl"}, r"infinite"),
        ({"teacher_ids": torch.tensor([[0, 0], [1, 2]])}, r"same id twice"),
        ({"teacher_ids": torch.tensor([[0, 9], [1, 2]])}, r"from 0 to 9; expected 0 … 4"),
        ({"teacher_ids": torch.zeros(2, 2)}, r"expected integers"),
        ({"teacher_logp": torch.tensor([[0.5, 0.2], [0.5, 0.2]])}, r"expected log-probabilities"),
        ({"teacher_logp": torch.full((2, 2), -0.1)}, r"sum to 1.8097; expected 1 at most"),
        ({"teacher_logp": torch.full((2, 3), -2.0)}, r"\(2, 3\).*'K'"),
        ({"teacher_ids": torch.tensor([[0, 1]]), "teacher_logp": torch.full((1, 2), -2.0)}, r"\(2, 'K'\)"),
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
