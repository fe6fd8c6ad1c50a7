"""Every stored file of a lesson says which command made it, when, with which versions, and from which seeds."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

import kd_lab.lessons

FOLDER = Path(kd_lab.lessons.__file__).parent
FILES = sorted(
    file
    for file in FOLDER.glob("l*/*.json")
    if file.name != "measured.json"  # the builder's own, made at every build
)


def test_the_stored_files_are_found():
    assert {"few_texts.json", "faults.json", "at_scale.json", "results.json"} <= {file.name for file in FILES}


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_a_stored_file_says_how_it_was_made(file):
    about = json.loads(file.read_text(encoding="utf-8"))["about"]
    module = about["command"].partition("-m ")[2].split()[0]
    assert module.startswith(f"kd_lab.lessons.{file.parent.name}.")
    assert find_spec(module), f"{module} is gone, and nobody can make {file.name} again"
    assert len(about["date"].split("-")) == 3
    versions = about | about.get("versions", {})
    assert versions["python"].startswith("3.") or (versions["python"] == "not recorded" and about["recorded"])
    assert versions["torch"].startswith("2.")
    settings = [about, *(part for part in about.values() if isinstance(part, dict))]
    assert any({"seed", "seeds"} & part.keys() for part in settings)
    if file.name == "results.json":
        assert about["command"].startswith(f"python -m kd_lab.lessons.{file.parent.name}.experiment")
        assert versions["python"].startswith("3.")
        assert "seeds" in about or "seed" in about["budget"]
