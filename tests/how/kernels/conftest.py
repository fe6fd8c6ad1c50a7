import pytest


@pytest.fixture(params=["resident", "streaming"])
def path(request, monkeypatch):
    """Small logits on either path: rows held as a whole, or streamed in tiles of 128 columns, some of them held."""
    launch = pytest.importorskip("kd_lab.how.kernels.launch", reason="Triton has no wheel here")
    if request.param == "streaming":
        monkeypatch.setattr(launch, "BLOCK", 128)
        monkeypatch.setattr(launch, "RESIDENT", launch.HELD)  # one column more than is held streams
    return request.param
