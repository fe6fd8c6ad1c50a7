"""No test writes into the answers, or Jupyter's signatures, of the person who runs it."""

import pytest


@pytest.fixture(autouse=True)
def own_progress(monkeypatch, tmp_path):
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "own" / "jupyter"))
    monkeypatch.setenv("KD_LAB_PROGRESS", str(tmp_path / "own" / "progress.json"))
    monkeypatch.setattr("kd_lab.classroom.progress.told", [])  # each test is a kernel of its own
