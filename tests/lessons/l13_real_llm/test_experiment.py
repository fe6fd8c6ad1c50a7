"""The experiment of lesson 13 on tiny random models: every part runs, and a killed run goes on to the same numbers."""

import json
from dataclasses import replace

import pytest

transformers = pytest.importorskip("transformers", reason="transformers is not installed: make real")

from l13_tiny import BUDGET, teacher, texts  # noqa: E402

from kd_lab.lessons.l13_real_llm import experiment  # noqa: E402
from kd_lab.lessons.l13_real_llm.arms import ARMS, MAIN  # noqa: E402
from kd_lab.lessons.l13_real_llm.experiment import Run, about, parts, work  # noqa: E402


def begun(folder, monkeypatch) -> Run:
    """A run whose texts are there."""
    monkeypatch.setattr(experiment, "CHECKPOINT_EVERY", 2)
    folder.mkdir(exist_ok=True)
    (folder / "texts.json").write_text(json.dumps(texts()), encoding="utf-8")
    head = about(BUDGET)
    run = Run(BUDGET, folder, folder / "results.partial", head, teacher, folder / "next.safetensors")
    run.done = experiment.resumed(run.partial, head)
    if run.found(part="texts") is None:
        rows = {kind: {part: len(some) for part, some in both.items()} for kind, both in texts().items()}
        run.add({"part": "texts"} | rows, 0.0)
    return run


def numbers(run: Run) -> list[dict]:
    """All that was measured, without what a clock or the machine's memory says."""
    volatile = {"seconds", "training_seconds", "plain_seconds", "loss_seconds", "peak", "processor_seconds"}

    def bare(thing):
        if isinstance(thing, dict):
            return {key: bare(value) for key, value in thing.items() if key not in volatile}
        return [bare(one) for one in thing] if isinstance(thing, list) else thing

    return [bare(part) for part in json.loads(json.dumps(run.done)) if part["part"] != "calls"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Run:
    with pytest.MonkeyPatch.context() as monkeypatch:
        run = begun(tmp_path_factory.mktemp("whole"), monkeypatch)
        work(run)
    return run


def test_every_part_runs(whole) -> None:
    assert all(is_done(whole) for _, is_done, _ in parts())
    arms = [part for part in whole.done if part["part"] == "arm"]
    assert {arm["name"] for arm in arms} == {arm.name for arm in ARMS}
    assert (whole.folder / "next.safetensors").stat().st_size < 1 << 20


def test_arms_of_one_depth_read_the_same_tokens(whole) -> None:
    by_name = {part["name"]: part for part in whole.done if part["part"] == "arm"}
    fixed = [arm.name for arm in ARMS if arm.share == 4 and not arm.spoken and arm.name != "GKD"]
    assert len({by_name[name]["tokens"] for name in fixed}) == 1
    assert by_name[MAIN]["tokens"] > 3 * by_name[fixed[0]]["tokens"]


def test_the_measure_of_the_teacher_is_zero(whole) -> None:
    measures = whole.found(part="reference", name="teacher")["measures"]
    assert max(measures["forward_kl"] + measures["reverse_kl"]) < 1e-4
    assert min(measures["acceptance"] + measures["agreement"]) > 0.999


class Killed(BaseException):
    """What a run meets in the place of kill −9: nothing catches it, and nothing is tidied up."""


@pytest.mark.parametrize("after", [1, 3, 7, 11, 14, 16, 20, 23])
def test_a_killed_run_goes_on_to_the_same_numbers(whole, tmp_path, monkeypatch, after: int) -> None:
    """Killed while part number `after` is being made, in the middle of a training where it is one."""
    folder = tmp_path / "run"
    run, kept = begun(folder, monkeypatch), []
    add = Run.add

    def dying(self, part, start):
        kept.append(part)
        if len(kept) == after:
            raise Killed
        add(self, part, start)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "add", dying)
        with pytest.raises(Killed):
            work(run)
    again = begun(folder, monkeypatch)
    work(again)
    assert numbers(again) == numbers(whole)


def test_a_training_that_was_cut_goes_on_from_its_checkpoint(whole, tmp_path, monkeypatch) -> None:
    folder = tmp_path / "run"
    run = begun(folder, monkeypatch)
    step = experiment.distill
    starts = []

    def cut(student, *arguments, **options):
        def stop(row):
            starts.append(row["step"])
            if row["step"] == 3 and starts.count(3) == 1:
                raise Killed

        return step(student, *arguments, **options | {"on_step": stop, "progress": False})

    monkeypatch.setattr(experiment, "distill", cut)
    with pytest.raises(Killed):
        work(run)
    del starts[:]
    starts.append(3)  # it is killed once
    again = begun(folder, monkeypatch)
    work(again)
    assert starts[1] == 3, "the checkpoint after two steps was not used"
    assert numbers(again) == numbers(whole)


def test_another_budget_is_refused(whole, monkeypatch) -> None:
    head = about(replace(BUDGET, tokens=320))
    with pytest.raises(ValueError, match="other settings"):
        experiment.resumed(whole.partial, head)
