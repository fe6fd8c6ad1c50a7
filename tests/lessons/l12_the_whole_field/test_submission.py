"""Submissions are read, never run: legal ones become entries, all others a sentence that says what is wrong."""

import contextlib
import json
import re

import pytest

from kd_lab.lessons.l12_the_whole_field.submission import MOST_BYTES, Budget, Entry, checked_entry, read
from kd_lab.methods import gkd

GOOD = {"name": "half and half", "method": "gkd", "settings": {"beta": 0.5, "on_policy_fraction": 1}, "steps": 40}


def file(folder, text, name="entry.json"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_json_and_toml_say_the_same(tmp_path):
    toml = 'name = "half and half"\nmethod = "gkd"\nsteps = 40\n[settings]\nbeta = 0.5\non_policy_fraction = 1\n'
    one, other = read(file(tmp_path, json.dumps(GOOD))), read(file(tmp_path, toml, "entry.toml"))
    assert one == other == Entry("half and half", "gkd", GOOD["settings"], steps=40)
    assert one.recipe == gkd(on_policy_fraction=1.0)


def test_what_is_left_out_has_a_default():
    entry = checked_entry({"name": "a", "method": "word_level"}, Budget(steps=25))
    assert (entry.steps, entry.width, entry.layers, entry.learning_rate) == (25, 32, 2, 3e-3)


COMPOSED = {"what": "tokens", "how": "likelihood", "where": "the student's, λ = 1"}
BAD = {
    "unknown method": ({"method": "os.system"}, "method is 'os.system'; expected one of labels_only"),
    "method is a list": ({"method": ["gkd"]}, "method is ['gkd']"),
    "unknown field": ({"code": "import os"}, "unknown: 'code'; expected some of name, method"),
    "dunder": ({"__class__": 1}, "unknown: '__class__'"),
    "blank name": ({"name": "  "}, "name is blank"),
    "markup": ({"name": "<img src=x>"}, "name is '<img src=x>'; expected 1 to 40"),
    "pipe": ({"name": "a | 1 |"}, "expected 1 to 40"),
    "long name": ({"name": "a" * 41}, "expected 1 to 40"),
    "number for a name": ({"name": 7}, "name is 7"),
    "too many steps": ({"steps": 61}, "steps is 61; the budget is 60"),
    "no steps": ({"steps": 0}, "steps is 0; expected a whole number from 1"),
    "steps as text": ({"steps": "40"}, "steps is '40'"),
    "true steps": ({"steps": True}, "steps is True"),
    "half a step": ({"steps": 1.5}, "steps is 1.5"),
    "infinite rate": ({"learning_rate": float("inf")}, "learning_rate is inf; expected a number in 1e-05 … 0.1"),
    "huge student": ({"width": 10**9}, "width is 1000000000; expected a whole number in 4 … 256"),
    "settings are a list": ({"settings": [0.5]}, "settings is a list; expected a table of keywords of gkd"),
    "unknown setting": ({"settings": {"betta": 0.5}}, "gkd has no setting 'betta'; expected some of beta"),
    "a setting that holds an object": ({"settings": {"otherwise": "Corpus()"}}, "gkd has no setting 'otherwise'"),
    "text for a number": ({"settings": {"beta": "0.5"}}, "setting beta is '0.5'; expected a float"),
    "true for a number": ({"settings": {"beta": True}}, "setting beta is True"),
    "out of range": ({"settings": {"beta": 2.0}}, "gkd refuses these settings: beta of jsd is 2.0"),
    "a million texts": (
        {"method": "sequence_level", "settings": {"size": 10**9}},
        "setting size is 1,000,000,000; expected at most 4,096",
    ),
    "words that nobody knows": (
        {"method": "compose", "settings": {"what": "logits", "how": "magic"}},
        "how is 'magic'; expected one of 'likelihood'",
    ),
    "illegal words": ({"method": "compose", "settings": COMPOSED}, "compose refuses these settings: WHAT = sequences"),
}


@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD)
def test_hostile_settings_get_a_sentence(change, message):
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        checked_entry({**GOOD, **({"settings": {}} if "method" in change else {}), **change}, Budget())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("{", "entry.json", "no valid JSON"),
        ("a = ", "entry.toml", "no valid TOML"),
        ("[1, 2]", "entry.json", "holds a list; expected a table"),
        ("{}", "entry.json", "name and method missing"),
        ('{"name": "a", "name": "b", "method": "gkd"}', "entry.json", "'name' came twice"),
        ('{"name": "a", "method": "gkd", "learning_rate": NaN}', "entry.json", "NaN is no number"),
        ('{"name": "a", "method": "gkd", "learning_rate": 1e999}', "entry.json", "learning_rate is inf"),
        ("[" * 5000, "entry.json", "nested too deeply"),
        (b'{"name": "\xff"}', "entry.json", "not UTF-8"),
        ("x" * (MOST_BYTES + 1), "entry.json", "10,001 bytes; expected at most 10,000"),
        ("import os", "entry.py", "ends in '.py'"),
    ],
)
def test_hostile_files_get_a_sentence(tmp_path, text, name, message):
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        read(file(tmp_path, text, name))
    assert str(caught.value).startswith(f"{name}: ")


def test_folders_and_links_are_no_submissions(tmp_path):
    (tmp_path / "folder.json").mkdir()
    with contextlib.suppress(OSError):  # on Windows links need a right of their own
        (tmp_path / "link.json").symlink_to(file(tmp_path, json.dumps(GOOD)))
    for name in ("folder.json", "link.json", "absent.json"):
        with pytest.raises(ValueError, match="no plain file"):
            read(tmp_path / name)
