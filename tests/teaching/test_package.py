"""The wheel for students: pip takes it, its version says what it is, and its list of files is true."""

import base64
import csv
import hashlib
import io
import re
import zipfile

import pytest
from packaging.utils import parse_wheel_filename

import kd_lab
from kd_lab.teaching import package
from kd_lab.teaching.package import build_wheel


def build(folder, changed=""):
    """The wheel without recorded answers, which take a minute; with a line more in one file where `changed` says so."""

    def quick(root, strip=package.strip):
        cases = strip(root, record=()) / "lessons" / "l03_which_kl" / "exercises.py"
        cases.write_text(cases.read_text(encoding="utf-8") + changed, encoding="utf-8")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(package, "strip", quick)
        return build_wheel(folder)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return build(tmp_path_factory.mktemp("dist"))


def test_the_wheel_names_its_version_and_what_it_needs(wheel):
    name, version, build_number, tags = parse_wheel_filename(wheel.name)
    assert (name, build_number, {str(tag) for tag in tags}) == ("kd-lab", (), {"py3-none-any"})
    assert version.public == kd_lab.__version__
    assert re.fullmatch(r"class\.g[0-9a-f]{8}", version.local)
    assert str(version) == wheel.name.split("-")[1]  # as pip writes it, who compares it with the one installed
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = [name for name in archive.namelist() if name.endswith("METADATA")]
        text = archive.read(metadata).decode()
        assert metadata == f"kd_lab-{version}.dist-info/METADATA"
    assert f"\nVersion: {version}\n" in text
    assert text.count("+class") == 1
    assert "Requires-Dist: torch" in text
    assert 'extra == "course"' in text


def test_another_content_is_another_version_and_the_only_wheel_of_the_class(tmp_path):
    """pip installs nothing over a wheel of the same version: an update would not reach the students."""
    first = build(tmp_path)
    (own := tmp_path / "kd_lab-0.1.0-py3-none-any.whl").touch()
    assert build(tmp_path) == first  # the same content
    second = build(tmp_path, changed="\nMORE = 1\n")
    assert second.name != first.name
    assert set(tmp_path.glob("*.whl")) == {second, own}


def test_every_file_is_listed_with_its_hash(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (record,) = [name for name in archive.namelist() if name.endswith("RECORD")]
        rows = list(csv.reader(io.StringIO(archive.read(record).decode())))
        assert {name for name, *_ in rows} == set(archive.namelist())
        for name, digest, size in rows:
            if name != record:
                data = archive.read(name)
                assert len(data) == int(size)
                expected = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
                assert digest == f"sha256={expected}"


def test_data_come_along_and_teachers_parts_do_not(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "kd_lab/models/weights/surnames.safetensors" in names
    assert not [name for name in names if name.startswith(("kd_lab/teaching", "kd_lab/bench"))]


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="name another folder"):
        build_wheel(tmp_path / "file")


def test_the_tested_versions_lie_beside_the_wheel(wheel):
    assert (wheel.parent / "constraints.txt").read_bytes() == package.CONSTRAINTS.read_bytes()
    assert sorted(file.name for file in wheel.parent.iterdir()) == ["constraints.txt", wheel.name]


def test_constraints_that_lie_there_already_are_no_obstacle(tmp_path, monkeypatch):
    """A teacher may name the checkout itself."""
    (tmp_path / "constraints.txt").write_text("torch==1\n", encoding="utf-8")
    monkeypatch.setattr(package, "CONSTRAINTS", tmp_path / "constraints.txt")
    assert build(tmp_path).exists()
    assert (tmp_path / "constraints.txt").read_text(encoding="utf-8") == "torch==1\n"
