"""A learner's own file: what comes in, and what a bad file is told."""

import os
import tracemalloc
import unicodedata

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
        ("\n".join(map(str, range(100_001))), "100001 distinct lines"),
        ("x" * ((16 << 20) + 1), "16777217 bytes; expected at most 16 MiB"),
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


def test_a_pipe_or_a_device_is_refused_without_waiting(tmp_path):
    if not hasattr(os, "mkfifo"):
        pytest.skip("no pipes with names here")
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero", "/dev/null"):
        with pytest.raises(ValueError, match="is a pipe, a socket or a device"):
            text_file(path)


@pytest.mark.parametrize("path", ["x" * 5000, "nul\0", ""])
def test_a_path_that_can_be_none_is_refused(path):
    with pytest.raises(ValueError, match=r"cannot be read|there is no text file|holds no zero byte"):
        text_file(path)


def test_one_text_in_two_forms_of_unicode_is_one_text(tmp_path):
    """é as one code point and as e with an accent: else a held-out text could stand in training in its other form."""
    towns = [f"town {letter}é" for letter in "abcdefghijklmnopqrstuvwxyz"]
    both = towns + [unicodedata.normalize("NFD", town) for town in towns]
    world = text_file(write(tmp_path, "\n".join(both)))
    assert len(world.train) + len(world.held_out) == 26


def test_many_long_lines_take_little_memory(tmp_path):
    """A list of Python's integers takes 36 bytes for each id; 20,000 lines of 128 would take 95 MB on the way."""
    path = write(tmp_path, "\n".join(f"{i:0128d}" for i in range(20_000)))
    tracemalloc.start()
    text_file(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6  # the text twice and its code points; the ids are torch's
