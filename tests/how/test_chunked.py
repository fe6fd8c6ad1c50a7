"""The chunked path's own: where rows are cut, what memory it takes, and its operators under PyTorch's checks."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from logit_pairs import KLS, agree, every_divergence, exact, pair, value_and_gradient

import kd_lab.how.chunked as chunked
from kd_lab.how import softmax_kl
from kd_lab.how.divergences import DIVERGENCES

pytestmark = pytest.mark.usefixtures("small_chunks")


@pytest.mark.parametrize("divergence", KLS)
def test_chunked_keeps_four_digits_of_a_divergence_of_1e_7(divergence):
    student, teacher = pair(8, 5000, spread=1.0)
    close = teacher + 0.001 * student
    value, _ = value_and_gradient(close, teacher, divergence=divergence, backend="chunked")
    exact_value, _ = exact(close, teacher, divergence=divergence)
    assert exact_value < 1e-6
    torch.testing.assert_close(value.double(), exact_value, rtol=1e-4, atol=0)


@pytest.mark.parametrize("cut", [1, 3, 8, 20, 24])
@every_divergence
def test_chunks_cut_both_sides_and_the_mask_at_the_same_places(divergence, cut, monkeypatch):
    student, teacher = pair(24, 17)
    mask = torch.arange(24) % 5 != 2
    monkeypatch.setattr(chunked, "CHUNK", cut * 17)
    options = {"divergence": divergence, "mask": mask}
    agree(value_and_gradient(student, teacher, backend="chunked", **options), exact(student, teacher, **options))


@every_divergence
def test_a_row_longer_than_a_chunk_and_one_token(divergence):
    for shape in ((3, 1000), (3, 1), (1, 1)):
        student, teacher = pair(*shape)
        agree(
            value_and_gradient(student, teacher, divergence=divergence, backend="chunked"),
            exact(student, teacher, divergence=divergence),
        )


def test_half_precision_gradients_survive_a_loss_scale():
    """A gradient made in forward at scale 1 would have underflowed in fp16 before the loss scale arrives."""
    student, teacher = pair(64, 400, spread=1.0, dtype=torch.float16)
    options = {"normalizer": 1e6, "backend": "chunked"}  # a large batch: gradients near 1e-9, below fp16's 6e-8
    _, gradient = value_and_gradient(student, teacher, upstream=2.0**20, **options)
    _, expected = exact(student, teacher, upstream=2.0**20, **options)
    assert value_and_gradient(student, teacher, **options)[1].eq(0).any()
    assert (gradient - expected).norm() < 1e-3 * expected.norm()


def test_the_gradient_is_the_only_large_tensor(monkeypatch):
    """Forward and backward of the chunked path allocate 1.2 gradients at most, and copy none on the way to .grad."""
    monkeypatch.undo()  # chunks of the true size
    student, teacher = pair(256, 50_257)
    student.requires_grad_()
    for divergence in ("forward_kl", "reverse_kl", "jsd"):
        made = []

        def counted(*arguments, made=made, empty=chunked._empty):
            tensor = empty(*arguments)
            made.append(tensor.data_ptr())
            return tensor

        monkeypatch.setattr(chunked, "_empty", counted)
        with torch.profiler.profile(profile_memory=True) as profile:
            softmax_kl(student, teacher, divergence=divergence, temperature=2.0).backward()
        monkeypatch.undo()
        # The profiler sees torch's allocations and not that of the gradient, which came through numpy.
        others = sum(max(0, event.self_cpu_memory_usage) for event in profile.events())
        assert made == [student.grad.data_ptr()]
        assert others < 0.2 * 4 * student.numel()
        student.grad = None


@pytest.mark.parametrize("training", [True, False])
def test_opcheck_of_the_sweep(training):
    student, teacher = pair(2, 3, 40)
    mask = torch.tensor([[True, False, True], [True, True, True]])
    upstream = torch.ones(2, 3)  # as opcheck brings it: the gradient is given away and would be scaled in place
    labels = torch.randint(40, (2, 3))
    options = (torch.tensor([0.3, 2.0, 0.25], dtype=torch.float64), "jsd", True)
    rows = (student.requires_grad_(training), teacher, mask, labels, upstream)
    torch.library.opcheck(chunked.sweep_operator, (*rows, *options, training, not training))
    for expected in (upstream, None):
        rows = (torch.rand(2, 3, 40), student.detach(), teacher, mask, labels, expected, 3 * upstream)
        torch.library.opcheck(chunked.sweep_again_operator, (*rows, *options))


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 9),
    vocabulary=st.integers(1, 70),
    seed=st.integers(0, 10_000),
    spread=st.floats(0.01, 30),
    temperature=st.floats(0.3, 8),
    beta=st.floats(0.05, 0.95),
    divergence=st.sampled_from(list(DIVERGENCES)),
    masked=st.floats(0, 1),
)
def test_chunked_is_the_formula_for_any_shape(rows, vocabulary, seed, spread, temperature, beta, divergence, masked):
    student, teacher = pair(rows, vocabulary, seed=seed, spread=spread)
    mask = torch.rand(rows, generator=torch.Generator().manual_seed(seed)) >= masked
    options = {"divergence": divergence, "temperature": temperature, "beta": beta, "mask": mask}
    got = value_and_gradient(student, teacher, backend="chunked", **options)
    wanted = exact(student, teacher, **options)
    scale = max(1.0, spread / temperature)  # the rounding of logits, in nats
    torch.testing.assert_close(got[0].double(), wanted[0], rtol=1e-4, atol=1e-6 * scale * temperature**2)
    torch.testing.assert_close(got[1].double(), wanted[1], rtol=1e-3, atol=2e-6 * scale * temperature)
