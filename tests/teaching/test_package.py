"""The wheel for students: pip takes it, its version says what it is, and its list of files is true."""

import base64
import csv
import hashlib
import io
import zipfile

import pytest

from kd_lab.teaching import package
from kd_lab.teaching.package import build_wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    patched = pytest.MonkeyPatch()
    patched.setattr(package, "strip", lambda root, strip=package.strip: strip(root, record=()))  # a minute less
    built = build_wheel(tmp_path_factory.mktemp("dist"))
    patched.undo()
    return built


def test_the_wheel_names_its_version_and_what_it_needs(wheel):
    assert "+class-py3-none-any.whl" in wheel.name
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = [name for name in archive.namelist() if name.endswith("METADATA")]
        text = archive.read(metadata).decode()
    assert text.count("+class") == 1
    assert "Requires-Dist: torch" in text
    assert 'extra == "course"' in text


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
