"""The student's K + 1 events: they are a distribution, and the operator's gradient is that of the formula."""

import pytest
import torch

from kd_lab.how import sparse_events as module
from kd_lab.how.chunked import row_chunks
from kd_lab.how.sparse_events import reference_events, sparse_events

V = 11
IDS = torch.tensor([[3, 0, 5], [-1, 7, -1], [-1, -1, -1], [2, 2, -1]])


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 2 * V)


def logits() -> torch.Tensor:
    return 3 * torch.randn(4, V, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("events_of", [sparse_events, reference_events])
def test_the_events_are_a_distribution_and_an_empty_position_is_all_rest(events_of):
    events = events_of(logits()[:3], IDS[:3], 2.0)
    torch.testing.assert_close(events.logsumexp(-1), torch.zeros(3), rtol=0, atol=1e-6)
    logp = (logits() / 2).log_softmax(-1)
    torch.testing.assert_close(events[0, :3], logp[0, IDS[0]])
    torch.testing.assert_close(events[1, 1], logp[1, 7])
    assert events[1, [0, 2]].tolist() == [-torch.inf] * 2
    assert events[2].tolist() == [-torch.inf] * 3 + [0.0]


def test_operator_and_formula_agree_in_gradient_and_leave_empty_positions_alone():
    upstream = torch.randn(4, 4, generator=torch.Generator().manual_seed(1))
    gradients = []
    for events_of, dtype in ((sparse_events, torch.float32), (reference_events, torch.float64)):
        leaf = logits()
        leaf[2] = torch.nan  # an empty position is never read
        leaf = leaf.to(dtype).requires_grad_()
        events = events_of(leaf, IDS, 1.5)
        finite = torch.where(events == -torch.inf, 0.0, events)
        gradients.append(torch.autograd.grad((finite * upstream.to(dtype)).sum(), leaf)[0])
    torch.testing.assert_close(gradients[0].double(), gradients[1], rtol=1e-4, atol=1e-5)
    assert gradients[0][2].eq(0).all()


@pytest.mark.parametrize("events_of", [sparse_events, reference_events])
def test_where_no_other_token_is_possible_the_rest_is_impossible_and_no_gradient_is_nan(events_of):
    leaf = torch.full((1, V), -torch.inf)
    leaf[0, [3, 0, 5]] = torch.tensor([1.0, 0.0, 2.0])
    leaf.requires_grad_()
    events = events_of(leaf, IDS[:1], 1.0)
    assert events[0, 3] == -torch.inf
    gradient = torch.autograd.grad(events[0, :3].sum(), leaf)[0]
    assert gradient.isfinite().all()


def test_the_operators_keep_the_rules_of_torch_library():
    leaf = logits().requires_grad_()
    torch.library.opcheck(module._forward, (leaf, IDS, torch.tensor(1.5, dtype=torch.float64)))


@pytest.mark.parametrize(("device", "chunks"), [("cpu", 2731), ("cuda", 149), ("mps", 149)])
def test_off_the_cpu_a_chunk_has_rows_enough_that_few_wait_for_the_device(monkeypatch, device, chunks):
    """8,192 positions of a vocabulary of 151,936; a GPU is asked once per chunk which rows count."""
    monkeypatch.undo()
    rows = module.rows_at_once(151_936, device)
    assert len(row_chunks(None, 8192, rows)) == chunks
    assert rows * 151_936 <= (2**19 if device == "cpu" else 2**23)
