"""A learner's own text: one file, one text per line."""

from pathlib import Path

import torch

from kd_lab.worlds.batch import Batch, Vocabulary
from kd_lab.worlds.surnames import is_held_out
from kd_lab.worlds.world import World

FEWEST_LINES = 20
LONGEST_LINE = 128
END_MARKS = ".␃"  # the first that no line uses


def text_file(path: str | Path) -> World:
    """The world of the lines of a UTF-8 text file, split by text: each distinct line is one row.

    Blank lines and spaces around a line are dropped, repeated lines count once. The vocabulary is every character that
    occurs, in sorted order, after the end mark. A tenth is held out, chosen by the text alone.

    Args:
        path: a file with at least 20 distinct lines of at most 128 characters, such as a list of place names.

    Raises:
        ValueError: the file is missing, empty, not UTF-8, has too few distinct lines or one that is too long.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise ValueError(
            f"there is no text file at {str(path)!r}; expected a file with one text per line "
            f"(the working folder is {str(Path.cwd())!r})"
        ) from error
    except PermissionError as error:
        raise ValueError(f"{str(path)!r} may not be read; change its permissions, or copy it") from error
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{str(path)!r} is not UTF-8: byte {error.start} is 0x{error.object[error.start]:02x}; "
            "save it as UTF-8 text (a spreadsheet or a word processor exports that as plain text)"
        ) from error
    if "\0" in text:
        raise ValueError(f"{str(path)!r} holds zero bytes, so it is no text; expected UTF-8 text, one text per line")

    lines = list(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))
    if len(lines) < FEWEST_LINES:
        raise ValueError(
            f"{str(path)!r} has {len(lines)} distinct lines that are not blank; expected at least {FEWEST_LINES}, "
            "one text per line, so that some can be held out"
        )
    if too_long := next((line for line in lines if len(line) > LONGEST_LINE), None):
        raise ValueError(
            f"a line of {str(path)!r} has {len(too_long)} characters, beginning {too_long[:30]!r}; expected at most "
            f"{LONGEST_LINE}: break it into shorter lines, one text each"
        )
    characters = sorted(set("".join(lines)))
    free = [mark for mark in END_MARKS if mark not in characters]
    if not free:
        raise ValueError(f"{str(path)!r} uses both {END_MARKS[0]!r} and {END_MARKS[1]!r}; remove the second")
    vocabulary = Vocabulary(free[0] + "".join(characters))

    held_out = torch.tensor([is_held_out(line) for line in lines])
    if not held_out.any():
        held_out[-1] = True  # twenty lines and no luck: one must still be held out
    tokens = vocabulary.encode(lines)
    train, rest = (Batch.from_tokens(tokens[rows], end=vocabulary.end) for rows in (~held_out, held_out))
    return World(path.stem, vocabulary, train, rest)
