import pytest
import torch


@pytest.fixture
def small_chunks(monkeypatch):
    """Chunks of a few rows and two threads, so that small cases go through everything that large ones do."""
    monkeypatch.setattr("kd_lab.how.chunked.CHUNK", 200)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    assert torch.get_num_threads() == 2, "a loss must leave torch's threads as they were"
    torch.set_num_threads(threads)
