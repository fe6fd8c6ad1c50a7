"""Which lesson `make lab` opens, and how JupyterLab greets a learner."""

import json
import os

import pytest

from kd_lab.classroom import lab
from kd_lab.classroom.lesson import ROOT, find_lessons
from kd_lab.classroom.overview import exercises_of


def test_it_goes_on_at_the_first_lesson_that_is_not_done():
    first, second, *_ = find_lessons()
    assert lab.chosen(None, {}) == first
    kept = dict.fromkeys(exercises_of(first), "right")
    assert lab.chosen(None, kept) == second
    assert lab.chosen(None, kept | {exercises_of(first)[0]: "not there yet"}) == first
    everything = {one: "right" for lesson in find_lessons() for one in exercises_of(lesson)}
    assert lab.chosen(None, everything) == first


def test_a_number_opens_its_lesson_and_a_wrong_one_is_named():
    assert lab.chosen("3", {}).name == lab.chosen("03", {}).name == "03_which_kl"
    assert lab.chosen("3b", {}).number == lab.chosen("03B", {}).number == "03b"
    assert lab.chosen("0", {}).number == "00"
    assert lab.chosen("10b", {}).number == "10b"
    with pytest.raises(ValueError, match="no lesson '55'; there are 00, 01"):
        lab.chosen("55", {})


def test_a_checkout_has_its_copies_in_a_folder_that_git_ignores():
    assert lab.desk() == ROOT / "work"
    assert "work/*" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


def test_jupyterlab_gets_the_copy_the_root_and_the_defaults(monkeypatch, tmp_path, capsys):
    from jupyterlab.labapp import LabApp

    called = []
    monkeypatch.setattr(LabApp, "launch_instance", called.append)
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", "/elsewhere")
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    lab.open_lab("03", tmp_path / "mine", ["--no-browser"])
    ((notebook, root, *options),) = called
    assert notebook == str(tmp_path / "mine" / "03_which_kl.ipynb")
    assert (tmp_path / "mine" / "03_which_kl.ipynb").exists()
    assert root == f"--ServerApp.root_dir={tmp_path / 'mine'}"
    assert options[-1] == "--no-browser"
    assert os.environ["JUPYTER_CONFIG_PATH"].split(os.pathsep) == ["/elsewhere", str(lab.SETTINGS)]
    assert str(tmp_path / "mine") in capsys.readouterr().out


def test_a_desk_behind_a_link_lies_in_the_folder_that_jupyterlab_shows(monkeypatch, tmp_path):
    """Jupyter compares the two as texts, and ends where the copy's does not begin with the root's."""
    from jupyterlab.labapp import LabApp

    (checkout := tmp_path / "checkout").mkdir()
    (tmp_path / "disk").mkdir()
    try:
        (checkout / "work").symlink_to(tmp_path / "disk", target_is_directory=True)
    except OSError:
        pytest.skip("links cannot be made here, as on Windows without the right to")
    called = []
    monkeypatch.setattr(LabApp, "launch_instance", called.append)
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", "")
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    monkeypatch.setattr(lab, "ROOT", checkout)
    monkeypatch.setattr(lab, "in_checkout", lambda: True)
    lab.open_lab("03")
    ((notebook, root, *_),) = called
    assert root == f"--ServerApp.root_dir={checkout}"
    assert notebook == str(checkout / "work" / "03_which_kl.ipynb")
    assert (tmp_path / "disk" / "03_which_kl.ipynb").exists()


def test_the_defaults_are_read_by_jupyterlab_and_ask_for_no_news(monkeypatch):
    from jupyterlab_server.settings_utils import _get_overrides

    monkeypatch.setenv("JUPYTER_CONFIG_PATH", str(lab.SETTINGS))
    overrides, error = _get_overrides("/nowhere")
    assert not error
    own = json.loads((lab.SETTINGS / "labconfig" / "default_setting_overrides.json").read_text(encoding="utf-8"))
    assert own["@jupyterlab/apputils-extension:notification"]["fetchNews"] == "false"
    for plugin, settings in own.items():
        assert settings.items() <= overrides[plugin].items()
