"""A learner's own file: what comes in, and what a bad file is told."""

import pytest

from kd_lab.worlds import text_file

PLACES = [f"town of the {ending}" for ending in "abcdefghijklmnopqrstuvwxyz"]


def write(folder, content: str | bytes):
    path = folder / "places.txt"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_lines_become_a_world(tmp_path):
    world = text_file(write(tmp_path, "\ufeff" + "\r\n".join([*PLACES, "", "  ", PLACES[0], " padded "])))
    texts = world.vocabulary.decode(world.train.tokens) + world.vocabulary.decode(world.held_out.tokens)
    assert sorted(texts) == sorted([*PLACES, "padded"])
    assert len(world.held_out) >= 1
    assert world.name == "places"
    assert world.vocabulary.symbols[0] == "."


def test_the_path_may_be_text(tmp_path):
    assert text_file(str(write(tmp_path, "\n".join(PLACES)))).vocabulary.symbols[1:3] == " a"


def test_a_file_that_uses_the_full_stop_gets_another_end_mark(tmp_path):
    world = text_file(write(tmp_path, "\n".join(line + "." for line in PLACES)))
    assert world.vocabulary.symbols[0] == "␃"
    assert world.vocabulary.decode(world.train.tokens)[0].endswith(".")


def test_letters_beyond_ascii_are_letters(tmp_path):
    world = text_file(write(tmp_path, "\n".join(line + "ß" for line in PLACES)))
    assert "ß" in world.vocabulary.symbols


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "0 distinct lines"),
        ("\n\n \n", "0 distinct lines"),
        ("one\ntwo\none\n", "2 distinct lines"),
        ("\n".join(PLACES).encode("utf-16"), "not UTF-8: byte 0 is 0xff"),
        ("\n".join(PLACES).encode() + b"\n\xe9t\xe9", "not UTF-8"),
        ("\n".join(PLACES) + "\n\0", "zero bytes"),
        ("\n".join(PLACES) + "\n" + "x" * 129, "has 129 characters"),
        ("\n".join(PLACES) + "\n.␃", "uses both"),
    ],
)
def test_a_bad_file_is_told_what_is_wrong(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        text_file(write(tmp_path, content))


def test_a_missing_file_is_told_where_it_was_sought(tmp_path):
    with pytest.raises(ValueError, match=r"there is no text file at .*working folder"):
        text_file(tmp_path / "nowhere.txt")
    with pytest.raises(ValueError, match="there is no text file"):
        text_file(tmp_path)
