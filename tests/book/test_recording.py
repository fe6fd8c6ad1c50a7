import json

import pytest

from kd_lab.book import recording
from kd_lab.book.recording import RUNGS, as_webp, pack, plan, record, record_explorer, state_of
from kd_lab.classroom.lesson import Lesson
from kd_lab.viz import Choice, Explorer, Slider, Text


def explorer_of(*controls, presets=None, refuse=()):
    def create(figure):
        axes = figure.subplots()
        axes.set(xlim=(0, 100), ylim=(0, 100))
        return axes.plot([0], [0], "o")

    def update(artists, *values):
        if values in refuse:
            raise ValueError("not these together")
        artists[0].set_data([float(sum(v for v in values if isinstance(v, int | float)))], [50.0])
        return f"It stands at {values}."

    return Explorer(
        name="recorded", controls=controls, create=create, update=update, presets=presets or {}, size=(200, 120)
    )


def test_few_combinations_are_all_recorded():
    explorer = explorer_of(Slider("a", 0, 4, 1, start=1), Choice("b", ["x", "y"], start="y"))
    values, settings = plan(explorer)
    assert values == [[0, 1, 2, 3, 4], ["x", "y"]]
    assert len(settings) == 10


def test_of_many_each_control_is_moved_alone_from_the_start_and_each_choice():
    explorer = explorer_of(
        Slider("a", 0, 40, 1, start=3), Slider("b", 0, 40, 1, start=5), Choice("c", ["x", "y"], start="x"),
        presets={"odd": {"a": 17, "b": 19}},
    )  # fmt: skip
    values, settings = plan(explorer)
    assert len(settings) <= recording.FRAMES
    assert {0, 3, 17, 40} <= set(values[0])
    at = [tuple(options[i] for options, i in zip(values, places, strict=True)) for places in settings]
    assert (3, 5, "x") in at
    assert (17, 19, "x") in at
    assert (40, 5, "y") in at
    assert (3, 40, "y") in at


def test_a_text_has_the_values_of_its_presets():
    values, _ = plan(explorer_of(Text("prefix", start="ma"), presets={"other": {"prefix": "mc"}}))
    assert values == [["ma", "mc"]]


def test_a_recording_has_pictures_sentences_and_the_places_of_presets():
    explorer = explorer_of(Slider("a", 0, 4, 1, start=1), presets={"far": {"a": 4}})
    pictures = {}
    data = record_explorer(explorer, pictures)
    assert data["start"] == (1,)
    assert data["presets"] == {"far": (4,)}
    assert data["controls"] == [{"name": "a", "kind": "Slider", "values": ["0", "1", "2", "3", "4"]}]
    assert data["frames"]["4"][1] == "It stands at (4,)."
    files = {file for file, _ in data["frames"].values()}
    assert len(files) == 5
    assert files == pictures.keys()
    assert explorer.values == {"a": 1}


def test_equal_pictures_are_one_file():
    data = record_explorer(explorer_of(Choice("b", ["x", "y"], start="y")), {})
    assert len({file for file, _ in data["frames"].values()}) == 1


def test_settings_that_the_explorer_refuses_are_left_out():
    data = record_explorer(explorer_of(Slider("a", 0, 3, 1, start=1), refuse=[(2,)]), {})
    assert sorted(data["frames"]) == ["0", "1", "3"]


def test_the_file_holds_all_explorers_and_predictions(tmp_path, monkeypatch):
    monkeypatch.setattr(recording, "EXPLORERS", {"recorded": explorer_of(Slider("a", 0, 1, 1, start=0))})
    record(tmp_path)
    data = json.loads((tmp_path / recording.FILE).read_text(encoding="utf-8"))
    assert set(data["explorers"]) == {"recorded"}
    assert isinstance(data["predictions"], dict)
    files = {file for file, _ in data["explorers"]["recorded"]["frames"].values()}
    assert all((tmp_path / file).stat().st_size > 100 for file in files)


def test_pictures_keep_to_the_budget_on_the_first_rung_that_does():
    pictures = {}
    record_explorer(explorer_of(Slider("a", 0, 4, 1, start=1)), pictures)
    sizes = [sum(len(as_webp(png, *rung)) for png in pictures.values()) for rung in RUNGS]
    assert sizes == sorted(sizes, reverse=True)
    for budget, rung in ((sizes[0], 0), (sizes[0] - 1, 1), (sizes[2], 2), (1, -1)):
        assert sum(map(len, pack(pictures, budget).values())) == sizes[rung]
        assert pack(pictures, budget).keys() == pictures.keys()


def test_a_recording_belongs_to_all_that_the_explorers_are_made_of(tmp_path):
    lesson = Lesson(tmp_path, tmp_path / "01_a.ipynb")
    (tmp_path / "explorers.py").write_text("one", encoding="utf-8")
    (tmp_path / "measured.json").write_text("7 s", encoding="utf-8")
    before = state_of(lesson)
    (tmp_path / "measured.json").write_text("8 s", encoding="utf-8")
    assert state_of(lesson) == before
    (tmp_path / "explorers.py").write_text("two", encoding="utf-8")
    assert state_of(lesson) != before


@pytest.mark.parametrize("name", ["weights.safetensors", "entries/one.toml", "deep/er/table.json"])
def test_a_recording_is_of_all_files_that_the_lesson_may_read(tmp_path, name):
    lesson, file = Lesson(tmp_path, tmp_path / "01_a.ipynb"), tmp_path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    before = state_of(lesson)
    file.write_bytes(b"one")
    there = state_of(lesson)
    file.write_bytes(b"two")
    assert len({before, there, state_of(lesson)}) == 3
    for other in ("__pycache__/explorers.pyc", ".ipynb_checkpoints/a.json", "measured.json", "teaching.md"):
        seen = state_of(lesson)
        (tmp_path / other).parent.mkdir(exist_ok=True)
        (tmp_path / other).write_bytes(b"x")
        assert state_of(lesson) == seen


def test_a_recording_is_there_whole_or_not_at_all(tmp_path, monkeypatch):
    """A recording that is there is never made again."""

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(recording, "EXPLORERS", {})
    monkeypatch.setattr(recording, "asked", {})
    monkeypatch.setattr("os.replace", full)
    monkeypatch.setattr("pathlib.Path.write_text", lambda self, text, encoding: (self.write_bytes(b"{"), full()))
    with pytest.raises(OSError, match="No space"):
        record(tmp_path)
    assert not (tmp_path / recording.FILE).exists()


@pytest.fixture(autouse=True)
def _close():
    yield
    if (explorer := recording.EXPLORERS.get("recorded")) is not None:
        explorer.close()
